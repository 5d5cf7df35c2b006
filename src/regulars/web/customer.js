// A customer: all fields, edited in place, and the orders, messages and history.

import { ApiError, getViewer, globalId, OFFLINE, runMutation, runQuery } from "./api.js";
import { barChart } from "./chart.js";
import { h, replace, setAttribute, userText } from "./dom.js";
import { ALL_FIELDS, EDITABLE_FIELDS, FIGURES, TIMESTAMPS } from "./fields.js";
import { avatar, displayName, formatAmount, formatCompact, formatMoney, formatMonth, formatNumber, formatValue, relativeTime } from "./format.js";
import { icon } from "./icons.js";
import { ConflictError, InlineField } from "./inline-edit.js";
import { checkValues, KINDS, splitTags } from "./kinds.js";
import { navigate } from "./navigation.js";
import { announce } from "./progress.js";
import { isDeleted, scheduleDeletion } from "./selection.js";
import { t } from "./texts.js";
import { timeline } from "./timeline.js";
import { button, checkbox, copyToClipboard, emptyState, formField, iconButton, showError, showFieldErrors, toast, withBusy } from "./ui.js";

const POLL_MS = 4000;
const SHOWN_ORDERS = 10;
const MAX_ORDERS = 250; // as FIELDS requests them
const CHART_MONTHS = 12;
const SECTIONS = ["profile", "addresses", "more"];
const SELECTION = `id _id ${ALL_FIELDS}
  leads(first: 250) { id subject message custom created_at created_at_iso: created_at(format: "ISO") }
  summary { visits orders { list(first: 250) { referrer order { id name total refunded_amount net_payment currency
    financial_status fulfillment_status test tags cancelled_at created_at created_at_iso: created_at(format: "ISO") } } } }`;
const READ = `query($id: ID!) { node(id: $id) { ... on Customer { ${SELECTION} } } }`;
const POLL = "query($id: ID!) { node(id: $id) { ... on Customer { version changes(first: 1) { edges { node { actor { name } } } } } } }";
const UPDATE = `mutation($id: ID!, $node: InputUpdateCustomer!, $version: Int) {
  updateCustomer(id: $id, node: $node, ifVersion: $version) { ${SELECTION} } }`;

export async function show({ main, signal, params, setTitle }) {
  const id = globalId("Customer", params.number);
  const [{ node }, { scopes }] = await Promise.all([runQuery(READ, { id }, { signal }), getViewer()]);
  if (!node || isDeleted(id)) {
    showMissing(main, setTitle, t.customer.missing, t.customer.missingText);
    return {};
  }
  const page = new CustomerPage(main, setTitle, node, scopes.includes("customers:write"), signal);
  await page.history.read();
  page.startPolling();
  return { hasUnsavedInput: () => page.hasUnsavedInput };
}

function showMissing(main, setTitle, heading, text) {
  setTitle(heading);
  replace(main, h("h1", { class: "unseen", tabindex: "-1" }, heading),
    emptyState("customers", heading, text, h("a", { class: "button primary", href: "/customers" }, t.customer.toList)));
}

class CustomerPage {
  constructor(main, setTitle, customer, canWrite, signal) {
    Object.assign(this, { main, setTitle, customer, canWrite, signal });
    this.history = timeline(customer.id);
    this.notice = h("div", { class: "notice", role: "status", hidden: true });
    this.head = h("div", { class: "customer-head" });
    this.figures = h("section", { class: "card figures", "aria-label": t.customer.figures });
    this.orders = h("section", { class: "card", "aria-labelledby": "orders" });
    this.leads = h("section", { class: "card", "aria-labelledby": "leads" });
    this.identity = h("div", { class: "identity" });
    this.editors = EDITABLE_FIELDS.map((field) => this.editorOf(field));
    const sections = SECTIONS.map((name) => {
      const elements = EDITABLE_FIELDS.flatMap((field, index) => (KINDS[field.kind].section === name ? [this.editors[index].element] : []));
      return h("section", { class: "card", "aria-labelledby": name }, h("h2", { id: name }, t.customer[name]),
        name === "more" ? [elements, this.identity] : h("div", { class: "editables" }, elements));
    });
    replace(main, this.head, this.notice,
      h("div", { class: "columns" }, h("div", null, sections), h("div", null, this.figures, this.orders, this.leads, this.history.element)));
    this.render();
  }

