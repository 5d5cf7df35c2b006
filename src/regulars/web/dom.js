// Creates elements by function calls. No code of the pages parses markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Creates an element: h("a", { class: "link", href: "/", onclick: open }, "Home", other). A property
 * that is null or false is omitted; true sets an attribute without a value; a name that starts with
 * `on` adds a listener. Children are nodes, texts, and lists of either; null and false are omitted.
 */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Creates an element of SVG, as `h` creates one of HTML. */
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

/** Sets an attribute; null and false remove it. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** Replaces the children of an element. */
export function replace(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

const nameOf = (element) => element.getAttribute("aria-label") ?? element.textContent;

/**
 * Runs a function that moves or replaces elements in `element`, and gives the focus back to the one that had it, or
 * to the one that has its name and its place now.
 */
export function keepingFocus(element, run) {
  const focused = /** @type {HTMLElement} */ (document.activeElement);
  if (!element.contains(focused)) {
    run();
    return;
  }
  const namesakes = () =>
    [...element.querySelectorAll(focused.tagName)].filter((other) => nameOf(other) === nameOf(focused));
  const index = namesakes().indexOf(focused);
  run();
  const successor = element.contains(focused) ? focused : namesakes()[index];
  if (document.activeElement === document.body) successor?.focus({ preventScroll: true });
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Text that a person entered, in its own direction. */
export function userText(text, properties) {
  return h("bdi", properties, text);
}

let idCount = 0;

/** An id that no other element has: the name and a number. */
export function uniqueId(name) {
  idCount += 1;
  return `${name}-${idCount}`;
}

/** Calls a function this many milliseconds after the last request for it. */
export function debounce(milliseconds, call) {
  let timer = 0;
  const wait = (...args) => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds, ...args);
  };
  wait.cancel = () => clearTimeout(timer);
  return wait;
}
