// Jobs: following one, undoing one, and their parts of the page of imports.

import { ApiError, isTemporary, runMutation, runQuery } from "./api.js";
import { h, replace, userText } from "./dom.js";
import { formatDateTime, formatNumber, timeElement } from "./format.js";
import { navigate } from "./navigation.js";
import { t } from "./texts.js";
import {
  askConfirmation,
  button,
  chip,
  errorState,
  headingRow,
  runAction,
  showError,
  stateBadge,
  tableBox,
  toast,
} from "./ui.js";

const FIRST_POLL_MS = 50;
const POLL_MS = 400;
const RETRY_MS = 1600; // while the server does not respond
// The jobs that are read, with imports and previews, and the edits and undos of them that are listed.
const READ_SIZE = 250;
const LIST_SIZE = 50;
const RUNNING_STATES = ["receiving", "pending", "running"];
/** The selection of a job. */
export const JOB_FIELDS = `id kind state name dry_run silent total done changed unchanged rejected message undone_by undo_of
  can_undo segments { name renamed } created_at(format: "ISO") actor { name } problems { message count examples }`;
const UNDO = `mutation($id: ID!, $dryRun: Boolean) { undoJob(id: $id, dryRun: $dryRun) { ${JOB_FIELDS} } }`;

/** Whether an import or a job has not ended. */
export const isRunning = ({ state }) => RUNNING_STATES.includes(state);
/** The URL of an import or a job. */
export const jobUrl = (id) => `/imports?id=${encodeURIComponent(id)}`;
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const nameOf = ({ kind, name }) => t.jobs.kinds[kind](name);

/**
 * Waits for the end of a job, and returns it. `onProgress(job)` is called with each state of it; `more`
 * is selected, too. The job continues after a restart of the server, and so does this; unless it
 * `isKnown`, only after its first state. Throws ApiError.
 */
export async function followJob(id, onProgress = (_job) => {}, { more = "", isKnown = true, signal = null } = {}) {
  const document = `query($id: ID!) { job(id: $id) { ${JOB_FIELDS} ${more} } }`;
  for (let pause = FIRST_POLL_MS; ; pause = Math.min(POLL_MS, 2 * pause)) {
    signal?.throwIfAborted();
    try {
      const { job } = await runQuery(document, { id }, { quiet: true, signal });
      if (!job) throw new ApiError([{ key: "jobs_not_found", message: t.jobs.missing }]);
      isKnown = true;
      onProgress(job);
      if (!isRunning(job)) return job;
    } catch (error) {
      if (!isKnown || !isTemporary(error)) throw error;
      await wait(RETRY_MS);
    }
    await wait(pause);
  }
}

/**
 * Follows the job `first`, and then those that the functions `rest` start, one after another. Their progress,
 * their result and *Undo* are in messages; `describe(changed, unchanged)` returns the text of the result, and
 * `read()` reads the list again.
 */
export async function followJobs(first, rest, describe, read) {
  const progress = toast(t.jobs.starting, { isLasting: true });
  const jobs = [];
  try {
    for (const start of [() => first, ...rest]) {
      const { id } = await start();
      const job = await followJob(id, ({ done, total }) => {
        if (total) progress.setText(t.jobs.running(formatNumber(done), formatNumber(total)));
      });
      jobs.push(job);
      if (job.state !== "done") break;
    }
  } catch (error) {
    showError(error);
  } finally {
    progress.close();
  }
  if (!jobs.length) return;
  const sum = (name) => jobs.reduce((count, job) => count + job[name], 0);
  const rejected = sum("rejected");
  const undoable = jobs.filter((job) => job.can_undo);
  const undo = async () => {
    for (const job of undoable) await undoNow(job.id);
    read();
  };
  showEnd(
    { ...jobs.at(-1), changed: sum("changed") },
    (_shown, changed) => describe(changed, sum("unchanged")),
    rejected ? t.jobs.rejected(formatNumber(rejected)) : "",
    undoable.length ? [[t.undo, undo]] : [],
  );
  read();
}

