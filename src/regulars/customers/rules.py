"""The rules of creating, updating and deleting customers."""

from __future__ import annotations

from collections.abc import Sequence

from regulars.core.errors import (
    CustomerNotFound,
    InvalidInput,
    Problem,
    Rejected,
    TooMuchWork,
    VersionConflict,
)
from regulars.core.external_ids import load
from regulars.customers import history
from regulars.customers.address_book import BOOK
from regulars.customers.commands import (
    NO_ACTIVITY,
    Activity,
    ChangeExternalIds,
    CreateCustomer,
    DeleteCustomers,
    Reference,
    UpdateCustomer,
    has_lists,
)
from regulars.customers.contact_rules import book_problems, contact_problems
from regulars.customers.external_ids import surplus_ids, taken_ids
from regulars.customers.identification import (
    changed_problems,
    last_identifier,
    new_problems,
)
from regulars.customers.search import index_terms
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import new_row, with_values
from regulars.orders.spend import with_order
from regulars.orders.values import is_counted, order_row
from regulars.store import Row
from regulars.store.moving import DELETION_WORK
from regulars.store.tables import leads, orders
from regulars.trash.moving import delete_customers


def create(unit: CustomerUnitOfWork, command: CreateCustomer) -> Row:
    """Return the row of the new customer. Raises Rejected."""
    row, country = command.row, unit.default_country
    if country and any(has_lists(command.values)):
        # Two phones of the list may be the same number of the country.
        row, _ = with_values(new_row(command.at), command.values, ("node",), country)
    problems = new_problems(unit, command.problems, row, command.values, ("node",))
    problems += contact_problems(unit, command.values, None, ("node",))
    problems += book_problems(unit, None, row, ("node", BOOK))
    problems += taken_ids(unit, command.values.get("external_ids") or (), None, ("node",))
    existing_names = [o.name for o in command.activity.orders if unit.order(o.name)]
    if existing_names:
        message = f"An order named {existing_names[0]} already exists. Use another name."
        problems.append(InvalidInput(message, ("orders",)))
    if problems:
        raise Rejected(*problems)
    new_customer = _with_activity(unit, unit.as_new(row), command.activity)
    new_customer = unit.put_customer(new_customer)
    unit.record(history.CREATED, new_customer["customer_id"], command)
    return new_customer


def _with_activity(unit: CustomerUnitOfWork, customer: Row, activity: Activity) -> Row:
    """Return a customer's row with its activity, and add its orders and leads."""
    if activity is NO_ACTIVITY:
        return customer
    customer = {**customer, "visits": customer["visits"] + activity.visits}
    for order in activity.orders:
        row = order_row(unit.account_id, unit.next_id("orders"), customer, order)
        unit.rows[orders].put(row)
        customer = with_order(unit, customer, row)
        if is_counted(row):
            timestamp = max(customer["updated_at"], row["updated_at"])
            customer = {**customer, "updated_at": timestamp}
    for lead in activity.leads:
        unit.rows[leads].put(
            {
                "account_id": unit.account_id,
                "lead_id": unit.next_id("leads"),
                "customer_id": customer["customer_id"],
                "subject": lead.subject,
                "message": lead.message,
                "custom": None,
                "created_at": lead.created_at,
            }
        )
    return customer


def update(unit: CustomerUnitOfWork, command: UpdateCustomer) -> Row:
    """Return the row of the updated customer. Raises Rejected."""
    row = unit.find(command.customer)
    if row is None:
        missing = CustomerNotFound([command.customer.id_text], ("id",))
        raise Rejected(missing, *command.problems)
    values, path = command.values, command.path
    updated, value_problems = with_values(row, values, path, unit.default_country)
    problems: list[Problem] = [*version_conflicts(unit, [command.customer], command.version)]
    problems += changed_problems(unit, command.problems, row, updated, values, path)
    problems += contact_problems(unit, values, row["customer_id"], path)
    problems += book_problems(unit, row, updated, (*path, BOOK))
    problems += taken_ids(unit, values.get("external_ids") or (), row["customer_id"], path)
    problems += value_problems
    if problems:
        raise Rejected(*problems)
    return unit.save(row, updated, command)


def delete(unit: CustomerUnitOfWork, command: DeleteCustomers) -> list[int]:
    """Return the `_id`s of the deleted customers, in the order of the command. Raises Rejected."""
    missing = [r.id_text for r in command.customers if unit.find(r) is None]
    if missing:
        raise Rejected(CustomerNotFound(missing, ("items",)))
    conflicts = version_conflicts(unit, command.customers, command.version)
    if conflicts:
        raise Rejected(*conflicts)
    rows = map(unit.find, command.customers)
    ids = [row["customer_id"] for row in rows if row is not None]
    deleted = dict.fromkeys(ids)
    stored = unit.state.rows.get(DELETION_WORK, ())
    further_work = sum(row["work"] for row in stored if row["customer_id"] in deleted)
    work = sum(index_terms.work_of(unit.customer(customer_id), None) for customer_id in deleted)
    if work + further_work > index_terms.MAX_WORK and len(deleted) > 1:
        raise Rejected(TooMuchWork())
    delete_customers(unit, list(deleted), command, command.permanent)
    unit.work += further_work
    return ids


def change_external_ids(unit: CustomerUnitOfWork, command: ChangeExternalIds) -> Row:
    """Add and remove external ids, and return the customer's row. Raises Rejected."""
    row = unit.find(command.customer)
    if row is None:
        raise Rejected(CustomerNotFound([command.customer.id_text], ("id",)), *command.problems)
    problems: list[Problem] = [
        *version_conflicts(unit, [command.customer], command.version),
        *command.problems,
        *taken_ids(unit, command.add, row["customer_id"], (), "externalIds"),
    ]
    ids = tuple(dict.fromkeys([*load(row["external_ids"]), *command.add]))
    ids = tuple(external for external in ids if external not in command.remove)
    problems += surplus_ids(ids, ("externalIds",))
    updated, _ = with_values(row, {"external_ids": ids}, ())
    problems += last_identifier(unit, row, updated, (), "externalIds")
    if problems:
        raise Rejected(*problems)
    return unit.save(row, updated, command)


def version_conflicts(
    unit: CustomerUnitOfWork, customers: Sequence[Reference], version: int | None
) -> list[VersionConflict]:
    """Return the problems of customers that do not have the expected version."""
    if version is None:
        return []
    rows = [(reference.id_text, unit.find(reference)) for reference in customers]
    return [
        VersionConflict(id_text, row["customer_id"], version, row["version"])
        for id_text, row in rows
        if row is not None and row["version"] != version
    ]
