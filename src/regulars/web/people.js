// The people of the account: invited by a link, given a role, and removed.

import { getViewer, runMutation, runQuery } from "./api.js";
import { h, replace, userText } from "./dom.js";
import { selectTimes } from "./fields.js";
import { formatDateTime, relativeTime } from "./format.js";
import { icon } from "./icons.js";
import { showNavigationBar } from "./navigation-bar.js";
import { secretView } from "./secret-view.js";
import { t } from "./texts.js";
import {
  askConfirmation,
  button,
  chip,
  emptyState,
  formField,
  headingRow,
  openDialog,
  openFormDialog,
  pageHeader,
  runAction,
  selectOptions,
  showError,
  stateBadge,
  tableBox,
  toast,
} from "./ui.js";

const ROLES = ["owner", "support", "marketing", "read_only"];
const FIELDS = `id name email role state ${selectTimes("created_at", "last_seen_at", "removed_at")}`;
const READ = `{
  people { ${FIELDS} }
  tokens { name state session_count ${selectTimes("last_used_at")} } }`;
const LINK = `path expires_at(format: "ISO") person { name }`;
const INVITE = `mutation($node: InputPerson!) { link: invitePerson(node: $node) { ${LINK} } }`;
const NEW_LINK = `mutation($id: ID!) { link: createSignInLink(id: $id) { ${LINK} } }`;
const UPDATE = "mutation($id: ID!, $node: InputPersonChanges!) { updatePerson(id: $id, node: $node) { id } }";
const REMOVE = "mutation($id: ID!) { removePerson(id: $id) { id } }";

export async function show({ main, signal, setTitle }) {
  setTitle(t.nav.people);
  const [data, { person: own }] = await Promise.all([runQuery(READ, {}, { signal }), getViewer()]);
  const list = h("div", { class: "people" });
  const render = ({ people, tokens }) => {
    const present = people.toSorted((left, right) => Number(isRemoved(left)) - Number(isRemoved(right)));
    const used = tokens.filter((token) => token.state === "valid" && token.session_count);
    replace(
      list,
      present.length ? table(present, own?.id ?? null, read) : emptyState("customers", t.people.none, ""),
      used.length ? tokenList(used) : null,
    );
  };
  const read = async () => render(await runQuery(READ));
  render(data);
  const invite = () => openForm(null).then(read).catch(showError);
  replace(
    main,
    pageHeader(t.nav.people, button([icon("add"), t.people.invite], invite, { class: "primary" })),
    h("p", { class: "lead-in" }, t.people.text),
    own ? null : h("p", { class: "notice" }, icon("key"), t.people.signedInByToken),
    list,
  );
}

/** The tokens with which people are signed in, as before there were people. */
const tokenList = (tokens) =>
  h(
    "section",
    { class: "card", "aria-label": t.people.tokens },
    h("h2", null, t.people.tokens),
    h("p", { class: "hint" }, t.people.tokensText),
    h(
      "ul",
      null,
      tokens.map((token) =>
        h(
          "li",
          null,
          userText(token.name),
          h("span", { class: "hint" }, " ", token.last_used_at ? relativeTime(token, "last_used_at") : null),
        ),
      ),
    ),
  );

const isRemoved = ({ state }) => state === "removed";

const table = (people, ownId, read) =>
  tableBox(
    { class: "card table-wrap", "aria-label": t.nav.people },
    "plain-table stack",
    headingRow(t.people.columns, h("td")),
    h(
      "tbody",
      null,
      people.map((person) => row(person, person.id === ownId, read)),
    ),
  );

function row(person, isOwn, read) {
  const { id, name, email, role, state } = person;
  const cell = (index, ...content) => h("td", { "data-label": t.people.columns[index] }, content);
  const action = (label, act, properties = {}) =>
    button(label, act, { class: "small", "aria-label": t.people.named(label, name), ...properties });
  const newLink = action(t.people.newLink, () =>
    runAction(newLink, async () => showLink((await runMutation(NEW_LINK, { id })).link)),
  );
  const edit = action(t.people.edit, () => openForm(person, isOwn).then(read).catch(showError));
  const remove = action(
    t.people.remove,
    async () => {
      const text = isOwn ? t.people.removeOwn : t.people.removeText;
      if (!(await askConfirmation(t.people.removeTitle(name), text, t.people.remove))) return;
      if (!(await runAction(remove, () => runMutation(REMOVE, { id })))) return;
      toast(t.people.removed(name));
      read().catch(showError);
    },
    { class: "danger small" },
  );
  return h(
    "tr",
    { class: isRemoved(person) ? "past" : null },
    h(
      "th",
      { scope: "row" },
      userText(name),
      isOwn ? chip(t.people.you) : null,
      email ? h("div", { class: "hint" }, userText(email)) : null,
    ),
    cell(1, t.people.roles[role] ?? role),
    cell(
      2,
      stateBadge(state, t.people.states[state]),
      isRemoved(person) ? h("div", { class: "hint" }, relativeTime(person, "removed_at")) : null,
    ),
    cell(3, person.last_seen_at ? relativeTime(person, "last_seen_at") : t.people.never),
    h("td", null, isRemoved(person) ? null : h("div", { class: "row end" }, newLink, edit, remove)),
  );
}

/** Opens the form of a person, or of a new one, and then shows the link of the new one. */
function openForm(person, isOwn = false) {
  const name = formField(
    t.people.name,
    h("input", { type: "text", autocomplete: "off", autofocus: true, dir: "auto", value: person?.name ?? "" }),
    { hint: t.people.nameHint },
  );
  const email = formField(
    t.people.email,
    h("input", { type: "email", autocomplete: "off", value: person?.email ?? "" }),
    { hint: t.people.emailHint },
  );
  const permissions = h("p", { class: "hint", role: "status" });
  const select = h(
    "select",
    { onchange: () => showPermissions() },
    selectOptions(
      ROLES.map((name) => [name, t.people.roles[name]]),
      person?.role ?? "support",
    ),
  );
  const showPermissions = () => replace(permissions, t.people.permissions[select.value]);
  const role = formField(t.people.role, select);
  showPermissions();
  const submit = async (form, close) => {
    const node = { name: name.input.value, role: select.value, email: email.input.value };
    if (person) {
      await runMutation(UPDATE, { id: person.id, node });
      if (isOwn) await showNavigationBar(true);
      return true;
    }
    const { link } = await runMutation(INVITE, { node });
    replace(form, linkView(link, close));
    return undefined;
  };
  return openFormDialog(
    person ? t.people.editTitle(person.name) : t.people.invite,
    person ? t.save : t.people.create,
    [name, role, permissions, email],
    { name, role, email },
    submit,
  );
}

const showLink = (link) => openDialog(t.people.newLink, (close) => linkView(link, close));

const linkView = ({ path, expires_at: expiry, person }, close) =>
  secretView(t.people.copyNow(person.name, formatDateTime(expiry)), t.people.link, `${location.origin}${path}`, close);
