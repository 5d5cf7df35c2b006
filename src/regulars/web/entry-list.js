// A list of a customer whose entries are edited in place: emails, phones, addresses.

import { h, replace, setAttribute } from "./dom.js";
import { icon } from "./icons.js";
import { InlineField } from "./inline-field.js";
import { t } from "./texts.js";
import { button } from "./ui.js";

/**
 * The editor of a list. `field` is an entry of it, and `list` the name of the list in a customer.
 * `saveBy(build)` saves the input that `build(customer)` returns, again if the customer has changed.
 * @abstract
 */
export class EntryList {
  constructor(field, list, { getCustomer, canWrite, saveBy }) {
    this.field = field;
    this.list = list;
    this.getCustomer = getCustomer;
    this.canWrite = canWrite;
    this.saveBy = saveBy;
    /** Each with the `id` of its entry, null for one that is being added, and the `editor`. */
    this.rows = [];
    this.items = h("ul", { class: "contact-points" });
    this.foot = h("div");
  }

  get entries() {
    return this.getCustomer()[this.list];
  }

  get hasUnsavedInput() {
    return this.rows.some(({ editor }) => editor.hasUnsavedInput);
  }

  /** Whether an entry cannot be removed. */
  get isRequired() {
    return false;
  }

  /**
   * The form of an entry, as kinds.js describes controls.
   * @abstract
   * @returns {any}
   */
  control(_entry) {}

  /**
   * The entry of a row, with its buttons.
   * @abstract
   * @returns {any}
   */
  view(_row, _open) {}

  /**
   * Saves the changes of an entry over `base`, what it was when the person began; null for a new one.
   * @abstract
   * @returns {Promise<void>}
   */
  async save(_row, _changes, _base, _isForced) {}

  /**
   * Whether an entry is what a row is about to save.
   * @abstract
   */
  isPending(_row, _entry) {
    return false;
  }

  /** Discards the input. */
  discard() {
    for (const { editor } of this.rows) editor.discard();
  }

  /** Shows the current entries. An entry that is being edited stays, also if another person removed it. */
  render() {
    const { entries } = this;
    const rows = [];
    for (const entry of entries) rows.push(this.rowOf(entry, rows));
    const others = this.rows.filter((row) => !rows.includes(row) && row.editor.control);
    this.rows = [...rows, ...others];
    const elements = this.rows.map(({ element }) => element);
    if (elements.some((element, index) => element !== this.items.children[index])) {
      const focused = document.activeElement;
      replace(this.items, elements);
      if (this.items.contains(focused)) /** @type {HTMLElement} */ (focused).focus({ preventScroll: true });
    }
    while (this.items.children.length > elements.length) this.items.lastChild.remove();
    for (const { editor } of rows) editor.render();
    setAttribute(this.items, "aria-label", t.fieldName(this.list));
    setAttribute(this.items, "hidden", !this.rows.length);
    this.renderFoot();
  }

  renderFoot() {
    const isAdding = this.rows.some(({ id }) => id === null);
    const label = t.customer.add(t.fieldName(this.field.name));
    const isEmpty = !this.rows.length;
    let content = null;
    if (!this.canWrite)
      content = isEmpty ? h("div", { class: "value" }, h("span", { class: "empty" }, t.nothing)) : null;
    else if (isEmpty) {
      const edit = h("span", { class: "unseen" }, t.customer.edit(t.fieldName(this.field.name)));
      content = h("button", { type: "button", class: "value", onclick: () => this.add() }, [
        edit,
        h("span", { class: "empty" }, label),
        icon("edit"),
      ]);
    } else if (!isAdding) content = button([icon("add"), label], () => this.add(), { class: "plain small" });
    replace(this.foot, content);
  }

  /** The row of an entry. A row whose change created the entry is that of the entry now. */
  rowOf(entry, taken) {
    const isFree = (row) => !taken.includes(row);
    const row =
      this.rows.find((other) => isFree(other) && this.isPending(other, entry)) ??
      this.rows.find((other) => isFree(other) && other.id === entry.id) ??
      this.newRow();
    row.id = entry.id;
    return row;
  }

  newRow() {
    const row = { id: null, pending: null, editor: null, element: null };
    const { name } = this.field;
    row.editor = new InlineField(this.field, {
      getCustomer: () => ({ [name]: this.entries.find(({ id }) => id === row.id) ?? null }),
      canWrite: this.canWrite,
      isRequired: this.isRequired,
      control: (_field, entry) => this.control(entry),
      view: (open) => this.view(row, open),
      save: (node, base, isForced) => this.save(row, node[name], base[name], isForced),
      onClose: () => {
        row.pending = null;
        this.render();
        this.focus(row);
      },
    });
    row.element = h("li", null, row.editor.element);
    return row;
  }

  /** The control that was focused was replaced. */
  focus(row) {
    const control = this.rows.includes(row) ? row.element : this.foot;
    /** @type {HTMLElement} */ (control.querySelector("button.edit") ?? this.foot.querySelector("button"))?.focus();
  }

  add() {
    const row = this.newRow();
    row.editor.open();
    this.rows.push(row);
    this.items.append(row.element);
    setAttribute(this.items, "hidden", null);
    this.renderFoot();
    Object.values(row.editor.control.fields)[0].input.focus();
  }

  /** The button that opens the form of an entry. */
  editButton(open, ...value) {
    return h(
      "button",
      { type: "button", class: "icon-button edit", title: t.contacts.edit, onclick: open },
      h("span", { class: "unseen" }, t.customer.edit(t.fieldName(this.field.name)), " ", value),
      icon("edit"),
    );
  }
}