  /** The element of a field, and `render()`, which shows the current value in it. */
  editorOf(field) {
    if (field.kind === "Flag") return this.flagEditor(field);
    if (field.kind === "Tags") return this.tagsEditor(field);
    return new InlineField(field, {
      getCustomer: () => this.customer, canWrite: this.canWrite, save: (node, base, isForced) => this.save(node, base, isForced),
    });
  }

  get hasUnsavedInput() {
    return this.editors.some((editor) => editor.hasUnsavedInput);
  }

  /**
   * Saves a change over `base`, the customer when the person began it. Changes that others have made
   * since then are kept. One of the same field is a ConflictError, unless the change `isForced`.
   */
  async save(node, base, isForced = false) {
    checkValues(node);
    for (;;) {
      const conflicts = isForced ? [] : conflictingChanges(base, this.customer, node);
      if (conflicts.length) throw new ConflictError(conflicts);
      try {
        const { updateCustomer } = await runMutation(UPDATE, { id: this.customer.id, node, version: this.customer.version });
        this.setCustomer(updateCustomer);
        await this.history.read();
        return;
      } catch (error) {
        if (!(error instanceof ApiError && error.has("errors_version_conflict"))) throw error;
        await this.poll();
      }
    }
  }

  setCustomer(customer) {
    this.customer = customer;
    this.render();
  }

  render() {
    const { customer } = this;
    const name = displayName(customer);
    const time = (field) => relativeTime(customer[field], customer[`${field}_iso`]);
    this.setTitle(name);
    replace(this.head,
      h("a", { class: "icon-button", href: "/customers", "aria-label": t.customer.toList, title: t.customer.toList }, icon("back")),
      avatar(customer, true),
      h("div", { class: "grow" },
        h("h1", { tabindex: "-1" }, userText(name)),
        h("p", { class: "hint" }, h("a", { href: `mailto:${customer.email}` }, userText(customer.email)),
          customer.location ? [" · ", userText(customer.location)] : null, ` · ${t.customer.since} `, time("created_at"))),
      this.canWrite ? button([icon("trash"), t.delete], () => this.remove(), { class: "danger" }) : null);
    for (const editor of this.editors) editor.render();
    replace(this.identity, h("span", { class: "hint" }, `_id ${customer._id} · id `, h("code", null, customer.id)),
      iconButton("copy", t.customer.copyId, () => copyToClipboard(customer.id)),
      TIMESTAMPS.filter((field) => field.name !== "created_at").map((field) => h("span", { class: "hint" }, `${t.fieldName(field.name)} `, time(field.name))));
    this.renderFigures();
    this.renderOrders();
    this.renderLeads();
  }

  /** A switch that is saved at once. */
  flagEditor({ name }) {
    const element = h("div", { class: "editable" });
    const render = () => {
      const label = checkbox(t.fieldName(name), { role: "switch", checked: this.customer[name], disabled: !this.canWrite });
      const { input } = label;
      input.addEventListener("change", async () => {
        try {
          await withBusy(input, () => this.save({ [name]: input.checked }, this.customer));
          announce(t.saved);
        } catch (error) {
          input.checked = !input.checked;
          if (error instanceof ConflictError) this.render();
          else showError(error);
        }
      });
      replace(element, label);
    };
    return { element, render };
  }

  /** Tags that are added and removed at once. */
  tagsEditor({ name }) {
    const element = h("div", { class: "editable" });
    const label = t.fieldName(name);
    const render = () => {
      const tags = this.customer[name];
      const previous = element.querySelector("input");
      if (previous?.value) return;  // the person is typing
      const isFocused = previous && document.activeElement === previous;
      const input = h("input", { type: "text", "aria-label": t.tags.add, placeholder: t.tags.add, dir: "auto", autocomplete: "off" });
      const field = formField(t.tags.add, input);
      const change = (mutation, changed) => this.changeTags(mutation, changed, field);
      const form = h("form", {
        class: "tag-form",
        onsubmit: async (event) => {
          event.preventDefault();
          const added = splitTags(input.value);
          if (added.length) await change("addTags", added);
        },
      }, field);
      replace(element,
        h("div", { class: "label" }, label),
        tags.length ? h("ul", { class: "tags", "aria-label": label }, tags.map((tag) => h("li", { class: "chip" }, userText(tag),
          this.canWrite ? iconButton("close", t.tags.remove(tag), () => change("removeTags", [tag])) : null))) : h("p", { class: "empty" }, t.nothing),
        this.canWrite ? form : null);
      if (isFocused) input.focus();
    };
    return { element, render };
  }

