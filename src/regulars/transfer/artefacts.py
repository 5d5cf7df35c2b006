"""Remove what spreadsheets, mail programs and web pages leave around values.

The functions return texts, and say what was lost. None raises an error for any text.
"""

from __future__ import annotations

import re
from html.entities import name2codepoint
from typing import NamedTuple
from urllib.parse import unquote

# Characters without a form: zero width, bidi marks and isolates, BOM, soft hyphen, word joiner,
# fillers (Unicode, Default_Ignorable_Code_Point). Variation selectors and tags belong to emoji.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2065\u2066\u2067\u2068\u2069"
    "\u206a\u206b\u206c\u206d\u206e\u206f\u3164\ufeff\uffa0\ufff9\ufffa\ufffb"
)
# The joiners belong to words of Persian and Indic scripts, also in domains (RFC 5892, CONTEXTJ).
_JOINERS = "\u200c\u200d"
_WHITESPACE = "".join([chr(code) for code in range(0x3001) if chr(code).isspace()])
_ENDS = _INVISIBLE + _WHITESPACE
_WITHOUT_INVISIBLE = dict.fromkeys(map(ord, _INVISIBLE))
_WITHOUT_MARKS = {c: None for c in _WITHOUT_INVISIBLE if chr(c) not in _JOINERS}
# Full-width forms (U+FF01 to U+FF5E) of ASCII.
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " ", 0xFE6B: "@"}

# A text that begins with another character is no formula and has no apostrophe before it.
_UNUSUAL_STARTS = "='" + "".join([c for c in _WHITESPACE if c.isascii()])
_FORMULA_TEXT = re.compile(r'=\s*(?:"((?:[^"]|"")*+)"|""(.*)"")', re.DOTALL)
# As in `cells`: an export writes an apostrophe before formulas, and shops write one before numbers.
_APOSTROPHE = re.compile(r"'(?:['=+\-@＝＋－＠\x00-\x1f\x7f-\x9f]|[0-9][0-9 +()./-]*\Z)")

# The kinds of warnings of `unwrap_number`.
DIGITS_LOST = "digits_lost"
SPREADSHEET_ERROR = "spreadsheet_error"


def strip_invisible(text: str) -> str:
    """Return the text without white space and invisible characters at its ends."""
    return text.strip(_ENDS)


def unwrap(text: str) -> str:
    """Return the text of a cell as it was before a spreadsheet.

    Removed are invisible characters and white space at the ends, the formula of `="0612345678"`,
    and one apostrophe before a formula, a number or another apostrophe. What is behind an
    apostrophe is not unwrapped again, so that the cells of an export are read exactly. The text
    may be empty. Texts in ASCII without these are returned as they are, also with spaces after.
    """
    if text.isascii():
        if text[:1] not in _UNUSUAL_STARTS:
            return text
        if _APOSTROPHE.match(text):
            return text[1:]
        stripped = text.strip()
    else:
        stripped = text.strip(_ENDS)
    start = stripped[:1]
    if start == "'":
        return stripped[1:] if _APOSTROPHE.match(stripped) else stripped
    if start == "=" and (formula := _FORMULA_TEXT.fullmatch(stripped)):
        escaped, doubled = formula.groups()
        inner = doubled if escaped is None else escaped.replace('""', '"')
        return inner.strip(_ENDS)
    return stripped


class EmailCell(NamedTuple):
    """An email address in a cell, and the rest of the cell."""

    # The text of the cell if it holds no address that can be told with certainty.
    address: str
    # The display name before the address; else empty.
    name: str = ""
    # Further addresses and comments, which are lost; else empty.
    rest: str = ""


_MAX_EMAIL_CHARACTERS = 4_000
_PLAIN_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]*[A-Za-z0-9]")
_ADDRESS = r"[^\s<>()\[\],;:\"@|]+@[^\s<>()\[\],;:\"@|/\\]+"
_BARE = re.compile(rf"({_ADDRESS})")
_SCHEME = re.compile(r"(?:mailto|smtp|e-?mail)\s*+:\s*+", re.IGNORECASE)
_ANGLE = re.compile(
    rf"([^<>]*)<\s*+(?:(?:mailto|smtp):\s*+)?({_ADDRESS})\s*+>([^<>]*)", re.IGNORECASE
)
_COMMENT = re.compile(rf"({_ADDRESS})\s*+(\(.*\))")
_LABEL = re.compile(rf"([^\s@:][^@:<>]{{0,40}}):\s*+({_ADDRESS})")
_MARKDOWN = re.compile(rf"\[([^\]@]*|{_ADDRESS})\]\(\s*+mailto:({_ADDRESS})\s*+\)", re.IGNORECASE)
_SPACED_AT = re.compile(r"(\S++)\s*+@\s*+(\S++)")
_GROUP = re.compile(r"""(?:"[^"]*"|<[^<>]*>|\([^()]*\)|[^,;|\n\r])++|.""", re.DOTALL)
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bq]\?[^?\s]*\?=", re.IGNORECASE)
_QUOTES = "\"'‘’“”«»`´"


