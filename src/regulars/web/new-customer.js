// The form for a new customer.

import { getViewer, runMutation, runQuery } from "./api.js";
import { h, replace } from "./dom.js";
import { EDITABLE_FIELDS, FIELDS } from "./fields.js";
import { displayName } from "./format.js";
import { checkValues, customerUrl, KINDS } from "./kinds.js";
import { lastList } from "./list-query.js";
import { navigate } from "./navigation.js";
import { t } from "./texts.js";
import { errorNotice, noAccess, pageHeader, showFieldErrors, toast, withBusy } from "./ui.js";

const CREATE = "mutation($node: InputCustomer!) { createCustomer(node: $node) { _id full_name email phone } }";

export async function show({ main, setTitle, setHandlers }) {
  setTitle(t.create.title);
  const [{ accountSettings }, { scopes }] = await Promise.all([
    runQuery("{ accountSettings { identify_by } }"),
    getViewer(),
  ]);
  if (!scopes.includes("customers:write")) {
    replace(main, pageHeader(t.create.title), noAccess(t.errors.readOnly, t.errors.readOnlyText));
    return;
  }
  const controls = new Map(EDITABLE_FIELDS.map((field) => [field.name, KINDS[field.kind].control(field, null)]));
  const content = (fields) => fields.map(({ name }) => controls.get(name).content);
  // Inputs of one line stand side by side, in the order of the declaration.
  const lines = FIELDS.filter(({ name, kind }) => controls.has(name) && KINDS[kind].isLine);
  const blocks = EDITABLE_FIELDS.filter(({ kind }) => !KINDS[kind].isLine && !KINDS[kind].hasParts);
  const isProfile = ({ kind }) => KINDS[kind].section === "profile";
  const details = blocks.filter((field) => !isProfile(field));
  const folded = EDITABLE_FIELDS.filter(({ kind }) => KINDS[kind].hasParts);
  const notice = errorNotice();
  const submit = h("button", { type: "submit", class: "primary" }, t.create.submit);
  let isSaved = false;

  const input = () =>
    Object.fromEntries(
      [...controls].map(([name, control]) => [name, control.change()]).filter(([, value]) => value !== undefined),
    );

  async function create(event) {
    event.preventDefault();
    notice.setText("");
    const node = input();
    let customer;
    try {
      checkValues(node);
      ({ createCustomer: customer } = await withBusy(submit, () =>
        runMutation(CREATE, { node: { email: "", ...node } }),
      ));
    } catch (error) {
      showFieldErrors(error, Object.assign({}, ...[...controls.values()].map(({ fields }) => fields)), notice.setText);
      // An error may be in a closed section.
      for (const section of main.querySelectorAll("details:has([aria-invalid])")) section.open = true;
      main.querySelector("[aria-invalid]")?.focus();
      return;
    }
    isSaved = true;
    toast(t.create.done(displayName(customer)));
    navigate(customerUrl(customer));
  }

  setHandlers({ hasUnsavedInput: () => !isSaved && Object.keys(input()).length > 0 });
  replace(
    main,
    pageHeader(t.create.title),
    h(
      "form",
      { class: "new-customer", novalidate: true, onsubmit: create },
      h(
        "div",
        { class: "columns" },
        h(
          "section",
          { class: "card" },
          h("div", { class: "fields" }, content(lines)),
          content(blocks.filter(isProfile)),
        ),
        h(
          "div",
          null,
          h("section", { class: "card" }, content(details)),
          folded.map((field) =>
            h("details", { class: "card" }, h("summary", null, t.fieldName(field.name)), content([field])),
          ),
        ),
      ),
      notice,
      h("div", { class: "row" }, submit, h("a", { class: "button", href: lastList.url }, t.cancel)),
    ),
  );
  const { input: email } = controls.get("email").fields.email;
  email.required = accountSettings.identify_by === "email";
  email.focus();
}
