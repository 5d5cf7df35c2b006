"""The columns of a file of customers, and the headings by which they are detected.

The headings are those of the exports of Shopify, Stripe, WooCommerce and Mailchimp, as their own
documentation has them, and of Regulars.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from regulars.core import fields
from regulars.core.fields import in_order, names_of
from regulars.core.text import did_you_mean
from regulars.customers.addresses import PARTS
from regulars.customers.fields import FIELDS, WRITABLE
from regulars.transfer.errors import BadOption

SHIPPING, BILLING = "shipping_address", "billing_address"
PROBLEM = "regulars_problem"
WARNING = "regulars_warning"
DROP = "-"

ADDRESS_FIELDS = names_of(FIELDS, fields.Address)
_TIMESTAMPS = names_of(FIELDS, fields.Timestamp)
_INPUT = tuple(name for name in names_of(WRITABLE) if name not in ADDRESS_FIELDS)
# The fields of columns, except parts of addresses and custom fields. `name` is a whole name.
PLAIN = in_order(
    "_id id email first_name last_name name phone accepts_marketing tags notes custom",
    ("_id", "id", "name", *_INPUT, *_TIMESTAMPS),
)
ADDRESSES = tuple(f"{kind}.{part}" for kind in ADDRESS_FIELDS for part in (*PARTS, "name"))
COLUMNS = (*PLAIN, *ADDRESSES)
# Fields that are derived from others. Their columns are ignored.
DERIVED = frozenset(
    (
        PROBLEM,
        WARNING,
        *(name for name in names_of(FIELDS) if name not in (*PLAIN, *ADDRESS_FIELDS)),
    )
)

_NAME_HEADINGS = "name customer_name"
_ADDRESS_PREFIXES = {
    SHIPPING: "shipping_address shipping default_address ship_to",
    BILLING: "billing_address billing bill_to card_address",
}
_PARTS = {
    "line1": "line1 address1 address_1 address_line1 address_line_1 street street_address address",
    "line2": "line2 address2 address_2 address_line2 address_line_2",
    "city": "city town",
    "area": "area district",
    "state": "state province region state_province province_code state_code",
    "zip": "zip zip_code zipcode postcode postal_code post_code",
    "country": "country country_region country_code",
    "phone": "phone phone_number",
    "first_name": "first_name firstname",
    "last_name": "last_name lastname",
    "email": "email email_address",
    "name": "name",
}
# Headings without a prefix that are parts of the shipping address.
_ALONE = ("line1", "line2", "city", "area", "state", "zip", "country")
_NO_WORD = re.compile(r"[^0-9a-z]+")


def _plain(heading: str) -> str:
    return _NO_WORD.sub("_", heading.strip().lower()).strip("_")


def _load_fields() -> dict[str, str]:
    """Return the fields by their normalized headings."""
    fields_by_heading: dict[str, str] = {}
    for part in _ALONE:
        fields_by_heading |= dict.fromkeys(_PARTS[part].split(), f"{SHIPPING}.{part}")
    for kind, names in _ADDRESS_PREFIXES.items():
        for prefix in names.split():
            for part, parts in _PARTS.items():
                fields_by_heading |= {
                    f"{prefix}_{suffix}": f"{kind}.{part}" for suffix in parts.split()
                }
    fields_by_heading |= dict.fromkeys(_NAME_HEADINGS.split(), "name")
    for field in FIELDS:
        fields_by_heading |= dict.fromkeys(field.headings.split(), field.name)
    return fields_by_heading


_FIELDS_BY_HEADING = _load_fields()
# Headings that may be a whole address in one cell.
_WHOLE = frozenset(
    ("email_address", "shipping_address", "billing_address", "card_address", "default_address")
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a file, at a position from 0. Without a field it is ignored."""

    position: int
    heading: str
    field: str | None


def recognised(heading: str) -> str | None:
    """Return the field of a heading, None if it is unknown, DROP for a derived field."""
    name = heading.strip()
    if name in COLUMNS or name.startswith("custom."):
        return name
    if name in DERIVED:
        return DROP
    plain = _plain(heading)
    field = _FIELDS_BY_HEADING.get(plain)
    return None if plain in _WHOLE and field != "email" else field


