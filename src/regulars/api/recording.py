"""The fields of Mutation by which a shop tells of orders, messages and visits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from regulars.api.context import Context
from regulars.api.writing import filled, write
from regulars.directory import ids
from regulars.directory.commands import Receipt, RecordLead, RecordOrder, RecordVisit
from regulars.directory.shop_input import clean_lead, clean_order, order_details
from regulars.graphql import Layouts, Resolve
from regulars.store.large_work import is_large, run_large

Make = Callable[[Context, dict[str, Any], Receipt | None], Any]  # the command


def _recorded(make: Make) -> Callable[[Layouts], Resolve]:
    """The field that does what a command says, of its arguments, and answers the row."""

    def prepare(layouts: Layouts) -> Resolve:
        async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
            async def record(receipt: Receipt | None) -> Any:
                def command() -> Any:
                    return make(env, arguments, receipt)

                cleaned = await run_large(command) if is_large(arguments) else command()
                return await env.directory.write(env.account_id, cleaned)

            return await filled(env, await write(env, record), layouts.only)

        return resolve

    return prepare


def _order(env: Context, arguments: dict[str, Any], receipt: Receipt | None) -> RecordOrder:
    values, person, problems = clean_order(arguments["node"], ("node",))
    details = order_details(arguments["node"])
    return RecordOrder(values, person, env.now, problems, receipt, env.origin, details=details)


def _lead(env: Context, arguments: dict[str, Any], receipt: Receipt | None) -> RecordLead:
    values, person, problems = clean_lead(arguments["node"], ("node",))
    return RecordLead(values, person, env.now, problems, receipt, env.origin)


def _visit(env: Context, arguments: dict[str, Any], receipt: Receipt | None) -> RecordVisit:
    return RecordVisit(ids.customer(arguments["id"]), env.now, receipt, env.origin)


record_order, record_lead, record_visit = map(_recorded, (_order, _lead, _visit))
