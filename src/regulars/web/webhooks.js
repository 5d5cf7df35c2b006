// The list of webhooks, and the dialog for a new one.

import { runQuery, runMutation } from "./api.js";
import { h, replace, userText } from "./dom.js";
import { selectTimes } from "./fields.js";
import { relativeTime } from "./format.js";
import { icon } from "./icons.js";
import { navigate } from "./navigation.js";
import { t } from "./texts.js";
import { button, checkbox, emptyState, formField, openFormDialog, pageHeader, stateBadge, toast } from "./ui.js";

const READ = `{ webhookTypes webhooks { _id type url settings paused ${selectTimes("disabled_at")}
  deliveries(first: 1) { edges { node { state ${selectTimes("created_at")} } } } } }`;

export async function show({ main, signal, setTitle }) {
  setTitle(t.nav.webhooks);
  const { webhooks, webhookTypes } = await runQuery(READ, {}, { signal });
  const add = () => edit(null, webhookTypes).then((webhook) => webhook && navigate(`/webhooks/${webhook._id}`));
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
    h("p", null, webhook.disabled_at
      ? stateBadge(webhook.paused ? "pending" : "failed", webhook.paused ? t.webhooks.paused : t.webhooks.disabled, " ", relativeTime(webhook, "disabled_at"))
      : last ? [stateBadge(last.state, t.webhooks.states[last.state]), " ", relativeTime(last, "created_at")] : h("span", { class: "hint" }, t.webhooks.quiet)));
}

/** Opens a dialog for a new webhook, or to edit one. Resolves with the webhook that was saved, or null. */
export function edit(webhook, types) {
  const type = formField(t.webhooks.type, h("select", { autofocus: true }, types.map((name) => h("option", { value: name, selected: name === webhook?.type }, name))));
  const url = formField(t.webhooks.url, h("input", { type: "text", inputmode: "url", value: webhook?.url ?? "", autocomplete: "off", spellcheck: "false", placeholder: "https://example.com/hook" }));
  const changes = checkbox(t.webhooks.changes, { checked: Boolean(webhook?.settings.changes) });
  return openFormDialog(webhook ? t.webhooks.edit : t.webhooks.new, webhook ? t.save : t.webhooks.create, [type, url, changes], { url, type }, async () => {
    const settings = { ...webhook?.settings };
    if (changes.input.checked) settings.changes = true;
    else delete settings.changes;
    const node = { type: type.input.value, url: url.input.value.trim(), settings };
    const data = webhook
      ? await runMutation("mutation($id: ID!, $node: WebhookUpdateInput!) { updateWebhook(id: $id, node: $node) { _id } }", { id: webhook.id, node })
      : await runMutation("mutation($node: WebhookInput!) { createWebhook(node: $node) { _id } }", { node });
    toast(t.saved);
    return data.createWebhook ?? data.updateWebhook;
  });
}