def unwrap_email(cell: str) -> EmailCell:
    """Return the email address of a cell, and its name and the rest.

    Read are `mailto:a@b`, `<a@b>`, `Name <a@b>` (also as encoded words, RFC 2047), `'a@b`,
    `a@b (work)`, a separator after the address, full-width characters, and several addresses, of
    which the first counts. Invisible characters are removed anywhere. An address beside other words
    (`ana maria@example.com`) is doubtful: the cell is returned as it is, and is no valid address.
    """
    if _PLAIN_EMAIL.fullmatch(cell):
        return EmailCell(cell)
    if len(cell) > _MAX_EMAIL_CHARACTERS:
        return EmailCell(cell[:_MAX_EMAIL_CHARACTERS])
    # The apostrophe of an export: the one behind it is of the address.
    is_escaped = cell.startswith("''") and not cell.endswith("'")
    text = unwrap(cell)
    if not text.isascii():
        text = text.translate(_WITHOUT_MARKS).translate(_FULL_WIDTH).strip(_ENDS)
    if is_escaped or (text.startswith('"') and _QUOTED_LOCAL.fullmatch(text)):
        return EmailCell(text)
    return _email_of_text(text) or EmailCell(text)


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
    rest = "".join(groups[first + 1 :]).strip(f" ,;|{_WHITESPACE}")
    return email._replace(rest=f"{email.rest} {rest}".strip()) if rest else email


def _email_of_group(group: str) -> EmailCell | None:
    """Parse one address and its name."""
    text = group.strip(_QUOTES + _ENDS) if "<" not in group else group.strip(_ENDS)
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
    return address.strip(_QUOTES + _ENDS).rstrip(".")


def _display_name(text: str) -> str:
    name = text.strip(_ENDS)
    if _ENCODED_WORD.search(name):
        name = _decoded_words(name)
    return name.strip(f"{_QUOTES},;{_ENDS}").replace('\\"', '"')


def _decoded_words(text: str) -> str:
    """Decode the encoded words of a header (RFC 2047); the text itself if they are damaged."""
    from email.errors import HeaderParseError
    from email.header import decode_header, make_header

    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):
        return text


_MAX_NUMBER_CHARACTERS = 256
_PLAIN_NUMBER = re.compile(r"\+?[0-9][0-9 ()/-]*")
_DECIMAL = re.compile(r"([+-]?[0-9]{2,})[.,]00?")
_EXPONENT = re.compile(r"[+-]?([0-9])(?:[.,]([0-9]*))?[Ee](\+?)([0-9]{1,3})")
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3}){3,4}")
_ERROR = re.compile(r"#(?:NAME\?|VALUE!|REF!|N/A|DIV/0!|NUM!|NULL!|SPILL!|CALC!|#+)")
# Of URLs (RFC 3966), and of leads of Facebook: p: before phones, and z: before postal codes.
_NUMBER_SCHEME = re.compile(
    r"(?:tel|phone|callto|sms|fax|mobile|whatsapp|p|z)\s*+:\s*+", re.IGNORECASE
)
# With fewer digits, a number may have lost zeros at its beginning.
_MIN_EXACT_DIGITS = 8


def unwrap_number(cell: str) -> tuple[str, str | None]:
    """Return a phone, postal code or other text of digits as it was before a spreadsheet, and the
    kind of a warning.

    `447911123456.0` loses its decimals, `tel:+33 1` its scheme, any cell its invisible characters
    and apostrophes. `2.12E+11` is unchanged with `digits_lost`, unless all digits are there. An
    error of a spreadsheet (`#NAME?`, `####`) is unchanged with `spreadsheet_error`.
    """
    if _PLAIN_NUMBER.fullmatch(cell) or len(cell) > _MAX_NUMBER_CHARACTERS:
        return cell, None
    text = unwrap(cell)
    if not text.isascii():
        text = text.translate(_WITHOUT_INVISIBLE).translate(_FULL_WIDTH).replace("\u00a0", " ")
    text = text.strip(_QUOTES + _ENDS)
    if scheme := _NUMBER_SCHEME.match(text):
        text = text[scheme.end() :]
    if decimal := _DECIMAL.fullmatch(text):
        return decimal[1], None
    if exponent := _EXPONENT.fullmatch(text):
        return _of_exponent(text, exponent)
    if _GROUPED.fullmatch(text):
        return text.replace(",", ""), None
    return text, SPREADSHEET_ERROR if _ERROR.fullmatch(text) else None


