// Amounts with their currency, and the currency that the account's figures count.

import { h } from "./dom.js";
import { formatAmount } from "./format.js";
import { translateMessage } from "./server-messages.js";
import { t } from "./texts.js";

// The currencies of ISO 4217 without two decimals. `Intl` knows them, too, but its first formatter takes 15 ms.
const WITHOUT_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
const WITH_THREE = "BHD IQD JOD KWD LYD OMR TND";

let account = { currency: null, expenses_currency: "account" };
/** Takes the currency of the account from a response. */
export function setAccountCurrency(settings) {
  account = settings;
}

/** An amount with the code of its currency, as in 12.50 EUR. */
function amountIn(value, currency) {
  const decimals = WITHOUT_DECIMALS.includes(currency) ? 0 : WITH_THREE.includes(currency) ? 3 : 2;
  return t.money.amount(formatAmount(value, decimals), currency);
}

/** The label of a field, with the currency that it counts if it is an amount; null for other fields. */
export function amountLabel({ kind, name }) {
  if (kind !== "Money" || !account.currency) return null;
  const isOne = account.expenses_currency === "account";
  return t.money.label(t.fieldName(name), isOne ? account.currency : t.money.allCurrencies);
}

/** What a key of the search takes, with the currency if it is an amount. */
export function takenAmount({ name, takes: text }) {
  const takes = translateMessage(text);
  if (!["expenses", "total_spent"].includes(name) || !account.currency) return takes;
  const isOne = account.expenses_currency === "account";
  return t.money.taken(takes, isOne ? account.currency : t.money.allCurrencies);
}

/** What a customer has spent as texts, one for each currency. `name` is `amount` or `average`. */
export const spendTexts = ({ spend }, name = "amount", format = amountIn) =>
  spend.map((each) => format(each[name], each.currency));

/** The mark of no amount. */
export const noAmount = () => h("span", { class: "hint" }, t.money.none);

/** What a customer has spent, a line for each currency. `format(value, currency)` returns the text. */
export function spendLines(customer, name = "amount", format = amountIn) {
  const texts = spendTexts({ spend: customer.spend.filter((each) => each[name]) }, name, format);
  if (!texts.length) return noAmount();
  return texts.map((text) => h("div", { class: "amount" }, text));
}
