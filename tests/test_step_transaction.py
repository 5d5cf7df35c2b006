"""SQLite: an import saves several steps in one transaction, and loses nothing by it."""

from __future__ import annotations

import asyncio
import json
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.core.clock import now_ms
from regulars.core.errors import Rejected
from regulars.customers.bulk import SetCustomers, SetRow, Step
from regulars.customers.values import clean_values
from regulars.directory.database import store_for
from regulars.directory.directory import Directory
from regulars.store import DiskFull, Store
from regulars.store.imports import RUNNING
from regulars.store.query import Query
from regulars.store.sqlite import batch_writer, step_transaction, writer_thread
from regulars.transfer.import_repository import FOREVER, ImportRepository
from tests.support import build_environment, copy_sqlite_template, wait_until
from tests.test_import import Shop, local

__all__ = ["local"]

# A Python that combines the steps from the beginning of an import.
_IMPORT = (
    "from regulars.store.sqlite import step_transaction, writer_thread; "
    "writer_thread._QUIET_SECONDS = -1.0; step_transaction._SECONDS = {seconds}; "
    "from regulars.cli import main; main()"
)
_NOTES = "Ordered by phone. " * 22


@pytest.fixture
def combined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Combines steps at once, although other processes may just have written."""
    monkeypatch.setattr(writer_thread, "_QUIET_SECONDS", -1.0)
    monkeypatch.setattr(step_transaction, "_SECONDS", 60.0)


@contextmanager
def importing(shop: Shop, file: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _IMPORT.format(seconds=seconds), "import", file],
        env=build_environment(shop.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read(shop: Shop, query: str) -> list[Any]:
    """Returns the rows of a query. Python's own sqlite3 would release the locks of APSW, which the
    commands in this process use."""
    with closing(apsw.Connection(shop.url.removeprefix("sqlite:///"))) as connection:
        return list(connection.execute(query))


def random_file(seed: int, count: int) -> str:
    """Rows of few customers: new ones, changed ones, and some that only a phone and a name or an
    id of the shop identify."""
    draw = random.Random(seed)
    lines = ["email,first_name,last_name,phone,tags,Customer ID,note"]
    for _ in range(count):
        n = draw.randrange(count // 2)
        email = f"a{n}@x.test" if draw.random() < 0.8 else ""
        phone = f"+4930{n:07d}" if draw.random() < 0.8 else ""
        shop_id = f"c{n}" if draw.random() < 0.3 else ""
        tags = draw.choice(["", "vip", "new;vip"])
        note = _NOTES if draw.random() < 0.3 else ""
        lines.append(f"{email},Ann,Miller{n},{phone},{tags},{shop_id},{note}")
    return "\n".join(lines) + "\n"


def content(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of the tables of customers, without times and the ids of imports."""
    queries = {
        "customers": "SELECT customer_id, email_key, phone, words, facets, tags, notes, custom, "
        "external_ids, version FROM customers ORDER BY 1",
        "terms": "SELECT term, customer_id FROM terms ORDER BY 1, 2",
        "history": "SELECT sequence, customer_id, kind FROM history ORDER BY 1",
    }
    return {name: read(shop, text) for name, text in queries.items()}


