"""The commands on orders, leads and visits, and on customers by the events of a shop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from regulars.core.commands import (
    COMMAND_LINE,
    IdempotencyRecord,
    Origin,
    SmallCommand,
    Values,
    one_id,
    record_keys,
)
from regulars.core.errors import Problem
from regulars.customers.commands import Reference, customer_ids, email_keys
from regulars.store import LookupKeys
from regulars.store.large_work import is_large

SHOP_ID_LENGTH = 255


class ShopIds(NamedTuple):
    """What the shop calls a customer, and its order."""

    customer: str | None = None
    order: str | None = None

    @property
    def named(self) -> frozenset[str]:
        return frozenset(shop_id for shop_id in self if shop_id)


NO_SHOP_IDS = ShopIds()


class Delivery(NamedTuple):
    """How another Regulars sent an event: the event's number in its history, and the attempt."""

    event: int
    attempt: int


@dataclass(frozen=True, slots=True)
class RecordOrder(SmallCommand):
    """What a shop tells of an order, at a moment: `values` as they are kept, by the columns of the
    order, and of the customer, who is found by email or is new, `person`. What is not told stays.
    `details` are what else is kept of the order. Of one that comes by an `event` of the shop, what
    an event that came before knows better stays, too; `shop_ids` are what the shop calls the order
    and the customer."""

    values: Values
    person: Values
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    event: str | None = None
    shop_ids: ShopIds = NO_SHOP_IDS
    details: Values = field(default_factory=dict)

    def lookup_keys(self) -> LookupKeys:
        name = self.values.get("name")
        return LookupKeys(
            email_keys=email_keys(self.person),
            order_names=frozenset([name]) if name else frozenset(),
            shop_ids=self.shop_ids.named,
            idempotency_keys=record_keys(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class RecordContact(SmallCommand):
    """What an event of a shop tells of a customer, at a moment: `values` as they are kept. A
    customer who is known, by what the shop calls it or by email, is only given what it lacks where
    the event is of its beginning (`fill`); otherwise the custom fields are all that it has.

    `delivery` is there if another Regulars sent the event. `told_id` is the `_id` that the event
    tells, and `mirrored` the same where the account mirrors the sender, who is meant by it."""

    values: Values
    at: int
    fill: bool
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    shop_ids: ShopIds = NO_SHOP_IDS
    delivery: Delivery | None = None
    told_id: int | None = None
    mirrored: int | None = None

    @property
    def is_large(self) -> bool:
        return is_large(self.values)

    def lookup_keys(self) -> LookupKeys:
        emails, idempotency_records = email_keys(self.values), record_keys(self.idempotency_record)
        ids = one_id(self.mirrored)
        return LookupKeys(
            customer_ids=ids,
            email_keys=emails,
            shop_ids=self.shop_ids.named,
            idempotency_keys=idempotency_records,
        )


@dataclass(frozen=True, slots=True)
class DeleteContact(SmallCommand):
    """Deletes the customer whom a shop calls so, if there is one; `told_id` and `mirrored` are
    those of RecordContact."""

    at: int
    shop_id: str | None
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    told_id: int | None = None
    mirrored: int | None = None

    def lookup_keys(self) -> LookupKeys:
        shop_ids = frozenset([self.shop_id] if self.shop_id else [])
        ids = one_id(self.mirrored)
        return LookupKeys(
            customer_ids=ids,
            shop_ids=shop_ids,
            idempotency_keys=record_keys(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class RecordLead(SmallCommand):
    """A message that a visitor left, who is found by email or is a new customer."""

    values: Values
    person: Values
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            email_keys=email_keys(self.person),
            idempotency_keys=record_keys(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class RecordVisit(SmallCommand):
    """A visit of a customer, at a moment."""

    customer: Reference
    at: int
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            customer_ids=customer_ids(self.customer),
            idempotency_keys=record_keys(self.idempotency_record),
        )
