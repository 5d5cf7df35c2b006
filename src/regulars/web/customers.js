// The list of customers: search, order, pages, selection and shortcuts.

import { ApiError, getViewer, offlineError, runQuery } from "./api.js";
import { customerTable } from "./customer-table.js";
import { h, replace, setAttribute, userText } from "./dom.js";
import { isTextField } from "./fields.js";
import { formatNumber } from "./format.js";
import { icon } from "./icons.js";
import { segmentUrl } from "./kinds.js";
import { lastList, ListQuery, PAGE_SIZES, pageSize, takeFirstPage } from "./list-query.js";
import { setAccountCurrency } from "./money.js";
import { navigate } from "./navigation.js";
import { announce } from "./progress.js";
import { asValue, searchBox } from "./search-box.js";
import { markTab, showTabs } from "./segment-tabs.js";
import {
  confirmDeletion,
  DELETED_EVENT,
  isDeleted,
  openExportDialog,
  openSelectionDialog,
  Selection,
} from "./selection.js";
import { readableMessage } from "./server-messages.js";
import { t } from "./texts.js";
import {
  button,
  checkbox,
  emptyAccount,
  emptyState,
  errorState,
  menuButton,
  newCustomerLink,
  openDialog,
  pageHeader,
  selectOptions,
  showError,
} from "./ui.js";

const SKELETON_AFTER_MS = 300;
const SUGGESTIONS_AFTER_MS = 250;
const WATCH_AFTER_MS = 5_000;

/** Loads a module that most visits do not need. */
const load = (importing) =>
  importing.catch(() => {
    throw offlineError();
  });
/** Loads the dialogs of bulk edits, which most visits do not need. */
const loadEdits = () => load(import("./bulk-edit.js"));
let isOpening = false;
const openEdit = async (open) => {
  if (isOpening) return false;
  isOpening = true;
  try {
    const edits = await loadEdits();
    isOpening = false;
    return await open(edits);
  } catch (error) {
    isOpening = false;
    showError(error);
    return false;
  }
};
const loadTools = () => load(import("./segment-tools.js"));
const loadFilters = () => load(import("./filter-bar.js"));

// The selection stays while another page is shown.
const selection = new Selection();