/** Undoes a job, with its progress in a message. */
async function undoNow(id) {
  const progress = toast(t.jobs.undoing(formatNumber(0)), { isLasting: true });
  try {
    const { undoJob } = await runMutation(UNDO, { id });
    const job = await followJob(undoJob.id, ({ done }) => progress.setText(t.jobs.undoing(formatNumber(done))));
    showEnd(job, t.jobs.undone, job.problems.length ? t.jobs.someKept : "");
  } catch (error) {
    showError(error);
  } finally {
    progress.close();
  }
}

/** Shows the end of a job in a message, with `rest` after the number of changed customers. */
function showEnd(job, text, rest, actions = []) {
  const { changed, id, message, state } = job;
  const isDone = state === "done";
  const done = () => [text(formatNumber(changed), changed) + rest, ...segmentTexts(job)].join(" ");
  toast(isDone ? done() : t.jobs.failed(message ?? ""), {
    isError: !isDone,
    actions: [...actions, [t.jobs.show, () => navigate(jobUrl(id))]],
    seconds: 20,
  });
}

/** The texts about the segments in which a job has renamed tags. */
function segmentTexts({ segments }) {
  const namesOf = (isRenamed) =>
    segments
      .filter(({ renamed }) => renamed === isRenamed)
      .map(({ name }) => name)
      .join(t.separators.list);
  const [renamed, kept] = [namesOf(true), namesOf(false)];
  return [renamed && t.tagPage.segments(renamed), kept && t.tagPage.keptSegments(kept)].filter(Boolean);
}

/** Shows what an undo of a job would keep, and undoes it after a confirmation. Resolves with whether it did. */
async function askUndo(job) {
  const progress = toast(t.jobs.undoCheck, { isLasting: true });
  let tried;
  try {
    const { undoJob } = await runMutation(UNDO, { id: job.id, dryRun: true });
    tried = await followJob(undoJob.id);
  } finally {
    progress.close();
  }
  const { changed, problems } = tried;
  const text = [
    h("p", null, changed ? t.jobs.undoChanges(formatNumber(changed), changed) : t.jobs.undoNothing),
    changed && job.created ? h("p", null, t.jobs.undoImport) : null,
    problems.length ? [h("p", null, t.jobs.undoKeeps), reasons(problems), keptLink(tried)] : null,
  ];
  const isConfirmed = await askConfirmation(t.jobs.undoTitle(job.name), text, changed ? t.jobs.undoSubmit : null);
  if (isConfirmed) await undoNow(job.id);
  return isConfirmed;
}

const keptLink = ({ id, kind }) =>
  h(
    "p",
    null,
    h("a", { href: `/jobs/${id}/${kind === "undo" ? "kept" : "rejected"}`, download: true }, t.jobs.downloadKept),
  );

/** The problems of a job, each with its number of customers. A field has its label. */
export const reasons = (problems) =>
  h(
    "ul",
    { class: "problems" },
    problems.map(({ message, count }) =>
      h(
        "li",
        null,
        readableReason(message),
        " ",
        h("span", { class: "hint" }, t.jobs.customersWith(formatNumber(count), count)),
      ),
    ),
  );

