"""Orders, leads and visits in the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from regulars.api.context import Context
from regulars.api.guards import needs, needs_to_write, price_of_write
from regulars.api.part import ApiPart, Node
from regulars.api.related import customers_of, node_loader
from regulars.api.values import external_ids_of, global_id, timestamp_of
from regulars.api.writing import mutation
from regulars.core.commands import IdempotencyRecord
from regulars.core.errors import Problem
from regulars.core.external_ids import clean_one
from regulars.core.money import amounts
from regulars.core.scopes import ORDERS, READ
from regulars.customers import custom
from regulars.customers.commands import reference_to
from regulars.customers.graphql.bulk import WRITTEN
from regulars.customers.identifiers import Identifier, read_identifier
from regulars.directory.directory import Directory
from regulars.graphql import PerRow, Related, Root, SameRow, TypeBinding, Value
from regulars.orders.commands import RecordLead, RecordOrder, RecordVisit
from regulars.orders.shop_input import clean_lead, clean_order, clean_order_details


def _order_command(
    env: Context, arguments: dict[str, Any], idempotency_record: IdempotencyRecord | None
) -> RecordOrder:
    node, customer, problems = _identified(arguments["node"])
    given = node.pop("external_id", None)
    external_id = None
    if given is not None:
        external_id, id_problems = clean_one(given, ("node", "external_id"))
        problems += id_problems
    values, person, order_problems = clean_order(node, ("node",))
    return RecordOrder(
        values,
        person,
        env.now,
        [*order_problems, *problems],
        idempotency_record,
        env.origin,
        details=clean_order_details(node),
        customer=customer,
        external_id=external_id,
    )


def _lead_command(
    env: Context, arguments: dict[str, Any], idempotency_record: IdempotencyRecord | None
) -> RecordLead:
    node, customer, problems = _identified(arguments["node"])
    if customer is not None and not node["email"].strip():
        del node["email"]
    values, person, lead_problems = clean_lead(node, ("node",))
    problems = [*lead_problems, *problems]
    return RecordLead(values, person, env.now, problems, idempotency_record, env.origin, customer)


def _identified(
    node: Mapping[str, Any],
) -> tuple[dict[str, Any], Identifier | None, list[Problem]]:
    """Returns an input without the identifier of its customer, the identifier, and problems."""
    others = dict(node)
    customer, problems = read_identifier(others.pop("customer", None), ("node", "customer"))
    return others, customer, problems


def _visit_command(
    env: Context, arguments: dict[str, Any], idempotency_record: IdempotencyRecord | None
) -> RecordVisit:
    return RecordVisit(reference_to(arguments["id"]), env.now, idempotency_record, env.origin)


record_order = mutation(_order_command)
record_lead = mutation(_lead_command)
record_visit = mutation(_visit_command)

ORDER_SUMMARY = TypeBinding({"order": SameRow(), "referrer": Value(("referrer",))})

ORDER = TypeBinding(
    {
        "id": global_id("Order", "order_id"),
        "_id": Value(("order_id",)),
        "name": Value(("name",)),
        "email": Value(("email",)),
        "total": Value(("total",), amounts),
        "refunded_amount": Value(("refunded_amount",), amounts),
        "net_payment": Value(("net_payment",), amounts),
        "currency": Value(("currency",)),
        "financial_status": Value(("financial_status",)),
        "fulfillment_status": Value(("fulfillment_status",)),
        "customer": Related("customer_id", customers_of),
        "external_ids": external_ids_of("external_ids"),
        "tags": Value(("tags",), PerRow(orjson.loads), can_be_large=True),
        "test": Value(("test",), PerRow(bool)),
        "cancelled_at": timestamp_of("cancelled_at"),
        "created_at": timestamp_of("created_at"),
        "updated_at": timestamp_of("updated_at"),
    }
)

LEAD = TypeBinding(
    {
        "id": global_id("Lead", "lead_id"),
        "_id": Value(("lead_id",)),
        "subject": Value(("subject",), can_be_large=True),
        "message": Value(("message",), can_be_large=True),
        "custom": Value(("custom",), PerRow(custom.load), can_be_large=True),
        "created_at": timestamp_of("created_at"),
    }
)


def _roots(_page_size: int) -> Mapping[str, Root]:
    return {
        "recordOrder": Root(
            record_order, needs_to_write(ORDERS, "order_id", "name"), price_of_write
        ),
        "recordLead": Root(record_lead, needs(ORDERS), price_of_write),
        "recordVisit": Root(
            record_visit,
            needs_to_write(ORDERS, *WRITTEN, "visits"),
            price_of_write,
        ),
    }


API = ApiPart(
    {"OrderSummary": ORDER_SUMMARY, "Order": ORDER, "Lead": LEAD},
    _roots,
    {
        "Order": Node(READ, node_loader(Directory.order)),
        "Lead": Node(READ, node_loader(Directory.lead)),
    },
)
