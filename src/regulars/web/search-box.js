// The search box: it completes the keys and values of the search language, and marks syntax errors.

import { runQuery } from "./api.js";
import { h, debounce, replace, setAttribute, uniqueId } from "./dom.js";
import { countries } from "./format.js";
import { icon } from "./icons.js";
import { takenAmount } from "./money.js";
import { loadMessages } from "./server-messages.js";
import { findTags } from "./tag-suggestions.js";
import { t } from "./texts.js";
import { iconButton, SuggestionList } from "./ui.js";

const DEBOUNCE_MS = 180;
const MAX_SUGGESTIONS = 8;
let language = null;

function loadLanguage() {
  language ??= runQuery("{ searchLanguage { words keys { name takes compared values } } }").then(async (data) => {
    await loadMessages();
    return data.searchLanguage;
  });
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
 * after Enter. Then `openOnly()` opens the result if it is the only one. `enterList()` moves the focus
 * into the results, and returns whether there are any. The box of a form has a `label`, and Esc does
 * not clear it.
 */
export function searchBox({ text, onSearch, label = null, enterList = () => false, openOnly = () => {} }) {
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
  let suggesting = null; // ends when the suggestions for the text are shown
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
    return onSearch(input.value, true);
  };

  async function suggest() {
    const place = wordAtCursor(input);
    let matches;
    try {
      matches = findSuggestions(await loadLanguage(), place, await findValues(place.word));
    } catch {
      return; // the search works without suggestions
    }
    const isCurrent = document.activeElement === input && wordAtCursor(input).word === place.word;
    if (isCurrent) list.show(matches.slice(0, MAX_SUGGESTIONS));
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
    suggesting = suggest();
  });
  input.addEventListener("focus", suggest);
  input.addEventListener("click", suggest);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (!list.handleKey(event.key)) {
      if (event.key === "ArrowDown") {
        if (!enterList()) return;
      } else {
        if (event.key === "Escape" && input.value && !label) input.value = "";
        else if (event.key !== "Enter") return;
        const searched = input.value;
        Promise.resolve(finish()).then(() => {
          if (event.key === "Enter" && searched && input.value === searched) openOnly();
        });
      }
    }
    event.preventDefault();
    event.stopPropagation();
  });

  element.input = input;
  /** Resolves with whether the person is typing a word for which there are suggestions. */
  element.isCompleting = async () => {
    await suggesting;
    return list.options.length > 0 && wordAtCursor(input).word !== "";
  };
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

/** The key and the value of a word; a word without a colon has no value. */
function splitWord(word) {
  const colon = word.indexOf(":");
  return colon < 0 ? [word, null] : [word.slice(0, colon), word.slice(colon + 1)];
}

/** The values of a key that the search language does not list: of tags and countries, or null. Throws ApiError. */
async function findValues(word) {
  const [name, value] = splitWord(word);
  if (value === null) return null;
  if (name === "tag") {
    const tags = await findTags(value.replace(/^["']|["']$/g, ""), MAX_SUGGESTIONS + 1);
    return tags.map((tag) => ({ text: asValue(tag.name), hint: tag.hint }));
  }
  if (name !== "country") return null;
  const typed = fold(value);
  if (countries().some(([code]) => code === value)) return [];
  return countries()
    .filter(([code, label]) => [code, label].some((text) => fold(text).startsWith(typed)))
    .map(([code, label]) => ({ text: code, hint: label }));
}

/** The suggestions for a word; `found` are the values of its key that the language does not list. */
function findSuggestions({ keys, words }, { word, start }, found) {
  const [name, value] = splitWord(word);
  if (value === null) {
    const matches = keys
      .filter((key) => key.name.startsWith(name))
      .map((key) => {
        const text = key.name.endsWith(".") ? key.name : `${key.name}:`;
        return { text, label: text, hint: t.search.takes(takenAmount(key), key.compared), start };
      });
    const times = words.filter((text) => name && text.startsWith(name) && text !== name);
    return [...times.map((text) => ({ text, label: text, hint: t.search.created, start })), ...matches];
  }
  const key = keys.find((other) => other.name === name);
  const typed = fold(value);
  const listed = (key?.values ?? [])
    .filter((text) => fold(text).startsWith(typed))
    .map((text) => ({ text, hint: key.compared ? t.search.example : "" }));
  return (found ?? listed)
    .filter(({ text }) => text !== value)
    .map(({ text, hint }) => ({ text, hint, label: `${name}:${text}`, start: start + name.length + 1 }));
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
    replace(problem, icon("warning"), h("span", null, error.message));
    return;
  }
  const wrong = text.slice(position).match(/^("[^"]*"?|'[^']*'?|[^\s()]+|.)?/)[0];
  const end = position + wrong.length;
  const corrected =
    suggestion && wrong ? text.slice(0, position) + wrong.replace(/^[^:\s]+/, suggestion) + text.slice(end) : null;
  replace(
    problem,
    icon("warning"),
    h(
      "span",
      null,
      h("code", { class: "where" }, text.slice(0, position), h("mark", null, wrong || "\u00a0"), text.slice(end)),
      h("span", null, error.message),
      corrected
        ? h(
            "button",
            { type: "button", class: "plain", onclick: () => correct(corrected) },
            t.search.correct(corrected),
          )
        : null,
    ),
  );
}
