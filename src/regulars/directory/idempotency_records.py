"""Requests that are sent again: what became of their writes, and what to answer.

A write that comes with a key leaves a receipt in its own transaction, so that there is never the
one without the other. A receipt holds what the directory answered: a row, ids, or problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from regulars.directory.bulk import SetResult
from regulars.directory.commands import IdempotencyRecord, Replay
from regulars.directory.errors import CustomerNotFound, OtherRequest, Refused, Repeated
from regulars.store import Row, UnitOfWork
from regulars.store.tables import receipts
from regulars.store.writes import REPLACE_RECEIPTS

KEPT_MS = 24 * 3_600_000


def find(unit: UnitOfWork, receipt: IdempotencyRecord) -> Row | None:
    """What is stored of the write, if its request came before and not too long ago."""
    row = unit.rows[receipts].get((receipt.token_id, receipt.key, receipt.part))
    return row if row and row["created_at"] > receipt.at - KEPT_MS else None


def record(unit: UnitOfWork, receipt: IdempotencyRecord, outcome: Any) -> None:
    """Stores what a write came to: a customer's row, the ids of customers, or a refusal. It
    replaces what is stored of the key for longer than a day."""
    before = receipt.at - KEPT_MS
    unit.run(REPLACE_RECEIPTS, replaced_keys=[receipt.key], replaced_before=before)
    rows = unit.rows[receipts]
    rows.assume_deleted((receipt.token_id, receipt.key, receipt.part))
    rows.put(
        {
            "account_id": unit.account_id,
            "token_id": receipt.token_id,
            "key": receipt.key,
            "part": receipt.part,
            "fingerprint": receipt.fingerprint,
            "created_at": receipt.at,
            "customer_id": outcome.get("customer_id") if isinstance(outcome, Mapping) else None,
            "outcome": orjson.dumps(_told(outcome)).decode(),
        }
    )


def _told(outcome: Any) -> dict[str, Any]:
    if isinstance(outcome, Refused):
        return {"problems": [problem.told() for problem in outcome.problems]}
    if isinstance(outcome, SetResult):
        return {"result": outcome.told()}
    return {"result": outcome}


def replayed(row: Row, receipt: IdempotencyRecord) -> Replay:
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
