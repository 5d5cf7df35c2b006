// A customer: everything that the API knows, edited in place.

import { ask, change, Failure, globalId, OFFLINE, viewer } from "./api.js";
import { announce } from "./busy.js";
import { bars } from "./chart.js";
import { h, replace, said, set } from "./dom.js";
import { addressField, checkCustom, Conflict, customField, Editable, textField } from "./edit.js";
import { ago, amount, avatar, compact, money, month, nameOf, number, shown } from "./format.js";
import { icon } from "./icons.js";
import { deleteSoon, isGone } from "./selection.js";
import { go } from "./shell.js";
import { t } from "./texts.js";
import { timeline } from "./timeline.js";
import { button, complain, copy, during, emptyState, field, iconButton, showProblems, toast } from "./ui.js";

const LOOK_MS = 4000;
const ORDERS = 10;
const MONTHS = 12;
const ADDRESS = "{ line1 line2 city area country first_name last_name zip state email phone }";
const FIELDS = `id _id version email phone first_name last_name full_name avatar location accepts_marketing
  notes custom tags expenses orders_count created_at created: created_at(format: "ISO")
  updated_at changed: updated_at(format: "ISO") shipping_address ${ADDRESS} billing_address ${ADDRESS}
  leads { id subject message custom created_at created: created_at(format: "ISO") }
  summary { visits orders { list { referrer order { id name total refunded_amount net_payment currency
    financial_status fulfillment_status test tags cancelled_at created_at created: created_at(format: "ISO") } } } }`;
const READ = `query($id: ID!) { node(id: $id) { ... on Customer { ${FIELDS} } } }`;
const LOOK = "query($id: ID!) { node(id: $id) { ... on Customer { version changes(first: 1) { edges { node { actor { name } } } } } } }";
const UPDATE = `mutation($id: ID!, $node: InputUpdateCustomer!, $version: Int) {
  updateCustomer(id: $id, node: $node, ifVersion: $version) { ${FIELDS} } }`;

export async function show({ main, signal, params, title }) {
  const id = globalId("Customer", params.number);
  const [{ node }, { scopes }] = await Promise.all([ask(READ, { id }, { signal }), viewer()]);
  if (!node || isGone(id)) {
    missing(main, title, t.customer.missing, t.customer.missingText);
    return {};
  }
  const page = new CustomerPage(main, title, node, scopes.includes("customers:write"), signal);
  await page.history.read();
  page.watch(signal);
  return { unsaved: () => page.unsaved };
}

function missing(main, title, heading, text) {
  title(heading);
  replace(main, h("h1", { class: "unseen", tabindex: "-1" }, heading),
    emptyState("customers", heading, text, h("a", { class: "button primary", href: "/customers" }, t.customer.toList)));
}

class CustomerPage {
  constructor(main, title, customer, writes, signal) {
    Object.assign(this, { main, title, customer, writes, signal });
    this.history = timeline(customer.id);
    this.notice = h("div", { class: "notice", role: "status", hidden: true });
    this.head = h("div", { class: "customer-head" });
    this.figures = h("section", { class: "card figures", "aria-label": t.customer.figures });
    this.orders = h("section", { class: "card", "aria-labelledby": "orders" });
    this.leads = h("section", { class: "card", "aria-labelledby": "leads" });
    this.tags = h("div", { class: "editable" });
    this.identity = h("div", { class: "identity" });
    this.consent = h("div", { class: "editable" });
    const now = () => this.customer;
    this.editables = [
      textField("first_name", t.fields.first_name, now),
      textField("last_name", t.fields.last_name, now),
      textField("email", t.fields.email, now, { type: "email" }),
      textField("phone", t.fields.phone, now, { type: "tel" }),
      addressField("shipping_address", t.fields.shipping_address, now),
      addressField("billing_address", t.fields.billing_address, now),
      { ...textField("notes", t.fields.notes, now, { lines: true }), wide: true },
      customField(now),
    ].map((given) => this.editable(given));
    const [first, last, email, phone, shipping, billing, notes, custom] = this.editables.map((one) => one.element);
    replace(main, this.head, this.notice,
      h("div", { class: "columns" },
        h("div", null,
          h("section", { class: "card", "aria-labelledby": "profile" }, h("h2", { id: "profile" }, t.customer.profile),
            h("div", { class: "editables" }, first, last, email, phone, this.consent, this.tags)),
          h("section", { class: "card", "aria-labelledby": "addresses" }, h("h2", { id: "addresses" }, t.customer.addresses),
            h("div", { class: "editables" }, shipping, billing)),
          h("section", { class: "card", "aria-labelledby": "more" }, h("h2", { id: "more" }, t.customer.more), notes, custom, this.identity)),
        h("div", null, this.figures, this.orders, this.leads, this.history.element)));
    this.render();
  }

