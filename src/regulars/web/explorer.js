// The explorer: operations, written and run against the live API.

import { ApiError, request } from "./api.js";
import { announce } from "./progress.js";
import { debounce, h, replace, setAttribute, uniqueId } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { formatNumber, formatDateTime } from "./format.js";
import { completions, INTROSPECTION, namedType, operations, Schema, tokenize, typeText } from "./graphql.js";
import { icon } from "./icons.js";
import { EXPLORER_STORAGE_KEY } from "./navigation-bar.js";
import { t } from "./texts.js";
import { button, showError, copyToClipboard, openDialog, withBusy, pageHeader } from "./ui.js";

const KEPT = 30;
const MOST_COLOURED = 200_000;
const OPTIONS = 10;

export async function show({ main, url, signal, setTitle }) {
  setTitle(t.nav.explorer);
  const kept = stored();
  const [, first, values] = EXAMPLES[0];
  const schema = request("/api/v2", { ...postOptions(INTROSPECTION, {}), signal }).then((answer) => new Schema(answer.data));
  const query = editor({ label: t.explorer.query, value: url.searchParams.get("query") ?? kept.query ?? first, colour: graphqlColours, rows: 18, run: () => run(), complete: async (text, whole) => completions(text, await schema, whole) });
  const variables = editor({ label: t.explorer.variables, value: url.searchParams.get("variables") ?? kept.variables ?? JSON.stringify(values, null, 2), colour: jsonColours, rows: 6, run: () => run() });
  const operation = h("select", { "aria-label": t.explorer.operation, hidden: true });
  const answer = h("pre", { class: "answer", tabindex: "0", "aria-label": t.explorer.answer }, h("span", { class: "hint" }, t.explorer.nothing));
  const facts = h("p", { class: "hint", role: "status" });
  const problem = h("p", { class: "problem", role: "alert" });
  const runButton = button([icon("send"), t.explorer.run, h("kbd", null, "Ctrl ↵")], () => run(), { class: "primary" });

  const offerOperations = () => {
    const found = operations(query.input.value).filter((name) => name !== null);
    const chosen = operation.value;
    replace(operation, found.map((name) => h("option", { value: name, selected: name === chosen }, name)));
    setAttribute(operation, "hidden", found.length < 2);
  };
  const keep = debounce(400, () => { store({ ...stored(), query: query.input.value, variables: variables.input.value }); });
  for (const one of [query, variables]) one.input.addEventListener("input", () => { keep(); offerOperations(); });
  offerOperations();

  /** The request that is typed; null, and what is wrong, where the variables are no JSON. */
  function typed() {
    replace(problem);
    try {
      const given = variables.input.value.trim() ? JSON.parse(variables.input.value) : {};
      const body = { query: query.input.value, variables: given };
      if (!operation.hidden && operation.value) body.operationName = operation.value;
      return body;
    } catch (error) {
      replace(problem, icon("warning"), t.explorer.noJSON(error.message));
      variables.input.focus();
      return null;
    }
  }

  async function run() {
    const body = typed();
    if (!body) return;
    const began = performance.now();
    let told;
    try {
      told = await withBusy(runButton, () => request("/api/v2", { method: "POST", headers: { "Content-Type": "application/json", "Regulars-Cost": "1" }, body: JSON.stringify(body) }));
    } catch (failure) {
      if (!(failure instanceof ApiError)) throw failure;
      told = { errors: failure.errors };
    }
    const took = performance.now() - began;
    const cost = told.extensions?.cost?.requested;
    delete told.extensions?.cost;
    if (told.extensions && !Object.keys(told.extensions).length) delete told.extensions;
    const text = JSON.stringify(told, null, 2);
    replace(answer, text.length > MOST_COLOURED ? text : coloured(text, jsonColours(text)));
    facts.textContent = t.explorer.facts(formatNumber(Math.round(took)), cost === undefined ? null : formatNumber(cost));
    announce(told.errors ? t.explorer.errors(told.errors.length) : t.explorer.answered, Boolean(told.errors));
    const now = { query: body.query, variables: variables.input.value, at: new Date().toISOString() };
    const before = (stored().history ?? []).filter((one) => one.query !== now.query || one.variables !== now.variables);
    store({ ...stored(), history: [now, ...before].slice(0, KEPT) });
  }

  const put = (text, given) => {
    query.put(text);
    variables.put(given);
    keep();
    offerOperations();
    query.input.focus();
  };
  const copyAs = (made) => () => {
    const body = typed();
    if (body) copyToClipboard(made(body));
  };
  const menu = (label, name, items) => {
    const made = h("details", { class: "menu-button" }, h("summary", { class: "button" }, icon(name), label, icon("down")),
      h("div", { class: "menu-list" }, items.map(([text, act]) => button(text, () => { made.open = false; act(); }))));
    made.addEventListener("focusout", (event) => { if (!made.contains(event.relatedTarget)) made.open = false; });
    made.addEventListener("keydown", (event) => { if (event.key === "Escape") { made.open = false; made.firstChild.focus(); } });
    return made;
  };

  replace(main,
    pageHeader(t.nav.explorer,
      menu(t.explorer.examples, "code", EXAMPLES.map(([name, text, given]) => [t.explorer.names[name], () => put(text, Object.keys(given).length ? JSON.stringify(given, null, 2) : "")])),
      button([icon("history"), t.explorer.history], () => history(put)),
      menu(t.explorer.copyAs, "copy", [["curl", copyAs(asCurl)], ["Python", copyAs(asPython)], ["JavaScript", copyAs(asJavaScript)]])),
    h("div", { class: "explorer" },
      h("div", { class: "pane" }, query, variables, problem, h("div", { class: "row" }, runButton, operation)),
      h("div", { class: "pane" }, h("div", { class: "label" }, t.explorer.answer), answer, facts),
      browser(schema)));
  schema.catch((failure) => showError(failure));
}

