// The selected customers, across pages, and the actions on them.

import { postOptions, runQuery, runMutation, request } from "./api.js";
import { announce } from "./progress.js";
import { h, userText } from "./dom.js";
import { exportName, NEWSLETTER_COLUMNS, presetButtons } from "./export-presets.js";
import { rowFields } from "./fields.js";
import { displayName, formatNumber } from "./format.js";
import { icon } from "./icons.js";
import { navigate } from "./navigation.js";
import { t } from "./texts.js";
import { showError, checkbox, askConfirmation, openDialog, openFormDialog, toast } from "./ui.js";

// The maximum of ids in one mutation, and of rows on one page.
const BATCH_SIZE = 250;
const UNDO_SECONDS = 10;
const HIDDEN_SECONDS = 60;
const SHOWN_NAMES = 3;
const SHOWN_SELECTED = 250;
// The columns of an export for one of the list, if it has another name.
const EXPORTED = { company: "shipping_address.company,billing_address.company" };
const listedColumns = () => ["regulars_id", ...rowFields().map(({ name }) => EXPORTED[name] ?? name)].join();

/** The selected customers: some ids with their names, or all matches of a search with exceptions. */
export class Selection {
  constructor() {
    this.ids = new Map();
    this.excludedIds = new Set();
    this.search = null;
    this.matchCount = 0;
  }

  get size() {
    return this.search === null ? this.ids.size : this.matchCount - this.excludedIds.size;
  }

  has(id) {
    return this.search === null ? this.ids.has(id) : !this.excludedIds.has(id);
  }

  set(customer, isSelected) {
    const { id } = customer;
    if (this.search === null && isSelected) this.ids.set(id, displayName(customer));
    else if (this.search === null) this.ids.delete(id);
    else this.excludedIds[isSelected ? "delete" : "add"](id);
  }

  /** Selects all that match a search (its `query` and `segment`), and their count. */
  selectAll(search, matchCount) {
    this.clear();
    this.search = search;
    this.matchCount = matchCount;
  }

  clear() {
    this.ids.clear();
    this.excludedIds.clear();
    this.search = null;
  }

  /** Returns the ids of the selected customers. Throws ApiError. */
  async loadIds() {
    if (this.search === null) return [...this.ids.keys()];
    const ids = [];
    let after = null;
    do {
      const { customers } = await runQuery(
        `query($query: String, $segment: String, $after: String) {
        customers(query: $query, segment: $segment, first: ${BATCH_SIZE}, after: $after) { edges { node { id } } pageInfo { hasNextPage endCursor } } }`,
        { ...this.search, after },
      );
      ids.push(...customers.edges.map((edge) => edge.node.id));
      after = customers.pageInfo.hasNextPage ? customers.pageInfo.endCursor : null;
      announce(t.selection.reading(formatNumber(ids.length)));
    } while (after);
    return ids.filter((id) => this.has(id));
  }
}

/**
 * Calls `act` with batches of ids, and `onProgress` with the number of those done. Customers that
 * have been deleted since are skipped. Throws ApiError.
 */
async function forEachBatch(ids, act, onProgress) {
  for (let start = 0; start < ids.length; start += BATCH_SIZE) {
    let batch = ids.slice(start, start + BATCH_SIZE);
    while (batch.length) {
      try {
        await act(batch);
        break;
      } catch (error) {
        const missingIds = error.find?.("errors_customer_not_found")?.extensions.ids;
        if (!missingIds) throw error;
        batch = batch.filter((id) => !missingIds.includes(id));
      }
    }
    onProgress(Math.min(start + BATCH_SIZE, ids.length));
  }
}

/** Lists the selected customers, who can be deselected there. Resolves when the dialog is closed. */
export function openSelectionDialog(selection) {
  const entries = [...selection.ids];
  const row = ([id, name]) =>
    checkbox(userText(name), {
      checked: true,
      onchange: (event) => selection.set({ id, full_name: name }, event.target.checked),
    });
  return openDialog(t.selection.title(formatNumber(entries.length), entries.length), () =>
    h(
      "div",
      null,
      h(
        "ul",
        null,
        entries.slice(0, SHOWN_SELECTED).map((entry) => h("li", null, row(entry))),
      ),
      entries.length > SHOWN_SELECTED
        ? h("p", { class: "hint" }, t.selection.more(formatNumber(entries.length - SHOWN_SELECTED)))
        : null,
    ),
  );
}

