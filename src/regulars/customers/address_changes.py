"""The rules of creating, updating and deleting addresses: one change of each customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.core.errors import (
    AddressNotFound,
    CustomerNotFound,
    InputPath,
    Rejected,
    TooMuchWork,
)
from regulars.customers import address_book, address_book_edits
from regulars.customers.address_book import Entry
from regulars.customers.commands import (
    AddressReference,
    CreateAddress,
    DeleteAddresses,
    Reference,
    UpdateAddress,
)
from regulars.customers.contact_rules import book_problems
from regulars.customers.rules import version_conflicts
from regulars.customers.search import index_terms
from regulars.customers.search.search_document import address_term
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import with_entries
from regulars.store import Row

_PATH: InputPath = ("node",)


def create_address(unit: CustomerUnitOfWork, command: CreateAddress) -> dict[str, Any]:
    """Add an address to a customer; return it as `entry_row` does. Raises Rejected."""
    row = unit.find(command.customer)
    if row is None:
        missing = CustomerNotFound([command.customer.id_text], ("customer",))
        raise Rejected(missing, *command.problems)
    stored = address_book.load(row)
    entries, wrong = address_book_edits.created(stored, command.entry, _PATH)
    updated = with_entries(row, entries)
    conflicts = version_conflicts(unit, [command.customer], command.version)
    of_version = book_problems(unit, row, updated, _PATH)
    if problems := [*conflicts, *command.problems, *wrong, *of_version]:
        raise Rejected(*problems)
    saved = unit.save(row, updated, command)
    address = address_book_edits.whole(command.entry)
    return entry_row(saved, next(e for e in address_book.load(saved) if e.address == address))


def update_address(unit: CustomerUnitOfWork, command: UpdateAddress) -> dict[str, Any]:
    """Merge values into an address; return it as `entry_row` does. Raises Rejected."""
    ((row, stored, position),) = _find(unit, [command.address])
    if row is None:
        raise Rejected(AddressNotFound([command.address.id_text], ("id",)), *command.problems)
    entries, wrong = address_book_edits.updated(stored, position, command.entry, _PATH)
    updated = with_entries(row, entries)
    reference = Reference(str(row["customer_id"]), row["customer_id"])
    conflicts = version_conflicts(unit, [reference], command.version)
    of_version = book_problems(unit, row, updated, _PATH)
    if problems := [*conflicts, *command.problems, *wrong, *of_version]:
        raise Rejected(*problems)
    before = stored[position]
    address = address_book_edits.merged(before, command.entry)
    saved = unit.save(row, updated, command)
    return entry_row(saved, _after(address_book.load(saved), before, address))


def delete_addresses(unit: CustomerUnitOfWork, command: DeleteAddresses) -> list[int]:
    """Delete addresses, and return their `_id`s in the order of the command. Raises Rejected."""
    found = _find(unit, command.addresses)
    missing = [
        reference.id_text
        for reference, (row, _, _) in zip(command.addresses, found, strict=True)
        if row is None
    ]
    if missing:
        raise Rejected(AddressNotFound(missing, ("items",)))
    deleted: dict[int, set[int]] = {}
    customers: dict[int, tuple[Row, list[Entry]]] = {}
    for row, entries, position in found:
        assert row is not None
        customers[row["customer_id"]] = row, entries
        deleted.setdefault(row["customer_id"], set()).add(position)
    updates: list[tuple[Row, Row]] = []
    work = 0
    for customer_id, (row, entries) in customers.items():
        kept = [e for n, e in enumerate(entries) if n not in deleted[customer_id]]
        updated = with_entries(row, kept)
        work += index_terms.work_of(row, updated)
        if work > index_terms.MAX_WORK and updates:
            raise Rejected(TooMuchWork())
        updates.append((row, updated))
    for row, updated in updates:
        unit.save(row, updated, command)
    return [reference.number or 0 for reference in command.addresses]


_Found = tuple[Row | None, list[Entry], int]


def _find(unit: CustomerUnitOfWork, references: Sequence[AddressReference]) -> list[_Found]:
    """Return for each address its customer, the entries of that, and the position of its entry. The
    customer is None if there is none. Raises Rejected if the books of several customers are too
    large."""
    numbers = [reference.number for reference in references]
    terms = {address_term(number): number for number in numbers if number and number < 0}
    rows = {terms[term]: row for term, row in unit.with_facets(terms.keys()).items()}
    rows |= {n: row for n in numbers if n and n > 0 and (row := unit.customer(n // 2))}
    customers = {row["customer_id"]: row for row in rows.values()}
    size = sum(len(row[address_book.BOOK] or "") for row in customers.values())
    if size > index_terms.MAX_WORK and len(customers) > 1:
        raise Rejected(TooMuchWork())
    books = {customer_id: address_book.load(row) for customer_id, row in customers.items()}
    return [_in_book(number, rows.get(number or 0), books) for number in numbers]


def _in_book(number: int | None, row: Row | None, books: Mapping[int, list[Entry]]) -> _Found:
    if number is None or row is None:
        return None, [], 0
    customer_id = row["customer_id"]
    entries = books[customer_id]
    found = (n for n, entry in enumerate(entries) if entry.is_named(number, customer_id))
    position = next(found, None)
    return (None, [], 0) if position is None else (row, entries, position)


def _after(entries: list[Entry], before: Entry, address: Any) -> Entry:
    """Return the entry of a saved customer that was `before` and has now an address."""
    same = [entry for entry in entries if entry.address == address]
    return next((entry for entry in same if entry.id and entry.id == before.id), same[0])


def entry_row(customer: Row, entry: Entry) -> dict[str, Any]:
    """Return an entry as a row of the API, with the `_id` of its customer."""
    customer_id = customer["customer_id"]
    return {"customer_id": customer_id, **address_book.api_row(customer_id, entry)}
