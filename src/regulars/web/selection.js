// Which customers are chosen, across pages, and what is done with them.

import { ask, change, send } from "./api.js";
import { announce } from "./busy.js";
import { h, replace, unique } from "./dom.js";
import { number } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { complain, confirmed, field, formDialog, toast } from "./ui.js";

// What one mutation takes, and one page holds.
const FEW = 250;
const UNDO_SECONDS = 10;
const COLUMNS = "_id,full_name,email,location,tags,orders_count,expenses,updated_at";

/** The chosen customers: those of the ids, or all that a query finds, with exceptions. */
export class Selection {
  constructor() {
    this.ids = new Set();
    this.except = new Set();
    this.query = null;
    this.found = 0;
  }

  get size() {
    return this.query === null ? this.ids.size : this.found - this.except.size;
  }

  has(id) {
    return this.query === null ? this.ids.has(id) : !this.except.has(id);
  }

  set(id, chosen) {
    if (this.query === null) this.ids[chosen ? "add" : "delete"](id);
    else this.except[chosen ? "delete" : "add"](id);
  }

  /** Chooses all that a query finds: so many. */
  all(query, found) {
    this.clear();
    this.query = query;
    this.found = found;
  }

  clear() {
    this.ids.clear();
    this.except.clear();
    this.query = null;
  }

  /** The ids of all who are chosen. Raises Failure. */
  async named() {
    if (this.query === null) return [...this.ids];
    const found = [];
    let after = null;
    do {
      const { customers } = await ask(`query($query: String, $after: String) {
        customers(query: $query, first: ${FEW}, after: $after) { edges { node { id } } pageInfo { hasNextPage endCursor } } }`,
      { query: this.query, after });
      found.push(...customers.edges.map((edge) => edge.node.id));
      after = customers.pageInfo.hasNextPage ? customers.pageInfo.endCursor : null;
      announce(t.selection.reading(number(found.length)));
    } while (after);
    return found.filter((id) => this.has(id));
  }
}

/**
 * Does something with customers, a few at a time, and calls `told` with how many are done. Who has
 * been deleted meanwhile is left out. Raises Failure.
 */
async function forAll(ids, act, told = () => {}) {
  for (let start = 0; start < ids.length; start += FEW) {
    let few = ids.slice(start, start + FEW);
    while (few.length) {
      try {
        await act(few);
        break;
      } catch (failure) {
        const gone = failure.of?.("errors_customer_not_found")?.extensions.ids;
        if (!gone) throw failure;
        few = few.filter((id) => !gone.includes(id));
      }
    }
    told(Math.min(start + FEW, ids.length));
  }
}

/** Adds a tag to who is chosen, or removes one. Resolves true once it is done. */
export function tagThem(selection, tags, add) {
  const list = h("datalist", { id: unique("tags") }, tags.map((tag) => h("option", { value: tag })));
  const input = h("input", { type: "text", list: list.id, autocomplete: "off", autofocus: true, dir: "auto" });
  const labelled = field(t.selection.tag, input, { hint: t.selection.tagHint });
  const progress = h("p", { class: "hint", role: "status" });
  const title = (add ? t.selection.addTitle : t.selection.removeTitle)(number(selection.size));
  const mutation = add ? "addTags" : "removeTags";
  return formDialog(title, add ? t.selection.add : t.selection.remove, [labelled, list, progress], { tags: labelled }, async () => {
    const given = input.value.split(",").map((one) => one.trim()).filter(Boolean);
    labelled.showProblem(given.length ? "" : t.selection.noTag);
    if (!given.length) return undefined;
    const ids = await selection.named();
    const document = `mutation($items: [ID!]!, $tags: [String!]!) { ${mutation}(items: $items, tags: $tags) { id } }`;
    await forAll(ids, (items) => change(document, { items, tags: given }), (done) => replace(progress, t.selection.done(number(done))));
    toast(t.selection.tagged(number(ids.length)));
    return true;
  });
}

