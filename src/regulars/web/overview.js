// The account at a glance: how many customers, where they are, and what they spend.

import { runQuery } from "./api.js";
import { barChart, shareTable } from "./chart.js";
import { h, replace } from "./dom.js";
import { formatAmount, formatCompact, countryName, formatDay, formatMoney, formatMonth, formatNumber } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { emptyState, pageHeader } from "./ui.js";

const COUNTRIES = 12;
const QUERY = `{ statistics { customers accepts_marketing ordered expenses
  new_by_week { start(format: "ISO") customers } countries { country customers }
  spend_by_month { month currency amount orders } } }`;

export async function show({ main, signal, setTitle }) {
  setTitle(t.nav.overview);
  const { statistics: all } = await runQuery(QUERY, {}, { signal });
  if (!all.customers) {
    replace(main, pageHeader(t.nav.overview), emptyState("overview", t.list.none, t.list.noneText,
      h("a", { class: "button primary", href: "/customers/new" }, icon("add"), t.list.new), h("a", { class: "button", href: "/imports" }, icon("upload"), t.list.bring)));
    return;
  }
  const part = (value) => `${formatNumber(Math.round((100 * value) / all.customers))} %`;
  const figure = (label, value, more) => h("div", { class: "card" }, h("dt", null, label), h("dd", null, value), more ? h("dd", { class: "hint" }, more) : null);
  const weeks = all.new_by_week.map((week) => ({
    label: formatDay(week.start).replace(/,? \d{4}$/, ""), full: formatDay(week.start), value: week.customers, shown: formatNumber(week.customers),
    title: t.overview.week(formatDay(week.start), formatNumber(week.customers), week.customers),
  }));
  replace(main,
    pageHeader(t.nav.overview),
    h("dl", { class: "tiles" },
      figure(t.overview.customers, formatNumber(all.customers), t.overview.newThisWeek(formatNumber(weeks.at(-1).value))),
      figure(t.overview.consent, part(all.accepts_marketing), t.overview.people(formatNumber(all.accepts_marketing))),
      figure(t.overview.ordered, part(all.ordered), t.overview.people(formatNumber(all.ordered))),
      figure(t.overview.spend, formatAmount(all.expenses), t.overview.average(formatAmount(all.expenses / all.customers)))),
    h("div", { class: "columns even" },
      h("section", { class: "card" }, h("h2", null, t.overview.newTitle), barChart(t.overview.newCaption, weeks, { headings: [t.chart.week, t.chart.customers], tick: formatCompact })),
      h("section", { class: "card" }, h("h2", null, t.overview.spendTitle), spend(all.spend_by_month)),
      h("section", { class: "card" }, h("h2", null, t.overview.countries), countries(all.countries, all.customers)),
      h("section", { class: "card" }, h("h2", null, t.overview.consentTitle), shareTable(t.overview.consentTitle, [
        { label: t.overview.yes, value: all.accepts_marketing, shown: formatNumber(all.accepts_marketing) },
        { label: t.overview.no, value: all.customers - all.accepts_marketing, shown: formatNumber(all.customers - all.accepts_marketing) },
      ], [t.overview.consentTitle, t.chart.customers]))));
}

/** What orders brought, month by month: a picture of one currency, first that of most orders. */
function spend(rows) {
  if (!rows.length) return h("p", { class: "empty" }, t.overview.noOrders);
  const orders = {};
  for (const row of rows) orders[row.currency] = (orders[row.currency] ?? 0) + row.orders;
  const currencies = Object.keys(orders).toSorted((one, two) => orders[two] - orders[one]);
  const picture = h("div");
  const draw = (currency) => {
    const months = rows.filter((row) => row.currency === currency).map((row) => {
      const shown = formatMoney(row.amount, currency);
      return { label: formatMonth(row.month), value: row.amount, shown, title: t.overview.month(formatMonth(row.month), shown, row.orders) };
    });
    replace(picture, barChart(t.overview.spendCaption(currency), months, { headings: [t.chart.month, t.chart.spend], tick: formatCompact }));
  };
  draw(currencies[0]);
  if (currencies.length < 2) return picture;
  const choice = h("select", { "aria-label": t.overview.currency, onchange: () => draw(choice.value) }, currencies.map((one) => h("option", { value: one }, one)));
  return [h("div", { class: "corner" }, choice), picture];
}

function countries(all, customers) {
  if (!all.length) return h("p", { class: "empty" }, t.overview.noCountries);
  const rows = all.slice(0, COUNTRIES).map((one) => ({
    label: h("a", { href: `/customers?q=${encodeURIComponent(`country:${one.country}`)}` }, countryName(one.country)),
    value: one.customers,
    shown: `${formatNumber(one.customers)} · ${formatNumber(Math.round((100 * one.customers) / customers))} %`,
  }));
  const rest = all.slice(COUNTRIES);
  if (rest.length) {
    const sum = rest.reduce((total, one) => total + one.customers, 0);
    rows.push({ label: t.overview.others(rest.length), value: sum, shown: formatNumber(sum), rest: true });
  }
  return shareTable(t.overview.countries, rows, [t.chart.country, t.chart.customers]);
}
