"""People in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from regulars.accounts.accounts import AccountError, Accounts
from regulars.accounts.people import LINK_MS, People, Person
from regulars.accounts.sessions import Sessions
from regulars.api.context import Context
from regulars.api.dry_run import ARGUMENT, report
from regulars.api.guards import needs, price_of_write
from regulars.api.values import timestamp_of
from regulars.core.errors import InvalidInput, Rejected
from regulars.core.roles import ROLES
from regulars.core.scopes import ADMIN
from regulars.graphql import Layouts, Nested, Resolve, Root, TypeBinding, Value


async def person_of_token(env: Context) -> Mapping[str, Any] | None:
    """Return the person whose token the request has, or None."""
    person = await (await _people(env)).with_token(env.token_id)
    return None if person is None else _row(person)


def people(_layouts: Layouts) -> Resolve:
    """Resolve the account's people, oldest first."""

    async def resolve(env: Context, _arguments: dict[str, Any]) -> Any:
        return [_row(person) for person in await (await _people(env)).all()]

    return resolve


def roles(_layouts: Layouts) -> Resolve:
    """Resolve all roles."""
    rows = [
        {"name": name, "description": role.description, "scopes": list(role.scopes)}
        for name, role in ROLES.items()
    ]

    async def resolve(_env: Context, _arguments: dict[str, Any]) -> Any:
        return rows

    return resolve


def invite_person(layouts: Layouts) -> Resolve:
    """Add a person, with a sign-in link."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        node, is_dry_run = arguments["node"], bool(arguments.get(ARGUMENT))
        values = {"name": node["name"], "role": node["role"], "email": node.get("email")}
        try:
            person, code = await (await _people(env)).invite(values, _sessions(env), is_dry_run)
        except AccountError as error:
            raise Rejected(InvalidInput(str(error), ("node",))) from error
        if is_dry_run:
            await report(env, layouts.key)
        return _link(env, person, code)

    return resolve


def create_sign_in_link(layouts: Layouts) -> Resolve:
    """Create a new sign-in link for a person."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        everyone, person_id = await _people(env), arguments["id"]
        if arguments.get(ARGUMENT):
            person = await everyone.find(person_id)
            await report(env, layouts.key)
            return _link(env, person, "")
        try:
            person, code = await everyone.link(person_id, _sessions(env))
        except AccountError as error:
            raise Rejected(InvalidInput(str(error), ("id",))) from error
        return _link(env, person, code)

    return resolve


def update_person(layouts: Layouts) -> Resolve:
    """Change a person."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        is_dry_run = bool(arguments.get(ARGUMENT))
        person = await (await _people(env)).update(arguments["id"], arguments["node"], is_dry_run)
        if is_dry_run:
            await report(env, layouts.key)
        return _row(person)

    return resolve


def remove_person(layouts: Layouts) -> Resolve:
    """Remove a person."""

    async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
        is_dry_run = bool(arguments.get(ARGUMENT))
        person = await (await _people(env)).remove(arguments["id"], is_dry_run)
        if is_dry_run:
            await report(env, layouts.key)
        return _row(person)

    return resolve


def _accounts(env: Context) -> Accounts:
    return Accounts(env.directory.store, clock=lambda: env.now)


async def _people(env: Context) -> People:
    account = await _accounts(env).load(env.account_id)
    return People(env.directory.store, account, clock=lambda: env.now)


def _sessions(env: Context) -> Sessions:
    """Return the sessions for the creation of links, which have a lifetime of their own."""
    return Sessions(env.directory.store, _accounts(env), 0, clock=lambda: env.now)


def _row(person: Person) -> Mapping[str, Any]:
    return {**asdict(person), "state": person.state}


def _link(env: Context, person: Person, code: str) -> Mapping[str, Any]:
    path = f"/sign-in#{code}" if code else ""
    return {"path": path, "expires_at": env.now + LINK_MS, "person": _row(person)}


PEOPLE_ROOTS: Mapping[str, Root] = {
    "people": Root(people, needs(ADMIN)),
    "roles": Root(roles),
    "invitePerson": Root(invite_person, needs(ADMIN), price_of_write),
    "createSignInLink": Root(create_sign_in_link, needs(ADMIN), price_of_write),
    "updatePerson": Root(update_person, needs(ADMIN), price_of_write),
    "removePerson": Root(remove_person, needs(ADMIN), price_of_write),
}
PEOPLE_TYPES: Mapping[str, TypeBinding] = {
    "Person": TypeBinding(
        {
            "id": Value(("person_id",)),
            **{name: Value((name,)) for name in ("name", "email", "role", "state")},
            **{name: timestamp_of(name) for name in ("created_at", "last_seen_at", "removed_at")},
        },
        has_dict_rows=True,
    ),
    "Role": TypeBinding(
        {name: Value((name,)) for name in ("name", "description", "scopes")}, has_dict_rows=True
    ),
    "SignInLink": TypeBinding(
        {
            "path": Value(("path",)),
            "expires_at": timestamp_of("expires_at"),
            "person": Nested(("person",)),
        },
        has_dict_rows=True,
    ),
}
