"""`regulars copy`: from any database to any, row by row, interrupted and resumed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.store import Store, queries
from regulars.store.errors import StoreError
from regulars.store.query import Query
from regulars.store.tables import customers, metadata
from tests.conftest import DATABASES
from tests.support import (
    Client,
    build_environment,
    create_token,
    run_regulars,
    run_server,
    scratch_database,
    with_store,
)

pytestmark = pytest.mark.both_databases

PAIRS = [
    pytest.param(
        *pair, marks=[] if pair == ("sqlite", "postgresql") else pytest.mark.slow, id="-".join(pair)
    )
    for pair in itertools.product(DATABASES, DATABASES)
]


@contextlib.contextmanager
def empty(kind: str, request: pytest.FixtureRequest, folder: Path, name: str) -> Iterator[str]:
    """The URL of a database without tables."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / name}.db"
        return
    with scratch_database(request.getfixturevalue("postgresql")) as url:
        yield url


def create_source(url: str) -> str:
    """A database with two accounts, and everything that an account may have."""
    for command in ("migrate", "account create one", "account create two"):
        assert run_regulars(*command.split(), "--database-url", url).returncode == 0
    for name, count in (("one", "150"), ("two", "40")):
        sample = ("sample", "--account", name, "--customers", count)
        assert run_regulars(*sample, "--database-url", url).returncode == 0
    with run_server(url) as server:
        token = create_token(server, "one", scopes=("admin",))
        with Client(server, token) as client:
            key = {"Idempotency-Key": "a key"}
            create = 'mutation { createCustomer(node: {email: "key@example.com"}) { id } }'
            assert client.post(create, headers=key).status_code == 200
            client.create("gone@example.com", notes="a note")
            webhook = """mutation { createWebhook(node: {type: "contact/signup",
                url: "https://hooks.example.com/x"}) { id } }"""
            client.run(webhook)
            body = b"email\nimported@example.com\n"
            assert client.http.post("/import?name=x.csv", content=body).status_code == 202
    return url


