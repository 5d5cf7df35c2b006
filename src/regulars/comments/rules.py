"""The rules of comments. A comment leaves the customer as it is: neither `version` nor `updated_at`
changes, so a client that writes the customer meets no conflict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from regulars.comments.commands import AddComment, DeleteComments, Editor, UpdateComment
from regulars.comments.problems import (
    MAX_CHARACTERS,
    MAX_COMMENTS,
    CommentNotFound,
    NotAuthor,
    TooManyCharacters,
    TooManyComments,
)
from regulars.comments.table import COUNTER, comments
from regulars.comments.words import WORDS
from regulars.core.errors import CustomerNotFound, InputPath, InvalidInput, Problem, Rejected
from regulars.core.text import clean
from regulars.customers import history
from regulars.customers.search import index_terms
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.store import Row

# The rows of the state with the numbers of comments.
COUNTS = "comment_counts"
MAX_TEXT = 65_535
# The version of the tables since which customers have comments.
_VERSION = "0023"
_OLD_VERSION = (
    "Comments need the last part of the migration, because servers of an older version would lose "
    "them. Run `regulars migrate --contract` when all servers have this version."
)
# What only the author may change.
_OF_AUTHOR = ("text", "private")


def clean_comment(node: Mapping[str, Any], path: InputPath) -> tuple[dict[str, Any], list[Problem]]:
    """Return the values in the input of a write, and their problems."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in node.items():
        if value is None:
            message = f"`{name}` cannot be null. Omit it to keep the stored value."
            problems.append(InvalidInput(message, (*path, name)))
        elif name == "text":
            values[name], error = clean(value, MAX_TEXT, lines=True)
            if not error and not values[name]:
                error = "is empty. Write at least one character."
            if error:
                problems.append(InvalidInput(f"The comment {error}", (*path, name)))
        else:
            values[name] = int(value) if name == "pinned" else value
    return values, problems


def add(unit: CustomerUnitOfWork, command: AddComment) -> Row:
    """Add a comment, and return its row. Raises Rejected."""
    customer = unit.find(command.customer)
    problems = [*command.problems]
    if "text" not in command.values and not problems:
        problems.append(InvalidInput("A comment needs a `text`. Send it.", ("node", "text")))
    if customer is None:
        missing = CustomerNotFound([command.customer.id_text], ("customer",))
        raise Rejected(missing, *problems)
    if not unit.has_tables(_VERSION):
        problems.append(InvalidInput(_OLD_VERSION, ("node",)))
    count, characters = _totals(unit, customer["customer_id"])
    if count >= MAX_COMMENTS:
        problems.append(TooManyComments())
    problems += _length_problems(characters, command.values.get("text", ""), ("node", "text"))
    if problems:
        raise Rejected(*problems)
    row = {
        "account_id": unit.account_id,
        "comment_id": unit.next_id(COUNTER),
        "customer_id": customer["customer_id"],
        "pinned": 0,
        "private": False,
        **command.values,
        "edited": False,
        "token_id": command.editor.token_id,
        "actor_kind": command.origin.kind,
        "actor": command.origin.name,
        "created_at": command.at,
        "updated_at": command.at,
    }
    _put(unit, row)
    unit.record(history.COMMENTED, row["customer_id"], command)
    return row


def update(unit: CustomerUnitOfWork, command: UpdateComment) -> Row:
    """Change a comment, and return its row. Raises Rejected."""
    (row,) = _find(unit, [(command.id_text, command.comment_id)], ("id",), command.problems)
    updated: Row = {**row, **command.values}
    changed = [name for name in command.values if updated[name] != row[name]]
    problems = list(command.problems)
    if any(name in _OF_AUTHOR for name in changed):
        problems += _author_problems(row, command.editor, ("id",))
    if "text" in changed:
        _, characters = _totals(unit, row["customer_id"])
        others = characters - len(row["text"])
        problems += _length_problems(others, updated["text"], ("node", "text"))
    if problems:
        raise Rejected(*problems)
    if not changed:
        return row
    updated = {
        **updated,
        "edited": row["edited"] or "text" in changed,
        "updated_at": max(command.at, row["updated_at"]),
    }
    if "text" in changed:
        unit.work += index_terms.size_of(row[WORDS.column])
        updated = _put(unit, updated)
    else:
        unit.rows[comments].put(updated)
    unit.record(history.COMMENT_UPDATED, row["customer_id"], command)
    return updated


def delete(unit: CustomerUnitOfWork, command: DeleteComments) -> list[int]:
    """Delete comments, and return their `_id`s in the order of the command. Raises Rejected."""
    rows = _find(unit, command.comments, ("items",))
    by_id = {row["comment_id"]: row for row in rows}
    problems = [
        problem
        for row in by_id.values()
        for problem in _author_problems(row, command.editor, ("items",))
    ]
    if problems:
        raise Rejected(*problems)
    for number, row in by_id.items():
        unit.rows[comments].delete(number)
        unit.record(history.COMMENT_DELETED, row["customer_id"], command)
    return [row["comment_id"] for row in rows]


def _find(
    unit: CustomerUnitOfWork,
    references: Iterable[tuple[str, int | None]],
    path: InputPath,
    problems: Iterable[Problem] = (),
) -> list[Row]:
    """Return the comments of references. Raises Rejected, with further problems of the input."""
    listed = list(references)
    rows = [None if number is None else unit.rows[comments].get(number) for _, number in listed]
    missing = [text for (text, _), row in zip(listed, rows, strict=True) if row is None]
    if missing:
        raise Rejected(CommentNotFound(missing, path), *problems)
    return [row for row in rows if row is not None]


def _author_problems(row: Row, editor: Editor, path: InputPath) -> list[Problem]:
    """Return the problem of a person who may not change a comment."""
    if editor.is_admin or row["token_id"] == editor.token_id:
        return []
    return [NotAuthor(row["actor"], path)]


def _put(unit: CustomerUnitOfWork, row: Row) -> Row:
    """Add or replace a comment with the words of its text, and return it."""
    with_words = WORDS.with_words(row)
    unit.rows[comments].put(with_words)
    unit.work += index_terms.size_of(with_words[WORDS.column])
    return with_words


def _length_problems(others: int, text: str, path: InputPath) -> list[Problem]:
    """Return the problem of a text that is too long besides the characters of other comments."""
    count = others + len(text)
    return [TooManyCharacters(count, path)] if count > MAX_CHARACTERS else []


def _totals(unit: CustomerUnitOfWork, customer_id: int) -> tuple[int, int]:
    """Return how many comments a customer has, and how many characters these have, with the changes
    of the batch."""
    count = characters = 0
    for stored in unit.state.rows.get(COUNTS, ()):
        if stored["customer_id"] == customer_id:
            count, characters = stored["count"], stored["characters"]
    for _, before, row in unit.rows[comments].differences():
        for each, sign in ((before, -1), (row, 1)):
            if each is not None and each["customer_id"] == customer_id:
                count, characters = count + sign, characters + sign * len(each["text"])
    return count, characters
