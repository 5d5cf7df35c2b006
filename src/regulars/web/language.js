// The language of the pages: the server chooses it by a cookie, or else by the languages of the browser.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { button, openDialog } from "./ui.js";

// The names of the languages, each in its own words. The server has a file of texts for each.
const NAMES = { ar: "العربية", de: "Deutsch", en: "English", es: "Español", fr: "Français" };
const YEAR_SECONDS = 365 * 86_400;

/** A button with the name of the language, which opens a dialog with the others. */
export function languageButton() {
  const label = h("span", { class: "unseen" }, `${t.language}: `);
  return button([icon("language"), label, nameOf(document.documentElement.lang)], openLanguages, { class: "plain" });
}

const nameOf = (code) => h("span", { lang: code }, NAMES[code]);

const openLanguages = () =>
  openDialog(t.language, () =>
    h(
      "div",
      { class: "languages" },
      Object.keys(NAMES).map((code) => {
        const isCurrent = code === document.documentElement.lang;
        const properties = { "aria-current": isCurrent ? "true" : null, autofocus: isCurrent };
        return button(nameOf(code), () => choose(code), properties);
      }),
    ),
  );

/** Keeps the choice in the browser, and loads the page again. */
function choose(code) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  // biome-ignore lint/suspicious/noDocumentCookie: the server reads it, and Safari has no cookieStore.
  document.cookie = `regulars_language=${code}; Path=/; Max-Age=${YEAR_SECONDS}; SameSite=Lax${secure}`;
  location.reload();
}
