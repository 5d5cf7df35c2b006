"""Rules for the stored values of all tables, for `verify`.

Each package has the rules of its tables. `verify` compares rows with each other. A column without a
rule is derived, compared with another table, or free text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from regulars.core.packages import parts
from regulars.core.stored_values import (
    ARRAY,
    COUNT,
    NOT_EMPTY,
    OBJECT,
    POSITIVE,
    TIME,
    Rule,
    one_of,
)
from regulars.store import Row
from regulars.store.imports import BULK, FILE, IDS, PENDING, PULL, RECEIVING, RUNNING, UNDO
from regulars.store.tables import counters

_VERSION = Rule(lambda value: re.fullmatch(r"\d{4}", value) is not None, "not a version")

RULES: Mapping[str, Mapping[str, Rule]] = {
    **{table: rules for each in parts("stored_values", "RULES") for table, rules in each.items()},
    "compatibility": {
        "oldest": _VERSION,
        "finished": _VERSION,
        "last_deleted_account": POSITIVE,
    },
    "counters": {str(column.name): COUNT for column in counters.columns if not column.primary_key},
    "receipts": {
        "fingerprint": NOT_EMPTY,
        "part": COUNT,
        "created_at": TIME,
        "outcome": OBJECT,
    },
    "buckets": {"at": TIME},
    "imports": {
        "kind": one_of(FILE, PULL, BULK, UNDO),
        "state": one_of(RECEIVING, PENDING, RUNNING, "done", "cancelled", "failed"),
        "source": OBJECT,
        "last_rejected": ARRAY,
        "problems": OBJECT,
        "claimed_until": COUNT,
        **dict.fromkeys(
            (
                *("size", "position", "bytes_read", "created", "updated", "unchanged"),
                *("rejected", "rejected_at", "first_change", "last_change"),
            ),
            COUNT,
        ),
        **dict.fromkeys(("created_at", "updated_at", "ended_at"), TIME),
    },
    "import_parts": {
        "kind": one_of(FILE, IDS, "rejected", "warnings", "kept", "segments"),
        "part": COUNT,
        "bytes": NOT_EMPTY,
    },
}


def wrong_values(table: str, row: Row) -> Iterator[str]:
    """Yields what is wrong with each value of a row. Never shows a value."""
    for column, rule in RULES.get(table, {}).items():
        value = row[column]
        if value is not None and not rule.holds(value):
            yield f"{column} is {rule.description}"
