// Navigation: the history, the page that is shown, and the question before unsaved input is lost.

import { offlineError, request } from "./api.js";
import { h, replace } from "./dom.js";
import { startProgress } from "./progress.js";
import { t } from "./texts.js";
import { askToDiscard, errorState, showError } from "./ui.js";

const main = document.getElementById("main");
let findRoute = null;
let onShown = null;
// The page that is shown: its path, the controller of its requests, and its handlers.
let current = null;
let navigationCount = 0;

/**
 * Shows the page of the current URL, and from then on the page of each URL to which a link leads.
 * `find(path)` returns the route and its parameters; `shown(path)` is called with the path that the
 * navigation bar marks.
 */
export function startNavigation(find, shown) {
  findRoute = find;
  onShown = shown;
  history.scrollRestoration = "manual";
  document.addEventListener("click", followLink);
  window.addEventListener("popstate", goBack);
  window.addEventListener("beforeunload", (event) => {
    if (current?.hasUnsavedInput?.()) event.preventDefault();
  });
  return showPage();
}

/** Goes to a URL of these pages; `replace` overwrites the entry of the history. */
export async function navigate(url, { replace: isReplacing = false, state = null } = {}) {
  if (!(await canLeave(url))) return;
  if (!isReplacing) history.replaceState({ ...history.state, scroll: window.scrollY }, "");
  history[isReplacing ? "replaceState" : "pushState"](state, "", url);
  await showPage();
}

/** Loads the document of a URL, without asking about unsaved input. */
export function loadDocument(url) {
  current = null;
  location.assign(url);
}

async function canLeave(url) {
  const isSamePage = new URL(url, location.href).pathname === location.pathname;
  if (isSamePage || !current?.hasUnsavedInput?.()) return true;
  return askToDiscard();
}

/** Shows the page of the current URL; `isBack` after a step in the history. */
async function showPage(isBack = false) {
  const url = new URL(location.href);
  const path = url.pathname.replace(/(.)\/$/, "$1");
  if (path === "/") return navigate("/customers", { replace: true });
  const previousPath = current?.path;
  if (previousPath === path && current.update) {
    await current.update(url);
    if (isBack) window.scrollTo(0, history.state?.scroll ?? 0);
    return null;
  }
  current?.controller.abort();
  const controller = new AbortController();
  current = { path, controller };
  navigationCount += 1;
  const navigation = navigationCount;
  const isFirst = previousPath === undefined;
  const { route, params } = findRoute(path);
  const loadError = offlineError();
  const stopProgress = startProgress();
  try {
    const page = await route.load().catch(() => {
      throw loadError;
    });
    // A page sets its handlers before it waits for what is below its controls, which work already:
    // `update(url)` shows another URL of its path, and `hasUnsavedInput()` says whether to ask first.
    const setHandlers = (handlers) => navigation === navigationCount && Object.assign(current, handlers);
    await page.show({ main, url, signal: controller.signal, params, setTitle, setHandlers });
    if (navigation !== navigationCount) return null;
    if (isBack) restorePosition(previousPath);
    else if (!isFirst) focusTop();
  } catch (error) {
    if (error.name === "AbortError" || navigation !== navigationCount) return null;
    current = { path, controller };
    const state = errorState(error, error === loadError ? reload : showAgain);
    const title = state.querySelector("h2").textContent;
    replace(main, h("h1", { class: "unseen", tabindex: "-1" }, title), state);
    setTitle(title);
    if (!isFirst) focusTop();
  } finally {
    stopProgress();
  }
  onShown(route.parent ?? path);
  return null;
}

function showAgain() {
  current = null;
  showPage();
}

/** Loads the document again once the server responds: it may have another version of the pages. */
function reload() {
  request("/healthz").then(() => location.reload(), showError);
}

/** Sets the title of the document. */
function setTitle(text) {
  document.title = text ? `${text} · ${t.name}` : t.name;
}

/** Scrolls to the beginning of the page, and moves the focus there unless the page has set it. */
function focusTop() {
  window.scrollTo(0, 0);
  const { activeElement } = document;
  if (activeElement === main || !main.contains(activeElement))
    /** @type {HTMLElement} */ (main.querySelector("h1"))?.focus({ preventScroll: true });
}

/** Moves the focus to the link that was followed, and restores the scroll position. */
function restorePosition(followedPath) {
  /** @type {HTMLElement} */ (main.querySelector(`a[href="${followedPath}"]`))?.focus({ preventScroll: true });
  window.scrollTo(0, history.state?.scroll ?? 0);
}

function followLink(event) {
  const link = event.target.closest?.("a[href]");
  const isHandled =
    event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.defaultPrevented;
  if (!link || isHandled || link.hasAttribute("download") || link.target || link.origin !== location.origin) return;
  event.preventDefault();
  if (link.classList.contains("skip")) main.focus();
  else navigate(link.pathname + link.search);
}

async function goBack() {
  const url = location.href;
  if (location.pathname !== current?.path && current?.hasUnsavedInput?.()) {
    history.pushState(null, "", current.path);
    await navigate(url);
  } else {
    await showPage(true);
  }
}
