// Imports: choose a file, check its columns, start a test run, and import it.

import { request, uploadFile, getViewer } from "./api.js";
import { announce } from "./progress.js";
import { h, replace, userText, uniqueId } from "./dom.js";
import { timeElement, formatBytes, formatNumber, formatDateTime } from "./format.js";
import { icon } from "./icons.js";
import { canRepair, IGNORED_COLUMN, openRepair } from "./import-repair.js";
import { isRunning, jobsSection, jobUrl, stateOf, undoButton, watchJob } from "./jobs.js";
import { navigate } from "./navigation.js";
import { readableMessage, translateMessage } from "./server-messages.js";
import { t } from "./texts.js";
import {
  button,
  checkbox,
  chip,
  showError,
  withBusy,
  errorNotice,
  errorState,
  formField,
  errorMessage,
  headingRow,
  iconButton,
  noAccess,
  openFormDialog,
  pageHeader,
  runAction,
  selectOptions,
  tableBox,
} from "./ui.js";

const PREVIEW_BYTES = 256 * 1024;
const POLL_MS = 500;
// Their columns can only be read from the whole file; the server takes so much of it.
const READ_AS_A_WHOLE = /\.(xls[xmb]?|ods|zip)$/i;
const MAX_PREVIEW_BYTES = 1024 * 1024;
const OPTIONS = {
  map: {},
  header: true,
  encoding: "",
  dates: "",
  sheet: "",
  match: "email",
  empty: "keep",
  consent: "keep",
  tags: "add",
  silent: false,
  strict: false,
};
const ENCODINGS = ["utf-8", "cp1252", "cp1250", "cp1251", "mac-roman", "cp932", "gb18030", "big5", "cp949"];
// The parts of messages that are about the command line.
const DATES_HINT = /: `--dates.*`(?=\.)/;
const COMMAND_HINT = / [A-Z][^.]*--[a-z].*/;
const OPTION_HINT = / \(--[^)]*\)/g;
const SETTING = /`?\b(match|empty|consent|tags)=(\w+)`?/g;
const MAX_MAPPINGS = 50;
const MAX_SAMPLES = 3;
const JSON_LINES = /\.(jsonl|ndjson)\b/i;

export async function show({ main, url, signal, setTitle, setHandlers }) {
  setTitle(t.imports.title);
  const { account, scopes } = await getViewer();
  if (!scopes.includes("customers:write")) {
    replace(main, pageHeader(t.imports.title), noAccess(t.errors.readOnly, t.errors.readOnlyText));
    return;
  }
  const page = new ImportPage(main, signal, account._id, scopes.includes("customers:read"));
  setHandlers({ update: (newUrl) => page.open(newUrl), hasUnsavedInput: () => page.isSending });
  await page.open(url);
}

