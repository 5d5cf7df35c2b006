"""The rules of adding tags to many customers, of removing and of renaming them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from regulars.core.errors import (
    CustomerNotFound,
    InputPath,
    InvalidInput,
    Problem,
    Rejected,
    TooMuchWork,
)
from regulars.customers.bulk import ChangeTags
from regulars.customers.commands import Reference
from regulars.customers.rules import version_conflicts
from regulars.customers.search import index_terms
from regulars.customers.search.search_document import TAG_KEYS, make_facet
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import MAX_TAGS, clean_tags, with_values
from regulars.store import Row

(TAG_KEY,) = TAG_KEYS


class TagRenaming(NamedTuple):
    """Replaces tags by `new_name`: those that the index has under one of the `terms`."""

    terms: frozenset[str]
    new_name: str

    def apply(self, tags: Sequence[str]) -> list[str]:
        """Return tags with the new name in the place of each that it replaces, once. The new name
        also replaces its other spellings next to a tag that it replaces."""
        terms = [tag_term(tag) for tag in tags]
        if self.terms.isdisjoint(terms):
            return list(tags)
        replaced = self.terms | {tag_term(self.new_name)}
        names = [
            self.new_name if term in replaced else tag
            for tag, term in zip(tags, terms, strict=True)
        ]
        return list(dict.fromkeys(names))


def tag_term(tag: str) -> str:
    """Return the term of a tag in the index. Tags that differ only in case or accents have one."""
    return make_facet(TAG_KEY, tag)


def clean_tag(text: str, path: InputPath) -> tuple[str, list[Problem]]:
    """Return the tag in an input, and its problems. A tag must have visible characters."""
    tags, problems = clean_tags([text], path)
    if not problems and (not tags or tag_term(tags[0]) == f"{TAG_KEY}:"):
        message = f"`{path[0]}` has an empty tag. Pass a tag with visible characters."
        problems = [InvalidInput(message, path)]
    return tags[0] if tags else "", problems


def change_tags(unit: CustomerUnitOfWork, command: ChangeTags) -> list[int]:
    """Add and remove tags, and return the `_id`s of the customers in the order of the command.
    Raises Rejected."""
    missing = [r.id_text for r in command.customers if unit.find(r) is None]
    if missing:
        raise Rejected(CustomerNotFound(missing, ("items",)), *command.problems)
    conflicts = version_conflicts(unit, command.customers, command.version)
    if conflicts or command.problems:
        raise Rejected(*conflicts, *command.problems)
    problems: list[Problem] = []
    updates: list[tuple[Row, Row]] = []
    work = 0
    references: dict[int, tuple[Reference, Row]] = {}
    for reference in command.customers:
        row = unit.find(reference)
        assert row is not None
        references.setdefault(row["customer_id"], (reference, row))
    for reference, row in references.values():
        new_tags: list[Any] = orjson.loads(row["tags"])
        new_tags = [
            tag for tag in dict.fromkeys([*new_tags, *command.add]) if tag not in command.remove
        ]
        if len(new_tags) > MAX_TAGS:
            message = (
                f"The customer `{reference.id_text[:50]}` would have {len(new_tags):,} tags; the "
                f"maximum is {MAX_TAGS}."
            )
            problems.append(InvalidInput(message, ("tags",)))
        updated, _ = with_values(row, {"tags": new_tags}, ())
        work += index_terms.work_of(row, updated)
        if work > index_terms.MAX_WORK and updates:
            raise Rejected(TooMuchWork())
        updates.append((row, updated))
    if problems:
        raise Rejected(*problems)
    for row, updated in updates:
        unit.save(row, updated, command)
    rows = map(unit.find, command.customers)
    return [row["customer_id"] for row in rows if row is not None]
