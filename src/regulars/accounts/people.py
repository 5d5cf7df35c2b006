"""The people of an account: they sign in to the pages with links, and have a role."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from regulars.accounts.accounts import NAME_LENGTH, Account, AccountError, new_id
from regulars.accounts.grants import hash_token
from regulars.accounts.sessions import LINK, Sessions
from regulars.core.clock import now_ms
from regulars.core.errors import InvalidInput, Problem, Rejected
from regulars.core.roles import OWNER, ROLES, scopes_of
from regulars.core.text import clean, did_you_mean
from regulars.customers.emails import clean_email
from regulars.store import Store
from regulars.store import people as queries

MAX_PEOPLE = 1_000
LINK_DAYS = 3
LINK_MS = LINK_DAYS * 86_400_000


class PersonNotFound(Problem):
    """An id of no active person of the account."""

    key = "people_not_found"

    def __init__(self, person_id: str) -> None:
        super().__init__(
            f"No active person of this account has the id `{person_id[:50]}`. List the people with "
            "the query `people`.",
            ("id",),
        )


class LastOwner(Problem):
    """A change that would leave an account without an owner who has signed in."""

    key = "people_last_owner"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"`{name}` is the only owner who has signed in, so the role cannot be changed and the "
            "person cannot be removed. Make another person an owner first.",
            ("id",),
        )


@dataclass(frozen=True, slots=True)
class Person:
    """A person. Timestamps are in milliseconds since 1970."""

    person_id: str
    token_id: str
    name: str
    email: str | None
    role: str
    created_at: int
    last_seen_at: int | None = None
    removed_at: int | None = None

    @property
    def state(self) -> str:
        """Return `invited`, `active` or `removed`."""
        if self.removed_at is not None:
            return "removed"
        return "invited" if self.last_seen_at is None else "active"


def check_person(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a person as they are stored. Raises Rejected."""
    checks = {"name": _check_name, "email": _check_email, "role": _check_role}
    checked, problems = {}, []
    for name, value in values.items():
        checked[name], error = checks[name](value)
        if error:
            problems.append(InvalidInput(error, ("node", name)))
    if problems:
        raise Rejected(*problems)
    return checked


def _check_name(name: str) -> tuple[str, str | None]:
    clean_name, error = clean(name or "", NAME_LENGTH)
    if error or not clean_name:
        return "", f"The name of the person {error or 'is empty. Enter a name.'}"
    return clean_name, None


def _check_email(email: str | None) -> tuple[str | None, str | None]:
    if not email or not email.strip():
        return None, None
    clean_text, _, error = clean_email(email)
    return clean_text, error


def _check_role(role: str | None) -> tuple[str, str | None]:
    if role is not None and role in ROLES:
        return role, None
    hint = did_you_mean(role or "", ROLES)
    return "", f"Unknown role `{(role or '')[:50]}`.{hint} Supported: {', '.join(ROLES)}."


