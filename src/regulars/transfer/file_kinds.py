"""Kinds of files that hold no customers in a supported form, and the advice for each."""

from __future__ import annotations

import re

_CSV = "Export the customers as CSV."
_UNPACK = "Unpack it, and import the file inside."
# Signatures at the beginning of a file (github.com/file/file, "Magdir").
_SIGNATURES = (
    (b"%PDF-", "a PDF document", _CSV),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", _UNPACK),
    (b"BZh", "compressed with bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
    (b"\x1f\x9d", "compressed with compress (.Z)", _UNPACK),
    (b"\x04\x22\x4d\x18", "compressed with lz4", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a rar archive", _UNPACK),
    (b"MSCF", "a cabinet archive (.cab)", _UNPACK),
    (b"SQLite format 3\0", "a SQLite database", "Export the table of customers as CSV."),
    (b"\0\x01\0\0Standard Jet DB", "an Access database", "Export the table as CSV."),
    (b"\0\x01\0\0Standard ACE DB", "an Access database", "Export the table as CSV."),
    (b"PAR1", "a Parquet file", "Convert it to CSV or JSON Lines."),
    (b"Obj\x01", "an Avro file", "Convert it to CSV or JSON Lines."),
    (b"ARROW1", "an Arrow file", "Convert it to CSV or JSON Lines."),
    (b"PGDMP", "a PostgreSQL dump", "Export the table of customers with \\copy … CSV HEADER."),
    (b"!BDN", "an Outlook data file (.pst)", "Export the contacts of Outlook as CSV."),
    (b"{\\rtf", "an RTF document", _CSV),
    (b"\x89PNG\r\n\x1a\n", "a picture (PNG)", _CSV),
    (b"\xff\xd8\xff", "a picture (JPEG)", _CSV),
    (b"GIF87a", "a picture (GIF)", _CSV),
    (b"GIF89a", "a picture (GIF)", _CSV),
    (b"\x7fELF", "a program", _CSV),
    (b"MZ\x90\0", "a program (.exe)", _CSV),
    (b"bplist00", "a binary property list of Apple", _CSV),
)
# `ustar` stands at this byte of the first header of an archive (POSIX.1-2017, pax).
_TAR_OFFSET = 257
_HEAD_BYTES = 8_192
_HTML = "Open it in a spreadsheet, and save it as CSV or .xlsx."
# Text formats, after a byte order mark and white space.
_TEXTS = (
    (r"<!doctype html|<html|<head\b|<body\b|<table\b|<meta\b", "a web page (HTML)", _HTML),
    (
        r"<\?xml.{0,4000}?<(?:\w+:)?workbook\b",
        "an Excel 2003 XML workbook",
        "Open it in Excel, and save it as .xlsx or CSV.",
    ),
    (r"<\?xml|<[a-z][\w.:-]*[\s>]", "an XML document", _CSV),
    (
        r"begin:vcalendar",
        "a calendar (iCalendar)",
        "Export the contacts instead, as vCard or CSV.",
    ),
    (r"from .{1,200}\d\d:\d\d.{0,40}\n(?:>?[\w-]+: |\s)", "a mailbox (MBOX)", _CSV),
    (r"(?:return-path|received|mime-version): ", "an email message", "Import its attachment."),
    (
        r"(?:-- [^\n]{0,200}\bdump\b|/\*!\d{5} |(?:--[^\n]*\n|\s){0,200}"
        r"(?:create (?:table|database)|drop table|insert into|set sql_mode|start transaction|"
        r"pragma foreign_keys|copy \w+ \())",
        "a SQL dump",
        "Restore it, and export the table of customers as CSV.",
    ),
    (r"(?:version: 1\s+)?dn: \w+=", "an LDIF address book", "Export the contacts as CSV or vCard."),
    (r"%!ps", "a PostScript document", _CSV),
    (r"<\?php|#!/", "a program", _CSV),
)
_TEXT_KINDS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), kind, advice)
    for pattern, kind, advice in _TEXTS
)


def unsupported_kind(name: str, sample: bytes) -> str | None:
    """Return a message that names the kind of a file that cannot be imported and says what to do;
    None if it may be a supported file. `sample` is the beginning of its content."""
    for signature, kind, advice in _SIGNATURES:
        if sample.startswith(signature):
            return f"{name} is {kind}. {advice}"
    if sample[_TAR_OFFSET : _TAR_OFFSET + 5] == b"ustar":
        return f"{name} is a tar archive. {_UNPACK}"
    if sample[:4] == b"RIFF" and sample[8:12] == b"WEBP":
        return f"{name} is a picture (WebP). {_CSV}"
    if sample[4:8] == b"ftyp":
        return f"{name} is a picture or a video. {_CSV}"
    text = _head_text(sample)
    for pattern, kind, advice in _TEXT_KINDS:
        if pattern.match(text):
            return f"{name} is {kind}. {advice}"
    return None


def _head_text(sample: bytes) -> str:
    """Return the beginning of a sample as ASCII text, also of UTF-16, without white space."""
    head = sample[:_HEAD_BYTES].replace(b"\0", b"")
    for mark in (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"):
        head = head.removeprefix(mark)
    return head.decode("ascii", "replace").lstrip()
