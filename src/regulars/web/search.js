// The search box: it speaks the search language, completes its keys and values, and shows what is
// wrong where it is.

import { ask } from "./api.js";
import { h, later, replace, set, unique } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { iconButton } from "./ui.js";

const TYPING_MS = 180;
const MOST = 8;
let language = null;

function told() {
  language ??= ask("{ searchLanguage { words keys { name takes compared values } } }").then((found) => found.searchLanguage);
  language.catch(() => { language = null; });
  return language;
}

/**
 * A search box. `search(text, done)` is called as somebody types, and with `done` once they have
 * finished; `tags()` answers tags that are known by now.
 */
export function searchBox({ text, search, tags }) {
  const list = h("ul", { class: "options", role: "listbox", id: unique("options"), "aria-label": t.search.options, hidden: true });
  const problem = h("p", { class: "problem", id: unique("problem") });
  const input = h("input", {
    type: "text", role: "combobox", name: "q", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    enterkeyhint: "search", placeholder: t.search.placeholder, "aria-label": t.search.label, "aria-expanded": "false",
    "aria-controls": list.id, "aria-autocomplete": "list", "aria-describedby": problem.id, value: text,
  });
  const clear = iconButton("close", t.search.clear, () => { input.value = ""; finish(); input.focus(); }, { hidden: !text });
  const made = h("div", { class: "search", role: "search" },
    h("div", { class: "search-line" }, icon("search"), input, clear, list), problem);
  let chosen = -1;
  let offered = [];

  const typing = later(TYPING_MS, () => search(input.value, false));
  const finish = () => { typing.cancel(); hide(); set(clear, "hidden", !input.value); search(input.value, true); };

  function hide() {
    offered = [];
    chosen = -1;
    set(list, "hidden", true);
    set(input, "aria-expanded", "false");
    set(input, "aria-activedescendant", null);
  }

  async function offer() {
    let found;
    try {
      found = options(await told(), before(input), tags());
    } catch {
      return;  // it is a help, and no more: the search goes on without it
    }
    if (document.activeElement !== input) return;
    offered = found.slice(0, MOST);
    chosen = -1;
    replace(list, offered.map((one, place) => h("li", {
      role: "option", id: `${list.id}-${place}`, "aria-selected": "false",
      onpointerdown: (event) => { event.preventDefault(); take(place); },
    }, h("code", null, one.shown), h("span", { class: "hint" }, one.hint))));
    set(list, "hidden", !offered.length);
    set(input, "aria-expanded", String(offered.length > 0));
    set(input, "aria-activedescendant", null);
  }

  function move(step) {
    const rows = list.children;
    rows[chosen]?.setAttribute("aria-selected", "false");
    chosen = (chosen + step + (step < 0 && chosen < 0 ? 1 : 0) + rows.length) % rows.length;
    rows[chosen].setAttribute("aria-selected", "true");
    rows[chosen].scrollIntoView({ block: "nearest" });
    set(input, "aria-activedescendant", rows[chosen].id);
  }

  function take(place) {
    const { start, text: put } = offered[place];
    const end = input.selectionStart;
    input.setRangeText(put, start, end, "end");
    hide();
    set(clear, "hidden", !input.value);
    typing();
    if (put.endsWith(":") || put.endsWith(".")) offer();
  }

  input.addEventListener("input", () => { set(clear, "hidden", !input.value); typing(); offer(); });
  input.addEventListener("focus", offer);
  input.addEventListener("click", offer);
  input.addEventListener("blur", hide);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const open = offered.length > 0;
    if (event.key === "ArrowDown" && open) move(1);
    else if (event.key === "ArrowUp" && open) move(-1);
    else if ((event.key === "Tab" || event.key === "Enter") && open && chosen >= 0) take(chosen);
    else if (event.key === "Enter") finish();
    else if (event.key === "Escape" && open) hide();
    else if (event.key === "Escape" && input.value) { input.value = ""; finish(); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  made.input = input;
  made.showProblem = (error) => showProblem(input, problem, error, (text) => { input.value = text; finish(); });
  return made;
}

/** The word that the cursor is at the end of, and where it begins. */
function before(input) {
  const text = input.value.slice(0, input.selectionStart);
  const word = text.match(/(?:[^\s()"']|"[^"]*"?|'[^']*'?)*$/)[0];
  return { word: word.replace(/^-/, ""), start: text.length - word.replace(/^-/, "").length };
}

/** What may stand where the word is. */
function options({ keys, words }, { word, start }, tags) {
  const [name, value] = word.includes(":") ? [word.slice(0, word.indexOf(":")), word.slice(word.indexOf(":") + 1)] : [word, null];
  if (value === null) {
    const found = keys.filter((key) => key.name.startsWith(name)).map((key) => {
      const text = key.name.endsWith(".") ? key.name : `${key.name}:`;
      return { text, shown: text, hint: t.search.takes(key.takes, key.compared), start };
    });
    const bare = words.filter((one) => name && one.startsWith(name) && one !== name);
    return [...bare.map((one) => ({ text: one, shown: one, hint: t.search.created, start })), ...found];
  }
  const key = keys.find((one) => one.name === name);
  const known = name === "tag" ? tags.map((tag) => (/[\s()"':*\\]/.test(tag) ? `"${tag.replace(/["\\]/g, "\\$&")}"` : tag)) : key?.values ?? [];
  const typed = value.toLowerCase().replace(/^"/, "");
  return known
    .filter((one) => one.toLowerCase().replace(/^"/, "").startsWith(typed) && one !== value)
    .map((one) => ({ text: one, shown: `${name}:${one}`, hint: key?.compared ? t.search.example : "", start: start + name.length + 1 }));
}

/** Shows an error of the search language at its place in the text, and what would be right. */
function showProblem(input, place, error, mend) {
  set(input, "aria-invalid", error ? "true" : null);
  if (!error) {
    replace(place);
    return;
  }
  const { position, suggestion } = error.extensions;
  const text = input.value;
  if (position === undefined || position > text.length) {
    replace(place, icon("warning"), error.message);
    return;
  }
  const wrong = text.slice(position).match(/^("[^"]*"?|'[^']*'?|[^\s()]+|.)?/)[0];
  const end = position + wrong.length;
  const mended = suggestion && wrong ? text.slice(0, position) + wrong.replace(/^[^:\s]+/, suggestion) + text.slice(end) : null;
  replace(place, icon("warning"),
    h("code", { class: "where" }, text.slice(0, position), h("mark", null, wrong || "\u00a0"), text.slice(end)),
    h("span", null, error.message),
    mended ? h("button", { type: "button", class: "plain", onclick: () => mend(mended) }, t.search.mend(mended)) : null);
}
