// A customer: all fields, edited in place, and the orders, messages and history of changes.

import { AddressBook, isBookChanged } from "./address-book.js";
import { ApiError, getViewer, globalId, OFFLINE, runMutation, runQuery } from "./api.js";
import { changedLists, ContactPoints, emailLink, phoneLink } from "./contact-points.js";
import { idText } from "./customer-changes.js";
import { saveCustomerData } from "./customer-data.js";
import { ORDERS, ordersView } from "./customer-orders.js";
import { Timeline } from "./customer-timeline.js";
import { showShortcuts } from "./customers.js";
import { h, keepingFocus, replace, setAttribute, userText } from "./dom.js";
import { ALL_FIELDS, EDITABLE_FIELDS, FIGURES, selectTimes, TIMESTAMPS } from "./fields.js";
import {
  avatar,
  displayName,
  formatMoney,
  formatMonth,
  formatNumber,
  formatValue,
  relativeTime,
  timeElement,
} from "./format.js";
import { icon } from "./icons.js";
import { ConflictError, InlineField, showContent } from "./inline-field.js";
import { checkValues, customerUrl, KINDS, segmentUrl, splitTags } from "./kinds.js";
import { lastList } from "./list-query.js";
import { noAmount, spendLines } from "./money.js";
import { navigate } from "./navigation.js";
import { findNeighbour, hasNeighbour } from "./neighbours.js";
import { announce } from "./progress.js";
import { isDeleted, readTrashDays, scheduleDeletion } from "./selection.js";
import { suggestTags } from "./tag-suggestions.js";
import { t } from "./texts.js";
import {
  button,
  checkbox,
  copyToClipboard,
  formField,
  iconButton,
  menuButton,
  openFormDialog,
  runAction,
  showError,
  showFieldErrors,
  showMissing,
  toast,
  withBusy,
} from "./ui.js";

const POLL_MS = 4000;
const SHOWN_TAGS = 20;
/** The editable fields but the default addresses, which are entries of the address book. */
const PAGE_FIELDS = EDITABLE_FIELDS.filter(({ kind }) => kind !== "Address");
const SELECTION = `id _id ${ALL_FIELDS}
  segments { _id name } spend { currency amount average }
  leads(first: 250) { id subject message custom ${selectTimes("created_at")} }
  summary { visits ${ORDERS} }`;
const READ = `query($id: ID!) { accountSettings { identify_by } node(id: $id) { ... on Customer { ${SELECTION} } } }`;
const POLL =
  "query($id: ID!) { node(id: $id) { ... on Customer { version segments { _id name } changes(first: 1) { edges { node { sequence actor { name } } } } } } }";
const UPDATE = `mutation($id: ID!, $node: InputUpdateCustomer!, $version: Int) {
  updateCustomer(id: $id, node: $node, ifVersion: $version) { ${SELECTION} } }`;

export async function show({ main, signal, params, setTitle, setHandlers }) {
  const id = params.id ? decodeURIComponent(params.id) : globalId("Customer", params.number);
  const [{ node, accountSettings }, viewer] = await Promise.all([runQuery(READ, { id }, { signal }), getViewer()]);
  if (!node?.id || isDeleted(node.id)) {
    showMissingCustomer({ main, setTitle }, t.customer.missingText);
    return;
  }
  const page = new CustomerPage(main, setTitle, node, viewer, signal, accountSettings.identify_by === "email");
  setHandlers({ hasUnsavedInput: () => page.hasUnsavedInput });
  document.addEventListener("keydown", (event) => page.handleKey(event), { signal });
  await page.history.read();
  page.startPolling();
}

const showMissingCustomer = (page, text) =>
  showMissing(
    page,
    "customers",
    t.customer.missing,
    text,
    lastList.url,
    backLabel(),
    h("a", { class: "button", href: "/trash" }, icon("trash"), t.missing.toTrash),
  );
/** The label of the link to the list that was shown last. */
const backLabel = () =>
  lastList.isSearch ? t.customer.toResults(formatNumber(lastList.count), lastList.count) : t.customer.toList;

