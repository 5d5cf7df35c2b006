// The address book of a customer: its entries are added, edited and deleted in place.

import { addressControl } from "./address-form.js";
import { ApiError } from "./api.js";
import { h, replace, setAttribute, userText } from "./dom.js";
import { EntryList } from "./entry-list.js";
import { ADDRESS_PARTS } from "./fields.js";
import { icon } from "./icons.js";
import { ConflictError } from "./inline-field.js";
import { addressLines, KINDS } from "./kinds.js";
import { t } from "./texts.js";
import { button, checkbox, chip, copyToClipboard, errorNotice, iconButton, runAction, toast } from "./ui.js";

/** The field of a customer that each flag of an entry makes the default address of. */
const ROLES = { default_shipping: "shipping_address", default_billing: "billing_address" };
const FLAGS = Object.keys(ROLES);
const SHOWN_ENTRIES = 5;

const partsOf = (address) => Object.fromEntries(ADDRESS_PARTS.map((part) => [part, address?.[part] ?? ""]));
const keyOf = (address) => JSON.stringify(partsOf(address));
/** An entry as the API reads it. */
const inputOf = ({ id, label, default_shipping, default_billing, address }) => ({
  ...(id && { id }),
  label: label ?? "",
  default_shipping: default_shipping ?? false,
  default_billing: default_billing ?? false,
  address: { ...partsOf(address), country: address.country || null },
});
const essence = (entry) => JSON.stringify({ ...inputOf(entry), id: null });

/** The entry of a list that was `base`. The id of a default address is that of its role, so the content comes first. */
const findEntry = (entries, base) =>
  entries.find((entry) => keyOf(entry.address) === keyOf(base.address)) ?? entries.find(({ id }) => id === base.id);

/** Whether the address book differs between two versions of a customer. */
export const isBookChanged = (before, after) =>
  JSON.stringify(before.addresses.map(essence)) !== JSON.stringify(after.addresses.map(essence));

export class AddressBook extends EntryList {
  constructor(options) {
    super({ name: "address", kind: "Address" }, "addresses", options);
    this.areAllShown = false;
    this.items.classList.add("address-book");
    this.more = h("div");
    this.element = h("div", null, this.items, this.more, this.foot);
    this.render();
  }

  render() {
    super.render();
    const hidden = this.areAllShown
      ? []
      : this.rows.slice(SHOWN_ENTRIES).filter(({ id, editor }) => id !== null && !editor.control);
    for (const row of this.rows) setAttribute(row.element, "hidden", hidden.includes(row));
    const showAll = () => {
      this.areAllShown = true;
      const [first] = hidden;
      this.render();
      this.focus(first);
    };
    replace(
      this.more,
      hidden.length ? button(t.addresses.all(this.rows.length), showAll, { class: "plain small" }) : [],
    );
  }

  isPending({ pending }, { address }) {
    return pending !== null && pending === keyOf(address);
  }

  /** The form of an entry, as kinds.js describes controls. `change()` has only the changed properties. */
  control(entry) {
    const parts = addressControl({ name: "" }, entry?.address);
    const label = KINDS.Text.control({ name: "label" }, entry?.label ?? "");
    // The first address is where orders are sent.
    const initial = entry ?? { default_shipping: !this.entries.length, default_billing: false };
    const flags = FLAGS.map((flag) => checkbox(t.addresses.roles[flag], { checked: initial[flag] }));
    const notice = errorNotice();
    const change = () => {
      const address = parts.change();
      const changed = FLAGS.map((flag, index) => [flag, flags[index].input.checked]);
      const changes = {
        address,
        label: label.change(),
        ...Object.fromEntries(changed.filter(([flag, isOn]) => isOn !== Boolean(initial[flag]))),
      };
      // The flags of a new entry alone are no input.
      if (!entry && address !== undefined) Object.assign(changes, Object.fromEntries(changed));
      const properties = Object.entries(changes).filter(([, property]) => property !== undefined);
      return properties.length ? Object.fromEntries(properties) : undefined;
    };
    const whole = { input: parts.fields.country.input, setError: (text) => notice.setText(text) };
    const hint = h("p", { class: "hint" }, t.addresses.labelHint);
    return {
      content: h(
        "div",
        { class: "address-form" },
        parts.content,
        h("div", { class: "fields" }, h("div", null, label.content, hint), h("div", { class: "flags" }, flags)),
        notice,
      ),
      // The fields of the parts change with the country.
      fields: Object.assign(parts.fields, { label: label.fields.label, address: whole }),
      change,
    };
  }

