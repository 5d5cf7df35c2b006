// A webhook: its settings, and what became of each event.

import { runQuery, runMutation } from "./api.js";
import { announce } from "./progress.js";
import { h, replace, userText } from "./dom.js";
import { relativeTime, formatNumber } from "./format.js";
import { icon } from "./icons.js";
import { navigate } from "./navigation.js";
import { t } from "./texts.js";
import { button, showError, askConfirmation, withBusy, emptyState, toast } from "./ui.js";
import { edit } from "./webhooks.js";

const LOOK_MS = 3000;
const FEW = 25;
const MOST_MISSED = 10_000;
const SWITCH = "mutation($id: ID!, $node: WebhookUpdateInput!) { updateWebhook(id: $id, node: $node) { id } }";
const READ = `query($id: ID!, $first: Int!) { webhookTypes webhook(id: $id) { id _id type url settings disabled_reason paused missed_count
  disabled_at disabled: disabled_at(format: "ISO") created_at created: created_at(format: "ISO")
  deliveries(first: $first) { pageInfo { hasNextPage } edges { node { id event_id sequence customer_id state
    created_at created: created_at(format: "ISO") next_attempt_at next: next_attempt_at(format: "ISO")
    attempts { attempt at iso: at(format: "ISO") milliseconds status error request_headers request response_headers response } } } } } }`;

