// Imports: a file is chosen, previewed, tried and imported.

import { request, uploadFile, getViewer } from "./api.js";
import { announce } from "./progress.js";
import { h, replace, userText, uniqueId } from "./dom.js";
import { timeElement, formatBytes, formatNumber, formatDateTime } from "./format.js";
import { icon } from "./icons.js";
import { navigate } from "./navigation.js";
import { t } from "./texts.js";
import { button, checkbox, chip, showError, withBusy, emptyState, errorNotice, errorState, formField, errorMessage, headingRow, pageHeader, runAction, stateBadge, tableBox } from "./ui.js";

const PREVIEW_BYTES = 256 * 1024;
const POLL_MS = 500;
const RUNNING_STATES = ["receiving", "pending", "running"];
const IGNORED_COLUMN = "-";

export async function show({ main, url, signal, setTitle }) {
  setTitle(t.imports.title);
  const { scopes } = await getViewer();
  if (!scopes.includes("customers:write")) {
    replace(main, pageHeader(t.imports.title), emptyState("upload", t.imports.mayNot, t.imports.mayNotText));
    return {};
  }
  const page = new ImportPage(main, signal);
  await page.open(url);
  return { update: (newUrl) => page.open(newUrl), hasUnsavedInput: () => page.isSending };
}

