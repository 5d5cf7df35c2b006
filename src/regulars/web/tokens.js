// The tokens of the account: created, shown once, and revoked.

import { runQuery, runMutation, getViewer } from "./api.js";
import { h, replace, userText } from "./dom.js";
import { selectTimes } from "./fields.js";
import { relativeTime, formatDateTime } from "./format.js";
import { icon } from "./icons.js";
import { secretView } from "./secret-view.js";
import { readableMessage } from "./server-messages.js";
import { t } from "./texts.js";
import {
  button,
  checkbox,
  chip,
  showError,
  askConfirmation,
  formField,
  headingRow,
  openFormDialog,
  pageHeader,
  runAction,
  selectOptions,
  stateBadge,
  tableBox,
  toast,
} from "./ui.js";

const FIELDS = `id name scopes state ${selectTimes("created_at", "last_used_at", "revoked_at")} expires_at(format: "ISO")`;
const READ = `{ tokens { ${FIELDS} } tokenScopes { name description } }`;
const LIFETIMES_DAYS = [7, 30, 90, 365];
const DEFAULT_LIFETIME_DAYS = 90;
const DAY_MS = 86_400_000;

export async function show({ main, signal, setTitle }) {
  setTitle(t.nav.tokens);
  const [{ tokens, tokenScopes }, { token: ownToken }] = await Promise.all([
    runQuery(READ, {}, { signal }),
    getViewer(),
  ]);
  const body = h("tbody");
  // Valid tokens come first. Sorting is stable.
  const render = (all) =>
    replace(
      body,
      all
        .toSorted((left, right) => Number(isValid(right)) - Number(isValid(left)))
        .map((token) => row(token, token.id === ownToken.id, read)),
    );
  const read = async () => render((await runQuery(READ)).tokens);
  render(tokens);
  replace(
    main,
    pageHeader(
      t.nav.tokens,
      button([icon("add"), t.tokens.new], () => create(tokenScopes).then(read).catch(showError), { class: "primary" }),
    ),
    h("p", { class: "lead-in" }, t.tokens.text),
    tableBox(
      { class: "card table-wrap", "aria-label": t.nav.tokens },
      "plain-table stack",
      headingRow(t.tokens.columns, h("td")),
      body,
    ),
  );
}

const isValid = ({ state }) => state === "valid";

function row(token, isOwn, read) {
  const revoke = button(
    t.tokens.revoke,
    async () => {
      if (
        !(await askConfirmation(
          t.tokens.revokeTitle(token.name),
          isOwn ? t.tokens.revokeOwn : t.tokens.revokeText,
          t.tokens.revoke,
        ))
      )
        return;
      const isRevoked = await runAction(revoke, () =>
        runMutation("mutation($id: ID!) { revokeToken(id: $id) { id } }", { id: token.id }),
      );
      if (!isRevoked) return;
      toast(t.tokens.revoked(token.name));
      read().catch(showError);
    },
    { class: "danger small", "aria-label": t.tokens.revokeNamed(token.name) },
  );
  const cell = (index, ...content) => h("td", { "data-label": t.tokens.columns[index] }, content);
  return h(
    "tr",
    { class: isValid(token) ? null : "past" },
    h(
      "th",
      { scope: "row" },
      userText(token.name),
      isOwn ? chip(t.tokens.yours) : null,
      h("div", { class: "hint" }, token.id),
    ),
    cell(
      1,
      h(
        "div",
        { class: "tags" },
        token.scopes.map((scope) => h("code", { class: "chip" }, scope)),
      ),
    ),
    cell(
      2,
      stateBadge(token.state, t.tokens.states[token.state]),
      token.revoked_at
        ? h("div", { class: "hint" }, relativeTime(token, "revoked_at"))
        : token.expires_at
          ? h("div", { class: "hint" }, t.tokens.until(formatDateTime(token.expires_at)))
          : null,
    ),
    cell(3, relativeTime(token, "created_at")),
    cell(4, token.last_used_at ? relativeTime(token, "last_used_at") : t.tokens.never),
    h("td", null, isValid(token) ? revoke : null),
  );
}

function create(scopes) {
  const name = formField(
    t.tokens.name,
    h("input", { type: "text", autocomplete: "off", autofocus: true, dir: "auto" }),
    { hint: t.tokens.nameHint },
  );
  const boxes = scopes.map((scope) =>
    checkbox([h("code", null, scope.name), h("span", { class: "hint" }, ` ${readableMessage(scope.description)}`)], {
      value: scope.name,
      checked: scope.name === "customers",
    }),
  );
  const scopesProblem = formField(t.tokens.scopes, h("input", { type: "hidden" }));
  const expiry = formField(
    t.tokens.expires,
    h(
      "select",
      null,
      selectOptions(
        [["", t.tokens.neverExpires], ...LIFETIMES_DAYS.map((days) => [days, t.tokens.days(days)])],
        DEFAULT_LIFETIME_DAYS,
      ),
    ),
  );
  const content = [name, h("fieldset", null, h("legend", null, t.tokens.scopes), boxes), scopesProblem, expiry];
  return openFormDialog(
    t.tokens.new,
    t.tokens.create,
    content,
    { name, scopes: scopesProblem, expires_at: expiry },
    async (form, close) => {
      const days = Number(expiry.input.value);
      const node = {
        name: name.input.value,
        scopes: boxes.filter((box) => box.input.checked).map((box) => box.input.value),
      };
      if (days) node.expires_at = new Date(Date.now() + days * DAY_MS).toISOString();
      const { createToken } = await runMutation(
        "mutation($node: InputToken!) { createToken(node: $node) { secret } }",
        { node },
      );
      replace(form, secretView(t.tokens.copyNow, t.tokens.secret, createToken.secret, close));
    },
  );
}
