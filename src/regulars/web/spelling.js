// Other words for a search that finds no customers. Loaded when a search finds none.

import { runQuery } from "./api.js";
import { h, replace, userText } from "./dom.js";
import { formatNumber } from "./format.js";
import { announce } from "./progress.js";
import { t } from "./texts.js";

const QUERY = `query($query: String!) {
  searchSuggestions(query: $query) { query word other customers { count precision } } }`;

/** Replaces the texts of the empty state `place` by suggestions for a ListQuery, if there are some. */
export async function showSuggestions(place, listQuery, signal) {
  const { searchSuggestions } = await runQuery(QUERY, { query: listQuery.text }, { signal });
  if (!searchSuggestions.length || !place.isConnected) return;
  const [{ word }] = searchSuggestions;
  const links = searchSuggestions.map(({ query, other, customers }) => [
    h("a", { href: listQuery.toUrl({ text: query }) }, h("strong", null, userText(other))),
    ` (${formatNumber(customers.count)}${customers.precision === "at_least" ? "+" : ""})`,
  ]);
  const separated = links.flatMap((link, index) => (index ? [t.spelling.or, ...link] : link));
  replace(place.querySelector("h2"), t.spelling.noCustomer(word));
  replace(place.querySelector("p"), t.spelling.didYouMean, ...separated, t.spelling.end);
  announce(place.querySelector("p").textContent);
}
