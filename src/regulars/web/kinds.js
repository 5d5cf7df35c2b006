// The parts of each kind of field: a control, a view of its value, and a cell in the list.
//
// `control(field, value)` returns the `content` of a form, its labelled `fields` by the names that
// the API has in `input_path`, and `change()`: the value to save, or undefined if it is unchanged.
// `view(value)` returns the content of the customer page, `cell(customer, field)` that of the list.

import { addressControl } from "./address-form.js";
import { ApiError } from "./api.js";
import { h, userText } from "./dom.js";
import {
  avatar,
  countryName,
  displayName,
  formatNumber,
  formatValue,
  numberText,
  readNumber,
  relativeTime,
} from "./format.js";
import { icon } from "./icons.js";
import { noAmount, spendLines } from "./money.js";
import { suggestTags } from "./tag-suggestions.js";
import { t } from "./texts.js";
import { button, checkbox, formField, iconButton, selectOptions } from "./ui.js";

/** The URL of a customer's page. */
export const customerUrl = (customer) => `/customers/${customer._id}`;

/** The URL of the list of a segment's customers. */
export const segmentUrl = ({ id, _id: number }) => `/customers?segment=${number ?? encodeURIComponent(id)}`;

/**
 * A control of one input: `read(text)` returns the value to save, and `write(value)` the text.
 * `complete(input)` makes the input suggest values.
 */
function inputControl(
  input,
  { read = (text) => text, write = (value) => value ?? "", hint = null, complete = (_input) => {} } = {},
) {
  return ({ name }, value) => {
    const element = input();
    const initial = write(value);
    element.value = initial;
    const content = formField(t.fieldName(name), element, { hint });
    complete(element);
    return {
      content,
      fields: { [name]: content },
      change: () => (element.value === initial ? undefined : read(element.value)),
    };
  };
}

const lineControl = (inputmode, properties = {}) =>
  inputControl(() =>
    h("input", { type: "text", inputmode, autocomplete: "off", dir: "auto", spellcheck: "false", ...properties }),
  );
const plainCell = (customer, { name }) => userText(customer[name] ?? "");
/** The tags of a text in which commas separate them. */
export const splitTags = (text) =>
  text
    .split(",")
    .map((tag) => tag.trim())
    .filter(Boolean);

function flagControl({ name }, value) {
  const content = checkbox(t.fieldName(name), { checked: value });
  return {
    content,
    fields: {},
    change: () => (content.input.checked === Boolean(value) ? undefined : content.input.checked),
  };
}

/** The first tag, and how many others there are. */
function tagsCell(customer, { name }) {
  const [first, ...rest] = customer[name];
  return h(
    "div",
    { class: "tags" },
    first === undefined ? null : userText(first, { class: "chip", title: first }),
    rest.length ? h("span", { class: "hint", title: rest.join(", ") }, t.list.moreTags(rest.length)) : null,
  );
}

/** A place in the list: the city, and the country by its name. The API has `country, city`. */
function locationCell(customer, { name }) {
  const text = customer[name] ?? "";
  const [, code, city] = text.match(/^([A-Z]{2})(?:, (.*))?$/s) ?? [];
  if (!code) return userText(text, { title: text });
  const country = countryName(code);
  // The name of the city has its own direction.
  return h(
    "span",
    { class: "place", title: [city, country].filter(Boolean).join(t.separators.list) },
    city ? userText(city) : null,
    h("span", null, city ? t.separators.list : null, country),
  );
}

function personCell(customer) {
  const name = displayName(customer);
  const contact = customer.email || customer.phone;
  return h(
    "div",
    { class: "person" },
    avatar(customer),
    h(
      "div",
      null,
      h("a", { href: customerUrl(customer), class: "row-link", title: name, dir: "auto" }, userText(name)),
      customer.full_name && contact ? userText(contact, { class: "email" }) : null,
    ),
  );
}

