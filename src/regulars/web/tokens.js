// Tokens: who may come in, as what; made, shown once, and revoked.

import { runQuery, runMutation, getViewer } from "./api.js";
import { h, replace, userText } from "./dom.js";
import { relativeTime, formatDateTime } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { button, checkbox, showError, askConfirmation, copyToClipboard, withBusy, formField, openFormDialog, pageHeader, toast } from "./ui.js";

const FIELDS = `id name scopes state created_at created: created_at(format: "ISO") last_used_at
  used: last_used_at(format: "ISO") expires: expires_at(format: "ISO") revoked_at revoked: revoked_at(format: "ISO")`;
const READ = `{ tokens { ${FIELDS} } tokenScopes { name description } }`;
const DAYS = [7, 30, 90, 365];

export async function show({ main, signal, setTitle }) {
  setTitle(t.nav.tokens);
  const [{ tokens, tokenScopes }, { token: mine }] = await Promise.all([runQuery(READ, {}, { signal }), getViewer()]);
  const body = h("tbody");
  const render = (all) => replace(body, all.toSorted((one, two) => (one.state === "valid" ? 0 : 1) - (two.state === "valid" ? 0 : 1)).map((token) => row(token, mine, read)));
  const read = async () => render((await runQuery(READ)).tokens);
  render(tokens);
  replace(main,
    pageHeader(t.nav.tokens, button([icon("add"), t.tokens.new], () => create(tokenScopes).then(read).catch(showError), { class: "primary" })),
    h("p", { class: "lead-in" }, t.tokens.text),
    h("div", { class: "card table-wrap", tabindex: "0", role: "group", "aria-label": t.nav.tokens },
      h("table", { class: "plain-table stack" },
        h("thead", null, h("tr", null, t.tokens.columns.map((one) => h("th", { scope: "col" }, one)), h("td"))), body)));
}

function row(token, mine, read) {
  const own = token.id === mine.id;
  const revoke = button(t.tokens.revoke, async () => {
    const sure = await askConfirmation(t.tokens.revokeTitle(token.name), own ? t.tokens.revokeOwn : t.tokens.revokeText, t.tokens.revoke);
    if (!sure) return;
    try {
      await withBusy(revoke, () => runMutation("mutation($id: ID!) { revokeToken(id: $id) { id } }", { id: token.id }));
      toast(t.tokens.revoked(token.name));
      await read();
    } catch (failure) {
      showError(failure);
    }
  }, { class: "danger small", "aria-label": t.tokens.revokeNamed(token.name) });
  const cell = (place, ...content) => h("td", { "data-label": t.tokens.columns[place] }, content);
  return h("tr", { class: token.state === "valid" ? null : "past" },
    h("th", { scope: "row" }, userText(token.name), own ? h("span", { class: "chip" }, t.tokens.own) : null, h("div", { class: "hint" }, token.id)),
    cell(1, h("div", { class: "tags" }, token.scopes.map((scope) => h("code", { class: "chip" }, scope)))),
    cell(2, h("span", { class: `state ${token.state}` }, t.tokens.states[token.state]),
      token.revoked ? h("div", { class: "hint" }, relativeTime(token.revoked_at, token.revoked)) : token.expires ? h("div", { class: "hint" }, t.tokens.until(formatDateTime(token.expires))) : null),
    cell(3, relativeTime(token.created_at, token.created)),
    cell(4, token.used ? relativeTime(token.last_used_at, token.used) : t.tokens.never),
    h("td", null, token.state === "valid" ? revoke : null));
}

function create(scopes) {
  const name = formField(t.tokens.name, h("input", { type: "text", autocomplete: "off", autofocus: true, dir: "auto" }), { hint: t.tokens.nameHint });
  const boxes = scopes.map((scope) => checkbox([h("code", null, scope.name), h("span", { class: "hint" }, ` ${scope.description}`)], { value: scope.name, checked: scope.name === "customers" }));
  const wrong = formField(t.tokens.scopes, h("input", { type: "hidden" }));
  const ends = formField(t.tokens.ends, h("select", null, h("option", { value: "" }, t.tokens.noEnd), DAYS.map((days) => h("option", { value: days, selected: days === 90 }, t.tokens.days(days)))));
  const content = [name, h("fieldset", null, h("legend", null, t.tokens.scopes), boxes), wrong, ends];
  return openFormDialog(t.tokens.new, t.tokens.create, content, { name, scopes: wrong, expires_at: ends }, async (form, close) => {
    const days = Number(ends.input.value);
    const node = { name: name.input.value, scopes: boxes.filter((box) => box.input.checked).map((box) => box.input.value) };
    if (days) node.expires_at = new Date(Date.now() + days * 86_400_000).toISOString();
    const { createToken } = await runMutation("mutation($node: InputToken!) { createToken(node: $node) { secret } }", { node });
    replace(form, secret(createToken.secret, close));
  });
}

function secret(text, close) {
  const shown = h("input", { type: "text", readonly: true, value: text, class: "code", "aria-label": t.tokens.secret, onfocus: (event) => event.target.select() });
  queueMicrotask(() => shown.focus());
  return h("div", null,
    h("p", { class: "notice" }, icon("key"), t.tokens.once),
    h("div", { class: "row" }, shown, button([icon("copy"), t.copy], () => copyToClipboard(text))),
    h("div", { class: "row end" }, button(t.done, () => close(true), { class: "primary" })));
}
