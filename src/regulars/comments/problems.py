"""The problems of writing comments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from regulars.core.errors import InputPath, Problem

MAX_COMMENTS = 10_000
# Of all comments of a customer: they are searched, and deleted with the customer.
MAX_CHARACTERS = 1_000_000


class CommentNotFound(Problem):
    """Some ids belong to no comment of the account."""

    key = "comments_not_found"

    def __init__(self, ids: Iterable[str], input_path: InputPath) -> None:
        self._ids = list(ids)
        id_list = ", ".join(f"`{text[:50]}`" for text in self._ids[:10])
        rest = f" and {len(self._ids) - 10} more" if len(self._ids) > 10 else ""
        message = f"No comment has the id {id_list}{rest}. Read the ids with `Customer.comments`."
        super().__init__(message, input_path)

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"ids": self._ids}


class NotAuthor(Problem):
    """Another person wrote the comment."""

    key = "errors_not_author"

    def __init__(self, author: str, input_path: InputPath) -> None:
        super().__init__(
            f'Only its author ("{author[:100]}") or an admin can change this comment. Use '
            "the token that wrote it, or one with the scope `admin`.",
            input_path,
        )


class TooManyComments(Problem):
    """The customer has the maximum number of comments."""

    key = "errors_limit"

    def __init__(self) -> None:
        super().__init__(
            f"This customer has {MAX_COMMENTS:,} comments, the maximum. Delete one first.",
            ("customer",),
        )


class TooManyCharacters(Problem):
    """The comments of the customer would have too many characters."""

    key = "errors_limit"

    def __init__(self, count: int, input_path: InputPath) -> None:
        super().__init__(
            f"The comments of this customer would have {count:,} characters; the maximum is "
            f"{MAX_CHARACTERS:,}. Shorten the text, or delete a comment first.",
            input_path,
        )
