// The overview of the account: customers, countries and spend.

import { settingsButton } from "./account-settings.js";
import { getViewer, runQuery } from "./api.js";
import { barChart, shareTable } from "./chart.js";
import { h, replace, userText } from "./dom.js";
import {
  countryName,
  displayName,
  formatCompact,
  formatDay,
  formatMoney,
  formatMonth,
  formatNumber,
  formatDifference,
  formatPercent,
  formatShortDay,
} from "./format.js";
import { customerUrl } from "./kinds.js";
import { setAccountCurrency } from "./money.js";
import { navigate } from "./navigation.js";
import { asValue } from "./search-box.js";
import { t } from "./texts.js";
import { emptyAccount, pageHeader, selectOptions } from "./ui.js";

const SHOWN_COUNTRIES = 12;
const SHOWN_CURRENCIES = 3;
const QUERY = `query($since: String!, $before: String!, $until: String!) { accountSettings { currency expenses_currency }
  statistics { customers accepts_marketing
  new_by_week { start(format: "ISO") customers } countries { country customers } tags { tag customers }
  spend_by_month { month currency amount orders } }
  now: orderStatistics(since: $since) { orders customers returning new_customers
    spend { currency amount orders_count average }
    top_customers { customer { _id full_name email phone } currency amount orders_count } }
  before: orderStatistics(since: $before, until: $until) { orders customers returning new_customers
    spend { currency amount } } }`;
// The days of each period that can be chosen; the period before it has as many.
const PERIODS = { week: 7, month: 30, quarter: 90, year: 365 };
const DEFAULT_PERIOD = "month";

const listUrl = (query) => `/customers?q=${encodeURIComponent(query)}`;
const link = (query, content) => h("a", { href: listUrl(query) }, content);

export async function show({ main, url, signal, setTitle }) {
  setTitle(t.nav.overview);
  const chosen = url.searchParams.get("period");
  const period = chosen && Object.hasOwn(PERIODS, chosen) ? chosen : DEFAULT_PERIOD;
  const ago = (days) => new Date(Date.now() - days * 86_400_000).toISOString();
  const day = (days) => ago(days).slice(0, 10);
  const days = PERIODS[period];
  // Today is one of the days. The period before ends at the same time of its last day, so that both are equally long.
  const since = day(days - 1);
  const variables = { since, before: day(2 * days - 1), until: ago(days) };
  const [data, { scopes }] = await Promise.all([runQuery(QUERY, variables, { signal }), getViewer()]);
  const { statistics, now, before, accountSettings } = data;
  setAccountCurrency(accountSettings);
  const choice = h(
    "select",
    {
      "aria-label": t.overview.period,
      onchange: () => navigate(`/overview?period=${choice.value}`, { replace: true }),
    },
    selectOptions(
      Object.keys(PERIODS).map((name) => [name, t.overview.periods[name]]),
      period,
    ),
  );
  const header = pageHeader(t.nav.overview, settingsButton(scopes));
  const { customers, accepts_marketing: consents } = statistics;
  if (!customers) {
    replace(main, header, emptyAccount("overview", scopes.includes("customers:write")));
    return;
  }
  const figure = (label, value, ...hints) =>
    h(
      "div",
      { class: "card" },
      h("dt", null, label),
      h("dd", null, value),
      hints.filter(Boolean).map((hint) => h("dd", { class: "hint" }, hint)),
    );
  const ordered = `last_order_at:>=${since}`;
  const weeks = statistics.new_by_week.map((week) => ({
    label: formatShortDay(week.start),
    full: formatDay(week.start),
    value: week.customers,
    shown: formatNumber(week.customers),
    title: t.overview.week(formatDay(week.start), formatNumber(week.customers), week.customers),
  }));
  replace(
    main,
    header,
    h("div", { class: "row period" }, choice, h("p", { class: "hint" }, t.overview.compared(formatDay(since)))),
    h(
      "dl",
      { class: "tiles" },
      figure(t.overview.customers, link("", formatNumber(customers)), consentHint(consents, customers)),
      figure(
        t.overview.newCustomers,
        link(`created_at:>=${since}`, formatNumber(now.new_customers)),
        change(now.new_customers, before.new_customers),
      ),
      figure(t.overview.orders, link(ordered, formatNumber(now.orders)), change(now.orders, before.orders)),
      figure(
        t.overview.buyers,
        link(ordered, formatNumber(now.customers)),
        change(now.customers, before.customers),
        now.customers ? returningHint(ordered, now) : null,
      ),
      figure(
        t.overview.spend,
        now.spend.length ? now.spend.slice(0, SHOWN_CURRENCIES).map((each) => revenue(each, before.spend)) : t.nothing,
        averageHint(now.spend.slice(0, 1)),
        otherCurrencies(now.spend.slice(SHOWN_CURRENCIES), before.spend),
      ),
    ),
    h(
      "div",
      { class: "columns even" },
      card(t.overview.topTitle, topTable(now.top_customers)),
      card(t.overview.spendTitle, spendChart(statistics.spend_by_month)),
      card(
        t.overview.newTitle,
        barChart(t.overview.newCaption, weeks, { headings: [t.chart.week, t.chart.customers], tick: formatCompact }),
      ),
      card(t.overview.tags, tagTable(statistics.tags, customers)),
      card(t.overview.countries, countryTable(statistics.countries, customers)),
    ),
  );
}

