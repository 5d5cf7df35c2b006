"""The writer: load, decide, save. One mechanism for every change, on both databases.

Writes that wait for the same account are taken together. The store loads what they name, in one
transaction and under the account's lock; `decide` turns commands and rows into new rows or
refusals, without a database, a clock or any I/O; the store saves the difference, and commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from regulars.store import imports, queries
from regulars.store.query import Query

# A write that waits is answered with its batch: a larger one makes the first of it wait longer.
MAX_BATCH = 500
_MOST_KEPT = 100_000

Row = Mapping[str, Any]
# Terms by the customers whose they are.
Terms = Mapping[int, Collection[str]]


Asked = list[tuple[Query, dict[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Names:
    """What a command names: rows that must be loaded before it can be decided."""

    customer_ids: frozenset[int] = frozenset()
    email_keys: frozenset[str] = frozenset()
    order_names: frozenset[str] = frozenset()
    webhook_ids: frozenset[int] = frozenset()
    webhook_urls: frozenset[str] = frozenset()
    shop_ids: frozenset[str] = frozenset()
    receipt_keys: frozenset[str] = frozenset()
    taken_ids: frozenset[int] = frozenset()
    import_ids: frozenset[str] = frozenset()


class Command(Protocol):
    """A change that somebody asks for."""

    @property
    def is_large(self) -> bool:
        """Whether it brings so much text that the event loop must not wait for its decision."""
        ...

    def names(self) -> Names: ...


@dataclass(frozen=True, slots=True)
class State:
    """What the database held when the batch began: the last `_id` given for each type, the
    customers that the batch names (whole; one may stand there twice), the orders that it names
    (whole, and their customers are among the others), how many batches had changed the account,
    what became of earlier writes with the keys named, the webhooks, the ids of a shop and the
    imports that it names (whole), and which of the `_id`s to be taken up were given before."""

    counters: Mapping[str, int]
    customers: Sequence[Row]
    orders: Sequence[Row] = ()
    revision: int = 0
    receipts: Sequence[Row] = ()
    webhooks: Sequence[Row] = ()
    shop_ids: Sequence[Row] = ()
    given_ids: Collection[int] = ()
    imports: Sequence[Row] = ()


@dataclass(slots=True)
class Changes:
    """The difference that a batch makes: ids to delete, whole rows to insert, customers to update
    by the columns that change (an index on another is left alone), rows of other tables to update
    as a whole, webhooks to update by the columns that commands set, webhooks whose pending
    deliveries end as skipped at `skipped_at`, the terms by which customers are
    found now or no longer (a term never stands in both for one customer), what became of writes
    that were sent with a key (each replaces those of its key that were made at `receipts_before`
    or earlier), what is added to the history, and the counters after it. `deleted_at` is
    when the customers were deleted, for the ids that a shop gave them."""

    counters: Mapping[str, int]
    deleted_customers: Sequence[int] = ()
    updated_customers: Mapping[tuple[str, ...], Sequence[Row]] = field(default_factory=dict)
    inserted_customers: Sequence[Row] = ()
    inserted_orders: Sequence[Row] = ()
    updated: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    updated_webhooks: Mapping[tuple[str, ...], Sequence[Row]] = field(default_factory=dict)
    inserted_leads: Sequence[Row] = ()
    added_terms: Terms = field(default_factory=dict)
    removed_terms: Terms = field(default_factory=dict)
    inserted_receipts: Sequence[Row] = ()
    inserted_changes: Sequence[Row] = ()
    inserted_webhooks: Sequence[Row] = ()
    inserted_shop_ids: Sequence[Row] = ()
    inserted_deleted_shop_ids: Sequence[Row] = ()
    deleted_at: int = 0
    deleted_webhooks: Sequence[int] = ()
    skipped_webhooks: Sequence[int] = ()
    skipped_at: int = 0
    receipts_before: int = 0

    def __bool__(self) -> bool:
        return bool(
            self.counters
            or self.deleted_customers
            or self.updated_customers
            or self.inserted_customers
            or self.inserted_orders
            or any(self.updated.values())
            or self.updated_webhooks
            or self.inserted_leads
            or self.inserted_receipts
            or self.inserted_shop_ids
            or self.inserted_deleted_shop_ids
            or self.deleted_webhooks
        )


# The outcome of each command, in order: its result, or the exception that refuses it. There are
# fewer than commands where these are too much work for one batch.
Outcomes = Sequence[Any]
Decide = Callable[[int, Sequence[Any], State], tuple[Outcomes, Changes]]


@dataclass(slots=True)
class Write:
    """A command on its way: who asked is waiting for `answered`."""

    account_id: int
    command: Command
    answered: asyncio.Future[Any]
    outcome: Any = field(default=None)

    def answer(self) -> None:
        """Tells the caller the outcome, in the caller's event loop."""
        if self.answered.done():
            return  # the caller went away; the write is done all the same
        if isinstance(self.outcome, BaseException):
            self.answered.set_exception(self.outcome)
        else:
            self.answered.set_result(self.outcome)


