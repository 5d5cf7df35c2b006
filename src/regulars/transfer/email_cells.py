"""Parse cells with email addresses in the forms of mail programs and web pages."""

from __future__ import annotations

import re
from html import unescape
from typing import NamedTuple
from urllib.parse import unquote

from regulars.transfer.artefacts import (
    ENDS,
    FULL_WIDTH,
    QUOTES,
    WHITESPACE,
    WITHOUT_INVISIBLE,
    unwrap,
)

# The joiners belong to words of Persian and Indic scripts, also in domains (RFC 5892, CONTEXTJ).
_WITHOUT_MARKS = {c: None for c in WITHOUT_INVISIBLE if chr(c) not in "\u200c\u200d"}


class EmailCell(NamedTuple):
    """An email address in a cell, and the rest of the cell."""

    # The text of the cell if it has no address that is certain.
    address: str
    # The display name before the address; else empty.
    name: str = ""
    # Further addresses and comments, which are lost; else empty.
    rest: str = ""


_MAX_EMAIL_CHARACTERS = 4_000
# The usual form, which needs no parsing.
PLAIN_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]*[A-Za-z0-9]")
_ADDRESS = r"[^\s<>()\[\],;:\"@|]+@[^\s<>()\[\]{},;:\"@|/\\?=&]+"
_BARE = re.compile(rf"({_ADDRESS})")
_SCHEME = re.compile(r"(?:mailto|smtp|e-?mail)\s*+:\s*+", re.IGNORECASE)
_ANGLE = re.compile(
    rf"([^<>]*)<\s*+(?:(?:mailto|smtp):\s*+)?({_ADDRESS})\s*+>([^<>]*)", re.IGNORECASE
)
_COMMENT = re.compile(rf"({_ADDRESS})\s*+(\(.*\))")
_LABEL = re.compile(rf"([^\s@:][^@:<>]{{0,40}}):\s*+({_ADDRESS})")
_MARKDOWN = re.compile(rf"\[([^\]@]*|{_ADDRESS})\]\(\s*+mailto:({_ADDRESS})\s*+\)", re.IGNORECASE)
_SPACED_AT = re.compile(r"([^\s@]++)\s*+@\s*+([^\s@]++)")
# Full stops of Chinese and Japanese, which stand for the dot of a domain (UTS #46).
_FULL_STOPS = {0x3002: ".", 0xFF61: "."}
# An address among marks, in a link of HTML or Markdown, or of a spreadsheet.
_PART = r"[^\s<>()\[\]{},;:\"'`@|/\\?=&]"
# It begins where no part precedes, and repeats possessively: a long text is read once.
_AMONG_MARKS = re.compile(
    rf"(?<!{_PART}){_PART}++@(?={_PART}{_PART.replace('[^', '[^.')}*+\.{_PART}){_PART}++"
)
_LINK = re.compile(r"<a\s|hyperlink\s*\(|mailto:", re.IGNORECASE)
_PARAMETERS = re.compile(r"\?(?:subject|body|b?cc)=.*", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"\w+")
# Words for "and" and "or" between addresses.
_BETWEEN = frozenset(
    "and or und oder et ou y o e i en of lub oraz och eller og ja tai a nebo és vagy și sau ve "
    "veya и или και ή".split()
)
_GROUP = re.compile(r"""(?:"[^"]*"|<[^<>]*>|\([^()]*\)|[^,;|\n\r])++|.""", re.DOTALL)
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bq]\?[^?\s]*\?=", re.IGNORECASE)


def unwrap_email(cell: str) -> EmailCell:
    """Return the email address of a cell, and its name and the rest.

    Read are `mailto:a@b`, `<a@b>`, `Name <a@b>` (also as encoded words, RFC 2047), `'a@b`,
    `a@b (work)`, `[a@b]`, a link, marks after the address, full-width characters, and several
    addresses, of which the first counts. Invisible characters are removed anywhere. An address
    among other words (`ana maria@example.com`) is doubtful: the cell is returned as it is, and is
    no valid address.
    """
    if PLAIN_EMAIL.fullmatch(cell):
        return EmailCell(cell)
    if len(cell) > _MAX_EMAIL_CHARACTERS:
        return EmailCell(cell[:_MAX_EMAIL_CHARACTERS])
    # The apostrophe of an export: the one behind it is of the address.
    is_escaped = cell.startswith("''") and not cell.endswith("'")
    text = unwrap(cell)
    if not text.isascii():
        text = text.translate(_WITHOUT_MARKS).translate(FULL_WIDTH).translate(_FULL_STOPS)
        text = text.strip(ENDS)
    if is_escaped or (text.startswith('"') and _QUOTED_LOCAL.fullmatch(text)):
        return EmailCell(text)
    return _email_of_text(text) or _email_among_marks(text) or EmailCell(text)


