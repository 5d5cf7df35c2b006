// The rejected rows of an import as a table to correct, with the reason at the cell. The corrected rows
// are imported again.

import { offlineError, uploadFile } from "./api.js";
import { h, uniqueId, userText } from "./dom.js";
import { formatNumber } from "./format.js";
import { icon } from "./icons.js";
import { readableMessage } from "./server-messages.js";
import { t } from "./texts.js";
import { button, headingRow, openDialog, showError, tableBox, withBusy } from "./ui.js";

const MAX_ROWS = 50;
const MAX_BYTES = 512 * 1024;
// The options of an import that apply to its corrected rows, too.
const OPTIONS = ["match", "empty", "consent", "tags", "dates", "strict", "source", "no_email", "unknown"];
/** The field of a column that is not imported. */
export const IGNORED_COLUMN = "-";

/** Whether the rejected rows of an import can be corrected on the page: those of a file with headings. */
export const canRepair = ({ rejected, recognised, options, dry_run: isDry, state }) =>
  rejected > 0 && !isDry && state === "done" && recognised.format === "csv" && options?.header !== false;

/** Reads the beginning of a file. Throws ApiError. */
async function readBeginning(url) {
  const response = await fetch(url, { credentials: "same-origin" }).catch(() => null);
  if (!response?.ok) throw offlineError();
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { text, isWhole: true };
    text += decoder.decode(value, { stream: true });
    if (text.length > MAX_BYTES) {
      reader.cancel();
      return { text, isWhole: false };
    }
  }
}

/** The rows of a text of CSV: at most so many. */
function parseCsv(text, delimiter, maxRows) {
  const rows = [];
  let row = [];
  let cell = "";
  let isQuoted = false;
  for (let index = 0; index < text.length && rows.length < maxRows; index += 1) {
    const character = text[index];
    if (isQuoted) {
      if (character !== '"') cell += character;
      else if (text[index + 1] === '"') {
        cell += character;
        index += 1;
      } else isQuoted = false;
    } else if (character === '"' && cell === "") isQuoted = true;
    else if (character === delimiter) {
      row.push(cell);
      cell = "";
    } else if (character === "\n") {
      rows.push([...row, cell.replace(/\r$/, "")]);
      row = [];
      cell = "";
    } else cell += character;
  }
  return rows;
}

const writeCsv = (rows) =>
  rows.map((row) => `${row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(",")}\r\n`).join("");

/** The number of a row in the file, if its reason begins with it, and the rest of the reason. */
function splitRowNumber(reason) {
  const [, number, text] = reason.match(/^Row (\d+): (.*)$/s) ?? [null, null, reason];
  return { number: number && Number(number), text };
}

/** The messages of a row by the index of their column; -1 for those of the whole row. */
function messagesByColumn(reason, headings) {
  const found = headings
    .flatMap((heading, column) => {
      const index = ` ${reason}`.indexOf(` ${heading}: `);
      return heading && index >= 0 ? [{ column, index, start: index + heading.length + 2 }] : [];
    })
    .sort((one, other) => one.index - other.index);
  const messages = new Map();
  const first = reason.slice(0, found[0]?.index ?? reason.length).trim();
  if (first) messages.set(-1, readableMessage(first));
  found.forEach(({ column, start }, index) => {
    messages.set(column, readableMessage(reason.slice(start, found[index + 1]?.index ?? reason.length).trim()));
  });
  return messages;
}

/** The parameters of the import of corrected rows: those of the first import, for this file. */
function repairParams({ name, options, recognised, silent }, headings) {
  const params = new URLSearchParams({
    name: t.imports.repair.fileName(name),
    format: "csv",
    encoding: "utf-8",
    delimiter: ",",
    silent: String(silent),
  });
  for (const option of OPTIONS) if (options[option] ?? null) params.set(option, String(options[option]));
  for (const heading of headings)
    if (heading in recognised.columns)
      params.append("map", `${heading}=${recognised.columns[heading] ?? IGNORED_COLUMN}`);
  return params;
}

