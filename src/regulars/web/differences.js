// The values of a field before and after a change.

import { h } from "./dom.js";
import { formatValue } from "./format.js";
import { t } from "./texts.js";

/** The changed parts of a field: of an object, each key separately. */
export function changedParts({ name, before, after }) {
  const isWhole =
    [before, after].some((value) => Array.isArray(value) || (typeof value !== "object" && value !== null)) ||
    (before ?? after) === null;
  if (isWhole) return [{ name, before, after }];
  const keys = Object.keys({ ...before, ...after }).filter(
    (key) => JSON.stringify(before?.[key]) !== JSON.stringify(after?.[key]),
  );
  return keys.map((key) => ({ name: `${name}.${key}`, before: before?.[key], after: after?.[key] }));
}

/** The list of the changed parts of fields, each with its old and its new value. */
export const differenceList = (parts) => h("dl", { class: "diff" }, parts.map(differenceView));

/** The old and the new value of a part; of a list, as tags, only the removed and the added values. */
function differenceView({ name, before, after }) {
  const without = (list, other) => {
    const texts = new Set(other.map((value) => JSON.stringify(value)));
    return list.filter((value) => !texts.has(JSON.stringify(value)));
  };
  // Of a list in another order, as after a change of the default, both are shown as a whole.
  const isList =
    Array.isArray(before) && Array.isArray(after) && without(before, after).length + without(after, before).length > 0;
  const part = (tag, label, value) =>
    isList && !value.length
      ? null
      : [h("span", { class: isList ? "hint" : "unseen" }, label), h(tag, null, formatValue(value))];
  return h(
    "div",
    null,
    h("dt", null, t.fieldName(name)),
    h(
      "dd",
      null,
      isList
        ? [
            part("del", t.timeline.removed, without(before, after)),
            " ",
            part("ins", t.timeline.added, without(after, before)),
          ]
        : [
            part("del", t.timeline.before, before),
            h("span", { "aria-hidden": "true" }, t.timeline.arrow),
            part("ins", t.timeline.after, after),
          ],
    ),
  );
}
