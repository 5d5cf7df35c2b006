// Importing: a file is dropped, looked at, tried, and taken in.

import { request, uploadFile, getViewer } from "./api.js";
import { announce } from "./progress.js";
import { h, replace, userText, setAttribute, uniqueId } from "./dom.js";
import { relativeTime, formatBytes, formatNumber, formatDateTime } from "./format.js";
import { icon } from "./icons.js";
import { navigate } from "./navigation.js";
import { t } from "./texts.js";
import { button, checkbox, showError, withBusy, emptyState, errorState, formField, errorMessage, pageHeader } from "./ui.js";

const BEGINNING = 256 * 1024;
const LOOK_MS = 500;
const GOES_ON = ["receiving", "pending", "running"];
const LEAVE_OUT = "-";

export async function show({ main, url, signal, setTitle }) {
  setTitle(t.imports.title);
  const { scopes } = await getViewer();
  if (!scopes.includes("customers:write")) {
    replace(main, pageHeader(t.imports.title), emptyState("upload", t.imports.mayNot, t.imports.mayNotText));
    return {};
  }
  const page = new ImportPage(main, signal);
  await page.at(url);
  return { update: (changed) => page.at(changed), hasUnsavedInput: () => page.sending };
}

class ImportPage {
  constructor(main, signal) {
    Object.assign(this, { signal, sending: false, timer: 0 });
    this.body = h("div");
    replace(main, pageHeader(t.imports.title), this.body);
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  async at(url) {
    clearTimeout(this.timer);
    const id = url.searchParams.get("id");
    if (id) await this.watch(id, true);
    else await this.start();
  }

  async start() {
    const input = h("input", { type: "file", class: "unseen", id: uniqueId("file"), accept: ".csv,.tsv,.txt,.jsonl,.ndjson,.gz", onchange: () => input.files[0] && this.look(input.files[0]) });
    const zone = h("div", {
      class: "drop",
      ondragover: (event) => { event.preventDefault(); zone.classList.add("over"); },
      ondragleave: () => zone.classList.remove("over"),
      ondrop: (event) => {
        event.preventDefault();
        zone.classList.remove("over");
        if (event.dataTransfer.files[0]) this.look(event.dataTransfer.files[0]);
      },
    }, icon("upload"), h("p", null, t.imports.drop), input, h("label", { class: "button primary", for: input.id }, t.imports.choose), h("p", { class: "hint" }, t.imports.kinds));
    this.problem = h("p", { class: "notice wrong", role: "alert", hidden: true });
    const recent = h("section", { "aria-labelledby": "recent" });
    replace(this.body, zone, this.problem, recent);
    try {
      const { data } = await request("/import", { signal: this.signal });
      if (data.length) replace(recent, h("h2", { id: "recent" }, t.imports.recent), this.recent(data));
    } catch (failure) {
      showError(failure);
    }
  }

  recent(all) {
    return h("div", { class: "card table-wrap", tabindex: "0", role: "group", "aria-labelledby": "recent" }, h("table", { class: "plain-table stack" },
      h("thead", null, h("tr", null, t.imports.columns.map((one) => h("th", { scope: "col" }, one)))),
      h("tbody", null, all.map((one) => h("tr", null,
        h("th", { scope: "row" }, h("a", { href: `/imports?id=${encodeURIComponent(one.id)}` }, userText(one.name)), one.dry_run ? h("span", { class: "chip" }, t.imports.dry) : null),
        h("td", null, h("span", { class: `state ${one.state}` }, t.imports.states[one.state] ?? one.state)),
        h("td", null, one.created === null ? null : t.imports.counts(formatNumber(one.created), formatNumber(one.updated), formatNumber(one.rejected))),
        h("td", null, relativeTime(formatDateTime(one.created_at), one.created_at)))))));
  }

  /** Shows what a file is recognised as. */
  async look(file) {
    this.file = file;
    this.mapped = new Map();
    this.chosen = { match: "email", empty: "keep", silent: false };
    this.headings = true;
    setAttribute(this.problem, "hidden", true);
    try {
      this.seen = await this.preview();
    } catch (failure) {
      setAttribute(this.problem, "hidden", null);
      replace(this.problem, icon("warning"), errorMessage(failure));
      return;
    }
    this.showPreview();
    this.body.querySelector("h2").focus();
  }

  options() {
    const given = new URLSearchParams({ name: this.file.name, header: String(this.headings) });
    for (const [heading, name] of this.mapped) given.append("map", `${heading}=${name}`);
    return given;
  }

  async preview() {
    const given = this.options();
    given.set("whole", String(this.file.size <= BEGINNING));
    const { data } = await request(`/import/preview?${given}`, { method: "POST", body: this.file.slice(0, BEGINNING), headers: { "Content-Type": "application/octet-stream" }, signal: this.signal });
    return data;
  }

  showPreview() {
    const { columns, rows, fields, problem, format, encoding, delimiter } = this.seen;
    const again = async () => {
      try {
        this.seen = await this.preview();
        const place = document.activeElement?.dataset.heading;
        this.showPreview();
        if (place !== undefined) this.body.querySelector(`[data-heading="${CSS.escape(place)}"]`)?.focus();
      } catch (failure) {
        showError(failure);
      }
    };
    const headings = checkbox(t.imports.headings, { checked: this.headings, onchange: (event) => { this.headings = event.target.checked; this.mapped.clear(); again(); } });
    const match = formField(t.imports.match, h("select", { onchange: (event) => { this.chosen.match = event.target.value; } }, [["email", t.imports.byEmail], ["_id", t.imports.byId]].map(([value, label]) => h("option", { value, selected: value === this.chosen.match }, label))));
    const empty = formField(t.imports.empty, h("select", { onchange: (event) => { this.chosen.empty = event.target.value; } }, [["keep", t.imports.keep], ["clear", t.imports.clear]].map(([value, label]) => h("option", { value, selected: value === this.chosen.empty }, label))));
    const silent = checkbox(t.imports.silent, { checked: this.chosen.silent, onchange: (event) => { this.chosen.silent = event.target.checked; } });
    const start = (dry) => async (event) => {
      const given = this.options();
      given.set("dry_run", String(dry));
      for (const [name, value] of Object.entries(this.chosen)) given.set(name, String(value));
      await this.send(given, event.currentTarget);
    };
    const map = (heading, name) => {
      this.mapped.set(heading, name);
      again();
    };
    const pick = ({ heading, field: chosen }) => h("select", {
      "aria-label": t.imports.columnIs(heading), "data-heading": heading,
      onchange: (event) => map(heading, event.target.value),
    }, choices(heading, chosen, fields));
    replace(this.body,
      h("section", { class: "card", "aria-labelledby": "preview" },
        h("h2", { id: "preview", tabindex: "-1" }, userText(this.file.name)),
        h("p", { class: "hint" }, t.imports.recognised(format, encoding, delimiter, formatBytes(this.file.size))),
        problem ? h("p", { class: "notice wrong", role: "alert" }, icon("warning"), problem.replace(/ Say which it is, as in .*$/, ` ${t.imports.sayWhich}`)) : null,
        h("div", { class: "table-wrap", tabindex: "0", role: "group", "aria-label": t.imports.firstRows }, h("table", { class: "plain-table preview" },
          h("thead", null,
            h("tr", null, columns.map((one) => h("th", { scope: "col" }, userText(one.heading)))),
            format === "csv" ? h("tr", null, columns.map((one) => h("td", null, pick(one)))) : null),
          h("tbody", null, rows.map((row) => h("tr", null, row.map((cell) => h("td", null, userText(cell)))))))),
        format === "csv" ? headings : null,
        h("div", { class: "fields" }, match, empty), silent),
      h("div", { class: "row" },
        button(t.imports.try, start(true), { class: "primary", disabled: Boolean(problem) }),
        button(t.imports.take, start(false), { disabled: Boolean(problem) }),
        button(t.imports.other, () => this.start(), { class: "plain" })));
  }

  /** Sends the file, and then shows what becomes of it. */
  async send(options, control) {
    const bar = h("progress", { max: this.file.size || 1, value: 0, "aria-label": t.imports.sending });
    const text = h("p", { class: "hint", role: "status" }, t.imports.sending);
    const abort = new AbortController();
    const kept = [...this.body.childNodes];
    await withBusy(control, async () => {
      this.sending = true;
      const show = h("section", { class: "card" }, h("h2", { tabindex: "-1" }, userText(this.file.name)), bar, text,
        button(t.cancel, () => { abort.abort(); replace(this.body, kept); }));
      replace(this.body, show);
      show.querySelector("h2").focus();
      const onProgress = (sent, all) => {
        bar.value = sent;
        text.textContent = t.imports.sent(formatBytes(sent), formatBytes(all));
      };
      try {
        const made = await uploadFile(`/import?${options}`, this.file, { onProgress, signal: abort.signal });
        this.sending = false;
        navigate(`/imports?id=${encodeURIComponent(made.id)}`);
      } catch (failure) {
        replace(this.body, kept);
        showError(failure);
      } finally {
        this.sending = false;
      }
    });
  }

  /** Shows how far an import has come, until it has ended. */
  async watch(id, first = false) {
    let run;
    try {
      run = (await request(`/import/${encodeURIComponent(id)}`, { signal: this.signal, quiet: !first })).data;
    } catch (failure) {
      if (failure.name === "AbortError") return;
      if (first) replace(this.body, errorState(failure, () => this.watch(id, true)));
      else this.timer = setTimeout(() => this.watch(id), LOOK_MS * 4);
      return;
    }
    const goesOn = GOES_ON.includes(run.state);
    this.showRun(run, goesOn, first);
    if (goesOn) this.timer = setTimeout(() => this.watch(id), LOOK_MS);
    else if (!first) announce(t.imports.ended(t.imports.states[run.state]));
  }

  showRun(run, goesOn, first) {
    const figure = (name) => h("div", null, h("dt", null, t.imports.outcomes[name]), h("dd", null, run[name] === null ? "–" : formatNumber(run[name])));
    const focused = document.activeElement;
    const again = run.dry_run && run.state === "done" && this.file?.name === run.name;
    const cancel = button(t.cancel, async () => {
      try {
        await withBusy(cancel, () => request(`/import/${encodeURIComponent(run.id)}`, { method: "DELETE" }));
      } catch (failure) {
        showError(failure);
      }
    });
    replace(this.body,
      h("section", { class: "card", "aria-labelledby": "run" },
        h("h2", { id: "run", tabindex: "-1" }, userText(run.name), run.dry_run ? h("span", { class: "chip" }, t.imports.dry) : null, run.silent ? h("span", { class: "chip" }, t.imports.isSilent) : null),
        h("p", null, h("span", { class: `state ${run.state}` }, t.imports.states[run.state] ?? run.state), run.message && run.state === "failed" ? [" ", run.message] : null),
        goesOn ? h("progress", { max: run.bytes || 1, value: run.state === "running" ? run.bytes_read : 0, "aria-label": t.imports.progress }) : null,
        h("dl", { class: "tiles small" }, ["created", "updated", "unchanged", "rejected"].map(figure)),
        run.dry_run && !goesOn ? h("p", { class: "notice" }, t.imports.nothingSaved) : null,
        run.problems.length ? this.problems(t.imports.problems, run.problems) : null,
        run.warnings.length ? this.problems(t.imports.warnings(formatNumber(run.rows_with_warnings)), run.warnings) : null),
      h("div", { class: "row" },
        goesOn ? cancel : null,
        again ? button(t.imports.now, () => this.showPreview(), { class: "primary" }) : null,
        run.rejected && !goesOn ? h("a", { class: "button", href: `/import/${encodeURIComponent(run.id)}/rejected`, download: true }, icon("download"), t.imports.rejected) : null,
        goesOn ? null : h("a", { class: run.dry_run ? "button" : "button primary", href: "/customers" }, t.imports.toList),
        h("a", { class: "button plain", href: "/imports" }, t.imports.another)));
    if (first || focused === document.body || !document.contains(focused)) this.body.querySelector("h2").focus({ preventScroll: true });
  }

  problems(title, kinds) {
    return h("div", null, h("h3", null, title),
      h("ul", { class: "problems" }, kinds.map((one) => h("li", null,
        h("strong", null, t.imports.rows(formatNumber(one.count), one.count)), " ", h("code", null, one.kind),
        h("ul", null, one.examples.map((example) => h("li", null, h("span", { class: "hint" }, t.imports.line(formatNumber(example.line))), " ", example.message)))))));
  }
}

/** What a column may be. */
function choices(heading, chosen, fields) {
  const custom = `custom.${heading}`;
  const own = chosen?.startsWith("custom.") && chosen !== custom ? [chosen] : [];
  const named = [...fields, ...own].map((name) => [name, t.fieldName(name)]);
  const all = [[LEAVE_OUT, t.imports.leaveOut], [custom, t.imports.keepAs(heading)], ...named];
  return all.map(([value, label]) => h("option", { value, selected: value === (chosen ?? LEAVE_OUT) }, label));
}