class ImportPage {
  constructor(main, signal) {
    Object.assign(this, { signal, isSending: false, timer: 0 });
    this.body = h("div");
    replace(main, pageHeader(t.imports.title), this.body);
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  async open(url) {
    clearTimeout(this.timer);
    const id = url.searchParams.get("id");
    if (id) await this.watch(id, true);
    else await this.start();
  }

  async start() {
    const input = h("input", { type: "file", class: "unseen", id: uniqueId("file"), accept: ".csv,.tsv,.txt,.jsonl,.ndjson,.gz", onchange: () => input.files[0] && this.openFile(input.files[0]) });
    const zone = h("div", {
      class: "drop",
      ondragover: (event) => { event.preventDefault(); zone.classList.add("over"); },
      ondragleave: () => zone.classList.remove("over"),
      ondrop: (event) => {
        event.preventDefault();
        zone.classList.remove("over");
        if (event.dataTransfer.files[0]) this.openFile(event.dataTransfer.files[0]);
      },
    }, icon("upload"), h("p", null, t.imports.drop), input, h("label", { class: "button primary", for: input.id }, t.imports.choose), h("p", { class: "hint" }, t.imports.kinds));
    this.problem = errorNotice();
    const recent = h("section", { "aria-labelledby": "recent" });
    replace(this.body, zone, this.problem, recent);
    try {
      const { data } = await request("/import", { signal: this.signal });
      if (data.length) replace(recent, h("h2", { id: "recent" }, t.imports.recent), runTable(data));
    } catch (error) {
      showError(error);
    }
  }

  /** Shows the preview of a file. */
  async openFile(file) {
    this.file = file;
    this.fieldNames = new Map();
    this.settings = { match: "email", empty: "keep", silent: false };
    this.hasHeadings = true;
    this.problem.setText("");
    try {
      this.preview = await this.loadPreview();
    } catch (error) {
      this.problem.setText(errorMessage(error));
      return;
    }
    this.showPreview();
    this.body.querySelector("h2").focus();
  }

  /** The parameters of a request: the file, its columns, and `options`. */
  buildParams(options) {
    const params = new URLSearchParams({ name: this.file.name, header: this.hasHeadings, ...options });
    for (const [heading, name] of this.fieldNames) params.append("map", `${heading}=${name}`);
    return params;
  }

  async loadPreview() {
    const params = this.buildParams({ whole: this.file.size <= PREVIEW_BYTES });
    const { data } = await request(`/import/preview?${params}`, { method: "POST", body: this.file.slice(0, PREVIEW_BYTES), headers: { "Content-Type": "application/octet-stream" }, signal: this.signal });
    return data;
  }

  showPreview() {
    const { columns, rows, fields, problem, format, encoding, delimiter } = this.preview;
    const reload = async () => {
      try {
        this.preview = await this.loadPreview();
        const focusedHeading = document.activeElement?.dataset.heading;
        this.showPreview();
        if (focusedHeading !== undefined) this.body.querySelector(`[data-heading="${CSS.escape(focusedHeading)}"]`)?.focus();
      } catch (error) {
        showError(error);
      }
    };
    const { settings } = this;
    const headings = checkbox(t.imports.headings, { checked: this.hasHeadings, onchange: (event) => { this.hasHeadings = event.target.checked; this.fieldNames.clear(); reload(); } });
    const settingField = (label, name, options) => formField(label, h("select", { onchange: (event) => { settings[name] = event.target.value; } }, selectOptions(options, settings[name])));
    const silent = checkbox(t.imports.silent, { checked: settings.silent, onchange: (event) => { settings.silent = event.target.checked; } });
    const start = (dryRun) => (event) => this.send(this.buildParams({ dry_run: dryRun, ...settings }), event.currentTarget);
    const columnSelect = ({ heading, field }) => h("select", {
      "aria-label": t.imports.columnIs(heading), "data-heading": heading,
      onchange: (event) => { this.fieldNames.set(heading, event.target.value); reload(); },
    }, columnOptions(heading, field, fields));
    replace(this.body,
      h("section", { class: "card", "aria-labelledby": "preview" },
        h("h2", { id: "preview", tabindex: "-1" }, userText(this.file.name)),
        h("p", { class: "hint" }, t.imports.recognised(format, encoding, delimiter, formatBytes(this.file.size))),
        problem ? h("p", { class: "notice wrong", role: "alert" }, icon("warning"), problem.replace(/ Say which it is, as in .*$/, ` ${t.imports.sayWhich}`)) : null,
        tableBox({ "aria-label": t.imports.firstRows }, "plain-table preview",
          [headingRow(columns.map(({ heading }) => userText(heading))),
            format === "csv" ? h("tr", null, columns.map((column) => h("td", null, columnSelect(column)))) : null],
          h("tbody", null, rows.map((row) => h("tr", null, row.map((cell) => h("td", null, userText(cell))))))),
        format === "csv" ? headings : null,
        h("div", { class: "fields" },
          settingField(t.imports.match, "match", [["email", t.imports.byEmail], ["_id", t.imports.byId]]),
          settingField(t.imports.empty, "empty", [["keep", t.imports.keep], ["clear", t.imports.clear]])), silent),
      h("div", { class: "row" },
        button(t.imports.try, start(true), { class: "primary", disabled: Boolean(problem) }),
        button(t.imports.take, start(false), { disabled: Boolean(problem) }),
        button(t.imports.other, () => this.start(), { class: "plain" })));
  }

  /** Sends the file, and then shows the import. */
  async send(params, control) {
    const bar = h("progress", { max: this.file.size || 1, value: 0, "aria-label": t.imports.sending });
    const text = h("p", { class: "hint", role: "status" }, t.imports.sending);
    const abort = new AbortController();
    const preview = [...this.body.childNodes];
    await withBusy(control, async () => {
      this.isSending = true;
      const section = h("section", { class: "card" }, h("h2", { tabindex: "-1" }, userText(this.file.name)), bar, text,
        button(t.cancel, () => { abort.abort(); replace(this.body, preview); }));
      replace(this.body, section);
      section.querySelector("h2").focus();
      const onProgress = (sentBytes, totalBytes) => {
        bar.value = sentBytes;
        text.textContent = t.imports.sent(formatBytes(sentBytes), formatBytes(totalBytes));
      };
      try {
        const { id } = await uploadFile(`/import?${params}`, this.file, { onProgress, signal: abort.signal });
        this.isSending = false;
        navigate(runUrl(id));
      } catch (error) {
        replace(this.body, preview);
        showError(error);
      } finally {
        this.isSending = false;
      }
    });
  }

  /** Shows the progress of an import until it has ended. */
  async watch(id, isFirst = false) {
    let run;
    try {
      run = (await request(`/import/${encodeURIComponent(id)}`, { signal: this.signal, quiet: !isFirst })).data;
    } catch (error) {
      if (error.name === "AbortError") return;
      if (isFirst) replace(this.body, errorState(error, () => this.watch(id, true)));
      else this.timer = setTimeout(() => this.watch(id), POLL_MS * 4);
      return;
    }
    const isRunning = RUNNING_STATES.includes(run.state);
    this.showRun(run, isRunning, isFirst);
    if (isRunning) this.timer = setTimeout(() => this.watch(id), POLL_MS);
    else if (!isFirst) announce(t.imports.ended(t.imports.states[run.state]));
  }

  showRun(run, isRunning, isFirst) {
    const figure = (name) => h("div", null, h("dt", null, t.imports.outcomes[name]), h("dd", null, run[name] === null ? "–" : formatNumber(run[name])));
    const focused = document.activeElement;
    const canImportNow = run.dry_run && run.state === "done" && this.file?.name === run.name;
    const url = `/import/${encodeURIComponent(run.id)}`;
    const cancel = button(t.cancel, () => runAction(cancel, () => request(url, { method: "DELETE" })));
    replace(this.body,
      h("section", { class: "card", "aria-labelledby": "run" },
        h("h2", { id: "run", tabindex: "-1" }, userText(run.name), run.dry_run ? chip(t.imports.dry) : null, run.silent ? chip(t.imports.isSilent) : null),
        h("p", null, runState(run), run.message && run.state === "failed" ? [" ", run.message] : null),
        isRunning ? h("progress", { max: run.bytes || 1, value: run.state === "running" ? run.bytes_read : 0, "aria-label": t.imports.progress }) : null,
        h("dl", { class: "tiles small" }, ["created", "updated", "unchanged", "rejected"].map(figure)),
        run.dry_run && !isRunning ? h("p", { class: "notice" }, t.imports.nothingSaved) : null,
        run.problems.length ? problemList(t.imports.problems, run.problems) : null,
        run.warnings.length ? problemList(t.imports.warnings(formatNumber(run.rows_with_warnings)), run.warnings) : null),
      h("div", { class: "row" },
        isRunning ? cancel : null,
        canImportNow ? button(t.imports.now, () => this.showPreview(), { class: "primary" }) : null,
        run.rejected && !isRunning ? h("a", { class: "button", href: `${url}/rejected`, download: true }, icon("download"), t.imports.rejected) : null,
        isRunning ? null : h("a", { class: run.dry_run ? "button" : "button primary", href: "/customers" }, t.imports.toList),
        h("a", { class: "button plain", href: "/imports" }, t.imports.another)));
    if (isFirst || focused === document.body || !document.contains(focused)) this.body.querySelector("h2").focus({ preventScroll: true });
  }
}

const runUrl = (id) => `/imports?id=${encodeURIComponent(id)}`;
const runState = ({ state }) => stateBadge(state, t.imports.states[state] ?? state);

/** The table of recent imports. */
function runTable(runs) {
  return tableBox({ class: "card table-wrap", "aria-labelledby": "recent" }, "plain-table stack", headingRow(t.imports.columns),
    h("tbody", null, runs.map((run) => h("tr", null,
      h("th", { scope: "row" }, h("a", { href: runUrl(run.id) }, userText(run.name)), run.dry_run ? chip(t.imports.dry) : null),
      h("td", null, runState(run)),
      h("td", null, run.created === null ? null : t.imports.counts(formatNumber(run.created), formatNumber(run.updated), formatNumber(run.rejected))),
      h("td", null, timeElement(formatDateTime(run.created_at), run.created_at))))));
}

/** The kinds of problems, each with its number of rows and examples. */
function problemList(title, problems) {
  return h("div", null, h("h3", null, title),
    h("ul", { class: "problems" }, problems.map(({ count, kind, examples }) => h("li", null,
      h("strong", null, t.imports.rows(formatNumber(count), count)), " ", h("code", null, kind),
      h("ul", null, examples.map(({ line, message }) => h("li", null, h("span", { class: "hint" }, t.imports.line(formatNumber(line))), " ", message)))))));
}

const selectOptions = (pairs, selected) => pairs.map(([value, label]) => h("option", { value, selected: value === selected }, label));

/** The fields that a column can be, with `field` selected. */
function columnOptions(heading, field, fields) {
  const custom = `custom.${heading}`;
  const names = field?.startsWith("custom.") && field !== custom ? [...fields, field] : fields;
  return selectOptions([[IGNORED_COLUMN, t.imports.leaveOut], [custom, t.imports.keepAs(heading)], ...names.map((name) => [name, t.fieldName(name)])], field ?? IGNORED_COLUMN);
}
