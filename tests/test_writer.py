"""The writer: the decisions of a batch, and concurrent writers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.core.commands import Command
from regulars.core.dry_run import DryRun
from regulars.core.errors import Rejected
from regulars.core.ids import MAX_ID
from regulars.core.money import amounts, units
from regulars.customers.commands import (
    Activity,
    CreateCustomer,
    DeleteCustomers,
    NewLead,
    Reference,
    UpdateCustomer,
)
from regulars.customers.values import clean_values
from regulars.directory.database import store_for
from regulars.directory.decide import DOMAIN, decide
from regulars.directory.directory import Directory
from regulars.directory.entities import ENTITIES
from regulars.orders.commands import RecordOrder
from regulars.orders.shop_input import clean_order
from regulars.orders.values import NewOrder
from regulars.store import (
    STATEMENT_SECONDS,
    Changes,
    Domain,
    State,
    Store,
    Unreachable,
    create_store,
    parse_url,
    queries,
)
from regulars.store.moving import UnbatchableCommands
from regulars.store.postgresql import batch_writer, transactions
from regulars.store.postgresql.store import PostgreSQLStore
from regulars.store.query import Query
from regulars.store.statement_times import statement_times
from regulars.store.tables import counters, customers
from tests.postgres import ACCOUNTS
from tests.support import (
    Client,
    Server,
    create_token,
    run_regulars,
    scratch_database,
    with_store,
)

pytestmark = pytest.mark.both_databases

NONE = {"customers": 0, "orders": 0, "leads": 0, "changes": 0, "default_country": 0}


def create(email: str, at: int = 1, activity: Activity | None = None, **node: Any) -> Command:
    values, problems = clean_values({"email": email, **node}, ("node",))
    return CreateCustomer(values, at, problems, activity or Activity())


def update(customer_id: int, at: int = 2, **node: Any) -> Command:
    values, problems = clean_values(node, ("node",))
    return UpdateCustomer(Reference(str(customer_id), customer_id), values, at, problems)


def delete(*ids: int) -> Command:
    return DeleteCustomers(tuple(Reference(str(i), i) for i in ids), 3)


def keys(outcome: Any) -> list[str]:
    assert isinstance(outcome, Rejected)
    return [problem.key for problem in outcome.problems]


def decide_batch(*commands: Command, state: State | None = None) -> tuple[Sequence[Any], Changes]:
    return decide(1, commands, state or State(NONE))


def test_command_sees_the_changes_of_earlier_commands_of_its_batch() -> None:
    _, first = decide_batch(create("a@b.co"))
    outcomes, changes = decide_batch(
        create("A@b.co"),
        delete(1),
        create("a@b.co"),
        update(1, phone="1"),
        update(2, email="c@b.co"),
        create("a@b.co"),
        state=State(first.counters, {"customers": first.of("customers").inserted}),
    )
    assert keys(outcomes[0]) == ["errors_dup_email"]
    assert keys(outcomes[3]) == ["errors_customer_not_found"]
    assert [outcomes[n]["customer_id"] for n in (2, 4, 5)] == [2, 2, 3]
    assert changes.counters == {**NONE, "customers": 3, "changes": 5}
    assert [row["email"] for row in changes.of("customers").inserted] == ["c@b.co", "a@b.co"]
    assert not changes.of("customers").updated
    assert changes.of("customers").deleted == [1]


def test_a_customer_is_not_deleted_in_the_batch_that_creates_it_or_changes_its_email() -> None:
    """The statements of a deletion read the emails and ids in the database."""
    _, first = decide_batch(create("a@b.co"))
    state = State(first.counters, {"customers": first.of("customers").inserted})
    for commands in ((create("b@b.co"), delete(2)), (update(1, email="b@b.co"), delete(1))):
        with pytest.raises(UnbatchableCommands):
            decide_batch(*commands, state=state)
    assert decide_batch(update(1, phone="1"), delete(1), state=state)[0][1] == [1]


def test_refused_command_has_no_effect() -> None:
    order = NewOrder("1", Decimal(5), 1)
    outcomes, changes = decide_batch(
        create("a@b.co", phone="x" * 65, activity=Activity((order,))), create("b@b.co")
    )
    assert keys(outcomes[0]) == ["errors_invalid_input"]
    assert outcomes[1]["customer_id"] == 1
    assert changes.counters == {**NONE, "customers": 1, "changes": 1}
    assert not changes.of("orders").inserted


def test_only_the_columns_that_change_are_written() -> None:
    _, changes = decide_batch(create("a@b.co", first_name="Ana"), create("b@b.co"))
    state = State(changes.counters, {"customers": changes.of("customers").inserted})
    outcomes, changes = decide_batch(
        update(1, accepts_marketing=True),
        update(2, notes="x"),
        update(1, first_name="Ana"),
        state=state,
    )
    assert [outcome["updated_at"] for outcome in outcomes] == [2, 2, 2]
    assert sorted(changes.of("customers").updated) == [
        ("updated_at", "accepts_marketing", "version"),
        ("updated_at", "notes", "version", "notes_words", "facets"),
    ]
    assert changes.counters == {**NONE, "customers": 2, "changes": 4}


def test_a_batch_adds_and_removes_the_terms_that_differ() -> None:
    _, changes = decide_batch(
        create("ana@b.co", tags=["old"], notes="Lorem ipsum"), create("b@b.co")
    )
    assert changes.added_terms[1] == {
        *("tag:old", "w:b", "w:co", "w:lorem", "w:ipsum", "notes:", "notes:lorem", "notes:ipsum"),
    }
    assert changes.removed_terms == {}
    state = State(changes.counters, {"customers": changes.of("customers").inserted})
    _, changes = decide_batch(
        update(1, tags=["new"], notes="Lorem"),
        update(2, accepts_marketing=True),
        create("c@b.co"),
        state=state,
    )
    assert changes.added_terms[1] == {"tag:new"}
    assert changes.removed_terms == {1: {"tag:old", "w:ipsum", "notes:ipsum"}}
    _, changes = decide_batch(delete(1), update(2, tags=["x"]), update(2, tags=[]), state=state)
    assert changes.added_terms == {}
    assert changes.removed_terms.keys() == {1}
    assert len(changes.removed_terms[1]) == 8


def test_timestamps_do_not_decrease_when_the_clock_goes_back() -> None:
    _, changes = decide_batch(create("a@b.co", at=10))
    outcomes, _ = decide_batch(
        update(1, at=5, phone="1"),
        state=State(NONE, {"customers": changes.of("customers").inserted}),
    )
    assert outcomes[0]["updated_at"] == 10


def test_expenses_are_exact_and_count_only_paid_orders() -> None:
    orders = (
        NewOrder("1", Decimal("0.1"), 5),
        NewOrder("2", Decimal("0.2"), 6),
        NewOrder("3", Decimal("99.9999"), 9, financial_status="pending"),
        NewOrder("4", Decimal(50), 7, financial_status="refunded", refunded_amount=Decimal(50)),
        NewOrder("5", Decimal(1000), 20, test=True),
        NewOrder("6", Decimal(1000), 30, cancelled_at=31),
    )
    leads = (NewLead("Hello", "Is anybody there?", 3),)
    outcomes, changes = decide_batch(create("a@b.co", activity=Activity(orders, leads, visits=4)))
    row = outcomes[0]
    assert amounts([row["expenses"]]) == [0.3]
    assert (row["orders_count"], row["visits"], row["updated_at"]) == (4, 4, 9)
    assert [o["order_id"] for o in changes.of("orders").inserted] == [1, 2, 3, 4, 5, 6]
    assert [lead["customer_id"] for lead in changes.of("leads").inserted] == [1]
    again, _ = decide_batch(
        create("b@b.co", activity=Activity(orders[:1])),
        state=State(NONE, {"customers": [row], "orders": changes.of("orders").inserted}),
    )
    assert keys(again[0]) == ["errors_invalid_input"]


@pytest.mark.parametrize(
    ("text", "shown"), [("35", "35"), ("12.50", "12.5"), ("0.0001", "0.0001"), ("-3", "-3")]
)
def test_amount_is_rendered_exactly(text: str, shown: str) -> None:
    assert [str(amount) for amount in amounts([units(Decimal(text))])] == [shown]
    with pytest.raises(ValueError, match="decimal places"):
        units(Decimal("0.00001"))


def test_account_without_free_ids_refuses_a_customer() -> None:
    full = State({**NONE, "customers": MAX_ID})
    outcomes, changes = decide_batch(create("a@b.co"), state=full)
    assert keys(outcomes[0]) == ["errors_invalid_input"]
    assert changes.counters == {}


def test_concurrent_creates_store_one_customer_for_each_email(client: Client) -> None:
    document = "mutation($n: InputCustomer!) { createCustomer(node: $n) { _id } }"

    def attempt(number: int) -> dict[str, Any]:
        with Client(client.server, client.token) as own:
            return own.run(document, n={"email": f"User{number % 25}@example.com"})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(attempt, range(100)))
    created = sorted(a["data"]["createCustomer"]["_id"] for a in answers if a.get("data"))
    assert created == list(range(1, 26))
    refusal_keys = [a["errors"][0]["key"] for a in answers if "errors" in a]
    assert refusal_keys == ["errors_dup_email"] * 75


@pytest.mark.slow
def test_concurrent_updates_of_a_customer_lose_no_change(client: Client) -> None:
    client.create("a@example.com", custom={})

    def attempt(number: int) -> None:
        with Client(client.server, client.token) as own:
            own.update("1", custom={f"k{number}": number})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(attempt, range(60)))
    customer = client.node("Q3VzdG9tZXI6MQ==", "... on Customer { custom }")
    assert customer["custom"] == {f"k{number}": number for number in range(60)}


def test_two_processes_write_to_one_account(server: Server) -> None:
    """The server and this process write: ids stay in order, and no email is stored twice."""
    token = create_token(server)

    async def add(store: Store) -> list[Any]:
        account = (await Accounts(store).all())[-1]
        commands = [create(f"{n % 100}@example.com") for n in range(200)]
        directory = Directory(store)
        outcomes: list[Any] = []
        for start in range(0, 200, 10):
            outcomes += await directory.create_many(
                account.account_id,
                commands[start : start + 10],  # type: ignore[arg-type]  # all of them create
            )
        return outcomes

    with Client(server, token) as client, ThreadPoolExecutor(4) as pool:

        def attempt(number: int) -> Any:
            document = (
                f'mutation {{ createCustomer(node: {{email: "{number}@example.com"}}) {{ _id }} }}'
            )
            with Client(server, token) as own:
                return own.run(document).get("data")

        futures = [pool.submit(attempt, number) for number in range(100)]
        ours = with_store(server.database_url, add)
        ids = [o["customer_id"] for o in ours if not isinstance(o, Rejected)]
        ids += [f.result()["createCustomer"]["_id"] for f in futures if f.result()]
        assert sorted(ids) == list(range(1, 101))
        edges = client.page(first=250)["edges"]
        assert sorted(e["node"]["_id"] for e in edges) == sorted(ids)


def test_email_freed_in_a_batch_is_used_in_the_same_batch(server: Server) -> None:
    """An email that a command frees, another command uses: by a delete, by an update, in a cycle."""
    create_token(server)

    async def write(store: Store) -> list[Any]:
        number = (await Accounts(store).all())[-1].account_id
        commands = [create(f"{letter}@b.co") for letter in "abcd"]
        await asyncio.gather(*[store.write(number, command) for command in commands])
        batch = [
            delete(1),
            create("a@b.co"),
            update(2, email="z@b.co"),
            update(3, email="b@b.co"),
            update(2, email="c@b.co"),
            create("z@b.co", phone="5", tags=["x"]),
            update(4, notes="n", custom={"k": 1}),
        ]
        outcomes = await asyncio.gather(*[store.write(number, command) for command in batch])
        query = queries.page("id", ("customer_id", "email", "phone"), True, False, False)
        rows = await store.fetch(query, {"account_id": number, "limit": 10})
        assert [outcome["customer_id"] for outcome in outcomes[1:]] == [5, 2, 3, 2, 6, 4]
        return [tuple(row) for row in rows]

    assert with_store(server.database_url, write) == [
        (2, "c@b.co", ""),
        (3, "b@b.co", ""),
        (4, "d@b.co", ""),
        (5, "a@b.co", ""),
        (6, "z@b.co", "5"),
    ]


def test_unique_rows_freed_in_a_batch_are_used_in_the_same_batch(server: Server) -> None:
    """An external id, an additional email and the name of an order of a customer who is deleted,
    which another customer of the batch takes."""
    create_token(server)

    def person(email: str) -> Command:
        ids = [{"source": "erp", "id": "7"}, {"source": "crm", "id": "8"}]
        emails = [{"email": email}, {"email": "second@b.co"}]
        activity = Activity((NewOrder("1", Decimal(5), 1),))
        return create(email, activity=activity, emails=emails, external_ids=ids)

    async def write(store: Store) -> None:
        number = (await Accounts(store).all())[-1].account_id
        await store.write(number, person("a@b.co"))
        taken = [delete(1), person("b@b.co"), delete(2), person("c@b.co")]
        outcomes = await asyncio.gather(*[store.write(number, command) for command in taken])
        assert outcomes[3]["customer_id"] == 3

    with_store(server.database_url, write)
    result = run_regulars("verify", "--database-url", server.database_url)
    assert result.returncode == 0, result.stdout


def test_batch_with_many_combinations_of_updated_columns(server: Server) -> None:
    create_token(server)

    async def write(store: Store) -> list[Any]:
        number = (await Accounts(store).all())[-1].account_id
        await asyncio.gather(
            *[store.write(number, create(f"{letter}@b.co")) for letter in "abcdef"]
        )
        kinds: list[dict[str, Any]] = [
            {"phone": "1"},
            {"notes": "n"},
            {"first_name": "Ana"},
            {"tags": ["t"]},
            {"email": "x@b.co"},
            {},
        ]
        batch = [update(customer_id, **kind) for customer_id, kind in enumerate(kinds, start=1)]
        await asyncio.gather(*[store.write(number, command) for command in batch])
        columns = ("phone", "notes", "first_name", "tags", "email", "updated_at")
        query = queries.page("id", columns, True, False, False)
        rows = await store.fetch(query, {"account_id": number, "limit": 10})
        return [tuple(row) for row in rows]

    assert with_store(server.database_url, write) == [
        ("1", None, "", "[]", "a@b.co", 2),
        ("", "n", "", "[]", "b@b.co", 2),
        ("", None, "Ana", "[]", "c@b.co", 2),
        ("", None, "", '["t"]', "d@b.co", 2),
        ("", None, "", "[]", "x@b.co", 2),
        ("", None, "", "[]", "f@b.co", 1),
    ]


@pytest.mark.slow
def test_batch_that_may_be_saved_is_not_retried(postgresql: str) -> None:
    """The connection ends during the save. No caller gets an error about a duplicate of its own."""

    async def write(dsn: str) -> list[BaseException]:
        store = PostgreSQLStore(dsn, DOMAIN)
        await store.open()
        number = (await Accounts(store).create("one")).account_id
        second = await asyncpg.connect(dsn)
        async with second.transaction():
            # The batch waits for the account's row, at the moment of saving.
            await second.execute(ACCOUNTS)
            writes = [store.write(number, create(f"{letter}@b.co")) for letter in "ab"]
            waiting = asyncio.gather(*writes, return_exceptions=True)
            ended_count = 0
            while not ended_count:
                await asyncio.sleep(0.02)
                ended_count = await second.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
            outcomes = await waiting
        assert await second.fetchval("SELECT count(*) FROM customers") == 0
        await second.close()
        await store.write(number, create("a@b.co"))
        await store.close()
        return outcomes

    with scratch_database(postgresql) as dsn:
        assert run_regulars("migrate", "--database-url", dsn).returncode == 0
        outcomes = asyncio.run(write(dsn))
    assert [type(outcome) for outcome in outcomes] == [Unreachable, Unreachable]


def test_two_stores_write_to_one_account_at_once(server: Server) -> None:
    """The slower store decides again: no id is used twice, and no change is lost."""
    create_token(server)

    async def write(store: Store) -> None:
        number = (await Accounts(store).all())[-1].account_id
        second = store_for(server.database_url)
        await second.open()
        await store.write(number, create("first@b.co", custom={}))
        for turn in range(25):
            await asyncio.gather(
                store.write(number, create(f"a{turn}@b.co")),
                second.write(number, create(f"b{turn}@b.co")),
                store.write(number, update(1, custom={f"a{turn}": turn})),
                second.write(number, update(1, custom={f"b{turn}": turn})),
            )
        await second.close()
        query = queries.page("id", ("customer_id", "custom"), True, False, False)
        rows = await store.fetch(query, {"account_id": number, "limit": 100})
        assert [row[0] for row in rows] == list(range(1, 52))
        stored = json.loads(rows[0][1])
        assert stored == {
            f"{writer_name}{turn}": turn for turn in range(25) for writer_name in "ab"
        }

    with_store(server.database_url, write)


def test_new_customers_follow_the_changes_of_another_process(new_database: str) -> None:
    """A store need not load an account that it has just changed. It notices every change that
    another process has made since."""
    other_counters = sa.update(counters).values(customers=70, changes=70)  # the revision is equal
    changes: list[tuple[Any, list[int | type[BaseException]], int]] = [
        (None, [2, 3], 3),
        (create("x@b.co"), [3, 4], 4),
        (create("new1@b.co"), [Rejected, 3], 3),
        (DeleteCustomers((Reference("1", 1),), 2), [2, 3], 4),
        ((Query(other_counters), {}), [71, 72], 72),
    ]

    async def write(store: Store) -> None:
        for turn, (change, expected, last_change) in enumerate(changes):
            first, second = store_for(new_database), store_for(new_database)
            await first.open()
            await second.open()
            number = (await Accounts(store).create(f"account {turn}")).account_id
            assert (await first.write(number, create("first@b.co")))["customer_id"] == 1
            if isinstance(change, tuple):
                await second.execute([change])
            elif change is not None:
                await second.write(number, change)
            statement_times.take()
            writes = [first.write(number, create(f"new{n}@b.co")) for n in (1, 2)]
            outcomes: list[Any] = await asyncio.gather(*writes, return_exceptions=True)
            if change is None and first.dialect == "postgresql":
                assert sum(statement_times.take()[0]) == 1
            assert [type(o) if isinstance(o, Rejected) else o["customer_id"] for o in outcomes] == (
                expected
            )
            rows = await store.fetch(queries.last_change(), {"account_id": number})
            assert rows[0][0] == last_change
            await first.close()
            await second.close()

    with_store(new_database, write)


def test_write_that_the_database_refuses_does_not_affect_its_batch(server: Server) -> None:
    """A row that only the database refuses fails alone."""
    create_token(server)

    class Broken(CreateCustomer):
        """A command whose row has text where a number belongs."""

    async def write(store: Store) -> list[Any]:
        account = (await Accounts(store).all())[-1]
        bad = Broken({**clean_values({"email": "x@b.co"}, ())[0], "visits": "many"}, 1)
        good = [create(f"{n}@b.co") for n in range(4)]
        commands = [*good[:2], bad, *good[2:]]
        writes = [store.write(account.account_id, command) for command in commands]
        return list(await asyncio.gather(*writes, return_exceptions=True))

    outcomes = with_store(server.database_url, write)
    assert isinstance(outcomes[2], Exception)
    ids = [o["customer_id"] for i, o in enumerate(outcomes) if i != 2]
    assert ids == [1, 2, 3, 4]


def test_a_write_that_the_database_refuses_is_found_in_few_steps(server: Server) -> None:
    """Others do not become batches of one, each with a transaction of its own."""
    create_token(server)
    decided: list[int] = []

    def deciding(account_id: int, commands: Sequence[Any], state: State) -> Any:
        decided.append(len(commands))
        return decide(account_id, commands, state)

    async def write(opened: Store) -> list[Any]:
        account = (await Accounts(opened).all())[-1]
        url = parse_url(server.database_url)
        store = create_store(url, Domain(ENTITIES, deciding), STATEMENT_SECONDS)
        await store.open()
        broken = CreateCustomer({**clean_values({"email": "x@b.co"}, ())[0], "visits": "many"}, 1)
        commands = [create(f"{n}@b.co") for n in range(400)]
        writes = [store.write(account.account_id, each) for each in (*commands, broken)]
        outcomes = list(await asyncio.gather(*writes, return_exceptions=True))
        await store.close()
        return outcomes

    outcomes = with_store(server.database_url, write)
    assert isinstance(outcomes.pop(), Exception)
    assert [outcome["customer_id"] for outcome in outcomes] == list(range(1, 401))
    assert len(decided) < 60


@pytest.mark.slow
def test_a_dry_run_shows_rows_of_one_time(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process writes between the statements that load the rows. Nothing is saved that
    would be refused, but the result must not mix the rows."""

    def record(total: int, at: int) -> RecordOrder:
        node = {"name": "A-1", "email": "a@b.co", "total": total}
        values, person, problems = clean_order(node, ("node",))
        return RecordOrder(values, person, at, problems)

    async def write(dsn: str) -> None:
        store, other = PostgreSQLStore(dsn, DOMAIN), PostgreSQLStore(dsn, DOMAIN)
        await store.open()
        await other.open()
        number = (await Accounts(store).create("one")).account_id
        await other.write(number, record(10, 1))
        pending = [record(15, 2)]

        async def fetch_rows(connection: Any, query: Query, parameters: Any) -> list[Any]:
            rows = await transactions.fetch_rows(connection, query, parameters)
            while pending:  # after the first statement
                await other.write(number, pending.pop())
            return rows

        monkeypatch.setattr(batch_writer, "fetch_rows", fetch_rows)
        draft = await store.write(number, DryRun(record(20, 3)))
        assert draft.rows[customers][1]["expenses"] == units(Decimal(20))
        await store.close()
        await other.close()

    with scratch_database(postgresql) as dsn:
        assert run_regulars("migrate", "--database-url", dsn).returncode == 0
        asyncio.run(write(dsn))


@pytest.mark.slow
def test_inconsistent_rows_are_loaded_again_under_the_lock(postgresql: str) -> None:
    """Several statements load a batch, and another process may write between them. A decision that
    fails is repeated under the lock. If it fails again, the error is raised."""
    failing = {"times": 1}

    def deciding(account_id: int, commands: Sequence[Any], state: State) -> Any:
        if failing["times"]:
            failing["times"] -= 1
            raise AssertionError("an order without its customer")
        return decide(account_id, commands, state)

    async def write(dsn: str) -> None:
        store = PostgreSQLStore(dsn, Domain(ENTITIES, deciding))
        await store.open()
        number = (await Accounts(store).create("one")).account_id
        assert (await store.write(number, create("a@b.co")))["customer_id"] == 1
        failing["times"] = 2
        with pytest.raises(AssertionError):
            await store.write(number, create("b@b.co"))
        failing["times"] = 0
        assert (await store.write(number, create("b@b.co")))["customer_id"] == 2
        await store.close()

    with scratch_database(postgresql) as dsn:
        assert run_regulars("migrate", "--database-url", dsn).returncode == 0
        asyncio.run(write(dsn))