class CustomerPage {
  constructor(main, setTitle, customer, viewer, signal, isEmailRequired) {
    this.main = main;
    this.setTitle = setTitle;
    /** @type {Customer} */
    this.customer = customer;
    this.canWrite = viewer.scopes.includes("customers:write");
    this.signal = signal;
    this.isEmailRequired = isEmailRequired;
    this.history = new Timeline(customer.id, {
      canWrite: this.canWrite,
      viewer,
      getLeads: () => this.customer.leads,
      readAgain: () => this.readAgain(),
    });
    this.notice = h("div", { class: "notice", role: "status", hidden: true });
    this.picture = avatar(customer, true);
    this.title = h("div", { class: "grow" });
    this.head = h(
      "div",
      { class: "customer-head" },
      h("a", { class: "icon-button", href: lastList.url, "aria-label": backLabel(), title: backLabel() }, icon("back")),
      this.picture,
      this.title,
      h("div", { class: "row head-actions" }, this.neighbourButton(-1), this.neighbourButton(1), this.menu()),
    );
    this.figures = h("section", { class: "card figures", "aria-label": t.customer.figures });
    this.orders = h("section", { class: "card", "aria-labelledby": "orders" });
    this.leads = h("section", { class: "card", "aria-labelledby": "leads" });
    this.identity = h("div", { class: "identity" });
    this.segments = h("ul", { class: "tags", "aria-label": t.nav.segments });
    this.editors = PAGE_FIELDS.map((field) => this.editorOf(field));
    this.addressBook = new AddressBook(this.listOptions);
    const section = (name, ...content) =>
      h(
        "section",
        { class: "card", "aria-labelledby": name },
        h("h2", { id: name }, t.customer.sections[name]),
        content,
      );
    const editorsOf = (name) => this.editors.filter((_, index) => KINDS[PAGE_FIELDS[index].kind].section === name);
    const elementsOf = (name) => editorsOf(name).map(({ element }) => element);
    this.profile = section("profile", h("div", { class: "editables" }, elementsOf("profile")));
    replace(
      main,
      this.head,
      this.notice,
      h(
        "div",
        { class: "columns" },
        h("div", null, this.history.element),
        h(
          "div",
          null,
          this.profile,
          this.figures,
          section("addresses", this.addressBook.element),
          this.orders,
          this.leads,
          section("more", elementsOf("more"), this.identity),
        ),
      ),
    );
    this.render();
  }

  /** The element of a field, and `render()`, which shows the current value in it. */
  editorOf(field) {
    if (field.kind === "Flag") return this.flagEditor(field);
    if (field.kind === "Tags") return this.tagsEditor(field);
    if (field.kind === "Email" || field.kind === "Phone")
      return new ContactPoints(field, this.listOptions, field.kind === "Email" && this.isEmailRequired);
    return new InlineField(field, {
      getCustomer: () => this.customer,
      canWrite: this.canWrite,
      save: (node, base, isForced) => this.save(node, base, isForced),
    });
  }

  /** What the editor of a list needs. */
  get listOptions() {
    return {
      getCustomer: () => this.customer,
      canWrite: this.canWrite,
      saveBy: (build) => this.saveBy(build),
    };
  }

  get allEditors() {
    return [...this.editors, this.addressBook];
  }

  get hasUnsavedInput() {
    return this.history.hasUnsavedInput || this.allEditors.some((editor) => editor.hasUnsavedInput);
  }

  /**
   * Saves a change over `base`, the customer when the person began it. Changes that others have made
   * since then stay. A change of the same field is a ConflictError, unless the change `isForced`.
   */
  save(node, base, isForced = false) {
    checkValues(node);
    return this.saveBy((customer) => {
      const conflicts = isForced ? [] : conflictingChanges(base, customer, node);
      if (conflicts.length) throw new ConflictError(conflicts);
      return node;
    });
  }