/** A notice of a dialog: how many of the selected customers are not on the page. */
export const hiddenNotice = (hidden) =>
  hidden ? h("p", { class: "notice" }, icon("warning"), t.selection.hidden(formatNumber(hidden), hidden)) : null;

/**
 * Asks which customers to export, and in which format; then downloads the file. The `search` is that of
 * the list, and `hidden` selected customers are not on the page. The name of the file has the `label`.
 */
export function openExportDialog(selection, search, matchCount, hidden, label = "") {
  const group = (name, legend, choices) =>
    h(
      "fieldset",
      null,
      h("legend", null, legend),
      choices.map(([value, label], index) => checkbox(label, { type: "radio", name, value, checked: !index })),
    );
  const rows = search.query ? t.exporting.matching : search.segment ? t.exporting.members : t.exporting.all;
  const all = ["all", rows(formatNumber(matchCount), matchCount)];
  return openFormDialog(
    t.exporting.title,
    [icon("download"), t.exporting.submit],
    [
      group(
        "rows",
        t.exporting.customers,
        selection.size
          ? [
              ["selected", t.exporting.selected(formatNumber(selection.size), selection.size)],
              ...(matchCount ? [all] : []),
            ]
          : [all],
      ),
      hiddenNotice(hidden),
      presetButtons(),
      group("format", t.exporting.format, t.exporting.formats),
      group("columns", t.exporting.columns, [
        ["", t.exporting.allFields],
        [NEWSLETTER_COLUMNS, t.exporting.newsletterColumns],
        [listedColumns(), t.exporting.listColumns],
      ]),
    ],
    {},
    async (form) => {
      const input = new FormData(form);
      const isSelected = input.get("rows") === "selected";
      const ids =
        isSelected && (selection.search === null || selection.excludedIds.size) ? await selection.loadIds() : null;
      const format = String(input.get("format"));
      const name = exportName(isSelected ? `${selection.size} ${t.exporting.selectedName}` : label);
      const params = new URLSearchParams(`format=${format}&columns=${input.get("columns")}&name=${name}`);
      const { query, segment } = isSelected && selection.search ? selection.search : search;
      if (!ids) params.set("query", query);
      if (!ids && segment) params.set("segment", segment);
      await download(`/export?${params}`, `${name}.${format.split(/[-&]/)[0]}`, ids);
      return true;
    },
  );
}

/** Downloads the response of a URL, or of a POST request with these ids. Throws ApiError. */
async function download(url, name, ids) {
  if (ids) saveFile(await request(url, { ...postOptions({ ids }), as: "blob" }), name);
  else startDownload(url, name);
}

