"""Scan the bytes of a file for its encoding, in one pass over chunks."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from regulars.transfer.encoding_detection import (
    Guess,
    decoded_samples,
    detect,
    first_samples,
    is_likelier_than_utf8,
)
from regulars.transfer.errors import UnclearEncoding
from regulars.transfer.utf7_detection import find_utf7

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A file is not UTF-8 if it has so many bytes that are none for each continuation byte of UTF-8.
_DOUBT = 10
# With fewer bad bytes than a third of the continuation bytes, it is UTF-8 in any case.
_IN_DOUBT = 3
# Beyond so many, and so many times as many, the rest of the file makes no difference.
_CLEAR = 1_000
_MAX_CELLS = 20_000
_MAX_CELL_BYTES, _MAX_LONG_CELLS = 400, 100
_MAX_COLLECTED_BYTES, _MAX_WORD_BYTES = 16_777_216, 1_048_576
_MAX_WORDS = 150
_MAX_TAIL_BYTES = 4_096
_MAX_UTF7_BYTES = 16_777_216
_BAD = re.compile("[\udc80-\udcff]+")
# A name or a city.
_WORD = re.compile(rb"[A-Z][a-z]{2,20}")
_CELL_ENDS = re.compile(r'[,;\t|"\r\n]')
_ASCII = bytes(range(128))
# No byte of them is part of a character of more bytes in any encoding of `detect`.
_SEPARATORS = bytes.maketrans(b',;\t"\r', b"\n\n\n\n\n")
# Sequences that select a Japanese or Korean character set (RFC 1468, RFC 1557), and those around
# Chinese text (RFC 1843), which is pairs of characters.
_ESCAPES = (
    (re.compile(rb"\x1b\$[@B]"), "iso2022_jp"),
    (re.compile(rb"\x1b\$\)C"), "iso2022_kr"),
    (re.compile(rb"~\{(?:[!-w][!-~])+~\}"), "hz"),
)
_MARKS = (b"\x1b$", b"~{")
_JSON = re.compile(rb"\s*(?:\{|\[\s*\{)")


def is_json_text(sample: bytes) -> bool:
    """Whether a text begins as an object of JSON, or a list of objects. RFC 8259 requires UTF-8."""
    return _JSON.match(sample.removeprefix(codecs.BOM_UTF8)) is not None


def unicode_encoding(sample: bytes) -> str | None:
    """Return the encoding that the byte order mark or the zeros at the beginning of a file show."""
    for mark, encoding in _BOMS:
        if sample.startswith(mark):
            return encoding
    units = len(sample) // 4
    if units:
        counts = [sample[offset : units * 4 : 4].count(0) for offset in range(4)]
        # No character is above U+10FFFF.
        if counts[3] == units and counts[0] < units and max(sample[2 : units * 4 : 4]) <= 0x10:
            return "utf-32-le"
        if counts[0] == units and counts[3] < units and max(sample[1 : units * 4 : 4]) <= 0x10:
            return "utf-32-be"
    # In UTF-16, every second byte of ASCII is zero, and other scripts have few bytes of ASCII.
    if len(sample.translate(None, _PRINTABLE)) < _MIN_UNPRINTABLE * len(sample):
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    # ASCII characters have a zero: at least the delimiters, line ends and email addresses.
    if max(even, odd) > 0.02 * (len(sample) / 2) and min(even, odd) <= 0.05 * max(even, odd):
        encoding = "utf-16-le" if odd > even else "utf-16-be"
        text = codecs.getincrementaldecoder(encoding)("replace").decode(sample)
        is_plain = text.count("\ufffd") <= 0.01 * len(text)
        if is_plain and any(separator in text for separator in "\n\r,;\t|"):
            return encoding
    return None


_PRINTABLE = bytes(range(0x20, 0x7F))
_MIN_UNPRINTABLE = 0.4


# A file with so many bad bytes for each sequence of UTF-8 is not mostly UTF-8.
_MOSTLY_BAD = 3


class EncodingScan:
    """Reads a file in chunks, and tells UTF-8 from other encodings. Collects cells that are not
    ASCII from the chunks that are not valid UTF-8."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._sequences = self._bad = self._sequences_elsewhere = 0
        self._escaped: tuple[bytes, str] | None = None
        self._utf7_bytes = 0
        self._has_utf7 = False
        self._cells: dict[bytes, None] = {}
        self._used: set[int] = set()
        self._long_cells: list[bytes] = []
        self._collected_bytes = 0
        self._words: dict[bytes, None] = {}
        self._tail: bytes | None = b""

    def add(self, chunk: bytes) -> None:
        """Count the bytes of the next chunk."""
        if not self._is_clear:
            before = len(self._decoder.getstate()[0])
            text = self._decoder.decode(chunk)
            if len(text) == len(chunk) and not before and text.isascii():
                if self._escaped is None and any(mark in chunk for mark in _MARKS):
                    self._escaped = _escaped(chunk)
                if not self._has_utf7 and self._utf7_bytes < _MAX_UTF7_BYTES:
                    self._utf7_bytes += len(chunk)
                    self._has_utf7 = find_utf7(chunk)
                self._tail = None
                return
            bad = sum(map(len, _BAD.findall(text)))
            read = len(chunk) + before - len(self._decoder.getstate()[0])
            self._bad += bad
            self._sequences += read - len(text)
            if not bad:
                self._sequences_elsewhere += read - len(text)
                self._tail = None
                return
        self._collect(chunk)

    @property
    def is_utf7(self) -> bool:
        """Whether the file is ASCII, and its beginning has text in UTF-7."""
        return self._has_utf7 and not self._bad and not self._sequences

    def guess(self) -> Guess:
        """Return the encoding of the chunks together. Text in another encoding is hardly ever valid
        UTF-8, so a file in which a tenth of such text is valid is UTF-8 with damaged rows."""
        self._bad += len(self._decoder.getstate()[0])
        if not self._bad:
            return self._escape_guess() or Guess("utf-8", "sure")
        if self._tail and not self._tail.isascii():
            self._keep((self._tail,))
        cells = list(self._cells) or self._long_cells
        if self._bad > _DOUBT * self._sequences:
            return self._detect(cells) if cells else Guess("cp1252", "unsure")
        if _IN_DOUBT * self._bad >= self._sequences and not self._sequences_elsewhere and cells:
            # Pairs of bytes of East Asian encodings may be valid UTF-8.
            guess = self._detect(cells)
            if is_likelier_than_utf8(guess, cells):
                return guess
            if self._bad > _MOSTLY_BAD * self._sequences:
                return replace(guess, confidence="unsure")
        return Guess("utf-8", "sure")

    def _detect(self, cells: list[bytes]) -> Guess:
        words = [word.decode() for word in self._words]
        return detect(cells, bytes(self._used), words)

    @property
    def _is_clear(self) -> bool:
        return self._bad > _CLEAR + _CLEAR * self._sequences

    def _collect(self, chunk: bytes) -> None:
        self._used.update(chunk.translate(None, _ASCII + bytes(self._used)))
        if len(self._cells) >= _MAX_CELLS or self._collected_bytes > _MAX_COLLECTED_BYTES:
            return
        self._collected_bytes += len(chunk)
        pieces = ((self._tail or b"") + chunk).translate(_SEPARATORS).split(b"\n")
        if self._tail is None:
            del pieces[0]  # its beginning is not known
        if pieces:
            tail = pieces.pop()
            self._tail = tail if len(tail) <= _MAX_TAIL_BYTES else None
        if len(self._words) < _MAX_WORDS and self._collected_bytes < _MAX_WORD_BYTES:
            words = (piece for piece in pieces if _WORD.fullmatch(piece))
            self._words.update(dict.fromkeys(islice(words, _MAX_WORDS)))
        self._keep(cell for cell in pieces if not cell.isascii())

    def _keep(self, cells: Iterable[bytes]) -> None:
        for cell in cells:
            if len(cell) <= _MAX_CELL_BYTES:
                self._cells[cell] = None
            elif len(self._long_cells) < _MAX_LONG_CELLS:
                beginning = cell[:_MAX_CELL_BYTES]
                self._long_cells.append(beginning.rpartition(b" ")[0] or beginning)

    def _escape_guess(self) -> Guess | None:
        if self._escaped is None:
            return None
        cells, encoding = self._escaped
        return Guess(encoding, "sure", decoded_samples(_escaped_cells(cells), encoding))


