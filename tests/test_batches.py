"""A batch of commands has the effects that the commands have one after the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from regulars.accounts.accounts import Accounts
from regulars.accounts.settings import change_settings
from regulars.core.clock import now_ms
from regulars.core.commands import INBOUND, Command, IdempotencyRecord, Origin, Replay
from regulars.core.errors import Rejected
from regulars.core.external_ids import SHOP, ExternalId
from regulars.customers.bulk import SetCustomers, SetRow
from regulars.customers.commands import (
    Activity,
    ChangeExternalIds,
    CreateCustomer,
    DeleteCustomers,
    Reference,
    UpdateCustomer,
)
from regulars.customers.upsert import with_new_customer
from regulars.customers.values import clean_values
from regulars.directory.entities import ENTITIES
from regulars.orders.commands import (
    DeleteContact,
    Delivery,
    RecordContact,
    RecordOrder,
    RestoreContact,
    ShopIds,
)
from regulars.orders.shop_input import clean_order
from regulars.orders.values import NewOrder
from regulars.store import Store, rows
from regulars.store.tables import deleted_shop_ids
from regulars.trash.commands import PurgeCustomers, RestoreCustomers
from regulars.webhooks import inbox_queries
from tests.support import Server, create_token, run_regulars, with_store

pytestmark = pytest.mark.both_databases

# The bytes of a body depend on the order of its rows.
_NOT_COMPARED = {"trash": ("body",)}
_EMAILS = [f"{letter}@x.test" for letter in "abcd"]
# The server deletes old events.
_STARTED_AT = now_ms()
_ALL_IDS = frozenset(range(1, 9))
_LARGE = (RestoreCustomers, RecordContact, RestoreContact)


class Writer:
    """Makes random commands on a few customers, emails and ids."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._clock = 0
        # The server purges what is old.
        self._began_at = now_ms()

    def commands(self, count: int) -> list[Command]:
        return [self._command() for _ in range(count)]

    def _email(self) -> str:
        return self._draw.choice(_EMAILS)

    def _ids(self) -> list[dict[str, str]]:
        ids = [{"source": source, "id": id_} for source in (SHOP, "erp") for id_ in "xy"]
        return self._draw.sample(ids, self._draw.randrange(3))

    def _values(self) -> tuple[dict[str, Any], list[Any]]:
        node: dict[str, Any] = {"email": self._email(), "notes": self._draw.choice(["n", None])}
        if self._draw.random() < 0.4:
            other = {"email": self._email()}
            node["emails"] = [{"email": node["email"], "default": True}, other]
        if self._draw.random() < 0.5:
            node["external_ids"] = self._ids()
        return clean_values(node, ("node",))

    def _reference(self) -> Reference:
        if self._draw.random() < 0.3:
            source, id_ = self._draw.choice([SHOP, "erp"]), self._draw.choice("xy")
            return Reference(f"{source}:{id_}", None, ExternalId(source, id_))
        number = self._draw.randrange(1, 6)
        return Reference(str(number), number)

    def _command(self) -> Command:
        draw = self._draw
        self._clock += 1
        at, event = self._began_at + self._clock, Delivery(self._clock, draw.choice([1, 9]))
        kind, shop_id = draw.randrange(12), draw.choice("xy")
        if kind in (0, 10):
            orders = (NewOrder(draw.choice("12"), Decimal(5), at),) if draw.random() < 0.3 else ()
            values, problems = self._values()
            return CreateCustomer(values, at, problems, Activity(orders))
        if kind in (1, 2, 11):
            values, problems = self._values()
            return UpdateCustomer(self._reference(), values, at, problems)
        if kind == 3:
            added = (ExternalId("erp", draw.choice("xy")),)
            return ChangeExternalIds(self._reference(), at, added, (ExternalId(SHOP, shop_id),))
        if kind == 4:
            permanent = draw.random() < 0.2
            return DeleteCustomers((self._reference(),), at, permanent=permanent)
        if kind == 5:
            number = draw.randrange(1, 6)
            references = (Reference(str(number), number),)
            if draw.random() < 0.2:
                return PurgeCustomers(references, at)
            return RestoreCustomers(references, at, skips_conflicts=draw.random() < 0.5)
        if kind == 6:
            return DeleteContact(at, shop_id, origin=Origin(INBOUND, "x"), delivery=event)
        if kind == 7:
            node = {"name": draw.choice("123"), "email": self._email(), "total": self._clock}
            values, person, problems = clean_order(node, ("node",))
            ids = ShopIds(draw.choice([None, shop_id]), draw.choice([None, "o1", "x"]))
            return RecordOrder(values, person, at, problems, shop_ids=ids)
        contact = RestoreContact if kind == 8 else RecordContact
        values, problems = clean_values({"email": self._email()}, ("node",))
        return contact(
            values,
            at,
            should_fill_empty=kind == 9 and draw.random() < 0.5,
            problems=problems,
            origin=Origin(INBOUND, "contact"),
            shop_ids=ShopIds(shop_id),
            delivery=event,
            restored_ids=_ALL_IDS,
        )


