// The explorer: a person writes operations and runs them.

import { ApiError, postOptions, request } from "./api.js";
import { announce } from "./progress.js";
import { debounce, h, replace, setAttribute } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { formatNumber, formatDateTime } from "./format.js";
import { complete, INTROSPECTION, namedType, operationNames, Schema, tokenize, typeText } from "./graphql.js";
import { icon } from "./icons.js";
import { EXPLORER_STORAGE_KEY } from "./navigation-bar.js";
import { t } from "./texts.js";
import {
  button,
  showError,
  copyToClipboard,
  menuButton,
  openDialog,
  selectOptions,
  SuggestionList,
  withBusy,
  pageHeader,
} from "./ui.js";

const MAX_HISTORY = 30;
const MAX_COLOURED_CHARACTERS = 200_000;
const MAX_SUGGESTIONS = 10;
const SAVE_DELAY_MS = 400;
const FILTER_DELAY_MS = 120;
const API_PATH = "/api/v2";

export async function show({ main, url, signal, setTitle }) {
  setTitle(t.nav.explorer);
  const saved = loadState();
  const [, exampleQuery, exampleVariables] = EXAMPLES[0];
  const schema = request(API_PATH, { ...postOptions({ query: INTROSPECTION }), signal }).then(
    ({ data }) => new Schema(data),
  );
  const query = editor({
    label: t.explorer.query,
    value: url.searchParams.get("query") ?? saved.query ?? exampleQuery,
    tokenize,
    rows: 18,
    run,
    getSuggestions: async (text, document) => complete(text, document, await schema),
  });
  const variables = editor({
    label: t.explorer.variables,
    value: url.searchParams.get("variables") ?? saved.variables ?? formatJson(exampleVariables),
    tokenize: tokenizeJson,
    rows: 6,
    run,
  });
  const operation = h("select", { "aria-label": t.explorer.operation, hidden: true });
  const output = h(
    "pre",
    { class: "response", tabindex: "0", "aria-label": t.explorer.response },
    h("span", { class: "hint", dir: "auto" }, t.explorer.noResponse),
  );
  const facts = h("p", { class: "hint", role: "status" });
  const problem = h("p", { class: "problem", role: "alert" });
  const runButton = button([icon("send"), t.explorer.run, h("kbd", null, "Ctrl ↵")], run, { class: "primary" });

  /** Shows the menu of operations if the document has several. */
  const showOperations = () => {
    const names = operationNames(query.input.value);
    const selectedName = operation.value;
    replace(operation, selectOptions(names, selectedName));
    setAttribute(operation, "hidden", names.length < 2);
  };
  const saveLater = debounce(SAVE_DELAY_MS, () =>
    saveState({ query: query.input.value, variables: variables.input.value }),
  );
  for (const { input } of [query, variables])
    input.addEventListener("input", () => {
      saveLater();
      showOperations();
    });
  showOperations();

  /** Returns the body of the request, or null after an error in the variables, which is shown. */
  function readBody() {
    replace(problem);
    try {
      const body = {
        query: query.input.value,
        variables: variables.input.value.trim() ? JSON.parse(variables.input.value) : {},
      };
      if (!operation.hidden && operation.value) body.operationName = operation.value;
      return body;
    } catch (error) {
      replace(problem, icon("warning"), t.explorer.invalidVariables(error.message));
      variables.input.focus();
      return null;
    }
  }

  async function run() {
    const body = readBody();
    if (!body) return;
    const start = performance.now();
    let response;
    try {
      response = await withBusy(runButton, () => request(API_PATH, postOptions(body, { "Regulars-Cost": "1" })));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      response = { errors: error.errors };
    }
    const milliseconds = performance.now() - start;
    const cost = response.extensions?.cost?.requested;
    delete response.extensions?.cost;
    if (response.extensions && !Object.keys(response.extensions).length) delete response.extensions;
    const text = formatJson(response);
    replace(output, text.length > MAX_COLOURED_CHARACTERS ? text : colourTokens(text, tokenizeJson(text)));
    facts.textContent = t.explorer.facts(
      formatNumber(Math.round(milliseconds)),
      cost === undefined ? null : formatNumber(cost),
    );
    announce(
      response.errors ? t.explorer.errors(response.errors.length) : t.explorer.responseArrived,
      Boolean(response.errors),
    );
    const entry = { query: body.query, variables: variables.input.value, at: new Date().toISOString() };
    const others = (loadState().history ?? []).filter(
      (other) => other.query !== entry.query || other.variables !== entry.variables,
    );
    saveState({ history: [entry, ...others].slice(0, MAX_HISTORY) });
  }

  const setOperation = (text, variablesText) => {
    query.setText(text);
    variables.setText(variablesText);
    saveLater();
    showOperations();
    query.input.focus();
  };
  const copyAs = (format) => () => {
    const body = readBody();
    if (body) copyToClipboard(format(body));
  };

  replace(
    main,
    pageHeader(
      t.nav.explorer,
      menu(
        t.explorer.examples,
        "code",
        EXAMPLES.map(([name, text, values]) => [
          t.explorer.names[name],
          () => setOperation(text, Object.keys(values).length ? formatJson(values) : ""),
        ]),
      ),
      button([icon("history"), t.explorer.history], () => openHistory(setOperation)),
      menu(t.explorer.copyAs, "copy", [
        ["curl", copyAs(formatCurl)],
        ["Python", copyAs(formatPython)],
        ["JavaScript", copyAs(formatJavaScript)],
      ]),
    ),
    h(
      "div",
      { class: "explorer", dir: "ltr" },
      h("div", { class: "pane" }, query, variables, problem, h("div", { class: "row" }, runButton, operation)),
      h("div", { class: "pane" }, h("div", { class: "label" }, t.explorer.response), output, facts),
      schemaBrowser(schema),
    ),
  );
  schema.catch(showError);
}

