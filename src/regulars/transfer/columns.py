"""The columns of a file of customers, and by which headings they are recognised.

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
DROP = "-"

ADDRESS_FIELDS = names_of(FIELDS, fields.Address)
_TIMESTAMPS = names_of(FIELDS, fields.Timestamp)
_INPUT = tuple(name for name in names_of(WRITABLE) if name not in ADDRESS_FIELDS)
# What a column may be, but for addresses' parts and custom fields. `name` is a whole name.
PLAIN = in_order(
    "_id id email first_name last_name name phone accepts_marketing tags notes custom",
    ("_id", "id", "name", *_INPUT, *_TIMESTAMPS),
)
ADDRESSES = tuple(f"{kind}.{part}" for kind in ADDRESS_FIELDS for part in (*PARTS, "name"))
COLUMNS = (*PLAIN, *ADDRESSES)
# What follows from other fields, and so is not read.
DERIVED = frozenset(
    (PROBLEM, *(name for name in names_of(FIELDS) if name not in (*PLAIN, *ADDRESS_FIELDS)))
)

_NAME_HEADINGS = "name customer_name"
_ADDRESS_BEFORE = {
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
# Parts that mean the shipping address where they stand alone.
_ALONE = ("line1", "line2", "city", "area", "state", "zip", "country")
_NO_WORD = re.compile(r"[^0-9a-z]+")


def _plain(heading: str) -> str:
    return _NO_WORD.sub("_", heading.strip().lower()).strip("_")


def _known() -> dict[str, str]:
    """The fields by the plain forms of their headings."""
    found: dict[str, str] = {}
    for part in _ALONE:
        found |= dict.fromkeys(_PARTS[part].split(), f"{SHIPPING}.{part}")
    for kind, names in _ADDRESS_BEFORE.items():
        for before in names.split():
            for part, parts in _PARTS.items():
                found |= {f"{before}_{one}": f"{kind}.{part}" for one in parts.split()}
    found |= dict.fromkeys(_NAME_HEADINGS.split(), "name")
    for field in FIELDS:
        found |= dict.fromkeys(field.headings.split(), field.name)
    return found


_KNOWN = _known()
# An address in one cell, whatever it is an address of.
_WHOLE = frozenset(
    ("email_address", "shipping_address", "billing_address", "card_address", "default_address")
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a file: its place, its heading, and the field that it is. Without a field it is
    not read."""

    place: int
    heading: str
    field: str | None


def recognised(heading: str) -> str | None:
    """The field that a heading means, if it is known; DROP for what is derived."""
    given = heading.strip()
    if given in COLUMNS or given.startswith("custom."):
        return given
    if given in DERIVED:
        return DROP
    plain = _plain(heading)
    found = _KNOWN.get(plain)
    return None if plain in _WHOLE and found != "email" else found


def mapping(given: Sequence[str]) -> dict[str, str]:
    """What `--map HEADING=FIELD` says, by the heading. Raises BadOption."""
    found: dict[str, str] = {}
    for text in given:
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
        found[heading.strip()] = field
    return found


def columns(headings: Sequence[str], mapped: dict[str, str], unknown: str) -> list[Column]:
    """The columns of those headings: as they are mapped, else as they are recognised; what is
    neither is kept in `custom`, dropped or refused, as `unknown` says. Raises BadOption."""
    known = {heading.strip() for heading in headings}
    missing = [heading for heading in mapped if heading not in known]
    if missing:
        shown = ", ".join(heading.strip() for heading in headings[:20])
        raise BadOption(f"There is no column {missing[0]!r}. The columns are: {shown}.")
    fields = [mapped.get(heading.strip()) or recognised(heading) for heading in headings]
    fields = _one_each(headings, fields, mapped)
    left = [h for h, field in zip(headings, fields, strict=True) if field is None and h.strip()]
    if left and unknown == "refuse":
        raise BadOption(
            f"The column {left[0].strip()!r} is not known. Say what it is with --map, or "
            "--unknown custom or drop."
        )
    if unknown == "custom":
        fields = [
            field or (f"custom.{heading.strip()}" if heading.strip() else None)
            for heading, field in zip(headings, fields, strict=True)
        ]
        _refuse_same(headings, fields)
    chosen = zip(headings, fields, strict=True)
    found = [
        Column(place, heading.strip(), None if field == DROP else field)
        for place, (heading, field) in enumerate(chosen)
    ]
    if not any(column.field in ("email", "_id", "id") for column in found):
        raise BadOption(_no_email(headings))
    return found


def columns_as_they_are(
    headings: Sequence[str], mapped: dict[str, str]
) -> list[tuple[str, str | None]]:
    """Headings, each with the field that it is mapped to or recognised as, if it is: whether they
    go together is not looked at."""
    found = [(heading.strip(), mapped.get(heading.strip())) for heading in headings]
    fields = [(heading, field or recognised(heading)) for heading, field in found]
    return [(heading, None if field == DROP else field) for heading, field in fields]


def _one_each(
    headings: Sequence[str], fields: list[str | None], mapped: dict[str, str]
) -> list[str | None]:
    """The fields, each once: where two headings mean the same, the one that was mapped counts,
    then the field's own name, then a code before a name (`Country Code`, `Country`), then the
    first. Raises BadOption for two that are the same."""
    _refuse_same(headings, fields, same_heading=True)
    best: dict[str, tuple[tuple[int, int], int]] = {}
    for place, (heading, field) in enumerate(zip(headings, fields, strict=True)):
        if field is None or field == DROP:
            continue
        given = heading.strip()
        rank = (
            0 if given in mapped else 1 if given == field else 2 if "code" in _plain(given) else 3
        )
        if field not in best or (rank, place) < best[field][0]:
            best[field] = ((rank, place), place)
    places = {place for _, place in best.values()}
    return [
        field if field is None or field == DROP or place in places else None
        for place, field in enumerate(fields)
    ]


def _refuse_same(
    headings: Sequence[str], fields: Sequence[str | None], same_heading: bool = False
) -> None:
    seen: dict[str, int] = {}
    for place, (heading, field) in enumerate(zip(headings, fields, strict=True)):
        if field is None or field == DROP:
            continue
        key = f"{field}\n{heading.strip()}" if same_heading else field
        if key in seen:
            raise BadOption(
                f"The columns {seen[key] + 1} and {place + 1} are both {field}. Give one of them "
                "another heading, or take it out of the file."
            )
        seen[key] = place


def _no_email(headings: Sequence[str]) -> str:
    if any("@" in heading for heading in headings):
        return (
            "The first line seems to be a customer and not the headings. Say that there are none, "
            "and what each column is, as in --no-header --map 1=email --map 2=first_name."
        )
    shown = ", ".join(repr(heading.strip()[:50]) for heading in headings[:20])
    return (
        f"No column is the customer's email. The headings are {shown}. Say which it is, as in "
        "--map 'E-mail=email'."
    )
