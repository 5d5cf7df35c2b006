// The filters of the list: what a chip says about a term, and the dialog that writes one.

import { runQuery } from "./api.js";
import { h, replace, setAttribute } from "./dom.js";
import { countryName, formatDay, formatNumber, numberText, readNumber } from "./format.js";
import { asValue } from "./search-box.js";
import { t } from "./texts.js";
import { checkbox, formField, openFormDialog, selectOptions } from "./ui.js";
import { findValues, suggestValues } from "./value-suggestions.js";

const MAX_SEGMENTS = 250;
const DAY = /^\d{4}-\d\d-\d\d$/;
const AGO = /^-(\d{1,5})(d|w|mo|y)$/;
const CUSTOM = "custom.";

// The kind of each key that a dialog can edit.
const KEY_KINDS = {
  country: "country",
  city: "text",
  tag: "text",
  accepts_marketing: "flag",
  expenses: "number",
  total_spent: "number",
  orders_count: "number",
  created_at: "date",
  updated_at: "date",
  last_order_at: "date",
  segment: "segment",
  state: "text",
  zip: "text",
  company: "text",
  comment: "words",
};
// What a comparison with a day says, and one with a time before now.
const DATES = { "": "on", ">=": "since", "<=": "until", ">": "after", "<": "before" };
const PERIODS = { "": "last", ">=": "last", ">": "last", "<": "ago", "<=": "ago" };
/** The filters of the menu, by their keys. */
export const MENU_KEYS = [
  "country",
  "city",
  "tag",
  "accepts_marketing",
  "expenses",
  "orders_count",
  "created_at",
  "updated_at",
  "last_order_at",
  "segment",
  "company",
  "comment",
  CUSTOM,
];

// The words of the search for true and false.
const FLAGS = new Map(
  Object.entries({ true: true, yes: true, on: true, 1: true, false: false, no: false, off: false, 0: false }),
);
const flagOf = ({ value, negated }) => FLAGS.has(value.toLowerCase()) && FLAGS.get(value.toLowerCase()) !== negated;
const isFlag = ({ key, value }) => kindOf(key) === "flag" && FLAGS.has(value.toLowerCase());

const kindOf = (key) => (key.startsWith(CUSTOM) ? "custom" : KEY_KINDS[key]);

/** The label of a key of the search. */
export const keyLabel = (key) => t.filters.keys[key === CUSTOM ? "custom" : key] ?? t.fieldName(key);

/** Whether the dialog can write a term again without a loss. */
export const canEdit = (term) => Boolean(kindOf(term.key) && FORMS[kindOf(term.key)].read(term));

/** What the chip of a term says. */
export function describeTerm(term) {
  const { key, operator, value, prefix, negated } = term;
  const label = keyLabel(key);
  if (isFlag(term)) return t.filters.is(label, flagOf(term) ? t.yes : t.no);
  const shown = describeValue(term);
  const relation = AGO.test(value) ? PERIODS[operator] : DATES[operator];
  const text =
    kindOf(key) === "date"
      ? t.filters.dates[relation](label, shown)
      : t.filters.compare(label, operator, shown + (prefix ? "…" : ""));
  return negated ? t.segments.not(text) : text;
}

function describeValue({ key, value }) {
  if (kindOf(key) === "country" && /^[A-Za-z]{2}$/.test(value)) return countryName(value.toUpperCase());
  if (kindOf(key) !== "date") return value;
  const [, count, unit] = value.match(AGO) ?? [];
  if (count) return t.filters.period(formatNumber(count), Number(count), unit);
  return DAY.test(value) && !Number.isNaN(Date.parse(value)) ? formatDay(value) : value;
}

/**
 * Opens the dialog of a filter: for a `key`, or to edit a `term`. Resolves with the text of the term,
 * or null.
 */
export function openFilterDialog(key, term = null) {
  const form = FORMS[key === CUSTOM ? "custom" : kindOf(key)];
  const control = form.control(key, term ? form.read(term) : {});
  return openFormDialog(
    term ? t.filters.edit(keyLabel(key)) : keyLabel(key),
    term ? t.filters.change : t.filters.add,
    control.content,
    {},
    async () => {
      const text = await control.write();
      return text ?? undefined;
    },
  );
}

const choice = (label, choices, selected) => h("select", { "aria-label": label }, selectOptions(choices, selected));

/** Returns the text of a field, or null after an error there. */
function readRequired(field, message) {
  const text = field.input.value.trim();
  field.setError(text ? "" : message);
  if (!text) field.input.focus();
  return text || null;
}

