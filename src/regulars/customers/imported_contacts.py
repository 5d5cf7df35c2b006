"""Merging the emails, phones and addresses of a row of an import with those of its customer."""

from __future__ import annotations

from regulars.customers import addresses
from regulars.customers.address_book import (
    BILLING,
    BOOK,
    FLAGS,
    MAX_ENTRIES,
    SHIPPING,
    Book,
    Entry,
    load,
)
from regulars.customers.bulk import SetRow
from regulars.customers.contact_changes import MERGE, BookRow, Change, ContactRow, Given
from regulars.customers.contact_points import EMAILS, KINDS, ContactPoints
from regulars.customers.field_rules import Values
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.store import Row

# Characters of values that are kept in `custom`, which has 65,535 bytes in all.
_MAX_KEPT_CHARACTERS = 4_000
TAKEN, SURPLUS = "taken", "surplus"


def with_stored_defaults(row: SetRow, stored: Row | None) -> SetRow:
    """Return a row without the defaults that are further emails and phones of the file, if its
    customer has defaults. An empty cell changes nothing."""
    left_out: set[str] = set()
    for contacts in row.contacts if stored else ():
        if isinstance(contacts, ContactRow) and contacts.has_default:
            default = KINDS[contacts.kind].default
            left_out.update((default, f"{default}_key") if stored and stored[default] else ())
    if not left_out:
        return row
    rest = {name: value for name, value in row.values.items() if name not in left_out}
    return row._replace(values=rest)


def with_contacts(
    unit: CustomerUnitOfWork, row: SetRow, stored: Row | None, values: Values
) -> tuple[Values, tuple[str, ...]]:
    """Return the values of a row with its further emails, phones and addresses, which are added to
    those of the customer. An email of another customer, and what the customer has no room for, is
    kept in `custom`; then `emails.taken`, `emails.surplus` and the like are returned, too."""
    kept_fields: list[str] = []
    for contacts in row.contacts:
        change: Book | Change | None
        if isinstance(contacts, BookRow):
            change, kept, reasons = _merge_book(unit, contacts, stored, values)
        else:
            change, kept, reasons = _merge(unit, contacts, stored, values)
        if change is not None:
            values = {**values, contacts.kind: change}
        if kept:
            values["custom"] = {**(values.get("custom") or {}), **kept}
            kept_fields += reasons
    return values, tuple(kept_fields)


def _merge(
    unit: CustomerUnitOfWork, contacts: ContactRow, stored: Row | None, values: Values
) -> tuple[Change, dict[str, str], list[str]]:
    kind = KINDS[contacts.kind].in_country(unit.default_country)
    points = kind.points(stored) if stored else ContactPoints()
    default = values.get(kind.default)
    default_key = kind.key(default) if default else ""
    present = {kind.key(entry.value) for entry in points.entries}
    present.update([default_key] if default_key else [])
    number = stored["customer_id"] if stored else None
    added: list[Given] = []
    kept: dict[str, list[str]] = {}
    reasons: dict[str, None] = {}
    entries = Change(MERGE, contacts.entries).keyed_by(kind).entries
    for entry, key in zip(entries, contacts.keys, strict=True):
        if entry.key in present:
            added.append(entry)
            continue
        is_taken = kind.name == EMAILS.name and unit.holder(entry.key) not in (None, number)
        if is_taken or len(present) >= kind.max_count or not unit.accepts_lists:
            kept.setdefault(key, []).append(entry.value)
            reasons[f"{kind.name}.{TAKEN if is_taken else SURPLUS}"] = None
        else:
            present.add(entry.key)
            added.append(entry)
    if not unit.accepts_lists:  # a label needs a list, too
        added = []
    texts = {key: ", ".join(each)[:_MAX_KEPT_CHARACTERS] for key, each in kept.items()}
    return Change(MERGE, tuple(added)), texts, list(reasons)


def _merge_book(
    unit: CustomerUnitOfWork, book: BookRow, stored: Row | None, values: Values
) -> tuple[Book | None, dict[str, str], list[str]]:
    """Return the address book after a row, or None if the row adds nothing to it. A default address
    that is new gets the label of the row. The first further address is the default of a customer
    without one."""
    before = stored or dict.fromkeys((*FLAGS, BOOK))
    defaults = {
        name: addresses.dump(addresses.merge(addresses.load(before[name]), values[name]))
        for name in FLAGS
        if name in values
    }
    entries = load({**before, **defaults})
    present = list(entries)
    labels = {name: label for name, label in book.labels if before[name] is None}
    for index, entry in enumerate(entries if unit.accepts_lists else ()):
        role = SHIPPING if entry.default_shipping else BILLING if entry.default_billing else ""
        if not entry.label and role in labels:
            entries[index] = entry._replace(label=labels[role])
    kept: dict[str, str] = {}
    for given in book.entries:
        if any(entry.address == given.address for entry in entries):
            continue
        is_default = not any(entry.default_shipping for entry in entries)
        if is_default or (unit.accepts_lists and len(entries) < MAX_ENTRIES):
            label = given.label if unit.accepts_lists else ""
            entries.append(Entry(given.address, label, default_shipping=is_default))
        else:
            kept[given.key] = addresses.on_one_line(given.address)[:_MAX_KEPT_CHARACTERS]
    change = Book(tuple(entries)) if entries != present else None
    return change, kept, [f"{BOOK}.{SURPLUS}"] if kept else []
