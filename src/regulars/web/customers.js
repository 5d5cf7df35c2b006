// The list of customers: searched, sorted, page by page, and chosen from.

import { ask, Failure, viewer } from "./api.js";
import { Asked, firstPage, ORDERS, pageSize, SIZES } from "./asked.js";
import { announce } from "./busy.js";
import { h, replace, set } from "./dom.js";
import { number } from "./format.js";
import { icon } from "./icons.js";
import { skeleton, table } from "./list.js";
import { searchBox } from "./search.js";
import { DELETED, deleteThem, exportThem, isGone, Selection, tagThem } from "./selection.js";
import { go } from "./shell.js";
import { t } from "./texts.js";
import { button, dialog, emptyState, failed, pageHead, check } from "./ui.js";

const SKELETON_MS = 300;

// Who is chosen stays so while one looks at a customer and comes back.
const selection = new Selection();

export async function show({ main, url, signal, title }) {
  let asked = new Asked(url);
  let customers = [];
  let total = 0;
  let asking = null;
  let finished = true; // whether the search was meant as it is, and is not being typed
  const early = firstPage(url, () => ask(...asked.reading(), { signal }));
  early.catch(() => {});  // it is waited for below
  const { scopes } = await viewer();
  const writes = scopes.includes("customers:write");
  const search = searchBox({
    text: asked.text,
    tags: () => [...new Set(customers.flatMap((one) => one.tags))].sort(),
    search: async (text, done) => {
      finished = done;
      // What is typed in one go is one step of the history.
      if (text !== asked.text) await go(asked.address({ text }), { replacing: history.state?.typed, state: { typed: true } });
      else if (done) await read();
      if (done && history.state?.typed) history.replaceState({ ...history.state, typed: false }, "");
    },
  });
  const count = h("p", { class: "count", role: "status" });
  const sortBy = h("select", { "aria-label": t.list.sortBy, onchange: () => sort(sortBy.value) },
    ORDERS.map((by) => h("option", { value: by }, t.list.orders[by])));
  const direction = button("", () => sort(asked.order.by, !asked.order.ascending), { class: "icon-button" });
  const bar = h("div", { class: "selection", role: "region", "aria-label": t.selection.label, hidden: true });
  const body = h("div", { class: "list" });
  const foot = h("div", { class: "pager" });
  const head = pageHead(t.nav.customers,
    button([icon("download"), t.exporting.open], () => exportThem(selection, asked.query, total)),
    writes ? h("a", { class: "button primary", href: "/customers/new" }, icon("add"), t.list.new) : null);
  replace(main, head, search, h("div", { class: "list-head" }, count, h("div", { class: "row sorting" }, sortBy, direction)), bar, body, foot);

  function sort(by, ascending = by === asked.order.by ? !asked.order.ascending : ["full_name", "first_name", "last_name", "email"].includes(by)) {
    const text = asked.ordersItself ? asked.condition : asked.text;
    search.input.value = text;
    go(asked.address({ text, by, ascending }));
  }

  async function read(done = true, answer = null) {
    asking?.abort();
    asking = new AbortController();
    const mine = asking;
    signal.addEventListener("abort", () => mine.abort());
    const slow = setTimeout(() => body.hasChildNodes() || replace(body, skeleton(8)), SKELETON_MS);
    try {
      const found = (await (answer ?? ask(...asked.reading(), { signal: mine.signal }))).customers;
      if (mine.signal.aborted) return;
      search.showProblem(null);
      customers = found.edges.map((edge) => edge.node);
      total = found.totalCount;
      render(found.pageInfo);
      if (done) announce(t.list.announced(number(total), customers.length));
    } catch (failure) {
      if (failure.name === "AbortError") return;
      fail(failure, done);
    } finally {
      clearTimeout(slow);
    }
  }

  function fail(failure, done) {
    const error = failure instanceof Failure && failure.of("errors_invalid_query");
    if (error) {
      // Half a search is no mistake yet: what it found before stays.
      if (done || error.extensions.position < asked.text.length - 1) search.showProblem(error);
      if (!body.querySelector("table")) replace(body, emptyState("search", t.list.unread, t.list.unreadText));
      if (done) announce(error.message, true);
    } else if (failure instanceof Failure && failure.has("errors_invalid_cursor")) {
      go(asked.address(), { replacing: true });
    } else {
      replace(body, failed(failure, () => read()));
      replace(foot);
    }
  }

  function render(info) {
    const seen = customers.filter((one) => !isGone(one.id));
    const focused = document.activeElement?.closest?.("tr")?.dataset.id;
    showOrder();
    replace(count, asked.condition ? t.list.found(number(total), total) : t.list.count(number(total), total));
    replace(body, seen.length ? table(seen, { order: asked.order, sort, selection, chosen }) : nobody());
    const older = info.hasPreviousPage || Boolean(asked.after);
    replace(foot, pages(info, older));
    body.querySelector(`tr[data-id="${CSS.escape(focused ?? "")}"] .row-link`)?.focus();
    chosen(false);
  }

  function showOrder() {
    const { by, ascending } = asked.order;
    sortBy.value = by;
    replace(direction, icon(ascending ? "up" : "down"));
    const turned = ascending ? t.list.ascending : t.list.descending;
    set(direction, "aria-label", turned);
    set(direction, "title", turned);
  }

  function nobody() {
    if (customers.length) return emptyState("trash", t.list.going, t.list.goingText);
    if (asked.condition) {
      return emptyState("search", t.list.noneFound, t.list.noneFoundText, button(t.search.clear, () => { search.input.value = ""; go(asked.address({ text: "" })); }));
    }
    return emptyState("customers", t.list.none, t.list.noneText,
      ...(writes ? [h("a", { class: "button primary", href: "/customers/new" }, icon("add"), t.list.new), h("a", { class: "button", href: "/imports" }, icon("upload"), t.list.bring)] : []));
  }

  function pages(info, older) {
    const link = (there, label, name, changed, first) => (there
      ? h("a", { class: "button", href: asked.address(changed), rel: first ? "prev" : "next" }, first ? icon(name) : null, label, first ? null : icon(name))
      : h("span", { class: "button", "aria-disabled": "true", role: "link" }, first ? icon(name) : null, label, first ? null : icon(name)));
    const size = h("select", {
      "aria-label": t.list.size,
      onchange: () => { localStorage.setItem("page-size", size.value); go(asked.address(), { replacing: true }); },
    }, SIZES.map((one) => h("option", { value: one, selected: one === pageSize() }, t.list.each(one))));
    return [
      link(older, t.list.previous, "back", info.startCursor ? { before: info.startCursor } : {}, true),
      size,
      link(info.hasNextPage, t.list.next, "forward", { after: info.endCursor }, false),
    ];
  }

  function chosen(tell = true) {
    for (const row of body.querySelectorAll("tbody tr")) {
      const is = selection.has(row.dataset.id);
      row.classList.toggle("chosen", is);
      row.querySelector("input").checked = is;
    }
    const all = body.querySelector("thead input");
    const seen = customers.filter((one) => !isGone(one.id));
    const some = seen.filter((one) => selection.has(one.id)).length;
    if (all) {
      all.checked = seen.length > 0 && some === seen.length;
      all.indeterminate = some > 0 && some < seen.length;
    }
    set(bar, "hidden", !selection.size);
    if (!selection.size) return;
    const more = selection.query === null && some === seen.length && total > selection.size;
    const none = () => { selection.clear(); chosen(); };
    const after = (done) => { if (done) { none(); read(); } };
    const tags = [...new Set(customers.flatMap((one) => one.tags))].sort();
    replace(bar,
      h("strong", null, t.selection.size(number(selection.size))),
      more ? button(t.selection.all(number(total)), () => { selection.all(asked.query, total); chosen(); }, { class: "plain" }) : null,
      h("div", { class: "row" },
        writes ? [
          button([icon("tag"), t.selection.add], () => tagThem(selection, tags, true).then(after)),
          button([icon("tag"), t.selection.remove], () => tagThem(selection, tags, false).then(after)),
        ] : null,
        button([icon("download"), t.exporting.open], () => exportThem(selection, asked.query, total)),
        writes ? button([icon("trash"), t.selection.delete], () => deleteThem(selection).then((done) => { if (done) none(); }), { class: "danger" }) : null,
        button(t.selection.clear, none, { class: "plain" })));
    if (tell) announce(t.selection.size(number(selection.size)));
  }

  document.addEventListener(DELETED, () => read(), { signal });
  document.addEventListener("keydown", (event) => keys(event, { search, body }), { signal });
  showOrder();
  const describe = () => title(asked.condition ? `${asked.condition} · ${t.nav.customers}` : t.nav.customers);
  describe();
  await read(false, early);
  return {
    update: async (changed) => {
      const before = asked;
      asked = new Asked(changed);
      describe();
      if (finished) search.input.value = asked.text;
      if (selection.query !== null && before.query !== asked.query) selection.clear();
      await read(finished);
      finished = true;
      if (before.after !== asked.after || before.before !== asked.before) window.scrollTo(0, 0);
    },
  };
}

