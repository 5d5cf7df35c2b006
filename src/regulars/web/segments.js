// The segments: found by words, created, edited and deleted.

import { getViewer, runQuery } from "./api.js";
import { h, replace, setAttribute, userText } from "./dom.js";
import { formatNumber, relativeTime } from "./format.js";
import { icon } from "./icons.js";
import { segmentUrl } from "./kinds.js";
import { PagedList } from "./paged-list.js";
import { asValue } from "./search-box.js";
import { confirmSegmentDeletion, openSegmentDialog, queryView, SEGMENT_FIELDS } from "./segment-tools.js";
import { readableMessage } from "./server-messages.js";
import { t } from "./texts.js";
import { button, chip, emptyState, headingRow, pageHeader, showError, tableBox } from "./ui.js";

const PAGE_SIZE = 50;
const READ = `query($query: String, $after: String) { segments(query: $query, first: ${PAGE_SIZE}, after: $after) {
  totalCount pageInfo { hasNextPage endCursor } edges { node { ${SEGMENT_FIELDS} } } } }`;
const READ_SIZES = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Segment { id statistics } } }";

export async function show(page) {
  const { main, setTitle } = page;
  setTitle(t.nav.segments);
  const { scopes } = await getViewer();
  const canWrite = scopes.includes("customers:write");

  const addButton = () =>
    canWrite
      ? button([icon("add"), t.segments.new], () => openSegmentDialog(null).then(readIf), { class: "primary" })
      : null;
  const headButton = addButton();
  const count = h("p", { class: "count", role: "status" });
  const list = new PagedList(page, {
    name: "segments",
    query: READ,
    label: t.segments.find,
    toVariables: (text) => ({ query: toQuery(text) }),
    render,
    onError: () => replace(count),
  });
  const { form, body, foot } = list;
  replace(
    main,
    pageHeader(t.nav.segments, headButton),
    h("p", { class: "lead-in" }, t.segments.text),
    form,
    h("div", { class: "list-head" }, count),
    body,
    foot,
  );

  function render({ segments: { edges, totalCount } }, q, options) {
    const isEmpty = !q && !totalCount;
    replace(count, isEmpty ? null : t.segments.count(formatNumber(totalCount), totalCount));
    setAttribute(form, "hidden", isEmpty);
    if (headButton) setAttribute(headButton, "hidden", isEmpty);
    replace(
      body,
      edges.length
        ? tableBox(
            { class: "card table-wrap", "aria-label": t.nav.segments },
            "plain-table stack segments",
            headingRow(t.segments.columns, canWrite ? h("td") : null),
            h(
              "tbody",
              null,
              edges.map(({ node }) => row(node)),
            ),
          )
        : noSegments(q),
    );
    return showSizes(
      edges.map(({ node }) => node),
      options,
    );
  }

  const noSegments = (q) =>
    q
      ? emptyState(
          "search",
          t.segments.noMatches,
          t.segments.noMatchesText,
          h("a", { class: "button", href: "/segments" }, t.search.clear),
        )
      : emptyState("segment", t.segments.none, canWrite ? t.segments.noneText : t.segments.noneToRead, addButton());

  function row(segment) {
    const cell = (index, ...content) => h("td", { "data-label": t.segments.columns[index] }, content);
    const edit = () => openSegmentDialog(segment).then(readIf);
    return h(
      "tr",
      { "data-id": segment.id },
      h(
        "th",
        { scope: "row" },
        h("a", { href: segmentUrl(segment), class: "clamped", title: segment.name }, userText(segment.name)),
        segment.watched ? chip(t.segments.watched) : null,
        segment.description ? h("div", { class: "hint clamped" }, userText(segment.description)) : null,
        segment.problem
          ? h(
              "p",
              { class: "problem" },
              icon("warning"),
              h("span", null, readableMessage(segment.problem), " ", canWrite ? t.segments.repair : null),
            )
          : null,
      ),
      cell(1, queryView(segment)),
      h("td", { "data-label": t.segments.columns[2], class: "size" }, segment.problem ? "–" : "…"),
      cell(3, relativeTime(segment, "updated_at")),
      canWrite
        ? h(
            "td",
            null,
            h(
              "div",
              { class: "row" },
              button(t.segments.editShort, edit, { class: "small", "aria-label": t.segments.editNamed(segment.name) }),
              button(t.delete, () => confirmSegmentDeletion(segment).then(readIf), {
                class: "danger small",
                "aria-label": t.segments.deleteNamed(segment.name),
              }),
            ),
          )
        : null,
    );
  }

  /** Counts the customers of each segment, which takes longer than the list. A segment with a problem has no count. */
  async function showSizes(segments, options) {
    const ids = segments.filter(({ problem }) => !problem).map(({ id }) => id);
    if (!ids.length) return;
    const { nodes } = await runQuery(READ_SIZES, { ids }, options);
    for (const node of nodes) {
      const cell = body.querySelector(`tr[data-id="${CSS.escape(node?.id ?? "")}"] .size`);
      if (cell) replace(cell, formatNumber(node.statistics));
    }
  }

  function readIf(isChanged) {
    if (isChanged) list.read().catch(showError);
  }

  page.setHandlers({ update: (url) => list.update(url) });
  await list.read();
}

/** The query that finds the segments with these words, by name. */
function toQuery(text) {
  const words = text.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
  return [...words.map(asValue), "order_by:name order_dir:asc"].join(" ");
}