// How a text is compared.
const TEXT_RELATIONS = {
  is: (key, text) => `${key}:${asValue(text)}`,
  isNot: (key, text) => `-${key}:${asValue(text)}`,
  begins: (key, text) => `${key}:${asValue(text)}*`,
  beginsNot: (key, text) => `-${key}:${asValue(text)}*`,
};
const textRelation = ({ negated, prefix }) => `${prefix ? "begins" : "is"}${negated ? "Not" : ""}`;

/** An input with the relation before it, which suggests the values of a key. */
function textControl(
  label,
  { relation, value = "" },
  find,
  relations = Object.keys(TEXT_RELATIONS),
  labelOf = (name) => t.filters.relations[name],
) {
  const input = h("input", {
    type: "text",
    value,
    autocomplete: "off",
    autofocus: true,
    dir: "auto",
    spellcheck: "false",
  });
  const field = formField(label, input);
  suggestValues(input, find);
  const relationSelect = choice(
    t.filters.relation,
    relations.map((name) => [name, labelOf(name)]),
    relation,
  );
  return { field, relation: relationSelect, content: h("div", { class: "filter-form" }, relationSelect, field) };
}

const findCountries = async (text) => {
  const typed = fold(text);
  const found = await findValues("country", "", MAX_SEGMENTS);
  return found
    .map((each) => ({ ...each, label: countryName(each.value) }))
    .filter(({ label, value }) => fold(label).startsWith(typed) || fold(value) === typed)
    .sort((left, right) => left.label.localeCompare(right.label));
};
const fold = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().trim();

const FORMS = {
  text: {
    read: (term) => (term.operator ? null : { relation: textRelation(term), value: term.value }),
    control: (key, state) => {
      const { content, field, relation } = textControl(keyLabel(key), state, (text) => findValues(key, text));
      const write = () => {
        const text = readRequired(field, t.filters.noValue);
        return text && TEXT_RELATIONS[relation.value](key, text);
      };
      return { content, write };
    },
  },
  // Without suggestions: a comment has other words.
  words: {
    read: (term) => (term.operator || term.prefix ? null : { relation: textRelation(term), value: term.value }),
    control: (key, state) => {
      const labelOf = (name) => t.filters.wordRelations[name];
      const { content, field, relation } = textControl(keyLabel(key), state, () => [], ["is", "isNot"], labelOf);
      const write = () => {
        const text = readRequired(field, t.filters.noValue);
        return text && TEXT_RELATIONS[relation.value](key, text);
      };
      return { content, write };
    },
  },
  country: {
    read: (term) =>
      term.operator || term.prefix ? null : { relation: textRelation(term), value: describeValue(term) },
    control: (key, state) => {
      const { content, field, relation } = textControl(keyLabel(key), state, findCountries, ["is", "isNot"]);
      const write = async () => {
        const text = readRequired(field, t.filters.noValue);
        const known = text && (await findCountries(text)).find(({ label }) => fold(label) === fold(text));
        return text && TEXT_RELATIONS[relation.value](key, known ? known.value : text);
      };
      return { content, write };
    },
  },
  segment: {
    read: (term) => (term.operator || term.prefix ? null : { relation: textRelation(term), value: term.value }),
    control: (key, { relation, value }) => {
      const select = h("select", { autofocus: true });
      const field = formField(keyLabel(key), select);
      const isNot = choice(
        t.filters.relation,
        ["is", "isNot"].map((name) => [name, t.filters.relations[name]]),
        relation,
      );
      readSegmentNames().then(
        (names) => replace(select, selectOptions(value && !names.includes(value) ? [value, ...names] : names, value)),
        ({ message }) => field.setError(message),
      );
      const write = () => {
        const text = readRequired(field, t.segments.none);
        return text && TEXT_RELATIONS[isNot.value](key, text);
      };
      return { content: h("div", { class: "filter-form" }, isNot, field), write };
    },
  },
  custom: {
    read: (term) => (term.operator ? null : { relation: textRelation(term), value: term.value }),
    control: customControl,
  },
  flag: {
    read: (term) => (isFlag(term) ? { isYes: flagOf(term) } : null),
    control: (key, { isYes = true }) => {
      const radio = (value, label, isChecked) =>
        checkbox(label, { type: "radio", name: "flag", value, checked: isChecked, autofocus: isChecked });
      const yes = radio("true", t.yes, isYes);
      const content = h("fieldset", null, h("legend", null, keyLabel(key)), yes, radio("false", t.no, !isYes));
      return { content, write: () => `${key}:${yes.input.checked}` };
    },
  },
  number: {
    read: ({ operator, value, negated }) =>
      negated || !Number.isFinite(Number(value)) ? null : { operator, value: numberText(Number(value)) },
    control: (key, { operator = ">=", value = "" }) => {
      // An input of the type `number` ignores a comma in some browsers, and refuses it in others.
      const input = h("input", { type: "text", inputmode: "decimal", autocomplete: "off", value, autofocus: true });
      const field = formField(keyLabel(key), input);
      const relation = choice(t.filters.relation, t.filters.numbers, operator);
      const write = () => {
        const number = readNumber(input.value);
        field.setError(number === null ? t.filters.noNumber : "");
        if (number !== null) return `${key}:${relation.value}${number}`;
        input.focus();
        return null;
      };
      return { content: h("div", { class: "filter-form" }, relation, field), write };
    },
  },
  date: {
    read: readDate,
    control: dateControl,
  },
};

