"""The unit of work of a batch for the rules of customers: customers by email, the history, ids, and
the changed search terms."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from functools import partial
from operator import itemgetter
from typing import Any

from regulars.core import account_settings
from regulars.core.commands import Command
from regulars.core.errors import InvalidInput, Rejected
from regulars.core.ids import MAX_ID
from regulars.customers import history
from regulars.customers.address_book import BOOK, numbered
from regulars.customers.commands import Reference
from regulars.customers.contact_points import additional_keys
from regulars.customers.emails import key_without_email
from regulars.customers.search import index_terms, phones, search_document
from regulars.orders.shop_ids import CUSTOMER, ShopIdMap
from regulars.store import Changes, Entities, Row, State, UnitOfWork, tables

# The rows of the state that say which `_id`s, of those that commands name, were used before.
USED_IDS = "used_customer_ids"
# The rows of the state with the settings of the account.
ACCOUNT_SETTINGS = "account_settings"
# The row of the state with the last version of the tables whose contract part is finished.
TABLE_VERSIONS = "table_versions"

# The version of the tables since which customers have lists of contact points and addresses.
CONTACT_POINTS_VERSION = "0019"

_CUSTOMERS = tables.customers.name
_terms_key = itemgetter(*index_terms.TERMS_OF)


class CustomerUnitOfWork(UnitOfWork):
    """A unit of work with the functions that the rules of customers need."""

    def __init__(self, account_id: int, state: State, entities: Entities) -> None:
        super().__init__(account_id, with_additional_emails(account_id, state), entities)
        self._used_ids = frozenset([row["customer_id"] for row in state.rows.get(USED_IDS, ())])
        self._known_terms: dict[tuple[Any, ...], tuple[Collection[str], Collection[str]]] = {}
        # The rows and the terms of new customers whose terms were computed before.
        self._new_terms: dict[int, tuple[Row, Collection[str]]] = {}

    @property
    def shop_ids(self) -> ShopIdMap:
        """The external ids that the batch names."""
        # Not kept: a cycle would leave every unit of work to the garbage collector, 5 us each.
        return ShopIdMap(self)

    def find(self, reference: Reference) -> Row | None:
        """Return the customer of a reference, or None."""
        number, external = reference.customer_id, reference.external_id
        if number is None and external is not None:
            number = self.shop_ids.find(external.id, CUSTOMER, external.source)
        return None if number is None else self.rows[tables.customers].get(number)

    def customer(self, customer_id: int) -> Row | None:
        """Return the customer with an `_id`, or None."""
        return self.rows[tables.customers].get(customer_id)

    def holder(self, email_key: str) -> int | None:
        """Return the `_id` of the customer with an email, or None."""
        customer_id: int | None = self.rows[tables.customers].find(("email_key",), email_key)
        if customer_id is None and self._has_additional_emails:
            row = self.rows[tables.additional_emails].get(email_key)
            customer_id = row["customer_id"] if row else None
        return customer_id

    @property
    def _has_additional_emails(self) -> bool:
        table = tables.additional_emails
        return table in self.rows or bool(self.state.rows.get(table.name))

    def with_facet(self, facet: str) -> list[Row]:
        """Return the customers of the batch that have a facet, in the order of their ids."""
        facet_lines = [f"\n{each}\n" for each in phones.lookup_terms([facet])]
        rows = self.rows[tables.customers].all()
        found = [row for row in rows if any(each in row["facets"] for each in facet_lines)]
        return sorted(found, key=itemgetter("customer_id"))

    def with_facets(self, facets: Set[str]) -> dict[str, Row]:
        """Return a customer of the batch for each of the facets that one has."""
        if not facets:
            return {}
        rows = self.rows[tables.customers].all()
        return {facet: row for row in rows for facet in facets & set(row["facets"].split("\n"))}

    def order(self, name: str) -> Row | None:
        """Return the order with a name, or None."""
        orders = self.rows[tables.orders]
        return orders.get(orders.find(("name",), name))

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the account: the defaults, unless a command looks them up."""
        rows = self.state.rows.get(ACCOUNT_SETTINGS)
        return account_settings.load(rows[0]["settings"] if rows else None)

    @property
    def accepts_lists(self) -> bool:
        """Whether no program of a version without lists of contact points and addresses uses the
        database. A command with a list must look it up."""
        return self.has_tables(CONTACT_POINTS_VERSION)

    def has_tables(self, version: str) -> bool:
        """Return whether the migration to a version of the tables is finished, with its contract
        part: no older program uses the database. The command must look it up."""
        rows = self.state.rows.get(TABLE_VERSIONS)
        return bool(rows and rows[0]["finished"] >= version)

    @property
    def identify_by(self) -> str:
        """The identification that the account needs; see `settings`."""
        identify_by: str = self.settings[account_settings.IDENTIFY_BY.name]
        return identify_by

    @property
    def default_country(self) -> str:
        """The country of phones without a country code, or an empty text."""
        return account_settings.country_of(self.counters["default_country"])

    def as_new(self, row: Row, customer_id: int | None = None) -> Row:
        """Return the row of a new customer with its keys: a free `_id`, or the next one."""
        number = self.next_id("customers") if customer_id is None else customer_id
        key = row["email_key"] if row["email"] else key_without_email(number)
        ids = {"account_id": self.account_id, "customer_id": number}
        return self._with_address_ids({**row, **ids, "email_key": key})

    def _with_address_ids(self, row: Row) -> Row:
        """Return a row whose new addresses have ids. Most customers have default addresses only,
        and no book."""
        text = row[BOOK]
        if text is None or (book := numbered(text, partial(self.next_id, BOOK))) == text:
            return row
        row = {**row, BOOK: book}
        return {**row, **search_document.derive_columns(row, (BOOK,))}

    def put_customer(self, row: Row, terms: Collection[str] | None = None) -> Row:
        """Add a customer or replace its row, and return the row with search terms of the account's
        settings. `terms` are those of the row of a new customer, if they are known."""
        known_row = row
        if self.counters["default_country"]:
            row = search_document.with_country(row, self.default_country)
        if terms is not None and row is known_row:
            self._new_terms[row["customer_id"]] = (row, terms)
        customers = self.rows[tables.customers]
        before = customers.get(row["customer_id"])
        self.work += index_terms.work_of(before, row)
        if row["external_ids"] != (before["external_ids"] if before else None):
            self.shop_ids.save(CUSTOMER, before, row)
        if row["emails"] is not None or (before and before["emails"] is not None):
            self._save_additional_emails(before, row)
        customers.put(row)
        return row

    def _save_additional_emails(self, before: Row | None, row: Row) -> None:
        """Save the emails of a customer that are not its default."""
        rows, number = self.rows[tables.additional_emails], row["customer_id"]
        keys = additional_keys(row)
        for key in additional_keys(before) if before else ():
            # Another customer of the batch may have taken it.
            if key not in keys and (held := rows.get(key)) and held["customer_id"] == number:
                rows.delete(key)
        for key in keys:
            if (held := rows.get(key)) is None or held["customer_id"] != number:
                rows.put(_additional_email(self.account_id, key, number))

    def delete_customer(self, customer_id: int, at: int) -> None:
        self.work += index_terms.work_of(self.customer(customer_id), None)
        self.shop_ids.delete_customer(customer_id, at)
        super().delete_customer(customer_id, at)

    def save(self, row: Row, updated: Row, command: Command, at: int | None = None) -> Row:
        """Replace a customer's row and record the change, and return the new row. An equal row
        changes nothing. `at` is the time of a change on another server, in milliseconds since 1970.
        """
        if updated == row:
            return row
        saved_row = _touched(self._with_address_ids(updated), command)
        if at is not None:
            saved_row["updated_at"] = max(at, row["created_at"])
        fields = history.dump(history.difference(row, saved_row))
        put_row = self.put_customer(saved_row)
        self.record(history.UPDATED, row["customer_id"], command, fields)
        return put_row

    def touch(self, row: Row, command: Command) -> Row:
        """Replace a customer's row, and set its time of the last change to that of the command."""
        return self.put_customer(_touched(row, command))

    def record(
        self,
        kind: str,
        customer_id: int,
        command: Command,
        fields: str | None = None,
        order_id: int | None = None,
        cause: str | None = None,
    ) -> None:
        """Add a change to the history."""
        self.counters["changes"] += 1
        self.rows[tables.history].put(
            {
                "account_id": self.account_id,
                "sequence": self.counters["changes"],
                "customer_id": customer_id,
                "kind": kind,
                "at": command.at,
                "actor_kind": command.origin.kind,
                "actor": command.origin.name,
                "request_id": command.origin.request_id,
                "fields": fields,
                "order_id": order_id,
                "silent": command.origin.silent,
                "cause": cause or command.origin.cause,
            }
        )

    def with_changes(self, job: Row, last_change: int) -> Row:
        """Return the row of a job whose range of changes includes those after `last_change`."""
        if self.counters["changes"] == last_change:
            return job
        first = last_change + 1 if job["first_change"] is None else job["first_change"]
        return {**job, "first_change": first, "last_change": self.counters["changes"]}

    def next_id(self, counter: str) -> int:
        """Return the next `_id` of a counter. An id is assigned once, and not again after a delete.
        Raises Rejected if all ids are used."""
        if self.counters[counter] >= MAX_ID:
            message = f"This account has used all of its {MAX_ID:,} ids for {counter}."
            raise Rejected(InvalidInput(message))
        self.counters[counter] += 1
        return self.counters[counter]

    def is_free(self, number: int) -> bool:
        """Whether no customer of the account has ever had an `_id`. The batch must name it."""
        if number > self.counters["customers"]:
            return 0 < number <= MAX_ID
        return number not in self._used_ids and not self.rows[tables.customers].is_known(number)

    def take_id(self, number: int) -> int:
        """Uses a free `_id` for a customer."""
        self.counters["customers"] = max(self.counters["customers"], number)
        return number

    def changes(self) -> Changes:
        """Return the difference between the loaded rows and the current rows."""
        changes = super().changes()
        added: dict[int, Collection[str]] = {}
        removed: dict[int, Collection[str]] = {}
        for customer_id, old, row in self.rows[tables.customers].differences():
            known_row, terms = self._new_terms.get(customer_id, (None, ()))
            if old is None and row is known_row:
                added[customer_id] = terms
                continue
            if row and old and _terms_key(row) == _terms_key(old):
                continue
            new, gone = self.changed_terms(old, row)
            if new:
                added[customer_id] = new
            if gone:
                removed[customer_id] = gone
        changes.added_terms, changes.removed_terms = added, removed
        return changes

    def changed_terms(
        self, before: Row | None, after: Row | None
    ) -> tuple[Collection[str], Collection[str]]:
        """The terms that a row with its derived columns gets and loses. They are computed once for
        a batch."""
        key = (before and _terms_key(before), after and _terms_key(after))
        terms = self._known_terms.get(key)
        if terms is None:
            terms = self._known_terms[key] = index_terms.changed_terms(before, after)
        return terms


def _additional_email(account_id: int, key: str, customer_id: int) -> Row:
    return {"account_id": account_id, "email_key": key, "customer_id": customer_id}


def with_additional_emails(account_id: int, state: State) -> State:
    """Return a state with the rows of the additional emails of its customers, which follow from
    their lists."""
    customers = state.rows.get(_CUSTOMERS)
    if not customers:
        return state
    rows = [
        _additional_email(account_id, key, row["customer_id"])
        for row in customers
        if row["emails"] is not None
        for key in additional_keys(row)
    ]
    if not rows:
        return state
    name = tables.additional_emails.name
    all_rows = {**state.rows, name: [*state.rows.get(name, ()), *rows]}
    return State(state.counters, all_rows, state.revision)


def _touched(row: Row, command: Command) -> dict[str, Any]:
    """A row as changed by a command."""
    updated_at = max(command.at, row["updated_at"])
    return {**row, "updated_at": updated_at, "version": row["version"] + 1}