  /** An editable that remembers the customer as it was when it was opened. */
  editable(given) {
    let base = null;
    return new Editable({
      ...given,
      writes: this.writes,
      begin: () => { base = this.customer; },
      save: (node, force) => this.save(node, base, force),
    });
  }

  get unsaved() {
    return this.editables.some((one) => one.unsaved);
  }

  /**
   * Saves what was typed over `base`, the customer as it was when that was begun. What others have
   * changed since then stays; where it is the same field, it is a Conflict, unless `force`.
   */
  async save(node, base, force = false) {
    checkCustom(node.custom);
    for (;;) {
      const theirs = force ? [] : meanwhile(base, this.customer, node);
      if (theirs.length) throw new Conflict(theirs);
      try {
        const { updateCustomer } = await change(UPDATE, { id: this.customer.id, node, version: this.customer.version });
        this.take(updateCustomer);
        await this.history.read();
        return;
      } catch (failure) {
        if (!(failure instanceof Failure && failure.has("errors_version_conflict"))) throw failure;
        await this.look();
      }
    }
  }

  take(customer) {
    this.customer = customer;
    this.render();
  }

  render() {
    const { customer } = this;
    this.title(nameOf(customer));
    replace(this.head,
      h("a", { class: "icon-button", href: "/customers", "aria-label": t.customer.toList, title: t.customer.toList }, icon("back")),
      avatar(customer, true),
      h("div", { class: "grow" },
        h("h1", { tabindex: "-1" }, said(nameOf(customer))),
        h("p", { class: "hint" }, h("a", { href: `mailto:${customer.email}` }, said(customer.email)),
          customer.location ? [" · ", said(customer.location)] : null, ` · ${t.customer.since} `, ago(customer.created_at, customer.created))),
      this.writes ? button([icon("trash"), t.delete], () => this.remove(), { class: "danger" }) : null);
    for (const one of this.editables) one.render();
    replace(this.identity, h("span", { class: "hint" }, `_id ${customer._id} · id `, h("code", null, customer.id)),
      iconButton("copy", t.customer.copyId, () => copy(customer.id)),
      h("span", { class: "hint" }, `${t.list.columns.changed} `, ago(customer.updated_at, customer.changed)));
    this.renderConsent();
    this.renderTags();
    this.renderFigures();
    this.renderOrders();
    this.renderLeads();
  }

  renderConsent() {
    const box = h("input", {
      type: "checkbox", role: "switch", checked: this.customer.accepts_marketing, disabled: !this.writes,
      onchange: async () => {
        try {
          await during(box, () => this.save({ accepts_marketing: box.checked }, this.customer));
          announce(t.saved);
        } catch (failure) {
          box.checked = !box.checked;
          if (failure instanceof Conflict) this.render();
          else complain(failure);
        }
      },
    });
    replace(this.consent, h("label", { class: "check" }, box, h("span", null, t.fields.accepts_marketing)));
  }

  renderTags() {
    const { tags } = this.customer;
    const typed = this.tags.querySelector("input");
    if (typed?.value) return;  // somebody is typing one
    const focused = document.activeElement === typed;
    const input = h("input", { type: "text", "aria-label": t.tags.add, placeholder: t.tags.add, dir: "auto", autocomplete: "off" });
    const labelled = field(t.tags.add, input);
    const form = h("form", {
      class: "tag-form",
      onsubmit: async (event) => {
        event.preventDefault();
        const given = input.value.split(",").map((one) => one.trim()).filter(Boolean);
        if (given.length) await this.changeTags("addTags", given, labelled);
      },
    }, labelled);
    replace(this.tags,
      h("div", { class: "label" }, t.fields.tags),
      tags.length ? h("ul", { class: "tags", "aria-label": t.fields.tags }, tags.map((tag) => h("li", { class: "chip" }, said(tag),
        this.writes ? iconButton("close", t.tags.remove(tag), () => this.changeTags("removeTags", [tag], labelled)) : null))) : h("p", { class: "empty" }, t.nothing),
      this.writes ? form : null);
    if (focused) input.focus();
  }