def copied(source: str, target: str, *options: str) -> dict[str, Any]:
    """What a copy says of itself."""
    done = run_regulars("copy", source, target, "--json", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["different"] == 0
    return result


def exported(url: str) -> list[bytes]:
    """All customers, as they are exported."""
    exports = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("one", "two"):
            file = Path(folder) / f"{name}.jsonl"
            done = run_regulars("export", str(file), "--account", name, "--database-url", url)
            assert done.returncode == 0, done.stderr
            exports.append(file.read_bytes())
    return exports


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_copy_has_identical_rows(
    first: str, second: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with empty(first, request, tmp_path, "source") as source:
        create_source(source)
        with empty(second, request, tmp_path, "target") as target:
            tables = copied(source, target)["tables"]
            assert set(tables) == set(metadata.tables) - {"compatibility"}
            assert tables["customers"]["added"] == tables["customers"]["compared"] > 190
            for name in ("tokens", "history", "terms", "orders", "receipts", "counters"):
                assert tables[name]["added"] == tables[name]["compared"] > 0, name
            assert exported(source) == exported(target)
            assert run_regulars("verify", "--database-url", target).returncode == 0


@pytest.mark.slow
def test_a_copy_is_updated(
    empty_database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The update copies changed, deleted, new and replaced rows, and removes an account that
    exists only in the copy."""
    source = create_source(f"sqlite:///{tmp_path / 'source.db'}")
    target = empty_database
    copied(source, target)
    again = copied(source, target, "--continue")["tables"]
    assert {(t["added"], t["removed"]) for t in again.values()} == {(0, 0)}
    assert run_regulars("account", "create", "new there", "--database-url", target).returncode == 0
    with run_server(source) as server, Client(server, create_token(server, "one")) as client:
        ids = [edge["node"]["id"] for edge in client.page("id", first=6)["edges"]]
        client.delete(*ids[:2])
        client.update(ids[2], email="taken@example.com")
        emails = client.page("email", first=6)["edges"]
        freed = emails[1]["node"]["email"]
        client.update(ids[3], email="elsewhere@example.com")
        client.update(ids[4], email=freed)
        client.create("later@example.com")
    result = copied(source, target, "--continue")["tables"]
    assert result["accounts"]["removed"] == 1
    assert result["customers"]["removed"] >= 4
    assert exported(source) == exported(target)
    assert run_regulars("verify", "--database-url", target).returncode == 0


@pytest.mark.slow
def test_a_killed_copy_is_continued(
    postgresql: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = create_source(f"sqlite:///{tmp_path / 'source.db'}")
    with scratch_database(postgresql) as target:
        assert run_regulars("migrate", "--database-url", target).returncode == 0
        process = subprocess.Popen(
            [sys.executable, "-m", "regulars", "copy", source, target], env=build_environment()
        )
        end = time.monotonic() + 120
        while not count(target) and process.poll() is None:
            assert time.monotonic() < end
        process.send_signal(signal.SIGKILL)
        process.wait()
        refused = run_regulars("copy", source, target)
        assert refused.returncode == 2
        assert "--resume" in refused.stderr
        copied(source, target, "--continue")
        assert exported(source) == exported(target)


def count(url: str) -> int:
    async def read(store: Store) -> int:
        return len(await store.fetch(queries.count_customers(), {}))

    try:
        return with_store(url, read)
    except StoreError:
        return 0


@pytest.mark.slow
def test_different_rows_are_reported(empty_database: str, tmp_path: Path) -> None:
    """A row that something else wrote into the copy while it was made."""
    from regulars.transfer.database_copy import Copy

    source = create_source(f"sqlite:///{tmp_path / 'source.db'}")
    copied(source, empty_database)

    async def run(target: Store) -> int:
        change = customers.update().where(customers.c.account_id == 1, customers.c.customer_id == 7)
        spoiling = Query(change.values(visits=123456))

        class Spoiled:
            """The target, in which a row changes after everything has been copied."""

            def __getattr__(self, name: str) -> Any:
                return getattr(target, name)

            @contextlib.asynccontextmanager
            async def snapshot(self) -> Any:
                await target.execute([(spoiling, {})])
                async with target.snapshot() as snapshot:
                    yield snapshot

        from regulars.directory.database import store_for

        opened = store_for(source)
        await opened.open()
        try:
            done = await Copy(opened, Spoiled()).run()
        finally:
            await opened.close()
        assert done.tables["customers"].different == 1
        return done.different

    assert with_store(empty_database, run) == 1


def test_a_snapshot_ends_with_a_cancelled_query(new_database: str) -> None:
    """Ctrl-C cancels a copy while a thread reads a page."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000000)"
    slow = Query(sa.text(f"{numbers} SELECT count(*) FROM n"))

    async def run(store: Store) -> None:
        async with store.snapshot() as snapshot:
            reading = asyncio.create_task(snapshot.fetch(slow, {}))
            await asyncio.sleep(0.2)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading

    began = time.monotonic()
    with_store(new_database, run)
    assert time.monotonic() - began < 8  # a statement may take ten seconds


@pytest.mark.slow
def test_a_database_is_not_copied_to_itself_or_to_a_used_one(tmp_path: Path) -> None:
    first, second = (f"sqlite:///{tmp_path / name}.db" for name in ("one", "two"))
    for url in (first, second):
        assert run_regulars("migrate", "--database-url", url).returncode == 0
        assert run_regulars("account", "create", "x", "--database-url", url).returncode == 0
    assert run_regulars("copy", first, first).returncode == 2
    refused = run_regulars("copy", first, second)
    assert refused.returncode == 2
    assert "already has accounts" in refused.stderr
    missing = run_regulars("copy", f"sqlite:///{tmp_path / 'none.db'}", second)
    assert missing.returncode != 0
    assert not (tmp_path / "none.db").exists()
