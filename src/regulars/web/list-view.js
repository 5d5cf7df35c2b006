// The view of the list: its columns, its order and its density, remembered in this browser.

import { h, replace } from "./dom.js";
import {
  ALL_COLUMNS,
  chooseColumns,
  chosenColumns,
  COLUMNS,
  customColumn,
  isTextField,
  SORT_FIELDS,
} from "./fields.js";
import { SORT_KEYS } from "./list-query.js";
import { amountLabel } from "./money.js";
import { t } from "./texts.js";
import { button, checkbox, openDialog, selectOptions, showError } from "./ui.js";
import { findValues } from "./value-suggestions.js";

const MAX_KEYS = 50;

/** The label of an order, with the currency if it is by an amount. */
function sortLabel(key) {
  const field = SORT_FIELDS.find(({ name }) => name === key);
  return t.list.orders[key] ?? (field && amountLabel(field)) ?? t.fieldName(key);
}

/**
 * Opens the dialog of the view. `sort(sortKey, isAscending)` is called after a change of the order,
 * `onChange()` after one of the columns or the density.
 */
export function openViewDialog(order, sort, onChange) {
  const select = h(
    "select",
    { "aria-label": t.list.sortBy, onchange: () => changeOrder(isTextField(select.value)) },
    selectOptions(
      SORT_KEYS.map((key) => [key, sortLabel(key)]),
      order.sortKey,
    ),
  );
  const direction = h(
    "select",
    { "aria-label": t.view.direction, onchange: () => changeOrder(direction.value === "asc") },
    selectOptions(t.view.directions, order.isAscending ? "asc" : "desc"),
  );
  const changeOrder = (isAscending) => {
    direction.value = isAscending ? "asc" : "desc";
    sort(select.value, isAscending);
  };
  const compact = checkbox(t.view.compact, {
    checked: localStorage.getItem("density") === "compact",
    onchange: ({ target }) => {
      localStorage.setItem("density", target.checked ? "compact" : "comfortable");
      onChange();
    },
  });
  const columns = h("div", { class: "column-choices" });
  const choose = () => {
    const names = [...columns.querySelectorAll("input:checked")].map(({ value }) => value);
    chooseColumns([COLUMNS[0].name, ...names]);
    onChange();
  };
  const showColumns = (custom) => {
    const chosen = chosenColumns().map(({ name }) => name);
    const known = [...ALL_COLUMNS.slice(1), ...custom.map(customColumn)];
    const missing = chosenColumns()
      .filter(({ name }) => !known.some((column) => column.name === name))
      .slice(1);
    const listed = [...known, ...missing];
    replace(
      columns,
      listed.map(({ name }) =>
        checkbox(t.fieldName(name), { value: name, checked: chosen.includes(name), onchange: choose }),
      ),
    );
  };
  showColumns([]);
  findValues("custom.", "", MAX_KEYS).then((found) => showColumns(found.map(({ value }) => value)), showError);
  const reset = () => {
    chooseColumns(null);
    showColumns([]);
    onChange();
  };
  return openDialog(t.view.title, (close) =>
    h(
      "div",
      null,
      h("fieldset", null, h("legend", null, t.list.sortBy), h("div", { class: "filter-form" }, select, direction)),
      h("fieldset", null, h("legend", null, t.view.columns), columns),
      compact,
      h(
        "div",
        { class: "row end" },
        button(t.view.reset, reset, { class: "plain" }),
        button(t.done, () => close(), { class: "primary" }),
      ),
    ),
  );
}
