// The tags of the account: found by their beginning, renamed and merged for all customers.

import { getViewer, runMutation } from "./api.js";
import { h, replace, setAttribute, userText } from "./dom.js";
import { formatNumber } from "./format.js";
import { icon } from "./icons.js";
import { PagedList } from "./paged-list.js";
import { announce } from "./progress.js";
import { asValue } from "./search-box.js";
import { findTags } from "./tag-suggestions.js";
import { t } from "./texts.js";
import {
  button,
  checkbox,
  emptyState,
  formField,
  headingRow,
  openFormDialog,
  pageHeader,
  tableBox,
  toast,
} from "./ui.js";
import { suggestValues } from "./value-suggestions.js";

const PAGE_SIZE = 100;
const CALL_SIZE = 250; // customers that one call renames
const READ = `query($query: String, $after: String) { tags(query: $query, first: ${PAGE_SIZE}, after: $after) {
  pageInfo { hasNextPage endCursor } edges { node { name customers_count } } } }`;
const RENAME = `mutation($name: String!, $newName: String!, $after: String) {
  renameTag(name: $name, newName: $newName, after: $after) {
    customers_count hasNextPage endCursor segments { name renamed } } }`;

/** The URL of the list of customers with a tag. */
const listUrl = (name) => `/customers?${new URLSearchParams({ q: `tag:${asValue(name)}` })}`;

export async function show(page) {
  const { main, setTitle } = page;
  setTitle(t.nav.tags);
  const { scopes } = await getViewer();
  const canWrite = ["customers:write", "customers:read"].every((scope) => scopes.includes(scope));
  const selected = new Map();
  const merge = button([icon("tag"), t.tagPage.merge], () => openRenameDialog([...selected.values()]).then(readIf), {
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

  const readIf = (isDone) => isDone && list.read();

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
    const rename = () => openRenameDialog([tag]).then(readIf);
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

  await list.read();
  return { update: (url) => list.update(url) };
}

/**
 * Asks for the name that replaces tags, and renames each for all customers. Resolves with true once
 * that is done, or with null.
 */
function openRenameDialog(tags) {
  const [largest] = tags.toSorted((left, right) => right.customers_count - left.customers_count);
  const input = h("input", { type: "text", value: largest.name, autocomplete: "off", autofocus: true, dir: "auto" });
  const field = formField(t.tagPage.newName, input, { hint: t.tagPage.hint });
  suggestValues(input, findTags);
  const isMerge = tags.length > 1;
  const isLong = tags.some(({ customers_count: count }) => count > CALL_SIZE);
  const progress = h("p", { class: "hint", role: "status" });
  return openFormDialog(
    isMerge ? t.tagPage.mergeTitle(formatNumber(tags.length)) : t.tagPage.renameTitle(largest.name),
    isMerge ? t.tagPage.merge : t.tagPage.rename,
    [
      isMerge
        ? h(
            "p",
            null,
            tags.map(({ name }, index) => [index ? t.separators.list : null, userText(name)]),
          )
        : null,
      field,
      h("p", { class: "hint" }, t.tagPage.effect, isLong ? ` ${t.tagPage.keepOpen}` : null),
      progress,
    ],
    { name: field, newName: field },
    async () => {
      const newName = input.value.trim();
      field.setError(newName ? "" : t.tagPage.noName);
      if (!newName) return undefined;
      const changes = await renameAll(
        tags.map(({ name }) => name),
        newName,
        (done) => replace(progress, t.selection.done(formatNumber(done))),
      );
      showChanges(newName, changes);
      return true;
    },
  );
}

/** Renames tags, and returns the number of changed customers and the segments. Throws ApiError. */
async function renameAll(names, newName, onProgress) {
  let count = 0;
  const segments = [];
  for (const name of names) {
    let page = null;
    do {
      const { renameTag } = await runMutation(RENAME, { name, newName, after: page?.endCursor ?? null });
      page = renameTag;
      count += page.customers_count;
      segments.push(...page.segments);
      onProgress(count);
    } while (page.hasNextPage);
  }
  return { count, segments };
}

function showChanges(newName, { count, segments }) {
  // A segment can name several of the tags.
  const namesOf = (isRenamed) =>
    [...new Set(segments.filter(({ renamed }) => renamed === isRenamed).map(({ name }) => name))].join(
      t.separators.list,
    );
  const [renamed, kept] = [namesOf(true), namesOf(false)];
  const text = [
    t.tagPage.renamed(newName, t.list.count(formatNumber(count), count)),
    renamed ? t.tagPage.segments(renamed) : "",
    kept ? t.tagPage.keptSegments(kept) : "",
  ];
  toast(text.filter(Boolean).join(" "));
  announce(text[0]);
}
