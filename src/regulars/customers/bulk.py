"""Commands about many customers at once, and what becomes of each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from regulars.core.commands import (
    COMMAND_LINE,
    IdempotencyRecord,
    Origin,
    SmallCommand,
    SummarizedResult,
    record_keys,
)
from regulars.core.errors import InputPath, Problem
from regulars.customers.commands import Reference
from regulars.customers.field_rules import Values
from regulars.store import LookupKeys, Row
from regulars.store.large_work import LARGE_CHARACTERS, is_large

CREATED = "CREATED"
UPDATED = "UPDATED"
UNCHANGED = "UNCHANGED"
REJECTED = "REJECTED"


class RowWarning(NamedTuple):
    """A value of a row that was changed or could not be read: the `kind` of the change, the `field`
    or the heading of the column, and a `message` where the kind does not say everything."""

    kind: str
    field: str
    message: str = ""


class SetRow(NamedTuple):
    """A customer to set: clean `values` merged into the one that `customer` names, else into the
    one who has the email; or into a new one, who takes up the `_id` `take` where the account has
    never given it. Whom `customer` names is new only with a `take`.

    `moments` are those of creation and of the last change, which a new customer brings along, and
    with `mirrored` a changed one, too. `shop_ids` are the ids of the customer in shops; one that
    another customer has is kept in the custom field `shop_id_key`. `problems` are those already
    found; `path` is where the row stands in the input. `warnings` are the values
    that were changed or could not be read.
    """

    values: Values
    problems: tuple[Problem, ...] = ()
    customer: Reference | None = None
    take: int | None = None
    timestamps: tuple[int, int] | None = None
    shop_ids: tuple[str, ...] = ()
    mirrored: bool = False
    path: InputPath = ()
    warnings: tuple[RowWarning, ...] = ()
    shop_id_key: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a batch brings an import: from `position` rows to `to`, of `read` bytes. What the
    batch rejects comes in the import's rejected rows after `rejected_at`, as far as those are
    written; `problems` are examples of what was rejected before, as JSON. `cursor` is where the
    next page begins of what is no file."""

    import_id: str
    position: int
    to: int
    read: int
    rejected_at: int
    problems: str
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class SetCustomers(SmallCommand):
    """Sets customers, row by row, at a moment. With `whole` nothing is saved if a row is rejected;
    with `distinct` a second row for one customer is; a dry run saves nothing in any case.

    With `keeps_consent` no row turns an unsubscribed customer into a subscribed one. With
    `adds_tags` the tags of a row are added to those of the customer."""

    rows: tuple[SetRow, ...]
    at: int
    whole: bool = False
    distinct: bool = False
    dry_run: bool = False
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    step: Step | None = None
    keeps_consent: bool = False
    adds_tags: bool = False

    @property
    def is_large(self) -> bool:
        return is_large([row.values for row in self.rows])

    def lookup_keys(self) -> LookupKeys:
        rows = self.rows
        return LookupKeys(
            customer_ids=frozenset(_ids(rows)),
            email_keys=frozenset(key for row in rows if (key := row.values.get("email_key"))),
            taken_ids=frozenset(row.take for row in rows if row.take is not None),
            shop_ids=frozenset(shop_id for row in rows for shop_id in row.shop_ids),
            import_ids=frozenset([self.step.import_id] if self.step else []),
            idempotency_keys=record_keys(self.idempotency_record),
        )


def _ids(rows: Iterable[SetRow]) -> Iterable[int]:
    for row in rows:
        if row.customer is not None and row.customer.customer_id is not None:
            yield row.customer.customer_id
        if row.take is not None:
            yield row.take


class RowOutcome(NamedTuple):
    """What became of a row: the outcome, the customer as it is, or would be in a dry run, and why
    it is rejected. `kept_fields` are those in which the customer keeps a value although the row has
    another one: the consent and tags by the options of the command, the time of creation, and
    `external_id` if another customer has the shop id."""

    outcome: str
    row: Row | None
    problems: tuple[Problem, ...] = ()
    kept_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SetResult(SummarizedResult):
    """The outcome of each row, in their order, and whether any of it was saved."""

    saved: bool
    rows: tuple[RowOutcome, ...]

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "outcome": outcome,
                "customer_id": row["customer_id"] if row else None,
                "problems": [problem.to_json() for problem in problems],
            }
            for outcome, row, problems, _ in self.rows
        ]
        return {"saved": self.saved, "rows": rows}


@dataclass(frozen=True, slots=True)
class ChangeTags(SmallCommand):
    """Tags added to all the customers named, or removed from them; or nothing is done."""

    customers: tuple[Reference, ...]
    at: int
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    @property
    def is_large(self) -> bool:
        tags = sum(map(len, self.add)) + sum(map(len, self.remove))
        return tags * len(self.customers) > LARGE_CHARACTERS

    def lookup_keys(self) -> LookupKeys:
        ids = frozenset(r.customer_id for r in self.customers if r.customer_id is not None)
        return LookupKeys(customer_ids=ids, idempotency_keys=record_keys(self.idempotency_record))


def counted(outcomes: Iterable[str]) -> Mapping[str, int]:
    """How many rows came to each outcome."""
    return {**dict.fromkeys((CREATED, UPDATED, UNCHANGED, REJECTED), 0), **Counter(outcomes)}
