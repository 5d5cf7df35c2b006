"""The entities of customers: their rows and their history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.customers import address_changes, rebuild, rules, tags, upsert
from regulars.customers.bulk import ChangeTags, SetCustomers
from regulars.customers.commands import (
    ChangeExternalIds,
    CreateAddress,
    CreateCustomer,
    DeleteAddresses,
    DeleteCustomers,
    UpdateAddress,
    UpdateCustomer,
)
from regulars.customers.rebuild import RebuildTerms
from regulars.customers.unit_of_work import TABLE_VERSIONS, USED_IDS
from regulars.store import LoadedRows, queries, tables
from regulars.store.entity import Entity, Load, Lookup, Updates, blank, delete_rows

CUSTOMERS = Entity(
    tables.customers,
    counter="customers",
    more_counters=("addresses", "default_country", "rebuild_from"),
    lookups=(
        Lookup("customer_ids", tables.customers.c.customer_id),
        Lookup(
            "email_keys",
            tables.customers.c.email_key,
            further=queries.customers_of_emails,
            further_column=tables.customers.c.customer_id,
        ),
        Lookup("order_names", tables.customers.c.customer_id, queries.customers_of_orders),
        Lookup("shop_ids", tables.customers.c.customer_id, queries.customers_of_shop_ids),
        Lookup("phone_terms", tables.customers.c.customer_id, queries.customers_of_phones),
    ),
    unique=(("email_key",),),
    updates=Updates.CHANGED,
    rules={
        CreateCustomer: rules.create,
        UpdateCustomer: rules.update,
        DeleteCustomers: rules.delete,
        SetCustomers: upsert.set_customers,
        ChangeTags: tags.change_tags,
        ChangeExternalIds: rules.change_external_ids,
        CreateAddress: address_changes.create_address,
        UpdateAddress: address_changes.update_address,
        DeleteAddresses: address_changes.delete_addresses,
        RebuildTerms: rebuild.rebuild_terms,
    },
    long_texts=("words", "notes_words", "address_words"),
)


def _used_ids(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {USED_IDS: [{"customer_id": row[0]} for row in rows]}


HISTORY = Entity(
    tables.history,
    counter="changes",
    load=Load(("taken_ids",), queries.used_customer_ids, _used_ids, ("taken_ids",)),
    editable=("fields",),
    on_customer_delete=blank(tables.history, "fields"),
    is_log=True,
)


def _versions(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {TABLE_VERSIONS: [{"finished": row[0]} for row in rows]}


# Its rows follow from the lists of the loaded customers (`with_additional_emails`).
ADDITIONAL_EMAILS = Entity(
    tables.additional_emails,
    more_loads=(Load((TABLE_VERSIONS,), queries.finished_version, _versions),),
    editable=("customer_id",),
    on_customer_delete=delete_rows(tables.additional_emails),
)

ENTITIES = (CUSTOMERS, HISTORY, ADDITIONAL_EMAILS)
