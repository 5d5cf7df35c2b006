// The settings of the account: a button that opens their form.

import { runMutation, runQuery } from "./api.js";
import { h } from "./dom.js";
import { countries } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { button, formField, openFormDialog, runAction, selectOptions, toast } from "./ui.js";

const FIELDS = "identify_by trash_days default_country currency expenses_currency";
const READ = `{ accountSettings { ${FIELDS} } }`;
const CHANGE = `mutation($node: InputAccountSettings!) { updateAccountSettings(node: $node) { ${FIELDS} } }`;

/** A button for the settings, if the scopes of the person permit a change. */
export const settingsButton = (scopes) =>
  scopes.includes("settings")
    ? button([icon("edit"), t.account.title], (event) => editSettings(event.currentTarget))
    : null;

/** Opens the form of the settings; `control` is the button that was pressed. */
export const editSettings = (control) =>
  runAction(control, async () => {
    const { accountSettings: current } = await runQuery(READ);
    const fields = {
      identify_by: formField(
        t.account.identifyBy,
        h("select", null, selectOptions(t.account.identifications, current.identify_by)),
        { hint: t.account.identifyByHint },
      ),
      default_country: formField(
        t.account.defaultCountry,
        h("select", null, selectOptions([["", t.account.noCountry], ...countries()], current.default_country ?? "")),
        { hint: t.account.defaultCountryHint },
      ),
      currency: formField(
        t.account.currency,
        h("input", { type: "text", autocomplete: "off", maxlength: 3, value: current.currency ?? "" }),
        { hint: t.account.currencyHint },
      ),
      expenses_currency: formField(
        t.account.counted,
        h("select", null, selectOptions(t.account.countedOrders, current.expenses_currency)),
        { hint: t.account.countedHint },
      ),
      trash_days: formField(
        t.account.trashDays,
        h("input", { type: "text", inputmode: "numeric", autocomplete: "off", value: current.trash_days }),
        { hint: t.account.trashDaysHint },
      ),
    };
    const content = h("div", { class: "fields" }, Object.values(fields));
    const saved = await openFormDialog(t.account.title, t.save, content, fields, () => {
      const days = fields.trash_days.input.value.trim();
      if (!/^\d+$/.test(days)) {
        fields.trash_days.setError(t.account.trashDaysInvalid);
        fields.trash_days.input.focus();
        return undefined;
      }
      const currency = fields.currency.input.value.trim().toUpperCase() || null;
      const counted = fields.expenses_currency.input.value;
      const node = {
        identify_by: fields.identify_by.input.value,
        default_country: fields.default_country.input.value || null,
        trash_days: Number(days),
        // They are sent only if they change: all customers are counted again.
        ...(currency === current.currency ? {} : { currency }),
        ...(counted === current.expenses_currency ? {} : { expenses_currency: counted }),
      };
      return runMutation(CHANGE, { node });
    });
    if (saved) toast(t.account.saved);
  });
