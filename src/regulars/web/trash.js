// The trash: deleted customers, restored or deleted permanently.

import { getViewer, runMutation } from "./api.js";
import { h, replace, setAttribute, userText } from "./dom.js";
import { selectTimes } from "./fields.js";
import { actorView, displayName, formatNumber, relativeTime, timeElement } from "./format.js";
import { icon } from "./icons.js";
import { navigate } from "./navigation.js";
import { PagedList } from "./paged-list.js";
import { DELETED_EVENT, revealIds } from "./selection.js";
import { t } from "./texts.js";
import {
  askConfirmation,
  button,
  checkbox,
  emptyState,
  headingRow,
  otherCustomerLink,
  pageHeader,
  runAction,
  showError,
  tableBox,
  toast,
  withBusy,
} from "./ui.js";

const PAGE_SIZE = 100;
const SHOWN_CONFLICTS = 20;
const DAY_MS = 86_400_000;
const CLOCK_TOLERANCE_MS = 600_000; // a browser whose clock is behind would show one day more
const READ = `query($email: String, $after: String) { accountSettings { trash_days }
  trash(email: $email, first: ${PAGE_SIZE}, after: $after) { totalCount pageInfo { hasNextPage endCursor } edges { node {
    id _id full_name email orders_count ${selectTimes("deleted_at", "purge_at")} deleted_by { kind name } } } } }`;
const RESTORE = `mutation($items: [ID!]!, $policy: ConflictPolicy) {
  restoreCustomers(items: $items, conflictPolicy: $policy) { skipped { field } } }`;
const EMPTY = "mutation($items: [ID!]) { emptyTrash(items: $items) }";

/** Customers as text: the name of one, or their number. */
const describe = (customers) =>
  customers.length === 1 ? displayName(customers[0]) : t.list.count(formatNumber(customers.length), customers.length);

