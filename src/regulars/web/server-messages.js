// The messages of the server in the language of the pages.

import { t } from "./texts.js";

/** Whether the texts of the server are in the language of the pages. */
export const isServerLanguage = document.documentElement.lang === "en";

/** Loads the translations, which are with the texts of the other pages. */
export const loadMessages = () =>
  isServerLanguage
    ? null
    : import("./page-texts.js").then(
        ({ pageTexts }) => pageTexts,
        () => null, // the messages stay in English
      );

const SENTENCE_END = /(?<=[.?]) (?=[A-Z\u0060'"])/;
const PLACEHOLDER = /\{\d\}/;
// A value in parentheses names a field, and is translated, too.
const VALUE = /(\()?\{(\d)\}/g;
/** Pairs of an expression for a sentence of the server and its translation. @type {[RegExp, string][]} */
let sentences = null;

/** A message for people: translated, and with quotation marks instead of the backticks around values. */
export const readableMessage = (message) =>
  translateMessage(message).replace(/\u0060([^\u0060]*)\u0060/g, (_, text) => t.quoted(text));

/** A message in the language of the pages. It stays as it is if one of its sentences has no translation. */
export function translateMessage(message) {
  const translated = message.split(SENTENCE_END).map(translateSentence);
  return translated.includes(null) ? message : translated.join(" ");
}

function translateSentence(sentence) {
  if (!t.serverMessages) return null; // not loaded
  sentences ??= t.serverMessages.map(([text, translation]) => [toExpression(text), translation]);
  for (const [expression, translation] of sentences) {
    const match = sentence.match(expression);
    if (!match) continue;
    return translation.replace(VALUE, (_, open = "", number) =>
      open ? open + (translateSentence(match[number]) ?? match[number]) : match[number],
    );
  }
  return null;
}

const toExpression = (text) => {
  const parts = text.split(PLACEHOLDER).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("(.+)")}$`, "s");
};