/** Downloads a blob as a file. */
export function saveFile(blob, name) {
  const url = URL.createObjectURL(blob);
  startDownload(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function startDownload(url, name) {
  h("a", { href: url, download: name }).click();
  toast(t.exporting.started);
}

// A deletion is sent after the time to undo it, or when the page is left.
const pendingDeletions = new Set();
const deletedIds = new Set();
let runningDeletions = 0;
export const isDeleted = (id) => deletedIds.has(id);
/** Shows customers again: they were restored, or not deleted. */
export function revealIds(ids) {
  for (const id of ids) deletedIds.delete(id);
}
/** Returns the days for which deleted customers can be restored. Throws ApiError. */
export const readTrashDays = async () =>
  (await runQuery("{ accountSettings { trash_days } }")).accountSettings.trash_days;
/** The event after which lists are read again. */
export const DELETED_EVENT = "regulars-deleted";
const notifyLists = () => document.dispatchEvent(new CustomEvent(DELETED_EVENT));

/**
 * Deletes customers in ten seconds unless that is undone; one of a `version` only if it is current. The
 * message has their `name`, and the days for which they stay in the trash. `onUndo()` is called when
 * it was undone.
 */
export function scheduleDeletion(ids, name, trashDays, version = null, onUndo = () => {}) {
  for (const id of ids) deletedIds.add(id);
  const deletion = { ids, version, run };
  pendingDeletions.add(deletion);
  const timer = setTimeout(run, UNDO_SECONDS * 1000);
  const finish = () => {
    clearTimeout(timer);
    pendingDeletions.delete(deletion);
  };
  const restore = () => {
    revealIds(ids);
    notifyLists();
  };
  async function run() {
    finish();
    try {
      await deleteNow(ids, version);
    } catch (error) {
      restore();
      showError(error);
      return;
    }
    // The ids stay hidden for a while: a response that is on its way may still contain them.
    setTimeout(() => revealIds(ids), HIDDEN_SECONDS * 1000);
    notifyLists();
  }
  const undo = () => {
    if (pendingDeletions.has(deletion)) {
      finish();
      restore();
      toast(t.undone);
      onUndo();
    }
  };
  const openTrash = () => {
    if (pendingDeletions.has(deletion)) run();
    navigate("/trash");
  };
  toast((trashDays ? t.trash.deleted : t.selection.deleted)(name, trashDays), {
    actions: [[t.undo, undo], ...(trashDays ? [[t.trash.open, openTrash]] : [])],
    seconds: UNDO_SECONDS,
  });
  notifyLists();
}

/** Sends all pending deletions now. */
export const flushDeletions = () => Promise.all([...pendingDeletions].map((deletion) => deletion.run()));

async function deleteNow(ids, version) {
  runningDeletions += 1;
  const label = (done) => t.selection.deleting(formatNumber(done), formatNumber(ids.length));
  const progress = ids.length > BATCH_SIZE ? toast(label(0), { isLasting: true }) : null;
  try {
    await forEachBatch(
      ids,
      (items) => runMutation(DELETE, { items, version }),
      (done) => progress?.setText(label(done)),
    );
  } finally {
    runningDeletions -= 1;
    progress?.close();
  }
}

const DELETE = "mutation($items: [ID!]!, $version: Int) { deleteCustomers(items: $items, ifVersion: $version) }";

// While the page is left, one batch can be sent.
window.addEventListener("beforeunload", (event) => {
  if (runningDeletions || [...pendingDeletions].some(({ ids }) => ids.length > BATCH_SIZE)) event.preventDefault();
});
window.addEventListener("pagehide", () => {
  for (const { ids, version } of pendingDeletions) {
    runMutation(DELETE, { items: ids.slice(0, BATCH_SIZE), version }, { keepalive: true }).catch(() => {});
  }
  pendingDeletions.clear();
});

/** The names of selected customers: first those who are not on the page. */
function selectedNames(selection, customers) {
  const shownIds = new Set(customers.map(({ id }) => id));
  const hiddenNames = [...selection.ids].filter(([id]) => !shownIds.has(id)).map(([, name]) => name);
  return [...hiddenNames, ...customers.filter(({ id }) => selection.has(id)).map(displayName)];
}

/**
 * Deletes the selected customers after a confirmation, which names the first of them. `customers` are
 * those on the page; `hidden` selected ones are not among them. Resolves with whether the person
 * confirmed.
 */
export async function confirmDeletion(selection, customers, hidden) {
  const { size } = selection;
  const shown = formatNumber(size);
  const title = t.selection.deleteTitle(shown, size);
  try {
    const trashDays = await readTrashDays();
    const names = selectedNames(selection, customers).slice(0, SHOWN_NAMES);
    const text = [
      h(
        "p",
        { class: "names" },
        names.map((name, index) => [index ? t.separators.list : null, userText(name)]),
        size > names.length ? [" ", t.selection.more(formatNumber(size - names.length))] : null,
      ),
      hiddenNotice(hidden),
      h("p", null, trashDays ? t.trash.text(trashDays) : t.selection.deleteText),
    ];
    if (!(await askConfirmation(title, text, t.selection.deleteLabel(shown), { count: size }))) return false;
    const ids = await selection.loadIds();
    scheduleDeletion(ids, t.list.count(formatNumber(ids.length), ids.length), trashDays);
  } catch (error) {
    showError(error);
    return false;
  }
  return true;
}
