"""The values that a customer keeps although a row of an import has others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from regulars.core.external_ids import MAX_IDS, load, written
from regulars.customers.bulk import NO_EMAIL_CONSENT, SURPLUS_TAGS, SetCustomers, SetRow
from regulars.customers.commands import has_email
from regulars.customers.field_rules import Values
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import MAX_TAGS
from regulars.store import Row

_CONSENT = "accepts_marketing"
_SHOP_ID = "external_id"
# Characters of tags that are kept in `custom`, which has 65,535 bytes in all.
_MAX_SURPLUS_CHARACTERS = 4_000


def with_external_ids(
    unit: CustomerUnitOfWork, row: SetRow, stored: Row | None
) -> tuple[Values, tuple[str, ...]]:
    """Return the values of a row with all external ids that the customer then has. The ids in
    `shop_ids` that belong to another customer, or for which there is no room, are in `custom`; if
    there are some, `external_id` is returned too."""
    ids = row.values.get("external_ids")
    if not row.shop_ids and ids is None:
        return row.values, ()
    number = stored["customer_id"] if stored else None
    old = load(stored["external_ids"]) if stored and not (row.mirrored and ids is not None) else ()
    all_ids = dict.fromkeys([*old, *(ids or ())])
    taken = []
    for external in row.shop_ids:
        if external in all_ids:
            continue
        if len(all_ids) < MAX_IDS and unit.shop_ids.is_free_for(external, number):
            all_ids[external] = None
        else:
            taken.append(external)
    values = {**row.values, "external_ids": tuple(all_ids)}
    if not taken:
        return values, ()
    if row.shop_id_key:
        texts = ", ".join(map(written, taken))
        values["custom"] = {**(row.values.get("custom") or {}), row.shop_id_key: texts}
    return values, (_SHOP_ID,)


def without_consent(stored: Row | None, values: Values) -> tuple[Values, tuple[str, ...]]:
    """Return the values of a row without the consent of a customer who has no email, and the field
    that is left out."""
    email = values.get("email", stored["email"] if stored else "")
    if email or has_email(values) or not values.get(_CONSENT):
        return values, ()
    return {name: value for name, value in values.items() if name != _CONSENT}, (NO_EMAIL_CONSENT,)


def keep_values(
    stored: Row, values: Values, command: SetCustomers
) -> tuple[Values, tuple[str, ...]]:
    """Return the values of a row without those that the command keeps, and the fields that would
    have lost a value."""
    kept_fields = []
    if command.keeps_consent and values.get(_CONSENT) and not stored[_CONSENT]:
        values = {name: value for name, value in values.items() if name != _CONSENT}
        kept_fields.append(_CONSENT)
    if command.adds_tags and values.get("tags"):
        tags, new_tags = orjson.loads(stored["tags"]), values["tags"]
        all_tags = list(dict.fromkeys([*tags, *new_tags]))
        values = {**values, "tags": all_tags[:MAX_TAGS]}
        if surplus := all_tags[MAX_TAGS:]:
            values["custom"] = _with_surplus_tags(values.get("custom"), surplus, command)
            kept_fields.append(SURPLUS_TAGS)
        elif not set(tags) <= set(new_tags):
            kept_fields.append("tags")
    return values, tuple(kept_fields)


def _with_surplus_tags(custom: Any, surplus: Sequence[str], command: SetCustomers) -> Any:
    """Return the custom fields of a row with the tags that its customer has no room for."""
    custom = custom or {}
    texts = [custom[key]] if (key := command.surplus_tags_key) in custom else []
    return {**custom, key: ", ".join([*texts, *surplus])[:_MAX_SURPLUS_CHARACTERS]}
