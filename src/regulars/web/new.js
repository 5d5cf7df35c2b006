// A new customer.

import { change } from "./api.js";
import { h, replace, set } from "./dom.js";
import { addressInputs, checkCustom, customInputs } from "./edit.js";
import { icon } from "./icons.js";
import { addressOf } from "./list.js";
import { go } from "./shell.js";
import { t } from "./texts.js";
import { check, during, field, pageHead, showProblems, toast } from "./ui.js";

const CREATE = "mutation($node: InputCustomer!) { createCustomer(node: $node) { _id full_name email } }";

export function show({ main, title }) {
  title(t.create.title);
  const text = (name, properties = {}) => field(t.fields[name], h("input", { type: "text", autocomplete: "off", dir: "auto", ...properties }));
  const fields = {
    email: text("email", { inputmode: "email", required: true, spellcheck: "false" }),
    first_name: text("first_name"),
    last_name: text("last_name"),
    phone: text("phone", { inputmode: "tel" }),
    tags: field(t.fields.tags, h("input", { type: "text", autocomplete: "off", dir: "auto" }), { hint: t.create.tagsHint }),
    notes: field(t.fields.notes, h("textarea", { rows: 4, dir: "auto" })),
  };
  const consent = check(t.fields.accepts_marketing);
  const shipping = addressInputs(null, "shipping_address");
  const billing = addressInputs(null, "billing_address");
  const custom = customInputs(null);
  const all = { ...fields, ...shipping.fields, ...billing.fields, ...custom.fields };
  const notice = h("p", { class: "notice wrong", role: "alert", hidden: true });
  const submit = h("button", { type: "submit", class: "primary" }, t.create.submit);
  let saved = false;

  const typed = () => {
    const node = {};
    for (const [name, { input }] of Object.entries(fields)) if (input.value.trim()) node[name] = input.value;
    if (node.tags) node.tags = node.tags.split(",");
    if (consent.input.checked) node.accepts_marketing = true;
    for (const [name, part] of [["shipping_address", shipping], ["billing_address", billing], ["custom", custom]]) {
      const changed = part.changed();
      if (Object.keys(changed).length) node[name] = changed;
    }
    return node;
  };

  async function create(event) {
    event.preventDefault();
    set(notice, "hidden", true);
    const node = typed();
    let made;
    try {
      checkCustom(node.custom);
      made = await during(submit, () => change(CREATE, { node: { email: "", ...node } }));
    } catch (failure) {
      showProblems(failure, all, (text) => {
        set(notice, "hidden", null);
        replace(notice, icon("warning"), text);
      });
      // What is wrong may be where nobody looks.
      for (const one of main.querySelectorAll("details:has([aria-invalid])")) one.open = true;
      main.querySelector("[aria-invalid]")?.focus();
      return;
    }
    saved = true;
    toast(t.create.done(made.createCustomer.full_name || made.createCustomer.email));
    go(addressOf(made.createCustomer));
  }

  const part = (label, ...content) => h("details", { class: "card" }, h("summary", null, label), content);
  replace(main,
    pageHead(t.create.title),
    h("form", { class: "narrow", novalidate: true, onsubmit: create },
      h("section", { class: "card" },
        h("div", { class: "fields" }, fields.email, fields.phone, fields.first_name, fields.last_name), consent, fields.tags, fields.notes),
      part(t.fields.shipping_address, shipping.content),
      part(t.fields.billing_address, billing.content),
      part(t.custom.label, custom.content),
      notice,
      h("div", { class: "row" }, submit, h("a", { class: "button", href: "/customers" }, t.cancel))));
  fields.email.input.focus();
  return { unsaved: () => !saved && Object.keys(typed()).length > 0 };
}