def _escaped(chunk: bytes) -> tuple[bytes, str] | None:
    """Return the first lines with escape sequences, and their encoding, if they can be decoded."""
    for pattern, encoding in _ESCAPES:
        if pattern.search(chunk):
            lines = [line for line in chunk.splitlines() if pattern.search(line)]
            data = b"\n".join(lines[1:4] or lines)
            try:
                data.decode(encoding)
            except UnicodeError:
                continue
            return data, encoding
    return None


def _escaped_cells(data: bytes) -> Iterator[bytes]:
    """Split lines at delimiters outside of escape sequences."""
    for match in re.finditer(rb"(?:\x1b\$[@B].*?\x1b\([BJ]|~\{.*?~\}|[^,;\t\n])+", data, re.DOTALL):
        yield match.group()


def sample_cells(text: str) -> tuple[str, ...]:
    """Return the first three cells of a text that are not ASCII, cut to 40 characters."""
    return () if text.isascii() else first_samples(_CELL_ENDS.split(text))


def quoted_samples(samples: tuple[str, ...]) -> str:
    """Return samples in parentheses, or an empty text without samples."""
    shown = ", ".join(f"“{sample}”" for sample in samples)
    return f" ({shown})" if shown else ""


def require_sure(name: str, guess: Guess) -> None:
    """Raise UnclearEncoding with the likely encodings if the encoding is unsure."""
    if guess.confidence == "sure":
        return
    likely = ((guess.encoding, guess.samples), *guess.alternatives)
    shown = "; ".join(f"{encoding}{quoted_samples(samples)}" for encoding, samples in likely)
    raise UnclearEncoding(
        f"The encoding of {name} is unclear. It may be {shown}. Choose the one whose text is right "
        "with --encoding (over HTTP, with the option `encoding`), or save the file as UTF-8.",
        likely,
    )
