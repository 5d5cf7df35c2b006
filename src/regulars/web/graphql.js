// What of GraphQL the explorer knows: the words of a document, and what may stand at a place in it.

const TOKEN = /"""(?:[^"\\]|\\.|"(?!""))*(?:"""|$)|"(?:[^"\\\n]|\\.)*(?:"|$)|#[^\n]*|\.\.\.|\$?[A-Za-z_]\w*|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|@[A-Za-z_]?\w*|[{}()[\]:=!|&]/g;

export const INTROSPECTION = `query Introspection { __schema { queryType { name } mutationType { name }
  directives { name description args { ...Value } }
  types { kind name description
    fields { name description args { ...Value } type { ...Type } }
    inputFields { ...Value } enumValues { name description } possibleTypes { name } interfaces { name } } } }
fragment Value on __InputValue { name description defaultValue type { ...Type } }
fragment Type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }`;

/** The schema, by the names of its types. */
export class Schema {
  constructor({ __schema: told }) {
    this.types = new Map(told.types.filter(({ name }) => !name.startsWith("__")).map((type) => [type.name, type]));
    this.roots = { query: told.queryType?.name, mutation: told.mutationType?.name };
    this.directives = told.directives;
  }

  type(name) {
    return this.types.get(name) ?? null;
  }
}

/** A type as it is written: `[Customer!]!`. */
export function typeText(type) {
  if (type.kind === "NON_NULL") return `${typeText(type.ofType)}!`;
  if (type.kind === "LIST") return `[${typeText(type.ofType)}]`;
  return type.name;
}

/** The name of a type, whatever stands around it. */
export const namedType = (type) => (type.ofType ? namedType(type.ofType) : type.name);

/** The words of a document, each with its place and its kind. */
export function tokenize(text) {
  return Array.from(text.matchAll(TOKEN), (found) => {
    const kind = kindOf(found[0]);
    const argument = kind === "keyword" && /^\s*:/.test(text.slice(found.index + found[0].length, found.index + found[0].length + 9));
    return { text: found[0], start: found.index, kind: argument ? "name" : kind };
  });
}

function kindOf(text) {
  if (text[0] === "#") return "comment";
  if (text[0] === '"') return "string";
  if (text[0] === "$") return "variable";
  if (text[0] === "@") return "directive";
  if (/^-?\d/.test(text)) return "number";
  if (/^[A-Za-z_]/.test(text)) return ["query", "mutation", "fragment", "on", "true", "false", "null"].includes(text) ? "keyword" : "name";
  return "mark";
}

/** The names of a document's operations; null for one without. */
export function operations(text) {
  const all = tokenize(text).filter(({ kind }) => kind !== "comment");
  const found = [];
  let depth = 0;
  all.forEach((word, place) => {
    if (depth === 0 && ["query", "mutation"].includes(word.text)) found.push(all[place + 1]?.kind === "name" ? all[place + 1].text : null);
    if ("{([".includes(word.text)) depth += 1;
    if ("})]".includes(word.text)) depth -= 1;
  });
  return found;
}

/**
 * What may stand at the end of a text: a list of `{ text, hint, description }`; `word` is the
 * beginning of it that is there already.
 */
export function completions(text, schema, whole) {
  const all = tokenize(text).filter(({ kind }) => kind !== "comment");
  const inComment = /#[^\n]*$/.test(text.split("\n").at(-1)) && tokenize(text).at(-1)?.kind === "comment";
  const last = all.at(-1);
  if (inComment || (last?.kind === "string" && !/^".*"$/s.test(last.text))) return { word: "", found: [] };
  const begun = last && last.start + last.text.length === text.length && /^[$@]?\w/.test(last.text) ? last.text : "";
  const place = walk(begun ? all.slice(0, -1) : all, schema);
  const found = offers(place, schema, whole).filter((one) => one.text.toLowerCase().startsWith(begun.toLowerCase()) && one.text !== begun);
  return { word: begun, found };
}

/** Goes through the words, and answers where one is after them. */
function walk(all, schema) {
  const stack = [{ kind: "document", root: "query" }];
  all.forEach((word, place) => {
    const here = stack.at(-1);
    const before = all[place - 1]?.text;
    const next = all[place + 1]?.text;
    const step = STEPS[here.kind];
    step({ word, before, next, here, stack, schema });
  });
  return { ...stack.at(-1), before: all.at(-1)?.text ?? "", earlier: all.at(-2)?.text ?? "" };
}

const pop = (stack) => { if (stack.length > 1) stack.pop(); };

const STEPS = {
  document({ word, before, here, stack, schema }) {
    if (word.text === "query" || word.text === "mutation") Object.assign(here, { root: word.text, type: null });
    else if (before === "on") here.type = schema.type(word.text);
    else if (word.text === "(") stack.push({ kind: "variables" });
    else if (word.text === "{") {
      stack.push({ kind: "selection", type: here.type ?? schema.type(schema.roots[here.root]), field: null });
      Object.assign(here, { root: "query", type: null });
    }
  },
  variables({ word, stack }) {
    if (word.text === ")") pop(stack);
  },
  selection({ word, before, next, here, stack, schema }) {
    if (word.kind === "directive") here.args = schema.directives.find(({ name }) => `@${name}` === word.text)?.args ?? [];
    else if (before === "on") here.into = schema.type(word.text);
    else if (word.text === "on" && before === "...") here.into = here.type;
    else if (word.kind === "name" || word.kind === "keyword") {
      if (next === ":" || before === "...") return;
      here.field = here.type?.fields?.find(({ name }) => name === word.text) ?? null;
      here.args = here.field?.args ?? [];
      here.into = here.field ? schema.type(namedType(here.field.type)) : null;
    } else if (word.text === "(") stack.push({ kind: "arguments", inputs: here.args ?? [], input: null });
    else if (word.text === "{") stack.push({ kind: "selection", type: here.into ?? null, field: null });
    else if (word.text === "}") pop(stack);
  },
  arguments({ word, next, here, stack, schema }) {
    if (word.text === ")" || word.text === "}") pop(stack);
    else if (word.text === "{") {
      const type = here.input ? schema.type(namedType(here.input.type)) : null;
      stack.push({ kind: "arguments", inputs: type?.inputFields ?? [], input: null });
    } else if (next === ":") here.input = here.inputs.find(({ name }) => name === word.text) ?? null;
  },
};

function offers(place, schema, whole) {
  const { before, earlier } = place;
  if (place.kind === "document") {
    if (before === "on") return types(schema, ["OBJECT", "INTERFACE"]);
    return ["query", "mutation", "fragment"].map((text) => ({ text, hint: "" }));
  }
  if (place.kind === "variables") return before === ":" || earlier === ":[" || before === "[" ? types(schema, ["SCALAR", "ENUM", "INPUT_OBJECT"]) : [];
  if (place.kind === "selection") {
    if (before === "on") return types(schema, ["OBJECT", "INTERFACE"]).filter(({ text }) => !place.type || possible(place.type, text));
    if (before === "...") return [{ text: "on", hint: "" }, ...fragments(whole)];
    if (before === "@" ) return [];
    const fields = place.type?.fields ?? [];
    return [...fields.map((field) => ({ text: field.name, hint: typeText(field.type), description: field.description })), { text: "__typename", hint: "String!" },
      ...schema.directives.filter(({ name }) => ["skip", "include"].includes(name)).map(({ name, description }) => ({ text: `@${name}`, hint: "", description }))];
  }
  if (before === ":" || before === "[") return values(place.input, schema, whole);
  return place.inputs.map((input) => ({ text: input.name, put: `${input.name}: `, hint: typeText(input.type), description: input.description }));
}

function possible(type, name) {
  return type.name === name || (type.possibleTypes ?? []).some((one) => one.name === name);
}

function types(schema, kinds) {
  return [...schema.types.values()].filter(({ kind }) => kinds.includes(kind)).map(({ name, description }) => ({ text: name, hint: "", description }));
}

function fragments(text) {
  return Array.from(text.matchAll(/\bfragment\s+(\w+)/g), (found) => ({ text: found[1], hint: "" }));
}

function values(input, schema, whole) {
  if (!input) return [];
  const type = schema.type(namedType(input.type));
  const variables = Array.from(whole.matchAll(/(\$\w+)\s*:/g), (found) => ({ text: found[1], hint: "" }));
  if (type?.kind === "ENUM") return [...type.enumValues.map(({ name, description }) => ({ text: name, hint: type.name, description })), ...variables];
  if (type?.name === "Boolean") return [{ text: "true", hint: "" }, { text: "false", hint: "" }, ...variables];
  return variables;
}
