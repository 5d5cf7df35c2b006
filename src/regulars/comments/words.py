"""The words by which comments are found."""

from __future__ import annotations

from regulars.customers.search.words import lines, terms
from regulars.store.comments import comment_terms
from regulars.store.entity import WordIndex


def words_of(text: str) -> str:
    """Return the words of a comment, as they are stored."""
    return lines([text.replace("\n", " ")])


WORDS = WordIndex(comment_terms, "text", "words", words_of, terms)