  /** Saves the input that `build(customer)` returns for the current customer. Throws its errors, and ApiError. */
  async saveBy(build) {
    for (;;) {
      const node = build(this.customer);
      try {
        const { updateCustomer } = await runMutation(UPDATE, {
          id: this.customer.id,
          node,
          version: this.customer.version,
        });
        this.setCustomer(updateCustomer);
        await this.history.read();
        return;
      } catch (error) {
        if (!(error instanceof ApiError && error.has("errors_version_conflict"))) throw error;
        await this.poll();
      }
    }
  }

  /** Reads the customer and the history again. Unsaved input stays. */
  async readAgain() {
    const { node } = await runQuery(READ, { id: this.customer.id }, { signal: this.signal });
    if (node) this.setCustomer(node);
    await this.history.read();
  }

  setCustomer(customer) {
    this.customer = customer;
    keepingFocus(this.main, () => this.render());
  }

  render() {
    const { customer } = this;
    const name = displayName(customer);
    this.setTitle(name);
    const picture = avatar(customer, true);
    this.picture.replaceWith(picture);
    this.picture = picture;
    replace(
      this.title,
      h("h1", { tabindex: "-1" }, userText(name)),
      h(
        "p",
        { class: "hint" },
        contactLinks(customer),
        customer.location ? [" · ", KINDS.Location.cell(customer, { name: "location" })] : null,
        ` · `,
        timeElement(t.customer.since(formatMonth(customer.created_at_iso.slice(0, 7))), customer.created_at_iso),
      ),
      this.segments,
      this.externalIds(),
    );
    this.renderSegments();
    for (const editor of this.allEditors) editor.render();
    replace(
      this.identity,
      h(
        "span",
        { class: "hint" },
        `${t.customer.number} ${customer._id} · ${t.customer.id} `,
        h("code", null, customer.id),
      ),
      iconButton("copy", t.customer.copyId, () => copyToClipboard(customer.id)),
      TIMESTAMPS.filter((field) => field.name !== "created_at").map((field) =>
        h("span", { class: "hint" }, `${t.fieldName(field.name)} `, relativeTime(customer, field.name)),
      ),
    );
    this.renderFigures();
    replace(this.orders, ordersView(customer));
    this.renderLeads();
  }

  /** The button that opens the previous or the next customer of the list. */
  neighbourButton(step) {
    const [name, label] = step > 0 ? ["forward", t.customer.next] : ["back", t.customer.previous];
    if (!hasNeighbour(this.customer._id, step)) return null;
    return iconButton(name, label, ({ currentTarget }) => runAction(currentTarget, () => this.openNeighbour(step)));
  }

  async openNeighbour(step) {
    const number = await findNeighbour(this.customer._id, step);
    if (number) await navigate(customerUrl({ _id: number }));
  }

  menu() {
    const act = (close, action) => () => {
      close();
      /** @type {HTMLElement} */ (menu.querySelector("summary")).focus();
      action();
    };
    const menu = menuButton(t.customer.menu, "more", (close) =>
      [
        button(
          [icon("download"), t.customer.exportData],
          act(close, () => runAction(menu, () => saveCustomerData(this.customer))),
        ),
        button(
          [icon("print"), t.customer.print],
          act(close, () => window.print()),
        ),
        this.canWrite
          ? button(
              [icon("trash"), t.delete],
              act(close, () => this.remove(menu)),
              { class: "danger" },
            )
          : null,
      ].filter(Boolean),
    );
    return menu;
  }

  /** Shortcuts. Single characters can be turned off (WCAG 2.2, success criterion 2.1.4). */
  handleKey(event) {
    const isTyping = event.target.closest("input:not([type=checkbox]), textarea, select, dialog");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const isOff = localStorage.getItem("keys") === "off";
    if (event.key === "?") showShortcuts(this.canWrite, t.customer.shortcuts);
    else if (isOff) return;
    else if (event.key === "c" && this.canWrite) this.history.composer.input.focus();
    else if (event.key === "e" && this.canWrite)
      /** @type {HTMLElement} */ (this.profile.querySelector("button.value"))?.click();
    else if (event.key === "j") this.openNeighbour(1).catch(showError);
    else if (event.key === "k") this.openNeighbour(-1).catch(showError);
    else return;
    event.preventDefault();
  }

