// Shared elements: messages, buttons, dialogs, forms with their errors, and states of a page.

import { ApiError, OFFLINE } from "./api.js";
import { announce } from "./progress.js";
import { h, replace, setAttribute, uniqueId } from "./dom.js";
import { formatNumber } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";

const TOAST_SECONDS = 6;
const ERROR_SECONDS = 12;
// Errors that are not the server's, and that can end. A number is the status of a response without JSON.
const RETRYABLE_KEYS = [OFFLINE, "errors_unauthenticated", "rate_limit_reached"];
// A person who deletes more than this many entries types their number.
const MAX_UNTYPED = 100;
const toasts = document.querySelector("#toasts");

/**
 * Shows a message. `actions` are pairs of a label and a function; an `isLasting` message stays until
 * it is closed. Returns `close()`, and `setText(text)`.
 */
export function toast(text, { actions = [], isError = false, seconds = TOAST_SECONDS, isLasting = false } = {}) {
  let timer = 0;
  const countdown = actions.length && !isLasting ? countdownOf(seconds) : null;
  const close = () => {
    clearTimeout(timer);
    countdown?.stop();
    element.remove();
  };
  const start = () => {
    clearTimeout(timer);
    if (!isLasting) timer = setTimeout(close, seconds * 1000);
  };
  const content = h("p", null, text);
  const element = h(
    "div",
    { class: isError ? "toast wrong" : "toast" },
    content,
    h(
      "div",
      { class: "row" },
      actions.map(([label, act]) =>
        button(
          label,
          () => {
            close();
            act();
          },
          { class: "plain" },
        ),
      ),
      countdown?.text,
      iconButton("close", t.close, close),
    ),
    countdown?.bar,
  );
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

/** The time in which the actions of a message can be taken: a bar that shrinks, and the seconds as text. */
function countdownOf(seconds) {
  const end = Date.now() + seconds * 1000;
  const text = h("span", { class: "seconds", "aria-hidden": "true" });
  const show = () => replace(text, t.seconds(Math.max(1, Math.ceil((end - Date.now()) / 1000))));
  show();
  const interval = setInterval(show, 500);
  const bar = h("div", { class: "time-left", "aria-hidden": "true" });
  bar.style.animationDuration = `${seconds}s`;
  return { text, bar, stop: () => clearInterval(interval) };
}

/** Shows the message of an error, unless the request was aborted. */
export function showError(error) {
  if (error?.name === "AbortError") return;
  if (!(error instanceof ApiError)) console.error(error);
  toast(errorMessage(error), { isError: true, seconds: ERROR_SECONDS });
}

/** The message of an error. */
export const errorMessage = (error) => (error instanceof ApiError ? error.message : t.errors.pageError);

/** Whether the same request can succeed later. */
const canRetry = (error) =>
  !(error instanceof ApiError) ||
  error.errors.some(({ key, name }) => name === "InternalError" || RETRYABLE_KEYS.includes(key) || /^\d/.test(key));

/** A button. */
export function button(label, act, properties = {}) {
  return h("button", { type: "button", onclick: act, ...properties }, label);
}

/** A button with an icon; its label is the tooltip and the accessible name. */
export function iconButton(name, label, act, properties = {}) {
  return h(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, onclick: act, ...properties },
    icon(name),
  );
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

/** Runs `work` with a busy control, and shows its error. Resolves with whether it succeeded. */
export async function runAction(control, work) {
  try {
    await withBusy(control, work);
    return true;
  } catch (error) {
    showError(error);
    return false;
  }
}

/**
 * Opens a dialog with the element that `build(close)` returns. Resolves with the result that `close` is called with.
 * While it `isUnsaved`, Escape and the button at the top ask before they close it.
 */
export function openDialog(title, build, { isWide = false, isUnsaved = null } = {}) {
  return new Promise((resolve) => {
    const label = uniqueId("dialog");
    const close = (result = null) => {
      element.close();
      element.remove();
      resolve(result);
    };
    const leave = async () => {
      if (!isUnsaved?.() || (await askToDiscard())) close();
    };
    const element = h(
      "dialog",
      { "aria-labelledby": label, class: isWide ? "wide" : null },
      h("div", { class: "dialog-head" }, h("h2", { id: label }, title), iconButton("close", t.close, leave)),
    );
    element.append(build(close));
    element.addEventListener("click", ({ target }) => {
      if (/** @type {Element} */ (target).closest("a")) close();
    });
    element.addEventListener("cancel", (event) => {
      event.preventDefault();
      leave();
    });
    document.body.append(element);
    element.showModal();
    (element.querySelector("[autofocus]") ?? element.querySelector("input, textarea, select") ?? element).focus();
  });
}

/** Asks whether unsaved input can be lost. */
export const askToDiscard = () =>
  askConfirmation(t.unsaved.title, t.unsaved.text, t.unsaved.discard, { cancel: t.unsaved.keepEditing });

/**
 * Asks for confirmation; `label` and `cancel` name the buttons. Without a label, the person can only
 * cancel. For a large `count`, the person types it. The action is shown as destructive unless it `isSafe`.
 * Resolves with whether the person confirmed.
 */
export function askConfirmation(title, text, label, { cancel = t.cancel, count = 0, isSafe = false } = {}) {
  return openDialog(title, (close) => {
    const isTyped = Boolean(label) && count > MAX_UNTYPED;
    const number = isTyped
      ? formField(
          t.confirm.typeNumber(formatNumber(count)),
          h("input", { type: "text", inputmode: "numeric", autocomplete: "off", autofocus: true }),
        )
      : null;
    const confirm = (event) => {
      event.preventDefault();
      if (!number || number.input.value.replace(/\D/g, "") === String(count)) {
        close(true);
        return;
      }
      number.setError(t.confirm.wrongNumber(formatNumber(count)));
      number.input.focus();
    };
    return h(
      "form",
      { novalidate: true, onsubmit: confirm },
      h("div", null, text),
      number,
      h(
        "div",
        { class: "row end" },
        button(cancel, () => close(false), { autofocus: !isTyped }),
        label ? h("button", { type: "submit", class: isSafe ? "primary" : "danger" }, label) : null,
      ),
    );
  });
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
    replace(problem, text ? [icon("warning"), h("span", null, text)] : []);
  };
  return element;
}