function countCell(customer, { name }) {
  const count = customer[name];
  if (!count) return noAmount();
  return [
    formatNumber(count),
    h("span", { class: "narrow-only" }, ` ${t.list.units[name]?.(count) ?? t.fieldName(name)}`),
  ];
}

/** The changes of an object, or undefined if there are none. */
const nonEmpty = (changes) => (Object.keys(changes).length ? changes : undefined);

/** The lines of an address. */
export function addressLines(address) {
  const join = (...parts) => parts.filter(Boolean).join(" ");
  const { first_name: first, last_name: last, company, line1, line2 } = address;
  const { zip, city, area, state, country, phone, email } = address;
  return [
    join(first, last),
    company,
    line1,
    line2,
    join(zip, city),
    area,
    state,
    country && countryName(country),
    phone,
    email,
  ].filter(Boolean);
}

function addressView(address) {
  if (!address) return formatValue(null);
  return h(
    "span",
    { class: "address" },
    addressLines(address).map((line) => h("span", null, userText(line))),
  );
}

// The types of a custom field, and how each is read and written as text.
const isYes = (text) => [t.yes.toLowerCase(), "true"].includes(text.trim().toLowerCase());
const isNo = (text) => [t.no.toLowerCase(), "false"].includes(text.trim().toLowerCase());
const CUSTOM_TYPES = {
  text: { has: (value) => typeof value === "string", read: (text) => text, write: (value) => value },
  number: {
    has: (value) => typeof value === "number",
    read: (text) => {
      const number = readNumber(text);
      if (number === null) throw new SyntaxError();
      return number;
    },
    write: numberText,
  },
  yes: {
    has: (value) => typeof value === "boolean",
    read: (text) => {
      if (!isYes(text) && !isNo(text)) throw new SyntaxError();
      return isYes(text);
    },
    write: (value) => (value ? t.yes : t.no),
  },
  json: { has: () => true, read: JSON.parse, write: JSON.stringify },
};

function customControl({ name: fieldName }, custom) {
  const rows = [];
  const body = h("div", { class: "custom-rows" });
  const problem = formField(t.custom.label, h("input", { type: "hidden" }));
  const addRow = (key, value) => {
    const type = Object.keys(CUSTOM_TYPES).find((other) => CUSTOM_TYPES[other].has(value));
    const name = h("input", {
      type: "text",
      value: key,
      "aria-label": t.custom.name,
      placeholder: t.custom.name,
      dir: "auto",
      readonly: key !== "",
    });
    const types = h(
      "select",
      { "aria-label": t.custom.kind },
      selectOptions(
        Object.keys(CUSTOM_TYPES).map((other) => [other, t.custom.kinds[other]]),
        type,
      ),
    );
    const text = h("input", {
      type: "text",
      value: CUSTOM_TYPES[type].write(value),
      "aria-label": t.custom.value(key),
      placeholder: t.custom.value(""),
      dir: "auto",
    });
    const row = { key, name, types, text, isRemoved: false };
    const element = h(
      "div",
      { class: "custom-row" },
      name,
      types,
      text,
      iconButton("trash", t.custom.remove(key), () => {
        row.isRemoved = true;
        element.remove();
        body.parentElement.querySelector("button.add").focus();
      }),
    );
    rows.push(row);
    body.append(element);
    return name;
  };
  for (const [key, value] of Object.entries(custom ?? {})) addRow(key, value);
  const add = button([icon("add"), t.custom.add], () => addRow("", "").focus(), { class: "plain add" });
  if (!rows.length) addRow("", "");

  const change = () => {
    const changes = {};
    for (const { key, name, types, text, isRemoved } of rows) {
      const newKey = name.value.trim();
      if (isRemoved || !newKey) {
        if (isRemoved && key) changes[key] = null;
        continue;
      }
      const value = readCustom(types.value, text.value, newKey);
      if (!key || JSON.stringify(custom[key]) !== JSON.stringify(value)) changes[newKey] = value;
    }
    return nonEmpty(changes);
  };
  const firstInput = rows[0].key ? rows[0].text : rows[0].name;
  return { content: h("div", null, body, add, problem), fields: { [fieldName]: problem }, firstInput, change };
}

