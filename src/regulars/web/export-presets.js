// The choices of an export for common purposes, and the name of its file.

import { h } from "./dom.js";
import { t } from "./texts.js";
import { button } from "./ui.js";

export const NEWSLETTER_COLUMNS = "email,first_name,accepts_marketing";
// The values of the groups `format` and `columns`.
const PRESETS = {
  newsletter: ["csv", NEWSLETTER_COLUMNS],
  all: ["csv", ""],
  excel: ["xlsx", ""],
};
const MAX_NAME = 60;

/** Buttons that choose the format and the columns of the form in which they are. */
export function presetButtons() {
  const choose = (form, name, value) => {
    for (const input of form.querySelectorAll(`input[name=${name}]`)) input.checked = input.value === value;
  };
  return h(
    "div",
    { class: "row", role: "group", "aria-label": t.exporting.presets },
    Object.entries(PRESETS).map(([name, [format, columns]]) =>
      button(
        t.exporting.presetNames[name],
        (event) => {
          const { form } = event.currentTarget;
          choose(form, "format", format);
          choose(form, "columns", columns);
        },
        { class: "small" },
      ),
    ),
  );
}

/** The name of a file without its ending: the date, and the `text` that says which customers it has. */
export function exportName(text) {
  const now = new Date();
  const date = [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((part) => String(part).padStart(2, "0"));
  const words = text
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, "-")
    .slice(0, MAX_NAME)
    .replace(/^-|-$/g, "");
  return ["customers", ...date, words].filter(Boolean).join("-");
}
