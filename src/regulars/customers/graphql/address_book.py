"""The fields of Mutation that change the address book of a customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regulars.api.context import Context
from regulars.api.writing import mutation
from regulars.core.commands import IdempotencyRecord
from regulars.core.errors import InvalidInput, Rejected
from regulars.core.ids import encoder, number_of_address
from regulars.customers.address_book_edits import clean_entry
from regulars.customers.commands import (
    AddressReference,
    CreateAddress,
    DeleteAddresses,
    UpdateAddress,
    reference_to,
)
from regulars.customers.graphql.versions import expected_version
from regulars.graphql import Layouts


def _reference(text: str) -> AddressReference:
    return AddressReference(text, number_of_address(text))


def _create(
    env: Context, arguments: dict[str, Any], record: IdempotencyRecord | None
) -> CreateAddress:
    version = expected_version(env, arguments)
    entry, problems = clean_entry(arguments["node"], ("node",))
    customer = reference_to(arguments["customer"])
    return CreateAddress(customer, entry, env.now, problems, version, record, env.origin)


def _update(
    env: Context, arguments: dict[str, Any], record: IdempotencyRecord | None
) -> UpdateAddress:
    version = expected_version(env, arguments)
    entry, problems = clean_entry(arguments["node"], ("node",))
    address = _reference(arguments["id"])
    return UpdateAddress(address, entry, env.now, problems, version, record, env.origin)


def _delete(
    env: Context, arguments: dict[str, Any], record: IdempotencyRecord | None
) -> DeleteAddresses:
    items, max_count = arguments["items"], env.directory.limits.deletes
    if len(items) > max_count:
        message = f"`items` has {len(items):,} ids; the maximum is {max_count:,} in one request."
        raise Rejected(InvalidInput(message, ("items",)))
    return DeleteAddresses(tuple(map(_reference, items)), env.now, record, env.origin)


async def _entry(_env: Context, row: Mapping[str, Any], _layouts: Layouts) -> Any:
    return row


async def _global_ids(_env: Context, numbers: Sequence[int], _layouts: Layouts) -> list[str]:
    return encoder("Address")(numbers)


create_address = mutation(_create, render=_entry)
update_address = mutation(_update, render=_entry)
delete_addresses = mutation(_delete, render=_global_ids)