  /** The external ids, each with a button that copies it, and one that removes it. */
  externalIds() {
    const { external_ids: ids } = this.customer;
    const label = t.fieldName("external_ids");
    return h(
      "div",
      { class: "tags external-ids" },
      h(
        "ul",
        { class: "tags", "aria-label": label, hidden: !ids.length },
        ids.map(({ source, id }) => {
          const text = idText({ source, id });
          return h(
            "li",
            { class: "chip" },
            userText(text, { title: text }),
            iconButton("copy", t.customer.copyExternalId(text), () => copyToClipboard(id)),
            this.canWrite
              ? iconButton("close", t.customer.removeExternalId(text), ({ currentTarget }) =>
                  runAction(currentTarget, () => this.changeExternalIds("remove", { source, id })),
                )
              : null,
          );
        }),
      ),
      this.canWrite
        ? button([icon("add"), t.customer.addExternalId], () => this.openExternalIdDialog(), { class: "plain" })
        : null,
    );
  }

  async openExternalIdDialog() {
    const field = (label, properties) =>
      formField(
        label,
        h("input", { type: "text", dir: "auto", autocomplete: "off", spellcheck: "false", ...properties }),
      );
    const source = field(t.customer.source, { value: "shop" });
    const id = field(t.customer.externalId, { autofocus: true });
    const fields = { externalIds: id, id, source };
    const isAdded = await openFormDialog(t.customer.addExternalId, t.save, [source, id], fields, async () => {
      await this.changeExternalIds("add", { source: source.input.value.trim(), id: id.input.value.trim() });
      return true;
    });
    if (isAdded) this.focusExternalIds();
  }

  async changeExternalIds(action, externalId) {
    await this.change(`${action}ExternalIds(id: $id, externalIds: $values)`, "InputExternalId", [externalId]);
    this.focusExternalIds();
    await this.history.read();
  }

  /** The button that had the focus was replaced. */
  focusExternalIds() {
    this.head.querySelector(".external-ids .plain").focus();
  }

  /** A switch that is saved at once. */
  flagEditor({ name }) {
    const label = checkbox(t.fieldName(name), { role: "switch", disabled: !this.canWrite });
    const { input } = label;
    // The switch is not replaced, so it keeps the focus.
    const render = () => {
      input.checked = this.customer[name];
    };
    input.addEventListener("change", async () => {
      try {
        await withBusy(input, () => this.save({ [name]: input.checked }, this.customer));
        announce(t.saved);
      } catch (error) {
        render();
        if (!(error instanceof ConflictError)) showError(error);
      }
    });
    return { element: h("div", { class: "editable" }, label), render };
  }

  /** Tags that are added and removed at once. */
  tagsEditor({ name }) {
    const element = h("div", { class: "editable wide" });
    let isFolded = true;
    const label = t.fieldName(name);
    const showAll = () => {
      isFolded = false;
      render();
      /** @type {HTMLElement} */ (element.querySelector("button, input"))?.focus();
    };
    const render = () => {
      const tags = /** @type {any} */ (this.customer)[name];
      const previous = element.querySelector("input");
      if (previous?.value) return; // the person is typing
      const isFocused = previous && document.activeElement === previous;
      const input = h("input", {
        type: "text",
        "aria-label": t.tags.add,
        placeholder: t.tags.add,
        dir: "auto",
        autocomplete: "off",
      });
      const field = formField(t.tags.add, input);
      suggestTags(input, () => form.requestSubmit());
      const change = (mutation, changedTags) => this.changeTags(mutation, changedTags, field);
      const form = h(
        "form",
        {
          class: "tag-form",
          onsubmit: async (event) => {
            event.preventDefault();
            const newTags = splitTags(input.value);
            if (newTags.length) await change("addTags", newTags);
          },
        },
        field,
      );
      replace(
        element,
        h("div", { class: "label" }, label),
        tags.length
          ? h(
              "ul",
              { class: "tags", "aria-label": label },
              tags
                .slice(0, isFolded ? SHOWN_TAGS : tags.length)
                .map((tag) =>
                  h(
                    "li",
                    { class: "chip" },
                    userText(tag),
                    this.canWrite ? iconButton("close", t.tags.remove(tag), () => change("removeTags", [tag])) : null,
                  ),
                ),
            )
          : h("p", { class: "empty" }, t.nothing),
        isFolded && tags.length > SHOWN_TAGS
          ? button(t.tags.all(formatNumber(tags.length)), showAll, { class: "plain small" })
          : null,
        this.canWrite ? form : null,
      );
      if (isFocused) input.focus();
    };
    return { element, render };
  }

