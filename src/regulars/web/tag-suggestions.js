// Suggestions of the account's tags, for the search and for inputs of tags.

import { runQuery } from "./api.js";
import { debounce, h, setAttribute } from "./dom.js";
import { formatNumber } from "./format.js";
import { t } from "./texts.js";
import { SuggestionList } from "./ui.js";

const DEBOUNCE_MS = 120;
const MAX_SUGGESTIONS = 8;
const READ = `query($query: String, $first: Int) {
  tags(query: $query, first: $first) { edges { node { name customers_count } } } }`;

/** Returns tags that begin with a text, each with its `name` and a `hint`. Throws ApiError. */
export async function findTags(text, first = MAX_SUGGESTIONS) {
  const { tags } = await runQuery(READ, { query: text, first }, { quiet: true });
  return tags.edges.map(({ node: { name, customers_count: count } }) => ({
    name,
    hint: t.list.count(formatNumber(count), count),
  }));
}

/** Makes an input, which has a parent, suggest the account's tags, also after a comma. */
export function suggestTags(input) {
  const accept = ({ name, start, end }) => {
    input.setRangeText(name, start, end, "end");
    input.dispatchEvent(new Event("input", { bubbles: true }));
    list.hide();
  };
  const list = new SuggestionList(input, accept);
  /** The tag at the cursor: its text, and its bounds. */
  const tagAtCursor = () => {
    const start = input.value.slice(0, input.selectionStart).search(/[^,\s][^,]*$|$/);
    const end = start + input.value.slice(start).search(/,|$/);
    return { text: input.value.slice(start, input.selectionStart), start, end };
  };
  const suggest = async () => {
    const { text, start, end } = tagAtCursor();
    let tags;
    try {
      tags = await findTags(text);
    } catch {
      return; // a tag can be typed without suggestions
    }
    if (document.activeElement !== input || tagAtCursor().text !== text) return;
    const others = tags.filter(({ name }) => name !== text);
    list.show(others.map(({ name, hint }) => ({ label: name, hint, name, start, end })));
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