const postOptions = (query, variables) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ query, variables }) });

function stored() {
  try {
    return JSON.parse(localStorage.getItem(EXPLORER_STORAGE_KEY)) ?? {};
  } catch {
    return {};
  }
}

function store(value) {
  localStorage.setItem(EXPLORER_STORAGE_KEY, JSON.stringify(value));
}

/** An editor of a text with colours: a plain textarea over the same text, coloured. */
function editor({ label, value, colour, rows, run, complete = null }) {
  const behind = h("pre", { "aria-hidden": "true" });
  const list = h("ul", { class: "options", role: "listbox", id: uniqueId("options"), "aria-label": t.search.options, hidden: true });
  const input = h("textarea", { rows, spellcheck: "false", autocapitalize: "off", autocomplete: "off", "aria-label": label, value, wrap: "off" });
  if (complete) for (const [name, given] of [["aria-autocomplete", "list"], ["aria-controls", list.id]]) setAttribute(input, name, given);
  const made = h("div", { class: "editor" }, h("div", { class: "label" }, label), h("div", { class: "code" }, behind, input, list));
  const paint = () => replace(behind, coloured(input.value, colour(input.value)), "\n");
  let offered = null;
  let chosen = 0;

  function hide() {
    offered = null;
    setAttribute(list, "hidden", true);
    setAttribute(input, "aria-activedescendant", null);
  }

  async function offer(forced = false) {
    if (!complete) return;
    const text = input.value.slice(0, input.selectionStart);
    let found;
    try {
      found = await complete(text, input.value);
    } catch {
      return;  // a help, and no more
    }
    if (document.activeElement !== input || text !== input.value.slice(0, input.selectionStart)) return;
    if (!found.found.length || (!found.word && !forced)) {
      hide();
      return;
    }
    offered = { word: found.word, found: found.found.slice(0, OPTIONS) };
    chosen = 0;
    replace(list, offered.found.map((one, place) => h("li", {
      role: "option", id: `${list.id}-${place}`, "aria-selected": String(place === 0),
      onpointerdown: (event) => { event.preventDefault(); chosen = place; take(); },
    }, h("code", null, one.text), h("span", { class: "hint" }, one.hint), one.description ? h("span", { class: "description" }, one.description) : null)));
    setAttribute(list, "hidden", false);
    setAttribute(input, "aria-activedescendant", `${list.id}-0`);
    const lines = text.split("\n");
    list.style.top = `calc(${lines.length} * var(--line) + 0.75rem - ${input.scrollTop}px)`;
    list.style.left = `min(calc(${lines.at(-1).length}ch + 1rem - ${input.scrollLeft}px), calc(100% - 18rem))`;
  }

  function move(step) {
    list.children[chosen].setAttribute("aria-selected", "false");
    chosen = (chosen + step + offered.found.length) % offered.found.length;
    list.children[chosen].setAttribute("aria-selected", "true");
    list.children[chosen].scrollIntoView({ block: "nearest" });
    setAttribute(input, "aria-activedescendant", list.children[chosen].id);
  }

  function take() {
    const one = offered.found[chosen];
    const end = input.selectionStart;
    insert(one.put ?? one.text, end - offered.word.length, end);
    hide();
  }

  /** Types a text, so that it can be undone. */
  function insert(text, start = input.selectionStart, end = input.selectionEnd) {
    input.setSelectionRange(start, end);
    if (!document.execCommand("insertText", false, text)) input.setRangeText(text, start, end, "end");
    paint();
  }

  input.addEventListener("input", () => { paint(); offer(); });
  input.addEventListener("scroll", () => { behind.scrollTop = input.scrollTop; behind.scrollLeft = input.scrollLeft; hide(); });
  input.addEventListener("blur", hide);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
    else if (event.key === " " && event.ctrlKey) offer(true);
    else if (offered && event.key === "ArrowDown") move(1);
    else if (offered && event.key === "ArrowUp") move(-1);
    else if (offered && (event.key === "Enter" || event.key === "Tab")) take();
    else if (offered && event.key === "Escape") hide();
    else if (event.key === "Enter") newLine();
    else if (event.key === "}" && /\n +$/.test(input.value.slice(0, input.selectionStart))) insert("}", input.selectionStart - 2);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function newLine() {
    const before = input.value.slice(0, input.selectionStart);
    const indent = before.split("\n").at(-1).match(/^ */)[0];
    const opens = /[{([]\s*$/.test(before);
    const closes = opens && /^\s*[})\]]/.test(input.value.slice(input.selectionEnd));
    insert(`\n${indent}${opens ? "  " : ""}`);
    if (closes) {
      const here = input.selectionStart;
      insert(`\n${indent}`);
      input.setSelectionRange(here, here);
    }
  }

  made.input = input;
  made.put = (text) => {
    input.focus();
    insert(text, 0, input.value.length);
    hide();
  };
  paint();
  return made;
}

