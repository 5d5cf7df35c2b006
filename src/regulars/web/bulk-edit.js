// The dialogs that edit the selected customers: fields or tags, a preview, and the work itself.

import { runMutation, runQuery } from "./api.js";
import { changedParts, differenceList } from "./differences.js";
import { h, replace, userText } from "./dom.js";
import { EDITABLE_FIELDS } from "./fields.js";
import { displayName, formatNumber, readNumber } from "./format.js";
import { icon } from "./icons.js";
import { followJob, followJobs, JOB_FIELDS, reasons } from "./jobs.js";
import { splitTags } from "./kinds.js";
import { hiddenNotice } from "./selection.js";
import { suggestTags } from "./tag-suggestions.js";
import { t } from "./texts.js";
import {
  button,
  checkbox,
  errorNotice,
  errorMessage,
  formField,
  iconButton,
  openDialog,
  openFormDialog,
  selectOptions,
  showError,
  withBusy,
} from "./ui.js";

const MAX_IDS = 1000;
const CUSTOM = "custom.";
const KINDS = ["Text", "Phone", "Flag", "LongText"];
const FIELDS = EDITABLE_FIELDS.filter(({ kind }) => KINDS.includes(kind));
const PREVIEW = "preview { customer_id fields { name before after } }";
const UPDATE = `mutation($query: String, $segment: String, $items: [ID!], $node: InputUpdateCustomer, $addTags: [String!],
  $removeTags: [String!], $removeCustom: [String!], $increments: [InputIncrement!], $expected: Int, $silent: Boolean,
  $dryRun: Boolean) { updateCustomers(query: $query, segment: $segment, items: $items, node: $node, addTags: $addTags,
  removeTags: $removeTags, removeCustom: $removeCustom, increments: $increments, expected: $expected, silent: $silent,
  dryRun: $dryRun) { ${JOB_FIELDS} } }`;

/** A row that changes one field. `read()` returns the change, or throws the text of a problem. */
function fieldRow(onRemove) {
  const fields = h(
    "select",
    { "aria-label": t.jobs.field, onchange: () => show() },
    selectOptions(
      [["", "–"], ...FIELDS.map(({ name }) => [name, t.fieldName(name)]), [CUSTOM, t.jobs.customField]],
      "",
    ),
  );
  const rest = h("span", { class: "edit-parts" });
  const element = h("div", { class: "edit-row" }, fields, rest, iconButton("trash", t.jobs.removeField, onRemove));
  const name = h("input", {
    type: "text",
    "aria-label": t.jobs.customName,
    placeholder: t.jobs.customName,
    dir: "auto",
  });
  let changes;
  let input;
  const field = () => FIELDS.find((other) => other.name === fields.value);
  function show() {
    const isCustom = fields.value === CUSTOM;
    const kinds = isCustom ? ["set", "clear", "add"] : field()?.kind === "Flag" ? ["set"] : ["set", "clear"];
    changes = h(
      "select",
      { "aria-label": t.jobs.change, onchange: () => showInput() },
      selectOptions(
        kinds.map((kind) => [kind, t.jobs.changes[kind]]),
        "set",
      ),
    );
    input = h("span");
    replace(rest, fields.value ? [isCustom ? name : null, changes, input] : null);
    showInput();
  }
  function showInput() {
    const isFlag = field()?.kind === "Flag";
    const label = changes.value === "add" ? t.jobs.amount : t.jobs.value;
    const other =
      changes.value === "clear"
        ? h("span")
        : isFlag
          ? h(
              "select",
              { "aria-label": label },
              selectOptions(
                [
                  ["true", t.yes],
                  ["false", t.no],
                ],
                "true",
              ),
            )
          : h(field()?.kind === "LongText" ? "textarea" : "input", {
              "aria-label": label,
              placeholder: label,
              dir: "auto",
              inputmode: changes.value === "add" ? "decimal" : null,
            });
    input.replaceWith(other);
    input = other;
  }
  const read = () => {
    if (!fields.value) return {};
    const change = changes.value;
    if (fields.value !== CUSTOM) {
      const isEmpty = change === "clear";
      const isFlag = field().kind === "Flag";
      const cleared = field().kind === "LongText" ? null : "";
      return { node: { [fields.value]: isEmpty ? cleared : isFlag ? input.value === "true" : input.value } };
    }
    const key = name.value.trim();
    if (!key) throw t.jobs.noName;
    if (change === "clear") return { removeCustom: [key] };
    if (change === "set") return { node: { custom: { [key]: input.value } } };
    const amount = readNumber(input.value);
    if (amount === null) throw t.jobs.noAmount;
    return { increments: [{ field: CUSTOM + key, amount }] };
  };
  return { element, read, focus: () => fields.focus() };
}