/** Offers what can be taken out, and how. */
export function exportThem(selection, query, found) {
  const one = (name, value, label, checked) => h("label", { class: "check" }, h("input", { type: "radio", name, value, checked }), h("span", null, label));
  const all = query ? t.exporting.found : t.exporting.all;
  return formDialog(t.exporting.title, [icon("download"), t.exporting.submit], [
    h("fieldset", null, h("legend", null, t.exporting.who),
      selection.size ? one("who", "chosen", t.exporting.chosen(number(selection.size)), true) : null,
      one("who", "found", all(number(found)), !selection.size)),
    h("fieldset", null, h("legend", null, t.exporting.form),
      one("format", "csv", t.exporting.csv, true), one("format", "jsonl", t.exporting.jsonl, false)),
    h("fieldset", null, h("legend", null, t.exporting.columns),
      one("columns", "", t.exporting.everything, true), one("columns", COLUMNS, t.exporting.shown, false)),
  ], {}, async (form) => {
    const given = new FormData(form);
    const chosen = given.get("who") === "chosen";
    const ids = chosen && (selection.query === null || selection.except.size) ? await selection.named() : null;
    const options = new URLSearchParams({ format: given.get("format") });
    if (given.get("columns")) options.set("columns", given.get("columns"));
    if (!ids) options.set("query", chosen ? selection.query : query);
    await download(`/export?${options}`, `customers.${given.get("format")}`, ids);
    return true;
  });
}

/** Has the browser save what an address answers; to those ids, if they are given. Raises Failure. */
async function download(address, name, ids) {
  const headers = { "Content-Type": "application/json" };
  const target = ids ? URL.createObjectURL(await send(address, { method: "POST", headers, body: JSON.stringify({ ids }), as: "blob" })) : address;
  const link = h("a", { href: target, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  if (ids) setTimeout(() => URL.revokeObjectURL(target), 60_000);
  toast(t.exporting.begun);
}

// What is to be deleted is deleted when the time for a change of mind is over, or the page is left.
const waiting = new Set();
const hidden = new Set();
let deleting = 0;
export const isGone = (id) => hidden.has(id);
/** The event that tells lists to read themselves anew. */
export const DELETED = "regulars-deleted";
const tellLists = () => document.dispatchEvent(new CustomEvent(DELETED));

/**
 * Deletes customers in ten seconds, unless that is undone. `version`, of one customer, is the one
 * that was seen.
 */
export function deleteSoon(ids, text, version = null) {
  for (const id of ids) hidden.add(id);
  const one = { ids, version, now: act };
  waiting.add(one);
  const timer = setTimeout(act, UNDO_SECONDS * 1000);
  const over = () => { clearTimeout(timer); waiting.delete(one); };
  const back = () => { for (const id of ids) hidden.delete(id); tellLists(); };
  async function act() {
    over();
    try {
      await deleteNow(ids, version);
    } catch (failure) {
      back();
      complain(failure);
      return;
    }
    // They stay hidden: an answer that is on its way may still have them.
    tellLists();
  }
  toast(text, { actions: [[t.undo, () => { if (waiting.has(one)) { over(); back(); announce(t.undone); } }]], seconds: UNDO_SECONDS });
  tellLists();
}

/** Deletes at once who waits to be deleted. */
export const deleteWaiting = () => Promise.all([...waiting].map((one) => one.now()));

async function deleteNow(ids, version) {
  deleting += 1;
  const progress = ids.length > FEW ? toast(t.selection.deleting("0", number(ids.length)), { lasting: true }) : null;
  try {
    await forAll(ids, (items) => change(DELETE, { items, version }), (done) => progress?.say(t.selection.deleting(number(done), number(ids.length))));
  } finally {
    deleting -= 1;
    progress?.gone();
  }
}

const DELETE = "mutation($items: [ID!]!, $version: Int) { deleteCustomers(items: $items, ifVersion: $version) }";

// So many cannot be sent while the page is being left.
window.addEventListener("beforeunload", (event) => {
  if (deleting || [...waiting].some(({ ids }) => ids.length > FEW)) event.preventDefault();
});
window.addEventListener("pagehide", () => {
  for (const { ids, version } of waiting) {
    change(DELETE, { items: ids.slice(0, FEW), version }, { keepalive: true }).catch(() => {});
  }
  waiting.clear();
});

/** Asks, and deletes who is chosen. Resolves true if it is to be done. */
export async function deleteThem(selection) {
  const size = number(selection.size);
  if (!(await confirmed(t.selection.deleteTitle(size), t.selection.deleteText, t.selection.deleteLabel(size)))) return false;
  try {
    const ids = await selection.named();
    deleteSoon(ids, t.selection.deleted(number(ids.length)));
  } catch (failure) {
    complain(failure);
    return false;
  }
  return true;
}