/** A text, in pieces: `spans` are its coloured parts, in order. */
function coloured(text, spans) {
  const made = [];
  let end = 0;
  for (const { start, text: part, kind } of spans) {
    if (start > end) made.push(text.slice(end, start));
    made.push(kind === "mark" ? part : h("span", { class: `c-${kind}` }, part));
    end = start + part.length;
  }
  made.push(text.slice(end));
  return made;
}

const graphqlColours = (text) => tokenize(text);

const JSON_TOKEN = /"(?:[^"\\\n]|\\.)*"(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/g;

function jsonColours(text) {
  return Array.from(text.matchAll(JSON_TOKEN), (found) => {
    const kind = found[1] ? "name" : found[0][0] === '"' ? "string" : /^[tfn]/.test(found[0]) ? "keyword" : "number";
    return { start: found.index, text: found[0].slice(0, found[0].length - (found[1]?.length ?? 0)), kind };
  });
}

function history(put) {
  const all = stored().history ?? [];
  return openDialog(t.explorer.history, (close) => (all.length
    ? h("div", null,
      h("ul", { class: "history" }, all.map((one) => h("li", null, button([h("code", null, one.query.replace(/\s+/g, " ").slice(0, 120)), h("span", { class: "hint" }, formatDateTime(one.at))], () => { close(); put(one.query, one.variables); })))),
      h("div", { class: "row end" }, button(t.explorer.forget, () => { store({ ...stored(), history: [] }); close(); })))
    : h("p", { class: "empty" }, t.explorer.noHistory)), { wide: true });
}

