// The comments about a customer: the form for a new one, and each with its buttons.

import { runMutation } from "./api.js";
import { h, replace, setAttribute, userText } from "./dom.js";
import { actorView, formatDateTime, relativeTime } from "./format.js";
import { icon } from "./icons.js";
import { announce } from "./progress.js";
import { t } from "./texts.js";
import {
  askConfirmation,
  button,
  checkbox,
  chip,
  formField,
  iconButton,
  runAction,
  showFieldErrors,
  withBusy,
  askToDiscard,
} from "./ui.js";

const ADD = "mutation($id: ID!, $node: InputComment!) { addComment(customer: $id, node: $node) { id } }";
const UPDATE = "mutation($id: ID!, $node: InputComment!) { updateComment(id: $id, node: $node) { id } }";
const DELETE = "mutation($id: ID!) { deleteComments(items: [$id]) }";
// Characters of a comment that are shown at first.
const SHORT = 2_000;
// A touch screen has no Shift key, so Enter begins a line there. The style hides the hint there, too.
const hasKeyboard = !matchMedia("(pointer: coarse)").matches;

/**
 * A form with a text. `save(text)` saves it, and its errors are shown below it. Enter saves; Shift and
 * Enter begin a line.
 */
function commentForm({ label, value, submitLabel, save, onCancel = null, extra = null }) {
  const input = h("textarea", { rows: 2, dir: "auto", value, placeholder: t.comments.placeholder });
  const field = formField(label, input);
  field.querySelector("label").classList.add("unseen");
  const submit = h("button", { type: "submit", class: "primary small" }, submitLabel);
  const fields = { text: field };
  const fit = () => setAttribute(input, "rows", Math.min(12, Math.max(2, input.value.split("\n").length)));
  input.addEventListener("input", fit);
  fit();
  const form = h(
    "form",
    {
      class: "composer",
      novalidate: true,
      "aria-label": label,
      onsubmit: async (event) => {
        event.preventDefault();
        if (!input.value.trim()) {
          field.setError(t.comments.empty);
          input.focus();
          return;
        }
        try {
          await withBusy(submit, () => save(input.value));
        } catch (error) {
          showFieldErrors(error, fields, field.setError);
        }
      },
      onkeydown: (event) => {
        if (event.isComposing) return;
        const isEnter = event.key === "Enter" && event.target === input;
        if (isEnter && (event.ctrlKey || event.metaKey || (hasKeyboard && !event.shiftKey))) form.requestSubmit();
        else if (event.key === "Escape" && onCancel) onCancel();
        else return;
        event.preventDefault();
        event.stopPropagation();
      },
    },
    field,
    h(
      "div",
      { class: "row" },
      submit,
      onCancel ? button(t.cancel, () => onCancel(true), { class: "small" }) : null,
      extra,
      h("span", { class: "hint keyboard-hint" }, t.comments.hint),
    ),
  );
  return {
    form,
    input,
    clear: () => {
      input.value = "";
      field.setError("");
      fit();
    },
  };
}

const lines = (text) => h("p", { class: "lines", tabindex: "-1" }, userText(text));

/** A text with its line breaks. A long one has a button that shows the rest, and calls `onOpen()`. */
function shortened(text, onOpen) {
  if (text.length <= SHORT) return lines(text);
  // The last unit can be half of a character.
  const content = lines(`${Array.from(text.slice(0, SHORT)).slice(0, -1).join("")}…`);
  const open = () => {
    onOpen();
    replace(content, userText(text));
    content.focus();
  };
  content.append(" ", button(t.comments.all, open, { class: "plain small" }));
  return content;
}

/** The form for a new comment. `onSaved()` is called, and awaited, when one was saved. */
export class Composer {
  constructor(customerId, onSaved) {
    const pin = checkbox(t.comments.pinNew);
    const { form, input, clear } = commentForm({
      label: t.comments.label,
      value: "",
      submitLabel: t.comments.add,
      extra: pin,
      save: async (text) => {
        await runMutation(ADD, { id: customerId, node: { text, pinned: pin.input.checked } });
        clear();
        pin.input.checked = false;
        await onSaved();
        announce(t.comments.saved);
        input.focus();
      },
    });
    this.element = form;
    this.input = input;
    this.clear = clear;
  }

