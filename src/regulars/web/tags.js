// The tags of the account: found by their beginning, renamed and merged for all customers.

import { getViewer, runMutation } from "./api.js";
import { h, replace, setAttribute, userText } from "./dom.js";
import { formatNumber } from "./format.js";
import { icon } from "./icons.js";
import { followJobs } from "./jobs.js";
import { PagedList } from "./paged-list.js";
import { asValue } from "./search-box.js";
import { findTags } from "./tag-suggestions.js";
import { t } from "./texts.js";
import { button, checkbox, emptyState, formField, headingRow, openFormDialog, pageHeader, tableBox } from "./ui.js";
import { suggestValues } from "./value-suggestions.js";

const PAGE_SIZE = 100;
const READ = `query($query: String, $after: String) { tags(query: $query, first: ${PAGE_SIZE}, after: $after) {
  pageInfo { hasNextPage endCursor } edges { node { name customers_count } } } }`;
const RENAME = `mutation($names: [String!]!, $newName: String!) {
  renameTags(names: $names, newName: $newName) { id } }`;

/** The URL of the list of customers with a tag. */
const listUrl = (name) => `/customers?${new URLSearchParams({ q: `tag:${asValue(name)}` })}`;

export async function show(page) {
  const { main, setTitle } = page;
  setTitle(t.nav.tags);
  const { scopes } = await getViewer();
  const canWrite = ["customers:write", "customers:read"].every((scope) => scopes.includes(scope));
  const selected = new Map();
  const read = () => list.read();
  const merge = button([icon("tag"), t.tagPage.merge], () => openRenameDialog([...selected.values()], read), {
    hidden: true,
  });
  const list = new PagedList(page, {
    name: "tags",
    query: READ,
    label: t.tagPage.find,
    toVariables: (query) => ({ query }),
    render,
    onError: clearSelection,
  });
  const { form, body, foot } = list;
  replace(main, pageHeader(t.nav.tags, merge), h("p", { class: "lead-in" }, t.tagPage.text), form, body, foot);

  function showSelection() {
    setAttribute(merge, "hidden", selected.size < 2);
    replace(merge, icon("tag"), t.tagPage.mergeCount(formatNumber(selected.size)));
  }

  function clearSelection() {
    selected.clear();
    showSelection();
  }

  function render({ tags: { edges } }, q) {
    clearSelection();
    setAttribute(form, "hidden", !q && !edges.length && !list.after);
    replace(
      body,
      edges.length
        ? tableBox(
            { class: "card table-wrap", "aria-label": t.nav.tags },
            "plain-table tags-table",
            headingRow(t.tagPage.columns, canWrite ? h("td") : null),
            h(
              "tbody",
              null,
              edges.map(({ node }) => row(node)),
            ),
          )
        : q
          ? emptyState("search", t.tagPage.noMatches, t.tagPage.noMatchesText)
          : emptyState("tag", t.tagPage.none, t.tagPage.noneText),
    );
  }

  function row(tag) {
    const { name, customers_count: count } = tag;
    const choose = (event) => {
      if (event.target.checked) selected.set(name, tag);
      else selected.delete(name);
      showSelection();
    };
    const rename = () => openRenameDialog([tag], read);
    const link = h("a", { href: listUrl(name), class: "clamped", title: name }, userText(name));
    const box = canWrite ? checkbox(h("span", { class: "unseen" }, t.list.select(name)), { onchange: choose }) : null;
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, h("div", { class: "row tag-name" }, box, link)),
      h("td", { class: "number" }, formatNumber(count)),
      canWrite
        ? h("td", null, button(t.tagPage.rename, rename, { class: "small", "aria-label": t.tagPage.renameNamed(name) }))
        : null,
    );
  }

  page.setHandlers({ update: (url) => list.update(url) });
  await list.read();
}

/**
 * Asks for the name that replaces tags, and starts the job that renames them. `read()` reads the list again.
 */
function openRenameDialog(tags, read) {
  const [largest] = tags.toSorted((left, right) => right.customers_count - left.customers_count);
  const input = h("input", { type: "text", value: largest.name, autocomplete: "off", autofocus: true, dir: "auto" });
  const field = formField(t.tagPage.newName, input, { hint: t.tagPage.hint });
  suggestValues(input, findTags);
  const isMerge = tags.length > 1;
  const names = tags.map(({ name }) => name);
  return openFormDialog(
    isMerge ? t.tagPage.mergeTitle(formatNumber(tags.length)) : t.tagPage.renameTitle(largest.name),
    isMerge ? t.tagPage.merge : t.tagPage.rename,
    [
      isMerge
        ? h(
            "p",
            null,
            names.map((name, index) => [index ? t.separators.list : null, userText(name)]),
          )
        : null,
      field,
      h("p", { class: "hint" }, t.tagPage.effect),
    ],
    { names: field, newName: field },
    async () => {
      const newName = input.value.trim();
      field.setError(newName ? "" : t.tagPage.noName);
      if (!newName) return undefined;
      const { renameTags } = await runMutation(RENAME, { names, newName });
      const describe = (count) => t.tagPage.renamed(newName, t.list.count(formatNumber(count), count));
      followJobs(renameTags, [], describe, read);
      return true;
    },
  );
}
