// Notices changes of the customers on a page of the list, while the page is visible.

import { runQuery } from "./api.js";
import { toVersionsRequest } from "./list-query.js";

const INTERVAL_MS = 10_000;
const MAX_IDLE_MS = 30 * 60_000; // without a person at the page

/**
 * Compares the page with the server from time to time until the signal aborts. `getPage()` returns the
 * `listQuery` and the `customers` that are shown, or null; `onChange(count)` is called with the number of
 * customers that are new, changed or gone.
 */
export function watchPage(getPage, onChange, signal) {
  let lastActivity = Date.now();
  const noteActivity = () => {
    lastActivity = Date.now();
  };
  for (const event of ["pointerdown", "keydown", "visibilitychange"])
    document.addEventListener(event, noteActivity, { signal, passive: true });
  const timer = setInterval(async () => {
    const page = getPage();
    if (document.hidden || !page || Date.now() - lastActivity > MAX_IDLE_MS) return;
    try {
      const { customers } = await runQuery(...toVersionsRequest(page.listQuery), { signal, quiet: true });
      if (getPage()?.customers === page.customers) onChange(countChanges(page.customers, customers.edges));
    } catch {
      // The next comparison tries again.
    }
  }, INTERVAL_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** The number of customers that are new or changed, or else of those that are gone. */
function countChanges(shown, edges) {
  const versions = new Map(shown.map(({ id, version }) => [id, version]));
  const changed = edges.filter(({ node }) => versions.get(node.id) !== node.version).length;
  const present = new Set(edges.map(({ node }) => node.id));
  return changed || shown.filter(({ id }) => !present.has(id)).length;
}
