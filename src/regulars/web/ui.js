// What pages share: messages, dialogs, forms and their errors, and what is shown while one waits.

import { Failure, OFFLINE } from "./api.js";
import { announce } from "./busy.js";
import { h, replace, set, unique } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";

const SHOWN_MS = 6000;
const toasts = document.querySelector("#toasts");

/**
 * Shows a message for a while: `actions` are pairs of a label and what it does; `lasting` messages
 * stay until they are closed. Answers `gone()`, which takes it away, and `say(text)`, which changes it.
 */
export function toast(text, { actions = [], wrong = false, seconds = SHOWN_MS / 1000, lasting = false } = {}) {
  const buttons = actions.map(([label, act]) => button(label, () => { gone(); act(); }, { class: "plain" }));
  const close = iconButton("close", t.close, () => gone());
  const words = h("p", null, text);
  const made = h("div", { class: wrong ? "toast wrong" : "toast" }, words, h("div", { class: "row" }, buttons, close));
  toasts.append(made);
  announce(text, wrong);
  let timer = 0;
  const gone = () => { clearTimeout(timer); made.remove(); };
  const start = () => { timer = lasting ? 0 : setTimeout(gone, seconds * 1000); };
  // Who reads it, or is about to use it, is not hurried.
  for (const event of ["pointerenter", "focusin"]) made.addEventListener(event, () => actions.length || clearTimeout(timer));
  for (const event of ["pointerleave", "focusout"]) made.addEventListener(event, () => actions.length || (clearTimeout(timer), start()));
  start();
  return { gone, say: (other) => replace(words, other) };
}

/** Shows what went wrong, and what to do about it. */
export function complain(failure, again = null) {
  if (failure?.name === "AbortError") return;
  if (!(failure instanceof Failure)) console.error(failure);
  toast(messageOf(failure), { wrong: true, seconds: 12, actions: again ? [[t.tryAgain, again]] : [] });
}

/** What went wrong, in words. */
export const messageOf = (failure) => (failure instanceof Failure ? failure.message : t.errors.ours);

/** A button. */
export function button(label, act, properties = {}) {
  return h("button", { type: "button", onclick: act, ...properties }, label);
}

/** A button that shows an icon alone; its label is for who cannot see it, and in a tooltip. */
export function iconButton(name, label, act, properties = {}) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick: act, ...properties }, icon(name));
}

/** Does something that takes a while: its button waits, and does nothing when it is pressed again. */
export async function during(control, work) {
  if (control.getAttribute("aria-disabled")) return new Promise(() => {});
  set(control, "aria-disabled", "true");
  control.classList.add("waiting");
  try {
    return await work();
  } finally {
    set(control, "aria-disabled", null);
    control.classList.remove("waiting");
  }
}

/** A dialog, which is open until it is closed; `close(result)` resolves what this answers. */
export function dialog(title, build, { wide = false } = {}) {
  return new Promise((resolve) => {
    const label = unique("dialog");
    const close = (result = null) => { made.close(); made.remove(); resolve(result); };
    const made = h("dialog", { "aria-labelledby": label, class: wide ? "wide" : null },
      h("div", { class: "dialog-head" }, h("h2", { id: label }, title), iconButton("close", t.close, () => close())));
    made.append(build(close));
    made.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
    document.body.append(made);
    made.showModal();
    (made.querySelector("[autofocus]") ?? made.querySelector("input, textarea, select") ?? made).focus();
  });
}

/** Asks before something is done: resolves true, if it is to be. */
export function confirmed(title, text, label) {
  return dialog(title, (close) => h("div", null,
    h("p", null, text),
    h("div", { class: "row end" },
      button(t.cancel, () => close(false), { autofocus: true }),
      button(label, () => close(true), { class: "danger" }))));
}

/**
 * A labelled input: `input` is the element; `hint` stands below it, and so does what is wrong with
 * it, by `showProblem`.
 */
export function field(label, input, { hint = null } = {}) {
  input.id ||= unique("field");
  const below = unique("below");
  const problem = h("p", { class: "problem", id: below });
  const explained = hint ? h("p", { class: "hint", id: unique("hint") }, hint) : null;
  set(input, "aria-describedby", explained ? `${explained.id} ${below}` : below);
  const made = h("div", { class: "field" }, h("label", { for: input.id }, label), input, explained, problem);
  made.input = input;
  made.showProblem = (text) => {
    set(input, "aria-invalid", text ? "true" : null);
    replace(problem, text ? [icon("warning"), text] : []);
  };
  return made;
}

/** A checkbox with its label. */
export function check(label, properties = {}) {
  const input = h("input", { type: "checkbox", ...properties });
  const made = h("label", { class: "check" }, input, h("span", null, label));
  made.input = input;
  return made;
}

/**
 * Shows the API's errors at the fields that they are about, by the last part of each `input_path`
 * that `fields` knows; `rest` is called with what the others say, if there are any.
 */
export function showProblems(failure, fields, rest) {
  for (const one of Object.values(fields)) one.showProblem("");
  const others = [];
  let first = null;
  for (const error of failure.errors ?? []) {
    const path = error.extensions?.input_path ?? [];
    const place = path.map((_, start) => path.slice(start).join(".")).find((name) => name in fields)
      ?? path.toReversed().find((name) => name in fields);
    if (place === undefined) {
      others.push(error);
      continue;
    }
    fields[place].showProblem(error.message);
    first ??= fields[place];
  }
  first?.input.focus();
  if (first) announce(failure.message, true);
  if (others.length || !first) rest(messageOf(others.length ? new Failure(others) : failure));
}

/**
 * A form in a dialog. `act(form)` does what it is for and resolves with what the dialog answers, or
 * undefined as long as it is to stay; what it raises is shown at the `fields`, the rest at the first.
 */
export function formDialog(title, label, content, fields, act) {
  return dialog(title, (close) => {
    const submit = h("button", { type: "submit", class: "primary" }, label);
    const form = h("form", {
      novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        try {
          const result = await during(submit, () => act(form, close));
          if (result !== undefined) close(result);
        } catch (failure) {
          showProblems(failure, fields, Object.values(fields)[0]?.showProblem ?? (() => complain(failure)));
        }
      },
    }, content, h("div", { class: "row end" }, button(t.cancel, () => close()), submit));
    return form;
  });
}

/** A page, or a part of one, that has nothing to show yet: what it will be, and what to do next. */
export function emptyState(name, title, text, ...actions) {
  return h("div", { class: "empty-state" }, icon(name), h("h2", null, title), h("p", null, text), h("div", { class: "row" }, actions));
}

/** What is shown in the place of what could not be had. */
export function failed(failure, again) {
  if (!(failure instanceof Failure)) console.error(failure);
  const title = failure instanceof Failure && failure.has(OFFLINE) ? t.errors.offlineTitle : t.errors.title;
  return emptyState("warning", title, messageOf(failure), button(t.tryAgain, again, { class: "primary" }));
}

/** The head of a page: its title, and what can be done there. */
export function pageHead(title, ...actions) {
  return h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, title), h("div", { class: "row" }, actions));
}

/** Puts a text on the clipboard, also where browsers have no way to (without TLS). */
export async function copy(text) {
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
