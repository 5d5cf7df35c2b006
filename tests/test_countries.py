"""Countries by their codes and names: what the import and the search understand."""

from __future__ import annotations

import runpy
from pathlib import Path

import iso3166
import pytest
from babel import Locale
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regulars.core.countries import find_country, like_country
from regulars.core.text import folded_letters
from tests.support import example_count

LANGUAGES = ("en", "fr", "es", "de", "it", "pt", "nl", "pl", "tr", "ar", "ru", "zh", "ja", "ko")


@pytest.mark.parametrize("country", iso3166.countries, ids=lambda country: country.alpha2)
def test_every_code_and_every_iso_name_is_found(country: iso3166.Country) -> None:
    numeric = country.numeric.zfill(3)
    for text in (country.alpha2, country.alpha2.lower(), country.alpha3, country.name, numeric):
        assert find_country(text) == country.alpha2
    assert find_country(f"{country.name} ({country.alpha2})") == country.alpha2
    assert find_country(f"{country.alpha2} - {country.name}") == country.alpha2


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_names_in_a_language_are_found(language: str) -> None:
    """A name may be left out if it means another country in another language."""
    names = Locale(language).territories
    results = {c.alpha2: find_country(names[c.alpha2]) for c in iso3166.countries}
    wrong = {code: found for code, found in results.items() if found not in (code, None)}
    missing = [code for code, found in results.items() if found is None]
    assert wrong == {}
    assert len(missing) <= 2, missing


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("UK", "GB"),
        ("GER", "DE"),
        ("EL", "GR"),
        ("GB-ENG", "GB"),
        ("US-CA", "US"),
        ("ZZ-CA", None),
        ("🇩🇪", "DE"),
        ("🇩🇪 Germany", "DE"),
        ("England", "GB"),
        ("D", "DE"),
        ("香港", "HK"),
        ("韓國", "KR"),
        ("السعوديه", "SA"),
        ("كويت", "KW"),
        ("دولة قطر", "QA"),
        ("Республика Казахстан", "KZ"),
        ("中国 China", "CN"),
        ("Japan 日本", "JP"),
        ("ES-España", "ES"),
        ("Brasil - BR", "BR"),
        ("Springfield - IL", None),
        ("CA California", None),
        ("日本 USA", None),
        ("U.S.A.", "US"),
        ("united  states", "US"),
        ("The Netherlands", "NL"),
        ("Holland", "NL"),
        ("Cote d’Ivoire", "CI"),
        ("Ivory Coast", "CI"),
        ("Czech Republic", "CZ"),
        ("Swaziland", "SZ"),
        ("Burma", "MM"),
        ("Macedonia", "MK"),
        ("South Korea", "KR"),
        ("North Korea", "KP"),
        ("Congo-Kinshasa", "CD"),
        ("Trinidad & Tobago", "TT"),
        ("West Germany", "DE"),
        ("S. Korea", "KR"),
        ("Taiwan, R.O.C.", "TW"),
        ("Ελλάς", "GR"),
        ("Slovania", None),
        ("Türkei", "TR"),
        ("DIYARBAKIR", None),
        ("Kosovo", "XK"),
        ("ÖSTERREICH", "AT"),
        ("osterreich", "AT"),
        ("L’Italie", "IT"),
        ("Magyarország", "HU"),
        ("Congo", "CG"),
        ("Korea", "KR"),
        ("Guinea", "GN"),
        ("Georgia", "GE"),
        ("Georgia (US)", None),
        ("base.us", None),
        ("Virgin Islands", None),
        ("40", None),
        ("Atlantis", None),
        ("N/A", None),
        ("-", None),
        ("", None),
    ],
)
def test_common_names(text: str, code: str | None) -> None:
    assert find_country(text) == code


def test_a_mistyped_name_has_a_suggestion() -> None:
    assert like_country("Germny") == "DE"
    assert like_country("Xyzzy") is None


@given(st.text(max_size=300))
@settings(max_examples=example_count(100))
def test_any_text_is_resolved_to_a_country_or_none(text: str) -> None:
    code = find_country(text)
    assert code is None or code in iso3166.countries_by_alpha2


@given(st.text(max_size=40))
@example("\u1e9a \u1fef \u2033 \u2057 \u207b \u3164 \ua78b \ufe31 \uffa0")
@settings(max_examples=example_count(200))
def test_folding_a_folded_text_changes_nothing(text: str) -> None:
    assert folded_letters(folded_letters(text)) == folded_letters(text)


@pytest.mark.slow
def test_the_file_is_what_the_tool_writes() -> None:
    names = runpy.run_path(str(Path(__file__).parent.parent / "tools" / "countries.py"))
    assert names["PATH"].read_text(encoding="utf-8") == names["country_lines"]()
