// The parts of segments that the list and the page of segments share. They are loaded at their first use.

import { runMutation, runQuery } from "./api.js";
import { debounce, h, replace, setAttribute, userText } from "./dom.js";
import { selectTimes } from "./fields.js";
import { countryName, formatNumber, relativeTime } from "./format.js";
import { icon } from "./icons.js";
import { segmentUrl, splitTags } from "./kinds.js";
import { announce } from "./progress.js";
import { resetSuggestions, searchBox } from "./search-box.js";
import { suggestTags } from "./tag-suggestions.js";
import { t } from "./texts.js";
import { button, checkbox, errorNotice, formField, openFormDialog, runAction, selectOptions, toast } from "./ui.js";

const MENU_SIZE = 30;
const COUNT_DELAY_MS = 300;
const EVALUATION_MS = 2000; // of a segment that is watched from now on
const MAX_NAME_CHARACTERS = 80; // of a suggested name
const PARTS = ["include", "exclude"];
// The operators of a new segment: customers with all tags to include, and with none to exclude.
const DEFAULT_OPERATORS = { include: "AND", exclude: "OR" };
/** The selection of a segment in a query. */
export const SEGMENT_FIELDS = `id _id name description query problem watched ${selectTimes("updated_at", "watched_since")}
  settings { include { operator tags } exclude { operator tags } }`;

/** Returns a segment, or null. Throws ApiError. */
export async function readSegment(id, signal = null) {
  const { node } = await runQuery(
    `query($id: ID!) { node(id: $id) { ... on Segment { ${SEGMENT_FIELDS} } } }`,
    { id },
    { signal, quiet: !signal },
  );
  return node?.id ? node : null;
}

/** The links of the menu: segments by name, and the page of all. Throws ApiError. */
export async function segmentLinks() {
  const { segments } = await runQuery(`{ segments(query: "order_by:name order_dir:asc", first: ${MENU_SIZE}) {
    totalCount edges { node { _id name } } } }`);
  const { edges, totalCount } = segments;
  return [
    edges.map(({ node }) => h("a", { href: segmentUrl(node), class: "button", title: node.name }, userText(node.name))),
    edges.length ? null : h("p", { class: "hint" }, t.segments.none),
    h(
      "a",
      { href: "/segments", class: "button" },
      totalCount > edges.length ? t.segments.others(formatNumber(totalCount)) : t.segments.all,
    ),
  ];
}

/**
 * The header of a segment's list: its actions, and its explanation. `onChange()` is called after a
 * change of the segment.
 */
export function segmentHeader(segment, canWrite, onChange) {
  const edit = button([icon("edit"), t.segments.editShort], async () => {
    if (await openSegmentDialog(segment)) onChange();
  });
  const watch = button(
    [icon("watch"), t.segments.watch],
    () => {
      const node = { watched: !segment.watched };
      return runAction(watch, async () => {
        await update(segment.id, node);
        toast(node.watched ? t.segments.watchedNow : t.segments.unwatched);
        onChange();
      });
    },
    { "aria-pressed": String(segment.watched), title: t.segments.watchHint },
  );
  return [
    canWrite ? [edit, watch] : null,
    segment.description ? h("p", { class: "lead-in lines" }, userText(segment.description)) : null,
    h("div", { class: "row hint segment-query" }, queryView(segment), segment.watched ? watchedView(segment) : null),
  ];
}

/** Since when a segment is watched. It is read again until the first evaluation has ended. */
function watchedView(segment) {
  const element = h("span");
  const render = (current) =>
    replace(
      element,
      current.watched_since
        ? [t.segments.watchedSince, " ", relativeTime(current, "watched_since")]
        : t.segments.evaluating,
    );
  render(segment);
  if (segment.watched_since) return element;
  const timer = setInterval(async () => {
    const current = element.isConnected ? await readSegment(segment.id).catch(() => segment) : null;
    if (current) render(current);
    if (!current || current.watched_since) clearInterval(timer);
  }, EVALUATION_MS);
  return element;
}

/** The query of a segment. */
export const queryView = ({ query }) =>
  query
    ? h("code", { class: "clamped", title: query }, userText(query))
    : h("span", { class: "hint" }, t.segments.everyone);

