// Webhooks: who is told of what happens.

import { runQuery, runMutation } from "./api.js";
import { h, replace, userText } from "./dom.js";
import { relativeTime } from "./format.js";
import { icon } from "./icons.js";
import { navigate } from "./navigation.js";
import { t } from "./texts.js";
import { button, checkbox, emptyState, formField, openFormDialog, pageHeader, toast } from "./ui.js";

const READ = `{ webhookTypes webhooks { _id type url settings paused disabled_at disabled: disabled_at(format: "ISO")
  deliveries(first: 1) { edges { node { state created_at created: created_at(format: "ISO") } } } } }`;

export async function show({ main, signal, setTitle }) {
  setTitle(t.nav.webhooks);
  const { webhooks, webhookTypes } = await runQuery(READ, {}, { signal });
  const add = () => edit(null, webhookTypes).then((made) => made && navigate(`/webhooks/${made._id}`));
  const addButton = () => button([icon("add"), t.webhooks.new], add, { class: "primary" });
  replace(main,
    pageHeader(t.nav.webhooks, webhooks.length ? addButton() : null),
    h("p", { class: "lead-in" }, t.webhooks.text),
    webhooks.length ? h("ul", { class: "cards" }, webhooks.map(card)) : emptyState("webhook", t.webhooks.none, t.webhooks.noneText, addButton()));
}

function card(webhook) {
  const last = webhook.deliveries.edges[0]?.node;
  return h("li", { class: "card" },
    h("div", { class: "grow" },
      h("h2", null, h("a", { href: `/webhooks/${webhook._id}` }, h("code", null, webhook.type))),
      h("p", { class: "url" }, userText(webhook.url))),
    h("p", null, webhook.disabled
      ? h("span", { class: webhook.paused ? "state pending" : "state failed" }, webhook.paused ? t.webhooks.paused : t.webhooks.disabled, " ", relativeTime(webhook.disabled_at, webhook.disabled))
      : last ? [h("span", { class: `state ${last.state}` }, t.webhooks.states[last.state]), " ", relativeTime(last.created_at, last.created)] : h("span", { class: "hint" }, t.webhooks.quiet)));
}

/** Asks for a new webhook, or for other values of one. Resolves what was saved, or null. */
export function edit(webhook, types) {
  const type = formField(t.webhooks.type, h("select", { autofocus: true }, types.map((one) => h("option", { value: one, selected: one === webhook?.type }, one))));
  const url = formField(t.webhooks.url, h("input", { type: "text", inputmode: "url", value: webhook?.url ?? "", autocomplete: "off", spellcheck: "false", placeholder: "https://example.com/hook" }));
  const changes = checkbox(t.webhooks.changes, { checked: Boolean(webhook?.settings.changes) });
  return openFormDialog(webhook ? t.webhooks.edit : t.webhooks.new, webhook ? t.save : t.webhooks.create, [type, url, changes], { url, type }, async () => {
    const settings = { ...webhook?.settings };
    if (changes.input.checked) settings.changes = true;
    else delete settings.changes;
    const node = { type: type.input.value, url: url.input.value.trim(), settings };
    const made = webhook
      ? await runMutation("mutation($id: ID!, $node: WebhookUpdateInput!) { updateWebhook(id: $id, node: $node) { _id } }", { id: webhook.id, node })
      : await runMutation("mutation($node: WebhookInput!) { createWebhook(node: $node) { _id } }", { node });
    toast(t.saved);
    return made.createWebhook ?? made.updateWebhook;
  });
}
