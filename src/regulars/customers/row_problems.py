"""The problems of a row of setCustomers or an import."""

from __future__ import annotations

from collections.abc import Mapping

from regulars.core.errors import (
    Ambiguous,
    CustomerNotFound,
    DuplicateExternalId,
    InvalidInput,
    MissingEmail,
    Problem,
    VersionConflict,
)
from regulars.core.external_ids import ExternalId, ExternalIds
from regulars.core.ids import MAX_BROUGHT_ID
from regulars.customers.bulk import SetRow
from regulars.customers.commands import email_keys, has_email
from regulars.customers.contact_rules import contact_problems
from regulars.customers.external_ids import global_ids, surplus_ids
from regulars.customers.field_rules import Values
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.orders.shop_ids import CUSTOMER
from regulars.store import Row

_NO_IDENTIFIER = (
    "No customer matches the row, so none has this version. Send `id`, `_id`, `external_ids` or "
    "`email`, or leave out `if_version`."
)
_NO_EMAIL = "No email. A new customer needs one. To update a customer, send `id`, `_id` or `email`."


def holders(unit: CustomerUnitOfWork, values: Values) -> Mapping[int, ExternalId]:
    """Return the customers who have the external ids in the values of a row."""
    found: dict[int, ExternalId] = {}
    for external in values.get("external_ids") or ():
        number = unit.shop_ids.find(external.id, CUSTOMER, external.source)
        if number is not None:
            found.setdefault(number, external)
    return found


def external_id_problems(
    unit: CustomerUnitOfWork, row: SetRow, stored: Row | None, ids: ExternalIds
) -> list[Problem]:
    """Return the problems of the external ids in a row, and of `ids`, which the customer would then
    have."""
    path = (*row.path, "external_ids")
    problems = surplus_ids(ids, path)
    owners = dict(holders(unit, row.values))
    if stored is not None:
        others = [number for number in owners if number != stored["customer_id"]]
        owners[stored["customer_id"]] = ExternalId("", "")
    else:
        others = list(owners)
    if others and row.mirrored:  # the other customer may lose the id later
        external = owners[others[0]]
        problems.append(DuplicateExternalId(str(external), global_ids(others[:1])[0], path))
    elif others:
        message = (
            f"The identifiers of the row belong to {len(owners)} customers. Send the identifiers "
            "of one customer only."
        )
        problems.append(Ambiguous(message, global_ids(sorted(owners)), path))
    return problems


def version_problems(row: SetRow, stored: Row) -> list[Problem]:
    """Return the problem of a customer that does not have the version of its row."""
    if row.version is None or row.version == stored["version"]:
        return []
    path = (*row.path, "if_version")
    id_text = row.customer.id_text if row.customer else str(stored["customer_id"])
    number, version = stored["customer_id"], stored["version"]
    return [VersionConflict(id_text, number, row.version, version, path)]


def creation_problems(unit: CustomerUnitOfWork, row: SetRow) -> list[Problem]:
    """Return the problems of a row that would create a customer."""
    has_reference = row.customer is not None
    if row.version is not None and not has_reference:
        path = (*row.path, "if_version")
        if ids := row.values.get("external_ids"):
            return [CustomerNotFound(map(str, ids), path, "external id")]
        if not (keys := email_keys(row.values)):
            return [InvalidInput(_NO_IDENTIFIER, path)]
        emails = [row.values.get("email") or min(keys)]
        return [CustomerNotFound(emails, path, "email")]
    if row.take is not None and row.take > MAX_BROUGHT_ID and unit.is_free(row.take):
        message = (
            f"The `_id` {row.take:,} of a new customer is greater than {MAX_BROUGHT_ID:,}, "
            "which would leave few ids for other customers. Remove it, and the customer gets "
            "the next free id."
        )
        return [InvalidInput(message, (*row.path, "_id"))]
    if has_reference and row.mirrored and row.take is not None and not unit.is_free(row.take):
        message = (
            f"The `_id` {row.take} belonged to a customer who was deleted here, and ids are "
            "never reused. Delete the customer on the other server too, or use another account "
            "for the mirror."
        )
        return [InvalidInput(message, (*row.path, "_id"))]
    if row.customer is not None and (row.take is None or not unit.is_free(row.take)):
        return [CustomerNotFound([row.customer.id_text], (*row.path, "id"))]
    if problems := contact_problems(unit, row.values, None, row.path):
        return problems
    if has_email(row.values):
        return []
    if "email" not in row.values and not any(p.input_path[-1:] == ("email",) for p in row.problems):
        return [MissingEmail(row.no_email or _NO_EMAIL, (*row.path, "email"))]
    return []
