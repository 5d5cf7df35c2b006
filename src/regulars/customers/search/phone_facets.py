"""The facets of phones, beyond their forms: their endings, and those by which imports find
customers without an email."""

from __future__ import annotations

from collections.abc import Sequence

from regulars.core.text import fold, full_name
from regulars.customers.contact_points import PHONES
from regulars.customers.phone_numbers import is_valid
from regulars.customers.search import phones
from regulars.customers.search.words import FACET_LENGTH
from regulars.store import Row

# The facets of the last digits of phones. No filter of the search has this key.
ENDING = "ending:"


def contact_term(row: Row, phone: str | None = None) -> str:
    """Return the facet of a customer without an email, by which imports find it again: its phone,
    or another one, and its full name. Empty without both. No filter of the search has this key."""
    phone = row["phone"] if phone is None else phone
    # A text without digits is compared as a whole. The first space is before the name.
    phone_forms = phones.forms(phone) or ["".join(fold(phone).split())]
    contact = f"{phone_forms[0]} {fold(full_name(row['first_name'], row['last_name']))}"
    return f"contact:{contact}"[:FACET_LENGTH] if contact != " " else ""


def contact_terms(row: Row, country: str = "") -> list[str]:
    """Return the facets of a customer without an email, one for each phone, and with a `country`
    one for each that it completes."""
    points = PHONES.points(row)
    texts = [entry.value for entry in points.default_first()] or [""]
    texts += [done for text in texts if (done := phones.completed(text, country)) != text]
    return list(dict.fromkeys(filter(None, (contact_term(row, phone) for phone in texts))))


def phone_forms(row: Row, country: str = "") -> set[str]:
    """Return all forms of all phones of a customer."""
    values = [entry.value for entry in PHONES.points(row).entries]
    return {form for phone in values for form in phones.forms(phone, country)}


def ending_facets(row: Row, forms: Sequence[str], country: str) -> list[str]:
    """Return the facets of the endings of phones: `ending:`, `+` for a valid number and `-` for
    another one, and its digits from the last one on."""
    if row[PHONES.name] is None:
        phone = row[PHONES.default]
        if phones.is_plain(phone):
            return [f"{ENDING}{'+' if is_valid(phone, country) else '-'}{forms[0][::-1]}"]
        values = [phone]
    else:
        values = [entry.value for entry in PHONES.points(row).entries]
    facets = []
    for phone in values:
        sign = "+" if is_valid(phone, country) else "-"
        facets += [ENDING + sign + number[::-1] for number in phones.numbers(phone, country)]
    return facets
