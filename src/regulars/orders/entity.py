"""The entities of a shop: orders, leads, its ids, and the inbox of its events."""

from __future__ import annotations

from regulars.orders import contacts, rules, shop_ids
from regulars.orders.commands import (
    DeleteContact,
    RecordContact,
    RecordLead,
    RecordOrder,
    RecordVisit,
    RestoreContact,
)
from regulars.orders.recount import RecountExpenses, recount
from regulars.orders.spend import LOADS
from regulars.store import queries, tables
from regulars.store.entity import CASCADE, Entity, Load, Lookup, OnCustomerDelete, delete_rows
from regulars.store.writes import RECORD_DELETED_SHOP_IDS, delete_from_inbox

ORDERS = Entity(
    tables.orders,
    counter="orders",
    lookups=(Lookup("order_names", tables.orders.c.name),),
    more_loads=LOADS,
    unique=(("name",),),
    editable=tuple(str(c.name) for c in tables.orders.c if not c.primary_key),
    on_customer_delete=CASCADE,
    rules={
        RecordOrder: rules.record_order,
        RecordContact: contacts.record_contact,
        RestoreContact: contacts.restore_contact,
        DeleteContact: contacts.delete_contact,
        RecordVisit: rules.record_visit,
        RecountExpenses: recount,
    },
)

LEADS = Entity(
    tables.leads,
    counter="leads",
    on_customer_delete=CASCADE,
    rules={RecordLead: rules.record_lead},
)

SHOP_IDS = Entity(
    tables.shop_ids,
    load=Load(("shop_ids",), queries.named_shop_ids, shop_ids.split, ("shop_ids", "email_keys")),
    editable=("event",),
    on_customer_delete=delete_rows(tables.shop_ids, RECORD_DELETED_SHOP_IDS),
)

DELETED_SHOP_IDS = Entity(tables.deleted_shop_ids, unique=(("shop_id",),))

# The inbox comes before its keys: a deletion finds its events by them.
INBOX = Entity(
    tables.inbox, on_customer_delete=OnCustomerDelete((delete_from_inbox(tables.inbox),))
)
INBOX_KEYS = Entity(
    tables.inbox_keys, on_customer_delete=OnCustomerDelete((delete_from_inbox(tables.inbox_keys),))
)

ENTITIES = (ORDERS, LEADS, SHOP_IDS, DELETED_SHOP_IDS, INBOX, INBOX_KEYS)
