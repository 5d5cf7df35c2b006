// The form of an address: its parts in the order of the country, with its labels and its states.

import { runQuery } from "./api.js";
import { h, setAttribute } from "./dom.js";
import { ADDRESS_PARTS } from "./fields.js";
import { countries, countryName } from "./format.js";
import { isServerLanguage } from "./server-messages.js";
import { t } from "./texts.js";
import { formField, selectOptions } from "./ui.js";

const RULES = `query($country: String!) { addressRules(country: $country) {
  format required labels zip_examples states { code name } } }`;
// Parts that no format names. They follow the others.
const LAST_PARTS = ["phone", "email"];
const PARTS = ADDRESS_PARTS.filter((part) => part !== "country");
/** The rules of countries that were read, as promises. */
const rulesOfCountries = new Map();

/** The rules of a country; null without a country, and if the server does not answer. */
function readRules(country) {
  if (!country) return Promise.resolve(null);
  if (!rulesOfCountries.has(country)) {
    const rules = runQuery(RULES, { country }, { quiet: true }).then(
      ({ addressRules }) => addressRules,
      () => {
        rulesOfCountries.delete(country);
        return null;
      },
    );
    rulesOfCountries.set(country, rules);
  }
  return rulesOfCountries.get(country);
}

/** The parts of an address in the order of the rules; those that the country lacks, if they are filled. */
function orderedParts(rules, values) {
  // Few addresses have an area.
  const usual = rules
    ? [...Array.from(rules.format.matchAll(/\{(\w+)\}/g), ([, part]) => part), ...LAST_PARTS]
    : PARTS.filter((part) => part !== "area");
  const others = PARTS.filter((part) => !usual.includes(part) && values[part]);
  return [...usual.filter((part) => PARTS.includes(part)), ...others];
}

/** A text without case and accents. */
const folded = (text) => text.trim().normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** A menu of states. Its value for one that is entered by its code or name is what was entered. */
function stateSelect(states, value) {
  const isEntered = ({ code, name }) => [code, name].map(folded).includes(folded(value));
  const choices = states.map((state) => [value && isEntered(state) ? value : state.code, state.name]);
  const unlisted = value && !states.some(isEntered) ? [[value, value]] : [];
  return h("select", null, selectOptions([["", t.nothing], ...unlisted, ...choices], value));
}

function countrySelect(value) {
  const all = countries();
  const unlisted = value && !all.some(([code]) => code === value) ? [[value, countryName(value)]] : [];
  return h("select", null, selectOptions([["", t.nothing], ...unlisted, ...all], value));
}

/** The mark of a part that the addresses of a country need. An address without it is saved, too. */
const neededMark = () => [
  h("span", { class: "needed", "aria-hidden": "true" }, " *"),
  h("span", { class: "unseen" }, ` (${t.addresses.needed})`),
];

/** The control of an address, as kinds.js describes controls. Without a name, its fields are named by the parts. */
export function addressControl({ name }, address) {
  const stored = Object.fromEntries(ADDRESS_PARTS.map((part) => [part, address?.[part] ?? ""]));
  const values = { ...stored };
  const country = formField(t.address.country, countrySelect(stored.country));
  const path = (part) => (name ? `${name}.${part}` : part);
  const fields = { [path("country")]: country };
  const grid = h("div", { class: "fields" }, country);
  const hint = h("p", { class: "hint", hidden: true }, t.addresses.neededHint);

  const fieldOf = (part) => fields[path(part)];
  function keepInput() {
    for (const part of ADDRESS_PARTS) if (fieldOf(part)) values[part] = fieldOf(part).input.value;
  }

  function render(rules) {
    keepInput();
    const focused = PARTS.find((part) => fieldOf(part)?.input === document.activeElement);
    for (const part of PARTS) {
      fieldOf(part)?.remove();
      delete fields[path(part)];
    }
    for (const part of orderedParts(rules, values)) {
      const value = values[part];
      const input =
        part === "state" && rules?.states.length
          ? stateSelect(rules.states, value)
          : h("input", { type: "text", value, dir: "auto", autocomplete: "off" });
      const isNeeded = rules?.required.includes(part) ?? false;
      const label = (isServerLanguage && rules?.labels[part]) || t.address[part];
      const example = part === "zip" ? rules?.zip_examples[0] : null;
      if (example) setAttribute(input, "placeholder", t.addresses.example(example));
      fields[path(part)] = formField(isNeeded ? [label, neededMark()] : label, input);
      grid.append(fieldOf(part));
    }
    setAttribute(hint, "hidden", !rules?.required.some((part) => fieldOf(part)));
    if (focused) fieldOf(focused)?.input.focus();
  }

  async function followCountry() {
    const code = country.input.value;
    const rules = await readRules(code);
    if (country.input.value === code) render(rules);
  }

  render(null);
  country.input.addEventListener("change", followCountry);
  if (stored.country) followCountry();

  const change = () => {
    keepInput();
    const changes = {};
    for (const part of ADDRESS_PARTS) {
      const value = values[part];
      if (value !== stored[part]) changes[part] = part === "country" && !value ? null : value;
    }
    return Object.keys(changes).length ? changes : undefined;
  };
  return { content: h("div", null, grid, hint), fields, change };
}
