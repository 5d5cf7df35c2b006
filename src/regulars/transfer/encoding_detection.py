"""Recognise the encoding of a file of customers that is not UTF-8.

Each candidate decodes the cells that are not ASCII. The result is judged by its letters: scripts
and case within words, symbols, and the letter frequencies of the encoding's languages.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from regulars.transfer.letter_model import ASCII_COST, language_costs, lower, text_costs
from regulars.transfer.letter_rules import breaks_rules, has_controls, rule_cost, words_of

_LATIN = "en fr es ca de it pt nl da sv nb fi is"
_CENTRAL = "pl cs sk hu ro hr sl sq"
_ALL_LATIN = f"{_LATIN} {_CENTRAL} lt lv et tr vi"
_CYRILLIC = "ru uk bg sr mk be kk"
# Of a text in a language that an encoding is not for, but has the letters of.
_OTHER_COST = 5.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoding, the cost of its rareness, and the languages that it is for."""

    encoding: str
    rareness: float
    native: str
    others: str = ""

    @property
    def is_multibyte(self) -> bool:
        return self.encoding in _MULTIBYTE


_MULTIBYTE = frozenset(("cp932", "euc_jp", "gb18030", "cp950", "big5hkscs", "cp949"))
# Of equal decodings, the first is chosen: Windows' encodings are the supersets.
CANDIDATES = tuple(
    Candidate(encoding, rareness, native, _ALL_LATIN if native.split()[0] in _ALL_LATIN else "en")
    for encoding, rareness, native in (
        ("cp1252", 0.0, _LATIN),
        ("cp1250", 1.0, _CENTRAL),
        ("cp1251", 1.0, _CYRILLIC),
        ("cp1253", 1.0, "el"),
        ("cp1254", 1.5, "tr"),
        ("cp1255", 1.0, "he"),
        ("cp1256", 1.0, "ar fa"),
        ("cp1257", 2.0, "lt lv et"),
        ("cp1258", 2.0, "vi"),
        ("cp874", 1.0, "th"),
        ("cp932", 1.0, "ja"),
        ("gb18030", 1.0, "zh zh_Hant"),
        ("cp950", 1.0, "zh_Hant zh"),
        ("cp949", 1.0, "ko"),
        ("euc_jp", 1.5, "ja"),
        ("iso8859-15", 2.0, _LATIN),
        ("iso8859-2", 2.0, _CENTRAL),
        ("iso8859-5", 3.0, _CYRILLIC),
        ("iso8859-6", 3.0, "ar"),
        ("iso8859-7", 2.0, "el"),
        ("iso8859-8", 2.0, "he"),
        ("iso8859-9", 3.0, "tr"),
        ("iso8859-13", 3.0, "lt lv et"),
        ("iso8859-16", 4.0, "ro"),
        ("koi8-r", 2.0, "ru"),
        ("koi8-u", 2.5, "uk ru"),
        ("cp866", 2.0, "ru be bg"),
        ("mac-roman", 2.0, _LATIN),
        ("mac-cyrillic", 3.0, _CYRILLIC),
        ("mac-latin2", 3.0, _CENTRAL),
        ("mac-greek", 4.0, "el"),
        ("mac-turkish", 4.0, "tr"),
        ("cp850", 2.5, _LATIN),
        ("cp437", 3.0, _LATIN),
        ("cp852", 2.5, _CENTRAL),
        ("cp857", 3.5, "tr"),
        ("cp737", 3.5, "el"),
        ("cp862", 3.5, "he"),
        ("cp775", 3.5, "lt lv et"),
        ("big5hkscs", 4.0, "zh_Hant"),
        ("cp1125", 3.5, "uk be ru"),
        ("cp855", 4.0, "sr mk bg"),
        ("kz1048", 4.0, "kk"),
        ("cp860", 4.0, "pt"),
        ("cp861", 4.0, "is"),
        ("cp720", 4.0, "ar"),
        ("cp869", 4.5, "el"),
        ("iso8859-4", 5.0, "lt lv et"),
        ("mac-iceland", 4.5, "is"),
        ("mac-romanian", 4.5, "ro"),
        ("mac-croatian", 4.5, "hr sl"),
    )
)