def mapping(options: Sequence[str]) -> dict[str, str]:
    """Parse `--map HEADING=FIELD` options to fields by heading. Raises BadOption."""
    fields_by_heading: dict[str, str] = {}
    for text in options:
        heading, equals, field = text.rpartition("=")
        field = field.strip()
        if not equals or not heading or not field:
            raise BadOption(
                f"--map takes a heading and a field, as in --map 'E-mail=email', not {text!r}."
            )
        if field not in COLUMNS and field != DROP and not field.startswith("custom."):
            hint = did_you_mean(field, COLUMNS)
            raise BadOption(
                f"There is no field {field!r}.{hint} A column may be {', '.join(PLAIN)}, "
                f"{SHIPPING}.… and {BILLING}.… ({', '.join(PARTS)}), custom.… or {DROP}, which "
                "leaves it out."
            )
        fields_by_heading[heading.strip()] = field
    return fields_by_heading


def columns(headings: Sequence[str], mapped: dict[str, str], unknown: str) -> list[Column]:
    """Return the columns of headings. A mapping takes precedence over detection. `unknown` decides
    about other columns: store them in `custom`, drop them or refuse the file. Raises BadOption."""
    stripped = {heading.strip() for heading in headings}
    missing = [heading for heading in mapped if heading not in stripped]
    if missing:
        listed = ", ".join(heading.strip() for heading in headings[:20])
        raise BadOption(f"There is no column {missing[0]!r}. The columns are: {listed}.")
    fields = [mapped.get(heading.strip()) or recognised(heading) for heading in headings]
    fields = _select_columns(headings, fields, mapped)
    unmapped = [h for h, field in zip(headings, fields, strict=True) if field is None and h.strip()]
    if unmapped and unknown == "refuse":
        raise BadOption(
            f"The column {unmapped[0].strip()!r} is not known. Say what it is with --map, or "
            "--unknown custom or drop."
        )
    if unknown == "custom":
        fields = [
            field or (f"custom.{heading.strip()}" if heading.strip() else None)
            for heading, field in zip(headings, fields, strict=True)
        ]
        _require_distinct(headings, fields)
    pairs = zip(headings, fields, strict=True)
    result = [
        Column(position, heading.strip(), None if field == DROP else field)
        for position, (heading, field) in enumerate(pairs)
    ]
    if not any(column.field in ("email", "_id", "id") for column in result):
        raise BadOption(_no_email(headings))
    return result


def preview_columns(
    headings: Sequence[str], mapped: dict[str, str]
) -> list[tuple[str, str | None]]:
    """Return headings with the fields to which they are mapped or by which they are detected,
    without checking that they can be combined."""
    mappings = [(heading.strip(), mapped.get(heading.strip())) for heading in headings]
    fields = [(heading, field or recognised(heading)) for heading, field in mappings]
    return [(heading, None if field == DROP else field) for heading, field in fields]


def _select_columns(
    headings: Sequence[str], fields: list[str | None], mapped: dict[str, str]
) -> list[str | None]:
    """Select one column for each field: a mapped one, else the field's own name, else a code before
    a name (`Country Code`, `Country`), else the first. Raises BadOption for equal headings."""
    _require_distinct(headings, fields, same_heading=True)
    best: dict[str, tuple[tuple[int, int], int]] = {}
    for position, (heading, field) in enumerate(zip(headings, fields, strict=True)):
        if field is None or field == DROP:
            continue
        stripped = heading.strip()
        rank = (
            0
            if stripped in mapped
            else 1
            if stripped == field
            else 2
            if "code" in _plain(stripped)
            else 3
        )
        if field not in best or (rank, position) < best[field][0]:
            best[field] = ((rank, position), position)
    selected = {position for _, position in best.values()}
    return [
        field if field is None or field == DROP or position in selected else None
        for position, field in enumerate(fields)
    ]


def _require_distinct(
    headings: Sequence[str], fields: Sequence[str | None], same_heading: bool = False
) -> None:
    positions: dict[str, int] = {}
    for position, (heading, field) in enumerate(zip(headings, fields, strict=True)):
        if field is None or field == DROP:
            continue
        key = f"{field}\n{heading.strip()}" if same_heading else field
        if key in positions:
            raise BadOption(
                f"The columns {positions[key] + 1} and {position + 1} are both {field}. Give "
                "one of them another heading, or take it out of the file."
            )
        positions[key] = position


def _no_email(headings: Sequence[str]) -> str:
    if any("@" in heading for heading in headings):
        return (
            "The first line seems to be a customer and not the headings. Say that there are none, "
            "and what each column is, as in --no-header --map 1=email --map 2=first_name."
        )
    listed = ", ".join(repr(heading.strip()[:50]) for heading in headings[:20])
    return (
        f"No column is the customer's email. The headings are {listed}. Say which it is, as in "
        "--map 'E-mail=email'."
    )
