// The emails and the phones of a customer: two lists whose entries are edited in place.

import { ApiError } from "./api.js";
import { h, replace, userText } from "./dom.js";
import { EntryList } from "./entry-list.js";
import { countryName, formatDateTime, relativeTime } from "./format.js";
import { icon } from "./icons.js";
import { ConflictError } from "./inline-field.js";
import { KINDS } from "./kinds.js";
import { t } from "./texts.js";
import { checkbox, chip, copyToClipboard, iconButton, runAction } from "./ui.js";

/** The name of the list whose default is a field, by the kind of the field. */
const LISTS = { Email: "emails", Phone: "phones" };
const digits = (text) => text.replace(/\D/g, "");
// The form in which values of a customer are compared. The server has the last word.
const KEYS = {
  Email: (text) => text.trim().toLowerCase(),
  Phone: (text) => digits(text) || text.trim(),
};

/** A link that writes to an email. */
export const emailLink = (email) =>
  h("a", { href: `mailto:${encodeURIComponent(email).replaceAll("%40", "@")}` }, userText(email));

/** A link that calls a phone; one without digits is a text. */
export const phoneLink = (phone, e164 = null) =>
  digits(phone) ? h("a", { href: `tel:${e164 ?? phone.replace(/[^+\d]/g, "")}` }, userText(phone)) : userText(phone);

/** The names of the lists that differ between two versions of a customer. */
export const changedLists = (before, after) =>
  Object.entries(LISTS)
    .filter(([kind, list]) => !areEqual(kind, before[list], after[list]))
    .map(([, list]) => list);

// The time since a verification grows without a change.
const essence = (kind, entry) =>
  entry && [entry[kind.toLowerCase()], entry.label, entry.default, entry.verified_at_iso];
const areEqual = (kind, before, after) =>
  JSON.stringify(before.map((entry) => essence(kind, entry))) ===
  JSON.stringify(after.map((entry) => essence(kind, entry)));

const WRITTEN = /^(?:([^<>]*) )?<(.*)>(?: \(verified (\S+)\))?$/;

/** A text in its own direction, also within another text. */
const isolate = (text) => (/^[ -~]*$/.test(text) && document.dir === "ltr" ? text : `\u2068${text}\u2069`);

/** An entry of a list in the history, `work <b@example.com>`, as people read it. */
export function readableEntry(text) {
  const [, label, value, verified] = text.match(WRITTEN) ?? [null, null, text];
  const properties = [
    label ? isolate(label) : null,
    verified ? t.contacts.verifiedAt(formatDateTime(verified)) : null,
  ].filter(Boolean);
  return properties.length ? `${isolate(value)} (${properties.join(t.separators.list)})` : value;
}

/** The editor of a list. `field` is that of its default; with `isRequired`, one entry has to stay. */
export class ContactPoints extends EntryList {
  constructor(field, options, isRequired) {
    super(field, LISTS[field.kind], options);
    this.needsEntry = isRequired;
    this.label = h("div", { class: "label" });
    this.element = h("div", { class: "editable" }, this.label, this.items, this.foot);
    this.render();
  }

  get isRequired() {
    return this.needsEntry && this.entries.length < 2;
  }

  /** Whether the customer has no more than a default without properties. */
  get isSimple() {
    const [first, second] = this.entries;
    return !second && !first?.label && !first?.verified_at;
  }

  render() {
    super.render();
    replace(this.label, t.fieldName(this.entries.length > 1 ? this.list : this.field.name));
    this.element.classList.toggle("wide", this.field.kind === "Email" || !this.isSimple);
  }

  /** Whether a row has the value of an entry, and the entry has no row of its own. */
  isPending({ id, pending }, entry) {
    const { kind, name } = this.field;
    const isOwn = (row) => row.id === entry.id;
    const isTaken = this.entries.some((other) => other.id === id);
    return pending !== null && !isTaken && !this.rows.some(isOwn) && pending === KEYS[kind](entry[name]);
  }