/** Whether a segment is defined by tags. */
const isByTags = (segment) => PARTS.some((part) => segment.settings[part].tags.length > 0);

/**
 * Opens a dialog for a new segment with a `query`, or to edit one. Resolves with the segment that was
 * saved, or null.
 */
export function openSegmentDialog(segment, query = "") {
  const text = segment?.query ?? query;
  const initialKind = segment && isByTags(segment) ? "tags" : "query";
  let kind = initialKind;
  const line = (value) => h("input", { type: "text", value, autocomplete: "off", dir: "auto" });
  const name = formField(t.segments.name, line(segment?.name ?? suggestName(text)));
  setAttribute(name.input, "autofocus", true);
  const description = formField(
    t.segments.description,
    h("textarea", { rows: 2, dir: "auto", value: segment?.description ?? "" }),
  );
  const search = queryControl(text);
  const tags = Object.fromEntries(PARTS.map((part) => [part, tagsControl(part, segment?.settings[part])]));
  const sections = {
    query: search.element,
    tags: h(
      "div",
      { class: "narrow" },
      PARTS.map((part) => tags[part].element),
    ),
  };
  const choose = (chosen) => {
    kind = chosen;
    for (const [other, element] of Object.entries(sections)) setAttribute(element, "hidden", other !== kind);
  };
  const kinds = h(
    "fieldset",
    null,
    h("legend", null, t.segments.definedBy),
    Object.keys(sections).map((value) =>
      checkbox(t.segments.kinds[value], {
        type: "radio",
        name: "kind",
        value,
        checked: value === kind,
        onchange: () => choose(value),
      }),
    ),
  );
  choose(kind);

  /** The values that the person changed. */
  function readChanges() {
    const node = {};
    if (!segment || name.input.value !== segment.name) node.name = name.input.value;
    if (description.input.value !== (segment?.description ?? "")) node.description = description.input.value;
    const isOther = !segment || kind !== initialKind;
    if (kind === "query") {
      if (isOther || search.box.input.value !== text) node.query = search.box.input.value;
      return node;
    }
    const changed = PARTS.filter((part) => isOther || tags[part].isChanged());
    if (changed.length) node.settings = Object.fromEntries(changed.map((part) => [part, tags[part].read()]));
    return node;
  }

  return openFormDialog(
    segment ? t.segments.edit : query ? t.segments.save : t.segments.new,
    t.save,
    [name, description, kinds, sections.query, sections.tags],
    { name, description, settings: tags.include.field, exclude: tags.exclude.field, include: tags.include.field },
    async () => {
      const node = readChanges();
      if (kind === "tags" && node.settings && !PARTS.some((part) => tags[part].read().tags.length)) {
        tags.include.field.setError(t.selection.noTag);
        tags.include.field.input.focus();
        return undefined;
      }
      try {
        const saved = segment ? await update(segment.id, node) : await create(node);
        resetSuggestions();
        toast(t.segments.saved(saved.name));
        return saved;
      } catch (error) {
        const syntaxError = kind === "query" && error.find?.("errors_invalid_query");
        if (!syntaxError) throw error;
        name.setError("");
        search.box.setError(syntaxError);
        search.box.input.focus();
        announce(syntaxError.message, true);
        return undefined;
      }
    },
  );
}

const create = async (node) =>
  (await runMutation("mutation($node: SegmentInput!) { createSegment(node: $node) { id _id name } }", { node }))
    .createSegment;

const update = async (id, node) =>
  (
    await runMutation(
      "mutation($id: ID!, $node: SegmentInput!) { updateSegment(id: $id, node: $node) { id _id name } }",
      { id, node },
    )
  ).updateSegment;

