// *Restore this value*: the buttons in the history of a customer that set a field back.

import { getViewer, runMutation } from "./api.js";
import { t } from "./texts.js";
import { askConfirmation, iconButton, runAction, toast } from "./ui.js";

const REVERT = `mutation($sequence: Float!, $fields: [String!], $force: Boolean) {
  revertChange(sequence: $sequence, fields: $fields, force: $force) { id } }`;
// A consent, and what orders and visits change, cannot be set back.
const EXCLUDED = /^(accepts_marketing$|order\.)/;

/**
 * Adds a button to each row of the list `element` of a change, for people who may write. `names` are
 * the fields of the rows, or parts of them, such as `custom.tier`. `onRestored()` is called, and
 * awaited, after a change. Returns the list.
 */
export function withRevert({ kind, sequence }, names, element, onRestored) {
  if (kind !== "updated") return element;
  getViewer().then(({ scopes }) => {
    if (!scopes.includes("customers:write")) return;
    names.forEach((name, index) => {
      if (!EXCLUDED.test(name))
        element.children[index]?.lastElementChild.append(" ", revertButton(sequence, name, onRestored));
    });
  });
  return element;
}

function revertButton(sequence, name, onRestored) {
  const label = t.jobs.restoreNamed(t.fieldName(name));
  const control = iconButton("history", label, () =>
    runAction(control, async () => {
      if (!(await restore(sequence, name))) return;
      await onRestored();
      toast(t.jobs.restored(t.fieldName(name)));
    }),
  );
  control.classList.add("revert");
  return control;
}

/** Sets a field back, after a question if it changed since. Resolves with whether it did. */
async function restore(sequence, name) {
  try {
    await runMutation(REVERT, { sequence, fields: [name] });
    return true;
  } catch (error) {
    if (!error.find?.("errors_version_conflict")) throw error;
    const title = t.jobs.restoreNamed(t.fieldName(name));
    if (!(await askConfirmation(title, t.jobs.restoreText, t.jobs.restore))) return false;
    await runMutation(REVERT, { sequence, fields: [name], force: true });
    return true;
  }
}