  /** Adds or removes tags: that goes together with whatever others do. */
  async changeTags(mutation, tags, labelled) {
    try {
      const found = await during(labelled.input, () => change(`mutation($items: [ID!]!, $tags: [String!]!) {
        ${mutation}(items: $items, tags: $tags) { ${FIELDS} } }`, { items: [this.customer.id], tags }));
      labelled.input.value = "";
      this.take(found[mutation][0]);
      this.tags.querySelector("input")?.focus();
      announce(t.saved);
      await this.history.read();
    } catch (failure) {
      showProblems(failure, { tags: labelled }, () => complain(failure));
    }
  }

  renderFigures() {
    const { expenses, orders_count: orders, summary } = this.customer;
    const figure = (label, value) => h("div", null, h("dt", null, label), h("dd", null, value));
    replace(this.figures, h("dl", null,
      figure(t.figures.spend, amount(expenses)), figure(t.figures.orders, number(orders)),
      figure(t.figures.average, orders ? amount(expenses / orders) : "–"), figure(t.figures.visits, number(summary.visits))));
  }

  renderOrders() {
    const all = this.customer.summary.orders.list;
    const rest = all.length - ORDERS;
    const body = h("tbody", null, all.slice(0, ORDERS).map(orderRow));
    const more = rest > 0 ? button(t.orders.all(number(all.length)), () => {
      replace(body, all.map(orderRow));
      more.remove();
    }, { class: "plain" }) : null;
    replace(this.orders, h("h2", { id: "orders" }, t.orders.title),
      all.length ? [spend(all), h("div", { class: "table-wrap", tabindex: "0", role: "group", "aria-labelledby": "orders" },
        h("table", { class: "plain-table stack" },
          h("thead", null, h("tr", null, t.orders.columns.map((one, place, all) => h("th", { scope: "col", class: place === all.length - 1 ? "number" : null }, one)))), body)), more]
        : h("p", { class: "empty" }, t.orders.none));
  }

  renderLeads() {
    const { leads } = this.customer;
    set(this.leads, "hidden", !leads.length);
    replace(this.leads, h("h2", { id: "leads" }, t.leads.title),
      leads.map((lead) => h("article", { class: "lead" },
        h("h3", null, lead.subject ? said(lead.subject) : t.leads.noSubject), h("p", { class: "hint" }, ago(lead.created_at, lead.created)),
        h("p", { class: "lines" }, said(lead.message)),
      lead.custom ? h("dl", { class: "pairs" }, Object.entries(lead.custom).map(([key, value]) => h("div", null, h("dt", { class: "hint" }, said(key)), h("dd", null, shown(value))))) : null)));
  }

  remove() {
    const { customer } = this;
    this.editables.forEach((one) => { one.open = null; });
    deleteSoon([customer.id], t.customer.deleted(nameOf(customer)), customer.version);
    go("/customers");
  }

  /** Looks, now and then, whether somebody else has changed the customer. */
  watch(signal) {
    let offline = null;
    const timer = setInterval(async () => {
      if (document.hidden) return;
      try {
        await this.look();
        offline?.gone();
        offline = null;
      } catch (failure) {
        if (failure instanceof Failure && failure.has(OFFLINE)) offline ??= toast(t.errors.offlineWatch, { wrong: true, lasting: true });
      }
    }, LOOK_MS);
    signal.addEventListener("abort", () => { clearInterval(timer); offline?.gone(); });
  }