def _of_exponent(text: str, match: re.Match[str]) -> tuple[str, str | None]:
    digit, fraction, sign, exponent = match.groups()
    if fraction is None and not sign:
        # 1E10 may be a code.
        return text, None
    fraction = fraction or ""
    if len(fraction) == int(exponent) and len(fraction) >= _MIN_EXACT_DIGITS - 1:
        return digit + fraction, None
    return text, DIGITS_LOST


_MAY_HAVE_LINES = re.compile(r"[\n\r\x85\u2028\u2029<\\]")
# Escaped line breaks of JSON and vCard, and those of HTML. `\north` is no line break.
_LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]|(?:\\r)?\\n(?![a-z])|<[bB][rR]\s{0,3}/?>")


def split_street(text: str) -> tuple[str, str]:
    """Return the first line of a street, and the other lines joined with commas; empty if there
    are none."""
    if not _MAY_HAVE_LINES.search(text):
        return text, ""
    lines = [line.strip(f",{_ENDS}") for line in _LINE_BREAK.split(text)]
    if len(lines) == 1:
        return text, ""
    first, *others = [line for line in lines if line] or [""]
    return first, ", ".join(others)


_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|([A-Za-z]{2,8}[0-9]{0,2}));")
# The characters to which Windows-1252 and ISO-8859-1 decode the later bytes of UTF-8.
_TAIL = "\x80-\xbf" + "".join(
    [bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)]
)
_SEQUENCE = re.compile(f"[Â-ß][{_TAIL}]|[à-ï][{_TAIL}]{{2}}|[ð-ô][{_TAIL}]{{3}}")
# Characters that follow an accented letter in good text, too: café…, «É», É™, KŘÍŽ.
_AFTER_LETTERS = re.compile("[^\\W\\d_][\xa0«»¡¿ºª°·’‘”“„‚–—…™®¹²³‹›•€ŠšŽžŒœŸ]+")
# A quotation mark in Windows-1252; é, ü and others as Mac Roman and CP437; a capital that follows a
# small letter, or stands before one: ZoÃ«, Ä°stanbul.
_CERTAIN = re.compile(
    "\ufffd|â€|ï»¿|√[©®¨º¥±≠∂]|├[®íñ╝╢]|[ÃÄÅ][ŠšŽžŒœŸ]|(?<![A-ZÀ-Þ])Â[\xa0-\xbf]"
    f"|(?<=[a-zà-ÿ])[Â-Þ][{_TAIL}]|[Â-Þ][\xa0«»¡¿ºª°·¹²³](?=[a-zà-ÿ])"
    "|(?<![^\\W\\d_])Ã[–—“”…™](?=[a-zà-ÿ])"
)
# One of these is in every garbled text, and in few others.
_CANDIDATE = re.compile(f"\ufffd|[Â-ô][{_TAIL}]|[√├][^\\s\\d]")
_MAX_CHECKED_CHARACTERS = 4_096


def looks_garbled(text: str) -> bool:
    """Return whether a text was decoded with a wrong encoding (`ZoÃ«`), has a replacement
    character, or has entities of HTML (`&amp;`).

    Few good texts are taken for garbled. The first 4,096 characters are checked.
    Call it before control characters are removed.
    """
    if len(text) > _MAX_CHECKED_CHARACTERS:
        text = text[:_MAX_CHECKED_CHARACTERS]
    if "&" in text and _has_entity(text):
        return True
    if text.isascii() or not _CANDIDATE.search(text):
        return False
    return bool(_CERTAIN.search(text)) or not all(
        map(_AFTER_LETTERS.fullmatch, _SEQUENCE.findall(text))
    )


def _has_entity(text: str) -> bool:
    return any(
        not match[1] or match[1] in name2codepoint or match[1] == "apos"
        for match in _ENTITY.finditer(text)
    )
