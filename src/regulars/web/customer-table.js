// The table of the list of customers: its rows, the selection in it, and rows that are copied.

import { h } from "./dom.js";
import { chosenColumns, COLUMNS } from "./fields.js";
import { displayName } from "./format.js";
import { icon } from "./icons.js";
import { customerUrl, KINDS } from "./kinds.js";
import { amountLabel, spendTexts } from "./money.js";
import { t } from "./texts.js";

const MAX_FIXED_COLUMNS = 8; // more of them make the table wider than the page

/**
 * The table of `customers`; on a narrow screen it looks like cards. `order` has the `sortKey`, and
 * whether it `isAscending`; `sort(key)` is called to change it. `onSelect()` is called after a change
 * of the `selection`.
 */
export function customerTable(customers, { order, sort, selection, onSelect }) {
  const all = h("input", {
    type: "checkbox",
    "aria-label": t.list.selectPage,
    checked: customers.length > 0 && customers.every(({ id }) => selection.has(id)),
    onchange: (event) => {
      for (const customer of customers) selection.set(customer, event.target.checked);
      onSelect();
    },
  });
  const columns = chosenColumns();
  let lastIndex = null; // of the row that was selected or deselected last
  /** Selects or deselects a row; with `isRange`, all rows from the last one to it. */
  const select = (index, isSelected, isRange) => {
    const [first, last] =
      isRange && lastIndex !== null ? [lastIndex, index].toSorted((left, right) => left - right) : [index, index];
    for (const customer of customers.slice(first, last + 1)) selection.set(customer, isSelected);
    lastIndex = index;
    onSelect();
  };
  return h(
    "table",
    {
      class: `customers${columns === COLUMNS ? "" : " chosen"}${columns.length > MAX_FIXED_COLUMNS ? " many" : ""}`,
      role: "table",
      "aria-label": t.nav.customers,
      oncopy: (event) => copyRows(event, customers, columns),
    },
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        h("th", { scope: "col", class: "choose", role: "columnheader" }, all),
        columns.map((field) => columnHeading(field, order, sort)),
      ),
    ),
    h(
      "tbody",
      { role: "rowgroup" },
      customers.map((customer, index) =>
        customerRow(customer, columns, selection.has(customer.id), (...choice) => select(index, ...choice)),
      ),
    ),
  );
}

function columnHeading({ kind, name, sort: canSort }, order, sort) {
  const isSorted = canSort && order.sortKey === name;
  const label = amountLabel({ kind, name }) ?? t.list.columns[name] ?? t.fieldName(name);
  return h(
    "th",
    {
      scope: "col",
      class: KINDS[kind].column,
      role: "columnheader",
      "aria-sort": isSorted ? (order.isAscending ? "ascending" : "descending") : null,
    },
    canSort
      ? h(
          "button",
          { type: "button", class: "sort", onclick: () => sort(name) },
          label,
          isSorted ? icon(order.isAscending ? "up" : "down") : null,
        )
      : label,
  );
}

/** A row. `select(isSelected, isRange)` is called when the person selects or deselects it. */
function customerRow(customer, columns, isSelected, select) {
  const box = h("input", {
    type: "checkbox",
    "aria-label": t.list.select(displayName(customer)),
    checked: isSelected,
    onclick: (event) => select(box.checked, event.shiftKey),
  });
  const cell = (name, ...content) => h("td", { class: name, role: "cell" }, content);
  const element = h(
    "tr",
    { role: "row", class: isSelected ? "selected" : null, "data-id": customer.id },
    cell("choose", box),
    columns.map((field) => cell(KINDS[field.kind].column, KINDS[field.kind].cell(customer, field))),
  );
  const openTab = () => window.open(customerUrl(customer), "_blank", "noopener");
  // A click anywhere in the row opens the customer, as a click on the link does.
  element.addEventListener("click", (event) => {
    const isInCell = event.target.closest(".choose");
    if (event.target.closest("a, input, label, button")) return;
    if (isInCell) select(!box.checked, event.shiftKey);
    else if (getSelection().toString()) return;
    else if (event.ctrlKey || event.metaKey || event.shiftKey) openTab();
    else element.querySelector(".row-link").click();
  });
  element.addEventListener("auxclick", (event) => {
    if (event.button === 1 && !event.target.closest("a, .choose")) openTab();
  });
  element.addEventListener("mousedown", (event) => {
    // The browser would scroll, mark the text of the rows, or, in Firefox with Ctrl, mark whole cells.
    const isScroll = event.button === 1 && !event.target.closest("a");
    const isMarking = event.ctrlKey || event.metaKey || (event.shiftKey && event.target.closest(".choose"));
    if (isScroll || isMarking) event.preventDefault();
  });
  return element;
}

/** Copies the selected rows as a table: one line for each, with a tab between cells. */
function copyRows(event, customers, columns) {
  const range = getSelection().getRangeAt(0);
  const rows = customers
    .map((customer, index) => [customer, event.currentTarget.tBodies[0].rows[index]])
    .filter(([, row]) => hasText(range, row))
    .map(([customer, row]) => copiedCells(customer, columns, row));
  if (rows.length < 2) return; // a part of one row is copied as text
  event.preventDefault();
  event.clipboardData.setData("text/plain", rows.map((cells) => cells.join("\t")).join("\n"));
  const table = h(
    "table",
    null,
    rows.map((cells) =>
      h(
        "tr",
        null,
        cells.map((text) => h("td", null, text)),
      ),
    ),
  );
  event.clipboardData.setData("text/html", new XMLSerializer().serializeToString(table));
}

/** Whether a range of the document has text of an element. */
function hasText(range, element) {
  const part = document.createRange();
  part.selectNodeContents(element);
  if (!range.intersectsNode(element)) return false;
  if (range.compareBoundaryPoints(Range.START_TO_START, part) > 0)
    part.setStart(range.startContainer, range.startOffset);
  if (range.compareBoundaryPoints(Range.END_TO_END, part) < 0) part.setEnd(range.endContainer, range.endOffset);
  return part.toString().trim() !== "";
}

/** The texts of a row: the name, the email, and the other columns, each in one line. */
function copiedCells(customer, columns, row) {
  const text = ({ kind, name }, cell) => {
    if (kind === "FullName") return [customer[name], customer.email];
    if (kind === "Tags") return [customer[name].join(", ")];
    if (kind === "Money") return [spendTexts(customer).join("; ")];
    if (kind === "Count") return [String(customer[name])];
    return [(cell.querySelector("time") ?? cell.firstChild)?.textContent ?? ""];
  };
  return columns
    .flatMap((field, index) => text(field, row.cells[index + 1]))
    .map((value) =>
      String(value ?? "")
        .replace(/\s+/g, " ")
        .trim(),
    );
}