def is_only_email(cell: str) -> bool:
    """Return whether a cell is an email address and nothing else."""
    return PLAIN_EMAIL.fullmatch(cell.strip(ENDS)) is not None


def addresses_in(text: str) -> list[str] | None:
    """Return the different addresses in a text, None if it has anything else but marks and words
    for `and`."""
    addresses = list(
        {a.lower(): _trimmed(a) for a in reversed(_AMONG_MARKS.findall(text))}.values()
    )
    words = _WORD.findall(_AMONG_MARKS.sub(" ", text))
    is_other = any(word.lower() not in _BETWEEN for word in words)
    return None if is_other or not addresses else addresses[::-1]


def _email_among_marks(text: str) -> EmailCell | None:
    if "@" not in text:
        text = unquote(unescape(text))  # a&#64;example.com, a%40example.com
    is_link = _LINK.search(text) is not None
    text = " ".join(_AMONG_MARKS.findall(text)) if is_link else _PARAMETERS.sub("", text)
    if not (addresses := addresses_in(text)):
        return None
    return EmailCell(addresses[0], "", ", ".join(addresses[1:]))


_QUOTED_LOCAL = re.compile(r'"[^"]+"@\S+')


def _email_of_text(text: str) -> EmailCell | None:
    if scheme := _SCHEME.match(text):
        text = text[scheme.end() :]
        if scheme[0].lower().startswith("mailto"):
            text = unquote(text.partition("?")[0])
    if markdown := _MARKDOWN.fullmatch(text):
        label, address = markdown.groups()
        return EmailCell(address, "" if "@" in label else label.strip())
    groups = _GROUP.findall(text)
    # A comma in a name without quotes: Lo, Ana <a@example.com>.
    first = next((i for i, group in enumerate(groups) if "@" in group), None)
    if first is None:
        return None
    email = _email_of_group("".join(groups[: first + 1]).strip(" ,;|"))
    if email is None:
        return None
    rest = "".join(groups[first + 1 :]).strip(f" ,;|{WHITESPACE}")
    if rest.lower() in ("", email.address.lower()):
        return email
    return email._replace(rest=f"{email.rest} {rest}".strip())


def _email_of_group(group: str) -> EmailCell | None:
    """Parse one address and its name."""
    text = group.strip(QUOTES + ENDS) if "<" not in group else group.strip(ENDS)
    if bare := _BARE.fullmatch(text):
        return EmailCell(_trimmed(bare[1]))
    if angle := _ANGLE.fullmatch(text):
        before, address, after = angle.groups()
        name = _display_name(before)
        # Programs repeat the address as the name.
        name = "" if name.lower() == address.lower() else name
        return EmailCell(_trimmed(address), name, after.strip())
    if comment := _COMMENT.fullmatch(text):
        return EmailCell(_trimmed(comment[1]), "", comment[2])
    if label := _LABEL.fullmatch(text):
        return EmailCell(_trimmed(label[2]), "", label[1])
    if (spaced := _SPACED_AT.fullmatch(text)) and _BARE.fullmatch(f"{spaced[1]}@{spaced[2]}"):
        return EmailCell(_trimmed(f"{spaced[1]}@{spaced[2]}"))
    words = text.replace(" / ", " ").split()
    if words and all(map(_BARE.fullmatch, words)):
        return EmailCell(_trimmed(words[0]), "", " ".join(words[1:]))
    return None


def _trimmed(address: str) -> str:
    """Return an address without quotes around it and full stops at its end."""
    return address.strip(QUOTES + ENDS).rstrip(".")


def _display_name(text: str) -> str:
    name = text.strip(ENDS)
    if _ENCODED_WORD.search(name):
        name = _decoded_words(name)
    return name.strip(f"{QUOTES},;{ENDS}").replace('\\"', '"')


def _decoded_words(text: str) -> str:
    """Decode the encoded words of a header (RFC 2047); the text itself if they are damaged."""
    from email.errors import HeaderParseError
    from email.header import decode_header, make_header

    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):
        return text
