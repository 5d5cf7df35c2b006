// The query of the list of customers. It is loaded first, with fields.js alone: the first page is
// requested while the other modules are on their way, which saves some 40 ms of 260.

import { selectRow, SORT_FIELDS } from "./fields.js";

export const PAGE_SIZES = [25, 50, 100, 250];
const DEFAULT_PAGE_SIZE = 50;
export const SORT_KEYS = ["id", ...SORT_FIELDS.map(({ name }) => name)];
export const VIEWER = "viewer { account { _id name } token { id name } person { id name role } scopes }";
const query = () => `query($query: String, $segment: String, $first: Int, $after: String, $last: Int, $before: String) {
  customers(query: $query, segment: $segment, first: $first, after: $after, last: $last, before: $before) {
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { node {
      spend { currency amount } ${selectRow()} } } }
  accountSettings { currency expenses_currency } }`;
const VERSIONS = `query($query: String, $segment: String, $first: Int, $after: String, $last: Int, $before: String) {
  customers(query: $query, segment: $segment, first: $first, after: $after, last: $last, before: $before) {
    edges { node { id version } } } }`;
const ORDER_TERM = /(^|\s)order_(?:by|dir):\S+/g;

/** The condition of a search text, and its order. */
export const splitOrder = (text) => [
  text.replace(ORDER_TERM, "").trim(),
  (text.match(ORDER_TERM) ?? []).map((term) => term.trim()).join(" "),
];

/** The search, the segment, the order and the page of a URL of the list. */
export class ListQuery {
  constructor({ searchParams: params }) {
    this.text = params.get("q") ?? "";
    this.segment = params.get("segment") || null;
    this.sortKey = SORT_KEYS.includes(params.get("sort")) ? params.get("sort") : "id";
    this.isAscending = params.get("dir") === "asc";
    this.after = params.get("after");
    this.before = params.get("before");
  }

  /** The URL with these changes. Without a cursor it is that of the first page. */
  toUrl(changes = {}) {
    const { text, segment, sortKey, isAscending, after, before } = { ...this, after: null, before: null, ...changes };
    const params = new URLSearchParams();
    if (segment) params.set("segment", segment);
    if (text) params.set("q", text);
    if (sortKey !== "id" || isAscending) {
      params.set("sort", sortKey);
      params.set("dir", isAscending ? "asc" : "desc");
    }
    if (after) params.set("after", after);
    if (before) params.set("before", before);
    const search = params.toString();
    return search ? `/customers?${search}` : "/customers";
  }

  /** Whether the text of the search sets the order. */
  get hasOwnOrder() {
    return this.text.search(ORDER_TERM) >= 0;
  }

  /** The order of the list: `sortKey`, and whether it `isAscending`. */
  get order() {
    if (!this.hasOwnOrder) return { sortKey: this.sortKey, isAscending: this.isAscending };
    const term = (key, fallback) => this.text.match(new RegExp(`(?:^|\\s)${key}:(\\w+)`))?.[1] ?? fallback;
    return { sortKey: term("order_by", "id"), isAscending: term("order_dir", "desc") === "asc" };
  }

  /** The search with its order, as the API takes it. */
  get query() {
    if (this.hasOwnOrder || (this.sortKey === "id" && !this.isAscending)) return this.text;
    return `${this.text} order_by:${this.sortKey} order_dir:${this.isAscending ? "asc" : "desc"}`.trim();
  }

  /** The global id of the segment, or null. A number is an `_id`, also if a segment has this name. */
  get segmentId() {
    return /^\d+$/.test(this.segment) ? btoa(`Segment:${this.segment}`) : this.segment;
  }

  /** What the list shows: the search with its order, and the segment. */
  get search() {
    return { query: this.query, segment: this.segmentId };
  }

  /** The search without its order. */
  get condition() {
    return splitOrder(this.text)[0];
  }

  /** The GraphQL query and its variables. @returns {[string, object]} */
  toRequest(document = query()) {
    const size = pageSize();
    const page = this.before ? { last: size, before: this.before } : { first: size, after: this.after };
    return [document, { ...this.search, ...page }];
  }
}

/** The GraphQL query of the versions of a page, and its variables. @returns {[string, object]} */
export const toVersionsRequest = (listQuery) => listQuery.toRequest(VERSIONS);

/**
 * The list that was shown last: its `url`, its `count` of customers, whether it `isSearch`, and of its
 * page the `numbers` of the customers and the `pageInfo`.
 */
export const lastList = { url: "/customers", count: 0, isSearch: false, numbers: [], pageInfo: {} };

/** The number of customers on a page. */
export function pageSize() {
  const size = Number(localStorage.getItem("page-size"));
  return PAGE_SIZES.includes(size) ? size : DEFAULT_PAGE_SIZE;
}

// The first page of the list and the viewer; null on other pages.
const firstRequest = ["/", "/customers"].includes(location.pathname) ? requestFirstPage() : null;
let isFirstPageTaken = firstRequest === null;
firstRequest?.catch(() => {}); // handled where the result is awaited

async function requestFirstPage() {
  const { href, search } = location;
  const [document, variables] = new ListQuery(new URL(href)).toRequest();
  const body = JSON.stringify({ query: document.replace(/\}$/, `${VIEWER} }`), variables });
  const response = await fetch("/api/v2", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  return { search, data: (await response.json()).data };
}

/** A part of the first response, or the result of `fallback`. */
async function takeOr(pick, fallback) {
  try {
    const part = firstRequest && pick(await firstRequest);
    if (part) return part;
  } catch {
    // The fallback shows the error.
  }
  return fallback();
}

/** The first page, once; later it is requested again. */
export function takeFirstPage(url, fallback) {
  const canTake = !isFirstPageTaken;
  isFirstPageTaken = true;
  return takeOr(({ search, data }) => (canTake && search === url.search ? data : null), fallback);
}

/** The person who is signed in. */
export function takeFirstViewer(fallback) {
  return takeOr(({ data }) => data?.viewer, fallback);
}