  async changeTags(mutation, tags, field) {
    try {
      await withBusy(field.input, () => this.change(`${mutation}(items: [$id], tags: $values)`, "String", tags));
      // Text that the person has not added stays.
      const text = mutation === "addTags" ? "" : field.input.value;
      field.input.value = "";
      this.render();
      const input = /** @type {HTMLInputElement | null} */ (this.main.querySelector(".tag-form input"));
      if (input) input.value = text;
      input?.focus();
      await this.history.read();
    } catch (error) {
      showFieldErrors(error, { tags: field }, () => showError(error));
    }
  }

  /** Adds or removes values of a list. The server merges both with other changes. Throws ApiError. */
  async change(mutation, type, values) {
    const { changed } = await runMutation(
      `mutation($id: ID!, $values: [${type}!]!) { changed: ${mutation} { ${SELECTION} } }`,
      { id: this.customer.id, values },
    );
    this.setCustomer([changed].flat()[0]);
    announce(t.saved);
  }

  renderFigures() {
    const { customer } = this;
    const figure = (label, value) => h("div", null, h("dt", null, label), h("dd", null, value));
    replace(
      this.figures,
      h(
        "dl",
        null,
        FIGURES.map(({ kind, name }) =>
          figure(
            t.fieldName(name),
            kind === "Money" ? spendLines(customer, "amount", formatMoney) : countView(customer[name]),
          ),
        ),
        figure(t.figures.average, spendLines(customer, "average", formatMoney)),
        figure(t.figures.visits, countView(customer.summary.visits)),
      ),
    );
  }

  renderLeads() {
    const { leads } = this.customer;
    setAttribute(this.leads, "hidden", !leads.length);
    replace(
      this.leads,
      h("h2", { id: "leads" }, t.leads.title),
      leads.map((lead) =>
        h(
          "article",
          { class: "lead" },
          h("h3", null, lead.subject ? userText(lead.subject) : t.leads.noSubject),
          h("p", { class: "hint" }, relativeTime(lead, "created_at")),
          h("p", { class: "lines" }, userText(lead.message)),
          lead.custom
            ? h(
                "dl",
                { class: "pairs" },
                Object.entries(lead.custom).map(([key, value]) =>
                  h("div", null, h("dt", { class: "hint" }, userText(key)), h("dd", null, formatValue(value))),
                ),
              )
            : null,
        ),
      ),
    );
  }

  /** Shows the watched segments to which the customer belongs. */
  renderSegments() {
    const { segments } = this.customer;
    setAttribute(this.segments, "hidden", !segments.length);
    replace(
      this.segments,
      segments.map((segment) =>
        h("li", null, h("a", { class: "chip", href: segmentUrl(segment) }, icon("segment"), userText(segment.name))),
      ),
    );
  }

  remove(control) {
    const schedule = (trashDays) => {
      const { customer } = this;
      for (const editor of [...this.allEditors, this.history]) editor.discard?.();
      const url = customerUrl(customer);
      // The person is still at the list, and has begun nothing else.
      const onUndo = () => location.pathname === "/customers" && navigate(url);
      scheduleDeletion([customer.id], displayName(customer), trashDays, customer.version, onUndo);
      navigate(lastList.url);
    };
    withBusy(control, readTrashDays).then(schedule, showError);
  }