export async function show({ main, url, signal, setTitle, setHandlers }) {
  let listQuery = new ListQuery(url);
  let customers = [];
  let total = 0;
  let reading = null; // aborts the last request
  let segment = null; // that of the URL, if it exists
  let heading = null; // ends when the header shows the segment
  let isSearchComplete = true; // false while the person is typing it
  let isHeld = false; // whether the list waits for the end of a word
  const firstPage = takeFirstPage(url, () => runQuery(...listQuery.toRequest(), { signal }));
  firstPage.catch(() => {}); // handled where it is awaited
  const { scopes } = await getViewer();
  const canWrite = scopes.includes("customers:write");
  const search = searchBox({
    text: listQuery.text,
    enterList: () => focusRow(body, 0),
    openOnly: () => listQuery.condition && total === 1 && openRow(body),
    onSearch: async (text, isComplete) => {
      isSearchComplete = isComplete;
      // The letters of one search are one entry of the history.
      if (text !== listQuery.text)
        await navigate(listQuery.toUrl({ text }), { replace: history.state?.isTyping, state: { isTyping: true } });
      else if (isComplete) await read();
      if (isComplete && history.state?.isTyping) history.replaceState({ ...history.state, isTyping: false }, "");
    },
  });
  const count = h("p", { class: "count", role: "status" });
  const viewButton = button([icon("columns"), t.view.open], openView, { class: "small" });
  const changed = button("", () => read(), { class: "plain small", hidden: true });
  const bar = h("div", { class: "selection", role: "region", "aria-label": t.selection.label, hidden: true });
  const body = h("div", { class: "list" });
  const exportButton = button([icon("download"), t.exporting.open], () =>
    openExportDialog(selection, listQuery.search, total, hiddenCount(), listLabel()),
  );
  const foot = h("div", { class: "pager" });
  const head = h("div");
  const save = button(t.segments.save, saveSearch, { class: "plain small", hidden: true });
  const selectAll = button("", selectMatches, { class: "plain small", hidden: true });
  const filters = h("ul", { class: "filters", "aria-label": t.filters.label, hidden: true });
  const addFilter = menuButton(t.filters.open, "add", async (close) =>
    (await loadFilters()).filterMenu(() => search.input.value, changeText, close),
  );
  const menu = menuButton(t.nav.segments, "segment", async () => (await loadTools()).segmentLinks());
  const tabs = h(
    "nav",
    { class: "tabs", "aria-label": t.nav.segments },
    h("a", { href: "/customers", "aria-current": listQuery.segment ? null : "page" }, t.segments.allCustomers),
  );
  heading = showHeading();
  if (listQuery.segment) await heading;
  signal.throwIfAborted();
  replace(
    main,
    head,
    h("div", { class: "tab-row" }, tabs, menu),
    search,
    h("div", { class: "filter-row" }, addFilter, filters, save),
    h(
      "div",
      { class: "list-head" },
      h("div", { class: "row" }, count, selectAll, h("span", { role: "status" }, changed)),
      viewButton,
    ),
    bar,
    body,
    foot,
  );

  /** Shows the header: that of all customers, or that of the segment in the URL, which is read again. */
  async function showHeading() {
    const { segment: id, segmentId } = listQuery;
    let content = [];
    let read = null;
    try {
      if (id) {
        const { readSegment, segmentHeader } = await loadTools();
        read = await readSegment(segmentId, signal);
        content = read ? segmentHeader(read, canWrite, showAgain) : [];
      }
    } catch (error) {
      showError(error);
    }
    if (id !== listQuery.segment) return;
    segment = read;
    search.input.placeholder = segment ? t.segments.searchMembers : t.search.placeholder;
    const [actions = null, ...explanation] = content;
    const buttons = () => [...head.querySelectorAll("button")];
    const focusedIndex = buttons().indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    replace(
      head,
      pageHeader(
        segment ? userText(segment.name, { title: segment.name }) : t.nav.customers,
        actions,
        id && (!segment || segment.problem) ? null : exportButton,
        canWrite ? newCustomerLink() : null,
      ),
      explanation,
    );
    buttons()[focusedIndex]?.focus();
    showTitle();
  }

  /** Marks the tab of the segment. The tabs are read at first, after a change, and if it has none. */
  async function renderTabs(isChanged = false) {
    try {
      await heading;
      const isAll = !listQuery.segment;
      if (!markTab(tabs, segment, isAll) || isChanged) await showTabs(tabs, segment, isAll, signal);
    } catch (error) {
      if (error.name !== "AbortError") showError(error);
    }
  }

  /** The segment and the search of the list, for the name of a file. */
  const listLabel = () => [segment?.name, listQuery.condition].filter(Boolean).join(" ");

  function showTitle() {
    const name = segment ? segment.name : t.nav.customers;
    setTitle(listQuery.condition ? `${listQuery.condition} · ${name}` : name);
  }

  /** Reads a segment and its customers again, after a change. */
  function showAgain() {
    selection.clear();
    heading = showHeading();
    renderTabs(true);
    return read();
  }

  /** Asks for the name of a segment with the query of the search, and shows the segment. */
  async function saveSearch() {
    const { condition } = listQuery;
    const query = segment ? `segment:${asValue(segment.name)} (${condition})` : condition;
    try {
      const { openSegmentDialog } = await loadTools();
      const saved = await openSegmentDialog(null, query);
      if (saved) navigate(segmentUrl(saved));
    } catch (error) {
      showError(error);
    }
  }

  /** Searches for another text: a filter has changed. */
  function changeText(text) {
    search.input.value = text;
    isSearchComplete = true;
    return navigate(listQuery.toUrl({ text }));
  }

  /** Shows the filters of the search as chips. */
  async function renderFilters() {
    const { text } = listQuery;
    if (!text && filters.hidden) return;
    const select = (start, end) => {
      search.input.focus();
      search.input.setSelectionRange(start, end);
    };
    // What was typed since is searched, and shown, in a moment.
    const change = (changed) => search.input.value === text && changeText(changed);
    try {
      const { showFilters } = await loadFilters();
      await showFilters(filters, text, { change, select }, reading.signal);
    } catch (error) {
      if (error.name !== "AbortError") showError(error);
    }
  }

  function selectMatches() {
    selection.selectAll(listQuery.search, total);
    showSelection();
  }

  function sort(
    sortKey,
    isAscending = sortKey === listQuery.order.sortKey ? !listQuery.order.isAscending : isTextField(sortKey),
  ) {
    const text = listQuery.hasOwnOrder ? listQuery.condition : listQuery.text;
    search.input.value = text;
    navigate(listQuery.toUrl({ text, sortKey, isAscending }));
  }

  const endHold = () => isHeld && read();
  search.addEventListener("focusout", endHold);
  search.addEventListener("keyup", ({ key }) => key === "Escape" && endHold());

  /** Shows the page that a `response` has, or else requests it. */
  async function read(isComplete = true, response = null) {
    reading?.abort();
    reading = new AbortController();
    const controller = reading;
    signal.addEventListener("abort", () => controller.abort());
    renderFilters();
    const timer = setTimeout(() => body.hasChildNodes() || replace(body, skeleton(8)), SKELETON_AFTER_MS);
    try {
      const { customers: page, accountSettings } = await (response ??
        runQuery(...listQuery.toRequest(), { signal: controller.signal }));
      if (controller.signal.aborted) return;
      await heading;
      if (controller.signal.aborted) return;
      search.setError(null);
      const { totalCount } = page;
      // A key or a value that is being typed matches nobody until it is complete.
      isHeld = !isComplete && !totalCount && Boolean(body.querySelector("table")) && (await search.isCompleting());
      if (controller.signal.aborted) return;
      showStale(isHeld);
      if (isHeld) return;
      setAccountCurrency(accountSettings);
      customers = page.edges.map(({ node }) => node);
      total = totalCount;
      render(page.pageInfo);
      if (isComplete) announce(t.list.announced(formatNumber(total), customers.length));
    } catch (error) {
      if (error.name === "AbortError") return;
      await heading;
      if (!controller.signal.aborted) handleError(error, isComplete);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Marks the list as that of an earlier search, because the present one cannot be executed. */
  function showStale(isStale) {
    const hasTable = Boolean(body.querySelector("table"));
    for (const element of [body, foot]) {
      element.classList.toggle("stale", isStale && hasTable);
      element.inert = isStale && hasTable;
    }
    exportButton.disabled = isStale;
    if (!isStale) return;
    total = 0;
    replace(count);
    if (!hasTable) {
      customers = [];
      replace(foot);
    }
    setAttribute(save, "hidden", true);
    setAttribute(selectAll, "hidden", true);
    showSelection(false);
  }

  function handleError(error, isComplete) {
    const syntaxError = error instanceof ApiError && error.find("errors_invalid_query");
    if (segment?.problem || error.find?.("segments_not_found")) {
      replace(body, segment ? problemState() : missingSegment());
    } else if (syntaxError) {
      // An error at the cursor is none yet while the person is typing.
      if (isComplete || syntaxError.extensions.position < listQuery.text.length - 1) search.setError(syntaxError);
      // While the person is typing, the customers of the last correct search stay, in grey.
      if (isComplete || !body.querySelector("table"))
        replace(body, emptyState("search", t.list.invalidSearch, t.list.invalidSearchText));
      if (isComplete) announce(syntaxError.message, true);
    } else if (error instanceof ApiError && error.has("errors_invalid_cursor")) {
      navigate(listQuery.toUrl(), { replace: true });
      return;
    } else {
      replace(
        body,
        errorState(error, () => read()),
      );
    }
    showStale(true);
  }

  const missingSegment = () =>
    emptyState(
      "segment",
      t.segments.missing,
      t.segments.missingText,
      h("a", { class: "button primary", href: "/customers" }, t.segments.allCustomers),
      h("a", { class: "button", href: "/segments" }, t.segments.all),
    );
  const problemState = () =>
    emptyState("warning", t.segments.problem, [
      readableMessage(segment.problem),
      " ",
      canWrite ? t.segments.repair : t.errors.readOnlyText,
    ]);

  const shownCustomers = () => customers.filter(({ id }) => !isDeleted(id));

  function render(pageInfo) {
    const shown = shownCustomers();
    const focusedId = document.activeElement?.closest?.("tr")?.dataset.id;
    const { pathname, search: parameters } = location;
    if (pathname === "/customers") Object.assign(lastList, { url: pathname + parameters, count: total });
    lastList.isSearch = Boolean(listQuery.condition || segment);
    showChanged(0);
    body.classList.toggle("compact", localStorage.getItem("density") === "compact");
    Object.assign(lastList, { numbers: shown.map(({ _id }) => _id), pageInfo });
    replace(
      count,
      listQuery.condition ? t.list.matching(formatNumber(total), total) : t.list.count(formatNumber(total), total),
    );
    replace(
      body,
      shown.length
        ? customerTable(shown, { order: listQuery.order, sort, selection, onSelect: showSelection })
        : emptyList(),
    );
    replace(foot, total ? pager(pageInfo) : null);
    setAttribute(save, "hidden", !canWrite || !listQuery.condition);
    body.querySelector(`tr[data-id="${CSS.escape(focusedId ?? "")}"] .row-link`)?.focus();
    showSelection(false);
  }

  /** Opens the dialog of the columns, the order and the density. */
  async function openView() {
    try {
      const { openViewDialog } = await load(import("./list-view.js"));
      await openViewDialog(listQuery.order, sort, () => read());
    } catch (error) {
      showError(error);
    }
  }

  /** Says that customers of the page have changed. The rows stay until the person wants to see that. */
  function showChanged(number) {
    setAttribute(changed, "hidden", !number);
    replace(changed, number ? t.list.changed(formatNumber(number), number) : null);
  }

  function emptyList() {
    if (customers.length) return emptyState("trash", t.list.deleting, t.list.deletingText);
    if (listQuery.segment && !listQuery.condition) {
      return segment ? emptyState("segment", t.segments.empty, t.segments.emptyText) : missingSegment();
    }
    if (listQuery.condition) {
      const place = emptyState(
        "search",
        t.list.noMatches,
        t.list.noMatchesText,
        button(t.search.clear, () => {
          search.input.value = "";
          navigate(listQuery.toUrl({ text: "" }));
        }),
      );
      if (!listQuery.segment) setTimeout(() => suggest(place), SUGGESTIONS_AFTER_MS);
      return place;
    }
    return emptyAccount("customers", canWrite);
  }

  /** Shows other words for the search, unless the person has changed it. They are an extra: the list says
   * without them that nobody was found. */
  async function suggest(place) {
    if (!place.isConnected) return;
    const { showSuggestions } = await import("./spelling.js");
    await showSuggestions(place, listQuery, signal).catch(() => {});
  }

  function pager({ hasPreviousPage, hasNextPage, startCursor, endCursor }) {
    const link = (isEnabled, rel, content, changes) =>
      isEnabled
        ? h("a", { class: "button", href: listQuery.toUrl(changes), rel }, content)
        : h("span", { class: "button", "aria-disabled": "true", role: "link" }, content);
    const size = h(
      "select",
      {
        "aria-label": t.list.size,
        onchange: () => {
          localStorage.setItem("page-size", size.value);
          navigate(listQuery.toUrl(), { replace: true });
        },
      },
      selectOptions(
        PAGE_SIZES.map((option) => [option, t.list.perPage(option)]),
        pageSize(),
      ),
    );
    return [
      link(
        hasPreviousPage || Boolean(listQuery.after),
        "prev",
        [icon("back"), t.list.previous],
        startCursor ? { before: startCursor } : {},
      ),
      size,
      link(hasNextPage, "next", [t.list.next, icon("forward")], { after: endCursor }),
    ];
  }

  /** The number of selected customers who are not on the page. Those of a search are all in the list. */
  function hiddenCount() {
    if (selection.search !== null) return 0;
    return selection.size - shownCustomers().filter(({ id }) => selection.has(id)).length;
  }

  function showSelection(isAnnounced = true) {
    for (const row of body.querySelectorAll("tbody tr")) {
      const isSelected = selection.has(row.dataset.id);
      row.classList.toggle("selected", isSelected);
      row.querySelector("input").checked = isSelected;
    }
    const all = body.querySelector("thead input");
    const shown = shownCustomers();
    const count = shown.filter(({ id }) => selection.has(id)).length;
    if (all) {
      all.checked = shown.length > 0 && count === shown.length;
      all.indeterminate = count > 0 && count < shown.length;
    }
    setAttribute(bar, "hidden", !selection.size);
    // All customers of a segment are selected by one button, without those of the page before.
    setAttribute(selectAll, "hidden", !segment || selection.size > 0 || !shown.length);
    replace(selectAll, t.selection.all(formatNumber(total)));
    if (!selection.size) return;
    // The dialog opens before the next key.
    if (canWrite) loadEdits().catch(() => {});
    // A phone has no head of the table, with the box that selects the page.
    const isPageSelected = count === shown.length || !all?.checkVisibility();
    const canSelectAll = selection.search === null && isPageSelected && total > selection.size;
    const hidden = hiddenCount();
    const clear = () => {
      selection.clear();
      showSelection();
    };
    const readIf = (isDone) => {
      if (isDone) {
        clear();
        read();
      }
    };
    const openTags = (isAdding) =>
      openEdit(({ openTagDialog }) => openTagDialog(selection, hidden, isAdding, read)).then(readIf);
    replace(
      bar,
      h("strong", null, t.selection.count(formatNumber(selection.size))),
      hidden
        ? [
            h("span", null, t.selection.hidden(formatNumber(hidden), hidden)),
            button(t.selection.show, () => openSelectionDialog(selection).then(() => showSelection()), {
              class: "plain",
            }),
          ]
        : null,
      canSelectAll ? button(t.selection.all(formatNumber(total)), selectMatches, { class: "plain" }) : null,
      h(
        "div",
        { class: "row" },
        canWrite
          ? [
              button([icon("edit"), t.jobs.edit], () =>
                openEdit(({ openEditDialog }) => openEditDialog(selection, hidden, read)).then(readIf),
              ),
              button([icon("tag"), t.selection.add], () => openTags(true)),
              button([icon("tag"), t.selection.remove], () => openTags(false)),
            ]
          : null,
        button([icon("download"), t.exporting.open], () =>
          openExportDialog(selection, listQuery.search, total, hidden, listLabel()),
        ),
        canWrite
          ? button(
              [icon("trash"), t.selection.delete],
              () =>
                confirmDeletion(selection, shown, hidden).then((isDone) => {
                  if (isDone) clear();
                }),
              { class: "danger" },
            )
          : null,
        button(t.selection.clear, clear, { class: "plain" }),
      ),
    );
    if (isAnnounced) announce(t.selection.count(formatNumber(selection.size)));
  }

  document.addEventListener(DELETED_EVENT, () => read(), { signal });
  document.addEventListener("keydown", (event) => handleKey(event, search, body, canWrite), { signal });
  setHandlers({
    update: async (newUrl) => {
      const previous = listQuery;
      listQuery = new ListQuery(newUrl);
      const isSameSegment = previous.segment === listQuery.segment;
      if (isSameSegment) showTitle();
      else {
        heading = showHeading();
        renderTabs();
      }
      if (isSearchComplete) search.input.value = listQuery.text;
      if (selection.search !== null && !(isSameSegment && previous.query === listQuery.query)) selection.clear();
      await read(isSearchComplete);
      isSearchComplete = true;
      if (previous.after !== listQuery.after || previous.before !== listQuery.before) window.scrollTo(0, 0);
    },
  });
  await read(false, firstPage);
  renderTabs(true);
  // What is needed only later is loaded later.
  const watch = ({ watchPage }) =>
    watchPage(() => (body.inert || !customers.length ? null : { listQuery, customers }), showChanged, signal);
  setTimeout(() => signal.aborted || load(import("./list-refresh.js")).then(watch, () => {}), WATCH_AFTER_MS);
}

/** Shortcuts of the list. Single characters can be turned off (WCAG 2.2, success criterion 2.1.4). */
function handleKey(event, search, body, canWrite) {
  const isTyping = event.target.closest("input:not([type=checkbox]), textarea, select, dialog");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...body.querySelectorAll(".row-link")];
  const index = links.indexOf(event.target.closest("tr")?.querySelector(".row-link") ?? null);
  const isOff = localStorage.getItem("keys") === "off";
  if (event.key === "ArrowDown") focusRow(body, index + 1);
  else if (event.key === "ArrowUp" && index === 0) search.input.focus();
  else if (event.key === "ArrowUp" && index >= 0) focusRow(body, index - 1);
  else if (event.key === "Home" && index >= 0) focusRow(body, 0);
  else if (event.key === "End" && index >= 0) focusRow(body, links.length);
  else if (isOff && event.key !== "?") return;
  else if (event.key === "/") {
    search.input.focus();
    search.input.select();
  } else if (event.key === "j") focusRow(body, index + 1);
  else if (event.key === "k" && index >= 0) focusRow(body, index - 1);
  else if (event.key === "x" && index >= 0) links[index].closest("tr").querySelector("input").click();
  else if (event.key === "n" && canWrite) navigate("/customers/new");
  else if (event.key === "?") showShortcuts(canWrite);
  else return;
  event.preventDefault();
}

/** Moves the focus to a row of the list. Returns whether the list has rows. */
function focusRow(body, index) {
  const links = body.querySelectorAll(".row-link");
  links[Math.max(0, Math.min(links.length - 1, index))]?.focus();
  return links.length > 0;
}

/** Opens the first customer of the list. */
const openRow = (body) => body.querySelector(".row-link")?.click();

/** Shows the shortcuts of a page; without `canWrite` those that read. */
export function showShortcuts(canWrite, shortcuts = t.keys.list) {
  const enabled = checkbox(t.keys.on, {
    checked: localStorage.getItem("keys") !== "off",
    onchange: (event) => localStorage.setItem("keys", event.target.checked ? "on" : "off"),
  });
  return openDialog(t.keys.title, () =>
    h(
      "div",
      null,
      h(
        "dl",
        { class: "keys" },
        shortcuts
          .filter(([keys]) => canWrite || !["n", "c", "e"].includes(keys))
          .map(([keys, action]) => [
            h(
              "dt",
              null,
              keys.split(" ").map((key) => h("kbd", null, key)),
            ),
            h("dd", null, action),
          ]),
      ),
      enabled,
    ),
  );
}

/** Grey bars in the place of a table that is loading. */
function skeleton(rows) {
  return h(
    "div",
    { class: "skeleton", "aria-hidden": "true" },
    Array.from({ length: rows }, () => h("div")),
  );
}
