// The page for a URL without a page.

import { h, replace } from "./dom.js";
import { t } from "./texts.js";
import { emptyState } from "./ui.js";

export function show({ main, setTitle }) {
  setTitle(t.missing.title);
  replace(main, h("h1", { class: "unseen", tabindex: "-1" }, t.missing.title),
    emptyState("search", t.missing.title, t.missing.text, h("a", { class: "button primary", href: "/customers" }, t.missing.go)));
}
