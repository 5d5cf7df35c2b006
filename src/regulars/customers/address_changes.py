"""The rules of creating, updating and deleting addresses: one change of each customer."""

from __future__ import annotations

from typing import Any

from regulars.core.errors import (
    AddressNotFound,
    CustomerNotFound,
    InputPath,
    Rejected,
    TooMuchWork,
)
from regulars.customers import address_book
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
from regulars.customers.search import search_document
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
    entries, wrong = address_book.created(stored, command.entry, _PATH)
    updated = with_entries(row, entries)
    conflicts = version_conflicts(unit, [command.customer], command.version)
    of_version = book_problems(unit, row, updated, _PATH)
    if problems := [*conflicts, *command.problems, *wrong, *of_version]:
        raise Rejected(*problems)
    saved = unit.save(row, updated, command)
    address = address_book.whole(command.entry)
    return entry_row(saved, next(e for e in address_book.load(saved) if e.address == address))


def update_address(unit: CustomerUnitOfWork, command: UpdateAddress) -> dict[str, Any]:
    """Merge values into an address; return it as `entry_row` does. Raises Rejected."""
    row, position = _find(unit, command.address)
    if row is None:
        raise Rejected(AddressNotFound([command.address.id_text], ("id",)), *command.problems)
    entries, wrong = address_book.updated(address_book.load(row), position, command.entry, _PATH)
    updated = with_entries(row, entries)
    reference = Reference(str(row["customer_id"]), row["customer_id"])
    conflicts = version_conflicts(unit, [reference], command.version)
    of_version = book_problems(unit, row, updated, _PATH)
    if problems := [*conflicts, *command.problems, *wrong, *of_version]:
        raise Rejected(*problems)
    before = address_book.load(row)[position]
    address = address_book.merged(before, command.entry)
    saved = unit.save(row, updated, command)
    return entry_row(saved, _after(address_book.load(saved), before, address))


def delete_addresses(unit: CustomerUnitOfWork, command: DeleteAddresses) -> list[int]:
    """Delete addresses, and return their `_id`s in the order of the command. Raises Rejected."""
    found = [_find(unit, reference) for reference in command.addresses]
    missing = [
        reference.id_text
        for reference, (row, _) in zip(command.addresses, found, strict=True)
        if row is None
    ]
    if missing:
        raise Rejected(AddressNotFound(missing, ("items",)))
    positions: dict[int, set[int]] = {}
    for row, position in found:
        assert row is not None
        positions.setdefault(row["customer_id"], set()).add(position)
    updates: list[tuple[Row, Row]] = []
    work = 0
    for customer_id, deleted in positions.items():
        row = unit.customer(customer_id)
        assert row is not None
        kept = [e for n, e in enumerate(address_book.load(row)) if n not in deleted]
        updated = with_entries(row, kept)
        work += search_document.work_of(row, updated)
        if work > search_document.MAX_WORK and updates:
            raise Rejected(TooMuchWork())
        updates.append((row, updated))
    for row, updated in updates:
        unit.save(row, updated, command)
    return [reference.number or 0 for reference in command.addresses]


def _find(unit: CustomerUnitOfWork, reference: AddressReference) -> tuple[Row | None, int]:
    """Return the customer of an address, and the position of its entry; None if there is none."""
    number = reference.number
    if number is None:
        return None, 0
    rows = (
        unit.with_facet(address_term(number))
        if number < 0
        else filter(None, [unit.customer(number // 2)])
    )
    for row in rows:
        for position, entry in enumerate(address_book.load(row)):
            if entry.is_named(number, row["customer_id"]):
                return row, position
    return None, 0


def _after(entries: list[Entry], before: Entry, address: Any) -> Entry:
    """Return the entry of a saved customer that was `before` and has now an address."""
    same = [entry for entry in entries if entry.address == address]
    return next((entry for entry in same if entry.id and entry.id == before.id), same[0])


def entry_row(customer: Row, entry: Entry) -> dict[str, Any]:
    """Return an entry as a row of the API, with the `_id` of its customer."""
    customer_id = customer["customer_id"]
    return {"customer_id": customer_id, **address_book.api_row(customer_id, entry)}
