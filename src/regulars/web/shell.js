// The frame of all pages: which page an address is, the navigation, and signing in and out.

import { begin, end, Failure, forget, OFFLINE, send, viewer } from "./api.js";
import { busy } from "./busy.js";
import { h, replace, said } from "./dom.js";
import { icon } from "./icons.js";
import { deleteWaiting } from "./selection.js";
import { t } from "./texts.js";
import { button, complain, confirmed, during, failed, field, messageOf } from "./ui.js";

/** Where the explorer keeps what was run, until one signs out. */
export const HISTORY = "explorer";

const main = document.querySelector("#main");
const nav = document.querySelector("#nav");

const PAGES = [
  [/^\/customers$/, () => import("./customers.js")],
  [/^\/customers\/new$/, () => import("./new.js"), "/customers"],
  [/^\/customers\/(?<number>\d+)$/, () => import("./customer.js"), "/customers"],
  [/^\/overview$/, () => import("./overview.js")],
  [/^\/imports$/, () => import("./imports.js")],
  [/^\/webhooks$/, () => import("./webhooks.js")],
  [/^\/webhooks\/(?<number>\d+)$/, () => import("./webhook.js"), "/webhooks"],
  [/^\/tokens$/, () => import("./tokens.js")],
  [/^\/explorer$/, () => import("./explorer.js")],
];
const LINKS = [
  ["/customers", "customers", "customers:read"],
  ["/overview", "overview", "customers:read"],
  ["/imports", "upload", "customers:write"],
  ["/webhooks", "webhook", "webhooks"],
  ["/tokens", "key", "admin"],
  ["/explorer", "code", null],
];

let present = null; // the page that is shown: what it is of, and how it is left
let counted = 0;
let signedIn = null; // whose name is on the navigation

/** Goes to an address of these pages. */
export async function go(address, { replacing = false, state = null } = {}) {
  if (!(await mayLeave(address))) return;
  // One comes back to where one was.
  if (!replacing) history.replaceState({ ...history.state, scroll: window.scrollY }, "");
  history[replacing ? "replaceState" : "pushState"](state, "", address);
  await route();
}

/** Whether the page may be left: what is not saved would be lost. */
async function mayLeave(address) {
  const stays = new URL(address, location.href).pathname === location.pathname;
  if (stays || !present?.unsaved?.()) return true;
  return confirmed(t.unsaved.title, t.unsaved.text, t.unsaved.leave);
}

/** Shows the page that the address is; `back` where the browser has gone there. */
export async function route(back = false) {
  const url = new URL(location.href);
  const path = url.pathname.replace(/(.)\/$/, "$1");
  if (path === "/") return go("/customers", { replacing: true });
  if (path === "/sign-in") return showSignIn(url.hash.slice(1));
  const [pattern, load, within] = PAGES.find(([one]) => one.test(path)) ?? [null, () => import("./missing.js")];
  const left = present?.path;
  if (left === path && present.update) {
    await present.update(url);
    if (back) window.scrollTo(0, history.state?.scroll ?? 0);
    return null;
  }
  present?.leave.abort();
  const leave = new AbortController();
  const first = left === undefined;
  present = { path, leave };
  counted += 1;
  const mine = counted;
  const stop = busy();
  const page = { main, url, signal: leave.signal, params: path.match(pattern ?? "").groups ?? {}, title: titled };
  try {
    const module = await load().catch(() => { throw new NotLoaded(); });
    const shown = await module.show(page);
    if (mine !== counted) return null;
    Object.assign(present, shown);
    if (back) comeBack(left);
    else if (!first) arrive();
  } catch (failure) {
    if (failure.name === "AbortError" || mine !== counted) return null;
    replace(main, h("h1", { class: "unseen", tabindex: "-1" }, t.errors.title), failed(failure, failure instanceof NotLoaded ? reload : again));
    titled(t.errors.title);
    if (!first) arrive();
  } finally {
    stop();
  }
  mark(within ?? path);
  return null;
}

function again() {
  present = null;
  route();
}

/** A part of the pages could not be had: the server does not answer, or has another version of it. */
class NotLoaded extends Failure {
  constructor() {
    super([{ key: OFFLINE, message: t.errors.offline, extensions: {} }]);
  }
}

/** Loads the pages anew, once there is a server to load them from. */
function reload() {
  send("/healthz").then(() => location.reload(), complain);
}

/** Names the page, for the tab and for the history. */
function titled(text) {
  document.title = text ? `${text} · ${t.name}` : t.name;
}

/** Who comes by a link is at the beginning of the page: also who cannot see it. */
function arrive() {
  window.scrollTo(0, 0);
  main.querySelector("h1")?.focus({ preventScroll: true });
}

/** Who comes back is where they left: at the link that they followed. */
function comeBack(left) {
  main.querySelector(`a[href="${left}"]`)?.focus({ preventScroll: true });
  window.scrollTo(0, history.state?.scroll ?? 0);
}

function mark(path) {
  for (const link of nav.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === path) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  nav.classList.remove("open");
  nav.querySelector(".menu")?.setAttribute("aria-expanded", "false");
}

