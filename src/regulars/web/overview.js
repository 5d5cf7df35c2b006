// The overview of the account: customers, countries and spend.

import { settingsButton } from "./account-settings.js";
import { getViewer, runQuery } from "./api.js";
import { barChart, shareTable } from "./chart.js";
import { h, replace } from "./dom.js";
import {
  formatAmount,
  formatCompact,
  countryName,
  formatDay,
  formatMoney,
  formatMonth,
  formatNumber,
  formatPercent,
} from "./format.js";
import { t } from "./texts.js";
import { emptyAccount, pageHeader, selectOptions } from "./ui.js";

const SHOWN_COUNTRIES = 12;
const QUERY = `{ statistics { customers accepts_marketing ordered expenses
  new_by_week { start(format: "ISO") customers } countries { country customers }
  spend_by_month { month currency amount orders } } }`;

export async function show({ main, signal, setTitle }) {
  setTitle(t.nav.overview);
  const [{ statistics }, { scopes }] = await Promise.all([runQuery(QUERY, {}, { signal }), getViewer()]);
  const header = pageHeader(t.nav.overview, settingsButton(scopes));
  const { customers, accepts_marketing: consents, ordered, expenses } = statistics;
  if (!customers) {
    replace(main, header, emptyAccount("overview", scopes.includes("customers:write")));
    return;
  }
  const percentage = (value) => formatPercent(value / customers);
  const figure = (label, value, more) =>
    h(
      "div",
      { class: "card" },
      h("dt", null, label),
      h("dd", null, value),
      more ? h("dd", { class: "hint" }, more) : null,
    );
  const weeks = statistics.new_by_week.map((week) => ({
    label: formatDay(week.start).replace(/,? \d{4}$/, ""),
    full: formatDay(week.start),
    value: week.customers,
    shown: formatNumber(week.customers),
    title: t.overview.week(formatDay(week.start), formatNumber(week.customers), week.customers),
  }));
  replace(
    main,
    header,
    h(
      "dl",
      { class: "tiles" },
      figure(t.overview.customers, formatNumber(customers), t.overview.newThisWeek(formatNumber(weeks.at(-1).value))),
      figure(t.overview.consent, percentage(consents), t.overview.count(formatNumber(consents), consents)),
      figure(t.overview.withOrders, percentage(ordered), t.overview.count(formatNumber(ordered), ordered)),
      figure(t.overview.spend, formatAmount(expenses), t.overview.average(formatAmount(expenses / customers))),
    ),
    h(
      "div",
      { class: "columns even" },
      h(
        "section",
        { class: "card" },
        h("h2", null, t.overview.newTitle),
        barChart(t.overview.newCaption, weeks, { headings: [t.chart.week, t.chart.customers], tick: formatCompact }),
      ),
      h("section", { class: "card" }, h("h2", null, t.overview.spendTitle), spendChart(statistics.spend_by_month)),
      h(
        "section",
        { class: "card" },
        h("h2", null, t.overview.countries),
        countryTable(statistics.countries, customers),
      ),
      h(
        "section",
        { class: "card" },
        h("h2", null, t.overview.consentTitle),
        shareTable(
          t.overview.consentTitle,
          [
            { label: t.overview.yes, value: consents, shown: formatNumber(consents) },
            { label: t.overview.no, value: customers - consents, shown: formatNumber(customers - consents) },
          ],
          [t.overview.consentTitle, t.chart.customers],
          customers,
        ),
      ),
    ),
  );
}

/** The spend by month in one currency: at first the most frequent one. */
function spendChart(rows) {
  if (!rows.length) return h("p", { class: "empty" }, t.overview.noOrders);
  const orders = {};
  for (const row of rows) orders[row.currency] = (orders[row.currency] ?? 0) + row.orders;
  const currencies = Object.keys(orders).toSorted((left, right) => orders[right] - orders[left]);
  const chart = h("div");
  const draw = (currency) => {
    const months = rows
      .filter((row) => row.currency === currency)
      .map((row) => {
        const shown = formatMoney(row.amount, currency);
        return {
          label: formatMonth(row.month),
          value: row.amount,
          shown,
          title: t.overview.month(formatMonth(row.month), shown, row.orders),
        };
      });
    replace(
      chart,
      barChart(t.overview.spendCaption(currency), months, {
        headings: [t.chart.month, t.chart.spend],
        tick: formatCompact,
      }),
    );
  };
  draw(currencies[0]);
  if (currencies.length < 2) return chart;
  const choice = h(
    "select",
    { "aria-label": t.overview.currency, onchange: () => draw(choice.value) },
    selectOptions(currencies),
  );
  return [h("div", { class: "corner" }, choice), chart];
}

function countryTable(all, total) {
  if (!all.length) return h("p", { class: "empty" }, t.overview.noCountries);
  const rows = all.slice(0, SHOWN_COUNTRIES).map(({ country, customers }) => ({
    label: h("a", { href: `/customers?q=${encodeURIComponent(`country:${country}`)}` }, countryName(country)),
    value: customers,
    shown: `${formatNumber(customers)} · ${formatPercent(customers / total)}`,
  }));
  const rest = all.slice(SHOWN_COUNTRIES);
  if (rest.length) {
    const sum = rest.reduce((count, { customers }) => count + customers, 0);
    rows.push({
      label: t.overview.others(rest.length),
      shown: `${formatNumber(sum)} · ${formatPercent(sum / total)}`,
      value: null,
    });
  }
  return shareTable(t.overview.countries, rows, [t.chart.country, t.chart.customers]);
}
