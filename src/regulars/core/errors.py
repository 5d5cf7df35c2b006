"""The errors that a caller can handle, and the problems that a rejected command or query has.

RegularsError                the base of all: StoreError, AccountError, TransferError, HTTPError, …
└── Rejected                 has one Problem or more
Problem
├── InvalidInput             errors_invalid_input
│   └── MissingEmail         the same, unless the account needs no email
├── LastIdentifier           errors_last_identifier
├── DuplicateEmail           errors_dup_email
│   └── EarlyEvent           never seen: an earlier event is under way
├── DuplicateExternalId      errors_dup_external_id
├── Ambiguous                errors_ambiguous
├── CustomerNotFound         errors_customer_not_found
├── AddressNotFound          addresses_not_found
├── VersionConflict          errors_version_conflict
├── DuplicateRow             errors_dup_row
├── OtherRows                errors_other_rows
├── Stopped                  errors_import_stopped
├── RowFailed                errors_internal
├── OtherRequest             errors_idempotency_key
├── MissingScope             errors_scope
├── Repeated                 any of them, when its request is sent again
├── InvalidQuery             errors_invalid_query
├── InvalidCursor            errors_invalid_cursor
└── InvalidPageSize          errors_page_size
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

log = logging.getLogger("regulars")

InputPath = tuple[str | int, ...]


class RegularsError(Exception):
    """The base of all errors that a caller can handle. The message states the problem and the fix.
    Nothing was changed."""


class Problem:
    """A problem of a request: a `key` for programs, a `message` for people, and `input_path`, the
    path of the wrong value in the input (empty if no value is wrong)."""

    key: str

    def __init__(self, message: str, input_path: InputPath = ()) -> None:
        self.message = message
        self.input_path = input_path

    @property
    def extensions(self) -> Mapping[str, Any]:
        """Details for programs, in addition to the key."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """Return the problem as a JSON object."""
        return {
            "key": self.key,
            "message": self.message,
            "input_path": list(self.input_path),
            "extensions": dict(self.extensions),
        }


class Rejected(RegularsError):
    """A command or a query is rejected because of one or more problems. `replayed` is true if the
    first attempt of the same request was rejected."""

    def __init__(self, *problems: Problem, replayed: bool = False) -> None:
        super().__init__("; ".join(problem.key for problem in problems))
        self.problems = problems
        self.replayed = replayed


class InvalidInput(Problem):
    """A value has the wrong type or cannot be stored."""

    key = "errors_invalid_input"


class MissingEmail(InvalidInput):
    """The input has no email, and the account may need one."""


class LastIdentifier(Problem):
    """The write removes the last identification of a customer. `needed` names those that the
    account accepts."""

    key = "errors_last_identifier"

    def __init__(self, needed: str, input_path: InputPath) -> None:
        super().__init__(
            f"This customer needs {needed}. Add one before you remove the last.", input_path
        )


class TooMuchWork(InvalidInput):
    """A write would change more of the search index than one request may."""

    def __init__(self) -> None:
        super().__init__(
            "The search index of these customers is too large to be changed in one request. "
            "Send fewer customers."
        )


def is_too_much(rejection: Rejected) -> bool:
    """Return whether a write was refused because it changes too many customers at once."""
    return any(isinstance(problem, TooMuchWork) for problem in rejection.problems)


class DuplicateEmail(Problem):
    """Another customer of the account has the email. `holder` is its global id."""

    key = "errors_dup_email"

    def __init__(self, input_path: InputPath, holder: str | None = None) -> None:
        super().__init__(
            "Another customer has this email. Use a different email, or update that customer.",
            input_path,
        )
        self._details = {"customer_id": holder} if holder else {}

    @property
    def extensions(self) -> Mapping[str, Any]:
        return self._details


class DuplicateExternalId(Problem):
    """Another customer or order of the account has the external id. `holder` is its global id."""

    key = "errors_dup_external_id"

    def __init__(
        self, external_id: str, holder: str, input_path: InputPath, noun: str = "customer"
    ) -> None:
        super().__init__(
            f"Another {noun} has the external id `{external_id[:100]}`. Remove it there first, or "
            f"update that {noun}.",
            input_path,
        )
        self._details = {f"{noun}_id": holder}

    @property
    def extensions(self) -> Mapping[str, Any]:
        return self._details


class Ambiguous(Problem):
    """The identifiers of one customer belong to several. `ids` are their global ids, at most 10."""

    key = "errors_ambiguous"

    def __init__(self, message: str, ids: Iterable[str], input_path: InputPath) -> None:
        super().__init__(message, input_path)
        self._ids = list(ids)[:10]

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"ids": self._ids}


class EarlyEvent(DuplicateEmail):
    """An event of another Regulars arrived before one on which it depends: another customer still
    has the email, or the customer is still deleted. The sender is asked to repeat it."""


class CustomerNotFound(Problem):
    """Some ids, or other identifiers such as emails, belong to no customer of the account."""

    key = "errors_customer_not_found"

    def __init__(self, ids: Iterable[str], input_path: InputPath, identifier: str = "id") -> None:
        self._ids = list(ids)
        id_list = ", ".join(id_text[:50] for id_text in self._ids[:10])
        remaining_text = f" and {len(self._ids) - 10} more" if len(self._ids) > 10 else ""
        super().__init__(
            f"No customer has the {identifier} {id_list}{remaining_text}.",
            input_path,
        )

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"ids": self._ids}


class AddressNotFound(Problem):
    """Some ids belong to no address of the account, or of the customer."""

    key = "addresses_not_found"

    def __init__(self, ids: Iterable[str], input_path: InputPath) -> None:
        self._ids = list(ids)
        id_list = ", ".join(f"`{id_text[:50]}`" for id_text in self._ids[:10])
        remaining_text = f" and {len(self._ids) - 10} more" if len(self._ids) > 10 else ""
        message = (
            f"No address has the id {id_list}{remaining_text}. Select `addresses` to see them."
        )
        super().__init__(message, input_path)

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"ids": self._ids}


class VersionConflict(Problem):
    """The customer was changed meanwhile, so its version differs from the one in the request."""

    key = "errors_version_conflict"

    def __init__(
        self,
        id_text: str,
        customer_id: int,
        expected: int,
        version: int,
        input_path: InputPath = ("ifVersion",),
    ) -> None:
        super().__init__(
            f"The customer `{id_text[:50]}` has version {version}, not {expected}: it was "
            "changed in the meantime. Read the customer again and retry.",
            input_path,
        )
        self._extensions = {"id": id_text, "_id": customer_id, "version": version}

    @property
    def extensions(self) -> Mapping[str, Any]:
        return self._extensions


class DuplicateRow(Problem):
    """A second row sets the same customer. `first` is the index of the first row, from 0."""

    key = "errors_dup_row"

    def __init__(self, first: int, input_path: InputPath) -> None:
        super().__init__(
            f"Row {first} already sets this customer. Send one row for each customer.", input_path
        )
        self._first = first

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"row": self._first}


class OtherRows(Problem):
    """The row is valid, but another row is not, and either all rows are saved or none. `bad` is the
    index of the invalid row, from 0."""

    key = "errors_other_rows"

    def __init__(self, bad: int, input_path: InputPath) -> None:
        super().__init__(
            f"Nothing was saved, because row {bad} is rejected. Fix that row, or send "
            "`errorPolicy: REJECT_ROW` to save the valid rows.",
            input_path,
        )
        self._bad = bad

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"row": self._bad}


class Stopped(Problem):
    """The import was cancelled, or another process continues it."""

    key = "errors_import_stopped"

    def __init__(self, import_id: str) -> None:
        super().__init__(
            f"The import {import_id} was cancelled, or another process continues it. Check its "
            "state before you start it again."
        )


class RowFailed(Problem):
    """The server failed at one of several rows."""

    key = "errors_internal"

    def __init__(self, request_id: str | None, input_path: InputPath) -> None:
        super().__init__(
            "The server failed at this row and did not save it. Other rows are not affected. "
            "Report the request id to the operator, who finds the details in the log.",
            input_path,
        )
        self._request_id = request_id

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"request_id": self._request_id}


def failed(error: Exception, request_id: str | None, input_path: InputPath) -> RowFailed:
    """Log an exception of one row, and return the problem for the client.

    The log has the type and the location of the exception, but not its text, which may contain
    values of a customer.
    """
    fields = {"request_id": request_id}
    log.error("row_failed", exc_info=error, extra={"fields": fields})
    return RowFailed(request_id, input_path)


class OtherRequest(Problem):
    """The idempotency key was used for a different request."""

    key = "errors_idempotency_key"

    def __init__(self) -> None:
        super().__init__(
            "This `Idempotency-Key` was used for a different request in the last 24 hours. Use "
            "a new key for each request, and the same key only to repeat a request unchanged."
        )


class MissingScope(Problem):
    """The token lacks a required scope."""

    key = "errors_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"The token lacks the scope `{scope}`. Use a token with this scope, or create one "
            f"with `regulars token create --scope {scope}`."
        )


class Repeated(Problem):
    """A stored problem of the first attempt of a request."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(problem["message"], tuple(problem["input_path"]))
        self.key = problem["key"]
        self._extensions = problem["extensions"]

    @property
    def extensions(self) -> Mapping[str, Any]:
        return dict(self._extensions)


class InvalidQuery(Problem):
    """A search query is invalid. `position` is the index of the wrong character, from 0. `expected`
    describes in a few words what is valid there."""

    key = "errors_invalid_query"

    def __init__(
        self, message: str, position: int, expected: str, suggestion: str | None = None
    ) -> None:
        hint = f" Did you mean `{suggestion}`?" if suggestion else ""
        super().__init__(f"{message}{hint}", ("query",))
        self._position = position
        self._expected = expected
        self._suggestion = suggestion

    @property
    def extensions(self) -> Mapping[str, Any]:
        result: dict[str, Any] = {"position": self._position, "expected": self._expected}
        if self._suggestion:
            result["suggestion"] = self._suggestion
        return result

    def at(self, input_path: InputPath) -> InvalidQuery:
        """Return the problem of the same query at another path of the input."""
        moved = copy(self)
        moved.input_path = input_path
        return moved


class InvalidCursor(Problem):
    """The cursor is invalid, or belongs to a list in another order."""

    key = "errors_invalid_cursor"

    def __init__(self, argument: str, message: str) -> None:
        super().__init__(message, (argument,))


class InvalidPageSize(Problem):
    """The size of a page is negative or too large, or `first` and `last` are combined."""

    key = "errors_page_size"
