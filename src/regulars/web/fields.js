// The customer's fields, as the server declares them. It replaces the placeholder when it starts.

/** Each field has a `name`, a `kind`, and the options of its declaration. */
export const FIELDS = DECLARED_FIELDS;

// The order of the kinds in the customer page and the sort menu.
const KIND_ORDER = [
  "FullName",
  "Text",
  "Email",
  "Phone",
  "Flag",
  "Tags",
  "Address",
  "LongText",
  "Json",
  "Timestamp",
  "Money",
  "Count",
];
// The kinds that can have a column in the list, in the order of the columns.
const COLUMN_ORDER = ["FullName", "Location", "Text", "Phone", "Flag", "Tags", "Count", "Money", "Timestamp"];
/** The parts of an address. */
export const ADDRESS_PARTS = [
  "first_name",
  "last_name",
  "company",
  "line1",
  "line2",
  "zip",
  "city",
  "area",
  "state",
  "country",
  "phone",
  "email",
];
/** The selection of times in a query; `relativeTime` of format.js shows one. */
export const selectTimes = (...names) => names.map((name) => `${name} ${name}_iso: ${name}(format: "ISO")`).join(" ");
const COMPANY = "shipping_address { company } billing_address { company }";
const SELECTIONS = {
  Company: () => COMPANY,
  LastOrder: (name) => `summary { orders { ${selectTimes(name)} } }`,
  Timestamp: selectTimes,
  Address: (name) => `${name} { ${ADDRESS_PARTS.join(" ")} }`,
  Addresses: (name) =>
    `${name} { id label default_shipping default_billing address { ${ADDRESS_PARTS.join(" ")} problems { part problem } } }`,
  ExternalIds: (name) => `${name} { source id }`,
  Emails: (name) => `${name} { id email label default ${selectTimes("verified_at")} }`,
  Phones: (name) => `${name} { id phone label default e164 country valid }`,
};

const byKind = (fields, order) => order.flatMap((kind) => fields.filter((field) => field.kind === kind));
const sources = FIELDS.flatMap((field) => field.sources ?? []);

/** The fields that a person edits. */
export const EDITABLE_FIELDS = byKind(
  FIELDS.filter((field) => field.is_writable),
  KIND_ORDER,
);
const LAST_ORDER = { name: "last_order_at", kind: "LastOrder", sort: true };
/** The fields by which the list can be sorted. */
export const SORT_FIELDS = [
  ...byKind(
    FIELDS.filter((field) => field.sort),
    KIND_ORDER,
  ),
  LAST_ORDER,
];
/** Whether the list is sorted by a text, which starts with A. */
export const isTextField = (key) =>
  SORT_FIELDS.some(({ kind, name }) => name === key && ["FullName", "Text", "Email"].includes(kind));
/** The columns of the list. A source of a computed field, as a first name, has none of its own. */
export const COLUMNS = byKind(
  FIELDS.filter((field) => field.in_list && !sources.includes(field.name)),
  COLUMN_ORDER,
);
/** Where pictures of customers are, if the server permits them; an empty text otherwise. */
export const PICTURES = document.querySelector("meta[name=regulars-pictures]").getAttribute("content");
const CUSTOM = "custom.";
const COLUMNS_KEY = "columns";
/** The columns that a person can choose, besides those of custom fields. */
export const ALL_COLUMNS = [
  ...COLUMNS,
  ...byKind(
    FIELDS.filter((field) => !COLUMNS.includes(field) && field.name !== "version"),
    ["Email", "Text", "Phone", "Flag", "Count", "Money", "Timestamp"],
  ),
  { name: "company", kind: "Company" },
  LAST_ORDER,
];
/** The column of a custom field. */
export const customColumn = (key) => ({ name: CUSTOM + key, key, kind: "Custom" });

/** The columns that the person has chosen in this browser, or the usual ones. The name is the first. */
export function chosenColumns() {
  let names = null;
  try {
    names = JSON.parse(localStorage.getItem(COLUMNS_KEY));
  } catch {
    // Another program has stored something else.
  }
  if (!Array.isArray(names)) return COLUMNS;
  const find = (name) =>
    String(name).startsWith(CUSTOM)
      ? customColumn(name.slice(CUSTOM.length))
      : ALL_COLUMNS.find((column) => column.name === name);
  return [COLUMNS[0], ...names.map(find).filter((column) => column && column !== COLUMNS[0])];
}

/** Stores the names of the columns in this browser; null means the usual ones. */
export function chooseColumns(names) {
  if (names) localStorage.setItem(COLUMNS_KEY, JSON.stringify(names));
  else localStorage.removeItem(COLUMNS_KEY);
}

/** The chosen columns, and the other fields that the column of the name shows. */
export const rowFields = () => [...new Set([...byKind(FIELDS, ["FullName", "Email"]), ...chosenColumns()])];

/** The selection of the rows of the list. */
export function selectRow() {
  const fields = rowFields();
  const hasCustom = fields.some(({ kind }) => kind === "Custom");
  const selection = selectFields(fields.filter(({ kind }) => kind !== "Custom"));
  return `id _id version phone ${PICTURES ? "avatar" : ""} ${selection}${hasCustom ? " custom" : ""}`;
}

/** The numbers that the server counts for each customer. */
export const FIGURES = byKind(
  FIELDS.filter((field) => field.in_history),
  ["Money", "Count"],
);
/** The times of a customer. */
export const TIMESTAMPS = byKind(FIELDS, ["Timestamp"]);

/** The selection of fields in a query. */
const selectFields = (fields) => fields.map(({ kind, name }) => SELECTIONS[kind]?.(name) ?? name).join(" ");
/** The selection of all fields. */
export const ALL_FIELDS = selectFields(FIELDS);
