// A secret that is shown once, to be copied.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { button, copyToClipboard } from "./ui.js";

/** The view of a secret in a dialog: a `notice`, the secret with its `label`, and buttons. */
export function secretView(notice, label, text, close) {
  const input = h("input", {
    type: "text",
    readonly: true,
    value: text,
    class: "code",
    "aria-label": label,
    onfocus: (event) => event.target.select(),
  });
  queueMicrotask(() => input.focus());
  return h(
    "div",
    null,
    h("p", { class: "notice" }, icon("key"), h("span", null, notice)),
    h(
      "div",
      { class: "row" },
      input,
      button([icon("copy"), t.copy], () => copyToClipboard(text)),
    ),
    h(
      "div",
      { class: "row end" },
      button(t.done, () => close(true), { class: "primary" }),
    ),
  );
}
