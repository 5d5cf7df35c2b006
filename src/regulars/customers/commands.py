"""The commands on customers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from regulars.core.account_settings import ANYTHING, IDENTIFIERS
from regulars.core.commands import (
    COMMAND_LINE,
    IdempotencyRecord,
    Origin,
    SmallCommand,
    record_lookups,
)
from regulars.core.errors import InputPath, Problem
from regulars.core.external_ids import ExternalId, ExternalIds, parse
from regulars.core.ids import number_of
from regulars.customers.address_book import BOOK
from regulars.customers.contact_points import EMAILS, KINDS
from regulars.customers.search import index_terms
from regulars.customers.search.search_document import address_term
from regulars.customers.values import clean_values, new_row, with_values
from regulars.orders.values import NewOrder
from regulars.store import LookupKeys, Row
from regulars.store.large_work import is_large
from regulars.store.moving import DELETED

_LISTS = frozenset([*KINDS, BOOK])


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to a customer: the id as the client wrote it, and the `_id` or the external id in
    it; neither for an invalid id."""

    id_text: str
    customer_id: int | None
    external_id: ExternalId | None = None


def reference_to(text: str) -> Reference:
    """Returns the customer that an id names: a global id, a bare `_id`, or an external id."""
    number = number_of(text, "Customer")
    return Reference(text, number, parse(text) if number is None else None)


def customer_ids(*references: Reference) -> frozenset[int]:
    return frozenset(r.customer_id for r in references if r.customer_id is not None)


def named_shop_ids(*references: Reference) -> frozenset[str]:
    """Returns the ids of other systems to look up."""
    return frozenset(r.external_id.id for r in references if r.external_id is not None)


def shop_ids_of(values: Mapping[str, Any]) -> frozenset[str]:
    """Returns the ids of the external ids in the values of a customer."""
    ids = values.get("external_ids")
    return frozenset(external.id for external in ids) if ids else frozenset()


def settings_of_new(values: Mapping[str, Any]) -> Collection[bool]:
    """Returns the key of the account's settings if a new customer with these values needs them."""
    has_email = values.get("email_key") or keys_of_lists(values)
    return () if has_email else (True,)


def settings_of_change(values: Mapping[str, Any]) -> Collection[bool]:
    """Returns the key of the account's settings if a change to these values needs them: it removes
    an identification and sets no email."""
    is_removed = any(name in values and not values[name] for name in IDENTIFIERS[ANYTHING])
    is_removed |= any(name in values and values[name].removes for name in KINDS)
    return settings_of_new(values) if is_removed else ()


def email_keys(values: Mapping[str, Any]) -> frozenset[str]:
    """Returns the keys of all emails in the values of a customer."""
    key = values.get("email_key")
    keys = frozenset([key]) if key else frozenset()
    return keys.union(keys_of_lists(values)) if "emails" in values else keys


def has_email(values: Mapping[str, Any]) -> bool:
    """Returns whether the values of a customer have an email, the default or another one."""
    return bool(values.get("email_key")) or bool(keys_of_lists(values))


def keys_of_lists(values: Mapping[str, Any]) -> Sequence[str]:
    """Returns the keys of the emails in a list of emails."""
    change = values.get(EMAILS.name)
    return change.keys if change else ()


def has_lists(values: Mapping[str, Any]) -> Collection[bool]:
    """Returns the key of the version of the tables if values have a list of contact points or of
    addresses, which needs a version."""
    return (True,) if not _LISTS.isdisjoint(values) else ()


@dataclass(frozen=True, slots=True)
class NewLead:
    """A message from a contact form, at a time in milliseconds since 1970."""

    subject: str
    message: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Activity:
    """The orders, leads and visits of a customer in the shop."""

    orders: tuple[NewOrder, ...] = ()
    leads: tuple[NewLead, ...] = ()
    visits: int = 0


NO_ACTIVITY = Activity()


