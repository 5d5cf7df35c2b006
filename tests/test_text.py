"""Text and emails: laws that hold for any of them."""

from __future__ import annotations

import unicodedata

import email_validator
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.directory.emails import clean_email
from regulars.directory.text import clean, fold

LOCAL = st.from_regex(r"[A-Za-z0-9._+-]{1,70}", fullmatch=True)
DOMAIN = st.from_regex(r"[A-Za-z0-9-]{1,12}(\.[A-Za-z0-9-]{1,12}){0,3}", fullmatch=True)


@settings(max_examples=400, deadline=None)
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
    assert clean(kept, 1_000) == (kept, wrong)
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
