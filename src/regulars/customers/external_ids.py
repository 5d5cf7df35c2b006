"""The rules of the external ids of customers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from regulars.core.errors import Ambiguous, DuplicateExternalId, InputPath, InvalidInput, Problem
from regulars.core.external_ids import MAX_IDS, ExternalId, too_many
from regulars.core.ids import encoder
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.orders.shop_ids import CUSTOMER

global_ids = encoder(CUSTOMER)
# The most customers that are named for an ambiguous identifier.
MAX_AMBIGUOUS = 10


def ambiguous_phone(phone: str, numbers: Sequence[int], path: InputPath) -> Ambiguous:
    """Return the problem of a phone that several customers have: the first ten of them, and one
    more if there are."""
    count = f"{len(numbers)}" if len(numbers) <= MAX_AMBIGUOUS else f"more than {MAX_AMBIGUOUS}"
    message = f"The phone `{phone[:64]}` belongs to {count} customers. Identify the customer by id."
    return Ambiguous(message, global_ids(numbers), path)


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
