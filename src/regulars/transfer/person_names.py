"""Divide whole names into first and last names.

The library nameparser takes 190 µs for a name, which alone would limit an import to 5,000 rows/s,
and knows no Chinese names and no Russian ones. The words are in name_words.toml.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from regulars.core.text import folded

_MAX_CHARACTERS = 512
# The first character after the Latin letters of European languages.
_AFTER_LATIN = "\u0250"
_COMMA = re.compile("[,،，]")
_PARENTHESES = re.compile(r"(?P<name>[^(]*\S) (?P<tail>\([^()]*\))")
# Letters of Chinese, Japanese and Korean.
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff々]+")
_HANGUL = re.compile("[\uac00-\ud7a3]+")
_EAST_ASIAN = re.compile(
    "[\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f々・·]+"
)
_PATRONYMIC = re.compile("[а-яёіїє]{2,}(?:ич|вна|ична)", re.IGNORECASE)
_RUSSIAN_SURNAME = re.compile(
    "(?!любов$)[а-яё]{3,}(?:ов|ова|ев|ева|ский|ская|цкий|цкая)", re.IGNORECASE
)
# A last name in capitals before a first name, as in DUPONT Jean, has at least this many letters:
# shorter words may be initials.
_MIN_CAPITALS = 4
_MAX_CAPITAL_WORDS = 4

Names = tuple[str, str]


class _Words(NamedTuple):
    particles: frozenset[str]
    lower_particles: frozenset[str]
    connectors: frozenset[str]
    leading: frozenset[str]
    suffixes: frozenset[str]
    exact_suffixes: frozenset[str]
    titles: frozenset[str]
    companies: frozenset[str]
    company_capitals: frozenset[str]
    chinese_compound: frozenset[str]
    chinese_single: frozenset[str]
    chinese_frequent: frozenset[str]
    japanese: frozenset[str]
    korean_compound: frozenset[str]
    korean_single: frozenset[str]
    vietnamese: frozenset[str]


def split_name(text: str) -> Names:
    """Return the first and the last name of a whole name.

    The last word and the particles before it are the last name (`Ludwig` / `van der Rohe`), unless
    a comma (`Smith, John`), capitals (`DUPONT Jean`), the script (`王小明`, `김철수`), a patronymic
    (`Иванов Иван Иванович`) or a Vietnamese last name says otherwise. Titles stay with the first
    name, suffixes with the last. A single word, a company and a name that cannot be divided with
    certainty (`田中太郎`) are a first name.

    No character is lost except commas and surplus spaces.
    """
    first, space, last = text.partition(" ")
    if (
        space
        and first.isalpha()
        and last.isalpha()
        and first.istitle()
        and last.istitle()
        and (text.isascii() or (max(text) < _AFTER_LATIN and first not in _words().vietnamese))
        and last.lower() not in _words().companies
    ):
        return first, last
    if len(text) > _MAX_CHARACTERS:
        return text.strip(), ""
    whole = " ".join(text.split())
    if "@" in whole or not any(map(str.isalpha, whole)):
        return whole, ""
    if _COMMA.search(whole):
        return _of_parts(whole)
    return _divide(whole)


def put_last_name_first(text: str, has_two_last_names: bool = False) -> str:
    """Return a whole name as `Last, First`, of a column whose last names stand first, or with
    `has_two_last_names` at the end: two of them, as in Spain. A name whose form says more (a comma,
    capitals, East Asian letters) stays as it is."""
    words = text.split()
    if len(text) > _MAX_CHARACTERS or len(words) < 2 or _COMMA.search(text):
        return text
    is_company = _is_company(words[-1])
    if is_company or "@" in text or _EAST_ASIAN.fullmatch("".join(words)):
        return text
    if words[0] in _words().vietnamese or any(map(_is_capitals, (words[0], words[-1]))):
        return text
    is_patronymic = [bool(_PATRONYMIC.fullmatch(word)) for word in words]
    if is_patronymic == [False, True, False]:  # `Анна Петровна Иванова`
        return text
    titles = 0
    while titles < len(words) - 2 and _bare(words[titles]) in _words().titles:
        titles += 1
    names = words[titles:]
    if has_two_last_names:
        first = _first_names(names) or (2 if len(names) > 3 else 1)
        last, given = names[first:], names[:first]
    else:
        count = len(names) - _first_names(names[::-1])
        count = 1 if count == len(names) else count
        while count < len(names) - 1 and names[count - 1].lower() in _words().particles:
            count += 1
        last, given = names[:count], names[count:]
    return f"{' '.join(last)}, {' '.join(words[:titles] + given)}"


def _first_names(names: list[str]) -> int:
    """Return the number of frequent first names at the beginning; one word is left."""
    count = 0
    while count < len(names) - 1 and _is_first_name(names[count]):
        count += 1
    return count


def first_name_order(name: str) -> bool | None:
    """Return whether a whole name begins (True) or ends (False) with a frequent first name; None
    if both or neither."""
    words = name[:_MAX_CHARACTERS].split()
    if len(words) < 2 or _COMMA.search(name):
        return None
    first, last = _is_first_name(words[0]), _is_first_name(words[-1])
    return None if first == last else first


def _is_first_name(word: str) -> bool:
    return all(folded(part) in _first_name_keys() for part in word.split("-") if part)


@lru_cache(maxsize=1)
def _first_name_keys() -> frozenset[str]:
    return frozenset(map(folded, name_words()["first_names"].split()))


def _of_parts(whole: str) -> Names:
    """Divide a name with commas: the last name stands first, except before suffixes."""
    parts = [part for part in map(str.strip, _COMMA.split(whole)) if part]
    if len(parts) > 1 and _is_company(parts[-1].split()[-1]):
        return whole, ""
    has_two_words = " " in parts[0]
    suffixes = [part for part in parts[1:] if _is_suffix_part(part, has_two_words)]
    others = [part for part in parts[1:] if part not in suffixes]
    first, last = _of_index(" ".join(others), parts[0]) if others else _divide(parts[0])
    tail = " ".join(suffixes)
    if not tail:
        return first, last
    return (first, f"{last} {tail}") if last else (f"{first} {tail}", "")


def _of_index(first: str, last: str) -> Names:
    """Return a name as indexes have it, with particles at the end: `Vries, Jan de`."""
    known, words = _words(), first.split()
    start = len(words)
    while start > 1 and words[start - 1] in known.particles | known.lower_particles:
        start -= 1
    return " ".join(words[:start]), " ".join([*words[start:], last])


def _is_suffix_part(part: str, after_whole_name: bool) -> bool:
    titles = _words().titles
    return all(
        _is_suffix(word) or (after_whole_name and _bare(word) in titles) for word in part.split()
    )


def _divide(whole: str) -> Names:
    """Divide a name without commas."""
    if not whole.isascii() and _EAST_ASIAN.fullmatch(whole.replace(" ", "")):
        return _divide_east_asian(whole.split())
    if tail := _PARENTHESES.fullmatch(whole):
        first, last = _divide(tail["name"])
        return (first, f"{last} {tail['tail']}") if last else (f"{first} {tail['tail']}", "")
    words = whole.split()
    end = len(words)
    if end == 1 or _is_company(words[-1]):
        return whole, ""
    while end > 2 and _is_suffix(words[end - 1]):
        end -= 1
    start, stop = _last_name(words[:end])
    last_name = words[start:stop] + words[end:]
    return " ".join(words[:start] + words[stop:end]), " ".join(last_name)


def _last_name(words: list[str]) -> tuple[int, int]:
    """Return the positions at which the last name begins and ends."""
    count = len(words)
    if leading := _leading_last_name(words):
        return 0, leading
    known = _words()
    start = count - 1
    while start > 1 and _is_capitals(words[start]) and _is_capitals(words[start - 1]):
        start -= 1
    if start == 1 and _is_capitals(words[0]):
        start = count - 1
    while start > 1:
        word = words[start - 1]
        if start > 2 and word in known.connectors:
            start -= 2
        elif _is_particle(word, words[start]):
            start -= 1
        else:
            break
    if start == 1 and words[0] in known.leading:
        start = 0
    return start, count


def _is_particle(word: str, next_word: str) -> bool:
    """Return whether a word belongs to the last name in which the next word is."""
    known = _words()
    # Of a double name, too: Wolzak-de la Fleche.
    lower = word.rpartition("-")[2].lower()
    if lower in known.particles or word in known.lower_particles:
        return True
    # A capital is no first name before another particle: Op de Beeck.
    return lower in known.lower_particles and next_word.lower() in known.particles


def _leading_last_name(words: list[str]) -> int:
    """Return how many words at the beginning are the last name; 0 if it is at the end."""
    count = len(words)
    capitals = 0
    while capitals < count and _is_capitals(words[capitals]):
        capitals += 1
    # The other words are first names: Jean, Jean-Marie.
    has_first_names = all(map(str.istitle, words[capitals:])) and count <= _MAX_CAPITAL_WORDS
    letters = sum(map(len, words[:capitals]))
    if capitals < count and has_first_names and letters >= _MIN_CAPITALS:
        return capitals
    if words[0] in _words().vietnamese and words[-1] not in _words().vietnamese:
        return 1
    is_patronymic = [bool(_PATRONYMIC.fullmatch(word)) for word in words[-2:]]
    if count == 3 and is_patronymic == [False, True]:
        return 1
    is_surname = [bool(_RUSSIAN_SURNAME.fullmatch(word)) for word in words]
    return int(is_surname == [True, False])


def _is_capitals(word: str) -> bool:
    """Return whether a word of two letters or more is in capitals. Initials are not."""
    return word.isupper() and len(word) > 1 and "." not in word


def _divide_east_asian(words: list[str]) -> Names:
    """Divide a Chinese, Japanese or Korean name. The last name stands first."""
    known = _words()
    if len(words) > 1:
        # Written in western order: 小明 王, 철수 김.
        other = words[1] in known.chinese_frequent or words[1] in known.korean_single
        if len(words) == 2 and other and len(words[0]) > 1 and _surname(words[0]) != words[0]:
            return words[0], words[1]
        return " ".join(words[1:]), words[0]
    name = words[0]
    last = _surname(name)
    return (name[len(last) :], last) if last and last != name else (name, "")


def _surname(name: str) -> str:
    """Return the last name at the beginning of a name without spaces; empty if it is uncertain."""
    known = _words()
    length = len(name)
    if _HANGUL.fullmatch(name):
        compound, single = known.korean_compound, known.korean_single
    elif _HAN.fullmatch(name):
        compound, single = known.chinese_compound, known.chinese_single
    else:
        return ""
    if length in (2, 3, 4) and name[:2] in compound:
        return name[:2]
    if length not in (1, 2, 3) or name[0] not in single:
        return ""
    return "" if name[:2] in known.japanese else name[0]


def _bare(word: str) -> str:
    return word.replace(".", "").lower()


def _is_suffix(word: str) -> bool:
    return _bare(word) in _words().suffixes or word in _words().exact_suffixes


def _is_company(word: str) -> bool:
    known = _words()
    return _bare(word) in known.companies or word.replace(".", "") in known.company_capitals


@lru_cache(maxsize=1)
def name_words() -> Mapping[str, Any]:
    """Return the lists of name_words.toml."""
    return tomllib.loads(files(__package__).joinpath("name_words.toml").read_text("utf-8"))


@lru_cache(maxsize=1)
def _words() -> _Words:
    data = dict(name_words())
    for name in ("chinese_compound", "japanese", "korean_compound"):
        data[name] = data[name].split()
    return _Words(**{name: frozenset(data[name]) for name in _Words._fields})