class People:
    """The people of an account."""

    def __init__(self, store: Store, account: Account, clock: Callable[[], int] = now_ms) -> None:
        self._store = store
        self._account = account
        self._clock = clock
        self._lock = {"locked_account": account.account_id, "owner": OWNER}

    async def all(self) -> list[Person]:
        """Return all people, also removed ones, oldest first."""
        parameters = {"account_id": self._account.account_id}
        return [Person(*row) for row in await self._store.fetch(queries.people_of(), parameters)]

    async def with_token(self, token_id: str) -> Person | None:
        """Return the person with a token, or None if it is not that of a person."""
        parameters = {"account_id": self._account.account_id, "token_id": token_id}
        rows = await self._store.fetch(queries.person_by_token(), parameters)
        return Person(*rows[0]) if rows else None

    async def find(self, person_id: str) -> Person:
        """Return an active person. Raises Rejected."""
        for person in await self.all():
            if person.person_id == person_id and person.removed_at is None:
                return person
        raise Rejected(PersonNotFound(person_id))

    async def invite(
        self, values: Mapping[str, Any], sessions: Sessions, is_dry_run: bool = False
    ) -> tuple[Person, str]:
        """Add a person. Return the person, and the code of their sign-in link. A dry run stores
        nothing; its ids and code are empty. Raises Rejected."""
        self._require_enabled()
        person = Person(new_id(), new_id(), **check_person(values), created_at=self._clock())
        if is_dry_run:
            self._check_free(person, await self.all())
            return replace(person, person_id="", token_id=""), ""
        token = {
            "token_id": person.token_id,
            # The secret is discarded.
            "hash": hash_token(secrets.token_hex(32)),
            "account_id": self._account.account_id,
            "name": person.name,
            "created_at": person.created_at,
            "expires_at": None,
            "revoked_at": None,
            "scopes": scopes_of(person.role),
            "last_used_at": None,
        }
        row = {
            "person_id": person.person_id,
            "account_id": self._account.account_id,
            **{name: token[name] for name in ("token_id", "name", "created_at")},
            "email": person.email,
            "role": person.role,
            "removed_at": None,
        }
        person_parameters = {f"person_{name}": value for name, value in row.items()}
        token_parameters = {f"token_{name}": value for name, value in token.items()}
        limits = {"person_name": person.name, "max_people": MAX_PEOPLE, **self._lock}
        statements = [
            (queries.lock_account(), self._lock),
            (queries.insert_token_of_person(), {**token_parameters, **limits}),
            (queries.insert_person(), person_parameters),
        ]
        if not await self._store.execute(statements):
            self._check_free(person, await self.all())
            raise Rejected(_busy())
        return person, await sessions.link(person.token_id, LINK_MS)

    async def link(self, person_id: str, sessions: Sessions) -> tuple[Person, str]:
        """Create the code of a new sign-in link for a person; earlier links end. Raises
        Rejected."""
        self._require_enabled()
        person = await self.find(person_id)
        parameters = {"token_id": person.token_id, "kind": LINK}
        await self._store.execute([(queries.delete_sign_ins(), parameters)])
        return person, await sessions.link(person.token_id, LINK_MS)

    async def update(
        self, person_id: str, values: Mapping[str, Any], is_dry_run: bool = False
    ) -> Person:
        """Change the name, email or role of a person; return the person. Raises Rejected."""
        person = await self.find(person_id)
        changed = replace(person, **check_person(values))
        if is_dry_run:
            self._check_change(changed, await self.all())
            return changed
        parameters = {
            **self._lock,
            "changed_person": person_id,
            "new_name": changed.name,
            "new_email": changed.email,
            "new_role": changed.role,
            "new_scopes": scopes_of(changed.role),
        }
        statements = [
            (queries.lock_account(), self._lock),
            (queries.update_person(), parameters),
            (queries.update_token_of_person(), parameters),
        ]
        await self._store.execute(statements)
        stored = await self.find(person_id)
        if stored != replace(changed, last_seen_at=stored.last_seen_at):
            self._check_change(changed, await self.all())
            raise Rejected(_busy())
        return stored

    async def remove(self, person_id: str, is_dry_run: bool = False) -> Person:
        """Remove a person: their sessions and links end within a second. Raises Rejected."""
        person = await self.find(person_id)
        removed = replace(person, removed_at=self._clock())
        if is_dry_run:
            self._check_change(removed, await self.all())
            return removed
        parameters = {**self._lock, "changed_person": person_id, "now": removed.removed_at}
        statements = [
            (queries.lock_account(), self._lock),
            (queries.remove_person(), parameters),
            (queries.revoke_token_of_person(), parameters),
        ]
        if not await self._store.execute(statements):
            self._check_change(removed, await self.all())
            raise Rejected(PersonNotFound(person_id))  # another request has just removed them
        return removed

    def _require_enabled(self) -> None:
        if self._account.disabled_at is not None:
            raise AccountError(
                f"The account {self._account.name!r} is disabled, so a link would be refused. "
                "Enable it first with `regulars account enable`."
            )

    def _check_free(self, person: Person, everyone: list[Person]) -> None:
        """Raise Rejected if another active person has the name, or there are too many people."""
        others = [
            other
            for other in everyone
            if other.removed_at is None and other.person_id != person.person_id
        ]
        if any(other.name == person.name for other in others):
            message = (
                f"A person of this account is already named `{person.name}`. Choose another name, "
                "or create a new sign-in link for this person."
            )
            raise Rejected(InvalidInput(message, ("node", "name")))
        if len(others) >= MAX_PEOPLE:
            message = (
                f"An account can have {MAX_PEOPLE:,} active people. Remove some of them first."
            )
            raise Rejected(InvalidInput(message, ("node",)))

    def _check_change(self, changed: Person, everyone: list[Person]) -> None:
        """Raise Rejected if a change takes the name of another, or the last owner."""
        if changed.removed_at is None:
            self._check_free(changed, everyone)
        before = next((p for p in everyone if p.person_id == changed.person_id), changed)
        was_owner = before.role == OWNER and before.removed_at is None
        if not was_owner or (changed.role == OWNER and changed.removed_at is None):
            return
        if not any(
            other.role == OWNER and other.state == "active" and other.person_id != changed.person_id
            for other in everyone
        ):
            raise Rejected(LastOwner(before.name))


def _busy() -> InvalidInput:
    return InvalidInput("Other people are being changed. Try again.", ("node",))
