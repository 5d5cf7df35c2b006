// A page of customers, as a table; on a narrow screen as cards.

import { h, said } from "./dom.js";
import { ago, amount, avatar, nameOf, number } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";

const TAGS = 2;
// The columns: their name, and the order by which the API knows them.
const COLUMNS = [
  ["name", "full_name"],
  ["location", null],
  ["tags", null],
  ["orders", "orders_count"],
  ["spend", "expenses"],
  ["changed", "updated_at"],
];

/** The address of a customer's page. */
export const addressOf = (customer) => `/customers/${customer._id}`;

/**
 * The table of `customers`, sorted by `order` (`by`, and whether `ascending`); `sort(by)` is called
 * for another order, `selection` says who is chosen, `chosen()` is called when that changes.
 */
export function table(customers, { order, sort, selection, chosen }) {
  const all = h("input", {
    type: "checkbox", "aria-label": t.list.choosePage, checked: customers.length > 0 && customers.every((one) => selection.has(one.id)),
    onchange: (event) => {
      for (const one of customers) selection.set(one.id, event.target.checked);
      chosen();
    },
  });
  return h("table", { class: "customers", role: "table", "aria-label": t.nav.customers },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      h("th", { scope: "col", class: "choose", role: "columnheader" }, all),
      COLUMNS.map(([name, by]) => heading(name, by, order, sort)))),
    h("tbody", { role: "rowgroup" }, customers.map((one) => row(one, selection, chosen))));
}

function heading(name, by, order, sort) {
  const here = by !== null && order.by === by;
  const direction = order.ascending ? "ascending" : "descending";
  const label = t.list.columns[name];
  return h("th", { scope: "col", class: name === "tags" ? "tags-cell" : name, role: "columnheader", "aria-sort": here ? direction : null },
    by === null ? label : h("button", { type: "button", class: "sort", onclick: () => sort(by) }, label,
      here ? icon(order.ascending ? "up" : "down") : null));
}

function row(customer, selection, chosen) {
  const box = h("input", {
    type: "checkbox", "aria-label": t.list.choose(nameOf(customer)), checked: selection.has(customer.id),
    onchange: () => { selection.set(customer.id, box.checked); chosen(); },
  });
  const cell = (name, ...content) => h("td", { class: name, role: "cell" }, content);
  const made = h("tr", { role: "row", class: box.checked ? "chosen" : null, "data-id": customer.id },
    cell("choose", box),
    cell("name", h("div", { class: "person" }, avatar(customer),
      h("div", null,
        h("a", { href: addressOf(customer), class: "row-link", title: nameOf(customer) }, said(nameOf(customer))),
        customer.full_name ? said(customer.email, { class: "email" }) : null))),
    cell("location", said(customer.location ?? "")),
    cell("tags-cell", tags(customer.tags)),
    cell("orders", number(customer.orders_count), h("span", { class: "narrow-only" }, ` ${t.list.ordersUnit(customer.orders_count)}`)),
    cell("spend", amount(customer.expenses)),
    cell("changed", ago(customer.updated_at, customer.changed)));
  // The whole row leads there, for the mouse.
  made.addEventListener("click", (event) => {
    if (event.target.closest("a, input, label, button") || getSelection().toString()) return;
    if (event.target.closest(".choose")) box.click();
    else made.querySelector(".row-link").click();
  });
  return made;
}

function tags(all) {
  const more = all.length - TAGS;
  return h("div", { class: "tags" },
    all.slice(0, TAGS).map((tag) => said(tag, { class: "chip", title: tag })),
    more > 0 ? h("span", { class: "hint", title: all.slice(TAGS).join(", ") }, t.list.moreTags(more)) : null);
}

/** Grey bars where a table will be. */
export function skeleton(rows) {
  return h("div", { class: "skeleton", "aria-hidden": "true" }, Array.from({ length: rows }, () => h("div")));
}
