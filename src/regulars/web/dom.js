// Elements, made of plain calls. Text is text: nothing here, or anywhere, parses markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: h("a", { class: "link", href: "/" , onclick: open }, "Home", other). A property that
 * is null or false is left out, one that is true is there without a value, and one that begins with
 * `on` is a listener. Children are nodes, texts, and lists of either; null and false are left out.
 */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An element of SVG, as `h` makes one of HTML. */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else setAttribute(element, name, value);
  }
  element.append(...flat(children));
  return element;
}

/** Sets an attribute; takes it away for null and false. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** Gives an element other children. */
export function replace(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** What somebody typed somewhere: in its own direction, whatever stands around it. */
export function userText(text, properties) {
  return h("bdi", properties, text);
}

let counted = 0;

/** An id that no other element has. */
export function uniqueId(name) {
  counted += 1;
  return `${name}-${counted}`;
}

/** Calls a function once nothing has asked for it for so many milliseconds. */
export function debounce(milliseconds, call) {
  let timer = 0;
  const wait = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds, ...given);
  };
  wait.cancel = () => clearTimeout(timer);
  return wait;
}
