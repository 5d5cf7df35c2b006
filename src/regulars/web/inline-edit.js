// Editing in place: a value becomes a form, and a value again once it is saved.

import { h, replace, setAttribute, uniqueId } from "./dom.js";
import { formatValue } from "./format.js";
import { icon } from "./icons.js";
import { KINDS } from "./kinds.js";
import { announce } from "./progress.js";
import { t } from "./texts.js";
import { button, showFieldErrors, withBusy } from "./ui.js";

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
 * or ConflictError unless it `isForced`. Without `canWrite` the value is only shown.
 */
export class InlineField {
  constructor(field, { getCustomer, save, canWrite }) {
    Object.assign(this, { field, getCustomer, save, canWrite, label: t.fieldName(field.name), control: null, base: null });
    const { section } = KINDS[field.kind];
    this.element = h("div", { class: section === "profile" ? "editable" : "editable wide" });
    this.render();
  }

  /** Shows the current value, unless it is being edited. */
  render() {
    if (this.control) return;
    const { kind, name } = this.field;
    const content = KINDS[kind].view(this.getCustomer()[name]);
    replace(this.element,
      h("div", { class: "label", id: uniqueId("label") }, this.label),
      !this.canWrite ? h("div", { class: "value" }, content) : h("button", { type: "button", class: "value", onclick: () => this.open() },
        h("span", { class: "unseen" }, t.customer.edit(this.label)), content, icon("edit")));
  }

  get hasUnsavedInput() {
    return this.control !== null && this.control.change() !== undefined;
  }

  open() {
    const { kind, name } = this.field;
    const { control: build, hasParts } = KINDS[kind];
    this.base = this.getCustomer();
    this.control = build(this.field, this.base[name]);
    const notice = h("div", { class: "notice", role: "alert", hidden: true });
    const submit = h("button", { type: "submit", class: "primary" }, t.save);
    replace(this.element, h("form", {
      "aria-label": this.label, novalidate: true,
      onsubmit: (event) => { event.preventDefault(); this.submit(submit, notice, false); },
      onkeydown: (event) => { if (event.key === "Escape" && !event.isComposing) { event.stopPropagation(); this.close(); } },
    }, hasParts ? h("div", { class: "label" }, this.label) : null, this.control.content, notice,
    h("div", { class: "row" }, submit, button(t.cancel, () => this.close()))));
    const { input } = Object.values(this.control.fields)[0];
    input.focus();
    input.select?.();
  }

  async submit(control, notice, isForced) {
    const { fields, change } = this.control;
    const value = change();
    if (value === undefined) {
      this.close();
      return;
    }
    setAttribute(notice, "hidden", true);
    try {
      await withBusy(control, () => this.save({ [this.field.name]: value }, this.base, isForced));
    } catch (error) {
      if (error instanceof ConflictError) this.showConflict(error, control, notice);
      else showFieldErrors(error, fields, (text) => {
        setAttribute(notice, "hidden", null);
        replace(notice, icon("warning"), text);
      });
      return;
    }
    this.close();
    announce(t.saved);
  }

  /** Shows the change of the other person, and asks which value counts. */
  showConflict({ changes }, control, notice) {
    setAttribute(notice, "hidden", null);
    replace(notice,
      h("p", null, icon("warning"), t.customer.conflict),
      h("dl", { class: "theirs" }, changes.map(([label, value]) => [h("dt", null, label), h("dd", null, formatValue(value))])),
      h("div", { class: "row" },
        button(t.customer.keepTheirs, () => this.close()),
        button(t.customer.saveMine, () => this.submit(control, notice, true))));
  }

  /** Closes the form without a question. */
  close() {
    this.discard();
    this.render();
    this.element.querySelector("button")?.focus();
  }

  /** Forgets what was typed. */
  discard() {
    this.control = null;
  }
}
