// Suggestions of the values that customers have for a key of the search.

import { runQuery } from "./api.js";
import { debounce, h, setAttribute } from "./dom.js";
import { formatNumber } from "./format.js";
import { t } from "./texts.js";
import { SuggestionList } from "./ui.js";

const DEBOUNCE_MS = 120;
const MAX_SUGGESTIONS = 8;
const READ = `query($key: String!, $query: String, $first: Int) {
  searchValues(key: $key, query: $query, first: $first) { value text customers_count } }`;

/**
 * Returns the values of a key that begin with a text, each with its `label` and a `hint`; its `text` is
 * written in a query. Throws ApiError.
 */
export async function findValues(key, query, first = MAX_SUGGESTIONS) {
  const { searchValues } = await runQuery(READ, { key, query, first }, { quiet: true });
  return searchValues.map(({ value, text, customers_count: count }) => ({
    value,
    text,
    label: value,
    hint: count === null ? "" : t.list.count(formatNumber(count), count),
  }));
}

const whole = ({ value }) => ({ text: value, start: 0, end: value.length });

/**
 * Makes an input, which has a parent, suggest the `label`s that `find(text)` resolves with. `part(input)`
 * returns the text that is completed, with its bounds: all of it, unless it is given. `onChoose()` is called after a
 * suggestion was chosen by Enter or a click; Tab only completes.
 */
export function suggestValues(input, find, part = whole, onChoose = null) {
  const accept = ({ label, start, end }, key) => {
    input.setRangeText(label, start, end, "end");
    input.dispatchEvent(new Event("input", { bubbles: true }));
    list.hide();
    if (key !== "Tab") onChoose?.();
  };
  const list = new SuggestionList(input, accept);
  const suggest = async () => {
    const { text, start, end } = part(input);
    let found;
    try {
      found = await find(text);
    } catch {
      return; // a value can be typed without suggestions
    }
    if (document.activeElement !== input || part(input).text !== text) return;
    const others = found.filter(({ label }) => label !== text).slice(0, MAX_SUGGESTIONS);
    list.show(others.map((option) => ({ ...option, start, end })));
  };
  const suggestLater = debounce(DEBOUNCE_MS, suggest);
  input.addEventListener("input", ({ isTrusted }) => isTrusted && suggestLater());
  input.addEventListener("click", suggest);
  input.addEventListener("blur", suggestLater.cancel);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const isUsed = list.handleKey(event.key);
    if (!isUsed && event.key === "ArrowDown") suggest();
    else if (!isUsed) return;
    event.preventDefault();
    event.stopPropagation();
  });
  setAttribute(input, "role", "combobox");
  setAttribute(input, "aria-expanded", "false");
  const box = h("div", { class: "suggested" });
  input.replaceWith(box);
  box.append(input, list.element);
}
