// Values as a person reads them.

import { h, userText } from "./dom.js";
import { t } from "./texts.js";

const LANGUAGE = document.documentElement.lang;
// Each is made when it is first asked for: they are slow to make.
const made = new Map();
function by(name, make) {
  if (!made.has(name)) made.set(name, make());
  return made.get(name);
}
const numbers = (name, options) => by(name, () => new Intl.NumberFormat(LANGUAGE, options));
const dates = (name, options) => by(name, () => new Intl.DateTimeFormat(LANGUAGE, options));
const TONES = 8;

export const formatNumber = (value) => numbers("number").format(value);
export const formatAmount = (value) => numbers("amount", { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value);
export const formatCompact = (value) => numbers("compact", { notation: "compact", maximumFractionDigits: 1 }).format(value);
export const formatDay = (iso) => dates("day", { dateStyle: "medium", timeZone: "UTC" }).format(new Date(iso));
export const formatMonth = (text) => dates("month", { month: "short", year: "numeric", timeZone: "UTC" }).format(new Date(`${text}-01T00:00:00Z`));
export const formatDateTime = (iso) => dates("when", { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));

/** An amount with its currency, as in €12.50; one that browsers do not know goes behind. */
export function formatMoney(value, currency) {
  try {
    return numbers(currency, { style: "currency", currency }).format(value);
  } catch {
    return `${formatAmount(value)} ${currency}`;
  }
}

/** A moment: how long ago, and exactly in a tooltip. */
export function relativeTime(relative, iso) {
  return h("time", { datetime: iso, title: formatDateTime(iso) }, relative);
}

export function countryName(code) {
  try {
    return by("regions", () => new Intl.DisplayNames([LANGUAGE], { type: "region", fallback: "code" })).of(code);
  } catch {
    return code;
  }
}

let known = null;

/** The codes and names of countries, in the order of their names. */
export function countries() {
  if (!known) {
    const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
    const codes = letters.flatMap((one) => letters.map((two) => one + two));
    const found = codes.filter(isCountry).map((code) => [code, countryName(code)]);
    known = found.sort((one, two) => one[1].localeCompare(two[1], LANGUAGE));
  }
  return known;
}

// What browsers have a name for and ISO 3166-1 has not.
const NO_COUNTRIES = new Set(["AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "XK", "ZZ"]);

function isCountry(code) {
  if (NO_COUNTRIES.has(code) || countryName(code) === code) return false;
  // A code that is in use no longer is another country's here.
  return new Intl.Locale(`und-${code}`).region === code;
}

/** What to call a customer. */
export const displayName = (customer) => customer.full_name || customer.email;

/** The initials of a name, or of an email. */
function initials(customer) {
  const words = (customer.full_name || customer.email).match(/[\p{L}\p{N}]\p{M}*/gu) ?? ["?"];
  if (!customer.full_name) return words[0].toUpperCase();
  const parts = customer.full_name.split(" ").map((part) => part.match(/[\p{L}\p{N}]\p{M}*/u)?.[0]).filter(Boolean);
  const chosen = parts.length > 1 ? [parts[0], parts.at(-1)] : [parts[0] ?? words[0]];
  return chosen.join("").toUpperCase();
}

const PICTURES = document.querySelector("meta[name=regulars-pictures]").content;

/**
 * A customer's picture: initials, and over them what gravatar.com has, where the server allows to
 * ask it.
 */
export function avatar(customer, large = false) {
  const made = h("span", { class: `avatar tone-${customer._id % TONES}${large ? " large" : ""}`, "aria-hidden": "true" }, initials(customer));
  if (PICTURES) {
    const source = `https:${customer.avatar}?d=404&s=${large ? 144 : 72}`;
    const picture = h("img", { src: source, alt: "", loading: "lazy", referrerpolicy: "no-referrer" });
    picture.addEventListener("error", () => picture.remove());
    made.append(picture);
  }
  return made;
}

/** What a field's value is, in a line. */
export function formatValue(value) {
  if (value === null || value === undefined || value === "") return h("span", { class: "empty" }, t.nothing);
  if (value === true) return t.yes;
  if (value === false) return t.no;
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) {
    return value.length ? userText(value.join(", ")) : h("span", { class: "empty" }, t.nothing);
  }
  if (typeof value === "object") return userText(JSON.stringify(value));
  return userText(String(value));
}

export function formatBytes(count) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(count, 1)) / 3));
  const options = { style: "unit", unit: units[step], unitDisplay: step ? "short" : "long", maximumFractionDigits: 1 };
  return numbers(options.unit, options).format(count / 1000 ** step);
}