const formatJson = (value) => JSON.stringify(value, null, 2);

/** A button that opens a menu of pairs of a label and a function. */
const menu = (label, name, items) =>
  menuButton(label, name, (close) =>
    items.map(([text, act]) =>
      button(text, () => {
        close();
        act();
      }),
    ),
  );

/** The `query`, `variables` and `history` that the browser stores. */
function loadState() {
  try {
    return JSON.parse(localStorage.getItem(EXPLORER_STORAGE_KEY)) ?? {};
  } catch {
    return {};
  }
}

function saveState(changes) {
  localStorage.setItem(EXPLORER_STORAGE_KEY, JSON.stringify({ ...loadState(), ...changes }));
}

/** An editor with coloured text: a transparent textarea over the same text in colours. */
function editor({ label, value, tokenize: findTokens, rows, run, getSuggestions = null }) {
  const background = h("pre", { "aria-hidden": "true" });
  const input = h("textarea", {
    rows,
    spellcheck: "false",
    autocapitalize: "off",
    autocomplete: "off",
    "aria-label": label,
    value,
    wrap: "off",
  });
  let word = "";
  const list =
    getSuggestions &&
    new SuggestionList(input, ({ label: text, insertText = text }) =>
      insert(insertText, input.selectionStart - word.length, input.selectionStart),
    );
  const element = h(
    "div",
    { class: "editor" },
    h("div", { class: "label" }, label),
    h("div", { class: "code" }, background, input, list?.element),
  );
  const paint = () => replace(background, colourTokens(input.value, findTokens(input.value)), "\n");
  const textBeforeCursor = () => input.value.slice(0, input.selectionStart);

  async function suggest(canBeEmpty = false) {
    if (!list) return;
    const text = textBeforeCursor();
    let suggestions;
    try {
      suggestions = await getSuggestions(text, input.value);
    } catch {
      return; // the editor works without suggestions
    }
    if (document.activeElement !== input || text !== textBeforeCursor()) return;
    ({ word } = suggestions);
    list.show(word || canBeEmpty ? suggestions.options.slice(0, MAX_SUGGESTIONS) : [], 0);
    const lines = text.split("\n");
    const { style } = list.element;
    style.top = `calc(${lines.length} * var(--line) + 0.75rem - ${input.scrollTop}px)`;
    style.left = `min(calc(${lines.at(-1).length}ch + 1rem - ${input.scrollLeft}px), calc(100% - 18rem))`;
  }

  /** Inserts a text as if it were typed, so that it can be undone. */
  function insert(text, start = input.selectionStart, end = input.selectionEnd) {
    input.setSelectionRange(start, end);
    if (!document.execCommand("insertText", false, text)) input.setRangeText(text, start, end, "end");
    paint();
  }

  input.addEventListener("input", () => {
    paint();
    suggest();
  });
  input.addEventListener("scroll", () => {
    background.scrollTop = input.scrollTop;
    background.scrollLeft = input.scrollLeft;
    list?.hide();
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
    else if (event.key === " " && event.ctrlKey) suggest(true);
    else if (!list?.handleKey(event.key)) {
      if (event.key === "Enter") insertLineBreak();
      else if (event.key === "}" && /\n +$/.test(textBeforeCursor())) insert("}", input.selectionStart - 2);
      else return;
    }
    event.preventDefault();
    event.stopPropagation();
  });

  /** Inserts a line break with the indentation of the line, and of the brackets around it. */
  function insertLineBreak() {
    const before = textBeforeCursor();
    const indent = before.split("\n").at(-1).match(/^ */)[0];
    const isAfterOpening = /[{([]\s*$/.test(before);
    const isBeforeClosing = isAfterOpening && /^\s*[})\]]/.test(input.value.slice(input.selectionEnd));
    insert(`\n${indent}${isAfterOpening ? "  " : ""}`);
    if (isBeforeClosing) {
      const cursor = input.selectionStart;
      insert(`\n${indent}`);
      input.setSelectionRange(cursor, cursor);
    }
  }

  element.input = input;
  element.setText = (text) => {
    input.focus();
    insert(text, 0, input.value.length);
    list?.hide();
  };
  paint();
  return element;
}

