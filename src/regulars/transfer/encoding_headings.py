"""Decide between likely encodings of a file by its headings."""

from __future__ import annotations

import re
from dataclasses import replace

from regulars.transfer.encoding_detection import Guess
from regulars.transfer.heading_dictionary import comparable, dictionary
from regulars.transfer.headings import is_secret, match_heading

# Lines in which the headings are looked for, and cells of a line.
_LINES, _CELLS = 10, 500
# Characters of known headings that decide, and how many times as many as in any other encoding.
# Short headings of East Asian scripts are known in a wrong decoding by chance.
_MIN_CHARACTERS = 5
_MIN_RATIO = 2
_DELIMITERS = re.compile(r"[,;\t|]")


def decide_by_headings(sample: bytes, guess: Guess) -> Guess:
    """Return the guess as sure if one of its likely encodings alone makes known headings of the
    file's first lines. `sample` is the beginning of the file."""
    likely = ((guess.encoding, guess.samples), *guess.alternatives)
    cells = {encoding: _first_cells(sample, encoding) for encoding, _ in likely}
    same = set.intersection(*cells.values())
    counts = {encoding: sum(map(_known_characters, cells[encoding] - same)) for encoding in cells}
    best = max(counts, key=lambda encoding: counts[encoding])
    others = max((n for encoding, n in counts.items() if encoding != best), default=0)
    if counts[best] < max(_MIN_CHARACTERS, _MIN_RATIO * others):
        return guess
    samples = dict(likely)[best]
    return replace(guess, encoding=best, confidence="sure", samples=samples, alternatives=())


def _first_cells(sample: bytes, encoding: str) -> set[str]:
    lines = sample.decode(encoding, "replace").splitlines()[:_LINES]
    return {cell.strip(" \"'\ufeff") for line in lines for cell in _DELIMITERS.split(line)[:_CELLS]}


def _known_characters(heading: str) -> int:
    """Return the number of characters of a heading that is known; twice as many if it is spelled
    as in the dictionary: `Imiê` is known as `Imię`."""
    if heading.isascii() or not (match_heading(heading) or is_secret(heading)):
        return 0
    factor = 2 if heading.lower() in dictionary().spellings else 1
    return factor * len(comparable(heading))