  /** The form of an entry, as kinds.js describes controls. `change()` has only the changed properties. */
  control(entry) {
    const { kind, name } = this.field;
    const value = KINDS[kind].control(this.field, entry?.[name] ?? "");
    const label = KINDS.Text.control({ name: "label" }, entry?.label ?? "");
    const isDefault = entry ? entry.default : !this.entries.length;
    const choice = isDefault ? null : checkbox(t.contacts.makeDefault[this.list]);
    const change = () => {
      const changes = {
        [name]: value.change(),
        label: label.change(),
        default: choice?.input.checked || undefined,
      };
      const properties = Object.entries(changes).filter(([, property]) => property !== undefined);
      return properties.length ? Object.fromEntries(properties) : undefined;
    };
    const { [name]: box } = value.fields;
    const hint = h("p", { class: "hint" }, t.contacts.labelHint);
    return {
      content: h("div", { class: "fields" }, value.content, h("div", null, label.content, hint), choice),
      // Errors of the whole list are shown at the value.
      fields: { [name]: box, label: label.fields.label, [this.list]: box },
      change,
    };
  }

  /** The entry of a row, with its buttons. */
  view(row, open) {
    const entry = this.entries.find(({ id }) => id === row.id);
    if (!entry) return [];
    const value = entry[this.field.name];
    const { isSimple } = this;
    return h(
      "div",
      { class: "contact-point" },
      h("span", { class: "grow" }, this.field.kind === "Email" ? emailLink(value) : phoneLink(value, entry.e164), [
        entry.label ? [" ", userText(entry.label, { class: "chip", title: entry.label })] : null,
        entry.default && this.entries.length > 1 ? [" ", chip(t.contacts.default)] : null,
        entry.verified_at
          ? [
              " ",
              h("span", { class: "hint" }, icon("check"), t.contacts.verified, " ", relativeTime(entry, "verified_at")),
            ]
          : null,
        entry.country ? [" ", h("span", { class: "hint" }, countryName(entry.country))] : null,
        entry.e164 && !entry.valid ? [" ", h("span", { class: "chip wrong" }, t.contacts.invalid)] : null,
      ]),
      h(
        "span",
        { class: "contact-actions" },
        this.canWrite ? this.editButton(open, userText(value)) : null,
        iconButton("copy", t.contacts.copy(value), () => copyToClipboard(value)),
        this.canWrite && !isSimple
          ? iconButton("close", t.contacts.remove(value), ({ currentTarget }) => this.remove(currentTarget, row, entry))
          : null,
      ),
    );
  }

  async remove(control, row, entry) {
    const { name } = this.field;
    const isRemoved = await runAction(control, () => this.save(row, { [name]: "" }, entry, false));
    if (isRemoved) this.focus(row);
  }

  /**
   * Saves the changed properties of an entry over `base`, what it was when the person began; null for
   * a new one. An empty value removes it. Throws ApiError, and a conflict if the entry has changed.
   */
  async save(row, changes, base, isForced) {
    const { kind, name } = this.field;
    const value = changes[name];
    row.pending = value === undefined ? null : KEYS[kind](value);
    await this.saveBy((customer) => {
      const entries = customer[this.list];
      const current = base ? entries.find(({ id }) => id === base.id) : undefined;
      if (base && !isForced && !areEqual(kind, [base], [current]))
        throw new ConflictError([[t.fieldName(name), current ? this.describe(current) : null]]);
      const others = entries.filter((entry) => entry !== current);
      if (value && others.some((entry) => KEYS[kind](entry[name]) === row.pending)) {
        const extensions = { input_path: [name] };
        throw new ApiError([{ key: "errors_invalid_input", message: t.contacts.duplicate[this.list], extensions }]);
      }
      // The default keeps its id if its value changes alone. Older tables have nothing but the default.
      const isValueOnly = Object.keys(changes).length === 1 && value !== undefined;
      if (isValueOnly && (current ? current.default : !entries.length)) return { [name]: value };
      const changed = { ...(base && { label: base.label, [name]: base[name] }), ...current, ...changes };
      const place = current ? entries.indexOf(current) : entries.length;
      const list = changed[name]?.trim() ? entries.toSpliced(place, current ? 1 : 0, changed) : others;
      return {
        [this.list]: list.map((entry) => ({
          [name]: entry[name],
          label: entry.label ?? "",
          default: changes.default ? entry === changed : (entry.default ?? false),
        })),
      };
    });
  }

  /** The properties of an entry as a text. */
  describe(entry) {
    const properties = [entry.label, entry.default ? t.contacts.default : null].filter(Boolean);
    return [entry[this.field.name], ...properties].join(" · ");
  }
}
