"""Where the values of a column go in a customer's input, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars.core import fields
from regulars.core.fields import names_of
from regulars.customers.addresses import PARTS
from regulars.customers.fields import FIELDS
from regulars.transfer.column_selection import CONSENT, SUBSCRIBED_AT, UNSUBSCRIBED_AT
from regulars.transfer.columns import ADDRESS_FIELDS
from regulars.transfer.date_text import Order
from regulars.transfer.display_names import DISPLAY_NAME, display_name
from regulars.transfer.entry_fields import COMPOSED_PARTS, is_entry_field
from regulars.transfer.export_columns import OWN_EXTERNAL_IDS as EXTERNAL_IDS
from regulars.transfer.import_options import is_external
from regulars.transfer.name_order import FAMILY_FIRST, TWO_LAST_NAMES
from regulars.transfer.person_names import put_last_name_first
from regulars.transfer.sanitizing import CUSTOM, without_nul
from regulars.transfer.values import (
    EXACT,
    READ,
    InvalidValue,
    Read,
    as_text,
    ids_of_source,
    time_of,
)

CONSENT_TIMES = (SUBSCRIBED_AT, UNSUBSCRIBED_AT)
TIMESTAMPS = names_of(FIELDS, fields.Timestamp)
# The values of cleared fields.
_EMPTY: Mapping[str, Any] = {
    **dict.fromkeys(names_of(FIELDS, fields.Text, fields.Phone), ""),
    **dict.fromkeys(names_of(FIELDS, fields.LongText)),
    **{name: [] for name in names_of(FIELDS, fields.Tags)},
}


class Target:
    """Where the values of a column go: to the field `name`, or to `name` within `group`. Without a
    name it is the whole group."""

    __slots__ = (
        "field",
        "group",
        "has_nul",
        "heading",
        "is_consent",
        "is_valid",
        "name",
        "read",
        "reader",
    )

    def __init__(
        self,
        field: str,
        heading: str,
        reader: str | None = None,
        order: Order | None = None,
        is_own: bool = False,
    ) -> None:
        is_entry = is_entry_field(field)
        group, dot, name = field.rpartition(".") if is_entry else field.partition(".")
        self.field = field
        self.heading = heading
        self.reader = reader
        self.group, self.name = (group, name) if dot else ("", field)
        self.has_nul = group == CUSTOM and "\0" in name
        if self.has_nul:
            self.name = name = without_nul(name)
        if field == CUSTOM:
            self.group, self.name = CUSTOM, ""
        address = group in ADDRESS_FIELDS and (name in PARTS or name in COMPOSED_PARTS)
        is_external_id = is_external(field)
        self.is_valid = not dot or address or is_entry or is_external_id
        self.is_valid |= group == CUSTOM and bool(name)
        self.read: Read | None = READ.get(f"{ADDRESS_FIELDS[0]}.{name}" if is_entry else field)
        if field in TIMESTAMPS:
            self.read = lambda value: time_of(value, order)
        elif is_external_id:  # `external_id` alone is an id of the shop
            self.group, self.read = EXTERNAL_IDS, ids_of_source
        elif self.read is None:
            self.read = None if group == CUSTOM else as_text
        elif is_own:
            self.read = EXACT.get(self.read, self.read)
        if reader in (FAMILY_FIRST, TWO_LAST_NAMES):
            is_double = reader == TWO_LAST_NAMES
            self.read = lambda value: put_last_name_first(as_text(value), is_double)
        elif reader == DISPLAY_NAME:
            self.read = display_name
        self.is_consent = field == CONSENT or reader in CONSENT_TIMES

    def put(self, node: dict[str, Any], value: Any) -> None:
        """Set the field to a value. Raises InvalidValue if the field does not exist."""
        if not self.group:
            node[self.name] = value
        elif not self.name:
            node[self.group] = {**value, **(node.get(self.group) or {})}
        elif not self.is_valid:
            raise InvalidValue(f"There is no field {self.field!r}.")
        elif inner := node.get(self.group):
            inner[self.name] = value
        else:
            node[self.group] = {self.name: value}

    def clear(self, node: dict[str, Any]) -> None:
        """Set the field to what it is without a value. A field that cannot be empty stays."""
        if not self.group:
            if self.name in _EMPTY:
                node[self.name] = _EMPTY[self.name]
        elif not self.name:
            node.setdefault(self.group, None)
        elif self.is_valid:
            node[self.group] = {**(node.get(self.group) or {}), self.name: None}
