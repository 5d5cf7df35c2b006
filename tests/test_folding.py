"""Folded text and words: computed word by word and by the fast ways, they are the same."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.core import text as text_module
from regulars.core.text import folded_letters
from regulars.customers.search import words
from tests.support import example_count

TEXT = st.lists(
    st.sampled_from(["\n", " ", "`", "a", "É", "Σ", "ς", "İ", "ß", "ﬁ", "ł", "’", "山", "가", "ー"])
    | st.sampled_from(["\u0301", "\u200b", "\u00ad", "\u00a0", "\u2028", "\u3316", "\ufdfa", "😀"])
    | st.sampled_from(["\u0301" * 40, "\ufdfa " * 60, "x" * 70, "é" * 70, "rue", "123", "-"])
    | st.characters(codec="utf-8"),
    max_size=30,
).map("".join)


@given(TEXT)
@settings(max_examples=example_count(500))
def test_a_text_is_folded_word_by_word_as_at_once(text: str) -> None:
    if not text.isascii():
        assert folded_letters(text) == text_module._folded_at_once(text)


def test_the_characters_with_a_long_decomposition_are_all_known() -> None:
    every = map(chr, range(sys.maxunicode + 1))
    lengths = {c: len(unicodedata.normalize("NFKD", c)) for c in every}
    long_forms = {c for c, length in lengths.items() if length > text_module._MOST_DECOMPOSED}
    assert {c for c in long_forms if text_module._LONG_FORMS.search(c)} == long_forms
    longest = max(lengths.values())
    limit = text_module._NEVER_CUT
    assert longest * limit <= text_module._MOST_DECOMPOSED * limit + text_module.FOLDED_LENGTH


@given(st.lists(TEXT.map(lambda text: text.replace("\n", " ")), min_size=1, max_size=4))
@settings(max_examples=example_count(500))
def test_the_words_of_texts_are_those_of_the_expression(texts: list[str]) -> None:
    if "\n".join(texts).isascii():
        return
    folded = unicodedata.normalize("NFC", folded_letters("\n".join(texts))).split("\n")
    found = [[word[: words.WORD_LENGTH] for word in words._WORD.findall(line)] for line in folded]
    assert words.lines(texts) == "\n".join(f" {' '.join(line)} " for line in found)


@pytest.mark.parametrize(
    ("texts", "stored"),
    [
        (["Ana-Łucja", "Rue de l’Été"], " ana lucja \n rue de l ete "),
        (["Ána", "-"], " ana \n  "),
        (["Ana", "-"], " ana \n "),
        (["é" * 70], " " + "e" * 64 + " "),
    ],
)
def test_latin_letters_with_accents_are_stored_without_them(texts: list[str], stored: str) -> None:
    assert words.lines(texts) == stored
