// Values as text.

import { h, userText } from "./dom.js";
import { PICTURES } from "./fields.js";
import { isServerLanguage } from "./server-messages.js";
import { t } from "./texts.js";

const LANGUAGE = document.documentElement.lang;
// A formatter is created at its first use: that is slow.
const formatters = new Map();

/**
 * The language of the texts, in the region of the browser. All regions have the digits of the texts, and the calendar
 * of the weeks and months that the server counts.
 */
function findLocale() {
  const ofBrowser = navigator.languages.find((tag) => tag.split("-")[0].toLowerCase() === LANGUAGE);
  return new Intl.Locale(ofBrowser ?? LANGUAGE, { numberingSystem: "latn", calendar: "gregory" });
}
const locale = () => cached("locale", findLocale);
/** Whether the region has the separators of the texts: it is the one that the language names without a region. */
const hasOwnSeparators = () => cached("separators", () => locale().minimize().baseName === LANGUAGE);
function cached(name, create) {
  if (!formatters.has(name)) formatters.set(name, create());
  return formatters.get(name);
}
const numbers = (name, options = {}) =>
  cached(name, () => new Intl.NumberFormat(locale(), { useGrouping: "always", ...options }));
const dates = (name, options) => cached(name, () => new Intl.DateTimeFormat(locale(), options));
const TONES = 8;

// A browser takes 15 ms for its first formatter, so the list of customers does without one.
const group = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, t.separators.group);
/** A whole number. */
export const formatNumber = (value) => (hasOwnSeparators() ? group(String(value)) : numbers("count").format(value));
/** An amount with its decimals. */
export function formatAmount(value, count = 2) {
  if (!hasOwnSeparators())
    return numbers(`amount${count}`, { minimumFractionDigits: count, maximumFractionDigits: count }).format(value);
  const [whole, decimals] = value.toFixed(count).split(".");
  return decimals ? `${group(whole)}${t.separators.decimal}${decimals}` : group(whole);
}
/** A number as a person types it: without groups, with the decimal separator of the region. */
export const numberText = (value) => numbers("typed", { useGrouping: false, maximumFractionDigits: 20 }).format(value);
/**
 * The number that a person typed, or null. The decimal separator is a point or a comma. The only separator of a
 * text is that of the groups if it is so in the region and three digits follow, as in 1,000.
 */
