"""Checks of rows for `verify`, beyond the rules of their columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import orjson

from regulars.core import account_settings, external_ids, fields
from regulars.core.counts import count_of
from regulars.core.fields import names_of
from regulars.customers import address_book, addresses, contact_points
from regulars.customers import history as changes
from regulars.customers.emails import clean_email, key_without_email
from regulars.customers.field_rules import folded_columns
from regulars.customers.fields import FIELDS
from regulars.customers.search import search_document
from regulars.directory.stored_values import wrong_values
from regulars.jobs.ending import FIRST_NUMBER
from regulars.orders.values import net_payment
from regulars.store import Row
from regulars.webhooks.values import PENDING

_CHECKSUM_MASK = (1 << 64) - 1


def check_delivery(
    label: str, row: Row, last_change: int, webhook_ids: Collection[int]
) -> Iterator[str]:
    """Yield the problems of a delivery."""
    if row["webhook_id"] not in webhook_ids:
        yield f"{label}: the webhook is missing"
    is_of_job = row["job_id"] is not None
    if is_of_job != (row["number"] >= FIRST_NUMBER):
        yield f"{label}: the number contradicts the job {row['job_id']}"
    elif (row["number"] > last_change and not is_of_job) or row["number"] == 0:
        yield f"{label}: the change is not in the history"
    is_pending = row["state"] == PENDING
    if is_pending != (row["due_at"] is not None) or is_pending != (row["ended_at"] is None):
        yield f"{label}: the state is {row['state']}, which contradicts the times"
    if row["tries"] > row["attempts"]:
        yield f"{label}: attempts are missing"


class HistoryCheck:
    """The state of an account's customers according to its history."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._kinds: dict[int, str] = {}
        self._with_values: set[int] = set()
        self.last = 0

    def read(self, row: Row) -> Iterator[str]:
        """Read the next change, and yield its problems."""
        label = f"{self._account}, change {row['sequence']}"
        if row["sequence"] != self.last + 1:
            yield f"{label}: the previous one is missing"
        self.last = row["sequence"]
        if row["fields"] is not None:
            self._with_values.add(row["customer_id"])
        self._kinds[row["customer_id"]] = row["kind"]

    def of_present(self, customer_id: int) -> Iterator[str]:
        """Yield the problems of the history of an existing customer."""
        kind = self._kinds.pop(customer_id, None)
        if kind is None or kind in (changes.DELETED, changes.PURGED):
            error = "records its deletion" if kind else "has no entry for it"
            yield f"{self._account}, customer {customer_id}: the history {error}"

    def of_missing(self) -> Iterator[str]:
        """Yield the problems of the history of customers that do not exist."""
        for customer_id, kind in self._kinds.items():
            label = f"{self._account}, customer {customer_id}"
            if kind not in (changes.DELETED, changes.PURGED):
                yield f"{label}: the history does not record the deletion"
            if customer_id in self._with_values:
                yield f"{label}: the customer is deleted, but the history still has values"


class AdditionalEmailCheck:
    """The emails of an account's customers that are not their default: those that its table has,
    which the lists of the customers must have, too."""

    def __init__(self, account: str, rows: Iterable[Row]) -> None:
        self._account = account
        self._customers = {row["email_key"]: row["customer_id"] for row in rows}

    def read(self, row: Row) -> Iterator[str]:
        """Read the next customer, and yield its problems."""
        number = row["customer_id"]
        for key in contact_points.additional_keys(row):
            if self._customers.get(key) == number:
                del self._customers[key]
            else:
                yield "an additional email of the list identifies nothing, or another customer"
        if row["email_key"] in self._customers:
            yield "the email is an additional email of a customer, too"

    def of_missing(self) -> Iterator[str]:
        """Yield the problems of emails that no list has."""
        for number in sorted(self._customers.values()):
            yield f"{self._account}, additional email of customer {number}: it is not in the list"


