// The webhooks: the list, the dialog for a new one, and the page of each with its deliveries.

import { runQuery, runMutation } from "./api.js";
import { announce } from "./progress.js";
import { h, replace, userText } from "./dom.js";
import { selectTimes } from "./fields.js";
import { relativeTime, formatNumber } from "./format.js";
import { icon } from "./icons.js";
import { navigate } from "./navigation.js";
import { t } from "./texts.js";
import {
  button,
  showError,
  askConfirmation,
  checkbox,
  emptyState,
  formField,
  openFormDialog,
  pageHeader,
  runAction,
  selectOptions,
  showMissing,
  stateBadge,
  toast,
} from "./ui.js";

const POLL_MS = 3000;
const SHOWN_DELIVERIES = 25;
const MAX_DELIVERIES = 250;
const MAX_MISSED_COUNT = 10_000; // at which the server stops counting
const UPDATE = "mutation($id: ID!, $node: WebhookUpdateInput!) { updateWebhook(id: $id, node: $node) { _id } }";
const READ_ONE = `query($id: ID!, $first: Int!) { webhookTypes webhook(id: $id) { id _id type url settings disabled_reason paused missed_count
  ${selectTimes("disabled_at", "created_at")}
  deliveries(first: $first) { pageInfo { hasNextPage } edges { node { id event_id sequence customer_id job_id state
    ${selectTimes("created_at", "next_attempt_at")} attempts { attempt ${selectTimes("at")} milliseconds status error request_headers request response_headers response } } } } } }`;
const READ = `{ webhookTypes webhooks { _id type url settings paused ${selectTimes("disabled_at")}
  deliveries(first: 1) { edges { node { state ${selectTimes("created_at")} } } } } }`;

export async function show(page) {
  const { main, signal, params, setTitle } = page;
  if (params.number) return showOne(page);
  setTitle(t.nav.webhooks);
  const { webhooks, webhookTypes } = await runQuery(READ, {}, { signal });
  const add = () => edit(null, webhookTypes).then((webhook) => webhook && navigate(`/webhooks/${webhook._id}`));
  const addButton = () => button([icon("add"), t.webhooks.new], add, { class: "primary" });
  replace(
    main,
    pageHeader(t.nav.webhooks, webhooks.length ? addButton() : null),
    h("p", { class: "lead-in" }, t.webhooks.text),
    webhooks.length
      ? h("ul", { class: "cards" }, webhooks.map(card))
      : emptyState("webhook", t.webhooks.none, t.webhooks.noneText, addButton()),
  );
}

function card(webhook) {
  const last = webhook.deliveries.edges[0]?.node;
  return h(
    "li",
    { class: "card" },
    h(
      "div",
      { class: "grow" },
      h("h2", null, h("a", { href: `/webhooks/${webhook._id}` }, h("code", null, webhook.type))),
      h("p", { class: "url" }, userText(webhook.url)),
    ),
    h(
      "p",
      null,
      webhook.disabled_at
        ? stateBadge(
            webhook.paused ? "pending" : "failed",
            webhook.paused ? t.webhooks.paused : t.webhooks.disabled,
            " ",
            relativeTime(webhook, "disabled_at"),
          )
        : last
          ? [stateBadge(last.state, t.webhooks.states[last.state]), " ", relativeTime(last, "created_at")]
          : h("span", { class: "hint" }, t.webhooks.noDelivery),
    ),
  );
}

/** Opens a dialog for a new webhook, or to edit one. Resolves with the webhook that was saved, or null. */
function edit(webhook, types) {
  const type = formField(t.webhooks.type, h("select", { autofocus: true }, selectOptions(types, webhook?.type)));
  const url = formField(
    t.webhooks.url,
    h("input", {
      type: "text",
      inputmode: "url",
      value: webhook?.url ?? "",
      autocomplete: "off",
      spellcheck: "false",
      placeholder: "https://example.com/hook",
    }),
  );
  // Text or a list of names: the server checks them, and older settings may have other values.
  const filters = Object.fromEntries(
    ["query", "segments_uids", "fields", "include"].map((name) => {
      const [label, hint] = t.webhooks.filters[name];
      const value = [webhook?.settings[name] ?? []].flat().join(", ");
      const input = h("input", { type: "text", value, autocomplete: "off", spellcheck: "false" });
      return [name, formField(label, input, { hint })];
    }),
  );
  const changes = checkbox(t.webhooks.changes, { checked: Boolean(webhook?.settings.changes) });
  return openFormDialog(
    webhook ? t.webhooks.edit : t.webhooks.new,
    webhook ? t.save : t.webhooks.create,
    [type, url, changes, Object.values(filters)],
    { url, type, ...filters },
    async () => {
      const settings = { ...webhook?.settings };
      if (changes.input.checked) settings.changes = true;
      else delete settings.changes;
      for (const [name, field] of Object.entries(filters)) {
        const text = field.input.value.trim();
        const names = text.split(/[\s,]+/).filter(Boolean);
        if (names.length) settings[name] = name === "query" ? text : names;
        else delete settings[name];
      }
      const node = { type: type.input.value, url: url.input.value.trim(), settings };
      const data = webhook
        ? await runMutation(UPDATE, { id: webhook.id, node })
        : await runMutation("mutation($node: WebhookInput!) { createWebhook(node: $node) { _id } }", { node });
      toast(t.saved);
      return data.createWebhook ?? data.updateWebhook;
    },
  );
}

