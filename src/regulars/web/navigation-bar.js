// The navigation bar: links to the pages, the account, and signing out.

import { getViewer, resetViewer, signOut } from "./api.js";
import { h, replace, userText } from "./dom.js";
import { icon } from "./icons.js";
import { languageButton } from "./language.js";
import { loadDocument } from "./navigation.js";
import { flushDeletions } from "./selection.js";
import { t } from "./texts.js";
import { button, runAction } from "./ui.js";

/** Where the explorer keeps its history, until the person signs out. */
export const EXPLORER_STORAGE_KEY = "explorer";

const bar = document.querySelector("#nav");
let links = [];
let markedPath = null;
let accountName = null;

/** Sets the routes whose links the bar shows. */
export function setRoutes(routes) {
  links = routes.filter((route) => route.icon);
}

/** The image of the product. */
export const logo = (size) =>
  h("img", { src: new URL("icon.svg", import.meta.url).pathname, alt: "", width: size, height: size });

/** Shows the bar for the person who is signed in; `isChanged` after a change of their name or role. */
export async function showNavigationBar(isChanged = false) {
  if (isChanged) resetViewer();
  const { account, token, person, scopes } = await getViewer();
  accountName = account.name;
  const allowed = links.filter(({ scope }) => scope === null || scopes.includes(scope));
  const toggle = h(
    "button",
    {
      type: "button",
      class: "icon-button menu",
      "aria-label": t.menu,
      "aria-expanded": "false",
      "aria-controls": "pages",
      onclick: () => toggleMenu(!bar.classList.contains("open")),
    },
    icon("menu"),
  );
  replace(
    bar,
    h("a", { class: "brand", href: "/customers" }, logo(28), t.name),
    toggle,
    h(
      "div",
      { class: "menu-body", id: "pages" },
      h(
        "nav",
        { "aria-label": t.pages },
        linksOf(allowed, undefined),
        groupOf("settings", [...linksOf(allowed, "settings"), scopes.includes("settings") ? settingsLink() : null]),
        groupOf("developers", linksOf(allowed, "developers")),
      ),
      h(
        "div",
        { class: "viewer" },
        h(
          "div",
          null,
          userText(account.name, { class: "account" }),
          h("span", { class: "token" }, userText(person?.name ?? token.name)),
          person ? h("span", { class: "token" }, t.people.roles[person.role] ?? person.role) : null,
        ),
        languageButton(),
        button([icon("sign_out"), t.signOut], (event) => leave(event.currentTarget), { class: "plain" }),
      ),
    ),
  );
  markLink(markedPath);
}

const linksOf = (routes, group) =>
  routes
    .filter((route) => route.group === group)
    .map(({ path, icon: name }) => h("a", { href: path }, icon(name), t.nav[path.slice(1)]));

/** The settings of the account are a form, and no page. */
const settingsLink = () =>
  button([icon("edit"), t.accountLink], async (event) => {
    const control = event.currentTarget;
    const { editSettings } = await import("./account-settings.js");
    await editSettings(control);
  });

const groupOf = (group, groupLinks) =>
  groupLinks.some(Boolean)
    ? h(
        "div",
        { role: "group", "aria-label": t.navGroups[group] },
        h("p", { "aria-hidden": true }, t.navGroups[group]),
        groupLinks,
      )
    : null;

/** Removes the bar, because no session exists. */
export function hideNavigationBar() {
  replace(bar);
}

/** Opens or closes the menu of a narrow screen. */
function toggleMenu(isOpen) {
  bar.classList.toggle("open", isOpen);
  bar.querySelector(".menu")?.setAttribute("aria-expanded", String(isOpen));
}

bar.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.key !== "Escape" || !bar.classList.contains("open")) return;
  toggleMenu(false);
  /** @type {HTMLElement} */ (bar.querySelector(".menu")).focus();
  event.stopPropagation();
});

/** The account whose bar is shown, or null. */
export const shownAccount = () => (bar.hasChildNodes() ? accountName : null);

/** Marks the link of the page that is shown, and closes the menu. */
export function markLink(path) {
  markedPath = path;
  for (const link of bar.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === path) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  toggleMenu(false);
}

async function leave(control) {
  const isSignedOut = await runAction(control, async () => {
    await flushDeletions();
    await signOut();
  });
  if (!isSignedOut) return;
  localStorage.removeItem(EXPLORER_STORAGE_KEY);
  loadDocument("/sign-in");
}
