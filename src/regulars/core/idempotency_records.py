"""Requests that are sent again: what became of their writes, and what to answer.

A write with a key stores an idempotency record in its own transaction, so that neither exists
without the other. A record holds what the directory answered: a row, ids, or problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from regulars.core.commands import IdempotencyRecord, Replay, SummarizedResult
from regulars.core.errors import CustomerNotFound, OtherRequest, Rejected, Repeated
from regulars.store import Row, UnitOfWork
from regulars.store.tables import idempotency_records
from regulars.store.writes import REPLACE_IDEMPOTENCY_RECORDS

KEPT_MS = 24 * 3_600_000


def find(unit: UnitOfWork, idempotency_record: IdempotencyRecord) -> Row | None:
    """What is stored of the write, if its request came before and not too long ago."""
    row = unit.rows[idempotency_records].get(
        (idempotency_record.token_id, idempotency_record.key, idempotency_record.part)
    )
    return row if row and row["created_at"] > idempotency_record.at - KEPT_MS else None


def record(unit: UnitOfWork, idempotency_record: IdempotencyRecord, outcome: Any) -> None:
    """Stores what a write came to: a customer's row, the ids of customers, or a refusal. It
    replaces what is stored of the key for longer than a day."""
    before = idempotency_record.at - KEPT_MS
    unit.run(
        REPLACE_IDEMPOTENCY_RECORDS, replaced_keys=[idempotency_record.key], replaced_before=before
    )
    rows = unit.rows[idempotency_records]
    rows.assume_deleted(
        (idempotency_record.token_id, idempotency_record.key, idempotency_record.part)
    )
    rows.put(
        {
            "account_id": unit.account_id,
            "token_id": idempotency_record.token_id,
            "key": idempotency_record.key,
            "part": idempotency_record.part,
            "fingerprint": idempotency_record.fingerprint,
            "created_at": idempotency_record.at,
            "customer_id": outcome.get("customer_id") if isinstance(outcome, Mapping) else None,
            "outcome": orjson.dumps(_to_json(outcome)).decode(),
        }
    )


def _to_json(outcome: Any) -> dict[str, Any]:
    if isinstance(outcome, Rejected):
        return {"problems": [problem.to_json() for problem in outcome.problems]}
    if isinstance(outcome, SummarizedResult):
        return {"result": outcome.to_json()}
    return {"result": outcome}


def replayed(row: Row, idempotency_record: IdempotencyRecord) -> Replay:
    """The answer to a write that was made before.

    Raises Rejected: as the write was refused then; with OtherRequest if the key was another's; or
    with CustomerNotFound if the customer has been deleted since.
    """
    if row["fingerprint"] != idempotency_record.fingerprint:
        raise Rejected(OtherRequest())
    if row["outcome"] is None:
        raise Rejected(CustomerNotFound([str(row["customer_id"])], ()), replayed=True)
    outcome = orjson.loads(row["outcome"])
    if "problems" in outcome:
        raise Rejected(*(Repeated(problem) for problem in outcome["problems"]), replayed=True)
    return Replay(outcome["result"], row["created_at"])