/** Shows a webhook with its deliveries. */
async function showOne({ main, signal, params, setTitle }) {
  const id = params.number;
  const openIds = new Set();
  let size = SHOWN_DELIVERIES;
  let previous = "";
  const deliveries = h("div");
  const head = h("div");

  async function render({ isFirst = false, quiet = false } = {}) {
    const { webhook, webhookTypes } = await runQuery(READ_ONE, { id, first: size }, { signal, quiet });
    if (!webhook) {
      clearInterval(timer);
      showMissing(
        { main, setTitle },
        "webhook",
        t.webhooks.missing,
        t.webhooks.missingText,
        "/webhooks",
        t.webhooks.toList,
      );
      return;
    }
    // An unchanged page is not rendered again: the person may be reading it.
    const current = JSON.stringify(webhook);
    if (current === previous) return;
    previous = current;
    renderHead(webhook, webhookTypes);
    const { edges, pageInfo } = webhook.deliveries;
    const focusedId = document.activeElement?.id;
    replace(
      deliveries,
      edges.length
        ? [
            h(
              "ul",
              { class: "deliveries" },
              edges.map(({ node }) => deliveryView(node)),
            ),
            pageInfo.hasNextPage && size < MAX_DELIVERIES
              ? button(
                  t.webhooks.more,
                  () => {
                    size = MAX_DELIVERIES;
                    render().catch(showError);
                  },
                  { class: "plain" },
                )
              : null,
          ]
        : emptyState("send", t.webhooks.noDeliveries, t.webhooks.noDeliveriesText),
    );
    if (focusedId) document.getElementById(focusedId)?.focus();
    if (!isFirst) announce(t.webhooks.listUpdated);
  }

  function renderHead(webhook, types) {
    setTitle(webhook.type);
    const run = (mutation, variables, text) => (event) => act(event.currentTarget, mutation, variables, text);
    replace(
      head,
      h(
        "div",
        { class: "page-head" },
        h(
          "div",
          { class: "grow" },
          h("h1", { tabindex: "-1" }, h("code", null, webhook.type)),
          h("p", { class: "url" }, userText(webhook.url)),
        ),
        h(
          "div",
          { class: "row" },
          webhook.disabled_at
            ? null
            : button(
                [icon("pause"), t.webhooks.pause],
                run(UPDATE, { id: webhook.id, node: { disabled: true } }, t.webhooks.pausedNow),
              ),
          button(
            [icon("send"), t.webhooks.test],
            run("mutation($id: ID!) { testWebhook(id: $id) { id } }", { id: webhook.id }, t.webhooks.tested),
          ),
          button([icon("edit"), t.webhooks.edit], () =>
            edit(webhook, types).then((isSaved) => isSaved && render().catch(showError)),
          ),
          button(
            [icon("trash"), t.delete],
            async (event) => {
              const control = event.currentTarget;
              if (!(await askConfirmation(t.webhooks.deleteTitle, t.webhooks.deleteText, t.delete))) return;
              clearInterval(timer);
              if (
                await act(
                  control,
                  "mutation($id: ID!) { deleteWebhook(id: $id) }",
                  { id: webhook.id },
                  t.webhooks.deleted,
                  { reads: false },
                )
              )
                navigate("/webhooks");
            },
            { class: "danger" },
          ),
        ),
      ),
      webhook.disabled_at ? disabledNotice(webhook, run) : null,
    );
  }

  /** Shows since when a webhook is paused or disabled, with buttons to resume it. */
  function disabledNotice(webhook, run) {
    const count = webhook.missed_count;
    const shown = count < MAX_MISSED_COUNT ? formatNumber(count) : t.webhooks.orMore(formatNumber(count));
    const node = { disabled: false };
    const skip = async (event) => {
      const control = event.currentTarget;
      const label = t.webhooks.skip(shown, count);
      if (await askConfirmation(`${label}?`, t.webhooks.skipText, label))
        await act(control, UPDATE, { id: webhook.id, node: { ...node, skip_missed: true } }, t.webhooks.skipped);
    };
    return h(
      "div",
      { class: webhook.paused ? "notice" : "notice wrong" },
      icon(webhook.paused ? "pause" : "warning"),
      h(
        "span",
        null,
        webhook.paused ? t.webhooks.paused : t.webhooks.disabled,
        " ",
        relativeTime(webhook, "disabled_at"),
        ". ",
        webhook.disabled_reason,
        count ? [" ", t.webhooks.waiting(shown, count)] : null,
      ),
      button(
        count ? t.webhooks.send(shown, count) : t.webhooks.resume,
        run(UPDATE, { id: webhook.id, node }, t.webhooks.resumed),
      ),
      count ? button(t.webhooks.skip(shown, count), skip) : null,
    );
  }

  /** Runs a mutation, and shows `text` and the webhook after it. Resolves with whether it succeeded. */
  function act(control, mutation, variables, text, { reads = true } = {}) {
    return runAction(control, async () => {
      await runMutation(mutation, variables);
      toast(text);
      if (reads) await render();
    });
  }

  function deliveryView(delivery) {
    const { id: deliveryId, sequence, job_id: jobId, state, attempts } = delivery;
    const title = jobId
      ? t.webhooks.job
      : sequence === null
        ? t.webhooks.example
        : t.webhooks.change(formatNumber(sequence));
    const details = h(
      "details",
      {
        class: "card",
        open: openIds.has(deliveryId),
        ontoggle: () => (details.open ? openIds.add(deliveryId) : openIds.delete(deliveryId)),
      },
      h(
        "summary",
        { id: `summary-${deliveryId}` },
        stateBadge(state, t.webhooks.states[state]),
        h("span", { class: "grow" }, title),
        h("span", { class: "hint" }, relativeTime(delivery, "created_at")),
      ),
      delivery.next_attempt_at
        ? h("p", { class: "hint" }, t.webhooks.next, " ", relativeTime(delivery, "next_attempt_at"))
        : null,
      attempts.length
        ? h("ol", { class: "attempts" }, attempts.map(attemptView))
        : h("p", { class: "empty" }, t.webhooks.noAttempt),
      h(
        "div",
        { class: "row" },
        button(
          [icon("send"), t.webhooks.retry],
          (event) =>
            act(
              event.currentTarget,
              "mutation($id: ID!) { retryWebhookDelivery(id: $id) { id } }",
              { id: deliveryId },
              t.webhooks.retried,
            ),
          { class: "small" },
        ),
        h("span", { class: "hint" }, delivery.event_id),
      ),
    );
    return h("li", null, details);
  }

  const timer = setInterval(() => document.hidden || render({ quiet: true }).catch(() => {}), POLL_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  replace(main, head, h("h2", null, t.webhooks.deliveries), deliveries);
  await render({ isFirst: true });
}

function attemptView(attempt) {
  const { status, error } = attempt;
  const side = (label, headers, body) =>
    h(
      "div",
      null,
      h("h3", null, label),
      headers === null && body === null
        ? h("p", { class: "empty" }, t.webhooks.removed)
        : !body && !Object.keys(headers ?? {}).length
          ? h("p", { class: "empty" }, t.webhooks.noResponse)
          : h(
              "pre",
              { tabindex: "0" },
              [
                ...Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}`),
                "",
                formatJson(body ?? ""),
              ].join("\n"),
            ),
    );
  return h(
    "li",
    null,
    h(
      "p",
      null,
      h("strong", null, status ? t.webhooks.status(status) : error),
      " ",
      h(
        "span",
        { class: "hint" },
        t.webhooks.duration(formatNumber(attempt.milliseconds)),
        t.separators.list,
        relativeTime(attempt, "at"),
      ),
    ),
    status && error ? h("p", { class: "problem" }, error) : null,
    h(
      "div",
      { class: "exchange" },
      side(t.webhooks.request, attempt.request_headers, attempt.request),
      side(t.webhooks.response, attempt.response_headers, attempt.response),
    ),
  );
}

/** A text with the line breaks of JSON, if it is JSON. */
function formatJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