/** Keys of the list. Single characters can be turned off (WCAG 2.2, success criterion 2.1.4). */
function keys(event, { search, body }) {
  const typing = event.target.closest("input:not([type=checkbox]), textarea, select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...body.querySelectorAll(".row-link")];
  const place = links.indexOf(event.target.closest("tr")?.querySelector(".row-link") ?? null);
  const off = localStorage.getItem("keys") === "off";
  const to = (one) => links[Math.max(0, Math.min(links.length - 1, one))]?.focus();
  if (event.key === "ArrowDown") to(place + 1);
  else if (event.key === "ArrowUp" && place >= 0) to(place - 1);
  else if (event.key === "Home" && place >= 0) to(0);
  else if (event.key === "End" && place >= 0) to(links.length);
  else if (off && event.key !== "?") return;
  else if (event.key === "/") { search.input.focus(); search.input.select(); }
  else if (event.key === "j") to(place + 1);
  else if (event.key === "k" && place >= 0) to(place - 1);
  else if (event.key === "x" && place >= 0) links[place].closest("tr").querySelector("input").click();
  else if (event.key === "n") go("/customers/new");
  else if (event.key === "?") showKeys();
  else return;
  event.preventDefault();
}

function showKeys() {
  const on = check(t.keys.on, {
    checked: localStorage.getItem("keys") !== "off",
    onchange: (event) => localStorage.setItem("keys", event.target.checked ? "on" : "off"),
  });
  return dialog(t.keys.title, () => h("div", null,
    h("dl", { class: "keys" }, t.keys.list.map(([name, what]) => [h("dt", null, name.split(" ").map((one) => h("kbd", null, one))), h("dd", null, what)])),
    on));
}