/** The schema, to be looked through. */
function browser(schema) {
  const body = h("div", { class: "types" });
  const filter = h("input", { type: "text", "aria-label": t.explorer.find, placeholder: t.explorer.find, spellcheck: "false" });
  const made = h("section", { class: "pane schema", "aria-labelledby": "schema" }, h("h2", { id: "schema" }, t.explorer.schema), filter, body);
  schema.then((found) => {
    const list = () => {
      const wanted = filter.value.trim().toLowerCase();
      const types = [...found.types.values()].filter((type) => !["String", "Int", "Float", "Boolean", "ID"].includes(type.name));
      const hit = types.filter((type) => !wanted || type.name.toLowerCase().includes(wanted) || (type.fields ?? type.inputFields ?? []).some((one) => one.name.toLowerCase().includes(wanted)));
      const rank = ({ name }) => (name === found.roots.query ? 0 : name === found.roots.mutation ? 1 : 2);
      const sorted = hit.toSorted((one, two) => rank(one) - rank(two) || one.name.localeCompare(two.name));
      replace(body, sorted.map((type) => typeView(type, wanted)));
    };
    filter.addEventListener("input", debounce(120, list));
    body.addEventListener("click", (event) => {
      const name = event.target.closest("button.type")?.dataset.type;
      if (!name) return;
      if (filter.value) { filter.value = ""; list(); }
      const there = body.querySelector(`details[data-name="${CSS.escape(name)}"]`);
      if (!there) return;
      there.open = true;
      there.firstChild.focus();
      there.scrollIntoView({ block: "nearest" });
    });
    list();
  }, () => {});
  return made;
}

function typeView(type, wanted) {
  const rows = type.fields ?? type.inputFields ?? [];
  const reference = (one) => h("button", { type: "button", class: "type", "data-type": namedType(one) }, typeText(one));
  const view = (one) => h("li", { class: wanted && one.name.toLowerCase().includes(wanted) ? "hit" : null },
    h("code", null, one.name,
      one.args?.length ? ["(", one.args.map((argument, place) => [place ? ", " : "", argument.name, ": ", reference(argument.type), argument.defaultValue === null ? null : ` = ${argument.defaultValue}`]), ")"] : null,
      one.type ? [": ", reference(one.type), one.defaultValue ? ` = ${one.defaultValue}` : null] : null),
    one.description ? h("p", { class: "hint" }, one.description) : null);
  return h("details", { "data-name": type.name, open: Boolean(wanted) },
    h("summary", null, h("code", null, type.name), h("span", { class: "hint" }, t.explorer.kinds[type.kind])),
    type.description ? h("p", { class: "hint" }, type.description) : null,
    h("ul", null, [...rows, ...(type.enumValues ?? [])].map(view)));
}

const address = () => `${location.origin}/api/v2`;

function asCurl(body) {
  const quoted = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl -s ${address()} \\\n  -H "Authorization: Bearer $REGULARS_TOKEN" \\\n  -H 'Content-Type: application/json' \\\n  -d '${quoted}'`;
}

function asPython({ query, ...others }) {
  const rest = JSON.stringify(JSON.stringify(others));
  return `import json
import os
import urllib.request

query = ${JSON.stringify(query)}
body = {"query": query, **json.loads(${rest})}
request = urllib.request.Request(
    "${address()}",
    json.dumps(body).encode(),
    {
        "Authorization": f"Bearer {os.environ['REGULARS_TOKEN']}",
        "Content-Type": "application/json",
    },
)
with urllib.request.urlopen(request) as answer:
    print(json.dumps(json.load(answer), indent=2))
`;
}

function asJavaScript(body) {
  return `const answer = await fetch("${address()}", {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.REGULARS_TOKEN}\`,
    "Content-Type": "application/json",
  },
  body: JSON.stringify(${JSON.stringify(body, null, 2).replaceAll("\n", "\n  ")}),
});
console.log(JSON.stringify(await answer.json(), null, 2));
`;
}
