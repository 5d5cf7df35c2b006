// Shared elements: messages, buttons, dialogs, forms with their errors, and states of a page.

import { ApiError, OFFLINE } from "./api.js";
import { announce } from "./progress.js";
import { h, replace, setAttribute, uniqueId } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";

const TOAST_SECONDS = 6;
const ERROR_SECONDS = 12;
const toasts = document.querySelector("#toasts");

/**
 * Shows a message. `actions` are pairs of a label and a function; an `isLasting` message stays until
 * it is closed. Returns `close()`, and `setText(text)`.
 */
export function toast(text, { actions = [], isError = false, seconds = TOAST_SECONDS, isLasting = false } = {}) {
  let timer = 0;
  const close = () => { clearTimeout(timer); element.remove(); };
  const start = () => {
    clearTimeout(timer);
    if (!isLasting) timer = setTimeout(close, seconds * 1000);
  };
  const content = h("p", null, text);
  const element = h("div", { class: isError ? "toast wrong" : "toast" }, content, h("div", { class: "row" },
    actions.map(([label, act]) => button(label, () => { close(); act(); }, { class: "plain" })), iconButton("close", t.close, close)));
  toasts.append(element);
  announce(text, isError);
  // A message without actions stays while the person points at it: WCAG 2.2, criterion 2.2.1.
  if (!actions.length) {
    for (const event of ["pointerenter", "focusin"]) element.addEventListener(event, () => clearTimeout(timer));
    for (const event of ["pointerleave", "focusout"]) element.addEventListener(event, start);
  }
  start();
  return { close, setText: (other) => replace(content, other) };
}

/** Shows the message of an error, unless the request was aborted. */
export function showError(error) {
  if (error?.name === "AbortError") return;
  if (!(error instanceof ApiError)) console.error(error);
  toast(errorMessage(error), { isError: true, seconds: ERROR_SECONDS });
}

/** The message of an error. */
export const errorMessage = (error) => (error instanceof ApiError ? error.message : t.errors.ours);

/** A button. */
export function button(label, act, properties = {}) {
  return h("button", { type: "button", onclick: act, ...properties }, label);
}

/** A button with an icon; its label is the tooltip, and what a screen reader says. */
export function iconButton(name, label, act, properties = {}) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick: act, ...properties }, icon(name));
}

/** Runs `work`; until it has ended, its control is busy and ignores another press. */
export async function withBusy(control, work) {
  if (control.getAttribute("aria-disabled")) return new Promise(() => {});
  setAttribute(control, "aria-disabled", "true");
  control.classList.add("waiting");
  try {
    return await work();
  } finally {
    setAttribute(control, "aria-disabled", null);
    control.classList.remove("waiting");
  }
}

/** Opens a dialog with the element that `build(close)` returns. Resolves with the result that `close` is called with. */
export function openDialog(title, build, { isWide = false } = {}) {
  return new Promise((resolve) => {
    const label = uniqueId("dialog");
    const close = (result = null) => { element.close(); element.remove(); resolve(result); };
    const element = h("dialog", { "aria-labelledby": label, class: isWide ? "wide" : null },
      h("div", { class: "dialog-head" }, h("h2", { id: label }, title), iconButton("close", t.close, () => close())));
    element.append(build(close));
    element.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
    document.body.append(element);
    element.showModal();
    (element.querySelector("[autofocus]") ?? element.querySelector("input, textarea, select") ?? element).focus();
  });
}

/** Asks for confirmation. Resolves with true if it is given. */
export function askConfirmation(title, text, label) {
  return openDialog(title, (close) => h("div", null,
    h("p", null, text),
    h("div", { class: "row end" },
      button(t.cancel, () => close(false), { autofocus: true }),
      button(label, () => close(true), { class: "danger" }))));
}

/**
 * A labelled input with a `hint` below it. The element has the `input`, and `setError(text)`, which
 * shows an error there.
 */
export function formField(label, input, { hint = null } = {}) {
  input.id ||= uniqueId("field");
  const problem = h("p", { class: "problem", id: uniqueId("problem") });
  const explanation = hint ? h("p", { class: "hint", id: uniqueId("hint") }, hint) : null;
  setAttribute(input, "aria-describedby", explanation ? `${explanation.id} ${problem.id}` : problem.id);
  const element = h("div", { class: "field" }, h("label", { for: input.id }, label), input, explanation, problem);
  element.input = input;
  element.setError = (text) => {
    setAttribute(input, "aria-invalid", text ? "true" : null);
    replace(problem, text ? [icon("warning"), text] : []);
  };
  return element;
}

/** A checkbox with its label; the element has the `input`. */
export function checkbox(label, properties = {}) {
  const input = h("input", { type: "checkbox", ...properties });
  const element = h("label", { class: "check" }, input, h("span", null, label));
  element.input = input;
  return element;
}

/**
 * Shows each error at its field: the entry of `fields` whose name is a part of the error's
 * `input_path`. `showRest(message)` is called with the message of the others, if there are any.
 */
export function showFieldErrors(error, fields, showRest) {
  for (const field of Object.values(fields)) field.setError("");
  const rest = [];
  let first = null;
  for (const entry of error.errors ?? []) {
    const path = entry.extensions?.input_path ?? [];
    const name = path.map((_, start) => path.slice(start).join(".")).find((part) => part in fields)
      ?? path.toReversed().find((part) => part in fields);
    if (name === undefined) {
      rest.push(entry);
      continue;
    }
    fields[name].setError(entry.message);
    first ??= fields[name];
  }
  first?.input.focus();
  if (first) announce(error.message, true);
  if (rest.length || !first) showRest(errorMessage(rest.length ? new ApiError(rest) : error));
}

/**
 * Opens a dialog with a form. `submit(form, close)` resolves with the result of the dialog, or with
 * undefined if it stays open; its errors are shown at the `fields`, others at the first of them.
 */
export function openFormDialog(title, label, content, fields, submit) {
  return openDialog(title, (close) => {
    const control = h("button", { type: "submit", class: "primary" }, label);
    return h("form", {
      novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        try {
          const result = await withBusy(control, () => submit(event.target, close));
          if (result !== undefined) close(result);
        } catch (error) {
          showFieldErrors(error, fields, Object.values(fields)[0]?.setError ?? (() => showError(error)));
        }
      },
    }, content, h("div", { class: "row end" }, button(t.cancel, () => close()), control));
  });
}

/** The state of a page, or a part of it, without content: an icon, a title, a text and buttons. */
export function emptyState(name, title, text, ...actions) {
  return h("div", { class: "empty-state" }, icon(name), h("h2", null, title), h("p", null, text), h("div", { class: "row" }, actions));
}

/** The state of a page that could not be loaded, with a button that calls `retry`. */
export function errorState(error, retry) {
  if (!(error instanceof ApiError)) console.error(error);
  const title = error instanceof ApiError && error.has(OFFLINE) ? t.errors.offlineTitle : t.errors.title;
  return emptyState("warning", title, errorMessage(error), button(t.tryAgain, retry, { class: "primary" }));
}

/** The header of a page: its title and its actions. */
export function pageHeader(title, ...actions) {
  return h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, title), h("div", { class: "row" }, actions));
}

/** Copies a text; without TLS, where browsers have no clipboard API, by a command. */
export async function copyToClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const hidden = h("textarea", { class: "unseen", value: text, "aria-hidden": "true" });
    (document.querySelector("dialog[open]") ?? document.body).append(hidden);
    hidden.select();
    document.execCommand("copy");
    hidden.remove();
  }
  toast(t.copied);
}
