// The table of customers; on a narrow screen it looks like cards.

import { h } from "./dom.js";
import { COLUMNS } from "./fields.js";
import { displayName } from "./format.js";
import { icon } from "./icons.js";
import { KINDS } from "./kinds.js";
import { t } from "./texts.js";

/**
 * The table of `customers`. `order` has the `sortKey`, and whether it `isAscending`; `sort(key)` is
 * called for another one. `selection` has the selected customers; `onSelect()` is called after a change.
 */
export function customerTable(customers, { order, sort, selection, onSelect }) {
  const all = h("input", {
    type: "checkbox", "aria-label": t.list.choosePage, checked: customers.length > 0 && customers.every(({ id }) => selection.has(id)),
    onchange: (event) => {
      for (const { id } of customers) selection.set(id, event.target.checked);
      onSelect();
    },
  });
  return h("table", { class: "customers", role: "table", "aria-label": t.nav.customers },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      h("th", { scope: "col", class: "choose", role: "columnheader" }, all),
      COLUMNS.map((field) => heading(field, order, sort)))),
    h("tbody", { role: "rowgroup" }, customers.map((customer) => row(customer, selection, onSelect))));
}

function heading({ kind, name, sort: canSort }, order, sort) {
  const isSorted = canSort && order.sortKey === name;
  const label = t.list.columns[name] ?? t.fieldName(name);
  return h("th", { scope: "col", class: KINDS[kind].column, role: "columnheader", "aria-sort": isSorted ? (order.isAscending ? "ascending" : "descending") : null },
    canSort ? h("button", { type: "button", class: "sort", onclick: () => sort(name) }, label,
      isSorted ? icon(order.isAscending ? "up" : "down") : null) : label);
}

function row(customer, selection, onSelect) {
  const box = h("input", {
    type: "checkbox", "aria-label": t.list.choose(displayName(customer)), checked: selection.has(customer.id),
    onchange: () => { selection.set(customer.id, box.checked); onSelect(); },
  });
  const cell = (name, ...content) => h("td", { class: name, role: "cell" }, content);
  const element = h("tr", { role: "row", class: box.checked ? "chosen" : null, "data-id": customer.id },
    cell("choose", box),
    COLUMNS.map((field) => cell(KINDS[field.kind].column, KINDS[field.kind].cell(customer, field))));
  // A click anywhere in the row opens the customer.
  element.addEventListener("click", (event) => {
    if (event.target.closest("a, input, label, button") || getSelection().toString()) return;
    if (event.target.closest(".choose")) box.click();
    else element.querySelector(".row-link").click();
  });
  return element;
}

/** Grey bars in the place of a table that is loading. */
export function skeleton(rows) {
  return h("div", { class: "skeleton", "aria-hidden": "true" }, Array.from({ length: rows }, () => h("div")));
}
