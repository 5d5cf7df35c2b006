"""The rules of the external ids of customers."""

from __future__ import annotations

from collections.abc import Iterable

from regulars.core.errors import DuplicateExternalId, InputPath, InvalidInput, Problem
from regulars.core.external_ids import MAX_IDS, ExternalId, too_many
from regulars.core.ids import encoder
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.orders.shop_ids import CUSTOMER

global_ids = encoder(CUSTOMER)


def taken_ids(
    unit: CustomerUnitOfWork,
    ids: Iterable[ExternalId],
    customer_id: int | None,
    path: InputPath,
    name: str = "external_ids",
) -> list[Problem]:
    """Return a problem for each external id that another customer has."""
    return [
        DuplicateExternalId(str(external), global_ids([holder])[0], (*path, name))
        for external in ids
        if (holder := unit.shop_ids.find(external.id, CUSTOMER, external.source))
        not in (None, customer_id)
    ]


def surplus_ids(ids: tuple[ExternalId, ...], path: InputPath) -> list[Problem]:
    """Return the problem of too many external ids."""
    return [InvalidInput(too_many(len(ids)), path)] if len(ids) > MAX_IDS else []
