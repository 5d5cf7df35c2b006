"""Idempotency records: the outcomes of writes, by which a repeated request gets the first response.

A write with a key stores its record in its own transaction, so that neither exists without the
other. A record has the result of the write (a row, ids) or its problems.
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

RETENTION_MS = 24 * 3_600_000


def find(unit: UnitOfWork, idempotency_record: IdempotencyRecord) -> Row | None:
    """Returns the stored record of a write, if there is one of the last 24 hours."""
    row = unit.rows[idempotency_records].get(
        (idempotency_record.token_id, idempotency_record.key, idempotency_record.part)
    )
    return row if row and row["created_at"] > idempotency_record.at - RETENTION_MS else None


def record(unit: UnitOfWork, idempotency_record: IdempotencyRecord, outcome: Any) -> None:
    """Stores the outcome of a write: a customer's row, ids of customers, or Rejected. Replaces
    records of the same key that are older than 24 hours."""
    before = idempotency_record.at - RETENTION_MS
    unit.run(
        REPLACE_IDEMPOTENCY_RECORDS,
        replaced_tokens=[idempotency_record.token_id],
        replaced_keys=[idempotency_record.key],
        replaced_before=before,
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
    """Returns the stored result of a repeated write.

    Raises Rejected: with the stored problems; with OtherRequest if the key belongs to another
    request; with CustomerNotFound if the customer has been deleted since.
    """
    if row["fingerprint"] != idempotency_record.fingerprint:
        raise Rejected(OtherRequest())
    if row["outcome"] is None:
        raise Rejected(CustomerNotFound([str(row["customer_id"])], ()), replayed=True)
    outcome = orjson.loads(row["outcome"])
    if "problems" in outcome:
        raise Rejected(*(Repeated(problem) for problem in outcome["problems"]), replayed=True)
    return Replay(outcome["result"], row["created_at"])
