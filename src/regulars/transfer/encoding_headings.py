"""Decide between encodings of a file by its headings."""

from __future__ import annotations

import re
from collections.abc import Set
from itertools import islice

from regulars.transfer.encoding_detection import CANDIDATES, Guess, first_samples
from regulars.transfer.heading_dictionary import comparable, dictionary

# Lines in which the headings are looked for, their bytes, and cells that are not ASCII: each is
# looked up in up to 40 encodings, which takes 0.2 ms.
_LINES, _LINE_BYTES, _CELLS = 5, 4_096, 60
# Characters of known headings that decide, also against a guess that is sure, and how many times as
# many as in any other encoding. Short headings are known in a wrong decoding by chance.
_MIN_CHARACTERS, _MIN_AGAINST_SURE = 5, 10
_MIN_RATIO = 2
_DELIMITERS = re.compile(r"[,;\t|]")


def decide_by_headings(sample: bytes, guess: Guess) -> Guess:
    """Return the guess, or a sure one of the only encoding in which the file's headings are known
    ones. A guess that is sure stays if a heading is known in it. `sample` is the beginning of the
    file."""
    lines = [line[:_LINE_BYTES] for line in sample.splitlines()[:_LINES]]
    lines = [line for line in lines if b"@" not in line]  # else it is a customer
    if all(map(bytes.isascii, lines)):
        return guess
    is_sure = guess.confidence == "sure"
    guessed = _cells(lines, guess.encoding)
    if is_sure and _known_characters(guessed):
        return guess
    encodings = {guessed: guess.encoding}
    for candidate in CANDIDATES:  # the first of those with the same text
        encodings.setdefault(_cells(lines, candidate.encoding), candidate.encoding)
    best = max(encodings, key=_known_characters)
    least = _MIN_AGAINST_SURE if is_sure else _MIN_CHARACTERS
    for other in encodings.keys() - {best}:
        if _known_characters(best - other) < max(
            least, _MIN_RATIO * _known_characters(other - best)
        ):
            return guess
    samples = first_samples(sorted(best))
    return Guess(encodings[best], "sure", samples)


def _cells(lines: list[bytes], encoding: str) -> frozenset[str]:
    """Return the cells of lines that are not ASCII."""
    texts = (line.decode(encoding, "replace") for line in lines)
    cells = (cell.strip(" \"'") for text in texts for cell in _DELIMITERS.split(text))
    return frozenset(islice((cell for cell in cells if not cell.isascii()), _CELLS))


def _known_characters(headings: Set[str]) -> int:
    """Return the number of characters of the headings that are known; twice as many if they are
    spelled as in the dictionary: `Imiê` is known as `Imię`."""
    known = dictionary()
    count = 0
    for heading in headings:
        key = comparable(heading)
        if key in known.fields or key in known.parts:
            count += (2 if heading.lower() in known.spellings else 1) * len(key)
    return count