/** Shows the navigation, once it is known who is signed in. */
export async function showNavigation() {
  signedIn = await viewer();
  const { account, token, scopes } = signedIn;
  const links = LINKS.filter(([, , scope]) => scope === null || scopes.includes(scope));
  const toggle = h("button", {
    type: "button", class: "icon-button menu", "aria-label": t.menu, "aria-expanded": "false", "aria-controls": "pages",
    onclick: () => toggle.setAttribute("aria-expanded", String(nav.classList.toggle("open"))),
  }, icon("menu"));
  replace(nav,
    h("a", { class: "brand", href: "/customers" }, h("img", { src: new URL("icon.svg", import.meta.url).pathname, alt: "", width: 28, height: 28 }), t.name),
    toggle,
    h("div", { class: "menu-body", id: "pages" },
      h("nav", { "aria-label": t.pages }, links.map(([path, name]) => h("a", { href: path }, icon(name), t.nav[path.slice(1)]))),
      h("div", { class: "who" },
        h("div", null, said(account.name, { class: "account" }), h("span", { class: "token" }, said(token.name))),
        button([icon("sign_out"), t.signOut], (event) => leave(event.currentTarget), { class: "plain" }))));
  mark(location.pathname);
}

async function leave(control) {
  try {
    await during(control, async () => {
      await deleteWaiting();
      await end();
    });
  } catch (failure) {
    complain(failure);
    return;
  }
  localStorage.removeItem(HISTORY);
  // Nothing of one account is there when somebody signs in to another.
  present = null;
  location.assign("/sign-in");
}

/** The form by which one signs in; `then` is called with nothing once one has. */
function signInForm(then) {
  const token = h("input", { type: "password", name: "token", autocomplete: "current-password", required: true, spellcheck: "false", autofocus: true });
  const labelled = field(t.signIn.token, token, { hint: t.signIn.hint });
  const submit = h("button", { type: "submit", class: "primary wide" }, t.signIn.submit);
  return h("form", {
    novalidate: true,
    onsubmit: async (event) => {
      event.preventDefault();
      labelled.showProblem("");
      if (!token.value.trim()) {
        labelled.showProblem(t.signIn.missing);
        token.focus();
        return;
      }
      try {
        await during(submit, () => begin({ token: token.value.trim() }));
      } catch (failure) {
        labelled.showProblem(messageOf(failure));
        token.select();
        return;
      }
      forget();
      await then();
    },
  }, labelled, submit);
}

async function showSignIn(code, wanted = "/customers") {
  titled(t.signIn.title);
  replace(nav);
  document.body.classList.add("signing-in");
  const arrived = async () => {
    document.body.classList.remove("signing-in");
    present = null;
    await showNavigation();
    await go(wanted, { replacing: true });
  };
  const show = (problem) => replace(main, h("div", { class: "sign-in card" },
    h("img", { src: new URL("icon.svg", import.meta.url).pathname, alt: "", width: 48, height: 48 }),
    h("h1", { tabindex: "-1" }, t.signIn.title),
    problem ? h("p", { class: "notice wrong", role: "alert" }, problem) : null,
    signInForm(arrived)));
  if (!code) {
    show("");
    main.querySelector("input").focus();
    return;
  }
  // The code is used up by this: it need not stand in the history.
  history.replaceState(null, "", "/sign-in");
  try {
    await begin({ link: code });
    await arrived();
  } catch (failure) {
    show(messageOf(failure));
  }
}

let asking = null;

/** Asks who was signed out to sign in again, over the page, so that nothing of it is lost. */
export function signInAgain() {
  if (!nav.hasChildNodes()) {
    // Nothing is shown yet: it is a page of its own.
    const wanted = location.pathname + location.search;
    if (wanted !== "/sign-in") {
      history.replaceState(null, "", "/sign-in");
      showSignIn("", wanted);
    }
    return new Promise(() => {});
  }
  const before = signedIn;
  asking ??= new Promise((resolve) => {
    const made = h("dialog", { "aria-label": t.signIn.title, oncancel: (event) => event.preventDefault() },
      h("h2", null, t.signIn.again), h("p", null, t.signIn.ended),
      signInForm(async () => {
        if ((await viewer()).account.name !== before.account.name) {
          present = null;
          location.assign("/customers");
          return;
        }
        made.close();
        made.remove();
        asking = null;
        resolve();
      }));
    document.body.append(made);
    made.showModal();
    made.querySelector("input").focus();
  });
  return asking;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  const other = event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.defaultPrevented;
  if (!link || other || link.hasAttribute("download") || link.target || link.origin !== location.origin) return;
  if (link.classList.contains("skip")) {
    event.preventDefault();
    main.focus();
    return;
  }
  event.preventDefault();
  go(link.pathname + link.search);
});
window.addEventListener("popstate", async () => {
  const wanted = location.href;
  if (location.pathname !== present?.path && present?.unsaved?.()) {
    history.pushState(null, "", present.path);
    await go(wanted);
  } else {
    await route(true);
  }
});
window.addEventListener("beforeunload", (event) => {
  if (present?.unsaved?.()) event.preventDefault();
});
