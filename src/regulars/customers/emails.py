"""Email addresses: their syntax, their displayed form, and the form in which they are unique."""

from __future__ import annotations

import re
from functools import cache
from types import ModuleType

import regex

from regulars.core.text import clean

MAX_LENGTH = 254
EMPTY = (
    "The email is empty. Enter an email address. An account can permit customers without one "
    "by its setting `identify_by`."
)

# Nearly every address is this plain, and the library takes 0.1 ms for it. What matches is valid
# by the library's own rules, and is its own normal form: a property test holds the two together.
_PLAIN = re.compile(
    r"(?=.{1,64}@)[A-Za-z0-9_+]+(?:[.-][A-Za-z0-9_+]+)*@(?:[a-z0-9]{1,30}(?:-[a-z0-9]{1,30})?\.)+[a-z]{2,60}"
)

# Format characters without width (zero-width spaces, marks of direction, byte order marks, soft
# hyphens). The library refuses them anywhere.
_INVISIBLE = regex.compile(r"[\p{Cf}&&\p{Default_Ignorable_Code_Point}]", regex.V1)


def clean_email(value: str) -> tuple[str, str, str | None]:
    """Return an email in its displayed form (local part as sent, domain in lower case), the key by
    which it is unique, and an error text or None. The network is not used.

    The key is the local part in lower case and the domain as in IDNA 2008. So `straße.example` and
    `strasse.example` are two domains. The key of the displayed form is the same. Both have no
    characters without width.

    The syntax is that of RFC 5321 and RFC 6531, as email-validator reads them: internationalized
    local parts and domains, but no quoted local parts, comments or domain literals.
    """
    visible = value if value.isascii() else _INVISIBLE.sub("", value)
    email, error_text = clean(visible, MAX_LENGTH)
    if error_text:
        return email, "", f"The email {error_text}"
    if _PLAIN.fullmatch(email):
        return email, key_of_plain(email), None
    local, at, domain = email.rpartition("@")
    # `lower` makes a capital sigma the final form at the end of a word, IDNA never does.
    email = f"{local}{at}{domain.replace('Σ', 'σ').lower()}"
    email_syntax = _email_syntax()
    try:
        local, domain = email_syntax.split(email)
    except email_syntax.EmailNotValidError as error:
        return email, "", _message(email, str(error))
    return email, f"{local.lower()}@{domain}", None


@cache
def _email_syntax() -> ModuleType:
    """Load the library: few emails need it, and it takes 20 ms."""
    from regulars.customers import email_syntax

    return email_syntax


def is_plain(value: str) -> bool:
    """Return whether a text is a valid email in its displayed form. For most emails, this is faster
    than `clean_email`, which recognizes all of them."""
    return len(value) <= MAX_LENGTH and _PLAIN.fullmatch(value) is not None


def key_of_plain(email: str) -> str:
    """Return the key of an email for which `is_plain` is true."""
    return email.lower()


def key_without_email(customer_id: int) -> str:
    """Return the key of a customer without an email. It is unique, and no email has it, because it
    has no `@`."""
    return f"#{customer_id}"


def _message(email: str, error_text: str) -> str:
    """Return the message about an invalid email, with the library's reason."""
    if not email:
        return EMPTY
    if email.count("@") > 1:
        return "The email has more than one @ sign. Use one."
    return f"The email is not valid. {error_text.removesuffix('.')}."
