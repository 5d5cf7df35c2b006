// The orders of a customer: the newest ones, and the chart of what the customer spends.

import { sparkline } from "./chart.js";
import { h, replace, userText } from "./dom.js";
import { selectTimes } from "./fields.js";
import { formatMoney, formatMonth, formatNumber, relativeTime } from "./format.js";
import { t } from "./texts.js";
import { button, chip, headingRow, tableBox } from "./ui.js";

const SHOWN_ORDERS = 10;
const MAX_ORDERS = 250;
const CHART_MONTHS = 12;
/** The selection of the orders in the summary of a customer. */
export const ORDERS = `orders { list(first: ${MAX_ORDERS}) { referrer order { id name total refunded_amount net_payment
  currency financial_status fulfillment_status test tags cancelled_at ${selectTimes("created_at")} } } }`;

/** The heading, the table and the chart of the orders. */
export function ordersView({ spend, summary }) {
  const orders = summary.orders.list;
  const body = h("tbody", null, orders.slice(0, SHOWN_ORDERS).map(orderRow));
  const more =
    orders.length > SHOWN_ORDERS
      ? button(
          (orders.length < MAX_ORDERS ? t.orders.all : t.orders.newest)(formatNumber(orders.length)),
          () => {
            replace(body, orders.map(orderRow));
            more.remove();
          },
          { class: "plain" },
        )
      : null;
  return [
    h("h2", { id: "orders" }, t.orders.title),
    orders.length
      ? [
          tableBox(
            { "aria-labelledby": "orders" },
            "plain-table stack",
            headingRow(
              t.orders.columns.slice(0, -1),
              h("th", { scope: "col", class: "number" }, t.orders.columns.at(-1)),
            ),
            body,
          ),
          more,
          spendChart(orders, spend),
        ]
      : h("p", { class: "empty" }, t.orders.none),
  ];
}

function orderRow({ order, referrer }) {
  const states = [t.orders.financial[order.financial_status], t.orders.fulfillment[order.fulfillment_status]];
  const cell = (index, ...content) => h("td", { "data-label": t.orders.columns[index] }, content);
  return h(
    "tr",
    null,
    h(
      "th",
      { scope: "row" },
      userText(order.name),
      order.test ? chip(t.orders.test) : null,
      order.cancelled_at ? h("span", { class: "chip wrong" }, t.orders.cancelled) : null,
      order.tags.length ? h("div", { class: "hint" }, userText(order.tags.join(", "))) : null,
    ),
    cell(1, relativeTime(order, "created_at"), referrer ? h("div", { class: "hint" }, userText(referrer)) : null),
    cell(2, states.join(" · ")),
    h(
      "td",
      { class: "number", "data-label": t.orders.columns[3] },
      formatMoney(order.total, order.currency),
      order.refunded_amount
        ? h("div", { class: "hint" }, t.orders.refunded(formatMoney(order.refunded_amount, order.currency)))
        : null,
    ),
  );
}

/** The chart of the spend in the last twelve months with orders, in the first currency of `spend`. */
function spendChart(entries, spend) {
  const orders = entries
    .map(({ order }) => order)
    .filter((order) => order.net_payment && !order.test && !order.cancelled_at);
  if (!orders.length) return null;
  const { currency } = spend.find((each) => orders.some((order) => order.currency === each.currency));
  const last = new Date(
    orders
      .map((order) => order.created_at_iso)
      .toSorted()
      .at(-1),
  );
  const months = Array.from({ length: CHART_MONTHS }, (_, index) =>
    new Date(Date.UTC(last.getUTCFullYear(), last.getUTCMonth() - CHART_MONTHS + 1 + index, 1))
      .toISOString()
      .slice(0, 7),
  );
  const sums = Object.fromEntries(months.map((month) => [month, 0]));
  for (const order of orders) {
    const month = order.created_at_iso.slice(0, 7);
    if (order.currency === currency && month in sums) sums[month] += order.net_payment;
  }
  const rows = months.map((month) => {
    const label = formatMonth(month);
    const shown = formatMoney(sums[month], currency);
    return { label, value: sums[month], shown, title: `${label}: ${shown}` };
  });
  return sparkline(t.orders.byMonth(currency), rows, [t.chart.month, t.chart.spend]);
}