class IdentificationCheck:
    """Counts the customers of an account without the identification that it requires now. That is
    no problem: its setting may have changed."""

    def __init__(self, settings: str | None) -> None:
        self._needed = account_settings.load(settings)[account_settings.IDENTIFY_BY.name]
        self._lacking = 0

    def read(self, row: Row) -> None:
        """Read the next customer."""
        fields_ = account_settings.IDENTIFIERS[self._needed]
        self._lacking += not any(row[name] for name in fields_)

    def describe(self, account_id: int) -> list[str]:
        """Return a line with the number of these customers, if there are some."""
        if not self._lacking:
            return []
        customers = count_of(self._lacking, "customer lacks", "customers lack")
        setting = f"`{account_settings.IDENTIFY_BY.name}: {self._needed}`"
        return [f"account {account_id}: {customers} the identification of {setting}"]


def add_term(checksum: tuple[int, int], term: str) -> tuple[int, int]:
    """Return a checksum with one more term: the number of terms, and the sum of their hashes."""
    count, total = checksum
    return count + 1, (total + hash(term)) & _CHECKSUM_MASK


def checksum(terms_of_row: set[str]) -> tuple[int, int]:
    """Return the checksum of the terms that a row has."""
    return len(terms_of_row), sum(map(hash, terms_of_row)) & _CHECKSUM_MASK


def check_order(account: str, row: Row, last_id: int) -> Iterator[str]:
    """Yield the problems of an order. `last_id` is the last `_id` that the account gave."""
    label = f"{account}, order {row['order_id']}"
    if row["order_id"] > last_id:
        yield f"{label}: the id was never assigned"
    if row["net_payment"] != net_payment(row):
        yield f"{label}: `net_payment` is not the paid amount minus refunds"


def _is_book(row: Row) -> bool:
    """Return whether the address book is as it is stored. An older program may have removed a
    default address which has a label or an id there."""
    text = row[address_book.BOOK]
    if text is None:
        return True
    items = orjson.loads(text)
    if not all(isinstance(item, dict) and isinstance(item.get("label"), str) for item in items):
        return False
    ids = address_book.own_ids(text)
    entries = address_book.load(row)
    return (
        0 < len(items) <= address_book.MAX_ENTRIES
        and len(entries) <= address_book.MAX_ENTRIES
        and len(ids) == len(set(ids))
        and all(id_ < 0 for id_ in ids)
        and all(
            ("address" in item) != any(item.get(flag) for flag in address_book.FLAGS.values())
            and addresses.merge(None, item.get("address")) == item.get("address")
            for item in items
        )
    )


def check_customer(row: Row, counter_row: Row | None = None) -> Iterator[str]:
    """Yield the values of a customer's row that the rules would not store. `counter_row` has the
    counters of its account; without it, the account has no default country."""
    if any(wrong_values("customers", row)):
        yield "a value has the wrong type or range"
        return
    email, key, error = clean_email(row["email"])
    if not row["email"]:
        key, error = key_without_email(row["customer_id"]), None
        if row["accepts_marketing"]:
            yield "a customer without an email accepts marketing"
    if error or (email, key) != (row["email"], row["email_key"]):
        yield "the email is not in its stored form"
    for name in names_of(FIELDS, fields.Address):
        parts = addresses.load(row[name])
        if parts is not None and addresses.dump(parts) != row[name]:
            yield f"{name} is not in its stored form"
    if not _is_book(row):
        yield "addresses is not in its stored form"
        return
    ids = external_ids.load(row["external_ids"])
    if len(ids) > external_ids.MAX_IDS or external_ids.dump(ids) != row["external_ids"]:
        yield "external_ids is not in its stored form"
    lists = [k for k in contact_points.KINDS.values() if row[k.name] is not None]
    wrong_lists = [p for kind in lists if (p := contact_points.problem(kind, row))]
    yield from wrong_lists
    if row["version"] < 1 or row["updated_at"] < row["created_at"]:
        yield "the version or the timestamps are impossible"
    if wrong_lists:
        return  # nothing can be derived of them
    expected = folded_columns(row)
    if counter_row is None:
        expected |= search_document.derive_columns(row)
    elif not 0 < counter_row["rebuild_from"] <= row["customer_id"]:
        country = account_settings.country_of(counter_row["default_country"])
        expected |= search_document.derive_columns(row, country=country)
    different = [name for name, value in expected.items() if row[name] != value]
    if different:
        yield f"derived values are wrong: {', '.join(different)}"