async function readSegmentNames() {
  const { segments } = await runQuery(
    `{ segments(query: "order_by:name order_dir:asc", first: ${MAX_SEGMENTS}) { edges { node { name } } } }`,
    {},
    { quiet: true },
  );
  return segments.edges.map(({ node }) => node.name);
}

/** The relation of a date: `last` and `ago` for a time before now, or else a comparison with a day. */
function readDate({ operator, value, negated }) {
  if (negated) return null;
  const [, count, unit] = value.match(AGO) ?? [];
  if (count && ["", ">="].includes(operator)) return { relation: "last", count, unit };
  if (count && operator === "<") return { relation: "ago", count, unit };
  return DAY.test(value) ? { relation: operator || "on", day: value } : null;
}

function dateControl(key, { relation = "last", count = "30", unit = "d", day = "" }) {
  const select = choice(t.filters.relation, t.filters.dateRelations, relation);
  const number = formField(
    t.filters.count,
    h("input", { type: "text", inputmode: "numeric", autocomplete: "off", value: count, autofocus: !day }),
  );
  const units = choice(t.filters.unit, t.filters.units, unit);
  const date = formField(t.filters.day, h("input", { type: "date", value: day, autofocus: Boolean(day) }));
  const ago = h("div", { class: "filter-form" }, number, units);
  const isAgo = () => ["last", "ago"].includes(select.value);
  const show = () => {
    setAttribute(ago, "hidden", !isAgo());
    setAttribute(date, "hidden", isAgo());
  };
  select.addEventListener("change", show);
  show();
  const write = () => {
    if (!isAgo()) {
      const text = readRequired(date, t.filters.noDay);
      return text && `${key}:${select.value === "on" ? "" : select.value}${text}`;
    }
    const text = readRequired(number, t.filters.noNumber);
    if (text && !AGO.test(`-${text}d`)) number.setError(t.filters.noNumber);
    else if (text) return `${key}:${select.value === "ago" ? "<" : ""}-${text}${units.value}`;
    return null;
  };
  return { content: h("div", null, select, ago, date), write };
}

/** The filter of a custom field: one of the fields that customers have, and its value. */
function customControl(key, { relation, value }) {
  const isNew = key === CUSTOM;
  // The key as it is written in a query.
  let written = isNew ? "" : null;
  const keys = h("select", { autofocus: true, onchange: () => (written = keys.value) });
  const keyField = formField(t.filters.customField, keys);
  const valueKey = () => (isNew ? written : writtenKey(key));
  const text = textControl(t.filters.value, { relation, value }, (typed) =>
    valueKey() ? findValues(valueKey(), typed) : [],
  );
  if (isNew) {
    setAttribute(text.field.input, "autofocus", false);
    findValues(CUSTOM, "", MAX_SEGMENTS).then(
      (found) => {
        replace(keys, selectOptions(found.map((each) => [each.text, each.value])));
        written = keys.value;
        if (!found.length) keyField.setError(t.filters.noCustom);
      },
      ({ message }) => keyField.setError(message),
    );
  }
  const write = () => {
    const chosen = valueKey();
    if (!chosen) keyField.setError(t.filters.noCustom);
    const typed = chosen && readRequired(text.field, t.filters.noValue);
    return typed && TEXT_RELATIONS[text.relation.value](chosen, typed);
  };
  return { content: h("div", null, isNew ? keyField : null, text.content), write };
}

/** A key of a custom field with the escapes that it needs in a query. */
const writtenKey = (key) => key.replace(/[\s()"':\\]/g, "\\$&");
