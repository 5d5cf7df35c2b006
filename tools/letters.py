"""Write the letter frequencies by which encodings are recognised.

They are counted in the names, cities and streets of Faker, and in the names of countries,
languages, months and cities of CLDR (through Babel), for each language.
"""

from __future__ import annotations

import importlib
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from babel import Locale

OUTPUT = Path("src/regulars/transfer/letters.tsv")
# Language: locales of Faker.
LANGUAGES = {
    "en": "en_US en_GB", "fr": "fr_FR fr_CA fr_BE", "es": "es_ES es_MX es_AR", "ca": "es_CA",
    "de": "de_DE de_AT", "it": "it_IT", "pt": "pt_BR pt_PT", "nl": "nl_NL nl_BE", "da": "da_DK",
    "sv": "sv_SE", "nb": "no_NO", "fi": "fi_FI", "is": "is_IS", "pl": "pl_PL", "cs": "cs_CZ",
    "sk": "sk_SK", "hu": "hu_HU", "ro": "ro_RO", "hr": "hr_HR", "sl": "sl_SI", "sq": "",
    "lt": "lt_LT", "lv": "lv_LV", "et": "et_EE", "tr": "tr_TR", "vi": "vi_VN", "ru": "ru_RU",
    "uk": "uk_UA", "bg": "bg_BG", "sr": "", "mk": "mk_MK", "be": "", "kk": "", "el": "el_GR",
    "he": "he_IL", "ar": "ar_AA ar_SA ar_PS ar_DZ", "fa": "fa_IR", "th": "th_TH",
    "ja": "ja_JP", "ko": "ko_KR", "zh": "zh_CN", "zh_Hant": "zh_TW",
}  # fmt: skip
IDEOGRAPHIC = frozenset(("ja", "ko", "zh", "zh_Hant"))
_WORD = re.compile(r"[^\W\d_][^\W\d_\u0300-\u036f\u0e31-\u0e4e]*[\w\u0e31-\u0e4e]*")
_START, _END = "^", "$"


def faker_lists(locales: str) -> Iterator[str]:
    """Yield the texts of the person and address providers of locales of Faker."""
    for locale in locales.split():
        for kind in ("person", "address"):
            try:
                module = importlib.import_module(f"faker.providers.{kind}.{locale}")
            except ModuleNotFoundError:
                continue
            for name, value in vars(module.Provider).items():
                if not name.startswith("_") and "format" not in name and "country" not in name:
                    yield from _texts(value)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if not set(value) & set("{%#@"):
            yield value
    elif isinstance(value, Mapping):
        yield from (key for key in value if isinstance(key, str))
    elif isinstance(value, (tuple, list, set, frozenset)):
        for item in value:
            yield from _texts(item)


def cldr_texts(language: str) -> Iterator[str]:
    """Yield the names of CLDR in a language."""
    locale = Locale.parse(language)
    yield from locale.territories.values()
    yield from locale.languages.values()
    for data in (locale.months, locale.days):
        for widths in data.values():
            for width in widths.values():
                yield from (text for text in width.values() if len(text) > 2)
    for zone in locale.time_zones.values():
        yield from (text for text in zone.values() if isinstance(text, str))
    yield from locale.currencies.values()


def lower(text: str) -> str:
    """Return a text in lower case, letter by letter."""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def count(language: str, texts: Iterable[str]) -> dict[str, Counter[str]]:
    """Count the letters of words after each letter; those of ideographic scripts after none."""
    counts: dict[str, Counter[str]] = {}
    for text in texts:
        for word in _WORD.findall(unicodedata.normalize("NFC", text)):
            if language in IDEOGRAPHIC:
                if not word.isascii():
                    counts.setdefault("", Counter()).update(c for c in word if not c.isascii())
                continue
            letters = f"{_START}{lower(word)}{_END}"
            for before, letter in pairwise(letters):
                counts.setdefault(before, Counter())[letter] += 1
    return counts


def lines(exclude: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the lines of the file: language, letter before, letters with their counts."""
    for language, locales in LANGUAGES.items():
        words = {w for w in (*faker_lists(locales), *cldr_texts(language)) if w not in exclude}
        for before, letters in sorted(count(language, sorted(words)).items()):
            counted = " ".join(
                f"{c}{n}" for c, n in sorted(letters.items(), key=lambda i: (-i[1], i[0]))
            )
            yield f"{language}\t{before}\t{counted}\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT).write_text("".join(lines()), "utf-8")