@dataclass(frozen=True, slots=True)
class CreateCustomer(SmallCommand):
    """Creates a customer from clean values, at a time in milliseconds since 1970, with its
    activity. `problems` are those of the input; the decision adds the problems that need the
    database.

    `row` is the row without its keys. It is computed here, because other writes wait for a
    decision.
    """

    values: dict[str, Any]
    at: int
    problems: list[Problem] = field(default_factory=list)
    activity: Activity = NO_ACTIVITY
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    row: Row = field(init=False)

    @classmethod
    def from_node(
        cls,
        node: Mapping[str, Any],
        at: int,
        idempotency_record: IdempotencyRecord | None = None,
        origin: Origin = COMMAND_LINE,
    ) -> Self:
        """Returns the command for the input of `createCustomer`, which is cleaned."""
        values, problems = clean_values(node, ("node",))
        return cls(values, at, problems, idempotency_record=idempotency_record, origin=origin)

    def __post_init__(self) -> None:
        row, problems = with_values(new_row(self.at), self.values, ("node",))
        object.__setattr__(self, "row", row)
        object.__setattr__(self, "problems", [*self.problems, *problems])

    @property
    def is_large(self) -> bool:
        return index_terms.has_much_text(self.row)

    @property
    def expects_no_rows(self) -> bool:
        return True

    def lookup_keys(self) -> LookupKeys:
        order_names = frozenset(order.name for order in self.activity.orders)
        return LookupKeys(
            email_keys=email_keys(self.values),
            order_names=order_names,
            spend_settings=(True,) if order_names else (),
            shop_ids=shop_ids_of(self.values),
            account_settings=settings_of_new(self.values),
            table_versions=has_lists(self.values),
            **record_lookups(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class UpdateCustomer(SmallCommand):
    """Merges clean values into a customer, if it has the expected version. `path` is that of the
    values in the input."""

    customer: Reference
    values: dict[str, Any]
    at: int
    problems: list[Problem] = field(default_factory=list)
    version: int | None = None
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    path: InputPath = ("node",)

    @classmethod
    def from_node(
        cls,
        customer: Reference,
        node: Mapping[str, Any],
        at: int,
        version: int | None = None,
        idempotency_record: IdempotencyRecord | None = None,
        origin: Origin = COMMAND_LINE,
    ) -> Self:
        """Returns the command for the input of `updateCustomer`, which is cleaned."""
        values, problems = clean_values(node, ("node",))
        return cls(customer, values, at, problems, version, idempotency_record, origin)

    @property
    def is_large(self) -> bool:
        return is_large(self.values)

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            customer_ids=customer_ids(self.customer),
            email_keys=email_keys(self.values),
            shop_ids=named_shop_ids(self.customer) | shop_ids_of(self.values),
            account_settings=settings_of_change(self.values),
            table_versions=has_lists(self.values),
            **record_lookups(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class ChangeExternalIds(SmallCommand):
    """Adds external ids to a customer and removes others, if it has the expected version."""

    customer: Reference
    at: int
    add: ExternalIds = ()
    remove: ExternalIds = ()
    problems: list[Problem] = field(default_factory=list)
    version: int | None = None
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            customer_ids=customer_ids(self.customer),
            shop_ids=named_shop_ids(self.customer) | frozenset(e.id for e in self.add),
            account_settings=(True,) if self.remove else (),
            **record_lookups(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class AddressReference:
    """A reference to an address: the id as the client wrote it, and the `_id` in it, or None."""

    id_text: str
    number: int | None

    @property
    def customer_id(self) -> int | None:
        """The `_id` of its customer, if it is derived from that."""
        return self.number // 2 if self.number is not None and self.number > 0 else None


def _address_lookups(references: Iterable[AddressReference]) -> dict[str, frozenset[Any]]:
    listed = list(references)
    numbers = [each.number for each in listed if each.number is not None and each.number < 0]
    ids = [each.customer_id for each in listed if each.customer_id is not None]
    return {"customer_ids": frozenset(ids), "phone_terms": frozenset(map(address_term, numbers))}


@dataclass(frozen=True, slots=True)
class CreateAddress(SmallCommand):
    """Adds a clean entry to the address book of a customer, if it has the expected version."""

    customer: Reference
    entry: Mapping[str, Any]
    at: int
    problems: list[Problem] = field(default_factory=list)
    version: int | None = None
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            customer_ids=customer_ids(self.customer),
            shop_ids=named_shop_ids(self.customer),
            table_versions=(True,),
            **record_lookups(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class UpdateAddress(SmallCommand):
    """Merges a clean entry into an address, if its customer has the expected version."""

    address: AddressReference
    entry: Mapping[str, Any]
    at: int
    problems: list[Problem] = field(default_factory=list)
    version: int | None = None
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            **_address_lookups([self.address]),
            table_versions=(True,),
            **record_lookups(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class DeleteAddresses(SmallCommand):
    """Deletes all of the addresses or none."""

    addresses: tuple[AddressReference, ...]
    at: int
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            **_address_lookups(self.addresses), **record_lookups(self.idempotency_record)
        )


@dataclass(frozen=True, slots=True)
class DeleteCustomers(SmallCommand):
    """Deletes all of the customers or none, if each has the expected version. They move to the
    trash, unless the deletion is `permanent` or the account has no trash."""

    customers: tuple[Reference, ...]
    at: int
    version: int | None = None
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    permanent: bool = False

    def lookup_keys(self) -> LookupKeys:
        ids, shop_ids = customer_ids(*self.customers), named_shop_ids(*self.customers)
        return LookupKeys(
            customer_ids=ids,
            shop_ids=shop_ids,
            moved_ids=() if self.permanent else ids,
            moved_shop_ids=() if self.permanent else shop_ids,
            **dict(zip(DELETED, (ids, shop_ids), strict=True)),
            **record_lookups(self.idempotency_record),
        )