/** A search box with a label, and the number of customers that it finds: `element` and `box`. */
function queryControl(text) {
  const count = h("p", { class: "hint", role: "status" });
  const showCount = async (query) => {
    try {
      const { customersCount } = await runQuery(
        "query($query: String) { customersCount(query: $query, limit: null) { count } }",
        { query },
        { quiet: true },
      );
      if (query !== box.input.value) return;
      replace(count, t.segments.matches(formatNumber(customersCount.count), customersCount.count));
      box.setError(null);
    } catch {
      replace(count); // saving shows the error
    }
  };
  const showLater = debounce(COUNT_DELAY_MS, showCount);
  const box = searchBox({ text, onSearch: showLater, label: t.segments.query });
  showCount(text);
  return { box, element: h("div", { class: "field" }, h("span", { class: "label" }, t.segments.query), box, count) };
}

/** The controls of the tags to include or to exclude. `read()` returns them as the API takes them. */
function tagsControl(part, condition) {
  const initial = condition?.tags.length ? condition : { operator: DEFAULT_OPERATORS[part], tags: [] };
  const text = initial.tags.join(", ");
  const field = formField(
    t.segments.tags[part],
    h("input", { type: "text", value: text, autocomplete: "off", dir: "auto" }),
    { hint: t.create.tagsHint },
  );
  suggestTags(field.input);
  const operator = h(
    "select",
    { "aria-label": t.segments.operator[part] },
    selectOptions(Object.entries(t.segments.operators[part]), initial.operator),
  );
  return {
    field,
    element: h("div", { class: "segment-tags" }, field, operator),
    isChanged: () => field.input.value !== text || (text !== "" && operator.value !== initial.operator),
    // An unchanged text keeps its tags, of which one can contain a comma.
    read: () => ({
      operator: operator.value,
      tags: field.input.value === text ? initial.tags : splitTags(field.input.value),
    }),
  };
}

/**
 * Asks for confirmation, and deletes a segment. If others use it, they are listed with links. Resolves
 * with whether it was deleted.
 */
export async function confirmSegmentDeletion({ id, name }) {
  const notice = errorNotice();
  const isDeleted = await openFormDialog(
    t.segments.deleteTitle(name),
    t.delete,
    [h("p", null, t.segments.deleteText), notice],
    {},
    async () => {
      try {
        await runMutation("mutation($id: ID!) { deleteSegments(items: [$id]) }", { id });
        return true;
      } catch (error) {
        const inUse = error.find?.("errors_in_use");
        if (!inUse) throw error;
        notice.setText([
          h(
            "span",
            null,
            inUse.message,
            inUse.extensions.used_by
              .filter(({ type }) => type === "Segment")
              .map((user) => [" ", h("a", { href: segmentUrl(user) }, userText(user.name))]),
          ),
        ]);
        return undefined;
      }
    },
    "danger",
  );
  if (!isDeleted) return false;
  resetSuggestions();
  toast(t.segments.deleted(name));
  return true;
}

/** A name for a query, such as “VIP, Morocco” for `tag:VIP country:MA`. */
function suggestName(query) {
  const terms = query.match(/(?:[^\s"']+:)?(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')\S*|\S+/g) ?? [];
  const name = terms
    .map(describeTerm)
    .filter(Boolean)
    .join(", ")
    .replaceAll(/, (or|OR), /g, ` ${t.segments.or} `);
  return name.slice(0, 1).toUpperCase() + name.slice(1, MAX_NAME_CHARACTERS);
}

function describeTerm(term) {
  const [, minus, rest] = term.replace(/^\(+|\)+$/g, "").match(/^(-?)(.*)$/s);
  const [, key, value] = rest.match(/^(?:([\w.]+):)?(.*)$/s);
  const text = value
    .replace(/^(["'])(.*)\1/s, "$2")
    .replace(/\\(.)/gs, "$1")
    .replace(/\*$/, "");
  if (!key && ["AND", "NOT"].includes(text)) return "";
  const isPlain = !key || ["tag", "segment", "city", "has", "zip", "state", "email", "name"].includes(key);
  const described = isPlain ? text : key === "country" ? countryName(text) : describeField(key, text);
  return minus && described ? t.segments.not(described) : described;
}

const describeField = (key, value) =>
  value === "true"
    ? t.fieldName(key)
    : value === "false"
      ? t.segments.without(t.fieldName(key))
      : `${t.fieldName(key)} ${value.replace(/^([<>]=?)(?=.)/, "$1 ")}`;