function readableReason(message) {
  const [, name, rest] = message.match(/^([\w.]+): (.*)$/) ?? [];
  return name ? [userText(t.fieldName(name)), ": ", rest] : message.replace(/`/g, "");
}

/** The button that undoes a job, or the state of one that was undone. `read()` is called after an undo. */
export function undoButton(job, read) {
  if (job.undone_by) return h("a", { href: jobUrl(job.undone_by) }, t.jobs.wasUndone);
  if (!job.can_undo) return null;
  const control = button(t.undo, () => runAction(control, async () => (await askUndo(job)) && read()), {
    "aria-label": t.jobs.undoNamed(job.name),
  });
  return control;
}

/** The section with the latest bulk edits and undos; empty without any. Throws ApiError. */
export async function jobsSection(signal) {
  const { jobs } = await runQuery(
    `{ jobs(first: ${READ_SIZE}) { edges { node { ${JOB_FIELDS} } } } }`,
    {},
    { signal, quiet: true },
  );
  const shown = jobs.edges
    .map(({ node }) => node)
    .filter(({ kind, dry_run: isDry }) => kind !== "import" && !isDry)
    .slice(0, LIST_SIZE);
  if (!shown.length) return null;
  const section = h("section", { class: "recent", "aria-labelledby": "jobs" });
  const read = async () => section.replaceWith(await jobsSection(signal));
  const row = (job) =>
    h(
      "tr",
      null,
      h("th", { scope: "row" }, h("a", { href: jobUrl(job.id) }, nameOf(job))),
      h("td", null, stateOf(job)),
      h("td", null, t.jobs.result(formatNumber(job.changed), job.rejected ? formatNumber(job.rejected) : "")),
      h("td", null, timeElement(formatDateTime(job.created_at), job.created_at)),
      h("td", null, undoButton(job, read)),
    );
  const label = { class: "card table-wrap", "aria-labelledby": "jobs" };
  replace(
    section,
    h("h2", { id: "jobs" }, t.jobs.listTitle),
    tableBox(label, "plain-table stack", headingRow(t.jobs.columns), h("tbody", null, shown.map(row))),
  );
  return section;
}

/** The state of an import or a job. */
export const stateOf = ({ state }) => stateBadge(state, t.imports.states[state] ?? state);

/** Shows a job in a `body`, and its progress until it has ended or the `signal` is aborted. */
export async function watchJob(body, id, signal) {
  try {
    const show = (job) => showJob(body, job, () => watchJob(body, id, signal));
    await followJob(id, show, { isKnown: false, signal });
  } catch (error) {
    if (error.name === "AbortError") return;
    replace(
      body,
      errorState(error, () => watchJob(body, id, signal)),
    );
  }
}

/** Shows a job. While its state stays the same, so do its buttons, which keep the focus. */
function showJob(body, job, read) {
  const { dry_run: isDry, message, problems, state, undone_by: undoneBy } = job;
  const focused = document.activeElement;
  const isActive = isRunning(job);
  const figure = (name) => h("div", null, h("dt", null, t.jobs.outcomes[name]), h("dd", null, formatNumber(job[name])));
  const cancel = button(t.cancel, () =>
    runAction(cancel, () => runMutation("mutation($id: ID!) { cancelJob(id: $id) { id } }", { id: job.id })),
  );
  const shown = `${state} ${undoneBy ?? ""}`;
  const section = h(
    "section",
    { class: "card", "aria-labelledby": "job", "data-shown": shown },
    h("h2", { id: "job", tabindex: "-1" }, nameOf(job), isDry ? chip(t.imports.dryRun) : null),
    h("p", null, stateOf(job), message && state === "failed" ? [" ", message] : null),
    h(
      "p",
      { class: "hint" },
      t.jobs.by(job.actor.name),
      " · ",
      timeElement(formatDateTime(job.created_at), job.created_at),
    ),
    isActive ? h("progress", { max: job.total || 1, value: job.done, "aria-label": t.jobs.progress }) : null,
    h(
      "dl",
      { class: "tiles small" },
      ["changed", "unchanged", ...(job.kind === "undo" ? [] : ["rejected"])].map(figure),
    ),
    segmentTexts(job).map((text) => h("p", null, text)),
    problems.length
      ? [
          h("h3", null, job.kind === "undo" ? t.jobs.kept : t.jobs.notEdited),
          reasons(problems),
          isActive ? null : keptLink(job),
        ]
      : null,
  );
  const before = body.querySelector("section[data-shown]");
  if (before?.getAttribute("data-shown") === shown) before.replaceWith(section);
  else
    replace(
      body,
      section,
      h(
        "div",
        { class: "row" },
        isActive ? cancel : undoButton(job, read),
        h("a", { class: "button plain", href: "/imports" }, t.jobs.toList),
      ),
    );
  if (focused === document.body || !document.contains(focused)) body.querySelector("h2").focus({ preventScroll: true });
}