/** The text of a custom field that is not a value of its type. It is never sent: see checkValues. */
class InvalidValue {
  constructor(type, key) {
    this.message = t.custom.invalid(key, t.custom.kinds[type]);
  }
}

function readCustom(type, text, key) {
  try {
    return CUSTOM_TYPES[type].read(text);
  } catch {
    return new InvalidValue(type, key);
  }
}

/** Throws ApiError if a value that is about to be saved is invalid. */
export function checkValues(node) {
  const errors = Object.entries(node).flatMap(([name, value]) =>
    Object.values(value ?? {})
      .filter((part) => part instanceof InvalidValue)
      .map(({ message }) => ({ message, key: "errors_invalid_input", extensions: { input_path: [name] } })),
  );
  if (errors.length) throw new ApiError(errors);
}

function customView(custom) {
  const entries = Object.entries(custom ?? {});
  if (!entries.length) return formatValue(null);
  return h(
    "span",
    { class: "pairs" },
    entries.map(([key, value]) => h("span", null, userText(key, { class: "hint" }), " ", formatValue(value))),
  );
}

/**
 * The kinds. `section` is the part of the customer page where the field is edited. `isLine` is true
 * for one line of text, `hasParts` for an object that an update merges part by part. `column` is the
 * class of the list's column.
 */
export const KINDS = {
  Text: {
    section: "profile",
    isLine: true,
    control: lineControl("text"),
    view: formatValue,
    cell: plainCell,
    column: "text-cell",
  },
  Email: {
    section: "profile",
    isLine: true,
    control: lineControl("email"),
    view: formatValue,
    cell: plainCell,
    column: "text-cell",
  },
  Phone: {
    section: "profile",
    isLine: true,
    control: lineControl("tel"),
    view: formatValue,
    cell: plainCell,
    column: "text-cell",
  },
  Flag: {
    section: "profile",
    control: flagControl,
    view: formatValue,
    cell: (customer, { name }) => formatValue(customer[name]),
    column: "text-cell",
  },
  Tags: {
    section: "profile",
    column: "tags-cell",
    view: formatValue,
    cell: tagsCell,
    control: inputControl(() => h("input", { type: "text", autocomplete: "off", dir: "auto" }), {
      read: splitTags,
      write: (tags) => tags?.join(", ") ?? "",
      hint: t.create.tagsHint,
      complete: suggestTags,
    }),
  },
  Address: { section: "addresses", hasParts: true, control: addressControl, view: addressView },
  LongText: {
    section: "more",
    control: inputControl(() => h("textarea", { rows: 5, dir: "auto" })),
    view: (value) => (value ? h("span", { class: "lines" }, userText(value)) : formatValue(value)),
  },
  Json: { section: "more", hasParts: true, control: customControl, view: customView },
  FullName: { cell: personCell, column: "name" },
  Location: { cell: locationCell, column: "location" },
  Company: {
    cell: ({ shipping_address: shipping, billing_address: billing }) =>
      userText(shipping?.company || billing?.company || ""),
    column: "text-cell",
  },
  LastOrder: {
    cell: ({ summary }, { name }) => (summary.orders[name] ? relativeTime(summary.orders, name) : noAmount()),
    column: "time-cell",
  },
  Custom: {
    cell: ({ custom }, { key }) => {
      const value = key.split(".").reduce((part, name) => part?.[name], custom) ?? custom?.[key];
      return value === undefined || value === null ? "" : formatValue(value);
    },
    column: "text-cell",
  },
  Money: {
    cell: (customer) => spendLines(customer),
    column: "money-cell",
  },
  Count: { view: formatNumber, cell: countCell, column: "count-cell" },
  Timestamp: { cell: (customer, { name }) => relativeTime(customer, name), column: "time-cell" },
};
