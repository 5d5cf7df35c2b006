"""How probable a text is in each language, by its letters (`letters.tsv`) and common names
(`names.tsv`)."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from importlib.resources import files
from math import log

IDEOGRAPHIC = frozenset(("ja", "ko", "zh", "zh_Hant"))
# Costs are negative natural logarithms of probabilities.
ASCII_COST = 3.0
_STRANGE_COST = 9.0
# Of the common names of a language (`names.tsv`): about a hundred make up a third of all names.
_NAME_COST = 5.7
_CHARACTER_COST = 5.0
_LONGEST_WORD = 24
# The share of words of another language in a file, and of letters that the counts do not have.
_MIXED_COST = 3.5
_HALF_WIDTH = range(0xFF61, 0xFFA0)
_CHARSETS = {"ja": "euc_jp", "ko": "euc_kr", "zh": "gb2312", "zh_Hant": "big5"}
# The lead bytes of the frequent characters of those character sets.
_FREQUENT = {
    "ja": frozenset((0xA4, 0xA5, *range(0xB0, 0xD0))),
    "ko": frozenset(range(0xB0, 0xC9)),
    "zh": frozenset(range(0xB0, 0xD8)),
    "zh_Hant": frozenset(range(0xA4, 0xC7)),
}


class Language:
    """The letter frequencies of a language."""

    def __init__(
        self, name: str, counts: dict[str, dict[str, int]], names: frozenset[str] = frozenset()
    ) -> None:
        self.name = name
        self.names = names
        self.ideographic = name in IDEOGRAPHIC
        singles: dict[str, int] = {}
        for letters in counts.values():
            for letter, count in letters.items():
                singles[letter] = singles.get(letter, 0) + count
        self._total = sum(singles.values())
        self._singles = singles
        self._pairs = counts
        self._costs: dict[str, float] = {}

    def word_cost(self, word: str) -> float:
        """Return the cost of a word in lower case that is not only ASCII."""
        costs = self._costs
        total = 0.0
        if self.ideographic:
            for letter in word:
                cost = costs.get(letter)
                if cost is None:
                    cost = costs[letter] = self._single_cost(letter)
                total += cost
            return total
        before = "^"
        for letter in word:
            pair = before + letter
            cost = costs.get(pair)
            if cost is None:
                cost = costs[pair] = self._pair_cost(before, letter)
            total += cost
            before = letter
        pair = before + "$"
        cost = costs.get(pair)
        if cost is None:
            cost = costs[pair] = self._pair_cost(before, "$")
        return total + cost

    def _pair_cost(self, before: str, letter: str) -> float:
        single = (self._singles.get(letter, 0) + 0.1) / (self._total + 1000)
        followers = self._pairs.get(before, {})
        total = sum(followers.values())
        # Witten and Bell: the weight of the single letters is the share of rare followers.
        kinds = len(followers) + 1
        return -log((followers.get(letter, 0) + kinds * single) / (total + kinds))

    def _single_cost(self, letter: str) -> float:
        if letter.isascii():
            return ASCII_COST
        if letter in self.names:
            return _CHARACTER_COST
        if ord(letter) in _HALF_WIDTH and self.name == "ja":
            return self._single_cost(unicodedata.normalize("NFKC", letter)) + 2.5
        share = 0.75 * self._singles.get(letter, 0) / self._total
        try:
            data = letter.encode(_CHARSETS[self.name])
        except UnicodeEncodeError:
            return -log(share + 1e-7)
        frequent = len(data) == 2 and data[0] in _FREQUENT[self.name]
        return -log(share + (0.2 / 4000 if frequent else 0.02 / 4000))


@cache
def languages() -> dict[str, Language]:
    """Return the languages by their codes. Read once, in about 20 ms."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    text = files("regulars.transfer").joinpath("letters.tsv").read_text("utf-8")
    for line in text.splitlines():
        language, before, letters = line.split("\t")
        followers = {item[0]: int(item[1:]) for item in letters.split(" ")}
        counts.setdefault(language, {})[before] = followers
    names = {}
    for line in files("regulars.transfer").joinpath("names.tsv").read_text("utf-8").splitlines():
        language, words = line.split("\t")
        names[language] = frozenset(words.split(" "))
    return {
        name: Language(name, pairs, names.get(name, frozenset())) for name, pairs in counts.items()
    }


@lru_cache(65_536)
def lower(word: str) -> str:
    """Return a word in lower case, letter by letter, cut to 24 letters."""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in word[:_LONGEST_WORD])


_LANGUAGE_WEIGHT = 0.4
_MAX_LANGUAGE_COST = 8.0


def language_costs(words: list[str], names: tuple[str, ...]) -> dict[str, float]:
    """Return costs of 0 to 8 for languages that ASCII words of the same file show to be unlikely.
    Weighted low, since the names in a file are of several languages."""
    if not words:
        return {}
    costs = text_costs(words, names)
    least = min(costs.values())
    return {
        name: min(_MAX_LANGUAGE_COST, _LANGUAGE_WEIGHT * (cost - least))
        for name, cost in costs.items()
    }


def text_costs(words: list[str], names: tuple[str, ...]) -> dict[str, float]:
    """Return the cost of words in each of some languages. A word may be of another language of
    them, at a price."""
    models = [languages()[name] for name in names]
    totals = [0.0] * len(models)
    foreign = _MIXED_COST + log(len(models))
    for word in words:
        costs = [_NAME_COST if word in model.names else model.word_cost(word) for model in models]
        limit = min(costs) + foreign
        for index, cost in enumerate(costs):
            totals[index] += min(limit, cost)
    return dict(zip(names, totals, strict=True))
