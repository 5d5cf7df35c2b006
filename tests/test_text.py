"""Properties of text and emails."""

from __future__ import annotations

import re
import unicodedata

import email_validator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.core.text import clean, fold, folded
from regulars.customers.email_syntax import EmailNotValidError
from regulars.customers.emails import clean_email
from regulars.customers.search.words import lines, terms
from tests.support import example_count

LOCAL = st.from_regex(r"[A-Za-z0-9._+-]{1,70}", fullmatch=True)
DOMAIN = st.from_regex(r"[A-Za-z0-9-]{1,12}(\.[A-Za-z0-9-]{1,12}){0,3}", fullmatch=True)


@pytest.mark.slow
@settings(max_examples=example_count(400), deadline=None)
@given(st.builds("{}@{}".format, LOCAL, DOMAIN) | st.emails())
def test_emails_agree_with_email_validator(text: str) -> None:
    display, key, problem = clean_email(text)
    try:
        parsed = email_validator.validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        assert problem
        return
    assert problem is None or len(text) > 254
    if problem is None:
        assert key == parsed.normalized.casefold()
        local, _, domain = text.rpartition("@")
        assert display == f"{local}@{domain.lower()}"


@given(st.text(max_size=100))
def test_cleaning_is_idempotent(text: str) -> None:
    cleaned, problem = clean(text, 1_000)
    assert clean(cleaned, 1_000) == (cleaned, None)
    assert not (problem and cleaned)
    assert cleaned == cleaned.strip()
    assert unicodedata.is_normalized("NFC", cleaned)


@given(st.text(max_size=100))
def test_folding_follows_the_contract(text: str) -> None:
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    assert fold(text) == bare.casefold()[:640]


def test_folding_ignores_case_and_accents() -> None:
    assert len({fold(name) for name in ("ana", "Ana", "ANA", "Ána", "A\u0301na", "ａｎａ")}) == 1
    assert fold("Straße") == fold("STRASSE")


@given(st.text(max_size=60), st.text(max_size=60), st.booleans())
def test_every_text_has_words_and_terms(text: str, other: str, is_folded: bool) -> None:
    document = lines([fold(text) if is_folded else text, other])
    assert document.count("\n") >= 1
    assert all(term and " " not in term for term in terms(document))


@pytest.mark.parametrize("tag", ["!", "-", "€", "", " ", "—", "\u200b"])
@pytest.mark.parametrize("name", ["Иван", "Søren", "山田"])
def test_a_tag_without_letters_has_no_words(name: str, tag: str) -> None:
    assert terms(lines([name, tag])) == terms(lines([name]))


def test_combining_marks_are_rejected_before_normalization() -> None:
    """Normalizing sorts this run of marks for a minute; the test would time out."""
    marks = "a" + "\u0301\u0316" * 1_000_000
    for max_length in (255, 65_535, 10_000_000):
        assert clean(marks, max_length)[0] == ""
        assert clean(marks, max_length)[1]
    assert "31" not in (clean("a" + "\u0301" * 30, 255)[1] or "")
    assert clean("a" + "\u0316" * 30, 255)[1] is None
    assert "30 combining marks" in (clean("a" + "\u0316" * 31, 255)[1] or "")
    assert fold(marks) == "a"
    assert folded("x" + "\u0316" * 1_000_000 + "y") == "xy"


def test_a_decomposed_text_of_maximum_length_is_accepted() -> None:
    for composed in ("\u1f82", "\ud55c", "ệ"):
        longest = composed * 255
        decomposed = unicodedata.normalize("NFD", longest)
        assert clean(decomposed, 255) == (longest, None)
        assert "the maximum is 255" in (clean(decomposed + "x", 255)[1] or "")


def test_a_lone_surrogate_is_rejected() -> None:
    assert "surrogate" in (clean("a\ud800b", 255)[1] or "")


@settings(max_examples=example_count(200), deadline=None)
@given(st.lists(st.text(st.characters(max_codepoint=127, exclude_characters="\n")), min_size=1))
def test_ascii_words_are_split(texts: list[str]) -> None:
    """The lines of ASCII texts have the words in lower case, cut to 64 characters."""
    words = [re.findall("[a-z0-9]+", text.lower()) for text in texts]
    cut = [[word[:64] for word in words_of_text] for words_of_text in words]
    assert lines(texts) == "\n".join([f" {' '.join(each)} " if each else " " for each in cut])