  get hasUnsavedInput() {
    return this.input.value.trim() !== "";
  }
}

/** A comment. `onChanged()` is called, and awaited, after a change; `onDeleted()` after the deletion. */
export class CommentView {
  constructor({ canWrite, canEdit, onChanged, onDeleted }) {
    this.canWrite = canWrite;
    this.canEdit = canEdit;
    this.onChanged = onChanged;
    this.onDeleted = onDeleted;
    this.editor = null;
    this.isOpen = false;
    this.element = h("li", { class: "comment" });
  }

  get hasUnsavedInput() {
    return this.editor !== null && this.editor.input.value !== this.comment.text;
  }

  /** Shows the comment, unless it is being edited. */
  render(comment) {
    if (this.editor) return;
    this.comment = comment;
    const { author, text } = comment;
    const isProgram = Boolean(t.timeline.actors[author.kind]);
    replace(
      this.element,
      h("span", { class: "dot" }, icon("comment")),
      h(
        "div",
        null,
        h(
          "p",
          { tabindex: "-1" },
          h("strong", null, isProgram ? actorView(author) : userText(author.name)),
          " ",
          h("span", { class: "hint" }, relativeTime(comment, "created_at"), comment.edited ? this.editedAt() : null),
          comment.pinned ? [" ", chip(t.comments.pinned)] : null,
          comment.private ? [" ", chip(t.comments.private)] : null,
        ),
        this.isOpen ? lines(text) : shortened(text, () => (this.isOpen = true)),
      ),
      h(
        "span",
        { class: "contact-actions" },
        this.canWrite
          ? iconButton(
              "pin",
              comment.pinned ? t.comments.unpin : t.comments.pin,
              (event) => this.pin(event.currentTarget),
              { class: comment.pinned ? "icon-button pin on" : "icon-button pin" },
            )
          : null,
        this.canEdit(comment)
          ? [
              iconButton("edit", t.comments.edit, () => this.edit(), { class: "icon-button edit" }),
              iconButton("trash", t.comments.delete, (event) => this.remove(event.currentTarget)),
            ]
          : null,
      ),
    );
  }

  editedAt() {
    const { updated_at_iso: at } = this.comment;
    return [t.separators.list, h("span", { title: formatDateTime(at) }, t.comments.edited)];
  }

  async pin(control) {
    const { id, pinned } = this.comment;
    const isDone = await runAction(control, async () => {
      await runMutation(UPDATE, { id, node: { pinned: !pinned } });
      await this.onChanged();
    });
    if (isDone) /** @type {HTMLElement} */ (this.element.querySelector(".pin"))?.focus();
  }

  edit() {
    const { id, text } = this.comment;
    this.editor = commentForm({
      label: t.comments.edit,
      value: text,
      submitLabel: t.save,
      save: async (newText) => {
        if (newText !== text) await runMutation(UPDATE, { id, node: { text: newText } });
        this.editor = null;
        await this.onChanged();
        announce(t.saved);
        this.focusEdit();
      },
      onCancel: async (isSure = false) => {
        if (!isSure && this.hasUnsavedInput && !(await askToDiscard())) return;
        this.editor = null;
        this.render(this.comment);
        this.focusEdit();
      },
    });
    replace(this.element, h("span", { class: "dot" }, icon("comment")), this.editor.form);
    this.editor.input.focus();
  }

  focusEdit() {
    /** @type {HTMLElement} */ (this.element.querySelector("button.edit"))?.focus();
  }

  async remove(control) {
    const excerpt = h("blockquote", null, userText(this.comment.text.slice(0, 200)));
    if (!(await askConfirmation(t.comments.deleteTitle, excerpt, t.delete))) return;
    const isDone = await runAction(control, async () => {
      await runMutation(DELETE, { id: this.comment.id });
      await this.onChanged();
    });
    if (isDone) this.onDeleted();
  }
}