/** The changes of all rows together. */
function mergeChanges(parts) {
  const edit = { node: {}, removeCustom: [], increments: [] };
  for (const { node = {}, removeCustom = [], increments = [] } of parts) {
    const custom = { ...edit.node.custom, ...node.custom };
    Object.assign(edit.node, node, node.custom || edit.node.custom ? { custom } : {});
    edit.removeCustom.push(...removeCustom);
    edit.increments.push(...increments);
  }
  return edit;
}

const isWholeSearch = ({ search, excludedIds }) => search && !excludedIds.size;

/** The customers of a selection, as arguments of one mutation, or of several for many ids. Throws ApiError. */
async function partsOf(selection) {
  if (isWholeSearch(selection)) {
    const { query, segment } = selection.search;
    return [segment ? { query, segment } : { query }];
  }
  const ids = await selection.loadIds();
  const parts = [];
  for (let start = 0; start < ids.length; start += MAX_IDS) parts.push({ items: ids.slice(start, start + MAX_IDS) });
  return parts;
}

/** The customers of a selection, as arguments of the mutation. Throws ApiError, or a text. */
async function customersOf(selection) {
  if (!isWholeSearch(selection) && selection.size > MAX_IDS) throw t.jobs.tooMany(formatNumber(MAX_IDS));
  return (await partsOf(selection))[0];
}

/**
 * Asks for tags to add to the selected customers, or to remove. `hidden` of them are not on the page;
 * `read()` reads the list again. Resolves with true once the work has begun.
 */
export function openTagDialog(selection, hidden, isAdding, read) {
  const input = h("input", { type: "text", autocomplete: "off", autofocus: true, dir: "auto" });
  const field = formField(t.selection.tag, input, { hint: t.selection.tagHint });
  suggestTags(input);
  const { size } = selection;
  const title = (isAdding ? t.selection.addTitle : t.selection.removeTitle)(formatNumber(size), size);
  const [all, some, none] = isAdding ? t.selection.added : t.selection.removed;
  const describe = (changed, unchanged) =>
    (!changed ? none : unchanged ? some : all)(t.list.count(formatNumber(changed), changed), formatNumber(unchanged));
  return openFormDialog(
    title,
    isAdding ? t.selection.add : t.selection.remove,
    [hiddenNotice(hidden), field],
    { addTags: field, removeTags: field },
    async () => {
      const tags = splitTags(input.value);
      field.setError(tags.length ? "" : t.selection.noTag);
      if (!tags.length) return undefined;
      const change = isAdding ? { addTags: tags } : { removeTags: tags };
      const edits = (await partsOf(selection)).map((part) => ({ ...change, ...part }));
      const rest = edits.slice(1).map((edit) => () => startEdit(edit));
      followJobs(await startEdit(edits[0]), rest, describe, read);
      return true;
    },
  );
}

/**
 * Asks what to change in the selected customers, shows a preview, and starts the work. `hidden` of them
 * are not on the page; `read()` reads the list again. Resolves with true once the work has begun.
 */