class ImportPage {
  constructor(main, signal, accountId, canRead) {
    this.signal = signal;
    this.canRead = canRead;
    this.accountId = accountId;
    this.isSending = false;
    this.timer = 0;
    this.reset(null);
    this.body = h("div");
    replace(main, pageHeader(t.imports.title), this.body);
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  /** Sets another file, and resets the options. */
  reset(file) {
    this.file = file;
    this.preview = null;
    this.options = { ...OPTIONS };
    this.encodings = [];
    this.undecided = [];
    this.detected = {};
    this.firstHeadings = null;
  }

  async open(url) {
    clearTimeout(this.timer);
    const id = url.searchParams.get("id");
    if (id?.startsWith("job_")) await watchJob(this.body, id, this.signal);
    else if (id) await this.watch(id, true);
    else await this.start();
  }

  async start() {
    const input = h("input", {
      type: "file",
      class: "unseen",
      id: uniqueId("file"),
      accept: ".csv,.tsv,.txt,.json,.jsonl,.ndjson,.vcf,.xlsx,.xlsm,.xlsb,.xls,.ods,.zip,.gz",
      onchange: () => input.files[0] && this.openFile(input.files[0]),
    });
    const zone = h(
      "div",
      {
        class: "drop",
        ondragover: (event) => {
          event.preventDefault();
          zone.classList.add("over");
        },
        ondragleave: () => zone.classList.remove("over"),
        ondrop: (event) => {
          event.preventDefault();
          zone.classList.remove("over");
          if (event.dataTransfer.files[0]) this.openFile(event.dataTransfer.files[0]);
        },
      },
      icon("upload"),
      h("p", null, t.imports.drop),
      input,
      h("label", { class: "button primary", for: input.id }, t.imports.choose),
      h("p", { class: "hint" }, t.imports.kinds),
    );
    this.problem = errorNotice();
    const recent = h("section", { class: "recent" });
    replace(this.body, zone, this.problem, recent);
    const read = async () => {
      const [{ data }, jobs] = await Promise.all([
        request("/import", { signal: this.signal }),
        this.canRead ? jobsSection(this.signal) : null,
      ]);
      if (data.length) recent.setAttribute("aria-labelledby", "recent");
      replace(
        recent,
        data.length ? [h("h2", { id: "recent" }, t.imports.recent), runTable(data, this.canRead ? read : null)] : null,
        jobs,
      );
    };
    try {
      await read();
    } catch (error) {
      showError(error);
    }
  }

  /** Shows the preview of a file. */
  async openFile(file) {
    this.reset(file);
    this.problem.setText(file.size ? "" : t.imports.emptyFile);
    if (!file.size) return;
    try {
      await this.loadPreview();
    } catch (error) {
      this.problem.setText(errorMessage(error));
      return;
    }
    this.showPreview();
    this.body.querySelector("h2").focus();
  }

  /** The parameters of a request: the file, its columns, and the other options. */
  buildParams({ map, ...options }) {
    const params = new URLSearchParams({ name: this.file.name });
    for (const [name, value] of Object.entries(options)) if (value !== "") params.set(name, value);
    for (const [heading, field] of Object.entries(map)) params.append("map", `${heading}=${field}`);
    return params;
  }

  /** Loads the preview. Earlier questions stay on the page, so that the person can change an answer. */
  async loadPreview() {
    const maxBytes = READ_AS_A_WHOLE.test(this.file.name) ? MAX_PREVIEW_BYTES : PREVIEW_BYTES;
    const { silent, ...options } = this.options;
    const params = this.buildParams({ ...options, whole: this.file.size <= maxBytes });
    const { data } = await request(`/import/preview?${params}`, {
      method: "POST",
      body: this.file.slice(0, maxBytes),
      headers: { "Content-Type": "application/octet-stream" },
      signal: this.signal,
    });
    this.preview = data;
    for (const { heading, field } of data.problem ? [] : data.columns)
      if (!(heading in options.map)) this.detected[heading] = field ?? IGNORED_COLUMN;
    if (data.encodings.length) this.encodings = data.encodings;
    if (data.undecided_dates.length) this.undecided = data.undecided_dates;
  }

  /** Changes options, and shows the preview with them. An option that the server refuses is not changed. */
  async change(changes) {
    const previous = this.options;
    const options = { ...previous, ...changes };
    this.options = options;
    try {
      await this.loadPreview();
    } catch (error) {
      if (this.options === options) this.options = previous;
      showError(error);
    }
    const key = document.activeElement?.getAttribute("data-key");
    this.showPreview();
    if (key)
      /** @type {HTMLElement} */ (this.body.querySelector(`[data-key="${CSS.escape(key)}"]`))?.focus({
        preventScroll: true,
      });
  }

  /** Sets the field of a column. A detected field is not sent: the server detects more than its name. */
  chooseField(heading, field) {
    const { [heading]: _, ...map } = this.options.map;
    if (this.detected[heading] !== field) map[heading] = field;
    this.change({ map });
  }

  showPreview() {
    const {
      columns,
      fields,
      problem,
      summary,
      format,
      sheet,
      sheets,
      encodings,
      is_incomplete: isIncomplete,
    } = this.preview;
    const { options } = this;
    const selectField = (name, [label, pairs], value = options[name]) =>
      formField(
        label,
        h(
          "select",
          { "data-key": name, onchange: (event) => this.change({ [name]: event.target.value }) },
          selectOptions(pairs, value),
        ),
      );
    const settingField = (name) => selectField(name, t.imports.settings[name]);
    const settingCheck = (name) =>
      checkbox(t.imports.checks[name], {
        "data-key": name,
        checked: options[name],
        onchange: (event) => this.change({ [name]: event.target.checked }),
      });
    const encodingField = selectField("encoding", [
      t.imports.encoding,
      [
        ["", t.imports.detect],
        ...this.encodings.map(({ encoding, samples }) => [encoding, [encoding, ...samples].join(" · ")]),
        ...ENCODINGS.filter((name) => this.encodings.every(({ encoding }) => encoding !== name)),
      ],
    ]);
    const start = (dryRun, label, isPrimary) =>
      button(label, (event) => this.send(dryRun, event.currentTarget), {
        class: isPrimary ? "primary" : null,
        disabled: Boolean(problem),
      });
    this.firstHeadings ??= columns.filter(({ field }) => !field).map(({ heading }) => heading);
    const isFirst = ({ heading }) => this.firstHeadings.includes(heading);
    const ordered = [...columns.filter(isFirst), ...columns.filter((column) => !isFirst(column))];
    const row = ({ heading, field, note, samples: stored, warnings }) => {
      const index = columns.findIndex((column) => column.heading === heading);
      const samples = field ? stored : cellsOf(this.preview.rows, index);
      return h(
        "tr",
        null,
        h("th", { scope: "row" }, userText(heading)),
        h(
          "td",
          null,
          h(
            "select",
            {
              "aria-label": t.imports.columnIs(heading),
              "data-key": `map ${heading}`,
              onchange: (event) => this.chooseField(heading, event.target.value),
            },
            columnOptions(heading, field, fields),
          ),
        ),
        h(
          "td",
          { "data-label": t.imports.fieldColumns[2] },
          h(
            "div",
            null,
            samples.length ? samples.map((sample) => h("div", null, userText(readableSample(field, sample)))) : "–",
          ),
        ),
        h(
          "td",
          null,
          warnings
            ? h("div", null, icon("warning"), " ", t.imports.columnWarnings(formatNumber(warnings), warnings))
            : null,
          note ? h("div", { class: "hint" }, note.replace(COMMAND_HINT, "")) : null,
        ),
      );
    };
    replace(
      this.body,
      h(
        "section",
        { class: "card preview", "aria-labelledby": "preview" },
        h("h2", { id: "preview", tabindex: "-1" }, userText(this.file.name)),
        h("p", { class: "hint" }, userText(summary)),
        isIncomplete ? h("p", { class: "notice" }, t.imports.incomplete) : null,
        problem
          ? h(
              "p",
              { class: "notice wrong", role: "alert" },
              icon("warning"),
              h(
                "span",
                null,
                encodings.length
                  ? t.imports.unclearEncoding
                  : problem.replace(COMMAND_HINT, ` ${t.imports.chooseEmail}`),
              ),
            )
          : null,
        this.encodings.length ? encodingField : null,
        this.undecided.length
          ? selectField("dates", [t.imports.dates(this.undecided.join(t.separators.list)), t.imports.orders])
          : null,
        columns.length
          ? [
              this.savedMappings(),
              tableBox(
                { "aria-label": t.imports.fields },
                "plain-table stack",
                headingRow(t.imports.fieldColumns),
                h("tbody", null, ordered.map(row)),
              ),
            ]
          : null,
        format === "csv"
          ? checkbox(t.imports.headings, {
              "data-key": "header",
              checked: options.header,
              onchange: (event) => this.change({ header: event.target.checked, map: {} }),
            })
          : null,
        h(
          "div",
          { class: "fields" },
          ["match", "empty", "consent", "tags"].map(settingField),
          sheets.length > 1 ? selectField("sheet", [t.imports.sheet, sheets], sheet) : null,
          sheet || this.encodings.length ? null : encodingField,
        ),
        ["strict", "silent"].map(settingCheck),
      ),
      h(
        "div",
        { class: "row" },
        start(true, t.imports.testRun, true),
        start(false, t.imports.import),
        button(t.imports.saveMapping, () => this.saveMapping()),
        button(t.imports.otherFile, () => this.start(), { class: "plain" }),
      ),
    );
  }

  /** The mappings that were saved for files with these headings. */
  savedMappings() {
    const headings = headingsOf(this.preview);
    return loadMappings(this.accountId)
      .filter((saved) => saved.headings === headings)
      .map(({ name, options }) =>
        h(
          "div",
          { class: "row" },
          // Its sheet may have had another name.
          button(t.imports.useMapping(name), () => this.change({ ...options, sheet: this.options.sheet }), {
            "data-key": `use ${name}`,
          }),
          iconButton("trash", t.imports.deleteMapping(name), () => this.storeMapping(name, null)),
        ),
      );
  }

  async saveMapping() {
    const field = formField(t.imports.mappingName, h("input", { type: "text" }));
    const name = await openFormDialog(
      t.imports.saveMapping,
      t.save,
      field,
      { field },
      async () => field.input.value.trim() || field.setError(t.imports.noName),
    );
    if (name) this.storeMapping(name, this.options);
  }

  /** Stores options under a name. Without `options`, deletes those of this name. */
  storeMapping(name, options) {
    const headings = headingsOf(this.preview);
    const others = loadMappings(this.accountId).filter((saved) => saved.name !== name || saved.headings !== headings);
    localStorage.setItem(
      `mappings-${this.accountId}`,
      JSON.stringify([...(options ? [{ name, headings, options }] : []), ...others].slice(0, MAX_MAPPINGS)),
    );
    this.showPreview();
    this.body.querySelector("h2").focus();
  }

  /** Sends the file, and then shows the import. */
  async send(dryRun, control) {
    const params = this.buildParams({ ...this.options, dry_run: dryRun });
    const bar = h("progress", { max: this.file.size || 1, value: 0, "aria-label": t.imports.sending });
    const text = h("p", { class: "hint", role: "status" }, t.imports.sending);
    const abort = new AbortController();
    const preview = [...this.body.childNodes];
    await withBusy(control, async () => {
      this.isSending = true;
      const section = h(
        "section",
        { class: "card" },
        h("h2", { tabindex: "-1" }, userText(this.file.name)),
        bar,
        text,
        button(t.cancel, () => abort.abort()),
      );
      replace(this.body, section);
      section.querySelector("h2").focus();
      const onProgress = (sentBytes, totalBytes) => {
        bar.value = sentBytes;
        text.textContent = t.imports.sent(formatBytes(sentBytes), formatBytes(totalBytes));
      };
      try {
        const { id } = await uploadFile(`/import?${params}`, this.file, { onProgress, signal: abort.signal });
        this.isSending = false;
        navigate(jobUrl(id));
      } catch (error) {
        replace(this.body, preview);
        showError(error); // none after a cancelled upload
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
      if (isFirst)
        replace(
          this.body,
          errorState(error, () => this.watch(id, true)),
        );
      else this.timer = setTimeout(() => this.watch(id), POLL_MS * 4);
      return;
    }
    this.showRun(run, isFirst);
    if (isRunning(run)) this.timer = setTimeout(() => this.watch(id), POLL_MS);
    else if (!isFirst) announce(t.imports.ended(t.imports.states[run.state]));
  }

  showRun(run, isFirst) {
    const isActive = isRunning(run);
    const figure = (name) =>
      h(
        "div",
        null,
        h("dt", null, t.imports.outcomes[name]),
        h("dd", null, run[name] === null ? "–" : formatNumber(run[name])),
      );
    const focused = document.activeElement;
    const isTested = run.dry_run && run.state === "done";
    const hasFile = this.file?.name === run.name;
    const changeCount = run.created + run.updated;
    const url = `/import/${encodeURIComponent(run.id)}`;
    const cancel = button(t.cancel, () => runAction(cancel, () => request(url, { method: "DELETE" })));
    const repair = button([icon("edit"), t.imports.repair.open], () =>
      runAction(repair, async () => {
        const id = await openRepair(run);
        if (id) navigate(jobUrl(id));
      }),
    );
    const problems = (part, count, title, kinds) =>
      kinds.length
        ? [
            h("h3", null, count ? title(formatNumber(count), count) : t.imports.notices),
            isActive || !count
              ? null
              : h(
                  "p",
                  null,
                  t.imports.fix[part],
                  " ",
                  h("a", { href: `${url}/${part}`, download: true }, t.imports.download[part]),
                ),
            part === "rejected" && canRepair(run) ? repair : null,
            problemList(kinds, placeOf(run)),
          ]
        : null;
    replace(
      this.body,
      h(
        "section",
        { class: "card", "aria-labelledby": "run" },
        h(
          "h2",
          { id: "run", tabindex: "-1" },
          userText(run.name),
          run.dry_run ? chip(t.imports.dryRun) : null,
          run.silent ? chip(t.imports.isSilent) : null,
        ),
        h("p", null, stateOf(run), run.message && run.state === "failed" ? [" ", run.message] : null),
        isActive
          ? h("progress", {
              max: run.bytes || 1,
              value: run.state === "running" ? run.bytes_read : 0,
              "aria-label": t.imports.progress,
            })
          : null,
        run.dry_run && !isActive
          ? h(
              "p",
              { class: "notice" },
              t.imports.nothingSaved,
              isTested && !hasFile ? [" ", t.imports.chooseAgain] : null,
              isTested && !changeCount && run.unchanged ? [" ", t.imports.nothingToImport] : null,
            )
          : null,
        h(
          "dl",
          { class: "tiles small" },
          ["created", "updated", "unchanged", "rejected", "rows_with_warnings"].map(figure),
        ),
        problems("rejected", run.rejected, t.imports.problems, run.problems),
        problems("warnings", run.rows_with_warnings, t.imports.warnings, run.warnings),
      ),
      h(
        "div",
        { class: "row" },
        isActive ? cancel : null,
        isTested && hasFile
          ? [
              changeCount
                ? button(
                    t.imports.importTested(
                      formatNumber(changeCount),
                      changeCount,
                      formatNumber(run.rejected),
                      run.rejected,
                    ),
                    (event) => this.send(false, event.currentTarget),
                    { class: "primary" },
                  )
                : null,
              button(t.imports.changeSettings, () => this.showPreview()),
            ]
          : null,
        isActive || !this.canRead ? null : undoButton(run, () => this.watch(run.id, true)),
        isActive
          ? null
          : h("a", { class: run.dry_run ? "button" : "button primary", href: "/customers" }, t.imports.toList),
        h("a", { class: "button plain", href: "/imports" }, t.imports.anotherFile),
      ),
    );
    if (isFirst || focused === document.body || !document.contains(focused))
      this.body.querySelector("h2").focus({ preventScroll: true });
  }
}

/** The table of recent imports. Without `read()`, which reads them again, none can be undone. */
function runTable(runs, read) {
  return tableBox(
    { class: "card table-wrap", "aria-labelledby": "recent" },
    "plain-table stack",
    headingRow(t.imports.columns),
    h(
      "tbody",
      null,
      runs.map((run) =>
        h(
          "tr",
          null,
          h(
            "th",
            { scope: "row" },
            h("a", { href: jobUrl(run.id) }, userText(run.name)),
            run.dry_run ? chip(t.imports.dryRun) : null,
          ),
          h("td", null, stateOf(run)),
          h(
            "td",
            null,
            run.created === null
              ? null
              : t.imports.counts(formatNumber(run.created), formatNumber(run.updated), formatNumber(run.rejected)),
          ),
          h("td", null, timeElement(formatDateTime(run.created_at), run.created_at)),
          h("td", null, read ? undoButton(run, read) : null),
        ),
      ),
    ),
  );
}

/** What the numbers of examples count in a file. */
const placeOf = ({ name, recognised: { format } }) =>
  format === "csv" ? "row" : JSON_LINES.test(name) ? "line" : "record";

/** The kinds of problems, each with its column, its number of rows and examples in their `place`. */
function problemList(kinds, place) {
  return h(
    "ul",
    { class: "problems" },
    kinds.map(({ count, kind, examples }) =>
      h(
        "li",
        null,
        h(
          "strong",
          null,
          userText(kind.replace(/^\S+ ?/, "")),
          " ",
          h("span", { class: "hint" }, t.imports.rows(formatNumber(count), count)),
        ),
        h(
          "ul",
          null,
          placesByMessage(examples, place).map(([message, numbers]) =>
            h(
              "li",
              null,
              h(
                "span",
                { class: "hint" },
                t.imports.places[place](numbers.map(formatNumber).join(t.separators.list), numbers.length),
              ),
              " ",
              messageForPages(message),
            ),
          ),
        ),
      ),
    ),
  );
}

/** The examples of a problem as pairs of a message and the numbers of the places that have it. */
function placesByMessage(examples, place) {
  const places = new Map();
  for (const { line, row, message } of examples)
    places.set(message, [...(places.get(message) ?? []), place === "row" ? row : line]);
  return [...places];
}

/** A message of an import in the words of the pages: without options, and with the labels of the settings. */
function messageForPages(message) {
  const label = (text, name, value) => {
    const [setting, choices] = t.imports.settings[name];
    const choice = choices.find(([other]) => other === value)?.[1];
    return choice ? t.quoted(`${setting}: ${choice}`) : text;
  };
  const text = translateMessage(message.replace(DATES_HINT, "").replace(OPTION_HINT, "")).replace(SETTING, label);
  return readableMessage(text.replace("`custom`", t.imports.customFields));
}

/** A sample value as the pages show it. */
function readableSample(field, sample) {
  if (field === "tags" && sample.startsWith("[")) return JSON.parse(sample).join(", ");
  if (field === "accepts_marketing") return sample === "true" ? t.yes : t.no;
  return sample;
}

/** The first different values of a column, as the file has them. */
const cellsOf = (rows, index) => [...new Set(rows.map((cells) => cells[index]).filter(Boolean))].slice(0, MAX_SAMPLES);

const headingsOf = ({ columns }) => JSON.stringify(columns.map(({ heading }) => heading));

/** The saved mappings of an account, the newest first: each with a name, headings and options. */
function loadMappings(accountId) {
  try {
    return JSON.parse(localStorage.getItem(`mappings-${accountId}`)) ?? [];
  } catch {
    return [];
  }
}

/** The fields that a column can be, with `field` selected. */
function columnOptions(heading, field, fields) {
  const custom = `custom.${heading}`;
  const names = field && field !== custom && !fields.includes(field) ? [...fields, field] : fields;
  return selectOptions(
    [
      [IGNORED_COLUMN, t.imports.leaveOut],
      [custom, t.fieldName(custom)],
      ...names.map((name) => [name, t.fieldName(name)]),
    ],
    field ?? IGNORED_COLUMN,
  );
}
