"""Requests that are sent again: what became of their writes, and what to answer.

A write that comes with a key leaves a receipt in its own transaction, so that there is never the
one without the other. A receipt holds what the directory answered: a row, ids, or problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from regulars.directory.bulk import SetResult
from regulars.directory.commands import Receipt, Replay
from regulars.directory.errors import CustomerNotFound, OtherRequest, Refused, Repeated
from regulars.store import Row

KEPT_MS = 24 * 3_600_000


class Receipts:
    """The receipts that a batch names, and those that it makes (`new`), which take the place of
    any of their keys that were made at the moment `before` or earlier."""

    def __init__(self, account_id: int, stored: Sequence[Row]) -> None:
        self._account_id = account_id
        self._known = {_place(row): row for row in stored}
        self._made: dict[tuple[str, str, int], dict[str, Any]] = {}
        self.before = 0

    @property
    def new(self) -> list[Row]:
        return list(self._made.values())

    def find(self, receipt: Receipt) -> Row | None:
        """What is kept of the write, if its request came before and not too long ago."""
        place = (receipt.token_id, receipt.key, receipt.part)
        row = self._made.get(place) or self._known.get(place)
        return row if row and row["created_at"] > receipt.at - KEPT_MS else None

    def note(self, receipt: Receipt, outcome: Any) -> None:
        """Keeps what a write came to: a customer's row, the ids of customers, or a refusal."""
        row = {
            "account_id": self._account_id,
            "token_id": receipt.token_id,
            "key": receipt.key,
            "part": receipt.part,
            "fingerprint": receipt.fingerprint,
            "created_at": receipt.at,
            "customer_id": outcome.get("customer_id") if isinstance(outcome, Mapping) else None,
            "outcome": orjson.dumps(_told(outcome)).decode(),
        }
        self._made[_place(row)] = row
        self.before = max(self.before, receipt.at - KEPT_MS)

    def forget(self, customer_id: int) -> None:
        """Blanks what was noted of a customer who is deleted."""
        for row in self._made.values():
            if row["customer_id"] == customer_id:
                row["outcome"] = None


def _place(row: Row) -> tuple[str, str, int]:
    return row["token_id"], row["key"], row["part"]


def _told(outcome: Any) -> dict[str, Any]:
    if isinstance(outcome, Refused):
        return {"problems": [problem.told() for problem in outcome.problems]}
    if isinstance(outcome, SetResult):
        return {"result": outcome.told()}
    return {"result": outcome}


def replayed(row: Row, receipt: Receipt) -> Replay:
    """The answer to a write that was made before.

    Raises Refused: as the write was refused then; with OtherRequest if the key was another's; or
    with CustomerNotFound if the customer has been deleted since.
    """
    if row["fingerprint"] != receipt.fingerprint:
        raise Refused(OtherRequest())
    if row["outcome"] is None:
        raise Refused(CustomerNotFound([str(row["customer_id"])], ()), replayed=True)
    told = orjson.loads(row["outcome"])
    if "problems" in told:
        raise Refused(*(Repeated(problem) for problem in told["problems"]), replayed=True)
    return Replay(told["result"], row["created_at"])
