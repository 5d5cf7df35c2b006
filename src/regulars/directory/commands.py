"""The commands: what may be asked of an account's writer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from regulars.directory.customers import new_row, with_values
from regulars.directory.errors import Problem
from regulars.directory.orders import NewOrder
from regulars.store import LookupKeys, Row
from regulars.store.large_work import is_large


@dataclass(frozen=True, slots=True)
class Reference:
    """A customer as somebody names it: the id as it was given, and the `_id` that it means, or
    None when it can mean none."""

    given: str
    customer_id: int | None


class Origin(NamedTuple):
    """Where a write comes from, as the history keeps it: the kind of its actor (`token`,
    `command_line`, `inbound`, `import`), the actor's name, and the id of the request; and whether
    it is silent: its changes are sent to no webhook."""

    kind: str
    name: str
    request_id: str | None = None
    silent: bool = False


COMMAND_LINE = Origin("command_line", "regulars")


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """What makes a write recognisable when its request is sent again: whose it is (`token_id`),
    the request's key, the number of the write in the request, a hash of the request, and the
    moment it came (milliseconds since 1970); and whether it is to be refused again, if it was."""

    token_id: str
    key: str
    part: int
    fingerprint: bytes
    at: int
    of_refusals: bool = True


def record_keys(idempotency_record: IdempotencyRecord | None) -> frozenset[str]:
    """The key of an idempotency record, if there is one."""
    return frozenset([idempotency_record.key]) if idempotency_record else frozenset()


@dataclass(frozen=True, slots=True)
class Replay:
    """What a write came to when its request was first answered, and the moment of that."""

    result: Any
    at: int


Values = Mapping[str, Any]


class Command(Protocol):
    """A change that somebody asks for: when (milliseconds since 1970), from where, and the record
    that makes it recognisable when it is sent again."""

    @property
    def at(self) -> int: ...

    @property
    def origin(self) -> Origin: ...

    @property
    def idempotency_record(self) -> IdempotencyRecord | None: ...

    @property
    def is_large(self) -> bool: ...

    def lookup_keys(self) -> LookupKeys: ...


class SmallCommand:
    """A command that is decided in the event loop, unless it says otherwise."""

    __slots__ = ()

    @property
    def is_large(self) -> bool:
        """Whether it brings so much text that the event loop must not wait for its decision."""
        return False


def _ids(*references: Reference) -> frozenset[int]:
    return frozenset(r.customer_id for r in references if r.customer_id is not None)


def _email_keys(values: Mapping[str, Any]) -> frozenset[str]:
    key = values.get("email_key")
    return frozenset([key]) if key else frozenset()


@dataclass(frozen=True, slots=True)
class NewLead:
    """A message that a visitor left in a contact form, at a moment (milliseconds since 1970)."""

    subject: str
    message: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Activity:
    """What a customer did in the shop."""

    orders: tuple[NewOrder, ...] = ()
    leads: tuple[NewLead, ...] = ()
    visits: int = 0


@dataclass(frozen=True, slots=True)
class CreateCustomer(SmallCommand):
    """A new customer of clean values, at a moment, with what it did already. `problems` are those
    already found; what the database alone can tell is added to them.

    `row` is the customer's, but for its keys. It depends on nothing that is stored, and so is made
    here: what is decided keeps other writes waiting.
    """

    values: dict[str, Any]
    at: int
    problems: list[Problem] = field(default_factory=list)
    activity: Activity = Activity()
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    row: Row = field(init=False)

    def __post_init__(self) -> None:
        row, found = with_values(new_row(self.at), self.values, ("node",))
        object.__setattr__(self, "row", row)
        object.__setattr__(self, "problems", [*self.problems, *found])

    @property
    def is_large(self) -> bool:
        return is_large(self.values)

    def lookup_keys(self) -> LookupKeys:
        order_names = frozenset(order.name for order in self.activity.orders)
        return LookupKeys(
            email_keys=_email_keys(self.values),
            order_names=order_names,
            idempotency_keys=record_keys(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class UpdateCustomer(SmallCommand):
    """Clean values merged into a customer, at a moment, if it is of the version given."""

    customer: Reference
    values: dict[str, Any]
    at: int
    problems: list[Problem] = field(default_factory=list)
    version: int | None = None
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    @property
    def is_large(self) -> bool:
        return is_large(self.values)

    def lookup_keys(self) -> LookupKeys:
        emails, idempotency_records = _email_keys(self.values), record_keys(self.idempotency_record)
        return LookupKeys(
            customer_ids=_ids(self.customer),
            email_keys=emails,
            idempotency_keys=idempotency_records,
        )


@dataclass(frozen=True, slots=True)
class DeleteCustomers(SmallCommand):
    """All the customers named, or none, at a moment; if each is of the version given."""

    customers: tuple[Reference, ...]
    at: int
    version: int | None = None
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            customer_ids=_ids(*self.customers),
            idempotency_keys=record_keys(self.idempotency_record),
        )


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
            email_keys=_email_keys(self.person),
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
        emails, idempotency_records = _email_keys(self.values), record_keys(self.idempotency_record)
        ids = _number(self.mirrored)
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
        ids = _number(self.mirrored)
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
            email_keys=_email_keys(self.person),
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
            customer_ids=_ids(self.customer), idempotency_keys=record_keys(self.idempotency_record)
        )


@dataclass(frozen=True, slots=True)
class CreateWebhook(SmallCommand):
    """A new webhook of clean values, at a moment."""

    values: Values
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            webhook_urls=_urls(self.values), idempotency_keys=record_keys(self.idempotency_record)
        )


@dataclass(frozen=True, slots=True)
class UpdateWebhook(SmallCommand):
    """Clean values for the webhook that somebody names by `given`, at a moment. `disable` pauses
    it (True) or resumes it (False); with `skip_missed` what it missed is not sent."""

    given: str
    webhook_id: int | None
    values: Values
    at: int
    problems: list[Problem] = field(default_factory=list)
    disable: bool | None = None
    skip_missed: bool = False
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            webhook_ids=_number(self.webhook_id),
            webhook_urls=_urls(self.values),
            idempotency_keys=record_keys(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class DeleteWebhook(SmallCommand):
    """A webhook is told no more, and what was delivered to it is forgotten."""

    given: str
    webhook_id: int | None
    at: int
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        keys = record_keys(self.idempotency_record)
        return LookupKeys(webhook_ids=_number(self.webhook_id), idempotency_keys=keys)


def _number(number: int | None) -> frozenset[int]:
    return frozenset() if number is None else frozenset([number])


def _urls(values: Values) -> frozenset[str]:
    return frozenset([values["url"]]) if values.get("url") else frozenset()
