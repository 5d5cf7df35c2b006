// The history of a customer: the view of a change, with the fields before and after it.

import { readableEntry } from "./contact-points.js";
import { changedParts, differenceList } from "./differences.js";
import { h, userText } from "./dom.js";
import { actorView, formatMoney, relativeTime } from "./format.js";
import { icon } from "./icons.js";
import { segmentUrl } from "./kinds.js";
import { withRevert } from "./revert.js";
import { t } from "./texts.js";

const CHANGE_ICONS = {
  created: "add",
  updated: "edit",
  lead_created: "send",
  visited: "forward",
  comment_deleted: "comment",
};

/** The view of a change. `leads` are the messages of the customer; `onRestored()` is called when a value was restored. */
export function changeView(change, leads, onRestored) {
  const lead =
    change.kind === "lead_created" ? leads.find(({ created_at_iso: at }) => at === change.at_iso) : undefined;
  return h(
    "li",
    { class: change.kind },
    h("span", { class: "dot" }, icon(CHANGE_ICONS[change.kind] ?? "history")),
    h(
      "div",
      null,
      h(
        "p",
        { tabindex: "-1" },
        h("strong", null, title(change)),
        change.kind === "order_created" && change.order
          ? [" ", formatMoney(change.order.total, change.order.currency)]
          : null,
        " ",
        h(
          "span",
          { class: "hint" },
          change.actor.kind === "segment" ? segmentView(change) : [t.timeline.by, " ", actorView(change.actor)],
          t.separators.list,
          relativeTime(change, "at"),
          change.silent ? [t.separators.list, t.timeline.silent] : null,
        ),
      ),
      lead ? h("p", { class: "lines message" }, userText(lead.message || lead.subject)) : null,
      change.fields.length ? differences(change, onRestored) : null,
    ),
  );
}

/** The changed fields of a change, with buttons that restore the earlier values. */
function differences(change, onRestored) {
  const parts = change.fields.map(withTexts).flatMap(changedParts);
  const names = parts.map(({ name }) => name);
  return withRevert(change, names, differenceList(parts), onRestored);
}

/** What happened: for an update of one or two fields their names, too. */
function title({ kind, order, fields }) {
  const names = [...new Set(fields.map(({ name }) => t.fieldName(name.split(".")[0])))];
  return kind === "updated" && names.length && names.length < 3
    ? t.timeline.updated(names)
    : t.timeline.kinds[kind](order?.name);
}

/** The segment that a customer entered or left. A deleted one has no link. */
const segmentView = ({ segment, actor }) =>
  segment ? h("a", { href: segmentUrl(segment) }, userText(actor.name)) : userText(actor.name);

/** An external id as a text. */
export const idText = ({ source, id }) => `${source}:${id}`;
/** An entry of an address book, which is a label if a field of its own has the address. */
const entryText = ({ label, address }) =>
  [label, ...Object.values(address ?? {})].filter(Boolean).join(t.separators.list);
/** The texts of the items in fields that are lists of objects. */
const ITEM_TEXTS = { external_ids: idText, addresses: entryText, emails: readableEntry, phones: readableEntry };

/** A field whose objects in a list are texts. */
function withTexts({ name, before, after }) {
  const text = ITEM_TEXTS[name];
  return text ? { name, before: before?.map(text), after: after?.map(text) } : { name, before, after };
}
