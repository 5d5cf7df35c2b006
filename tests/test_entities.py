"""Entities: an invented entity is created, looked up, updated and deleted by its description."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from regulars.accounts.accounts import Accounts
from regulars.core.commands import COMMAND_LINE, IdempotencyRecord, Origin, SmallCommand
from regulars.core.errors import InvalidInput, Rejected
from regulars.customers.commands import CreateCustomer, DeleteCustomers, Reference
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.customers.values import clean_values
from regulars.directory.database import store_for
from regulars.directory.decide import domain_of
from regulars.directory.entities import ENTITIES
from regulars.store import Entities, LookupKeys, Row, State, Store
from regulars.store.columns import key, number, text
from regulars.store.entity import Entity, Lookup, delete_rows
from regulars.store.queries import of_account
from regulars.store.query import Query
from regulars.trash.commands import RestoreCustomers
from tests.support import run_regulars

pytestmark = pytest.mark.both_databases

# Tables of its own, so that no other test sees the invented one.
METADATA = sa.MetaData()
notices = sa.Table(
    "notices",
    METADATA,
    key("account_id"),
    key("notice_id"),
    number("customer_id"),
    text("title"),
    number("created_at"),
)


@dataclass(frozen=True)
class NoticeCommand(SmallCommand):
    title: str
    customer_id: int = 0
    notice_id: int = 0
    at: int = 1
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        return LookupKeys(
            customer_ids=[self.customer_id] if self.customer_id else [],
            notice_ids=[self.notice_id] if self.notice_id else [],
            notice_titles=[self.title] if self.title else [],
        )


class CreateNotice(NoticeCommand):
    """Create a notice of a customer, with a unique title."""


class UpdateNotice(NoticeCommand):
    """Change the title of a notice."""


class DeleteNotice(NoticeCommand):
    """Delete a notice."""


class TryNotice(NoticeCommand):
    """Create, change and delete notices, and roll everything back."""


def create(unit: CustomerUnitOfWork, command: CreateNotice) -> Row:
    rows = unit.rows[notices]
    if rows.find(("title",), command.title) is not None:
        raise Rejected(InvalidInput("This title is used.", ("title",)))
    row = {
        "account_id": unit.account_id,
        "notice_id": unit.next_id("notices"),
        "customer_id": command.customer_id,
        "title": command.title,
        "created_at": command.at,
    }
    rows.put(row)
    return row


def update(unit: CustomerUnitOfWork, command: UpdateNotice) -> Row:
    row = unit.rows[notices].get(command.notice_id)
    if row is None:
        raise Rejected(InvalidInput("There is no such notice.", ("id",)))
    changed = {**row, "title": command.title}
    unit.rows[notices].put(changed)
    return changed


def delete(unit: CustomerUnitOfWork, command: DeleteNotice) -> int:
    unit.rows[notices].delete(command.notice_id)
    return command.notice_id


def attempt(unit: CustomerUnitOfWork, command: TryNotice) -> list[str]:
    savepoint = unit.savepoint()
    create(unit, CreateNotice(command.title, command.customer_id))
    update(unit, UpdateNotice("tried", notice_id=command.notice_id))
    delete(unit, DeleteNotice("", notice_id=command.notice_id))
    tried = [row["title"] for row in unit.rows[notices].all()]
    unit.roll_back(savepoint)
    return tried


NOTICES = Entity(
    notices,
    counter="notices",
    lookups=(
        Lookup("notice_ids", notices.c.notice_id),
        Lookup("notice_titles", notices.c.title),
    ),
    unique=(("title",),),
    editable=("title",),
    on_customer_delete=delete_rows(notices),
    rules={CreateNotice: create, UpdateNotice: update, DeleteNotice: delete, TryNotice: attempt},
)
DIALECTS: dict[str, tuple[sa.Dialect, str]] = {
    "sqlite": (sqlite.dialect(), "INTEGER"),
    "postgresql": (postgresql.dialect(), "BIGINT"),  # type: ignore[no-untyped-call]  # SQLAlchemy's own
}
WITH_NOTICES = Entities((*ENTITIES, NOTICES))


async def prepare(url: str) -> Store:
    """A store of a database with the invented table, which a migration would add."""
    plain = store_for(url)
    await plain.open()
    dialect, number_type = DIALECTS[plain.dialect]
    create_table = str(sa.schema.CreateTable(notices).compile(dialect=dialect))
    add = f"ALTER TABLE counters ADD COLUMN notices {number_type} NOT NULL DEFAULT 0"
    await plain.run([(Query(sa.text(each)), {}) for each in (create_table, add)])
    await plain.close()
    store = store_for(url, domain=domain_of(WITH_NOTICES))
    await store.open()
    return store


def customer(email: str) -> CreateCustomer:
    values, problems = clean_values({"email": email}, ())
    return CreateCustomer(values, 1, problems)


def test_invented_entity_needs_only_its_description(new_database: str) -> None:
    for command in ("account create one", "account create two"):
        assert run_regulars(*command.split(), "--database-url", new_database).returncode == 0

    columns = (notices.c.notice_id, notices.c.customer_id, notices.c.title)
    query = Query(sa.select(*columns).where(of_account(notices)).order_by(notices.c.notice_id))

    async def stored(store: Store, account_id: int) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await store.fetch(query, {"account_id": account_id})]

    async def run() -> None:
        store = await prepare(new_database)
        one, two = [account.account_id for account in await Accounts(store).all()][:2]
        for account in (one, two):
            await store.write(account, customer("a@b.co"))
            await store.write(account, customer("b@b.co"))

        # Created, one by one and in a batch with others; numbered by the account's counter.
        assert (await store.write(one, CreateNotice("First", 1)))["notice_id"] == 1
        assert (await store.write(two, CreateNotice("First", 1)))["notice_id"] == 1
        batch = [CreateNotice("Second", 1), CreateNotice("Third", 2), CreateNotice("Second", 2)]
        outcomes = await asyncio.gather(
            *[store.write(one, each) for each in batch], return_exceptions=True
        )
        assert [each["notice_id"] for each in outcomes[:2]] == [2, 3]  # type: ignore[index]  # rows here
        assert isinstance(outcomes[2], Rejected)

        # Looked up: by the title, which is taken, and by id.
        with pytest.raises(Rejected):
            await store.write(one, CreateNotice("First", 1))
        with pytest.raises(Rejected):
            await store.write(one, UpdateNotice("Nowhere", notice_id=9))

        # A savepoint that is rolled back leaves nothing behind, not even a number.
        assert await store.write(one, TryNotice("New", 1, notice_id=2)) == ["New"]
        assert await stored(store, one) == [(1, 1, "First"), (2, 1, "Second"), (3, 2, "Third")]

        # Updated, and created again after that: the old title is free.
        assert (await store.write(one, UpdateNotice("Other", notice_id=2)))["title"] == "Other"
        assert (await store.write(one, CreateNotice("Second", 2)))["notice_id"] == 4
        await store.write(one, DeleteNotice("", notice_id=3))
        assert await stored(store, one) == [(1, 1, "First"), (2, 1, "Other"), (4, 2, "Second")]

        # It moves to the trash with its customer, though nothing else names it, and comes back. The
        # other account keeps its own.
        reference = Reference("1", 1)
        await store.write(one, DeleteCustomers((reference,), 5))
        assert await stored(store, one) == [(4, 2, "Second")]
        assert await stored(store, two) == [(1, 1, "First")]
        assert (await store.write(one, CreateNotice("Third", 2)))["notice_id"] == 5
        await store.write(one, RestoreCustomers((reference,), 6))
        restored = [(1, 1, "First"), (2, 1, "Other"), (4, 2, "Second"), (5, 2, "Third")]
        assert await stored(store, one) == restored
        # Without the trash it is erased.
        await store.write(one, DeleteCustomers((reference,), 7, permanent=True))
        assert await stored(store, one) == restored[2:]
        with pytest.raises(Rejected):
            await store.write(one, RestoreCustomers((reference,), 8))
        await store.close()

    asyncio.run(run())


def test_unknown_lookup_is_an_error() -> None:
    with pytest.raises(LookupError, match="notice_ids"):
        ENTITIES.merge([LookupKeys(notice_ids=[1])])
    assert WITH_NOTICES.merge([LookupKeys(notice_ids=[1])]) == {"notice_ids": {1}}


def test_command_without_a_rule_is_an_error() -> None:
    with pytest.raises(LookupError, match="CreateNotice"):
        ENTITIES.rule(CreateNotice)


def test_entities_follow_the_entities_they_refer_to() -> None:
    order = [entity.table for entity in ENTITIES]
    for index, table in enumerate(order):
        for other in table.foreign_keys:
            assert other.column.table in order[:index], f"{table.name} refers to {other}"


def test_every_table_with_a_customer_id_defines_the_effect_of_deletion() -> None:
    """The deletion of a customer has a defined effect on every table with a `customer_id`."""
    described = {entity.name for entity in ENTITIES.of_customers}
    tables = ENTITIES.root.table.metadata.tables.values()
    named = {table.name for table in tables if "customer_id" in table.c}
    # Terms are the search index of their customer or its comments, and deliveries name no value of
    # one. The trash
    # has nothing of a customer that exists. The evaluation of segments ends memberships.
    apart = {
        "customers",
        "terms",
        "comment_terms",
        "deliveries",
        "trash",
        "trash_keys",
        "memberships",
    }
    assert named - apart <= described


def test_savepoint_covers_every_kind_of_change() -> None:
    notice = {
        "account_id": 1,
        "notice_id": 1,
        "customer_id": 1,
        "title": "First",
        "created_at": 1,
    }
    counters = dict.fromkeys(WITH_NOTICES.counters, 1)
    state = State(counters, {"notices": [notice]})
    unit = CustomerUnitOfWork(1, state, WITH_NOTICES)
    attempt(unit, TryNotice("New", 1, notice_id=1))
    assert not unit.changes()
    assert unit.rows[notices].find(("title",), "First") == 1
    assert unit.rows[notices].find(("title",), "New") is None
    savepoint = unit.savepoint()
    for title in ("Other", "Another"):  # a savepoint may be returned to several times
        update(unit, UpdateNotice(title, notice_id=1))
        assert unit.changes().of("notices").updated == {("title",): [{**notice, "title": title}]}
        unit.roll_back(savepoint)
        assert not unit.changes()


def test_only_differences_are_written() -> None:
    notice = {"account_id": 1, "notice_id": 1, "customer_id": 1, "title": "First", "created_at": 1}
    state = State(dict.fromkeys(WITH_NOTICES.counters, 1), {"notices": [notice]})
    unit = CustomerUnitOfWork(1, state, WITH_NOTICES)
    unit.rows[notices].put(dict(notice))
    assert not unit.changes()
    create(unit, CreateNotice("Second", 1))
    delete(unit, DeleteNotice("", notice_id=2))
    assert not unit.changes().of("notices").inserted
    assert unit.changes().counters == {**state.counters, "notices": 2}
