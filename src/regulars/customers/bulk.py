"""Commands about many customers at once, and the outcome of each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from regulars.core.commands import (
    COMMAND_LINE,
    IdempotencyRecord,
    Origin,
    SmallCommand,
    SummarizedResult,
    record_lookups,
)
from regulars.core.errors import InputPath, Problem
from regulars.core.external_ids import ExternalIds
from regulars.customers.commands import (
    Reference,
    customer_ids,
    email_keys,
    has_email,
    has_lists,
    named_shop_ids,
)
from regulars.customers.contact_changes import BookRow, ContactRow
from regulars.customers.contact_points import EMAILS
from regulars.customers.field_rules import Values
from regulars.customers.search import phone_facets, phones
from regulars.store import LookupKeys, Row
from regulars.store.large_work import LARGE_CHARACTERS, is_large

CREATED = "CREATED"
UPDATED = "UPDATED"
UNCHANGED = "UNCHANGED"
REJECTED = "REJECTED"
# A field in `RowOutcome.kept_fields`, and the name of these fields in an import's row.
SURPLUS_TAGS = "tags.surplus"
_CONTACT = ("phone", "first_name", "last_name")
NO_EMAIL_CONSENT = "accepts_marketing.email"
KEPT_FIELDS = "kept"


class RowWarning(NamedTuple):
    """A value of a row that was changed or could not be read: the `kind` of the change, the `field`
    or the heading of the column, and a `message` where the kind does not say everything."""

    kind: str
    field: str
    message: str = ""


# A customer that a row would create: the columns that differ from those of an empty customer, and
# the search terms. A plain tuple, because millions of them are sent between processes.
NewCustomer = tuple[Row, Collection[str]]


class SetRow(NamedTuple):
    """A row of a bulk write: clean `values` to merge into a customer.

    `customer` selects an existing customer. Without it, the email in `values` selects one, or a new
    customer is created. A new customer gets the `_id` `take` if the account has never assigned it.
    With `customer`, a customer is created only if `take` is set.

    `timestamps` are `created_at` and `updated_at` in milliseconds since 1970. They are set for a
    new customer, and with `mirrored` also for a changed one. `shop_ids` are external ids that are
    added but identify no customer. One that another customer has is stored in the custom field
    `shop_id_key`. Those in `values` identify the customer and are added; with `mirrored` they
    replace those that it has. `no_email` is the message if a new customer needs an email and the
    row has none.
    `contacts` are further emails, phones and addresses, which identify no customer. `own_id` is the
    `_id` of a customer without an email in our export.
    `problems` reject the row. `path` is the path of the row in the input. `warnings` describe
    values that were changed or could not be read. `new_customer` is what
    `values` would create, if it was computed in advance. `version` is the one that an existing
    customer must have.
    """

    values: Values
    problems: tuple[Problem, ...] = ()
    customer: Reference | None = None
    take: int | None = None
    timestamps: tuple[int, int] | None = None
    shop_ids: ExternalIds = ()
    mirrored: bool = False
    path: InputPath = ()
    warnings: tuple[RowWarning, ...] = ()
    shop_id_key: str = ""
    new_customer: NewCustomer | None = None
    version: int | None = None
    no_email: str = ""
    own_id: int | None = None
    contacts: tuple[ContactRow | BookRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """The progress of an import after a batch: from row `position` to row `to`, after `read` bytes
    of the file. The batch's rejected rows are written after `rejected_at` bytes of the stored
    rejected rows. `problems` are examples of earlier problems, as JSON. `cursor` is the start of
    the next page if the source is not a file."""

    import_id: str
    position: int
    to: int
    read: int
    rejected_at: int
    problems: str
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class SetCustomers(SmallCommand):
    """Creates or updates customers, row by row, at a time in milliseconds since 1970.

    With `whole`, nothing is saved if a row is rejected. With `distinct`, a second row for one
    customer is rejected. With `keeps_consent`, no row subscribes an
    unsubscribed customer. With `adds_tags`, the tags of a row are added to those of the customer;
    those beyond the maximum are stored in the custom field `surplus_tags_key`. With
    `phone_identifies`, a row without another identifier is for the one customer with its phone.
    With `phone_is_first`, the one customer with the phone of a row is found before the one with its
    email. With `contact_identifies`, a row without an email is for the customer with an external id
    of it, or else for the one customer without an email who has its phone and its full name.
    """

    rows: tuple[SetRow, ...]
    at: int
    whole: bool = False
    distinct: bool = False
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE
    step: Step | None = None
    keeps_consent: bool = False
    adds_tags: bool = False
    surplus_tags_key: str = "tags"
    phone_identifies: bool = False
    contact_identifies: bool = False
    phone_is_first: bool = False

    @property
    def is_large(self) -> bool:
        return is_large([row.values for row in self.rows])

    @property
    def is_step(self) -> bool:
        # A pull, which has a cursor, reads the customers that it wrote.
        return self.step is not None and self.step.cursor is None

    def lookup_keys(self) -> LookupKeys:
        rows = self.rows
        with_lists = [row for row in rows if row.contacts or has_lists(row.values)]
        without_default = [row for row in rows if not row.values.get("email_key")]
        return LookupKeys(
            customer_ids=frozenset(_ids(rows)),
            email_keys=frozenset([row.values.get("email_key") or "" for row in rows]).union(
                *(email_keys(row.values) for row in with_lists), _further(with_lists)
            )
            - {""},
            taken_ids=frozenset([row.take or row.own_id for row in rows]) - {None},
            shop_ids=frozenset(_shop_ids(rows)),
            phone_terms=phones.lookup_terms(list(self._terms(without_default))),
            account_settings=(True,) if without_default else (),
            table_versions=(True,) if with_lists else (),
            import_ids=frozenset([self.step.import_id] if self.step else []),
            **record_lookups(self.idempotency_record),
        )

    def phone_term(self, row: SetRow) -> str:
        """Return the search term of the phone that identifies the customer of a row; empty if it
        does not."""
        return phone_of(row) if self.phone_is_first else phone_term(row)

    def _terms(self, without_default: Iterable[SetRow]) -> Iterator[str]:
        if self.phone_identifies or self.phone_is_first:
            yield from map(self.phone_term, self.rows)
        if self.contact_identifies:
            yield from map(contact_term, without_default)


def _further(rows: Iterable[SetRow]) -> Iterator[str]:
    """Yield the keys of the further emails of rows."""
    for row in rows:
        for contacts in row.contacts:
            if isinstance(contacts, ContactRow) and contacts.kind == EMAILS.name:
                yield from (entry.key for entry in contacts.entries)


def _ids(rows: Iterable[SetRow]) -> Iterable[int]:
    for row in rows:
        if row.customer is not None and row.customer.customer_id is not None:
            yield row.customer.customer_id
        if row.take is not None:
            yield row.take


def phone_term(row: SetRow) -> str:
    """Return the search term of the phone that identifies the customer of a row; empty if the row
    has another identifier, or no phone."""
    values = row.values
    if row.customer is not None or has_email(values) or values.get("external_ids"):
        return ""
    return phone_of(row)


def phone_of(row: SetRow) -> str:
    """Return the search term of the phone of a row; empty if it has none."""
    forms = phones.forms(row.values.get("phone") or "")
    return f"phone:{forms[0]}" if forms else ""


def contact_term(row: SetRow) -> str:
    """Return the search term of the customer without an email who has the phone and the full name
    of a row; empty if the row has an email or neither of them."""
    if has_email(row.values):
        return ""
    contact = {name: row.values.get(name) or "" for name in _CONTACT}
    return phone_facets.contact_term(contact)


def _shop_ids(rows: Iterable[SetRow]) -> Iterable[str]:
    for row in rows:
        if row.customer is not None and row.customer.external_id is not None:
            yield row.customer.external_id.id
        for external in row.shop_ids:
            yield external.id
        for external in row.values.get("external_ids") or ():
            yield external.id


class RowOutcome(NamedTuple):
    """What became of a row: the outcome, the customer as it is, or would be in a dry run, and why
    it is rejected. `kept_fields` are those in which the customer keeps a value although the row has
    another one: the consent and tags by the options of the command, the time of creation, and
    `external_id` if another customer has the shop id; `SURPLUS_TAGS` if some tags of the row are
    in `custom`, because the customer has the most that are allowed; `NO_EMAIL_CONSENT` if the
    customer cannot accept marketing without an email."""

    outcome: str
    row: Row | None
    problems: tuple[Problem, ...] = ()
    kept_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SetResult(SummarizedResult):
    """The outcome of each row, in the order of the rows, and whether rows were saved."""

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
    """Adds tags to customers or removes tags from them, if each has the expected version. All
    customers are changed, or none."""

    customers: tuple[Reference, ...]
    at: int
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    version: int | None = None
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    @property
    def is_large(self) -> bool:
        tags = sum(map(len, self.add)) + sum(map(len, self.remove))
        return tags * len(self.customers) > LARGE_CHARACTERS

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            customer_ids=customer_ids(*self.customers),
            shop_ids=named_shop_ids(*self.customers),
            **record_lookups(self.idempotency_record),
        )


def counted(outcomes: Iterable[str]) -> Mapping[str, int]:
    """Return the number of rows with each outcome."""
    return {**dict.fromkeys((CREATED, UPDATED, UNCHANGED, REJECTED), 0), **Counter(outcomes)}
