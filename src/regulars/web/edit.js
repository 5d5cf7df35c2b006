// Editing in place: a value that becomes a small form, and a value again once it is saved.

import { Failure } from "./api.js";
import { announce } from "./busy.js";
import { h, replace, said, set, unique } from "./dom.js";
import { countries, country, shown } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { button, during, field, iconButton, showProblems } from "./ui.js";

/** Somebody else changed what was to be saved: `now` is what it has become. */
export class Conflict extends Error {
  constructor(now) {
    super(t.customer.conflict);
    this.now = now;
  }
}

/**
 * A value that can be edited in place.
 *
 * `view()` answers what is shown; `form()` the form: `content`, the labelled `fields` by the names
 * that the API gives their values, and `node()`, what is to be saved, or null for nothing. `begin()` is
 * called before it is opened; `save(node, force)` saves it, and raises Failure, or a Conflict unless
 * `force`. Without `writes` it is only shown; a form of several fields is `titled` with the label.
 */
export class Editable {
  constructor({ label, view, form, save, begin, writes, wide = false, titled = false }) {
    Object.assign(this, { label, view, form, save, begin, writes, titled });
    this.element = h("div", { class: wide ? "editable wide" : "editable" });
    this.open = null;
    this.render();
  }

  /** Shows the value anew, unless it is being edited. */
  render() {
    if (this.open) return;
    const heading = unique("label");
    const content = this.view();
    replace(this.element,
      h("div", { class: "label", id: heading }, this.label),
      !this.writes ? h("div", { class: "value" }, content) : h("button", { type: "button", class: "value", onclick: () => this.edit() },
        h("span", { class: "unseen" }, t.customer.edit(this.label)), content, icon("edit")));
  }

  /** Whether something is typed that is not saved. */
  get unsaved() {
    return this.open !== null && this.open.node() !== null;
  }

  edit() {
    this.begin();
    const made = this.form();
    this.open = made;
    const notice = h("div", { class: "notice", role: "alert", hidden: true });
    const submit = h("button", { type: "submit", class: "primary" }, t.save);
    replace(this.element, h("form", {
      "aria-label": this.label, novalidate: true,
      onsubmit: (event) => { event.preventDefault(); this.submit(submit, notice, false); },
      onkeydown: (event) => { if (event.key === "Escape" && !event.isComposing) { event.stopPropagation(); this.close(); } },
    }, this.titled ? h("div", { class: "label" }, this.label) : null, made.content, notice, h("div", { class: "row" }, submit, button(t.cancel, () => this.close()))));
    const first = Object.values(made.fields)[0].input;
    first.focus();
    first.select?.();
  }

  async submit(control, notice, force) {
    const made = this.open;
    const node = made.node();
    if (node === null) {
      this.close();
      return;
    }
    set(notice, "hidden", true);
    try {
      await during(control, () => this.save(node, force));
    } catch (failure) {
      if (failure instanceof Conflict) this.ask(failure, control, notice);
      else this.refuse(failure, made, notice);
      return;
    }
    this.close();
    announce(t.saved);
  }

  refuse(failure, made, notice) {
    showProblems(failure, made.fields, (text) => {
      set(notice, "hidden", null);
      replace(notice, icon("warning"), text);
    });
  }

  /** Shows what somebody else has made of it, and asks which of the two it is to be. */
  ask(conflict, control, notice) {
    set(notice, "hidden", null);
    replace(notice,
      h("p", null, icon("warning"), t.customer.conflict),
      h("dl", { class: "theirs" }, conflict.now.map(([name, value]) => [h("dt", null, name), h("dd", null, shown(value))])),
      h("div", { class: "row" },
        button(t.customer.keepTheirs, () => this.close()),
        button(t.customer.saveMine, () => this.submit(control, notice, true))));
  }

  close() {
    this.open = null;
    this.render();
    this.element.querySelector("button")?.focus();
  }
}

/** An editable text: `name` is the field's in the API. */
export function textField(name, label, customer, { type = "text", lines = false, autocomplete = "off", hint = null } = {}) {
  return {
    label,
    view: () => (lines && customer()[name] ? h("span", { class: "lines" }, said(customer()[name])) : shown(customer()[name])),
    form: () => {
      const was = customer()[name] ?? "";
      const input = lines
        ? h("textarea", { rows: 5, value: was, dir: "auto" })
        : h("input", { type: "text", inputmode: type, value: was, autocomplete, dir: "auto", spellcheck: "false" });
      const labelled = field(label, input, { hint });
      return { content: labelled, fields: { [name]: labelled }, node: () => (input.value === was ? null : { [name]: input.value }) };
    },
  };
}

const PARTS = ["first_name", "last_name", "line1", "line2", "zip", "city", "area", "state", "country", "phone", "email"];

/** The inputs of an address, by the names of its parts; `change` is called when one is typed in. */
export function addressInputs(address, kind) {
  const fields = {};
  for (const part of PARTS) {
    const was = address?.[part] ?? "";
    const label = t.address[part];
    if (part === "country") {
      const known = countries();
      const other = was && !known.some(([code]) => code === was) ? [[was, country(was)]] : [];
      const options = [["", t.nothing], ...other, ...known].map(([code, name]) => h("option", { value: code, selected: code === was }, name));
      fields[`${kind}.${part}`] = field(label, h("select", null, options));
    } else {
      fields[`${kind}.${part}`] = field(label, h("input", { type: "text", value: was, dir: "auto", autocomplete: "off" }));
    }
  }
  const changed = () => {
    const found = {};
    for (const part of PARTS) {
      const { value } = fields[`${kind}.${part}`].input;
      if (value !== (address?.[part] ?? "")) found[part] = part === "country" && !value ? null : value;
    }
    return found;
  };
  return { content: h("div", { class: "fields" }, Object.values(fields)), fields, changed };
}

