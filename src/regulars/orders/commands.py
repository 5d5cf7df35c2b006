"""The commands on orders, leads and visits, and on customers by the events of a shop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from regulars.core.commands import (
    COMMAND_LINE,
    IdempotencyRecord,
    Origin,
    SmallCommand,
    Values,
    one_id,
    record_lookups,
)
from regulars.core.errors import Problem, Rejected
from regulars.core.external_ids import ExternalId
from regulars.customers.commands import (
    Reference,
    customer_ids,
    email_keys,
    has_lists,
    keys_of_lists,
    named_shop_ids,
    settings_of_new,
)
from regulars.customers.identifiers import Identifier
from regulars.customers.search import phones
from regulars.orders.values import may_stop_to_count
from regulars.store import LookupKeys
from regulars.store.large_work import is_large

SHOP_ID_LENGTH = 255
# Another Regulars makes these attempts within 13 minutes. An earlier event may arrive meanwhile.
# After that, the event is applied as it is.
_EARLY_ATTEMPTS = 4


class ShopIds(NamedTuple):
    """The ids that the shop uses for a customer and its order."""

    customer: str | None = None
    order: str | None = None

    @property
    def all_ids(self) -> frozenset[str]:
        return frozenset(shop_id for shop_id in self if shop_id)


NO_SHOP_IDS = ShopIds()


class Delivery(NamedTuple):
    """How another Regulars sent an event: the number of the event in its history, and the number
    of the attempt, from 1."""

    event: int
    attempt: int


@dataclass(frozen=True, slots=True)
class RecordOrder(SmallCommand):
    """Create or update an order.

    `values` are columns of the order and `person` columns of its customer. Absent columns keep
    their values. `at` is in milliseconds since 1970. `details` are stored as JSON. `event` is the
    type of the shop event, if there is one: it does not replace values of a later event. `customer`
    identifies the customer before the email does. `external_id` is added to those of the order.
    """

    values: Values
    person: Values
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    event: str | None = None
    shop_ids: ShopIds = NO_SHOP_IDS
    details: Values = field(default_factory=dict)
    customer: Identifier | None = None
    external_id: ExternalId | None = None

    def lookup_keys(self) -> LookupKeys:
        name = self.values.get("name")
        shop_ids = self.shop_ids.all_ids
        if self.external_id:
            shop_ids |= {self.external_id.id}
        return LookupKeys(
            **_with_identifier(self.customer, self.person, shop_ids),
            order_names=frozenset([name]) if name else frozenset(),
            changed_orders=(
                frozenset([name]) if name and may_stop_to_count(self.values) else frozenset()
            ),
            spend_settings=(True,),
            **record_lookups(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class RecordContact(SmallCommand):
    """Create or update a customer from an event of a shop.

    `values` are columns of the customer. An existing customer is matched by shop id, then by
    email. With `should_fill_empty` only its empty fields are set; without, its fields are updated
    and its custom fields replaced. `delivery` is present if another Regulars sent the event.
    `sender_customer_id` is the `_id` in the event. `mirrored_customer_id` is the same id if the
    account mirrors the sender: then it identifies the customer here. `restored_ids` are customers
    that may have the shop id in the trash. With `is_certain` no others have it, even if a customer
    with the shop id was deleted. `lists` are the emails, phones and addresses that
    another Regulars sent.
    """

    values: Values
    at: int
    should_fill_empty: bool
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    shop_ids: ShopIds = NO_SHOP_IDS
    delivery: Delivery | None = None
    sender_customer_id: int | None = None
    mirrored_customer_id: int | None = None
    restored_ids: frozenset[int] = frozenset()
    is_certain: bool = False
    lists: Values = field(default_factory=dict)

    @property
    def is_early(self) -> bool:
        """Whether the sender will repeat the event soon, so that an earlier one can arrive
        first."""
        return self.delivery is not None and self.delivery.attempt <= _EARLY_ATTEMPTS

    @property
    def shop_id(self) -> str | None:
        """The id that the shop uses for the customer."""
        return self.shop_ids.customer

    @property
    def is_large(self) -> bool:
        return bool(self.restored_ids) or is_large(self.values) or is_large(self.lists)

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            customer_ids=one_id(self.mirrored_customer_id) | self.restored_ids,
            restored_ids=self.restored_ids,
            spend_settings=(True,) if self.restored_ids else (),
            email_keys=email_keys(self.values).union(keys_of_lists(self.lists)),
            phone_terms=phones.lookup_terms([person_phone_term(self.values)]),
            account_settings=settings_of_new(self.values),
            table_versions=has_lists(self.lists),
            shop_ids=self.shop_ids.all_ids,
            **record_lookups(self.idempotency_record),
        )


class DeletedMeanwhile(Rejected):
    """The customer of an event was deleted after the trash was searched for it."""


@dataclass(frozen=True, slots=True)
class RestoreContact(RecordContact):
    """Restore the customer with a shop id from the trash, with values as in RecordContact."""


@dataclass(frozen=True, slots=True)
class DeleteContact(SmallCommand):
    """Delete the customer with a shop id, if it exists. `delivery`, `sender_customer_id` and
    `mirrored_customer_id` are as in RecordContact."""

    at: int
    shop_id: str | None
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    delivery: Delivery | None = None
    sender_customer_id: int | None = None
    mirrored_customer_id: int | None = None

    def lookup_keys(self) -> LookupKeys:
        shop_ids = frozenset([self.shop_id] if self.shop_id else [])
        ids = one_id(self.mirrored_customer_id)
        return LookupKeys(
            customer_ids=ids,
            shop_ids=shop_ids,
            moved_ids=ids,
            moved_shop_ids=shop_ids,
            **record_lookups(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class RecordLead(SmallCommand):
    """Create a lead. Its customer is matched by `customer`, then by email, or created."""

    values: Values
    person: Values
    at: int
    problems: list[Problem] = field(default_factory=list)
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    customer: Identifier | None = None

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            **_with_identifier(self.customer, self.person),
            **record_lookups(self.idempotency_record),
        )


def _with_identifier(
    identifier: Identifier | None,
    person: Values,
    shop_ids: frozenset[str] = frozenset(),
) -> dict[str, frozenset[Any]]:
    """Returns the keys of lookups of a person, with those of an identifier."""
    lookups: dict[str, frozenset[Any]] = identifier.lookups() if identifier else {}
    return {
        **lookups,
        "email_keys": lookups.get("email_keys", frozenset()) | email_keys(person),
        "phone_terms": (
            lookups.get("phone_terms", frozenset())
            | phones.lookup_terms([person_phone_term(person)])
        ),
        "account_settings": frozenset(settings_of_new(person)),
        "shop_ids": lookups.get("shop_ids", frozenset()) | shop_ids,
    }


def person_phone_term(person: Values) -> str:
    """Returns the search term of the phone of a person without an email; empty without one."""
    known_by = () if person.get("email_key") else phones.forms(person.get("phone") or "")
    return f"phone:{known_by[0]}" if known_by else ""


@dataclass(frozen=True, slots=True)
class RecordVisit(SmallCommand):
    """Count a visit of a customer at `at`, in milliseconds since 1970."""

    customer: Reference
    at: int
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            customer_ids=customer_ids(self.customer),
            shop_ids=named_shop_ids(self.customer),
            **record_lookups(self.idempotency_record),
        )