  /** Adds or removes tags. Both merge with what others do. */
  async changeTags(mutation, tags, field) {
    try {
      const data = await withBusy(field.input, () => runMutation(`mutation($items: [ID!]!, $tags: [String!]!) {
        ${mutation}(items: $items, tags: $tags) { ${SELECTION} } }`, { items: [this.customer.id], tags }));
      field.input.value = "";
      this.setCustomer(data[mutation][0]);
      this.main.querySelector(".tag-form input")?.focus();
      announce(t.saved);
      await this.history.read();
    } catch (error) {
      showFieldErrors(error, { tags: field }, () => showError(error));
    }
  }

  renderFigures() {
    const { customer } = this;
    const figure = (label, value) => h("div", null, h("dt", null, label), h("dd", null, value));
    replace(this.figures, h("dl", null,
      FIGURES.map(({ kind, name }) => figure(t.fieldName(name), KINDS[kind].view(customer[name]))),
      figure(t.figures.average, customer.orders_count ? formatAmount(customer.expenses / customer.orders_count) : "–"),
      figure(t.figures.visits, formatNumber(customer.summary.visits))));
  }

  renderOrders() {
    const orders = this.customer.summary.orders.list;
    const body = h("tbody", null, orders.slice(0, SHOWN_ORDERS).map(orderRow));
    const more = orders.length > SHOWN_ORDERS ? button((orders.length < MAX_ORDERS ? t.orders.all : t.orders.newest)(formatNumber(orders.length)), () => {
      replace(body, orders.map(orderRow));
      more.remove();
    }, { class: "plain" }) : null;
    replace(this.orders, h("h2", { id: "orders" }, t.orders.title),
      orders.length ? [spendChart(orders), h("div", { class: "table-wrap", tabindex: "0", role: "group", "aria-labelledby": "orders" },
        h("table", { class: "plain-table stack" },
          h("thead", null, h("tr", null, t.orders.columns.map((label, index, all) => h("th", { scope: "col", class: index === all.length - 1 ? "number" : null }, label)))), body)), more]
        : h("p", { class: "empty" }, t.orders.none));
  }

  renderLeads() {
    const { leads } = this.customer;
    setAttribute(this.leads, "hidden", !leads.length);
    replace(this.leads, h("h2", { id: "leads" }, t.leads.title),
      leads.map((lead) => h("article", { class: "lead" },
        h("h3", null, lead.subject ? userText(lead.subject) : t.leads.noSubject), h("p", { class: "hint" }, relativeTime(lead.created_at, lead.created_at_iso)),
        h("p", { class: "lines" }, userText(lead.message)),
        lead.custom ? h("dl", { class: "pairs" }, Object.entries(lead.custom).map(([key, value]) => h("div", null, h("dt", { class: "hint" }, userText(key)), h("dd", null, formatValue(value))))) : null)));
  }

  remove() {
    const { customer } = this;
    for (const editor of this.editors) editor.discard?.();
    scheduleDeletion([customer.id], t.customer.deleted(displayName(customer)), customer.version);
    navigate("/customers");
  }

  /** Checks at intervals whether another person has changed the customer. */
  startPolling() {
    let offlineToast = null;
    const hideToast = () => { offlineToast?.close(); offlineToast = null; };
    const timer = setInterval(async () => {
      if (document.hidden) return;
      try {
        await this.poll();
        hideToast();
      } catch (error) {
        if (error instanceof ApiError && error.has(OFFLINE)) offlineToast ??= toast(t.errors.offlineWatch, { isError: true, isLasting: true });
      }
    }, POLL_MS);
    this.signal.addEventListener("abort", () => { clearInterval(timer); hideToast(); });
  }

