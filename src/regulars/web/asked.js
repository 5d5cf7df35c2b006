// What the list of customers is asked for. It stands by itself, because it is loaded first: the first
// page is on its way before everything else is here.

export const SIZES = [25, 50, 100, 250];
export const ORDERS = ["id", "full_name", "first_name", "last_name", "email", "created_at", "updated_at", "expenses", "orders_count"];
export const VIEWER = "viewer { account { name } token { id name } scopes }";
const QUERY = `query($query: String, $first: Int, $after: String, $last: Int, $before: String) {
  customers(query: $query, first: $first, after: $after, last: $last, before: $before) {
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { node {
      id _id full_name email avatar location tags orders_count expenses
      updated_at changed: updated_at(format: "ISO") } } } }`;
const ORDER_IN_QUERY = /(^|\s)order_(?:by|dir):\S+/g;

/** What an address of the list asks for. */
export class Asked {
  constructor(url) {
    const given = url.searchParams;
    this.text = given.get("q") ?? "";
    this.by = ORDERS.includes(given.get("sort")) ? given.get("sort") : "id";
    this.ascending = given.get("dir") === "asc";
    this.after = given.get("after");
    this.before = given.get("before");
  }

  /** The address of this, but for what is said otherwise. A new search or order begins anew. */
  address(changed = {}) {
    const now = { text: this.text, by: this.by, ascending: this.ascending, ...changed };
    const given = new URLSearchParams();
    if (now.text) given.set("q", now.text);
    if (now.by !== "id" || now.ascending) {
      given.set("sort", now.by);
      given.set("dir", now.ascending ? "asc" : "desc");
    }
    if (now.after) given.set("after", now.after);
    if (now.before) given.set("before", now.before);
    const query = given.toString();
    return query ? `/customers?${query}` : "/customers";
  }

  /** Whether the search says its order itself. */
  get ordersItself() {
    return this.text.search(ORDER_IN_QUERY) >= 0;
  }

  /** The order that it comes in: `by` what, and whether `ascending`. */
  get order() {
    if (!this.ordersItself) return { by: this.by, ascending: this.ascending };
    const said = (key, otherwise) => this.text.match(new RegExp(`(?:^|\\s)${key}:(\\w+)`))?.[1] ?? otherwise;
    return { by: said("order_by", "id"), ascending: said("order_dir", "desc") === "asc" };
  }

  /** What is asked of the API: the search, with its order. */
  get query() {
    if (this.ordersItself || (this.by === "id" && !this.ascending)) return this.text;
    return `${this.text} order_by:${this.by} order_dir:${this.ascending ? "asc" : "desc"}`.trim();
  }

  /** The search without its order. */
  get condition() {
    return this.text.replace(ORDER_IN_QUERY, "").trim();
  }

  /** The query and the variables that read it. */
  reading() {
    const size = pageSize();
    const part = this.before ? { last: size, before: this.before } : { first: size, after: this.after };
    return [QUERY, { query: this.query, ...part }];
  }
}

/** How many customers are on a page. */
export function pageSize() {
  const kept = Number(localStorage.getItem("page-size"));
  return SIZES.includes(kept) ? kept : SIZES[0];
}

// The first page, and who asks; null elsewhere.
const early = ["/", "/customers"].includes(location.pathname) ? begun() : null;
let taken = early === null;
early?.catch(() => {});  // whoever waits for it is told

async function begun() {
  const { href, search } = location;
  const [query, variables] = new Asked(new URL(href)).reading();
  const body = JSON.stringify({ query: query.replace(/\}$/, `${VIEWER} }`), variables });
  const answer = await fetch("/api/v2", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  return { search, data: (await answer.json()).data };
}

/** Something of what is on its way since the pages were loaded, or else what `otherwise` asks. */
async function orElse(pick, otherwise) {
  try {
    const found = early && pick(await early);
    if (found) return found;
  } catch {
    // It is asked for again, and what is wrong is told.
  }
  return otherwise();
}

/** The first page, once: later it is read anew. */
export function firstPage(url, otherwise) {
  const mine = !taken;
  taken = true;
  return orElse(({ search, data }) => (mine && search === url.search ? data : null), otherwise);
}

/** Who is signed in. */
export function firstViewer(otherwise) {
  return orElse(({ data }) => data?.viewer, otherwise);
}