/** The options of a select: pairs of a value and a label, or values; one is `selected`. */
export const selectOptions = (choices, selected) =>
  choices.map((choice) => {
    const [value, label] = Array.isArray(choice) ? choice : [choice, choice];
    return h("option", { value, selected: value === selected }, label);
  });

/** A checkbox with its label; the element has the `input`. */
export function checkbox(label, properties = {}) {
  const input = h("input", { type: "checkbox", ...properties });
  const element = h("label", { class: "check" }, input, h("span", null, label));
  element.input = input;
  return element;
}

/** A notice for an error; it is hidden while its `setText(text)` has set no text. */
export function errorNotice() {
  const element = h("p", { class: "notice wrong", role: "alert", hidden: true });
  element.setText = (text) => {
    setAttribute(element, "hidden", !text);
    replace(element, icon("warning"), h("span", null, text));
  };
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
    const name =
      path.map((_, start) => path.slice(start).join(".")).find((part) => part in fields) ??
      path.toReversed().find((part) => part in fields);
    if (name === undefined) {
      rest.push(entry);
      continue;
    }
    const { customer_id: holder } = entry.extensions;
    fields[name].setError([entry.message, holder ? [" ", otherCustomerLink(holder)] : null]);
    first ??= fields[name];
  }
  first?.input.focus();
  if (first) announce(error.message, true);
  if (rest.length || !first) showRest(errorMessage(rest.length ? new ApiError(rest) : error));
}

/** A link to the customer who has a value now. */
export const otherCustomerLink = (id) => h("a", { href: `/customers/${encodeURIComponent(id)}` }, t.showOther);

/**
 * Opens a dialog with a form. `submit(form, close)` resolves with the result of the dialog, or with
 * undefined if it stays open; its errors are shown at the `fields`, others at the first of them. `style`
 * is the class of the button.
 */
