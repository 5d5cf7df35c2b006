"""Writes the names of countries, as CLDR has them, to `src/regulars/core/countries.txt`.

A line is a code and its names, as `countries.name_key` compares them. A name that means different
countries in different languages is the one of the first language, if that is English; else it is
left out.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import iso3166
from babel import Locale, localedata
from babel.languages import get_official_languages

from regulars.core.countries import name_key

PATH = Path(__file__).parent.parent / "src/regulars/core/countries.txt"
LANGUAGES = (
    "en fr es de it pt nl pl tr ar ru zh ja ko zh_Hant pt_PT es_MX sv da nb nn fi is cs sk hu ro bg "
    "el he fa ur hi bn th vi id ms uk be sr sr_Latn hr bs sl mk sq lt lv et ca gl eu ga cy ka hy az "
    "kk uz ta te af sw"
).split()


def country_lines() -> str:
    """Return the lines of the file."""
    codes = sorted({*iso3166.countries_by_alpha2, "XK"})
    meanings: dict[str, dict[str, str]] = defaultdict(dict)  # name -> language -> code
    known = set(localedata.locale_identifiers())

    def add(language: str, code: str) -> None:
        name = Locale.parse(language).territories.get(code)
        key = name_key(name) if name and name != code else ""
        if key:
            meanings[key][language] = code

    for language in LANGUAGES:
        for code in codes:
            add(language, code)
    for code in codes:
        for language in get_official_languages(code, regional=True, de_facto=True):
            if language in known and language not in LANGUAGES:
                add(language, code)
    names: dict[str, list[str]] = defaultdict(list)
    for key, of_language in meanings.items():
        if "en" in of_language or len(set(of_language.values())) == 1:
            names[of_language.get("en") or next(iter(of_language.values()))].append(key)
    return "".join(f"{code} {' '.join(sorted(names[code]))}\n" for code in codes)


if __name__ == "__main__":
    PATH.write_text(country_lines(), encoding="utf-8")