export function openEditDialog(selection, hidden, read) {
  const title = t.jobs.title(formatNumber(selection.size), selection.size);
  return openDialog(
    title,
    (close) => {
      const rows = [];
      const list = h("div", { class: "edit-rows" });
      const addRow = () => {
        const row = fieldRow(() => {
          rows.splice(rows.indexOf(row), 1);
          row.element.remove();
          another.focus();
        });
        rows.push(row);
        list.append(row.element);
        return row;
      };
      const another = button([icon("add"), t.jobs.another], () => addRow().focus(), { class: "plain add" });
      const tagField = (label) => {
        const field = formField(label, h("input", { type: "text", autocomplete: "off", dir: "auto" }), {
          hint: t.selection.tagHint,
        });
        suggestTags(field.input);
        return field;
      };
      const [added, removed] = [tagField(t.jobs.addTags), tagField(t.jobs.removeTags)];
      const silent = checkbox(t.jobs.silent);
      const problem = errorNotice();
      const status = h("p", { class: "hint", role: "status" });
      const submit = h("button", { type: "submit", class: "primary" }, t.jobs.preview);
      addRow();
      const readEdit = () => {
        const edit = {
          ...mergeChanges(rows.map((row) => row.read())),
          addTags: splitTags(added.input.value),
          removeTags: splitTags(removed.input.value),
        };
        const changes = Object.entries(edit).filter(([, value]) => Object.keys(value).length);
        if (!changes.length) throw t.jobs.noChange;
        return { ...Object.fromEntries(changes), silent: silent.input.checked };
      };
      const content = h("div");
      const form = h(
        "form",
        {
          novalidate: true,
          onsubmit: async (event) => {
            event.preventDefault();
            problem.setText("");
            try {
              await withBusy(submit, async () => {
                const edit = { ...readEdit(), ...(await customersOf(selection)) };
                status.textContent = t.jobs.previewing;
                const { updateCustomers } = await runMutation(UPDATE, { ...edit, dryRun: true });
                const job = await followJob(updateCustomers.id, undefined, { more: PREVIEW });
                if (job.state !== "done") throw t.jobs.failed(job.message ?? "");
                await showPreview(edit, job);
              });
            } catch (error) {
              problem.setText(typeof error === "string" ? error : errorMessage(error));
            } finally {
              status.textContent = "";
            }
          },
        },
        hiddenNotice(hidden),
        list,
        another,
        h("div", { class: "fields" }, added, removed),
        silent,
        problem,
        status,
        h(
          "div",
          { class: "row end" },
          button(t.cancel, () => close()),
          submit,
        ),
      );
      const showForm = () => {
        replace(content, form);
        rows[0]?.focus();
      };
      async function showPreview(edit, job) {
        const { changed, rejected, total, unchanged } = job;
        const names = await readNames(job.preview.map(({ customer_id: id }) => id));
        const start = button(
          t.jobs.submit(formatNumber(changed), changed),
          async () => {
            close(true);
            const work = { ...edit, expected: total };
            const describe = (count) => t.jobs.edited(formatNumber(count), count);
            try {
              await followJobs(await startEdit(work), [], describe, read);
            } catch (error) {
              showError(error);
            }
          },
          { class: "primary" },
        );
        const heading = h(
          "p",
          { tabindex: "-1" },
          h("strong", null, changed ? t.jobs.wouldChange(formatNumber(changed), changed) : t.jobs.nothingChanges),
          unchanged ? ` ${t.jobs.staySame(formatNumber(unchanged))}` : null,
          rejected ? ` ${t.jobs.cannot(formatNumber(rejected))}` : null,
        );
        replace(
          content,
          heading,
          rejected ? reasons(job.problems) : null,
          job.preview.length
            ? [h("p", null, t.jobs.first), h("ul", { class: "edit-preview" }, job.preview.map(previewItem(names)))]
            : null,
          h("div", { class: "row end" }, button(t.jobs.back, showForm), changed ? start : null),
        );
        heading.focus();
      }
      replace(content, form);
      return content;
    },
    { isWide: true },
  );
}

const previewItem =
  (names) =>
  ({ customer_id: id, fields }) =>
    h("li", null, userText(names.get(id) ?? ""), differenceList(fields.flatMap(changedParts)));

/** The names of customers, by their ids. Throws ApiError. */
async function readNames(ids) {
  if (!ids.length) return new Map();
  const document = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Customer { id full_name email phone } } }";
  const { nodes } = await runQuery(document, { ids }, { quiet: true });
  return new Map(nodes.filter(Boolean).map((customer) => [customer.id, displayName(customer)]));
}

/** Starts an edit without customers that have been deleted since, and returns its job. Throws ApiError. */
async function startEdit(edit) {
  try {
    return (await runMutation(UPDATE, edit)).updateCustomers;
  } catch (error) {
    const missingIds = error.find?.("errors_customer_not_found")?.extensions.ids ?? [];
    const items = edit.items?.filter((id) => !missingIds.includes(id)) ?? [];
    if (!missingIds.length || !items.length) throw error;
    return startEdit({ ...edit, items });
  }
}
