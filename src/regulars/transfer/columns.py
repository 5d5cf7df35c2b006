"""The columns of a file of customers, and the fields to which they can belong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regulars.core import fields
from regulars.core.fields import in_order, names_of
from regulars.customers.addresses import PARTS
from regulars.customers.fields import FIELDS, WRITABLE
from regulars.transfer.address_groups import is_later
from regulars.transfer.column_selection import DROP
from regulars.transfer.composed_fields import PARTS_OF_NAMES
from regulars.transfer.contact_columns import KIND_OF
from regulars.transfer.entry_fields import COMPOSED_PARTS, entry_field
from regulars.transfer.export_columns import EARLIER_HEADINGS, OWN_EXTERNAL_IDS, OWN_ID
from regulars.transfer.headings import BILLING as OF_BILLING
from regulars.transfer.headings import COMPANY, SUBURB, WHOLE, match_heading
from regulars.transfer.import_options import EXTERNAL, is_external

SHIPPING, BILLING = "shipping_address", "billing_address"
PROBLEM = "regulars_problem"
WARNING = "regulars_warning"
# In the flat names of JSON, the second item of a list.
_SECOND_OF_LIST = ".1."
# The field of ids of another system.
EXTERNAL_ID = "external_id"
# Before the heading under which an unreadable value is kept in `custom`.
IMPORTED = "import: "
CUSTOM = "custom"

ADDRESS_FIELDS = names_of(FIELDS, fields.Address)
_TIMESTAMPS = names_of(FIELDS, fields.Timestamp)
_INPUT = tuple(
    name for name in names_of(WRITABLE) if name not in (*ADDRESS_FIELDS, OWN_EXTERNAL_IDS)
)
# The fields of columns, except parts of addresses and custom fields. `name` is a whole name; see
# `composed_fields`.
PLAIN = in_order(
    "_id id external_id email first_name last_name name phone accepts_marketing tags notes custom",
    ("_id", "id", EXTERNAL_ID, *PARTS_OF_NAMES, *_INPUT, *_TIMESTAMPS),
)
ADDRESSES = tuple(f"{kind}.{part}" for kind in ADDRESS_FIELDS for part in (*PARTS, *COMPOSED_PARTS))
COLUMNS = (*PLAIN, *KIND_OF, *ADDRESSES)
# Fields that are derived from others. Their columns are ignored.
DERIVED = frozenset(
    (
        PROBLEM,
        WARNING,
        *(name for name in names_of(FIELDS) if name not in (*PLAIN, *ADDRESS_FIELDS)),
    )
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a file, at a position from 0. Without a field it is left out.

    `reader` is a special reading of its values. Of `accepts_marketing`: `opt_out` (yes means no),
    `subscribed_at` and `unsubscribed_at` (a time means that this happened), `circles` (O is yes and
    X is no). `created_at` has
    `subscribed_at` if the time is also a consent. A part of an address has `and_customer` if it is
    also the field of that name of the customer. A whole name has `family_first` or `two_last_names`
    (see name_order.py). A street has `address_cell` if its cells are whole addresses, and an email
    has `with_name` if its cells have names. `continued` means that its values are the next part
    of those of the column before. `note` is a sentence for the user, or None.
    `fallback` is a field (`email`, `phone` or `accepts_marketing`) to which the column lends its
    values: an email or phone if the field's own column has none, and the state of a customer who
    unsubscribed. `label` is that of the emails or phones in the column, and `label_position` the
    position of the column with their labels. `labelled` is the reader of cells such as
    `work <a@example.com>`.
    """

    position: int
    heading: str
    field: str | None
    reader: str | None = None
    note: str | None = None
    fallback: str | None = None
    label: str = ""
    label_position: int | None = None


def is_own_export(headings: Sequence[str]) -> bool:
    """Return whether headings, or the names of a line of JSON, are those of an export of Regulars:
    they have `regulars_id`, or are all those of an export of an earlier version."""
    names = [heading.strip() for heading in headings]
    if names[:1] in ([PROBLEM], [WARNING]):
        names = names[1:]
    return OWN_ID in names or tuple(names) in EARLIER_HEADINGS


def recognised(heading: str, *, is_own: bool = False) -> str | None:
    """Return the field of a heading without regard to other columns, None if it is unknown, DROP
    for a derived field. `id` and `_id` are those of another system, unless `is_own`."""
    name = heading.strip()
    exact = exact_field(name, is_own)
    if exact is not None:
        return exact
    match = match_heading(name)
    if match is None:
        return None
    if match.group is not None:
        part = "city" if match.field == SUBURB else match.field
        if is_later(match.group) or _SECOND_OF_LIST in name:
            return entry_field(match.group, part) if part != WHOLE else None
        kind = BILLING if match.kind == OF_BILLING else SHIPPING
        # A company of no address is a part of one only next to others.
        is_alone = part == COMPANY and not match.group
        return None if part == WHOLE or is_alone else f"{kind}.{part}"
    field = "name" if match.field == "full_name" else match.field
    return field if field in COLUMNS else None


def exact_field(name: str, is_own: bool) -> str | None:
    """Return the field of a heading that is the name of a field in our exports."""
    if name.startswith("custom.") and name != "custom.":
        return name
    if name.startswith(IMPORTED):
        return f"custom.{name}"
    if is_external(name):
        return name
    if name in (PROBLEM, WARNING):
        return DROP
    if name in KIND_OF and is_own:
        return name
    if not is_own:
        return CUSTOM if name == CUSTOM else None
    if name == OWN_ID:
        return "_id"
    if name == OWN_EXTERNAL_IDS:
        return EXTERNAL_ID
    return name if name in COLUMNS else DROP if name in DERIVED else None


def of_source(field: str | None, source: str | None) -> str | None:
    """Return the field of a column: that of ids of another system has those of `source`, if it is
    known."""
    return f"{EXTERNAL}{source}" if source and field == EXTERNAL_ID else field
