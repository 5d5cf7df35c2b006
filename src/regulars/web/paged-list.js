// A list whose search and page are in the URL: its search box, its links to other pages, and its requests.

import { runQuery } from "./api.js";
import { h, replace } from "./dom.js";
import { icon } from "./icons.js";
import { navigate } from "./navigation.js";
import { t } from "./texts.js";
import { errorState } from "./ui.js";

/**
 * The list at the path `/name`, from the connection `name` of a `query`. The URL has the text of the search in
 * `parameter`, and the cursor in `after`; `toVariables(text)` returns the variables for the text. `render(data, text,
 * options)` shows a page in `body`; `onError()` is called before an error is shown there.
 */
export class PagedList {
  constructor({ main, url, signal }, { name, query, label, parameter = "q", toVariables, render, onError }) {
    this.main = main;
    this.params = url.searchParams;
    this.signal = signal;
    this.name = name;
    this.query = query;
    this.parameter = parameter;
    this.toVariables = toVariables;
    this.render = render;
    this.onError = onError;
    this.reading = null; // aborts the last request
    this.input = h("input", {
      type: "search",
      autocomplete: "off",
      dir: "auto",
      "aria-label": label,
      placeholder: label,
      value: this.text,
    });
    const search = (event) => {
      event.preventDefault();
      navigate(this.toUrl(this.input.value.trim()));
    };
    this.form = h(
      "form",
      { class: "search", role: "search", onsubmit: search },
      h("div", { class: "search-line" }, icon("search"), this.input),
    );
    this.body = h("div");
    this.foot = h("div", { class: "pager" });
  }

  /** The text of the search. */
  get text() {
    return this.params.get(this.parameter) ?? "";
  }

  get after() {
    return this.params.get("after");
  }

  /** The URL of a page. Without a cursor it is the first one. */
  toUrl(text, after = null) {
    const params = new URLSearchParams();
    if (text) params.set(this.parameter, text);
    if (after) params.set("after", after);
    return params.size ? `/${this.name}?${params}` : `/${this.name}`;
  }

  /** Reads the page of the URL, and shows it. */
  async read() {
    this.reading?.abort();
    this.reading = new AbortController();
    const options = { signal: AbortSignal.any([this.signal, this.reading.signal]) };
    const { text, after } = this;
    const showFirst = () => navigate(this.toUrl(text), { replace: true });
    try {
      const data = await runQuery(this.query, { ...this.toVariables(text), after }, options);
      const { edges, pageInfo } = data[this.name];
      if (after && !edges.length) return await showFirst();
      const rest = this.render(data, text, options);
      this.renderFoot(pageInfo);
      await rest;
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.has?.("errors_invalid_cursor")) return await showFirst();
      this.onError();
      replace(this.foot);
      replace(
        this.body,
        errorState(error, () => this.read()),
      );
    }
  }

  renderFoot({ hasNextPage, endCursor }) {
    const { text, after } = this;
    const link = (href, rel, ...content) => h("a", { class: "button", href, rel }, content);
    replace(
      this.foot,
      after ? link(this.toUrl(text), null, icon("back"), t.trash.first) : h("span"),
      hasNextPage ? link(this.toUrl(text, endCursor), "next", t.list.next, icon("forward")) : null,
    );
    if (document.activeElement === document.body) this.main.querySelector("h1").focus({ preventScroll: true });
  }

  /** Shows the page of another URL. */
  async update(url) {
    this.params = url.searchParams;
    this.input.value = this.text;
    await this.read();
    window.scrollTo(0, 0);
  }
}