/** The parts of a text, each of its `tokens` in a colour. */
function colourTokens(text, tokens) {
  const parts = [];
  let end = 0;
  for (const { start, text: token, kind } of tokens) {
    if (start > end) parts.push(text.slice(end, start));
    parts.push(kind === "mark" ? token : h("span", { class: `c-${kind}` }, token));
    end = start + token.length;
  }
  parts.push(text.slice(end));
  return parts;
}

const JSON_TOKEN = /"(?:[^"\\\n]|\\.)*"(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/g;

function tokenizeJson(text) {
  return Array.from(text.matchAll(JSON_TOKEN), ({ 0: token, 1: colon, index: start }) => {
    const kind = colon ? "name" : token[0] === '"' ? "string" : /^[tfn]/.test(token) ? "keyword" : "number";
    return { start, text: token.slice(0, token.length - (colon?.length ?? 0)), kind };
  });
}

function openHistory(setOperation) {
  const entries = loadState().history ?? [];
  return openDialog(
    t.explorer.history,
    (close) =>
      entries.length
        ? h(
            "div",
            null,
            h(
              "ul",
              { class: "history" },
              entries.map(({ query, variables, at }) =>
                h(
                  "li",
                  null,
                  button(
                    [
                      h("code", null, query.replace(/\s+/g, " ").slice(0, 120)),
                      h("span", { class: "hint" }, formatDateTime(at)),
                    ],
                    () => {
                      close();
                      setOperation(query, variables);
                    },
                  ),
                ),
              ),
            ),
            h(
              "div",
              { class: "row end" },
              button(t.explorer.deleteHistory, () => {
                saveState({ history: [] });
                close();
              }),
            ),
          )
        : h("p", { class: "empty" }, t.explorer.noHistory),
    { isWide: true },
  );
}

