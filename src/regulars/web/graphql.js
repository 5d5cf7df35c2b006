// GraphQL for the explorer: the tokens of a document, and completions.

const TOKEN =
  /"""(?:[^"\\]|\\.|"(?!""))*(?:"""|$)|"(?:[^"\\\n]|\\.)*(?:"|$)|#[^\n]*|\.\.\.|\$?[A-Za-z_]\w*|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|@[A-Za-z_]?\w*|[{}()[\]:=!|&]/g;

export const INTROSPECTION = `query Introspection { __schema { queryType { name } mutationType { name }
  directives { name description args { ...Value } }
  types { kind name description
    fields { name description args { ...Value } type { ...Type } }
    inputFields { ...Value } enumValues { name description } possibleTypes { name } interfaces { name } } } }
fragment Value on __InputValue { name description defaultValue type { ...Type } }
fragment Type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }`;

/** The schema, by the names of its types. */
export class Schema {
  constructor({ __schema: schema }) {
    this.types = new Map(schema.types.filter(({ name }) => !name.startsWith("__")).map((type) => [type.name, type]));
    this.roots = { query: schema.queryType?.name, mutation: schema.mutationType?.name };
    this.directives = schema.directives;
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

/** The name of a type without its list and non-null marks. */
export const namedType = (type) => (type.ofType ? namedType(type.ofType) : type.name);

/** The tokens of a document: the `text`, the `start` and the `kind` of each. */
export function tokenize(text) {
  return Array.from(text.matchAll(TOKEN), ({ 0: token, index: start }) => {
    const kind = kindOf(token);
    const end = start + token.length;
    const isArgument = kind === "keyword" && /^\s*:/.test(text.slice(end, end + 9));
    return { text: token, start, kind: isArgument ? "name" : kind };
  });
}

const withoutComments = (tokens) => tokens.filter(({ kind }) => kind !== "comment");

function kindOf(text) {
  if (text[0] === "#") return "comment";
  if (text[0] === '"') return "string";
  if (text[0] === "$") return "variable";
  if (text[0] === "@") return "directive";
  if (/^-?\d/.test(text)) return "number";
  if (/^[A-Za-z_]/.test(text))
    return ["query", "mutation", "fragment", "on", "true", "false", "null"].includes(text) ? "keyword" : "name";
  return "mark";
}

/** The names of the operations of a document that have one. */
export function operationNames(text) {
  const tokens = withoutComments(tokenize(text));
  const names = [];
  let depth = 0;
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (depth === 0 && ["query", "mutation"].includes(token.text) && next?.kind === "name") names.push(next.text);
    if ("{([".includes(token.text)) depth += 1;
    if ("})]".includes(token.text)) depth -= 1;
  });
  return names;
}

/**
 * The `options` to complete the last `word` of `text`, the part of `document` before the cursor. An
 * option has a `label`, a `hint`, and perhaps a `description`, and `insertText` to insert instead.
 */
export function complete(text, document, schema) {
  const all = tokenize(text);
  const tokens = withoutComments(all);
  const last = tokens.at(-1);
  const isInComment = /#[^\n]*$/.test(text.split("\n").at(-1)) && all.at(-1)?.kind === "comment";
  if (isInComment || (last?.kind === "string" && !/^".*"$/s.test(last.text))) return { word: "", options: [] };
  const word = last && last.start + last.text.length === text.length && /^[$@]?\w/.test(last.text) ? last.text : "";
  const context = contextAfter(word ? tokens.slice(0, -1) : tokens, schema);
  const options = optionsFor(context, document, schema).filter(
    ({ label }) => label.toLowerCase().startsWith(word.toLowerCase()) && label !== word,
  );
  return { word, options };
}

/** The context after the tokens: the innermost brackets with their type, and the last two tokens. */
function contextAfter(tokens, schema) {
  const stack = [{ kind: "document", root: "query" }];
  tokens.forEach((token, index) => {
    const context = stack.at(-1);
    STEPS[context.kind]({
      token,
      before: tokens[index - 1]?.text,
      next: tokens[index + 1]?.text,
      context,
      stack,
      schema,
    });
  });
  return { ...stack.at(-1), before: tokens.at(-1)?.text ?? "", earlier: tokens.at(-2)?.text ?? "" };
}

const pop = (stack) => {
  if (stack.length > 1) stack.pop();
};

/** For each kind of context, the function that updates the context after a token. */
const STEPS = {
  document({ token, before, context, stack, schema }) {
    if (token.text === "query" || token.text === "mutation") Object.assign(context, { root: token.text, type: null });
    else if (before === "on") context.type = schema.type(token.text);
    else if (token.text === "(") stack.push({ kind: "variables" });
    else if (token.text === "{") {
      stack.push({ kind: "selection", type: context.type ?? schema.type(schema.roots[context.root]), field: null });
      Object.assign(context, { root: "query", type: null });
    }
  },
  variables({ token, stack }) {
    if (token.text === ")") pop(stack);
  },
  selection({ token, before, next, context, stack, schema }) {
    if (token.kind === "directive")
      context.args = schema.directives.find(({ name }) => `@${name}` === token.text)?.args ?? [];
    else if (before === "on") context.childType = schema.type(token.text);
    else if (token.text === "on" && before === "...") context.childType = context.type;
    else if (token.kind === "name" || token.kind === "keyword") {
      if (next === ":" || before === "...") return;
      context.field = context.type?.fields?.find(({ name }) => name === token.text) ?? null;
      context.args = context.field?.args ?? [];
      context.childType = context.field ? schema.type(namedType(context.field.type)) : null;
    } else if (token.text === "(") stack.push({ kind: "arguments", inputs: context.args ?? [], input: null });
    else if (token.text === "{") stack.push({ kind: "selection", type: context.childType ?? null, field: null });
    else if (token.text === "}") pop(stack);
  },
  arguments({ token, next, context, stack, schema }) {
    if (token.text === ")" || token.text === "}") pop(stack);
    else if (token.text === "{") {
      const type = context.input ? schema.type(namedType(context.input.type)) : null;
      stack.push({ kind: "arguments", inputs: type?.inputFields ?? [], input: null });
    } else if (next === ":") context.input = context.inputs.find(({ name }) => name === token.text) ?? null;
  },
};

function optionsFor(context, document, schema) {
  const { kind, type, before, earlier } = context;
  if (kind === "document") {
    if (before === "on") return typeOptions(schema, ["OBJECT", "INTERFACE"]);
    return ["query", "mutation", "fragment"].map((label) => ({ label }));
  }
  if (kind === "variables")
    return before === ":" || earlier === ":[" || before === "["
      ? typeOptions(schema, ["SCALAR", "ENUM", "INPUT_OBJECT"])
      : [];
  if (kind === "selection") {
    if (before === "on")
      return typeOptions(schema, ["OBJECT", "INTERFACE"]).filter(({ label }) => !type || canBe(type, label));
    if (before === "...") return [{ label: "on" }, ...nameOptions(document, /\bfragment\s+(\w+)/g)];
    if (before === "@") return [];
    return [
      ...(type?.fields ?? []).map(fieldOption),
      { label: "__typename", hint: "String!" },
      ...schema.directives
        .filter(({ name }) => ["skip", "include"].includes(name))
        .map(({ name, description }) => ({ label: `@${name}`, description })),
    ];
  }
  if (before === ":" || before === "[") return valueOptions(context.input, document, schema);
  return context.inputs.map((input) => ({ ...fieldOption(input), insertText: `${input.name}: ` }));
}

const fieldOption = ({ name, type, description }) => ({ label: name, hint: typeText(type), description });
const canBe = (type, name) =>
  type.name === name || (type.possibleTypes ?? []).some((possible) => possible.name === name);
const nameOptions = (document, pattern) => Array.from(document.matchAll(pattern), ([, label]) => ({ label }));

function typeOptions(schema, kinds) {
  return [...schema.types.values()]
    .filter(({ kind }) => kinds.includes(kind))
    .map(({ name, description }) => ({ label: name, description }));
}

function valueOptions(input, document, schema) {
  if (!input) return [];
  const type = schema.type(namedType(input.type));
  const variables = nameOptions(document, /(\$\w+)\s*:/g);
  if (type?.kind === "ENUM")
    return [
      ...type.enumValues.map(({ name, description }) => ({ label: name, hint: type.name, description })),
      ...variables,
    ];
  if (type?.name === "Boolean") return [{ label: "true" }, { label: "false" }, ...variables];
  return variables;
}
