// The language of the pages: the server chooses it by a cookie, or else by the languages of the browser.

import { h } from "./dom.js";
import { t } from "./texts.js";

// The names of the languages, each in its own words. The server has a file of texts for each.
const NAMES = { ar: "العربية", de: "Deutsch", en: "English", es: "Español", fr: "Français" };
const YEAR = 365 * 86_400;

/** A menu to choose the language. The choice is kept in the browser, and loads the page again. */
export function languageMenu() {
  const options = Object.entries(NAMES).map(([code, name]) =>
    h("option", { value: code, lang: code, selected: code === document.documentElement.lang }, name),
  );
  return h("select", { class: "language", "aria-label": t.language, onchange: choose }, options);
}

function choose(event) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  // biome-ignore lint/suspicious/noDocumentCookie: the server reads it, and Safari has no cookieStore.
  document.cookie = `regulars_language=${event.target.value}; Path=/; Max-Age=${YEAR}; SameSite=Lax${secure}`;
  location.reload();
}
