// The search box: it completes the keys and values of the search language, and marks syntax errors.

import { runQuery } from "./api.js";
import { h, debounce, replace, setAttribute, uniqueId } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { iconButton, SuggestionList } from "./ui.js";

const DEBOUNCE_MS = 180;
const MAX_SUGGESTIONS = 8;
let language = null;

function loadLanguage() {
  language ??= runQuery("{ searchLanguage { words keys { name takes compared values } } }").then(
    (data) => data.searchLanguage,
  );
  language.catch(() => {
    language = null;
  });
  return language;
}

/** Discards the names of segments to suggest, because one was saved or deleted. */
export function resetSuggestions() {
  language = null;
}

/** A text as a value of the search language, in quotes if it needs them. */
export const asValue = (text) => (/[\s()"':*<>=\\-]/.test(text) ? `"${text.replace(/["\\]/g, "\\$&")}"` : text);

/** A text without accents, in lower case and without a quote before it. */
const fold = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replace(/^["']/, "");

/**
 * A search box. `onSearch(text, isComplete)` is called while the person types, and with `isComplete`
 * after Enter; `getTags()` returns the tags to suggest. That of a form has a `label`, and Esc does
 * not clear it.
 */
export function searchBox({ text, onSearch, getTags, label = null }) {
  const problem = h("p", { class: "problem", id: uniqueId("problem") });
  const input = h("input", {
    type: "text",
    role: "combobox",
    name: "q",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    enterkeyhint: "search",
    placeholder: t.search.placeholder,
    "aria-label": label ?? t.search.label,
    "aria-expanded": "false",
    "aria-describedby": problem.id,
    value: text,
  });
  const list = new SuggestionList(input, accept);
  const clear = iconButton(
    "close",
    t.search.clear,
    () => {
      input.value = "";
      finish();
      input.focus();
    },
    { hidden: !text },
  );
  const element = h(
    "div",
    { class: "search", role: label ? "group" : "search" },
    h("div", { class: "search-line" }, icon("search"), input, clear, list.element),
    problem,
  );

  const searchLater = debounce(DEBOUNCE_MS, () => onSearch(input.value, false));
  const finish = () => {
    searchLater.cancel();
    list.hide();
    setAttribute(clear, "hidden", !input.value);
    onSearch(input.value, true);
  };

  async function suggest() {
    let matches;
    try {
      matches = findSuggestions(await loadLanguage(), wordAtCursor(input), getTags());
    } catch {
      return; // the search works without suggestions
    }
    if (document.activeElement === input) list.show(matches.slice(0, MAX_SUGGESTIONS));
  }

  function accept({ start, text: completion }) {
    input.setRangeText(completion, start, input.selectionStart, "end");
    setAttribute(clear, "hidden", !input.value);
    searchLater();
    if (/[:.]$/.test(completion)) suggest();
  }

  input.addEventListener("input", () => {
    setAttribute(clear, "hidden", !input.value);
    searchLater();
    suggest();
  });
  input.addEventListener("focus", suggest);
  input.addEventListener("click", suggest);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (!list.handleKey(event.key)) {
      if (event.key === "Escape" && input.value && !label) input.value = "";
      else if (event.key !== "Enter") return;
      finish();
    }
    event.preventDefault();
    event.stopPropagation();
  });

  element.input = input;
  element.setError = (error) =>
    showSyntaxError(input, problem, error, (corrected) => {
      input.value = corrected;
      finish();
    });
  return element;
}

// The last term of a text: a key or none, and a value, which can be in quotes.
const LAST_TERM =
  /(?:^|[\s()])-?((?:[^\s()"':][^\s():]*:(?:[<>]=?)?)?(?:"(?:\\.|[^"\\])*(?:"|\\?$)|'(?:\\.|[^'\\])*(?:'|\\?$)|[^\s()"'][^\s()]*|))$/;

/** The word before the cursor, and where it begins. */
function wordAtCursor(input) {
  const text = input.value.slice(0, input.selectionStart);
  const word = text.match(LAST_TERM)?.[1] ?? "";
  return { word, start: text.length - word.length };
}

/** The suggestions for a word. */
function findSuggestions({ keys, words }, { word, start }, tags) {
  const [name, value] = word.includes(":")
    ? [word.slice(0, word.indexOf(":")), word.slice(word.indexOf(":") + 1)]
    : [word, null];
  if (value === null) {
    const matches = keys
      .filter((key) => key.name.startsWith(name))
      .map((key) => {
        const text = key.name.endsWith(".") ? key.name : `${key.name}:`;
        return { text, label: text, hint: t.search.takes(key.takes, key.compared), start };
      });
    const times = words.filter((text) => name && text.startsWith(name) && text !== name);
    return [...times.map((text) => ({ text, label: text, hint: t.search.created, start })), ...matches];
  }
  const key = keys.find((other) => other.name === name);
  const values = name === "tag" ? tags.map(asValue) : (key?.values ?? []);
  const typed = fold(value);
  return values
    .filter((text) => fold(text).startsWith(typed) && text !== value)
    .map((text) => ({
      text,
      label: `${name}:${text}`,
      hint: key?.compared ? t.search.example : "",
      start: start + name.length + 1,
    }));
}

/** Marks a syntax error in the text, and offers a correction. */
function showSyntaxError(input, problem, error, correct) {
  setAttribute(input, "aria-invalid", error ? "true" : null);
  if (!error) {
    replace(problem);
    return;
  }
  const { position, suggestion } = error.extensions;
  const text = input.value;
  if (position === undefined || position > text.length) {
    replace(problem, icon("warning"), error.message);
    return;
  }
  const wrong = text.slice(position).match(/^("[^"]*"?|'[^']*'?|[^\s()]+|.)?/)[0];
  const end = position + wrong.length;
  const corrected =
    suggestion && wrong ? text.slice(0, position) + wrong.replace(/^[^:\s]+/, suggestion) + text.slice(end) : null;
  replace(
    problem,
    icon("warning"),
    h("code", { class: "where" }, text.slice(0, position), h("mark", null, wrong || "\u00a0"), text.slice(end)),
    h("span", null, error.message),
    corrected
      ? h("button", { type: "button", class: "plain", onclick: () => correct(corrected) }, t.search.correct(corrected))
      : null,
  );
}
