"""Every statement that looks rows up by ids uses an index on both databases, with many rows."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.comments import queries as comment_queries
from regulars.comments.words import WORDS
from regulars.core.commands import IdempotencyRecord
from regulars.core.external_ids import ExternalId
from regulars.customers.bulk import SetCustomers, SetRow
from regulars.customers.commands import DeleteCustomers, reference_to
from regulars.directory.database import store_for
from regulars.directory.entities import ENTITIES
from regulars.jobs import queries as job_queries
from regulars.orders.commands import RecordLead, RecordOrder, ShopIds
from regulars.sample import LAST_TIMESTAMP
from regulars.store import LookupKeys, parse_url, queries, saving
from regulars.store.entity import ACCOUNT, DELETED_AT, BatchStatement
from regulars.store.postgresql.connect import open_connection
from regulars.store.query import Query
from regulars.store.sqlite.file import connect
from regulars.store.writes import (
    REMOVE_EXTERNAL_IDS,
    REPLACE_IDEMPOTENCY_RECORDS,
    forget_deleted_shop_ids,
)
from regulars.trash import queries as trash_queries
from regulars.webhooks.inbox_queries import insert_event, insert_key
from tests.postgres import vacuum
from tests.support import run_regulars, scratch_database

pytestmark = [pytest.mark.both_databases, pytest.mark.slow]

CUSTOMERS = 6_000
TRASHED = 2_000
# A statement may read all rows of these tables: an account has few, or here none.
SMALL = {"counters", "accounts", "compatibility", "webhooks", "imports", "attempts", "segments"}

# These read a page along an index of the account.
WALKS = {"trash", "trash, next page"}

LOOKUPS = LookupKeys(
    account_settings=[True],
    all_segments=[True],
    changed_orders=["#7"],
    comment_ids=[7],
    commented_customers=[7],
    commented_shop_ids=["cus_7"],
    customer_ids=[7],
    deleted_ids=[7],
    deleted_shop_ids=["cus_8"],
    edited_comments=[7],
    email_keys=["c7@x.test"],
    evaluated_customers=[7],
    evaluated_segments=[1],
    idempotency_keys=["k7"],
    idempotency_tokens=["t"],
    import_ids=["i"],
    job_webhooks=[True],
    moved_ids=[7],
    moved_shop_ids=["cus_8"],
    order_names=["#7"],
    phone_terms=["phone:600000007"],
    purged_ids=[5_007],
    recounted_ids=[7],
    restored_ids=[5_007],
    segment_webhooks=[True],
    shop_ids=["cus_7"],
    spend_settings=[True],
    table_versions=[True],
    taken_ids=[7],
    waiting_jobs=[True],
    webhook_ids=[1],
    webhook_urls=["https://x.test"],
)
# Parameters of the other statements, by their names.
VALUES: Mapping[str, Any] = {
    "account_id": 1,
    ACCOUNT: 1,
    DELETED_AT: LAST_TIMESTAMP,
    "after": 10,
    "after_id": 5_007,
    "after_time": LAST_TIMESTAMP,
    "before": 1_000,
    "cause": "job_1",
    WORDS.changed_keys: [7],
    "deleted_customers": [7],
    "email_key": "c7@x.test",
    "first": 500,
    "ids": [7, 8],
    "last": 9_000,
    "left_trash": [5_007],
    "limit": 25,
    "losing_customers": [7],
    "lost_external_ids": ["crm:cus_7"],
    "now": LAST_TIMESTAMP,
    "sequence": 7,
    "sequences": [7],
    "replaced_before": 1,
    "replaced_keys": ["k7"],
    "replaced_tokens": ["t"],
    "restored_shop_ids": ["cus_5007"],
    "shop_id": "cus_5007",
    "shop_ids": ["cus_7"],
    "term": "phone:600000007",
}
QUERIES: Mapping[str, Query] = {
    "objects_of_shop_ids": queries.objects_of_shop_ids(),
    "customer_with_email": queries.customer_with_email(),
    "customers_with_term": queries.customers_with_term(),
    "trash by email": trash_queries.page(("customer_id",), True, False),
    "trash by email, next page": trash_queries.page(("customer_id",), True, True),
    "trash": trash_queries.page(("customer_id",), False, False),
    "trash, next page": trash_queries.page(("customer_id",), False, True),
    "trash count by email": trash_queries.count(True),
    "trash with shop id": trash_queries.with_shop_id(False),
    "trash and present with shop id": trash_queries.with_shop_id(True),
    "due": trash_queries.due(),
    "old deletions": forget_deleted_shop_ids(),
    "entries of a job": job_queries.entries_of_cause(),
    "entries of a job about customers": job_queries.entries_of_customers(),
    "last other entries": job_queries.last_other_entries(),
    "actors of entries": job_queries.actors_of(),
    "entry": job_queries.entry(),
    "comments of customers": comment_queries.exported(False),
    "characters of comments": comment_queries.characters(),
}
STATEMENTS: Sequence[BatchStatement] = (
    trash_queries.DELETE_KEYS,
    trash_queries.FORGET_DELETIONS,
    REMOVE_EXTERNAL_IDS,
    WORDS.removal,
    REPLACE_IDEMPOTENCY_RECORDS,
)


def statements() -> Iterator[tuple[str, Query, Mapping[str, Any]]]:
    """Yield all statements: name, query, parameters. A new lookup needs a key above."""
    assert LOOKUPS.keys() == ENTITIES.lookups
    yield "state", ENTITIES.state_query(LOOKUPS), ENTITIES.state_parameters(1, LOOKUPS)
    for number, (load, parameters) in enumerate(ENTITIES.loads(1, LOOKUPS)):
        yield f"load {number} {load.lookups}", load.query(), parameters
    for name, query in QUERIES.items():
        yield name, query, VALUES
    for statement in (*STATEMENTS, *saving.deletions(ENTITIES, [ENTITIES.root])):
        yield statement.name, Query(statement.build(sa.and_)), VALUES


def is_bounded(condition: str) -> bool:
    """Return whether the condition of an index has more than the account. An index by time serves
    all accounts."""
    return " AND " in condition or re.search("_at ?<", condition) is not None


def fill_database(url: str) -> str:
    for command in ("migrate", "account create one"):
        assert run_regulars(*command.split(), "--database-url", url).returncode == 0
    asyncio.run(add_rows(url))
    return url


async def add_rows(url: str) -> None:
    """Add customers with emails, phones, ids of two systems and an order each, and memberships;
    delete the last."""
    store = store_for(url)
    await store.open()
    account_id = (await Accounts(store).resolve(None)).account_id
    for start in range(1, CUSTOMERS, 250):
        numbers = range(start, start + 250)
        rows = [
            SetRow(
                {
                    "email": f"c{n}@x.test",
                    "email_key": f"c{n}@x.test",
                    "phone": f"+212600{n:06}",
                    "external_ids": (ExternalId("shop", f"cus_{n}"), ExternalId("crm", f"cus_{n}")),
                }
            )
            for n in numbers
        ]
        await store.write(account_id, SetCustomers(tuple(rows), LAST_TIMESTAMP))
        writes = []
        for n in numbers:
            person = {"email": f"c{n}@x.test", "email_key": f"c{n}@x.test"}
            order = {"name": f"#{n}", "email": f"c{n}@x.test", "total": 1, "currency": "EUR"}
            ids = ShopIds(None, f"order_{n}")
            record = IdempotencyRecord("t", f"k{n}", 0, b"", LAST_TIMESTAMP)
            command = RecordOrder(order, person, LAST_TIMESTAMP, [], record, shop_ids=ids)
            writes.append(store.write(account_id, command))
            lead = {"subject": "s", "message": "m", "created_at": LAST_TIMESTAMP}
            writes.append(store.write(account_id, RecordLead(lead, person, LAST_TIMESTAMP)))
        await asyncio.gather(*writes)
    for start in range(CUSTOMERS - TRASHED + 1, CUSTOMERS, 250):
        references = tuple(reference_to(f"{n}") for n in range(start, start + 250))
        await store.write(account_id, DeleteCustomers(references, LAST_TIMESTAMP))
    for n in range(1, TRASHED):
        event = {"account_id": account_id, "inbox_id": f"e{n}", "key": f"c{n}@x.test"}
        event |= {"type": "t", "body": b"{}", "problem": "p", "received_at": 1, "times": 1}
        await store.execute([(insert_event(), event), (insert_key(), event)])
    members = sa.text(
        """INSERT INTO memberships (account_id, segment_id, customer_id, since)
        SELECT account_id, :segment, customer_id, 1 FROM customers"""
    )
    await store.execute([(Query(members), {"segment": number}) for number in (1, 2)])
    comments = sa.text(
        """INSERT INTO comments (account_id, comment_id, customer_id, text, private, edited,
        token_id, actor_kind, actor, created_at, updated_at)
        SELECT account_id, customer_id, customer_id, 'Call back', false, false, 't', 'token', 't',
        1, 1 FROM customers"""
    )
    await store.execute([(Query(comments), {})])
    terms = "SELECT account_id, comment_id, 'call', customer_id FROM comments"
    await store.execute([(Query(sa.text(f"INSERT INTO comment_terms {terms}")), {})])
    others = "SELECT account_id, 'other.' || email_key, customer_id FROM customers"
    await store.execute([(Query(sa.text(f"INSERT INTO additional_emails {others}")), {})])
    await store.close()


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fill_database(f"sqlite:///{tmp_path_factory.mktemp('plans') / 'plans.db'}")


@pytest.fixture(scope="module")
def on_postgresql(postgresql: str) -> Iterator[str]:
    with scratch_database(postgresql) as url:
        asyncio.run(vacuum(fill_database(url)))
        yield url


def test_every_lookup_uses_an_index_on_sqlite(on_sqlite: str) -> None:
    path = parse_url(on_sqlite).path
    assert path
    connection = connect(path)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    for name, query, parameters in statements():
        compiled = query.compiled("sqlite")
        values = [
            json.dumps(value) if isinstance(value, list) else value
            for value in compiled.arguments(parameters)
        ]
        rows = connection.execute(f"EXPLAIN QUERY PLAN {compiled.text}", values).fetchall()
        plan = "\n".join(str(row[3]) for row in rows)
        assert "AUTOMATIC" not in plan, (name, plan)
        for verb, table, condition in re.findall(r"^(SCAN|SEARCH) (\w+)(.*)$", plan, re.MULTILINE):
            if table not in tables - SMALL:
                continue
            assert verb == "SEARCH", (name, plan)
            assert name in WALKS or is_bounded(condition), (name, plan)
    connection.close()


def test_every_lookup_uses_an_index_on_postgresql(on_postgresql: str) -> None:
    async def explain() -> dict[str, str]:
        connection = await open_connection(on_postgresql, 10.0)
        plans = {}
        for name, query, parameters in statements():
            compiled = query.compiled("postgresql")
            values = compiled.arguments(parameters)
            rows = await connection.fetch(f"EXPLAIN {compiled.text}", *values)
            plans[name] = "\n".join(row[0] for row in rows)
        await connection.close()
        return plans

    for name, plan in asyncio.run(explain()).items():
        assert not set(re.findall(r"Seq Scan on (\w+)", plan)) - SMALL, (name, plan)
        for condition in re.findall(r"Index Cond: (.*)$", plan, re.MULTILINE):
            assert name in WALKS or is_bounded(condition), (name, plan)
