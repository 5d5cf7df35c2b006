"""The identification that a customer needs, by the setting `identify_by` of the account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from regulars.core.account_settings import ANYTHING, EMAIL, EMAIL_OR_PHONE, IDENTIFIERS
from regulars.core.errors import InputPath, InvalidInput, LastIdentifier, MissingEmail, Problem
from regulars.customers.contact_points import KINDS
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import without_missing_email
from regulars.store import Row

_NEEDS = {
    EMAIL: "an email",
    EMAIL_OR_PHONE: "an email or a phone",
    ANYTHING: "a name, an email, a phone or an external id",
}


def needs_no_email(unit: CustomerUnitOfWork) -> bool:
    """Return whether a customer of the account can exist without an email."""
    return unit.identify_by != EMAIL


def is_identified(unit: CustomerUnitOfWork, values: Mapping[str, Any]) -> bool:
    """Return whether the values of a customer have the identification that the account needs."""
    return any(values.get(name) for name in IDENTIFIERS[unit.identify_by])


def new_problems(
    unit: CustomerUnitOfWork,
    problems: Sequence[Problem],
    row: Row,
    values: Mapping[str, Any],
    path: InputPath,
) -> list[Problem]:
    """Return the problems of a new customer `row` with `values`. Those of its input are among
    `problems`; a missing email is none where the account needs no email."""
    if row["email"] and not problems:
        return []
    if row["email"] and "emails" in values:  # it is one of the list
        return without_missing_email(problems)
    problems = of_email(unit, problems)
    if row["email"] or _are_of_email(problems):
        return problems
    return [*problems, *unidentified(unit, row, path), *_of_consent(row, values, path)]


def changed_problems(
    unit: CustomerUnitOfWork,
    problems: Iterable[Problem],
    before: Row,
    after: Row,
    values: Mapping[str, Any],
    path: InputPath,
) -> list[Problem]:
    """Return the problems of a change to `values`. Those of its input are among `problems`. A
    customer that lacked the identification before can be changed."""
    if after["email"] and ("emails" in values or values.get("email") == ""):
        return without_missing_email(problems)  # the default is another one of the list
    problems = of_email(unit, problems, before)
    if after["email"] or _are_of_email(problems):
        return problems
    return [
        *problems,
        *last_identifier(unit, before, after, path, values=values),
        *_of_consent(after, values, path),
    ]


def _are_of_email(problems: Iterable[Problem]) -> bool:
    """Whether a problem is that of an email that is missing or invalid."""
    return any(problem.input_path[-1:] == ("email",) for problem in problems)


def unidentified(
    unit: CustomerUnitOfWork, values: Mapping[str, Any], path: InputPath
) -> Sequence[Problem]:
    """Return the problem of a new customer without the identification that the account needs."""
    if is_identified(unit, values):
        return ()
    message = f"A new customer needs {_NEEDS[unit.identify_by]}. Send one of them."
    return [InvalidInput(message, (*path, "email"))]


def last_identifier(
    unit: CustomerUnitOfWork,
    before: Row,
    after: Row,
    path: InputPath,
    argument: str = "",
    values: Mapping[str, Any] = {},
) -> Sequence[Problem]:
    """Return the problem of a change to `values` that removes the last identification of a
    customer. `argument` is the name of the input, if it is not that of the field."""
    lost = [name for name in IDENTIFIERS[ANYTHING] if before[name] and not after[name]]
    if after["email"] or not lost:
        return ()
    needed = IDENTIFIERS[unit.identify_by]
    if not any(before[name] for name in needed) or any(after[name] for name in needed):
        return ()
    name = argument or next(name for name in lost if name in needed)
    name = next((k.name for k in KINDS.values() if k.default == name and k.name in values), name)
    return [LastIdentifier(_NEEDS[unit.identify_by], (*path, name))]


def of_email(
    unit: CustomerUnitOfWork, problems: Iterable[Problem], before: Row | None = None
) -> list[Problem]:
    """Return problems without that of a missing email, if the account or the customer needs no
    email."""
    problems = list(problems)
    others = [problem for problem in problems if not isinstance(problem, MissingEmail)]
    if len(others) == len(problems) or (before is not None and not before["email"]):
        return others
    return others if needs_no_email(unit) else problems


def _of_consent(row: Row, values: Mapping[str, Any], path: InputPath) -> Sequence[Problem]:
    """Return the problem of a customer without an email that is to accept marketing."""
    if row["email"] or not values.get("accepts_marketing"):
        return ()
    message = "`accepts_marketing` needs an email. Send the email, or leave out the field."
    return [InvalidInput(message, (*path, "accepts_marketing"))]
