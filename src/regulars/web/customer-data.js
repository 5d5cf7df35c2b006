// Everything that is stored about a customer, as a file: the answer to a person who asks for it.

import { postOptions, request, runQuery } from "./api.js";
import { saveFile } from "./selection.js";

const PAGE = 250;
const time = (name) => `${name}(format: "ISO")`;
const EXPORT = "/export?format=jsonl&include=public_comments&columns=";
const ORDERS = `query($id: ID!, $after: ID) { node(id: $id) { ... on Customer { summary { orders {
  list(first: ${PAGE}, after: $after) { referrer order { id name email total refunded_amount net_payment currency
    financial_status fulfillment_status external_ids { source id } tags test
    ${time("cancelled_at")} ${time("created_at")} ${time("updated_at")} } } } } } } }`;
const MESSAGES = `query($id: ID!, $after: ID) { node(id: $id) { ... on Customer { leads(first: ${PAGE}, after: $after) {
  id subject message custom ${time("created_at")} } } } }`;
// Without the names of colleagues.
const CHANGES = `query($id: ID!, $after: String) { node(id: $id) { ... on Customer { changes(first: ${PAGE}, after: $after) {
  pageInfo { endCursor } edges { node { kind ${time("at")} actor { kind } order { name }
    fields { name before after } } } } } } }`;

/** Saves what is stored about a customer, private comments excepted, as a file. Throws ApiError. */
export async function saveCustomerData({ id, _id: number }) {
  const exported = await request(EXPORT, { ...postOptions({ ids: [id] }), as: "blob" });
  const data = JSON.parse(await exported.text());
  data.orders = await readAll(id, ORDERS, ({ summary }) => ({
    rows: summary.orders.list.map(({ order, referrer }) => ({ ...order, referrer })),
    cursor: summary.orders.list.at(-1)?.order.id,
  }));
  data.messages = await readAll(id, MESSAGES, ({ leads }) => ({ rows: leads, cursor: leads.at(-1)?.id }));
  data.history = await readAll(id, CHANGES, ({ changes }) => ({
    rows: changes.edges.map(({ node }) => ({ ...node, actor: node.actor.kind, order: node.order?.name })),
    cursor: changes.pageInfo.endCursor,
  }));
  saveFile(new Blob([JSON.stringify(data, null, 2)], { type: "application/json" }), `customer-${number}.json`);
}

/** Reads a list of a customer, a page at a time. */
async function readAll(id, query, pageOf) {
  const all = [];
  for (let after = null; ; ) {
    const { node } = await runQuery(query, { id, after });
    const { rows, cursor } = node ? pageOf(node) : { rows: [], cursor: null };
    all.push(...rows);
    if (rows.length < PAGE) return all;
    after = cursor;
  }
}