def _comparable(outcome: Any) -> Any:
    if isinstance(outcome, Rejected):
        return [problem.key for problem in outcome.problems]
    assert not isinstance(outcome, BaseException), outcome
    outcome = outcome.result if isinstance(outcome, Replay) else outcome
    return {**outcome, "account_id": 0} if isinstance(outcome, dict) else outcome


async def _content(store: Store, account_id: int) -> dict[str, set[str]]:
    """Return all rows of an account, without the account's number. All deletions of a batch have
    its last time, so of a deleted id only the greatest event counts."""
    content = {}
    for entity in ENTITIES:
        query = rows.rows_of(entity.table, False)
        found = await store.fetch(query, {"account_id": account_id, "limit": 1_000})
        left_out = {"account_id", *_NOT_COMPARED.get(entity.name, ())}
        content[entity.name] = {
            repr(
                {n: v for n, v in zip(entity.columns, row, strict=True) if n not in left_out}
            ).replace(f'"account_id":{account_id},', "")
            for row in found
        }
    deleted: dict[str, int] = {}
    query = rows.rows_of(deleted_shop_ids, False)
    for row in await store.fetch(query, {"account_id": account_id, "limit": 1_000}):
        _, shop_id, _, event = row
        deleted[shop_id] = max(event, deleted.get(shop_id, 0))
    return {**content, deleted_shop_ids.name: set(map(repr, deleted.items()))}


async def _store_inbox(store: Store, account_id: int) -> None:
    """Store an event for each email and id, which a deletion of its customer deletes."""
    for key in (*_EMAILS, "x", "y", "o1"):
        row = {"account_id": account_id, "inbox_id": key, "type": "contact/updated", "key": key}
        row |= {"body": b"{}", "problem": "p", "received_at": _STARTED_AT, "times": 1}
        inserts = (inbox_queries.insert_event(), inbox_queries.insert_key())
        await store.execute([(insert, row) for insert in inserts])


async def _run_both(
    store: Store, accounts: Sequence[int], commands: Sequence[Command]
) -> dict[str, Any]:
    """Run commands in turn in one account and as a batch in the other, and return the tables that
    differ. The outcomes must be equal."""
    single, together = accounts
    outcomes: list[Any] = []
    for command in commands:
        outcomes += await asyncio.gather(store.write(single, command), return_exceptions=True)
    batch = [store.write(together, command) for command in commands]
    at_once = await asyncio.gather(*batch, return_exceptions=True)
    assert list(map(_comparable, at_once)) == list(map(_comparable, outcomes))
    ours, theirs = [await _content(store, account_id) for account_id in (together, single)]
    return {
        name: (ours[name] - theirs[name], theirs[name] - ours[name])
        for name in ours
        if ours[name] != theirs[name]
    }


async def _new_accounts(store: Store) -> list[int]:
    accounts = Accounts(store)
    return [(await accounts.create(uuid4().hex)).account_id for _ in range(2)]


