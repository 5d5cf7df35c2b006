// The filters of a search as chips, and the menu that adds one. Each change is a change of the text.

import { h, replace } from "./dom.js";
import { canEdit, describeTerm, keyLabel, MENU_KEYS, openFilterDialog } from "./filters.js";
import { readTerms, withNewTerm, withoutTerm, withTerm } from "./query-terms.js";
import { announce } from "./progress.js";
import { t } from "./texts.js";
import { button, iconButton, showError } from "./ui.js";

const HIDDEN_KEYS = ["order_by", "order_dir"];

/** The entries of the menu. `change(text)` is called with the new text of the search. */
export function filterMenu(getText, change, close) {
  return MENU_KEYS.map((key) =>
    button(keyLabel(key), async () => {
      close();
      try {
        const text = getText();
        const terms = await readTerms(text);
        const added = await openFilterDialog(key);
        if (added) change(withNewTerm(text, terms, added));
      } catch (error) {
        showError(error);
      }
    }),
  );
}

/**
 * Shows the filters of a text in a list. `change(text)` is called with the new text; `select(start,
 * end)` marks a part of the text that no dialog can edit. A text with a mistake has no chips.
 */
export async function showFilters(element, text, { change, select }, signal) {
  let terms = [];
  try {
    terms = await readTerms(text, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
  }
  const filters = terms.filter(({ key }) => key !== null && !HIDDEN_KEYS.includes(key));
  const focusedIndex = [...element.children].findIndex((item) => item.contains(document.activeElement));
  replace(
    element,
    filters.map((term) => filterChip(text, terms, term, { change, select })),
  );
  element.hidden = !filters.length;
  if (focusedIndex >= 0) element.children[Math.min(focusedIndex, filters.length - 1)]?.querySelector("button").focus();
}

function filterChip(text, terms, term, { change, select }) {
  const description = describeTerm(term);
  const edit = async () => {
    if (!canEdit(term)) return select(term.start, term.end);
    try {
      const changed = await openFilterDialog(term.key, term);
      if (changed) change(withTerm(text, term, changed));
    } catch (error) {
      showError(error);
    }
    return undefined;
  };
  const remove = () => {
    change(withoutTerm(text, terms, term));
    announce(t.filters.removed(description));
  };
  return h(
    "li",
    { class: "chip filter" },
    h("button", { type: "button", onclick: edit, title: term.text }, h("bdi", null, description)),
    iconButton("close", t.filters.remove(description), remove),
  );
}