export function openFormDialog(title, label, content, fields, submit, style = "primary") {
  return openDialog(title, (close) => {
    const control = h("button", { type: "submit", class: style }, label);
    return h(
      "form",
      {
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
      },
      content,
      h(
        "div",
        { class: "row end" },
        button(t.cancel, () => close()),
        control,
      ),
    );
  });
}

/** The state of a page, or a part of it, without content: an icon, a title, a text and buttons. */
export function emptyState(name, title, text, ...actions) {
  return h(
    "div",
    { class: "empty-state" },
    icon(name),
    h("h2", null, title),
    h("p", null, text),
    h("div", { class: "row" }, actions),
  );
}

/** Shows on the `main` of a page that it does not exist, with links to others. */
export function showMissing({ main, setTitle }, name, title, text, href, label, ...others) {
  setTitle(title);
  replace(
    main,
    h("h1", { class: "unseen", tabindex: "-1" }, title),
    emptyState(name, title, text, h("a", { class: "button primary", href }, label), others),
  );
}

export const newCustomerLink = () =>
  h("a", { class: "button primary", href: "/customers/new" }, icon("add"), t.list.new);
/** The state of a page of an account without customers. */
export const emptyAccount = (name, canWrite = true) =>
  emptyState(
    name,
    t.list.none,
    t.list.noneText,
    canWrite
      ? [newCustomerLink(), h("a", { class: "button", href: "/imports" }, icon("upload"), t.list.importFile)]
      : null,
  );

/** The state of a page that needs more permissions than the token has. */
export const noAccess = (title, text) => emptyState("key", title, text, customersLink());
const customersLink = () => h("a", { class: "button", href: "/customers" }, t.missing.toCustomers);

/** The state of a page that could not be loaded, with a button that calls `retry` if that can help. */
export function errorState(error, retry) {
  if (!(error instanceof ApiError)) console.error(error);
  const has = (key) => error instanceof ApiError && error.has(key);
  if (has("errors_scope")) return noAccess(t.errors.noAccess, t.errors.noAccessText);
  const title = has(OFFLINE) ? t.errors.offlineTitle : t.errors.title;
  const action = canRetry(error) ? button(t.tryAgain, retry, { class: "primary" }) : customersLink();
  return emptyState("warning", title, errorMessage(error), action);
}

/** A button that opens a menu: the links and buttons that `build(close)` returns, or resolves with. */
export function menuButton(label, name, build) {
  const list = h("div", { class: "menu-list" });
  const summary = h(
    "summary",
    { class: "button", "aria-label": label },
    icon(name),
    h("span", null, label),
    icon("down"),
  );
  const element = h("details", { class: "menu-button" }, summary, list);
  // A dialog that an action opens gives the focus back to the button, since the list is hidden then.
  const close = () => {
    if (list.contains(document.activeElement)) summary.focus();
    element.open = false;
  };
  element.addEventListener("toggle", async () => {
    if (!element.open) return;
    if (!element.contains(document.activeElement)) summary.focus();
    replace(list, h("p", { class: "hint" }, t.loading));
    try {
      replace(list, await build(close));
    } catch (error) {
      close();
      showError(error);
    }
  });
  list.addEventListener("click", ({ target }) => {
    if (!(/** @type {Element} */ (target).closest("a"))) return;
    summary.focus();
    close();
  });
  // Firefox and Safari on a Mac do not focus a button that is pressed: the list would close before the click.
  list.addEventListener("mousedown", (event) => event.preventDefault());
  element.addEventListener("focusout", ({ relatedTarget }) => {
    if (!element.contains(/** @type {Node} */ (relatedTarget))) close();
  });
  element.addEventListener("keydown", (event) => {
    const items = [summary, ...list.querySelectorAll("a, button")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!element.open || !(step || event.key === "Escape")) return;
    event.preventDefault();
    event.stopPropagation();
    if (!step) close();
    const index = step ? items.indexOf(document.activeElement) + step : 0;
    /** @type {HTMLElement} */ (items[(index + items.length) % items.length]).focus();
  });
  return element;
}

/** The header of a page: its title and its actions. */
export function pageHeader(title, ...actions) {
  return h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, title), h("div", { class: "row" }, actions));
}