@pytest.mark.slow
def test_a_batch_has_the_effects_of_its_commands_in_turn(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random deletions, restores and events about the same customers, and what takes the values
    that they free."""
    create_token(server)
    for command in _LARGE:
        # Otherwise SQLite moves them to a batch of their own, in another order.
        monkeypatch.setattr(command, "is_large", False)

    async def write(store: Store) -> None:
        for seed in range(120):
            accounts = await _new_accounts(store)
            writer = Writer(seed)
            for account_id in accounts:
                await _store_inbox(store, account_id)
            for count in (8, 12, 12):
                differences = await _run_both(store, accounts, writer.commands(count))
                assert not differences, (seed, differences)

    with_store(server.database_url, write)
    result = run_regulars("verify", "--database-url", server.database_url)
    assert result.returncode == 0, result.stdout[-3_000:]


def _person(*emails: str) -> CreateCustomer:
    node = {"email": emails[0], "emails": [{"email": each} for each in emails]}
    values, problems = clean_values(node, ("node",))
    return CreateCustomer(values, now_ms(), problems)


def _change(number: int, *emails: str) -> Command:
    values, problems = clean_values({"emails": [{"email": each} for each in emails]}, ("node",))
    return UpdateCustomer(Reference(str(number), number), values, now_ms(), problems)


def _delete(number: int) -> Command:
    return DeleteCustomers((Reference(str(number), number),), now_ms())


def _with_key(command: CreateCustomer, body: bytes, hours: int) -> Command:
    at = now_ms() - hours * 3_600_000
    return replace(command, at=at, idempotency_record=IdempotencyRecord("t", "k", 0, body, at))


_OLD = _with_key(_person("a@x.test"), b"old", 25)
_NEW = _with_key(_person("b@x.test"), b"new", 0)


@pytest.mark.parametrize(
    ("before", "commands"),
    [
        # An additional email goes to another customer, and the new or the former one is deleted.
        (
            [_person("a@x.test", "k@x.test"), _person("b@x.test")],
            [_change(1, "a@x.test"), _change(2, "b@x.test", "k@x.test"), _delete(2)],
        ),
        (
            [_person("a@x.test", "k@x.test"), _person("b@x.test"), _person("c@x.test", "d@x.test")],
            [_delete(3), _change(1, "a@x.test"), _change(2, "b@x.test", "k@x.test"), _delete(1)],
        ),
        # A key is used again after a day, and the customer of its first request comes or goes.
        (
            [_OLD, _delete(1)],
            [_NEW, RestoreCustomers((Reference("1", 1),), now_ms()), _NEW],
        ),
        ([_OLD, _person("c@x.test")], [_delete(2), _NEW, _delete(1), _NEW]),
        # The events in the inbox that name the customer at the time of the deletion are deleted.
        ([_person("a@x.test")], [_change(1, "b@x.test"), _delete(1), _person("a@x.test")]),
    ],
)
def test_a_value_that_changes_hands_stays_with_its_last_holder(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    before: list[Command],
    commands: list[Command],
) -> None:
    create_token(server)
    monkeypatch.setattr(RestoreCustomers, "is_large", False)

    async def write(store: Store) -> None:
        accounts = await _new_accounts(store)
        for account_id in accounts:
            await _store_inbox(store, account_id)
            for command in before:
                await store.write(account_id, command)
        *batch, last = commands
        assert not await _run_both(store, accounts, batch)
        # The answer to a repeated request is that of the first one.
        assert not await _run_both(store, accounts, [last])

    with_store(server.database_url, write)
    result = run_regulars("verify", "--database-url", server.database_url)
    assert result.returncode == 0, result.stdout[-3_000:]


def _row(generator: random.Random, number: int) -> SetRow:
    """Return a row of an import, most often a new customer."""
    chosen = generator.choice
    node = {
        "email": chosen([*_EMAILS, f"{number}@x.test", f"{number}@x.test", ""]),
        "first_name": chosen(["Ann", "", "Łukasz"]),
        "phone": chosen(["", "0612345678", "+33612345678", f"061234{number:04}"]),
        "accepts_marketing": chosen([True, False]),
        "tags": chosen([[], ["a", "b"]]),
        "shipping_address": chosen([None, {"city": "Paris", "country": "fr"}]),
    }
    if chosen([True, *[False] * 6]):
        node["emails"] = [{"email": f"{number}.further@x.test"}]
    if chosen([True, *[False] * 6]):
        node["external_ids"] = [{"system": "shop", "id": str(number % 3)}]
    values, problems = clean_values({k: v for k, v in node.items() if v or chosen([0, 1])}, ())
    return SetRow(
        values,
        tuple(problems),
        take=chosen([None, None, None, number]),
        timestamps=chosen([None, (number, number + chosen([0, 5]))]),
        shop_ids=chosen([(), (), (ExternalId("shop", str(number % 5)),)]),
        path=(number,),
        version=chosen([None, None, None, None, 1]),
    )


@pytest.mark.slow
@pytest.mark.parametrize("country", ["", "FR"])
def test_a_customer_computed_in_advance_is_the_one_that_the_row_creates(
    server: Server, country: str
) -> None:
    create_token(server)

    async def write(store: Store) -> None:
        for seed in range(60):
            generator = random.Random(seed)
            accounts = await _new_accounts(store)
            for account_id in accounts:
                await change_settings(store, account_id, {"default_country": country})
            options: dict[str, Any] = {
                name: generator.random() < 0.3
                for name in ("whole", "distinct", "keeps_consent", "adds_tags")
                + ("phone_identifies", "contact_identifies", "phone_is_first")
            }
            for start in (1, 11, 21):
                rows = tuple(_row(generator, number) for number in range(start, start + 10))
                computed = tuple(map(with_new_customer, rows))
                results = [
                    await store.write(account_id, SetCustomers(rows, start, **options))
                    for account_id, rows in zip(accounts, (rows, computed), strict=True)
                ]
                plain, advance = [
                    [_comparable_row(outcome) for outcome in result.rows] for result in results
                ]
                assert advance == plain, seed
            ours, theirs = [await _content(store, account_id) for account_id in accounts]
            assert ours == theirs, seed

    with_store(server.database_url, write)
    result = run_regulars("verify", "--database-url", server.database_url)
    assert result.returncode == 0, result.stdout[-3_000:]


def _comparable_row(outcome: Any) -> Any:
    row = outcome.row and {**outcome.row, "account_id": 0}
    return outcome.outcome, row, [problem.key for problem in outcome.problems], outcome.kept_fields
