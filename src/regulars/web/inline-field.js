// A field that is edited in place, and the question whose change counts.

import { h, replace, setAttribute, uniqueId } from "./dom.js";
import { formatValue } from "./format.js";
import { icon } from "./icons.js";
import { KINDS } from "./kinds.js";
import { announce } from "./progress.js";
import { t } from "./texts.js";
import { button, showFieldErrors, withBusy, askToDiscard } from "./ui.js";

/** Shows a notice with new content. */
export function showContent(notice, ...content) {
  setAttribute(notice, "hidden", null);
  replace(notice, content);
}

/** Another person changed the same field: `changes` are pairs of a label and the current value. */
export class ConflictError extends Error {
  constructor(changes) {
    super(t.customer.conflict);
    this.changes = changes;
  }
}

/**
 * A field that is edited in place. `getCustomer()` returns the current customer. `save(node, base,
 * isForced)` saves a change over `base`, the customer when the form was opened; it throws ApiError,
 * or ConflictError unless it `isForced`. Without `canWrite` the value is only shown. `control` and
 * `view(open)` replace those of the kind, and `onClose()` sets the focus after the form.
 */
export class InlineField {
  constructor(field, { getCustomer, save, canWrite, isRequired = false, control = null, view = null, onClose = null }) {
    this.field = field;
    this.buildControl = control ?? KINDS[field.kind].control;
    this.view = view;
    this.onClose = onClose;
    this.getCustomer = getCustomer;
    this.save = save;
    this.canWrite = canWrite;
    this.isRequired = isRequired;
    this.label = t.fieldName(field.name);
    this.control = null;
    this.base = null;
    const { section } = KINDS[field.kind];
    this.element = h("div", { class: section === "profile" && field.kind !== "Email" ? "editable" : "editable wide" });
    this.render();
  }

  /** Shows the current value, unless it is being edited. */
  render() {
    if (this.control) return;
    if (this.view) {
      replace(
        this.element,
        this.view(() => this.open()),
      );
      return;
    }
    const { kind, name } = this.field;
    const value = this.getCustomer()[name];
    const isEmpty = !Object.keys(Object(value)).length;
    // The name of the button is `Edit Phone: +212…`, or `Add phone` without a value.
    const content =
      this.canWrite && isEmpty
        ? h("span", { class: "empty" }, t.customer.add(this.label))
        : [this.canWrite ? h("span", { class: "unseen" }, t.customer.edit(this.label)) : null, KINDS[kind].view(value)];
    replace(
      this.element,
      h("div", { class: "label", id: uniqueId("label") }, this.label),
      !this.canWrite
        ? h("div", { class: "value" }, content)
        : h("button", { type: "button", class: "value", onclick: () => this.open() }, content, icon("edit")),
    );
  }

  get hasUnsavedInput() {
    return this.control !== null && this.control.change() !== undefined;
  }

  open() {
    const { kind, name } = this.field;
    const { hasParts } = KINDS[kind];
    this.base = this.getCustomer();
    this.control = this.buildControl(this.field, this.base[name]);
    if (this.isRequired) this.control.fields[name].input.required = true;
    const notice = h("div", { class: "notice", role: "alert", hidden: true });
    const submit = h("button", { type: "submit", class: "primary" }, t.save);
    replace(
      this.element,
      h(
        "form",
        {
          "aria-label": this.label,
          novalidate: true,
          onsubmit: (event) => {
            event.preventDefault();
            this.submit(submit, notice, false);
          },
          onkeydown: (event) => {
            if (event.isComposing) return;
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit.click();
            else if (event.key !== "Escape") return;
            else this.closeOrAsk();
            event.preventDefault();
            event.stopPropagation();
          },
        },
        hasParts ? h("div", { class: "label" }, this.label) : null,
        this.control.content,
        notice,
        h(
          "div",
          { class: "row" },
          submit,
          button(t.cancel, () => this.close()),
        ),
      ),
    );
    const input = this.control.firstInput ?? Object.values(this.control.fields)[0].input;
    input.focus({ preventScroll: true });
    input.select?.();
    this.reveal();
  }

  /** Scrolls the form into view. */
  reveal() {
    this.element.querySelector("form")?.scrollIntoView({ block: "nearest" });
  }

  async submit(control, notice, isForced) {
    const { fields, change } = this.control;
    const value = change();
    if (value === undefined) {
      this.close();
      return;
    }
    setAttribute(notice, "hidden", true);
    setAttribute(control.parentElement, "hidden", null);
    try {
      await withBusy(control, () => this.save({ [this.field.name]: value }, this.base, isForced));
    } catch (error) {
      if (error instanceof ConflictError) this.showConflict(error, control, notice);
      else showFieldErrors(error, fields, (text) => showContent(notice, icon("warning"), h("span", null, text)));
      this.reveal();
      return;
    }
    this.close();
    announce(t.saved);
  }

  /** Shows the change of the other person, and asks which value counts. */
  showConflict({ changes }, control, notice) {
    setAttribute(control.parentElement, "hidden", true);
    showContent(
      notice,
      h("p", null, icon("warning"), " ", t.customer.conflict),
      h(
        "dl",
        { class: "theirs" },
        changes.map(([label, value]) => [h("dt", null, label), h("dd", null, formatValue(value))]),
      ),
      h(
        "div",
        { class: "row" },
        button(t.customer.useTheirs, () => this.close()),
        button(t.customer.keepMine, () => this.submit(control, notice, true)),
      ),
    );
  }

  /** Closes the form. Before a long text or several inputs are lost, the person is asked. */
  async closeOrAsk() {
    const { kind } = this.field;
    const isLarge = kind === "LongText" || KINDS[kind].hasParts;
    if (isLarge && this.hasUnsavedInput && !(await askToDiscard())) return;
    this.close();
  }

  /** Closes the form without a question. */
  close() {
    this.discard();
    this.render();
    if (this.onClose) this.onClose();
    else this.element.querySelector("button")?.focus();
  }

  /** Discards the input. */
  discard() {
    this.control = null;
  }
}