export async function show({ main, signal, params, setTitle }) {
  const id = params.number;
  const open = new Set();
  let size = FEW;
  let shown = "";
  const read = async (quiet) => {
    const { webhook, webhookTypes } = await runQuery(READ, { id, first: size }, { signal, quiet });
    return [webhook, webhookTypes];
  };
  const deliveries = h("div");
  const head = h("div");

  function missing() {
    setTitle(t.webhooks.missing);
    replace(main, h("h1", { class: "unseen", tabindex: "-1" }, t.webhooks.missing), emptyState("webhook", t.webhooks.missing, t.webhooks.missingText, h("a", { class: "button primary", href: "/webhooks" }, t.webhooks.toList)));
  }

  async function render(first = false, quiet = false) {
    const [webhook, types] = await read(quiet);
    if (!webhook) {
      clearInterval(timer);
      missing();
      return;
    }
    // What has not changed is left alone: somebody may be reading it.
    const now = JSON.stringify(webhook);
    if (now === shown) return;
    shown = now;
    renderHead(webhook, types);
    const { edges, pageInfo } = webhook.deliveries;
    const focused = document.activeElement?.id;
    replace(deliveries, edges.length
      ? [h("ul", { class: "deliveries" }, edges.map(({ node }) => delivery(node))),
        pageInfo.hasNextPage && size < 250 ? button(t.webhooks.more, () => { size = 250; render().catch(showError); }, { class: "plain" }) : null]
      : emptyState("send", t.webhooks.noDeliveries, t.webhooks.noDeliveriesText));
    if (focused) document.getElementById(focused)?.focus();
    if (!first) announce(t.webhooks.news);
  }

  function renderHead(webhook, types) {
    setTitle(webhook.type);
    const run = (mutation, variables, text) => (event) => act(event.currentTarget, mutation, variables, text);
    replace(head,
      h("div", { class: "page-head" },
        h("div", { class: "grow" }, h("h1", { tabindex: "-1" }, h("code", null, webhook.type)), h("p", { class: "url" }, userText(webhook.url))),
        h("div", { class: "row" },
          webhook.disabled ? null : button([icon("pause"), t.webhooks.pause], run(SWITCH, { id: webhook.id, node: { disabled: true } }, t.webhooks.pausedNow)),
          button([icon("send"), t.webhooks.test], run("mutation($id: ID!) { testWebhook(id: $id) { id } }", { id: webhook.id }, t.webhooks.tested)),
          button([icon("edit"), t.webhooks.edit], () => edit(webhook, types).then((done) => done && render().catch(showError))),
          button([icon("trash"), t.delete], async (event) => {
            const control = event.currentTarget;
            if (!(await askConfirmation(t.webhooks.deleteTitle, t.webhooks.deleteText, t.delete))) return;
            clearInterval(timer);
            if (await act(control, "mutation($id: ID!) { deleteWebhook(id: $id) }", { id: webhook.id }, t.webhooks.deleted, false)) navigate("/webhooks");
          }, { class: "danger" }))),
      webhook.disabled ? stopped(webhook, run) : null);
  }

  /** Says since when a webhook is paused or disabled, and offers to resume it. */
  function stopped(webhook, run) {
    const count = webhook.missed_count;
    const shown = count < MOST_MISSED ? formatNumber(count) : t.webhooks.most(formatNumber(count));
    const node = { disabled: false };
    const skip = async (event) => {
      const control = event.currentTarget;
      const label = t.webhooks.skip(shown, count);
      if (await askConfirmation(`${label}?`, t.webhooks.skipText, label)) await act(control, SWITCH, { id: webhook.id, node: { ...node, skip_missed: true } }, t.webhooks.skipped);
    };
    return h("div", { class: webhook.paused ? "notice" : "notice wrong" }, icon(webhook.paused ? "pause" : "warning"),
      h("span", null, webhook.paused ? t.webhooks.paused : t.webhooks.disabled, " ", relativeTime(webhook.disabled_at, webhook.disabled), ". ", webhook.disabled_reason, count ? [" ", t.webhooks.missed(shown, count)] : null),
      button(count ? t.webhooks.send(shown, count) : t.webhooks.resume, run(SWITCH, { id: webhook.id, node }, t.webhooks.resumed)),
      count ? button(t.webhooks.skip(shown, count), skip) : null);
  }

  async function act(control, mutation, variables, text, reads = true) {
    try {
      await withBusy(control, () => runMutation(mutation, variables));
      toast(text);
      if (reads) await render();
      return true;
    } catch (failure) {
      showError(failure);
      return false;
    }
  }

  function delivery(one) {
    const about = one.sequence === null ? t.webhooks.example : t.webhooks.change(formatNumber(one.sequence));
    const details = h("details", {
      class: "card", open: open.has(one.id),
      ontoggle: () => (details.open ? open.add(one.id) : open.delete(one.id)),
    },
    h("summary", { id: `summary-${one.id}` }, h("span", { class: `state ${one.state}` }, t.webhooks.states[one.state]), h("span", { class: "grow" }, about),
      h("span", { class: "hint" }, relativeTime(one.created_at, one.created))),
    one.next ? h("p", { class: "hint" }, t.webhooks.next, " ", relativeTime(one.next_attempt_at, one.next)) : null,
    one.attempts.length ? h("ol", { class: "attempts" }, one.attempts.map(attempt)) : h("p", { class: "empty" }, t.webhooks.noAttempt),
    h("div", { class: "row" }, button([icon("send"), t.webhooks.retry], (event) => act(event.currentTarget, "mutation($id: ID!) { retryWebhookDelivery(id: $id) { id } }", { id: one.id }, t.webhooks.retried), { class: "small" }),
      h("span", { class: "hint" }, one.event_id)));
    return h("li", null, details);
  }

  const timer = setInterval(() => document.hidden || render(false, true).catch(() => {}), LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  replace(main, head, h("h2", null, t.webhooks.deliveries), deliveries);
  await render(true);
}

function attempt(one) {
  const result = one.status ? t.webhooks.answered(one.status) : one.error;
  const side = (label, headers, body) => h("div", null, h("h3", null, label),
    headers === null && body === null ? h("p", { class: "empty" }, t.webhooks.forgotten)
      : h("pre", { tabindex: "0" }, [...Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}`), "", pretty(body ?? "")].join("\n")));
  return h("li", null,
    h("p", null, h("strong", null, result), " ", h("span", { class: "hint" }, t.webhooks.took(formatNumber(one.milliseconds)), ", ", relativeTime(one.at, one.iso))),
    one.status && one.error ? h("p", { class: "problem" }, one.error) : null,
    h("div", { class: "exchange" }, side(t.webhooks.request, one.request_headers, one.request), side(t.webhooks.response, one.response_headers, one.response)));
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