export function readNumber(text) {
  const compact = text.replace(/[\s'’]/g, "").replace("−", "-");
  const separators = compact.match(/[.,]/g) ?? [];
  const last = separators.at(-1);
  const isRepeated = separators.indexOf(last) < separators.length - 1;
  const ofGroup = numbers("count")
    .formatToParts(1_000_000)
    .find(({ type }) => type === "group")?.value;
  const isGroup = isRepeated || (separators.length === 1 && last === ofGroup && /\D\d{3}$/.test(compact));
  const digits = compact.replace(isGroup ? /[.,]/g : /[.,](?=.*[.,])/g, "").replace(",", ".");
  return /^[-+]?(\d+\.?\d*|\.\d+)$/.test(digits) ? Number(digits) : null;
}
/** A share of 0 to 1 as a percentage without decimals. */
export const formatPercent = (value) => numbers("percent", { style: "percent" }).format(value);
/** A difference as a percentage with its sign, as in +12%. */
export const formatDifference = (value) =>
  numbers("difference", { style: "percent", signDisplay: "exceptZero" }).format(value);
export const formatCompact = (value) =>
  numbers("compact", { notation: "compact", maximumFractionDigits: 1 }).format(value);
export const formatDay = (iso) => dates("day", { dateStyle: "medium", timeZone: "UTC" }).format(new Date(iso));
export const formatShortDay = (iso) =>
  dates("short", { day: "numeric", month: "short", timeZone: "UTC" }).format(new Date(iso));
export const formatMonth = (text) =>
  dates("month", { month: "short", year: "numeric", timeZone: "UTC" }).format(new Date(`${text}-01T00:00:00Z`));
export const formatDateTime = (iso) => dates("when", { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));

/** An amount with its currency, as in €12.50, or as in 12.50 XXX if the browser does not know the currency. */
export function formatMoney(value, currency) {
  try {
    const format = numbers(currency, { style: "currency", currency });
    if (document.dir !== "rtl") return format.format(value);
    // Between other texts from right to left, the letters of a currency would move, and JP¥ be turned around.
    const parts = format.formatToParts(value);
    return `\u2067${parts.map((part) => (part.type === "currency" ? `\u2068${part.value}\u2069` : part.value)).join("")}\u2069`;
  } catch {
    return `${formatAmount(value)} ${currency}`;
  }
}

/** A time as `text`, with the exact time in a tooltip. */
export const timeElement = (text, iso) => h("time", { datetime: iso }, text);
document.addEventListener("pointerover", ({ target }) => {
  const time = /** @type {Element} */ (target).closest?.("time:not([title])");
  if (time instanceof HTMLTimeElement) time.title = formatDateTime(time.dateTime);
});
/** How long ago a time of an object was; the query has `selectTimes(name)`. */
export function relativeTime(object, name) {
  const iso = object[`${name}_iso`];
  return timeElement(isServerLanguage || !iso ? object[name] : fromNow(iso), iso);
}

// Units of relative times, with their seconds, and the number from which the next one is used: those of the server.
/** @type {[Intl.RelativeTimeFormatUnit, number, number][]} */
const UNITS = [
  ["minute", 60, 45],
  ["hour", 3_600, 22],
  ["day", 86_400, 26],
  ["month", 2_629_746, 11],
  ["year", 31_556_952, Infinity],
];
const relative = (numeric) => cached(`relative ${numeric}`, () => new Intl.RelativeTimeFormat(locale(), { numeric }));

/** The time from now to another time, in words of the language. */
function fromNow(iso) {
  const seconds = (Date.parse(iso) - Date.now()) / 1000;
  if (Math.abs(seconds) < 45) return relative("auto").format(0, "second"); // "now", because clocks differ by seconds
  for (const [unit, size, end] of UNITS) {
    const count = Math.max(1, Math.round(Math.abs(seconds) / size));
    // Without words such as "yesterday" and "last year", which are about the calendar.
    if (count < end) return relative("always").format(Math.sign(seconds) * count, unit);
  }
  return "";
}

export function countryName(code) {
  try {
    return cached("regions", () => new Intl.DisplayNames([LANGUAGE], { type: "region", fallback: "code" })).of(code);
  } catch {
    return code;
  }
}

let sortedCountries = null;

/** The codes and names of countries, in the order of their names. */
export function countries() {
  if (!sortedCountries) {
    const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
    const codes = letters.flatMap((first) => letters.map((second) => first + second));
    sortedCountries = codes
      .filter(isCountry)
      .map((code) => [code, countryName(code)])
      .sort(([, left], [, right]) => left.localeCompare(right, LANGUAGE));
  }
  return sortedCountries;
}

// Codes with a name in browsers that are not in ISO 3166-1.
const NO_COUNTRIES = new Set("AC CP CQ DG EA EU EZ IC QO TA UN XA XB XK ZZ".split(" "));

function isCountry(code) {
  if (NO_COUNTRIES.has(code) || countryName(code) === code) return false;
  // A withdrawn code is replaced by that of another country.
  return new Intl.Locale(`und-${code}`).region === code;
}

/** The name of a customer, or the email, the phone or the number. */
export const displayName = (customer) =>
  customer.full_name || customer.email || customer.phone || t.customer.unnamed(customer._id);

/** The initials of a name, or of an email or a phone. */
function initials(customer) {
  const words = displayName(customer).match(/[\p{L}\p{N}]\p{M}*/gu) ?? ["?"];
  if (!customer.full_name) return words[0].toUpperCase();
  const parts = customer.full_name
    .split(" ")
    .map((part) => part.match(/[\p{L}\p{N}]\p{M}*/u)?.[0])
    .filter(Boolean);
  const letters = parts.length > 1 ? [parts[0], parts.at(-1)] : [parts[0] ?? words[0]];
  return letters.join("").toUpperCase();
}

/** A customer's picture: initials, and over them the picture at gravatar.com if the server permits it. */
export function avatar(customer, isLarge = false) {
  const element = h(
    "span",
    { class: `avatar tone-${customer._id % TONES}${isLarge ? " large" : ""}`, "aria-hidden": "true" },
    initials(customer),
  );
  if (PICTURES && customer.avatar) {
    const source = `https:${customer.avatar}?d=404&s=${isLarge ? 144 : 72}`;
    const picture = h("img", { src: source, alt: "", loading: "lazy", referrerpolicy: "no-referrer" });
    picture.addEventListener("error", () => picture.remove());
    element.append(picture);
  }
  return element;
}

/** A value in one line. */
export function formatValue(value) {
  if (value === null || value === undefined || value === "") return h("span", { class: "empty" }, t.nothing);
  if (value === true) return t.yes;
  if (value === false) return t.no;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) {
    // Each has its own direction.
    return value.length
      ? h(
          "span",
          null,
          value.map((item, index) => [index ? t.separators.list : null, userText(item)]),
        )
      : h("span", { class: "empty" }, t.nothing);
  }
  if (typeof value === "object") return userText(JSON.stringify(value));
  return userText(String(value));
}

/** The author of a change: the name of the person or the token, or a program with its name in parentheses. */
export function actorView({ kind, name }) {
  const program = t.timeline.actors[kind];
  return program ? [program, " (", userText(name), ")"] : userText(name);
}

export function formatBytes(count) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(count, 1)) / 3));
  const options = { style: "unit", unit: units[step], unitDisplay: step ? "short" : "long", maximumFractionDigits: 1 };
  return numbers(options.unit, options).format(count / 1000 ** step);
}
