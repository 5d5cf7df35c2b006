// Suggestions of the account's tags, for the search and for inputs of tags.

import { runQuery } from "./api.js";
import { formatNumber } from "./format.js";
import { t } from "./texts.js";
import { suggestValues } from "./value-suggestions.js";

const MAX_SUGGESTIONS = 8;
const READ = `query($query: String, $first: Int) {
  tags(query: $query, first: $first) { edges { node { name customers_count } } } }`;

/** Returns tags that begin with a text, each with its `name`, its `label` and a `hint`. Throws ApiError. */
export async function findTags(text, first = MAX_SUGGESTIONS) {
  const { tags } = await runQuery(READ, { query: text, first }, { quiet: true });
  return tags.edges.map(({ node: { name, customers_count: count } }) => ({
    name,
    label: name,
    hint: t.list.count(formatNumber(count), count),
  }));
}

/** The tag at the cursor: its text, and its bounds. */
function tagAtCursor(input) {
  const start = input.value.slice(0, input.selectionStart).search(/[^,\s][^,]*$|$/);
  const end = start + input.value.slice(start).search(/,|$/);
  return { text: input.value.slice(start, input.selectionStart), start, end };
}

/** Makes an input, which has a parent, suggest the account's tags, also after a comma. See suggestValues. */
export const suggestTags = (input, onChoose = null) => suggestValues(input, findTags, tagAtCursor, onChoose);