class LastWrittenSequence:
    """The number of the last change that a process has made of each account, as far as it is
    kept."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def of(self, account_id: int) -> int | None:
        """That of an account."""
        return self._numbers.get(account_id)

    def note(self, account_id: int, changes: Changes) -> None:
        """A batch of an account was saved."""
        last = changes.counters.get("changes")
        if last is not None:
            if len(self._numbers) >= _MOST_KEPT:
                self._numbers.clear()
            self._numbers[account_id] = last


def state_of(rows: Sequence[Any], also: Sequence[Sequence[Any]]) -> State:
    """The state, of the rows of `queries.state` and of those of `also_named`."""
    revision, *last = rows[0][: len(queries.COUNTERS) + 1]
    found = [
        dict(zip(queries.CUSTOMER_COLUMNS, row[len(queries.COUNTERS) + 1 :], strict=True))
        for row in rows
        if row[-len(queries.CUSTOMER_COLUMNS)] is not None
    ]
    counters = dict(zip(queries.COUNTERS, last, strict=True))
    orders, receipts, webhooks, shop_ids, imports, given = (
        [dict(zip(columns, row, strict=True)) for row in stored]
        for columns, stored in zip(_ALSO, also, strict=True)
    )
    given_ids = frozenset(row["customer_id"] for row in given)
    also_found = (receipts, webhooks, shop_ids, given_ids, imports)
    return State(counters, found, orders, revision, *also_found)


def parameters_of(account_id: int, names: Names) -> dict[str, Any]:
    """The parameters of `queries.state`."""
    return {
        "account_id": account_id,
        "ids": list(names.customer_ids),
        "email_keys": list(names.email_keys),
        "order_names": list(names.order_names),
        "shop_ids": list(names.shop_ids),
    }


_ALSO = (
    queries.WHOLE_ORDER,
    queries.RECEIPT_COLUMNS,
    queries.WHOLE_WEBHOOK,
    queries.SHOP_ID_COLUMNS,
    imports.COLUMNS,
    ("customer_id",),
)
_NOTHING: Asked = [
    (queries.named_orders(), None),
    (queries.receipts_of(), None),
    (queries.named_webhooks(), None),
    (queries.named_shop_ids(), None),
    (imports.imports_by_id(), None),
    (queries.given_ids(), None),
]


def also_named(account_id: int, names: Names) -> Asked:
    """What few batches name: orders, receipts, webhooks and ids of a shop, each by its query with
    its parameters, or None where there is nothing to ask."""
    given: tuple[dict[str, Collection[Any]], ...] = (
        {"order_names": names.order_names},
        {"keys": names.receipt_keys},
        {"webhook_ids": names.webhook_ids, "webhook_urls": names.webhook_urls},
        {
            "shop_ids": names.shop_ids,
            "holder_keys": names.email_keys if names.shop_ids else frozenset(),
        },
        {"import_ids": names.import_ids},
        {"taken_ids": names.taken_ids},
    )
    if not any(any(each.values()) for each in given):
        return _NOTHING
    return [
        (
            query,
            {"account_id": account_id, **{name: list(found) for name, found in each.items()}}
            if any(each.values())
            else None,
        )
        for (query, _), each in zip(_NOTHING, given, strict=True)
    ]


def all_names(writes: Iterable[Write]) -> Names:
    """Everything that a batch names."""
    each = [write.command.names() for write in writes]
    return Names(
        *(
            frozenset().union(*(getattr(names, field.name) for names in each))
            for field in fields(Names)
        )
    )


def by_account(writes: Iterable[Write]) -> dict[int, list[Write]]:
    """A batch's writes, account by account, each in the order of arrival."""
    grouped: dict[int, list[Write]] = {}
    for write in writes:
        grouped.setdefault(write.account_id, []).append(write)
    return grouped
