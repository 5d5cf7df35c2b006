"""Conflicts with other customers and versions: the error has the customer, so that a client need
not read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars.api.context import Context
from regulars.core.dates import iso
from regulars.core.errors import DuplicateEmail, Problem, Rejected, VersionConflict
from regulars.core.scopes import READ
from regulars.store.queries import CUSTOMER_COLUMNS
from regulars.store.relations import LEADS
from regulars.webhooks.payloads import LEAD_COLUMNS, contact_body

# The conflicts of a request that have a customer, and the leads of a customer.
MAX_CUSTOMERS = 10
MAX_LEADS = 25


class _ConflictWithCustomer(Problem):
    """A version conflict with the customer in its extensions."""

    key = VersionConflict.key

    def __init__(self, problem: Problem, customer: Mapping[str, Any]) -> None:
        super().__init__(problem.message, problem.input_path)
        self._extensions = {**problem.extensions, "customer": customer}

    @property
    def extensions(self) -> Mapping[str, Any]:
        return self._extensions


class _WithoutHolder(Problem):
    """A duplicate email without the customer who has it."""

    key = DuplicateEmail.key


def _without_holders(env: Context, rejection: Rejected) -> Rejected:
    """Return a rejection without the customers who have emails, unless the token can read
    customers."""
    if READ in env.scopes or all(p.key != DuplicateEmail.key for p in rejection.problems):
        return rejection
    problems = [
        _WithoutHolder(p.message, p.input_path) if p.key == DuplicateEmail.key else p
        for p in rejection.problems
    ]
    return Rejected(*problems, replayed=rejection.replayed)


async def with_customers(env: Context, rejection: Rejected) -> Rejected:
    """Return a rejection with the customers that the token can read: a duplicate email has the id
    of its holder, and the first `MAX_CUSTOMERS` version conflicts have the present customers in the
    form of a webhook's body."""
    rejection = _without_holders(env, rejection)
    ids = [
        problem.extensions["_id"]
        for problem in rejection.problems
        # A stored refusal of an older version has no `_id`.
        if problem.key == VersionConflict.key and "_id" in problem.extensions
    ]
    ids = list(dict.fromkeys(ids))[:MAX_CUSTOMERS]
    if not ids or READ not in env.scopes:
        return rejection
    customers = await _load(env, ids)
    return Rejected(
        *(
            _ConflictWithCustomer(problem, customers[problem.extensions["_id"]])
            if problem.key == VersionConflict.key and problem.extensions.get("_id") in customers
            else problem
            for problem in rejection.problems
        ),
        replayed=rejection.replayed,
    )


async def _load(env: Context, ids: list[int]) -> dict[int, Mapping[str, Any]]:
    """Return customers by `_id`, without those that were deleted meanwhile."""
    rows = await env.directory.customers(env.account_id, ids, CUSTOMER_COLUMNS)
    leads = await env.directory.rows_of_each(LEADS, env.account_id, ids, LEAD_COLUMNS, MAX_LEADS)
    bodies: dict[int, Mapping[str, Any]] = {}
    for number, row, leads_of in zip(ids, rows, leads, strict=True):
        if row is not None:
            customer = dict(zip(CUSTOMER_COLUMNS, row, strict=True))
            body = contact_body(number, customer, leads_of[::-1])
            updated_at = iso(customer["updated_at"])
            bodies[number] = {**body, "version": customer["version"], "updated_at": updated_at}
    return bodies
