"""The fields of Mutation by which a shop tells of orders, messages and visits."""

from __future__ import annotations

from typing import Any

from regulars.api.context import Context
from regulars.api.writing import mutation
from regulars.directory import ids
from regulars.directory.commands import IdempotencyRecord, RecordLead, RecordOrder, RecordVisit
from regulars.directory.shop_input import clean_lead, clean_order, order_details


def _order(
    env: Context, arguments: dict[str, Any], idempotency_record: IdempotencyRecord | None
) -> RecordOrder:
    values, person, problems = clean_order(arguments["node"], ("node",))
    details = order_details(arguments["node"])
    return RecordOrder(
        values, person, env.now, problems, idempotency_record, env.origin, details=details
    )


def _lead(
    env: Context, arguments: dict[str, Any], idempotency_record: IdempotencyRecord | None
) -> RecordLead:
    values, person, problems = clean_lead(arguments["node"], ("node",))
    return RecordLead(values, person, env.now, problems, idempotency_record, env.origin)


def _visit(
    env: Context, arguments: dict[str, Any], idempotency_record: IdempotencyRecord | None
) -> RecordVisit:
    return RecordVisit(ids.customer(arguments["id"]), env.now, idempotency_record, env.origin)


record_order, record_lead, record_visit = mutation(_order), mutation(_lead), mutation(_visit)