  /** The entry of a row, with its buttons. */
  view(row, open) {
    const entry = this.entries.find(({ id }) => id === row.id);
    if (!entry) return [];
    const { address, label } = entry;
    const lines = addressLines(address);
    // Several addresses often have the same first line, that of the person.
    const name = label || lines.join(t.separators.list);
    const chips = [
      label ? userText(label, { class: "chip", title: label }) : null,
      FLAGS.filter((flag) => entry[flag]).map((flag) => chip(t.addresses.flags[flag])),
    ].flat();
    return h(
      "div",
      { class: "contact-point" },
      h(
        "div",
        { class: "grow" },
        chips.some(Boolean) ? h("div", { class: "tags" }, chips) : null,
        KINDS.Address.view(address),
        address.problems.length
          ? h(
              "ul",
              { class: "address-problems", "aria-label": t.addresses.problems(name) },
              address.problems.map(({ part, problem }) =>
                h("li", null, icon("warning"), h("span", null, t.addresses.problem[problem](t.address[part]))),
              ),
            )
          : null,
      ),
      h(
        "span",
        { class: "contact-actions" },
        this.canWrite ? this.editButton(open, userText(name)) : null,
        iconButton("copy", t.contacts.copy(name), () => copyToClipboard(lines.join("\n"))),
        this.canWrite
          ? iconButton("trash", t.addresses.delete(name), ({ currentTarget }) => this.remove(currentTarget, row, entry))
          : null,
      ),
    );
  }

  async remove(control, row, entry) {
    const isRemoved = await runAction(control, () => this.save(row, null, entry, false));
    if (!isRemoved) return;
    this.focus(row);
    const restore = async () => {
      if (await runAction(this.element, () => this.save(this.newRow(), inputOf({ ...entry, id: null }), null, false)))
        this.foot.querySelector("button")?.focus();
    };
    toast(t.addresses.deleted, { actions: [[t.undo, restore]], seconds: 10 });
  }

  /**
   * Saves the changed properties of an entry over `base`, what it was when the person began; null for
   * a new one. Without `changes` the entry is deleted. Throws ApiError, and ConflictError if another
   * person has changed the same properties.
   */
  save(row, changes, base, isForced) {
    return this.saveBy((customer) => {
      const { addresses: entries } = customer;
      const current = base ? findEntry(entries, base) : undefined;
      const conflicts = base && !isForced ? conflictsOf(base, current, changes) : [];
      if (conflicts.length) throw new ConflictError(conflicts);
      const others = entries.filter((entry) => entry !== current);
      if (!changes) return { addresses: others.map(inputOf) };
      const address = { ...partsOf((current ?? base)?.address), ...changes.address };
      if (!Object.values(address).some((text) => text?.trim())) throw emptyError();
      row.pending = keyOf(address);
      const changed = { ...(current ?? { ...base, id: null }), ...changes, address };
      const role = roleOfSimple(changed, changes, current, entries);
      if (role) return { [role]: changes.address };
      const place = current ? entries.indexOf(current) : entries.length;
      const list = entries.toSpliced(place, current ? 1 : 0, changed);
      const cleared = Object.fromEntries(FLAGS.filter((flag) => changes[flag]).map((flag) => [flag, false]));
      return { addresses: list.map((entry) => inputOf(entry === changed ? entry : { ...entry, ...cleared })) };
    });
  }
}

/**
 * The field of the customer that a change is about alone: the parts of one default address, or a first
 * one. The history then has its changed parts, and older tables have nothing else.
 */
function roleOfSimple(changed, changes, current, entries) {
  const flags = FLAGS.filter((flag) => changed[flag]);
  if (flags.length !== 1 || !changes.address) return null;
  const isSimple = current
    ? Object.keys(changes).length === 1
    : !changed.label && !entries.some((entry) => entry[flags[0]] || keyOf(entry.address) === keyOf(changed.address));
  return isSimple ? ROLES[flags[0]] : null;
}

/** What others have changed in an entry: pairs of a label and the current value. */
function conflictsOf(base, current, changes) {
  if (!current) return [[t.fieldName("address"), null]];
  if (!changes)
    return essence(base) === essence(current)
      ? []
      : [[t.fieldName("address"), addressLines(current.address).join(t.separators.list)]];
  const parts = Object.keys(changes.address ?? {}).filter(
    (part) => partsOf(base.address)[part] !== partsOf(current.address)[part],
  );
  const label = changes.label !== undefined && base.label !== current.label;
  return [
    ...parts.map((part) => [t.address[part], current.address[part]]),
    ...(label ? [[t.fieldName("label"), current.label]] : []),
  ];
}

function emptyError() {
  const extensions = { input_path: ["address"] };
  return new ApiError([{ key: "errors_invalid_input", message: t.addresses.empty, extensions }]);
}