/** The types of the schema, with a filter. */
function schemaBrowser(schema) {
  const body = h("div", { class: "types" });
  const filter = h("input", {
    type: "text",
    "aria-label": t.explorer.find,
    placeholder: t.explorer.find,
    spellcheck: "false",
  });
  const element = h(
    "section",
    { class: "pane schema", "aria-labelledby": "schema" },
    h("h2", { id: "schema" }, t.explorer.schema),
    filter,
    body,
  );
  schema.then(
    ({ types, roots }) => {
      const allTypes = [...types.values()].filter(
        ({ name }) => !["String", "Int", "Float", "Boolean", "ID"].includes(name),
      );
      const rank = ({ name }) => (name === roots.query ? 0 : name === roots.mutation ? 1 : 2);
      allTypes.sort((left, right) => rank(left) - rank(right) || left.name.localeCompare(right.name));
      const showTypes = () => {
        const text = filter.value.trim().toLowerCase();
        const matches = allTypes.filter((type) => [type, ...fieldsOf(type)].some((item) => nameContains(item, text)));
        replace(
          body,
          matches.map((type) => typeView(type, text)),
        );
      };
      filter.addEventListener("input", debounce(FILTER_DELAY_MS, showTypes));
      body.addEventListener("click", (event) => {
        const name = event.target.closest("button.type")?.dataset.type;
        if (!name) return;
        if (filter.value) {
          filter.value = "";
          showTypes();
        }
        const details = body.querySelector(`details[data-name="${CSS.escape(name)}"]`);
        if (!details) return;
        details.open = true;
        details.firstChild.focus();
        details.scrollIntoView({ block: "nearest" });
      });
      showTypes();
    },
    () => {},
  );
  return element;
}

const fieldsOf = (type) => type.fields ?? type.inputFields ?? [];
const nameContains = ({ name }, text) => name.toLowerCase().includes(text);

/** A type with its fields. Those whose name contains `text`, the filter, are marked. */
function typeView(type, text) {
  const reference = (other) =>
    h("button", { type: "button", class: "type", "data-type": namedType(other) }, typeText(other));
  const view = (field) =>
    h(
      "li",
      { class: text && nameContains(field, text) ? "hit" : null },
      h(
        "code",
        null,
        field.name,
        field.args?.length
          ? [
              "(",
              field.args.map((argument, index) => [
                index ? ", " : "",
                argument.name,
                ": ",
                reference(argument.type),
                argument.defaultValue === null ? null : ` = ${argument.defaultValue}`,
              ]),
              ")",
            ]
          : null,
        field.type ? [": ", reference(field.type), field.defaultValue ? ` = ${field.defaultValue}` : null] : null,
      ),
      field.description ? h("p", { class: "hint" }, field.description) : null,
    );
  return h(
    "details",
    { "data-name": type.name, open: Boolean(text) },
    h("summary", null, h("code", null, type.name), h("span", { class: "hint" }, t.explorer.kinds[type.kind])),
    type.description ? h("p", { class: "hint" }, type.description) : null,
    h("ul", null, [...fieldsOf(type), ...(type.enumValues ?? [])].map(view)),
  );
}

const apiUrl = () => location.origin + API_PATH;

function formatCurl(body) {
  const data = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl -s ${apiUrl()} \\\n  -H "Authorization: Bearer $REGULARS_TOKEN" \\\n  -H 'Content-Type: application/json' \\\n  -d '${data}'`;
}

function formatPython({ query, ...others }) {
  const otherKeys = JSON.stringify(JSON.stringify(others));
  return `import json
import os
import urllib.request

query = ${JSON.stringify(query)}
body = {"query": query, **json.loads(${otherKeys})}
request = urllib.request.Request(
    "${apiUrl()}",
    json.dumps(body).encode(),
    {
        "Authorization": f"Bearer {os.environ['REGULARS_TOKEN']}",
        "Content-Type": "application/json",
    },
)
with urllib.request.urlopen(request) as response:
    print(json.dumps(json.load(response), indent=2))
`;
}

function formatJavaScript(body) {
  return `const response = await fetch("${apiUrl()}", {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.REGULARS_TOKEN}\`,
    "Content-Type": "application/json",
  },
  body: JSON.stringify(${JSON.stringify(body, null, 2).replaceAll("\n", "\n  ")}),
});
console.log(JSON.stringify(await response.json(), null, 2));
`;
}
