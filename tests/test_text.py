"""Text and emails: laws that hold for any of them."""

from __future__ import annotations

import unicodedata

import email_validator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.core.text import clean, fold, folded
from regulars.customers.emails import clean_email
from regulars.customers.search.words import lines, terms
from tests.support import examples

LOCAL = st.from_regex(r"[A-Za-z0-9._+-]{1,70}", fullmatch=True)
DOMAIN = st.from_regex(r"[A-Za-z0-9-]{1,12}(\.[A-Za-z0-9-]{1,12}){0,3}", fullmatch=True)


@settings(max_examples=examples(400), deadline=None)
@given(st.builds("{}@{}".format, LOCAL, DOMAIN) | st.emails())
def test_an_email_is_what_the_library_says(text: str) -> None:
    shown, key, wrong = clean_email(text)
    try:
        parsed = email_validator.validate_email(text, check_deliverability=False)
    except email_validator.EmailNotValidError:
        assert wrong
        return
    assert wrong is None or len(text) > 254
    if wrong is None:
        assert key == parsed.normalized.casefold()
        local, _, domain = text.rpartition("@")
        assert shown == f"{local}@{domain.lower()}"


@given(st.text(max_size=100))
def test_clean_text_stays_as_it_is(text: str) -> None:
    kept, wrong = clean(text, 1_000)
    assert clean(kept, 1_000) == (kept, None)
    assert not (wrong and kept)
    assert kept == kept.strip()
    assert unicodedata.is_normalized("NFC", kept)


@given(st.text(max_size=100))
def test_the_folded_form_is_the_contract_s(text: str) -> None:
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    assert fold(text) == bare.casefold()[:640]


def test_names_that_differ_in_case_and_accents_stand_together() -> None:
    assert len({fold(name) for name in ("ana", "Ana", "ANA", "Ána", "A\u0301na", "ａｎａ")}) == 1
    assert fold("Straße") == fold("STRASSE")


@given(st.text(max_size=60), st.text(max_size=60), st.booleans())
def test_every_text_has_words_and_terms(text: str, other: str, folded_already: bool) -> None:
    found = lines([fold(text) if folded_already else text, other])
    assert found.count("\n") >= 1
    assert all(term and " " not in term for term in terms(found))


@pytest.mark.parametrize("tag", ["!", "-", "€", "", " ", "—", "\u200b"])
@pytest.mark.parametrize("name", ["Иван", "Søren", "山田"])
def test_a_tag_without_letters_has_no_words(name: str, tag: str) -> None:
    assert terms(lines([name, tag])) == terms(lines([name]))


def test_marks_are_refused_before_they_are_normalised() -> None:
    """Sorting this run of marks takes a minute; the test would not end in time."""
    marks = "a" + "\u0301\u0316" * 1_000_000
    for most in (255, 65_535, 10_000_000):
        assert clean(marks, most)[0] == ""
        assert clean(marks, most)[1]
    assert "31" not in (clean("a" + "\u0301" * 30, 255)[1] or "")
    assert clean("a" + "\u0316" * 30, 255)[1] is None
    assert "30 combining marks" in (clean("a" + "\u0316" * 31, 255)[1] or "")
    assert fold(marks) == "a"
    assert folded("x" + "\u0316" * 1_000_000 + "y") == "xy"


def test_a_decomposed_text_of_the_greatest_length_is_stored() -> None:
    for composed in ("\u1f82", "\ud55c", "ệ"):
        whole = composed * 255
        decomposed = unicodedata.normalize("NFD", whole)
        assert clean(decomposed, 255) == (whole, None)
        assert "at most 255" in (clean(decomposed + "x", 255)[1] or "")


def test_a_lone_surrogate_is_refused() -> None:
    assert "surrogate" in (clean("a\ud800b", 255)[1] or "")
