// What happened to a customer, newest first, with the values before and after.

import { runQuery } from "./api.js";
import { h, replace, userText } from "./dom.js";
import { relativeTime, formatValue } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { button, showError, withBusy } from "./ui.js";

const FEW = 15;
const QUERY = `query($id: ID!, $first: Int!, $after: String) { node(id: $id) { ... on Customer {
  changes(first: $first, after: $after) { pageInfo { hasNextPage endCursor } edges { node {
    sequence kind at iso: at(format: "ISO") silent actor { kind name } order { name } fields { name before after } } } } } } }`;

const ICONS = { created: "add", updated: "edit", lead_created: "send", visited: "forward" };

/** The timeline of a customer: `element`, and `read()`, which reads what is new. */
export function timeline(id) {
  const list = h("ol", { class: "timeline" });
  const foot = h("div");
  const element = h("section", { class: "card", "aria-labelledby": "timeline" },
    h("h2", { id: "timeline" }, t.timeline.title), list, foot);

  async function page(after, first) {
    const { node } = await runQuery(QUERY, { id, first, after });
    return node?.changes ?? null;
  }

  async function read() {
    const found = await page(null, Math.max(FEW, Math.min(list.children.length, 250)));
    if (found) fill(found, []);
  }

  function fill(found, before) {
    replace(list, before, found.edges.map(({ node }) => entry(node)));
    const { hasNextPage, endCursor } = found.pageInfo;
    replace(foot, hasNextPage ? button(t.timeline.more, (event) => more(event.currentTarget, endCursor), { class: "plain" }) : []);
  }

  async function more(control, after) {
    try {
      const found = await withBusy(control, () => page(after, FEW));
      const place = list.children.length;
      if (found) fill(found, [...list.children]);
      list.children[place]?.querySelector("p")?.focus();
    } catch (failure) {
      showError(failure);
    }
  }

  return { element, read };
}

function entry(change) {
  const what = t.timeline.kinds[change.kind](change.order?.name);
  return h("li", { class: change.kind },
    h("span", { class: "dot" }, icon(ICONS[change.kind] ?? "history")),
    h("div", null,
      h("p", { tabindex: "-1" }, h("strong", null, what), " ", h("span", { class: "hint" }, t.timeline.by, " ", userText(change.actor.name), ` (${t.timeline.actors[change.actor.kind]}), `, relativeTime(change.at, change.iso), change.silent ? [", ", t.timeline.silent] : null)),
      change.fields.length ? h("dl", { class: "diff" }, change.fields.flatMap(parts).map(difference)) : null));
}

/** What of a field changed: of an object, each key by itself. */
function parts({ name, before, after }) {
  const whole = [before, after].some((one) => Array.isArray(one) || (typeof one !== "object" && one !== null)) || (before ?? after) === null;
  if (whole) return [{ name, before, after }];
  const keys = Object.keys({ ...before, ...after });
  const changed = keys.filter((key) => JSON.stringify(before?.[key]) !== JSON.stringify(after?.[key]));
  return changed.map((key) => ({ name: `${name}.${key}`, before: before?.[key], after: after?.[key] }));
}

function difference({ name, before, after }) {
  return h("div", null,
    h("dt", null, t.fieldName(name)),
    h("dd", null,
      h("span", { class: "unseen" }, t.timeline.before), h("del", null, formatValue(before)),
      h("span", { "aria-hidden": "true" }, " → "),
      h("span", { class: "unseen" }, t.timeline.after), h("ins", null, formatValue(after))));
}
