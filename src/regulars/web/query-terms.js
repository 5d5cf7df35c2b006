// The terms of a search text, as the server splits it. A change of one term keeps the rest of the text.

import { runQuery } from "./api.js";
import { splitOrder } from "./list-query.js";

const READ = `query($query: String!) { searchTerms(query: $query) {
  start end text negated key operator value prefix } }`;
const ALTERNATIVES = /\sOR\s/;

/**
 * Returns the terms of a text, each with its `key`, its `value` and its bounds. Throws ApiError if the
 * text has a mistake.
 */
export async function readTerms(text, signal = null) {
  if (!text.trim()) return [];
  const { searchTerms } = await runQuery(READ, { query: text }, { signal, quiet: true });
  // The server counts characters, and JavaScript units of UTF-16.
  const characters = Array.from(text);
  const offset = (count) => characters.slice(0, count).join("").length;
  return searchTerms.map((term) => ({ ...term, start: offset(term.start), end: offset(term.end) }));
}

/** The text without one of its terms. */
export function withoutTerm(text, terms, term) {
  const index = terms.indexOf(term);
  // Between two terms are only spaces, and perhaps AND.
  const [start, end] = index ? [terms[index - 1].end, term.end] : [0, terms[1]?.start ?? text.length];
  return (text.slice(0, start) + text.slice(end)).trim();
}

/** The text with `changed` in the place of one of its terms. */
export const withTerm = (text, term, changed) => text.slice(0, term.start) + changed + text.slice(term.end);

/** The text with another term. Alternatives get parentheses, because OR joins less tightly. */
export function withNewTerm(text, terms, added) {
  if (!text.trim()) return added;
  const isAlternatives = terms.length === 1 && terms[0].key === null && ALTERNATIVES.test(text);
  if (!isAlternatives) return `${text.trimEnd()} ${added}`;
  const [condition, order] = splitOrder(text);
  return [`(${condition})`, added, order].filter(Boolean).join(" ");
}
