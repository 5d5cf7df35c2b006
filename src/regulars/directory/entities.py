"""The entities: each table that the writer loads or changes, described once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.directory import customer_rules, recording, shop_ids, subscribing, upsert
from regulars.directory.bulk import ChangeTags, SetCustomers
from regulars.directory.commands import (
    CreateCustomer,
    CreateWebhook,
    DeleteContact,
    DeleteCustomers,
    DeleteWebhook,
    RecordContact,
    RecordLead,
    RecordOrder,
    RecordVisit,
    UpdateCustomer,
    UpdateWebhook,
)
from regulars.directory.unit_of_work import USED_IDS
from regulars.store import Entities, LoadedRows, queries, tables
from regulars.store.entity import (
    CASCADE,
    Entity,
    Load,
    Lookup,
    OnCustomerDelete,
    Updates,
    blank,
    delete_rows,
)
from regulars.store.writes import RECORD_DELETED_SHOP_IDS, delete_from_inbox

CUSTOMERS = Entity(
    tables.customers,
    counter="customers",
    lookups=(
        Lookup("customer_ids", tables.customers.c.customer_id),
        Lookup("email_keys", tables.customers.c.email_key),
        Lookup("order_names", tables.customers.c.customer_id, queries.customers_of_orders),
        Lookup("shop_ids", tables.customers.c.customer_id, queries.customers_of_shop_ids),
    ),
    unique=(("email_key",),),
    updates=Updates.CHANGED,
    rules={
        CreateCustomer: customer_rules.create,
        UpdateCustomer: customer_rules.update,
        DeleteCustomers: customer_rules.delete,
        SetCustomers: upsert.customers,
        ChangeTags: upsert.tags,
        RecordContact: recording.contact,
        DeleteContact: recording.delete_contact,
        RecordVisit: recording.visit,
    },
    long_texts=("words", "notes_words"),
)

ORDERS = Entity(
    tables.orders,
    counter="orders",
    lookups=(Lookup("order_names", tables.orders.c.name),),
    unique=(("name",),),
    editable=tuple(str(c.name) for c in tables.orders.c if not c.primary_key),
    on_customer_delete=CASCADE,
    rules={RecordOrder: recording.order},
)

LEADS = Entity(
    tables.leads,
    counter="leads",
    on_customer_delete=CASCADE,
    rules={RecordLead: recording.lead},
)

IDEMPOTENCY_RECORDS = Entity(
    tables.idempotency_records,
    lookups=(Lookup("idempotency_keys", tables.idempotency_records.c.key),),
    on_customer_delete=blank(tables.idempotency_records, "outcome"),
)


def _used_ids(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {USED_IDS: [{"customer_id": row[0]} for row in rows]}


HISTORY = Entity(
    tables.history,
    counter="changes",
    load=Load(("taken_ids",), queries.used_customer_ids, _used_ids, ("taken_ids",)),
    on_customer_delete=blank(tables.history, "fields"),
)

WEBHOOKS = Entity(
    tables.webhooks,
    counter="webhooks",
    lookups=(
        Lookup("webhook_ids", tables.webhooks.c.url, queries.urls_of_webhooks),
        Lookup("webhook_urls", tables.webhooks.c.url),
    ),
    unique=(("type", "url"),),
    # The worker that delivers writes other columns of the row.
    updates=Updates.ASSIGNED,
    rules={
        CreateWebhook: subscribing.create,
        UpdateWebhook: subscribing.update,
        DeleteWebhook: subscribing.delete,
    },
)

ATTEMPTS = Entity(tables.attempts, on_customer_delete=blank(tables.attempts, "exchange"))

SHOP_IDS = Entity(
    tables.shop_ids,
    load=Load(("shop_ids",), queries.named_shop_ids, shop_ids.split, ("shop_ids", "email_keys")),
    editable=("event",),
    on_customer_delete=delete_rows(tables.shop_ids, RECORD_DELETED_SHOP_IDS),
)

DELETED_SHOP_IDS = Entity(tables.deleted_shop_ids, unique=(("shop_id",),))

INBOX = Entity(
    tables.inbox, on_customer_delete=OnCustomerDelete((delete_from_inbox(tables.inbox),))
)
INBOX_KEYS = Entity(
    tables.inbox_keys, on_customer_delete=OnCustomerDelete((delete_from_inbox(tables.inbox_keys),))
)

IMPORTS = Entity(
    tables.imports,
    lookups=(Lookup("import_ids", tables.imports.c.import_id),),
    editable=(
        *("position", "bytes_read", "created", "updated", "unchanged", "rejected"),
        *("rejected_at", "last_rejected", "problems", "cursor", "updated_at"),
    ),
)

# Each entity comes after those that it refers to. The inbox comes before its keys, which say which
# customers its events name.
ENTITIES = Entities(
    (
        CUSTOMERS,
        ORDERS,
        LEADS,
        IDEMPOTENCY_RECORDS,
        HISTORY,
        WEBHOOKS,
        ATTEMPTS,
        SHOP_IDS,
        DELETED_SHOP_IDS,
        INBOX,
        INBOX_KEYS,
        IMPORTS,
    )
)