const card = (title, content) => h("section", { class: "card" }, h("h2", null, title), content);

/** How a figure differs from that of the period before, as in +12%. */
function change(value, valueBefore) {
  if (value === valueBefore) return t.overview.same;
  if (!valueBefore) return t.overview.noneBefore;
  const share = (value - valueBefore) / Math.abs(valueBefore);
  return t.overview.change(formatDifference(share));
}

/** The revenue in one currency, and how it differs from that of the period before. */
const revenue = ({ amount, currency }, previous) =>
  h(
    "div",
    { class: "amount" },
    formatMoney(amount, currency),
    h("span", { class: "hint" }, change(amount, previous.find((each) => each.currency === currency)?.amount ?? 0)),
  );

const averageHint = (spend) =>
  spend.map(({ average, currency }) => t.overview.averageOrder(formatMoney(average, currency)));

/** The revenue in further currencies, folded. */
const otherCurrencies = (spend, previous) =>
  spend.length
    ? h(
        "details",
        null,
        h("summary", null, t.overview.otherCurrencies(spend.length)),
        spend.map((each) => [revenue(each, previous), h("div", null, averageHint([each]))]),
      )
    : null;

const consentHint = (consents, customers) =>
  link("accepts_marketing:true", t.overview.subscribed(formatNumber(consents), formatPercent(consents / customers)));

const returningHint = (ordered, { customers, returning }) => [
  link(`${ordered} orders_count:>1`, t.overview.returning(formatNumber(returning))),
  t.separators.list,
  link(`${ordered} orders_count:1`, t.overview.firstOrder(formatNumber(customers - returning))),
];

function topTable(rows) {
  if (!rows.length) return h("p", { class: "empty" }, t.overview.noOrdersInPeriod);
  return shareTable(
    t.overview.topTitle,
    rows
      .filter(({ customer }) => customer)
      .map(({ customer, currency, amount, orders_count: count }) => ({
        label: h("a", { href: customerUrl(customer) }, userText(displayName(customer))),
        value: Math.max(amount, 0),
        shown: t.overview.spent(formatMoney(amount, currency), count),
      })),
    [t.chart.customers, t.chart.spend],
  );
}

function tagTable(tags, total) {
  if (!tags.length) return h("p", { class: "empty" }, t.overview.noTags);
  return shareTable(
    t.overview.tags,
    tags.map(({ tag, customers }) => ({
      label: link(`tag:${asValue(tag)}`, userText(tag)),
      value: customers,
      shown: shareOf(customers, total),
    })),
    [t.overview.tag, t.chart.customers],
    total,
  );
}

const shareOf = (count, total) => `${formatNumber(count)} · ${formatPercent(count / total)}`;

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
    label: link(`country:${country}`, countryName(country)),
    value: customers,
    shown: shareOf(customers, total),
  }));
  const rest = all.slice(SHOWN_COUNTRIES);
  if (rest.length) {
    const sum = rest.reduce((count, { customers }) => count + customers, 0);
    rows.push({ label: t.overview.others(rest.length), shown: shareOf(sum, total), value: null });
  }
  // A bar is a share of all customers.
  return shareTable(t.overview.countries, rows, [t.chart.country, t.chart.customers], total);
}