  /** Checks at intervals whether another person has changed the customer. */
  startPolling() {
    let offlineToast = null;
    const hideToast = () => {
      offlineToast?.close();
      offlineToast = null;
    };
    const timer = setInterval(async () => {
      if (document.hidden) return;
      try {
        await this.poll();
        hideToast();
      } catch (error) {
        if (error instanceof ApiError && error.has(OFFLINE))
          offlineToast ??= toast(t.errors.offlineWatch, { isError: true, isLasting: true });
      }
    }, POLL_MS);
    this.signal.addEventListener("abort", () => {
      clearInterval(timer);
      hideToast();
    });
  }

  async poll() {
    const { id, version } = this.customer;
    const { node } = await runQuery(POLL, { id }, { signal: this.signal, quiet: true });
    if (!node) {
      // Unsaved input stays on the page, where it can be copied.
      if (this.hasUnsavedInput) this.showNotice(t.customer.deletedMeanwhile);
      else showMissingCustomer(this, t.customer.deletedMeanwhile);
      throw new ApiError([{ key: "errors_customer_not_found", message: t.customer.deletedMeanwhile, extensions: {} }]);
    }
    // Segments, which are evaluated some seconds after a change, and comments leave the version as it is.
    if (node.version === version && differ(node.segments, this.customer.segments)) {
      this.customer = { ...this.customer, segments: node.segments };
      this.renderSegments();
    }
    const sequence = node.changes.edges[0]?.node.sequence;
    if (node.version === version && sequence !== this.history.sequence) await this.history.read();
    if (node.version === version || this.customer.version !== version) return;
    const before = this.customer;
    const { node: after } = await runQuery(READ, { id }, { signal: this.signal });
    if (!after || after.version <= this.customer.version) return;
    this.setCustomer(after);
    await this.history.read();
    const names = PAGE_FIELDS.map(({ name }) => name).filter((name) => differ(before[name], after[name]));
    if (isBookChanged(before, after)) names.push("addresses");
    const labels = [...names, ...changedLists(before, after)].map((name) => t.fieldName(name));
    const actor = node.changes.edges[0]?.node.actor.name ?? "";
    this.showNotice(
      t.customer.changedBy,
      " ",
      userText(actor),
      ": ",
      labels.join(t.separators.list) || t.customer.otherThings,
      ".",
    );
  }

  /** Shows the action of another person above the page. */
  showNotice(...content) {
    showContent(
      this.notice,
      icon("history"),
      h("span", null, content),
      iconButton("close", t.close, () => setAttribute(this.notice, "hidden", true)),
    );
  }
}

/** A count, or a grey mark for none. */
const countView = (count) => (count ? formatNumber(count) : noAmount());

const differ = (before, after) => JSON.stringify(before ?? null) !== JSON.stringify(after ?? null);

/** The fields in `node` that others have changed: pairs of a label and the current value. */
function conflictingChanges(before, after, node) {
  const conflicts = [];
  for (const { kind, name } of EDITABLE_FIELDS.filter((field) => field.name in node)) {
    if (!KINDS[kind].hasParts || node[name] === null) {
      if (differ(before[name], after[name])) conflicts.push([t.fieldName(name), after[name]]);
      continue;
    }
    for (const part of Object.keys(node[name])) {
      if (differ(before[name]?.[part], after[name]?.[part])) conflicts.push([part, after[name]?.[part]]);
    }
  }
  return conflicts;
}

/** Links to the phone and the email of a customer. */
function contactLinks({ email, phone, phones }) {
  const { e164 } = phones.find((entry) => entry.default) ?? {};
  const links = [phone ? phoneLink(phone, e164) : null, email ? emailLink(email) : null].filter(Boolean);
  return links.length ? links.flatMap((link, index) => (index ? [" · ", link] : [link])) : t.customer.noEmail;
}