export async function show(page) {
  const { main, signal, setTitle } = page;
  setTitle(t.nav.trash);
  const { scopes } = await getViewer();
  const canWrite = scopes.includes("customers:write");
  const selectedIds = new Set();
  let customers = [];
  let total = 0;

  const emptyAll = button(
    [icon("trash"), t.trash.empty],
    (event) => purge(null, t.list.count(formatNumber(total), total), event.currentTarget),
    { class: "danger", hidden: true },
  );
  const explanation = h("p", { class: "lead-in" });
  const count = h("p", { class: "count", role: "status" });
  const all = checkbox(t.list.selectPage, {
    onchange: () => {
      for (const { id } of customers) selectedIds[all.input.checked ? "add" : "delete"](id);
      showSelection();
    },
  });
  all.hidden = true; // until there are customers to select
  const bar = h("div", { class: "selection", role: "region", "aria-label": t.selection.label, hidden: true });
  const list = new PagedList(page, {
    name: "trash",
    query: READ,
    label: t.trash.email,
    parameter: "email",
    toVariables: (email) => ({ email: email || null }),
    render,
    onError: () => {
      customers = [];
      replace(count);
      showSelection();
    },
  });
  const { form, body, foot } = list;
  replace(
    main,
    pageHeader(t.nav.trash, emptyAll),
    explanation,
    form,
    h("div", { class: "list-head" }, count, all),
    bar,
    body,
    foot,
  );

  function render({ trash, accountSettings: { trash_days: days } }, email) {
    customers = trash.edges.map(({ node }) => node);
    total = trash.totalCount;
    replace(explanation, days ? t.trash.text(days) : t.trash.off, canWrite ? null : [" ", t.errors.readOnlyText]);
    replace(count, email ? t.list.matching(formatNumber(total), total) : t.list.count(formatNumber(total), total));
    setAttribute(emptyAll, "hidden", !canWrite || Boolean(email) || !total);
    replace(body, customers.length ? customerTable() : noCustomers(email));
    showSelection();
  }

  const noCustomers = (email) =>
    email
      ? emptyState(
          "search",
          t.trash.noMatches,
          t.trash.noMatchesText,
          h("a", { class: "button", href: "/trash" }, t.search.clear),
        )
      : emptyState("trash", t.trash.none, t.trash.noneText);

  const customerTable = () =>
    tableBox(
      { class: "card table-wrap", "aria-label": t.nav.trash },
      "plain-table stack",
      headingRow(t.trash.columns, canWrite ? h("td") : null),
      h("tbody", null, customers.map(row)),
    );

  function row(customer) {
    const name = displayName(customer);
    const hasBoth = customer.full_name && customer.email;
    const days = Math.ceil((Date.parse(customer.purge_at_iso) - Date.now() - CLOCK_TOLERANCE_MS) / DAY_MS);
    const cell = (index, ...content) => h("td", { "data-label": t.trash.columns[index] }, content);
    const choose = () => {
      selectedIds[box.input.checked ? "add" : "delete"](customer.id);
      showSelection();
    };
    const box = canWrite
      ? checkbox(userText(name), { value: customer.id, onchange: choose })
      : userText(name, { class: "label" });
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, box, hasBoth ? h("div", { class: "hint" }, userText(customer.email)) : null),
      cell(1, formatNumber(customer.orders_count)),
      cell(
        2,
        relativeTime(customer, "deleted_at"),
        h("div", { class: "hint" }, t.timeline.by, " ", actorView(customer.deleted_by)),
      ),
      cell(3, timeElement(t.trash.days(Math.max(1, days)), customer.purge_at_iso)),
      canWrite
        ? h(
            "td",
            null,
            h(
              "div",
              { class: "row" },
              button(t.trash.restore, (event) => restore([customer], event.currentTarget), {
                class: "small",
                "aria-label": t.trash.restoreNamed(name),
              }),
              button(t.trash.purge, (event) => purge([customer], name, event.currentTarget), {
                class: "danger small",
                "aria-label": t.trash.purgeNamed(name),
              }),
            ),
          )
        : null,
    );
  }

  function showSelection() {
    const selected = customers.filter(({ id }) => selectedIds.has(id));
    selectedIds.clear();
    for (const { id } of selected) selectedIds.add(id);
    for (const box of body.querySelectorAll("th input")) box.checked = selectedIds.has(box.value);
    setAttribute(all, "hidden", !canWrite || !customers.length);
    all.input.checked = selected.length > 0 && selected.length === customers.length;
    all.input.indeterminate = selected.length > 0 && selected.length < customers.length;
    setAttribute(bar, "hidden", !selected.length);
    replace(
      bar,
      h("strong", null, t.selection.count(formatNumber(selected.length))),
      h(
        "div",
        { class: "row" },
        button(t.trash.restore, (event) => restore(selected, event.currentTarget)),
        button([icon("trash"), t.trash.purge], (event) => purge(selected, describe(selected), event.currentTarget), {
          class: "danger",
        }),
      ),
    );
  }

  /** Restores customers. Values that other customers have are explained in a dialog. */
  async function restore(chosen, control, policy = "refuse") {
    const items = chosen.map(({ id }) => id);
    try {
      const { restoreCustomers } = await withBusy(control, () => runMutation(RESTORE, { items, policy }));
      const { length } = restoreCustomers.skipped;
      const open = () => navigate(`/customers/${chosen[0]._id}`);
      toast((length ? t.trash.restoredWithout : t.trash.restored)(describe(chosen), formatNumber(length)), {
        actions: items.length === 1 ? [[t.trash.show, open]] : [],
      });
    } catch (error) {
      const conflicts = error.find?.("errors_restore_conflict")?.extensions.conflicts;
      if (conflicts) return askAboutConflicts(chosen, conflicts, control);
      showError(error);
    }
    revealIds(items);
    return list.read();
  }

  /** Shows the conflicts, and restores without the values, or without the customers whose emails are taken. */
  async function askAboutConflicts(chosen, conflicts, control) {
    const blockedIds = conflicts.filter((conflict) => conflict.field === "email").map(({ customer_id: id }) => id);
    const others = chosen.filter(({ id }) => !blockedIds.includes(id));
    const names = Object.fromEntries(chosen.map((customer) => [customer.id, displayName(customer)]));
    const label = blockedIds.length ? t.trash.restoreOthers(formatNumber(others.length)) : t.trash.restoreWithout;
    const isConfirmed = await askConfirmation(
      t.trash.conflict,
      [
        blockedIds.length ? t.trash.emailConflictText : t.trash.conflictText,
        h(
          "ul",
          { class: "problems" },
          conflicts.slice(0, SHOWN_CONFLICTS).map(({ customer_id: id, field, value, taken_by: takenBy }) =>
            h(
              "li",
              null,
              h("strong", null, userText(names[id])),
              ` · ${t.fieldName(field)} `,
              userText(value),
              " ",
              // The other one can be a selected customer, which is still in the trash.
              names[takenBy] ? null : otherCustomerLink(takenBy),
            ),
          ),
          conflicts.length > SHOWN_CONFLICTS
            ? h("li", null, t.list.moreTags(conflicts.length - SHOWN_CONFLICTS))
            : null,
        ),
      ],
      others.length ? label : null,
      { isSafe: true },
    );
    return isConfirmed ? restore(others, control, blockedIds.length ? "refuse" : "skip") : null;
  }

  /** Deletes customers permanently after a confirmation; null are all in the trash. */
  async function purge(chosen, name, control) {
    const count = chosen?.length ?? total;
    if (!(await askConfirmation(t.trash.purgeTitle(name), t.trash.purgeText, t.trash.purge, { count }))) return;
    const items = chosen?.map(({ id }) => id) ?? null;
    if (await runAction(control, () => runMutation(EMPTY, { items }))) toast(t.trash.purged(name));
    await list.read();
  }

  document.addEventListener(DELETED_EVENT, () => list.read(), { signal });
  page.setHandlers({ update: (url) => list.update(url) });
  await list.read();
}