  async look() {
    const { id, version } = this.customer;
    const { node } = await ask(LOOK, { id }, { signal: this.signal, quiet: true });
    if (!node) {
      // What is typed can still be copied.
      if (this.unsaved) this.tell(t.customer.deletedMeanwhile);
      else missing(this.main, this.title, t.customer.missing, t.customer.deletedMeanwhile);
      throw new Failure([{ key: "errors_customer_not_found", message: t.customer.deletedMeanwhile, extensions: {} }]);
    }
    if (node.version === version || this.customer.version !== version) return;
    const before = this.customer;
    const read = (await ask(READ, { id }, { signal: this.signal })).node;
    if (!read || read.version <= this.customer.version) return;
    this.take(read);
    await this.history.read();
    const names = Object.keys(t.fields).filter((name) => JSON.stringify(before[name]) !== JSON.stringify(read[name]));
    const who = node.changes.edges[0]?.node.actor.name ?? "";
    this.tell(t.customer.changedBy, " ", said(who), ": ", names.map((name) => t.fields[name]).join(", ") || t.customer.otherThings, ".");
  }

  /** Says above the page what somebody else has done. */
  tell(...words) {
    set(this.notice, "hidden", null);
    replace(this.notice, icon("history"), h("span", null, words), iconButton("close", t.close, () => set(this.notice, "hidden", true)));
  }
}

/** What of the fields to be saved others have changed between two states: pairs of a name and a value. */
function meanwhile(before, now, node) {
  const differ = (one, other) => JSON.stringify(one ?? null) !== JSON.stringify(other ?? null);
  const found = [];
  for (const [name, value] of Object.entries(node)) {
    const parts = ["shipping_address", "billing_address", "custom"].includes(name) && value !== null;
    if (!parts) {
      if (differ(before[name], now[name])) found.push([t.fields[name] ?? name, now[name]]);
      continue;
    }
    for (const part of Object.keys(value)) {
      if (differ(before[name]?.[part], now[name]?.[part])) found.push([t.address[part] ?? part, now[name]?.[part]]);
    }
  }
  return found;
}

function orderRow({ order, referrer }) {
  const states = [t.orders.financial[order.financial_status], t.orders.fulfillment[order.fulfillment_status]];
  const cell = (place, ...content) => h("td", { "data-label": t.orders.columns[place] }, content);
  return h("tr", null,
    h("th", { scope: "row" }, said(order.name), order.test ? h("span", { class: "chip" }, t.orders.test) : null,
      order.cancelled_at ? h("span", { class: "chip wrong" }, t.orders.cancelled) : null,
      order.tags.length ? h("div", { class: "hint" }, said(order.tags.join(", "))) : null),
    cell(1, ago(order.created_at, order.created), referrer ? h("div", { class: "hint" }, said(referrer)) : null),
    cell(2, states.join(" · ")),
    h("td", { class: "number", "data-label": t.orders.columns[3] }, money(order.total, order.currency),
      order.refunded_amount ? h("div", { class: "hint" }, t.orders.refunded(money(order.refunded_amount, order.currency))) : null));
}

/** The spend of the last twelve months with orders, in the currency of most orders. */
function spend(all) {
  const counting = all.map(({ order }) => order).filter((order) => !order.test && !order.cancelled_at);
  if (!counting.length) return null;
  const currencies = counting.map((order) => order.currency);
  const count = (currency) => currencies.filter((one) => one === currency).length;
  const currency = currencies.toSorted((one, two) => count(two) - count(one))[0];
  const last = new Date(counting.map((order) => order.created).toSorted().at(-1));
  const keys = Array.from({ length: MONTHS }, (_, place) =>
    new Date(Date.UTC(last.getUTCFullYear(), last.getUTCMonth() - MONTHS + 1 + place, 1)).toISOString().slice(0, 7));
  const sums = Object.fromEntries(keys.map((key) => [key, 0]));
  for (const order of counting) {
    const key = order.created.slice(0, 7);
    if (order.currency === currency && key in sums) sums[key] += order.net_payment;
  }
  const rows = keys.map((key) => ({ label: month(key), value: sums[key], shown: money(sums[key], currency), title: `${month(key)}: ${money(sums[key], currency)}` }));
  return bars(t.orders.byMonth(currency), rows, { headings: [t.chart.month, t.chart.spend], tick: compact });
}