# Letters of Romanian that older encodings write with a cedilla.
_CEDILLAS = str.maketrans("șțȘȚ", "şţŞŢ")
_UTF8 = Candidate("utf-8", 0.0, f"{_ALL_LATIN} {_CYRILLIC} el he ar fa th ja ko zh zh_Hant")

_MAX_JUDGED = 160
_MAX_CELLS = 3_000
_MAX_BYTES = 60_000
_PER_BYTE, _PER_BYTE_JUDGED = 12, 4
_SAMPLES = 3
_SAMPLE_CHARACTERS = 40
# Differences of costs: "sure" from the first on, and from the second on for fewer than 5 cells; a
# candidate is left out beyond the third.
SURE, SURE_OF_FEW = 6.0, 8.0
_HOPELESS = 60.0
_ALTERNATIVES = 5
_MAX_BROKEN = 0.03
_SEVERAL = 5


@dataclass(frozen=True, slots=True)
class Guess:
    """A recognised encoding. `samples` are up to three decoded cells; `alternatives` are other
    encodings that are likely if the guess is unsure, the likeliest first, each with samples."""

    encoding: str
    confidence: Literal["sure", "unsure"]
    samples: tuple[str, ...] = ()
    alternatives: tuple[tuple[str, tuple[str, ...]], ...] = ()


def detect(cells: Sequence[bytes], used: bytes = b"", ascii_words: Sequence[str] = ()) -> Guess:
    """Guess the encoding of cells that are not ASCII. `used` are the bytes of the whole file that
    are not ASCII; `ascii_words` are other words of the file, which hint at its language."""
    hints = language_costs([lower(word) for word in ascii_words], tuple(_ALL_LATIN.split()))
    chosen = _spread(cells, _PER_BYTE, _MAX_CELLS)
    first = _ranked([(c, rule_cost(_decode(b"\n".join(chosen), c.encoding))) for c in CANDIDATES])
    hopeful = [c for c, cost in first if cost - first[0][1] < _HOPELESS]
    judged = _spread(chosen, _PER_BYTE_JUDGED, _MAX_JUDGED)
    ranked = _ranked([(c, _cost(c, judged, hints)) for c in hopeful])
    finalists = [c for c, cost in ranked if cost - ranked[0][1] < 2 * SURE]
    differing = [cell for cell in chosen if len({_decode(cell, c.encoding) for c in finalists}) > 1]
    if not set(differing) <= set(judged):
        judged = list(dict.fromkeys((*judged, *differing[:_MAX_JUDGED])))
        ranked = _ranked([(c, _cost(c, judged, hints)) for c in finalists])
    margin = SURE if len(chosen) >= _SEVERAL else SURE_OF_FEW
    ranked = _without_controls(ranked, margin, chosen)
    best, best_cost = ranked[0]
    probe = b"\n".join((*chosen, bytes(used) if not best.is_multibyte else b""))
    text = _decode(probe, best.encoding).translate(_CEDILLAS)
    rivals: list[tuple[Candidate, float]] = []
    equal = [best]
    for candidate, cost in ranked[1:]:
        if _decode(probe, candidate.encoding).translate(_CEDILLAS) == text:
            equal.append(candidate)
        elif cost - best_cost < margin:
            rivals.append((candidate, cost))
    best = min(equal, key=CANDIDATES.index)
    samples = decoded_samples(cells, best.encoding)
    if not rivals and _is_plausible(best, chosen):
        return Guess(best.encoding, "sure", samples)
    cells = [*differing, *cells] if rivals else cells
    samples = decoded_samples(cells, best.encoding)
    shown: dict[tuple[str, ...], str] = {samples: best.encoding}
    for candidate, _ in rivals or ranked[1:]:
        shown.setdefault(decoded_samples(cells, candidate.encoding), candidate.encoding)
    others = [(name, texts) for texts, name in shown.items() if name != best.encoding]
    return Guess(best.encoding, "unsure", samples, tuple(others[: _ALTERNATIVES - 1]))