@pytest.mark.parametrize("seed", range(4))
def test_combined_steps_save_what_single_steps_save(
    local: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    file = random_file(seed, 2_000)
    (tmp_path / "other").mkdir()
    other = Shop(copy_sqlite_template(tmp_path / "other.db"), tmp_path / "other")
    single = local.bring(file)
    monkeypatch.setattr(writer_thread, "_QUIET_SECONDS", -1.0)
    monkeypatch.setattr(step_transaction, "_SECONDS", 0.1 * seed)
    combined = other.bring(file)
    assert single["created"] > 100 < single["updated"]
    names = ("created", "updated", "unchanged", "rejected", "warnings")
    assert [combined[name] for name in names] == [single[name] for name in names]
    assert content(other) == content(local)
    assert other.run("verify").stdout.endswith("The data is consistent.\n")


def test_a_killed_import_loses_only_what_it_repeats(local: Shop, tmp_path: Path) -> None:
    text = random_file(9, 12_000)
    file = local.file("a.csv", text)
    with importing(local, file, 0.3) as process:
        wait_until(lambda: bool(emails_of(local)))
        process.kill()
        process.communicate()
    ((state, position),) = read(local, "SELECT state, position FROM imports")
    assert state == "running"
    assert 0 < position < 12_000
    resumed = local.run("import", file, "--resume", "--json")
    (tmp_path / "other").mkdir()
    other = Shop(copy_sqlite_template(tmp_path / "other.db"), tmp_path / "other")
    whole = other.bring(text)
    (result,) = json.loads(resumed.stdout)
    assert [result[n] for n in ("created", "updated")] == [whole[n] for n in ("created", "updated")]
    assert content(local) == content(other)
    assert local.run("verify").stdout.endswith("The data is consistent.\n")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux limits the size of files.")
def test_an_import_without_space_for_its_commit_says_so(local: Shop) -> None:
    file = local.file("a.csv", random_file(5, 20_000))
    with importing(local, file, 0.3) as process:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "Continue with the same command and --resume." in errors
    assert "Traceback" not in errors
    assert local.run("import", file, "--resume").returncode == 5  # some rows name no customer
    assert local.run("verify").stdout.endswith("The data is consistent.\n")


def test_a_stopped_import_has_saved_what_it_reports(local: Shop) -> None:
    file = local.file("a.csv", random_file(6, 40_000))
    with importing(local, file, 60.0) as process:
        wait_until(lambda: read(local, "SELECT 1 FROM imports"))
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    match = re.search(r"Stopped after ([0-9,]+) rows", errors)
    assert match, errors
    ((position,),) = read(local, "SELECT position FROM imports")
    assert position == int(match[1].replace(",", ""))


class Import:
    """An import of an account whose steps a test writes."""

    def __init__(self, store: Store, account_id: int, import_id: str) -> None:
        self._directory = Directory(store)
        self._account_id = account_id
        self._import_id = import_id
        self._rows = 0

    async def write(self, *emails: str) -> Any:
        rows = []
        for email in emails:
            values, problems = clean_values({"email": email}, ("node",))
            rows.append(SetRow(values, tuple(problems)))
        to = self._rows + len(rows)
        step = Step(self._import_id, self._rows, to, 0, 0, "{}")
        result = await self._directory.write(
            self._account_id, SetCustomers(tuple(rows), now_ms(), step=step)
        )
        self._rows = to
        return result


def with_import(url: str, work: Callable[[Store, Import], Awaitable[None]]) -> None:
    async def run() -> None:
        store = store_for(url, is_bulk=True)
        await store.open()
        try:
            account_id = (await Accounts(store).resolve("shop")).account_id
            runs = ImportRepository(store, account_id)
            row = await runs.begin(RUNNING, "a", "f", {}, 1, now_ms(), claimed_until=FOREVER)
            await work(store, Import(store, account_id, row["import_id"]))
        finally:
            await store.close()

    asyncio.run(run())


def emails_of(shop: Shop) -> list[str]:
    return [email for (email,) in read(shop, "SELECT email FROM customers")]


@pytest.mark.usefixtures("combined")
def test_another_command_saves_the_steps_before_it(local: Shop) -> None:
    async def work(store: Store, importing: Import) -> None:
        await importing.write("a@x.test")
        await importing.write("b@x.test")
        assert emails_of(local) == []
        await store.execute([])
        assert emails_of(local) == ["a@x.test", "b@x.test"]
        await importing.write("c@x.test")
        await Accounts(store).create("other")
        assert len(emails_of(local)) == 3
        await importing.write("d@x.test")

    with_import(local.url, work)
    assert len(emails_of(local)) == 4


@pytest.mark.usefixtures("combined")
def test_a_refused_step_does_not_undo_the_steps_before_it(local: Shop) -> None:
    async def work(_store: Store, importing: Import) -> None:
        await importing.write("a@x.test")
        importing._rows += 1  # not the saved position
        with pytest.raises(Rejected):
            await importing.write("b@x.test")
        importing._rows -= 1
        await importing.write("c@x.test")

    with_import(local.url, work)
    assert emails_of(local) == ["a@x.test", "c@x.test"]
    assert local.run("verify").stdout.endswith("The data is consistent.\n")


@pytest.mark.usefixtures("combined")
def test_a_step_that_fails_does_not_undo_the_steps_before_it(
    local: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(_store: Store, importing: Import) -> None:
        await importing.write("a@x.test")
        with monkeypatch.context() as patch:
            # After its rows and its terms.
            patch.setattr(batch_writer, "_counters", lambda _entities: Query(sa.text("no SQL")))
            with pytest.raises(apsw.SQLError):
                await importing.write("b@x.test")
        await importing.write("c@x.test")

    with_import(local.url, work)
    assert emails_of(local) == ["a@x.test", "c@x.test"]
    assert local.run("verify").stdout.endswith("The data is consistent.\n")


@pytest.mark.usefixtures("combined")
def test_an_error_of_the_commit_reaches_the_next_call(
    local: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(*_arguments: Any) -> None:
        raise apsw.FullError("database or disk is full")

    async def work(store: Store, importing: Import) -> None:
        await importing.write("a@x.test")
        with monkeypatch.context() as patch:
            patch.setattr(step_transaction, "end_transaction", is_full)
            with pytest.raises(DiskFull):
                await store.execute([])
        assert emails_of(local) == []
        importing._rows = 0
        await importing.write("b@x.test")
        with monkeypatch.context() as patch:
            patch.setattr(step_transaction, "end_transaction", is_full)
            with pytest.raises(DiskFull):
                await Accounts(store).create("other")
        importing._rows = 0
        await importing.write("c@x.test")
        monkeypatch.setattr(step_transaction, "end_transaction", is_full)

    with pytest.raises(DiskFull):
        with_import(local.url, work)
    assert emails_of(local) == []


def test_steps_are_saved_one_by_one_while_another_process_writes(
    local: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_transaction, "_SECONDS", 60.0)

    async def work(_store: Store, importing: Import) -> None:
        # The import does not know yet whether others write.
        await importing.write("a@x.test")
        assert len(emails_of(local)) == 1
        await asyncio.to_thread(local.run, "account", "create", "other")
        await importing.write("b@x.test")
        assert len(emails_of(local)) == 2
        await asyncio.sleep(1.6)
        await importing.write("c@x.test")
        assert len(emails_of(local)) == 2

    monkeypatch.setattr(writer_thread, "_QUIET_SECONDS", 1.5)
    with_import(local.url, work)
    assert len(emails_of(local)) == 3


@pytest.mark.usefixtures("combined")
def test_steps_are_saved_when_no_step_follows(local: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_transaction, "_SECONDS", 0.2)

    async def work(_store: Store, importing: Import) -> None:
        await importing.write("a@x.test")
        await asyncio.to_thread(wait_until, lambda: bool(emails_of(local)))

    with_import(local.url, work)