/** The input of a cell. One line would lose the line breaks of a note. */
function cellInput(cell, heading) {
  const attributes = { value: cell, "aria-label": heading, autocomplete: "off", dir: "auto" };
  return cell.includes("\n") ? h("textarea", { ...attributes, rows: 2 }) : h("input", { ...attributes, type: "text" });
}

const isWrong = (input) => input.hasAttribute("aria-invalid");

/**
 * Opens the rejected rows of an import, to correct and import them. Enter goes to the next wrong value, and from the
 * last one to the button. Resolves with the id of the new import, or null. Throws ApiError.
 */
export async function openRepair(run) {
  const { text, isWhole } = await readBeginning(`/import/${encodeURIComponent(run.id)}/rejected`);
  const [head, ...parsed] = parseCsv(text, run.recognised.delimiter ?? ",", MAX_ROWS + 2);
  const headings = head.slice(1);
  const rows = parsed.filter((row) => row.length === head.length).slice(0, MAX_ROWS);
  const inputs = rows.map((row) => row.slice(1).map((cell, column) => cellInput(cell, headings[column])));
  const initialValues = inputs.map((row) => row.map(({ value }) => value));
  const cellOf = (input, message) => {
    if (!message) return h("td", { "data-label": input.getAttribute("aria-label") }, input);
    const problem = h("p", { class: "problem", id: uniqueId("problem") }, icon("warning"), h("span", null, message));
    input.setAttribute("aria-describedby", problem.id);
    input.setAttribute("aria-invalid", "true");
    return h("td", { class: "wrong", "data-label": input.getAttribute("aria-label") }, h("div", null, input, problem));
  };
  const rowOf = (row, index) => {
    const { number, text: reason } = splitRowNumber(row[0]);
    const messages = messagesByColumn(reason, headings);
    return h(
      "tr",
      null,
      h(
        "th",
        { scope: "row" },
        number && formatNumber(number),
        messages.has(-1) ? h("p", { class: "problem" }, messages.get(-1)) : null,
      ),
      inputs[index].map((input, column) => cellOf(input, messages.get(column))),
    );
  };
  const rest = run.rejected - rows.length;
  const tableRows = rows.map(rowOf);
  inputs.flat().find(isWrong)?.setAttribute("autofocus", "");
  return openDialog(
    t.imports.repair.title(formatNumber(rows.length), rows.length),
    (close) => {
      const submit = button(
        t.imports.repair.submit(formatNumber(rows.length), rows.length),
        () =>
          withBusy(submit, async () => {
            const content = writeCsv([headings, ...inputs.map((row) => row.map(({ value }) => value))]);
            try {
              const url = `/import?${repairParams(run, headings)}`;
              const { id } = await uploadFile(url, new Blob([content]), { onProgress: () => {}, signal: null });
              close(id);
            } catch (error) {
              showError(error);
            }
          }),
        { class: "primary" },
      );
      return h(
        "div",
        null,
        h("p", { class: "hint" }, t.imports.repair.hint),
        rest > 0 || !isWhole ? h("p", { class: "notice" }, t.imports.repair.rest(formatNumber(rest), rest)) : null,
        tableBox(
          {
            class: "table-wrap repair",
            "aria-label": t.imports.repair.rows,
            onkeydown: (event) => {
              if (event.key !== "Enter" || event.isComposing || !event.target.matches("input")) return;
              const wrong = inputs.flat().filter((input) => input === event.target || isWrong(input));
              (wrong[wrong.indexOf(event.target) + 1] ?? submit).focus();
              event.preventDefault();
            },
          },
          "plain-table stack",
          headingRow([t.imports.repair.row, ...headings.map((heading) => userText(heading))]),
          h("tbody", null, tableRows),
        ),
        h(
          "div",
          { class: "row end" },
          button(t.cancel, () => close()),
          submit,
        ),
      );
    },
    {
      isWide: true,
      isUnsaved: () =>
        inputs.some((row, index) => row.some(({ value }, column) => value !== initialValues[index][column])),
    },
  );
}
