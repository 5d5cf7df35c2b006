"""Rules for the stored values of the trash."""

from __future__ import annotations

from collections.abc import Mapping

from regulars.core.stored_values import COUNT, ID, NOT_EMPTY, POSITIVE, TIME, Rule, one_of
from regulars.trash.table import KEY_KINDS

RULES: Mapping[str, Mapping[str, Rule]] = {
    "trash": {
        "customer_id": ID,
        "deleted_at": TIME,
        "purge_at": TIME,
        "orders_count": COUNT,
        "actor_kind": NOT_EMPTY,
        "size": POSITIVE,
        "body": NOT_EMPTY,
    },
    "trash_keys": {"kind": one_of(*KEY_KINDS), "customer_id": ID},
}
