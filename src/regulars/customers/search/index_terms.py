"""The terms that index the search document of a customer, and the work of indexing.

The terms are the facets, `notes:WORD`, `a:WORD` for words of addresses, and `w:WORD` for each word
that does not begin a text with its own index. Most names and emails are found by the indexes of the
list's orders, which saves writing a row for each term.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from operator import itemgetter

from regulars.core.fields import names_of
from regulars.customers.search import address_words
from regulars.customers.search.search_document import (
    ADDRESS_COLUMNS,
    LONG_TEXT,
    NOTES,
    SORTED_TEXTS,
    SOURCES_BY_COLUMN,
    TAG_KEYS,
)
from regulars.customers.search.words import (
    WORD_LENGTH,
    as_folded,
    begins_one,
    facet_values,
    has_term,
    terms,
)
from regulars.store import Row
from regulars.store.large_work import LARGE_CHARACTERS

WORD = "w:"

# Texts with an index of their own, by which a word at their beginning is found: these columns, and
# the facets of `TAG_KEYS`.
BEGINNINGS = tuple(field.folded_column for field in SORTED_TEXTS)
_beginnings = itemgetter(*BEGINNINGS)
_BEGINNING_FACETS = tuple(f"\n{key}:" for key in TAG_KEYS)

# No stored text has this character.
_MARK = "\0"

# The columns that determine a customer's terms. `BEGINNINGS` are among them: a word that now begins
# such a text loses its term, even if the words are unchanged.
TERMS_OF = ("words", "notes_words", "facets", address_words.COLUMN, *BEGINNINGS)

# Sources that are not counted as work: a facet states whether there are notes, few names have
# facets, and addresses are counted for their facets.
_UNREAD_SOURCES = {
    "words": (),
    "notes_words": (),
    "facets": (LONG_TEXT, *names_of(SORTED_TEXTS)),
    address_words.COLUMN: ADDRESS_COLUMNS,
}
_read_sources = itemgetter(
    *(
        s
        for name, sources in SOURCES_BY_COLUMN.items()
        for s in sources
        if s not in _UNREAD_SOURCES[name]
    )
)
_derived_columns = itemgetter(*SOURCES_BY_COLUMN)

# The maximum work, as `work_of` counts it, of a command for several customers and of a batch. It
# takes one or two seconds, during which other writers of a SQLite file wait.
MAX_WORK = 1_000_000
MAX_BATCH_WORK = 300_000
# Longer facets or notes are searched by bisection instead of as one text.
_LONG_LENGTH = 4_096


def terms_of(row: Row) -> set[str]:
    """Return the terms of a row with derived columns."""
    words, notes, facets = row["words"], row["notes_words"], row["facets"]
    word_terms = terms(words)
    note_terms: Collection[str] = ()
    if notes:
        note_terms = terms(notes)
        word_terms |= note_terms
    if len(facets) <= _LONG_LENGTH and words.isascii() and notes.isascii():
        text = _marked_beginnings(row)
        result = {WORD + term for term in word_terms if _MARK + term not in text}
    else:
        begins = _beginning_test(row)
        result = {WORD + term for term in word_terms if not as_folded(term) or not begins(term)}
    if notes:
        result |= {NOTES + term for term in note_terms}
    if in_addresses := row[address_words.COLUMN]:
        result.update(address_words.terms_of(in_addresses, facets))
    if facets:
        result.update(facets.split("\n"))
        result.discard("")
    return result


def _beginning_test(row: Row) -> Callable[[str], bool]:
    """Return a function that tests whether a term begins a text with its own index: a name, the
    email or a tag."""
    if len(row["facets"]) > _LONG_LENGTH:
        return partial(begins_one, sorted(_indexed_texts(row)))
    text = _marked_beginnings(row)
    return lambda term: _MARK + term in text


def _marked_beginnings(row: Row) -> str:
    """Return the texts of a row that have an index of their own, each after a mark, with its other
    facets."""
    facets = row["facets"]
    for prefix in _BEGINNING_FACETS:
        facets = facets.replace(prefix, _MARK)
    return f"{_MARK}{_MARK.join(_beginnings(row))}{facets}"


def _indexed_texts(row: Row) -> set[str]:
    """Return the texts of a row that have an index of their own."""
    return {row[name] for name in BEGINNINGS}.union(facet_values(row["facets"], TAG_KEYS))


def changed_terms(before: Row | None, after: Row | None) -> tuple[set[str], set[str]]:
    """Return the terms that a row gains and loses; None is a missing row. Long notes that are
    unchanged are not indexed again."""
    if before is None or after is None:
        return terms_of(after) if after else set(), terms_of(before) if before else set()
    notes = after["notes_words"]
    if before["notes_words"] != notes or len(notes) <= _LONG_LENGTH:
        new_terms, old_terms = terms_of(after), terms_of(before)
        return new_terms - old_terms, old_terms - new_terms
    new_terms, old_terms = (terms_of({**row, "notes_words": ""}) for row in (after, before))
    begins_after, begins_before = _beginning_test(after), _beginning_test(before)
    # A word of the notes changes if it begins a text that is new or removed, or if the term changed
    # because of another text.
    candidates = {
        text[:length]
        for text in _indexed_texts(before) ^ _indexed_texts(after)
        for length in range(1, WORD_LENGTH + 1)
    }
    words = {term.removeprefix(WORD) for term in new_terms ^ old_terms if term.startswith(WORD)}
    for term in candidates | words:
        if has_term(notes, term):
            for row_terms, begins in ((new_terms, begins_after), (old_terms, begins_before)):
                if as_folded(term) and begins(term):
                    row_terms.discard(WORD + term)
                else:
                    row_terms.add(WORD + term)
    return new_terms - old_terms, old_terms - new_terms


def work_of(before: Row | None, after: Row | None) -> int:
    """Return the work of indexing a change, in characters of the affected derived columns and their
    sources. Text that is not ASCII counts twice, because each character can be a word. The columns
    of a deleted row count twice, because the removal of a term takes longer."""
    if before is None and after is not None:
        derived_columns = _derived_columns(after)
        text = "".join(derived_columns)
        size = len(text) if text.isascii() else sum(map(size_of, derived_columns))
        return len("".join(filter(None, _read_sources(after)))) + size
    if before is None or after is None:
        return 2 * sum(map(size_of, _derived_columns(before))) if before else 0
    work = 0
    for name, sources in SOURCES_BY_COLUMN.items():
        if any(before[source] != after[source] for source in sources):
            raw = [
                len(after[source] or "")
                for source in sources
                if source not in _UNREAD_SOURCES[name]
            ]
            work += size_of(before[name]) + size_of(after[name]) + sum(raw)
    return work


def has_much_text(row: Row) -> bool:
    """Return whether indexing a new customer takes some milliseconds."""
    return sum(map(len, _derived_columns(row))) > LARGE_CHARACTERS


def size_of(text: str) -> int:
    """Return the work of indexing words: their characters."""
    return len(text) if text.isascii() else 2 * len(text)