export const chip = (...content) => h("span", { class: "chip" }, content);
/** A state with its mark: the class has the colour. */
export const stateBadge = (state, ...content) => h("span", { class: `state ${state}` }, content);

/** A row of column headings, and `cells` without one. */
export const headingRow = (headings, ...cells) =>
  h(
    "tr",
    null,
    headings.map((heading) => h("th", { scope: "col" }, heading)),
    cells,
  );

/** A table in a box that scrolls sideways; the properties of the box name it for screen readers. */
export function tableBox(properties, tableClass, head, body) {
  return h(
    "div",
    { class: "table-wrap", tabindex: "0", role: "group", ...properties },
    h("table", { class: tableClass }, h("thead", null, head), body),
  );
}

let isPressing = false;
document.addEventListener("pointerdown", () => (isPressing = true), true);
for (const event of ["pointerup", "pointercancel"]) document.addEventListener(event, () => (isPressing = false), true);

/** Calls `work` now, or after the click that is being made: a button that moves meanwhile is not clicked. */
function afterPress(work) {
  if (!isPressing) {
    work();
    return;
  }
  const later = () => setTimeout(work);
  document.addEventListener("pointerup", later, { once: true });
  document.addEventListener("pointercancel", later, { once: true });
}

/**
 * The suggestions for an input, in a list below it. Each option has a `label`, a `hint` and perhaps
 * a `description`; `onAccept(option)` is called when the person takes it.
 */
export class SuggestionList {
  constructor(input, onAccept) {
    this.element = h("ul", {
      class: "options",
      role: "listbox",
      id: uniqueId("options"),
      "aria-label": t.search.options,
      hidden: true,
    });
    this.input = input;
    this.onAccept = onAccept;
    this.options = [];
    this.activeIndex = -1;
    setAttribute(input, "aria-controls", this.element.id);
    setAttribute(input, "aria-autocomplete", "list");
    input.addEventListener("blur", () => afterPress(() => document.activeElement === input || this.hide()));
  }

  show(options, activeIndex = -1) {
    const { element, input } = this;
    this.options = options;
    replace(
      element,
      options.map(({ label, hint, description }, index) =>
        h(
          "li",
          {
            role: "option",
            id: `${element.id}-${index}`,
            "aria-selected": "false",
            onpointerdown: (event) => {
              event.preventDefault();
              this.accept(index);
            },
          },
          h("code", null, label),
          h("span", { class: "hint" }, hint),
          description ? h("span", { class: "description" }, description) : null,
        ),
      ),
    );
    setAttribute(element, "hidden", !options.length);
    if (input.hasAttribute("aria-expanded")) setAttribute(input, "aria-expanded", String(options.length > 0));
    this.activate(activeIndex);
  }

  hide() {
    this.show([]);
  }

  activate(index) {
    const { children } = this.element;
    const option = children[index];
    children[this.activeIndex]?.setAttribute("aria-selected", "false");
    option?.setAttribute("aria-selected", "true");
    setAttribute(this.input, "aria-activedescendant", option?.id);
    this.activeIndex = index;
    return option;
  }

  move(step) {
    const { length } = this.options;
    const index = step < 0 && this.activeIndex < 0 ? length - 1 : (this.activeIndex + step + length) % length;
    this.activate(index).scrollIntoView({ block: "nearest" });
  }

  /** Chooses an option by a `key`, or by a click. */
  accept(index, key = null) {
    const option = this.options[index];
    this.hide();
    this.onAccept(option, key);
  }

  /** Returns whether the list has used a key. */
  handleKey(key) {
    if (!this.options.length) return false;
    if (key === "ArrowDown") this.move(1);
    else if (key === "ArrowUp") this.move(-1);
    else if ((key === "Tab" || key === "Enter") && this.activeIndex >= 0) this.accept(this.activeIndex, key);
    else if (key === "Escape") this.hide();
    else return false;
    return true;
  }
}

/** Copies a text; without TLS, where browsers have no clipboard API, by a command. */
export async function copyToClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "unseen", value: text, "aria-hidden": "true" });
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(t.copied);
}