def _without_controls(
    ranked: list[tuple[Candidate, float]], margin: float, cells: Sequence[bytes]
) -> list[tuple[Candidate, float]]:
    """Leave out the candidates near the best one that decode to control characters, if another one
    near it does not. A rare letter such as `Œ` costs nearly as much as a control character."""
    near = [c for c, cost in ranked if cost - ranked[0][1] < margin]
    data = b"\n".join(cells)
    faulty = [c for c in near if has_controls(_decode(data, c.encoding))]
    if not faulty or len(faulty) == len(near):
        return ranked
    return [(c, cost) for c, cost in ranked if c not in faulty]


def decoded_samples(cells: Iterable[bytes], encoding: str) -> tuple[str, ...]:
    """Return the first three different cells as text, cut to 40 characters."""
    return first_samples(cell.decode(encoding, "replace") for cell in cells)


def first_samples(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the first three different texts that are not ASCII, cut to 40 characters."""
    samples: dict[str, None] = {}
    for text in texts:
        if not text.isascii():
            printable = (c if c.isprintable() else "\ufffd" for c in text[:_SAMPLE_CHARACTERS])
            samples["".join(printable).strip(" '")] = None
        if len(samples) == _SAMPLES:
            break
    return tuple(samples)


def _ranked(costs: list[tuple[Candidate, float]]) -> list[tuple[Candidate, float]]:
    return sorted(costs, key=lambda pair: pair[1])


def _spread(cells: Sequence[bytes], per_byte: int, max_cells: int) -> list[bytes]:
    """Return the first cells so that each byte that is not ASCII is in some of them."""
    counts = [0] * 256
    chosen = []
    size_bytes = 0
    for cell in cells:
        high = {byte for byte in cell if byte > 0x7F}
        if any(counts[byte] < per_byte for byte in high):
            chosen.append(cell)
            size_bytes += len(cell)
            for byte in high:
                counts[byte] += 1
            if len(chosen) == max_cells or size_bytes > _MAX_BYTES:
                break
    return chosen


def _decode(data: bytes, encoding: str) -> str:
    text = data.decode(encoding, "surrogateescape")
    return unicodedata.normalize("NFC", text) if encoding == "cp1258" else text


def _cost(candidate: Candidate, cells: Sequence[bytes], hints: dict[str, float]) -> float:
    """Return the cost of cells in the likeliest language."""
    text = _decode(b"\n".join(cells), candidate.encoding)
    words = []
    fixed = candidate.rareness + rule_cost(text)
    for word in words_of(text):
        if word.isascii():
            fixed += ASCII_COST * len(word)
        else:
            words.append(lower(word))
    native = candidate.native.split()
    names = (*native, *(n for n in candidate.others.split() if n not in native))
    costs = text_costs(words, names)
    best = min(
        cost + hints.get(name, 0) + (0 if name in native else _OTHER_COST)
        for name, cost in costs.items()
    )
    return best + fixed


def is_likelier_than_utf8(guess: Guess, cells: Sequence[bytes]) -> bool:
    """Whether cells that are partly valid UTF-8 are clearly likelier, and faultless, in the guessed
    encoding."""
    if any(breaks_rules(_decode(cell, guess.encoding)) for cell in cells):
        return False
    judged = _spread(cells, _PER_BYTE_JUDGED, _MAX_JUDGED)
    guessed = next(c for c in CANDIDATES if c.encoding == guess.encoding)
    return _cost(guessed, judged, {}) + SURE < _cost(_UTF8, judged, {})


def _is_plausible(candidate: Candidate, cells: Sequence[bytes]) -> bool:
    """Whether few cells break the rules, and none of them is UTF-8 (of another file, appended)."""
    broken = [cell for cell in cells if breaks_rules(_decode(cell, candidate.encoding))]
    most = max(_MAX_BROKEN * len(cells), 1 if len(cells) >= _SEVERAL else 0)
    return len(broken) <= most and not any(map(_is_utf8, broken))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
