// The tabs above the list: all customers, and the first segments by name. The menu next to them has the others.

import { runQuery } from "./api.js";
import { h, replace, setAttribute, userText } from "./dom.js";
import { segmentUrl } from "./kinds.js";

const SIZE = 12;
const READ = `{ segments(query: "order_by:name order_dir:asc", first: ${SIZE}) { edges { node { _id name } } } }`;

const tab = ({ _id, name }) => h("a", { href: segmentUrl({ id: null, _id }) }, userText(name, { title: name }));

/**
 * Shows a tab for each segment after the first tab. That of the `current` segment is always there. `isAll` says whether
 * the list has all customers. Throws ApiError.
 */
export async function showTabs(tabs, current, isAll, signal) {
  const { segments } = await runQuery(READ, {}, { signal, quiet: true });
  const listed = segments.edges.map(({ node }) => node);
  const other = current && !listed.some(({ _id }) => _id === current._id) ? [current] : [];
  const { activeElement } = document;
  const focused = tabs.contains(activeElement) ? activeElement.getAttribute("href") : null;
  replace(tabs, tabs.firstChild, [...other, ...listed].map(tab));
  markTab(tabs, current, isAll);
  if (focused) tabs.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
}

/**
 * Marks the tab of the `current` segment, or that of all customers if the list has them. The tab of a segment that does
 * not exist is none. Returns whether one is marked.
 */
export function markTab(tabs, current, isAll) {
  const url = current ? segmentUrl({ id: null, _id: current._id }) : isAll && "/customers";
  const links = [...tabs.querySelectorAll("a")];
  for (const link of links) setAttribute(link, "aria-current", link.getAttribute("href") === url ? "page" : null);
  const marked = tabs.querySelector("[aria-current]");
  // The row scrolls, not the page.
  if (marked) tabs.scrollBy({ left: centerOf(marked) - centerOf(tabs) });
  return Boolean(marked);
}

function centerOf(element) {
  const { left, width } = element.getBoundingClientRect();
  return left + width / 2;
}