  async poll() {
    const { id, version } = this.customer;
    const { node } = await runQuery(POLL, { id }, { signal: this.signal, quiet: true });
    if (!node) {
      // Unsaved input stays on the page, where it can be copied.
      if (this.hasUnsavedInput) this.showNotice(t.customer.deletedMeanwhile);
      else showMissing(this.main, this.setTitle, t.customer.missing, t.customer.deletedMeanwhile);
      throw new ApiError([{ key: "errors_customer_not_found", message: t.customer.deletedMeanwhile, extensions: {} }]);
    }
    if (node.version === version || this.customer.version !== version) return;
    const before = this.customer;
    const { node: after } = await runQuery(READ, { id }, { signal: this.signal });
    if (!after || after.version <= this.customer.version) return;
    this.setCustomer(after);
    await this.history.read();
    const labels = EDITABLE_FIELDS.filter(({ name }) => differ(before[name], after[name])).map(({ name }) => t.fieldName(name));
    const actor = node.changes.edges[0]?.node.actor.name ?? "";
    this.showNotice(t.customer.changedBy, " ", userText(actor), ": ", labels.join(", ") || t.customer.otherThings, ".");
  }

  /** Shows above the page what another person has done. */
  showNotice(...content) {
    setAttribute(this.notice, "hidden", null);
    replace(this.notice, icon("history"), h("span", null, content), iconButton("close", t.close, () => setAttribute(this.notice, "hidden", true)));
  }
}

const differ = (before, after) => JSON.stringify(before ?? null) !== JSON.stringify(after ?? null);

/** What others have changed of the fields in `node`: pairs of a label and the current value. */
function conflictingChanges(before, after, node) {
  const conflicts = [];
  for (const { kind, name } of EDITABLE_FIELDS.filter((field) => field.name in node)) {
    if (!KINDS[kind].hasParts || node[name] === null) {
      if (differ(before[name], after[name])) conflicts.push([t.fieldName(name), after[name]]);
      continue;
    }
    for (const part of Object.keys(node[name])) {
      if (differ(before[name]?.[part], after[name]?.[part])) conflicts.push([kind === "Address" ? t.address[part] : part, after[name]?.[part]]);
    }
  }
  return conflicts;
}

function orderRow({ order, referrer }) {
  const states = [t.orders.financial[order.financial_status], t.orders.fulfillment[order.fulfillment_status]];
  const cell = (index, ...content) => h("td", { "data-label": t.orders.columns[index] }, content);
  return h("tr", null,
    h("th", { scope: "row" }, userText(order.name), order.test ? h("span", { class: "chip" }, t.orders.test) : null,
      order.cancelled_at ? h("span", { class: "chip wrong" }, t.orders.cancelled) : null,
      order.tags.length ? h("div", { class: "hint" }, userText(order.tags.join(", "))) : null),
    cell(1, relativeTime(order.created_at, order.created_at_iso), referrer ? h("div", { class: "hint" }, userText(referrer)) : null),
    cell(2, states.join(" · ")),
    h("td", { class: "number", "data-label": t.orders.columns[3] }, formatMoney(order.total, order.currency),
      order.refunded_amount ? h("div", { class: "hint" }, t.orders.refunded(formatMoney(order.refunded_amount, order.currency))) : null));
}

/** The chart of the spend in the last twelve months with orders, in the most frequent currency. */
function spendChart(entries) {
  const orders = entries.map(({ order }) => order).filter((order) => !order.test && !order.cancelled_at);
  if (!orders.length) return null;
  const count = (currency) => orders.filter((order) => order.currency === currency).length;
  const { currency } = orders.toSorted((left, right) => count(right.currency) - count(left.currency))[0];
  const last = new Date(orders.map((order) => order.created_at_iso).toSorted().at(-1));
  const months = Array.from({ length: CHART_MONTHS }, (_, index) =>
    new Date(Date.UTC(last.getUTCFullYear(), last.getUTCMonth() - CHART_MONTHS + 1 + index, 1)).toISOString().slice(0, 7));
  const sums = Object.fromEntries(months.map((month) => [month, 0]));
  for (const order of orders) {
    const month = order.created_at_iso.slice(0, 7);
    if (order.currency === currency && month in sums) sums[month] += order.net_payment;
  }
  const rows = months.map((month) => {
    const label = formatMonth(month);
    const shown = formatMoney(sums[month], currency);
    return { label, value: sums[month], shown, title: `${label}: ${shown}` };
  });
  return barChart(t.orders.byMonth(currency), rows, { headings: [t.chart.month, t.chart.spend], tick: formatCompact });
}
