"""Read vCards of the versions 2.1 (versit), 3.0 (RFC 2426) and 4.0 (RFC 6350): a customer each.

Own code, because vobject reads 1,330 cards a second (an import 15,000 rows) and gives up at the
first line that is not valid. Address books have many of those.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from json import dumps  # orjson refuses lone surrogates, which stand for undecodable bytes
from typing import Any, NamedTuple

from regulars.transfer.errors import BadFile
from regulars.transfer.line_stream import TextStream

_BEGIN, _END = "BEGIN:VCARD", "END:VCARD"
# Characters of a card without its photo.
MAX_CARD_CHARACTERS = 4 * 1024 * 1024
# Characters of a property that is kept.
_MAX_VALUE_CHARACTERS = 65_535
_MAX_VALUES = 50
_MAX_TAGS = 1_000
_LINE = re.compile(r"(?:([\w-]+)\.)?([\w-]+)((?:;(?:[^:;\"]|\"[^\"]*\")*)*):(.*)", re.DOTALL)
_PROPERTY = re.compile(r"(?:[\w-]+\.)?([\w-]+)[;:]")
_AGENT = re.compile(r"AGENT\b[^:]*:\s*$", re.IGNORECASE)
_PARAMETER = re.compile(r";((?:[^;\"]|\"[^\"]*\")*)")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_QUOTED_PRINTABLE = ("quoted-printable", "q")
_BINARY = ("b", "base64")
_MAX_PARAMETERS = 1_000
# Properties without a meaning for a customer, or with binary content.
_DROPPED = frozenset(
    "version prodid photo logo sound key x-ablabel x-abadr fburl caladruri caluri source kind "
    "n-ext profile mailer sort-string x-abshowas clientpidmap class name member xml".split()
)
_BINARY_PROPERTIES = frozenset(("photo", "logo", "sound", "key"))
_ADDRESS_PARTS = ("po_box", "extended", "street", "city", "region", "postal_code", "country")
# The labels of emails and phones by their types, and the types of numbers that are no phones.
_LABELS = {
    "cell": "mobile",
    "iphone": "mobile",
    "work": "work",
    "home": "home",
    "main": "main",
    "other": "other",
}
_NO_PHONES = frozenset(("fax", "pager"))
_NO_TYPES: frozenset[str] = frozenset()
# Preferences go from 1 to 100 (RFC 6350, 5.3).
_NOT_PREFERRED = 101
# Properties under other names than their own, in lower case.
_NAMES = {"note": "notes", "categories": "tags", "bday": "birthday", "rev": "updated_at"}


class _Property(NamedTuple):
    name: str
    types: frozenset[str]
    value: str
    preference: int
    group: str = ""


def is_vcard(sample: str) -> bool:
    """Return whether a text begins as a vCard does."""
    return sample.lstrip("\ufeff \t\r\n")[: len(_BEGIN)].upper() == _BEGIN


def convert_cards(name: str, text: TextStream) -> Iterator[str]:
    """Yield a line of JSON for each card of a text. Text between cards is ignored. Raises BadFile
    for a card without an end."""
    for lines in _cards(name, text):
        yield dumps(parse_card(lines), ensure_ascii=False) + "\n"


def _cards(name: str, text: TextStream) -> Iterator[list[str]]:
    """Yield the lines of each card. A card whose end is missing ends at the next card, and cards
    within a card (AGENT) are left out, as are photos and other binary content."""
    card: list[str] | None = None
    characters = number = inner = 0
    is_dropped = False
    while line := text.readline(MAX_CARD_CHARACTERS + 1):
        plain = line.rstrip("\r\n")
        upper = plain[:12].strip().upper()
        if upper == _BEGIN and card and _AGENT.match(card[-1]):
            inner += 1
        elif inner:
            inner -= upper == _END
        elif upper == _BEGIN:
            if card:
                yield card
            card, characters, is_dropped = [], 0, False
            number += 1
        elif card is None:
            continue
        elif upper == _END:
            yield card
            card = None
        else:
            is_long = len(line) > MAX_CARD_CHARACTERS and not line.endswith("\n")
            is_dropped = _is_binary(plain, is_dropped)
            if is_dropped:
                while is_long and (line := text.readline(MAX_CARD_CHARACTERS + 1)):
                    is_long = not line.endswith("\n")
                continue
            characters += len(line)
            if characters > MAX_CARD_CHARACTERS:
                raise BadFile(
                    f"{name} has a card (number {number:,}) of more than {MAX_CARD_CHARACTERS:,} "
                    "characters. Shorten it, or add the missing END:VCARD."
                )
            card.append(plain)
    if card is not None:
        raise BadFile(f"{name} is incomplete: the last card (number {number:,}) has no END:VCARD.")


def _is_binary(line: str, is_after_binary: bool) -> bool:
    """Return whether a line belongs to a photo or other binary content. `is_after_binary` says it
    of the line before."""
    if line[:1] in (" ", "\t"):
        return is_after_binary
    match = _PROPERTY.match(line[:_MAX_PARAMETERS])
    if match is None:  # base64 without folding, as old programs write it
        return is_after_binary and ":" not in line[:_MAX_PARAMETERS]
    return match[1].lower() in _BINARY_PROPERTIES


def parse_card(lines: list[str]) -> dict[str, Any]:
    """Return the values of a card by the names that headings have: `first_name`, `email`, `phone`,
    `notes`, `tags`, `billing_address.city` and the like. Further values have a number, as
    `email_2`, and labels are in `email_label`, `email_2_label`; further addresses are objects, as
    `address_2`. Other properties have their own names in lower case."""
    properties = [p for p in map(_parse_line, _unfold(lines)) if p is not None]
    data: dict[str, Any] = {}
    _put_names(data, properties)
    custom_labels = {p.group: _plain(p.value) for p in properties if p.name == "x-ablabel"}
    for field, kind in (("email", "email"), ("phone", "tel")):
        labels: dict[str, str] = {}
        for p in _ranked(properties, kind):
            value = re.sub(r"^(?:mailto|tel):", "", _plain(p.value), flags=re.IGNORECASE).strip()
            if kind == "tel" and p.types & _NO_PHONES and "voice" not in p.types:
                _put_other(data, p._replace(name=next(iter(p.types & _NO_PHONES)), value=value))
            elif value and len(labels) < _MAX_VALUES:
                labels.setdefault(value, _label_of(p, custom_labels))
        for index, (value, label) in enumerate(labels.items()):
            name = field if not index else f"{field}_{index + 1}"
            data[name] = value
            if label:
                data[f"{name}_label"] = label
    company = next((_joined(p.value) for p in properties if p.name == "org"), "")
    is_put = _put_addresses(data, _ranked(properties, "adr"), custom_labels, company)
    for p in properties:
        if p.name in _DROPPED or p.name in ("n", "fn", "email", "tel", "adr", "label"):
            continue
        if p.name == "org" and is_put and _joined(p.value) == company:
            continue
        _put_other(data, p)
    return data


def _label_of(p: _Property, custom_labels: Mapping[str, str]) -> str:
    """Return the label of an email, a phone or an address: that of Apple for its group, else its
    type."""
    if p.group and (label := custom_labels.get(p.group)):
        return label.removeprefix("_$!<").removesuffix(">!$_")
    return next((label for type_, label in _LABELS.items() if type_ in p.types), "")


def _put_names(data: dict[str, Any], properties: list[_Property]) -> None:
    parts = next((_split(p.value, ";") for p in properties if p.name == "n"), [])
    last, first, middle, prefix, suffix = ([*parts, *[""] * 5])[:5]
    full = next((_plain(p.value).strip() for p in properties if p.name == "fn"), "")
    if first or last:
        first = f"{first} {middle}".strip() if middle else first
        names = {"first_name": first, "last_name": last, "title": prefix, "suffix": suffix}
        data.update({key: value for key, value in names.items() if value})
    elif full:
        data["name"] = full


def _put_addresses(
    data: dict[str, Any],
    addresses: list[_Property],
    custom_labels: Mapping[str, str],
    company: str,
) -> bool:
    """Set the address of the home (else the first one that is not of work) as the shipping
    address, that of work as the billing address, and the others as further ones. Return whether
    the company is in one of them: that of work, else the first one that is not of the home."""
    home = [p for p in addresses if "home" in p.types]
    work = [p for p in addresses if "work" in p.types and "home" not in p.types]
    others = [p for p in addresses if p not in home and p not in work]
    shipping = next(iter(home + others + work), None)
    billing = next((p for p in work if p is not shipping), None)
    further = [p for p in addresses if p is not shipping and p is not billing][:_MAX_VALUES]
    of_company = next(iter(work + others), None) if company else None
    for name, address in (("shipping_address", shipping), ("billing_address", billing)):
        if address is not None:
            parts = _address_parts(address, custom_labels)
            parts |= {"company": company} if address is of_company else {}
            data.update({f"{name}.{key}": value for key, value in parts.items()})
    for number, address in enumerate(further, 2):
        if parts := _address_parts(address, custom_labels):
            data[f"address_{number}"] = parts | (
                {"company": company} if address is of_company else {}
            )
    return of_company is not None


def _address_parts(address: _Property, custom_labels: Mapping[str, str]) -> dict[str, str]:
    """Return the parts of an address that are not empty, and its label; nothing if it is empty."""
    parts = dict(zip(_ADDRESS_PARTS, _split(address.value, ";"), strict=False))
    lines = [part.strip() for part in re.split(r"[\r\n]+", parts.get("street", ""))]
    lines = [line for line in lines if line]
    extra = (parts.get("extended", "").strip(), parts.get("po_box", "").strip())
    lines += [part for part in extra if part]
    values = {
        "line1": lines[0] if lines else "",
        "line2": ", ".join(lines[1:]),
        "city": parts.get("city", ""),
        "state": parts.get("region", ""),
        "zip": parts.get("postal_code", ""),
        "country": parts.get("country", ""),
    }
    values = {key: value for key, value in values.items() if value.strip()}
    label = _label_of(address, custom_labels)
    return values | ({"label": label} if values and label else {})


def _put_other(data: dict[str, Any], p: _Property) -> None:
    if p.name == "categories":
        tags = [tag.strip() for tag in _split(p.value, ",") if tag.strip()]
        data["tags"] = [*data.get("tags", []), *tags][:_MAX_TAGS]
        return
    text = _joined(p.value) if p.name == "org" else _plain(p.value)
    key = _NAMES.get(p.name, p.name)
    if not text.strip():
        return
    if p.name == "note" and key in data:
        data[key] = f"{data[key]}\n{text}"
        return
    for number in range(1, _MAX_VALUES + 1):
        numbered = key if number == 1 else f"{key}_{number}"
        if numbered not in data:
            data[numbered] = text
            return


def _joined(value: str) -> str:
    """Return the parts of a value as one text."""
    return ", ".join(part for part in _split(value, ";") if part) or _plain(value)


def _ranked(properties: list[_Property], name: str) -> list[_Property]:
    """Return the properties of a name, the preferred one first."""
    return sorted((p for p in properties if p.name == name), key=lambda p: p.preference)


def _unfold(lines: list[str]) -> Iterator[str]:
    """Join folded lines: those that begin with white space, and the soft line breaks of quoted
    printable text (versit vCard 2.1, 2.1.3)."""
    parts: list[str] = []
    is_soft = False
    for line in lines:
        if parts and is_soft:
            parts[-1] = parts[-1][:-1]
            parts.append(line)
            is_soft = line.endswith("=")
        elif parts and line[:1] in (" ", "\t"):
            parts.append(line[1:])
        else:
            if parts:
                yield "".join(parts)
            parts = [line]
            is_soft = line.endswith("=") and "QUOTED-PRINTABLE" in line.upper()
    if parts:
        yield "".join(parts)


def _parse_line(line: str) -> _Property | None:
    """Parse a property; None for a line that is none, or without a value."""
    match = _LINE.match(line[: _MAX_VALUE_CHARACTERS + 1_000])
    if match is None:
        return None
    group, name, parameters, value = match.groups(default="")
    name = name.lower()
    if not parameters:
        return _Property(name, _NO_TYPES, value, _NOT_PREFERRED, group) if value else None
    types, preference, encoding, charset = _parse_parameters(parameters[:_MAX_PARAMETERS])
    if encoding in _QUOTED_PRINTABLE:
        value = _decode(value, charset)
    elif encoding in _BINARY:
        return None
    return _Property(name, types, value, preference, group) if value else None


@lru_cache(maxsize=1_000)
def _parse_parameters(parameters: str) -> tuple[frozenset[str], int, str, str]:
    """Return the types, the preference (1 is the highest), the encoding and the character set."""
    types: set[str] = set()
    preference, encoding, charset = _NOT_PREFERRED, "", "utf-8"
    for text in _PARAMETER.findall(parameters):
        key, equals, content = text.partition("=")
        key, content = key.strip().lower(), content.strip().strip('"')
        if key == "type" or not equals:
            # vCard 2.1 has the types and the encoding alone.
            types.update(part.strip() for part in (content if equals else key).lower().split(","))
        elif key == "pref" and content.isascii() and content.isdigit():
            preference = min(preference, int(content[:3]))
        elif key == "encoding":
            encoding = content.lower()
        elif key == "charset":
            charset = content
    if "pref" in types:
        preference = min(preference, 1)
    encodings = types & {*_QUOTED_PRINTABLE, *_BINARY}
    return frozenset(types), preference, encoding or next(iter(encodings), ""), charset


def _decode(value: str, charset: str) -> str:
    """Decode quoted-printable text (RFC 2045, 6.7), whose soft line breaks are joined."""
    raw = quopri.decodestring(re.sub(r"=(?![0-9A-Fa-f]{2})", "", value).encode(errors="replace"))
    for encoding in (charset, "utf-8"):
        try:
            return raw.decode(encoding)
        except (LookupError, UnicodeError):
            continue
    return raw.decode("utf-8", "surrogateescape")


def _plain(value: str) -> str:
    """Return a value without its escapes (RFC 6350, 3.4)."""
    return _ESCAPED.sub(_unescape, value) if "\\" in value else value


def _unescape(match: re.Match[str]) -> str:
    character = match.group(1)
    return "\n" if character in "nN" else str(character)


def _split(value: str, separator: str) -> list[str]:
    """Split a value at separators that are not escaped."""
    if "\\" not in value:
        return value.split(separator)
    parts = re.findall(rf"(?:^|{separator})((?:[^\\{separator}]|\\.|\\$)*)", value, re.DOTALL)
    return [_plain(part) for part in parts]