/** An editable address of a kind: `shipping_address` or `billing_address`. */
export function addressField(kind, label, customer) {
  return {
    label,
    wide: true,
    titled: true,
    view: () => {
      const address = customer()[kind];
      if (!address) return shown(null);
      const name = [address.first_name, address.last_name].filter(Boolean).join(" ");
      const place = [address.zip, address.city].filter(Boolean).join(" ");
      const lines = [name, address.line1, address.line2, place, address.area, address.state, address.country && country(address.country), address.phone, address.email];
      return h("span", { class: "address" }, lines.filter(Boolean).map((line) => h("span", null, said(line))));
    },
    form: () => {
      const made = addressInputs(customer()[kind], kind);
      const clear = customer()[kind] ? h("label", { class: "check" }, h("input", { type: "checkbox" }), h("span", null, t.address.remove)) : null;
      const node = () => {
        if (clear?.firstChild.checked) return { [kind]: null };
        const changed = made.changed();
        return Object.keys(changed).length ? { [kind]: changed } : null;
      };
      return { content: h("div", null, made.content, clear), fields: made.fields, node };
    },
  };
}

// What a custom field may be, and how it is read and written as text.
const KINDS = {
  text: { is: (value) => typeof value === "string", read: (text) => text, write: (value) => value },
  number: { is: (value) => typeof value === "number", read: (text) => Number(text), write: String, wrong: (text) => text.trim() === "" || !Number.isFinite(Number(text)) },
  yes: { is: (value) => typeof value === "boolean", read: (text) => text.trim().toLowerCase() === t.yes.toLowerCase() || text === "true", write: (value) => (value ? t.yes : t.no), wrong: (text) => ![t.yes.toLowerCase(), t.no.toLowerCase(), "true", "false"].includes(text.trim().toLowerCase()) },
  json: { is: () => true, read: JSON.parse, write: JSON.stringify, wrong: (text) => { try { JSON.parse(text); return false; } catch { return true; } } },
};

/** Inputs of custom fields: a row for each, to which others can be added. */
export function customInputs(custom) {
  const rows = [];
  const body = h("div", { class: "custom-rows" });
  const problem = field(t.custom.label, h("input", { type: "hidden" }));
  const addRow = (key, value) => {
    const kind = Object.keys(KINDS).find((name) => KINDS[name].is(value));
    const name = h("input", { type: "text", value: key, "aria-label": t.custom.name, placeholder: t.custom.name, dir: "auto", readonly: key !== "" });
    const kinds = h("select", { "aria-label": t.custom.kind }, Object.keys(KINDS).map((one) => h("option", { value: one, selected: one === kind }, t.custom.kinds[one])));
    const text = h("input", { type: "text", value: KINDS[kind].write(value), "aria-label": t.custom.value(key), placeholder: t.custom.value(""), dir: "auto" });
    const row = { key, name, kinds, text, gone: false };
    const element = h("div", { class: "custom-row" }, name, kinds, text,
      iconButton("trash", t.custom.remove(key), () => { row.gone = true; element.remove(); body.parentElement.querySelector("button.add").focus(); }));
    rows.push(row);
    body.append(element);
    return name;
  };
  for (const [key, value] of Object.entries(custom ?? {})) addRow(key, value);
  const add = button([icon("add"), t.custom.add], () => addRow("", "").focus(), { class: "plain add" });
  if (!rows.length) addRow("", "");

  /** What is changed, key by key; a key that is to go is null. Raises Failure for a value of another kind. */
  const changed = () => {
    const found = {};
    for (const { key, name, kinds, text, gone } of rows) {
      const named = name.value.trim();
      if (gone || !named) {
        if (gone && key) found[key] = null;
        continue;
      }
      const kind = KINDS[kinds.value];
      const wrong = kind.wrong?.(text.value);
      const value = wrong ? undefined : kind.read(text.value);
      const same = !wrong && key && JSON.stringify(custom[key]) === JSON.stringify(value);
      if (!same) found[named] = wrong ? new Wrong(kinds.value, named) : value;
    }
    return found;
  };
  return { content: h("div", null, body, add, problem), fields: { custom: problem }, changed };
}

/** A text that is no value of the kind it is to be. */
class Wrong {
  constructor(kind, name) {
    this.message = t.custom.wrong(name, t.custom.kinds[kind]);
  }
}

/** Raises Failure where a custom field is no value of its kind. */
export function checkCustom(custom) {
  const wrong = Object.values(custom ?? {}).filter((one) => one instanceof Wrong);
  if (wrong.length) throw new Failure(wrong.map(({ message }) => ({ message, key: "errors_invalid_input", extensions: { input_path: ["custom"] } })));
}

/** The editable custom fields. */
export function customField(customer) {
  return {
    label: t.custom.label,
    wide: true,
    titled: true,
    view: () => {
      const all = Object.entries(customer().custom ?? {});
      if (!all.length) return shown(null);
      return h("span", { class: "pairs" }, all.map(([key, value]) => h("span", null, said(key, { class: "hint" }), " ", shown(value))));
    },
    form: () => {
      const made = customInputs(customer().custom);
      const node = () => { const custom = made.changed(); return Object.keys(custom).length ? { custom } : null; };
      return { ...made, node };
    },
  };
}
