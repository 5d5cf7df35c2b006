"""Jobs that are stopped, killed and continued, and those of another version of the tables."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from regulars.accounts.accounts import Accounts
from regulars.cli.client import DatabaseClient, fetch_data
from regulars.core.clock import now_ms
from regulars.core.commands import COMMAND_LINE
from regulars.core.errors import Rejected
from regulars.customers.bulk import SetCustomers, SetRow
from regulars.customers.values import clean_values
from regulars.directory.verify import verify
from regulars.jobs.commands import BatchResult, EditCustomers
from regulars.jobs.edits import Edit
from regulars.jobs.starting import find_job
from regulars.jobs.values import MAX_EXAMPLES, MAX_PROBLEMS
from regulars.settings import Settings
from regulars.store import Store, parse_url
from regulars.store.auth_tables import compatibility
from regulars.store.query import Query
from regulars.transfer import job_runner
from regulars.transfer import jobs as jobs_module
from regulars.transfer.errors import Interrupted
from regulars.transfer.job import Job
from regulars.transfer.uploads import RETENTION_MS, forget_old
from tests.support import build_environment, with_store

pytestmark = pytest.mark.both_databases

COUNT = 60
EDIT = 'mutation { updateCustomers(query: "", addTags: ["x"], node: {notes: "n"}) { id } }'
RELEASE = Query(sa.text("UPDATE imports SET claimed_until = 0"))


async def shop(store: Store, count: int = COUNT) -> tuple[int, DatabaseClient]:
    """A new account with customers."""
    account = await Accounts(store).create("shop")
    for start in range(0, count, 250):
        rows = [
            SetRow(clean_values({"email": f"c{n}@x.test"}, ())[0])
            for n in range(start, min(start + 250, count))
        ]
        await store.write(account.account_id, SetCustomers(tuple(rows), now_ms()))
    return account.account_id, DatabaseClient(store, account.account_id, Settings())


async def start(client: DatabaseClient, document: str = EDIT) -> str:
    (job,) = (await fetch_data(client, document)).values()
    return str(job["id"])


def undo_document(job_id: str) -> str:
    return f'mutation {{ undoJob(id: "{job_id}") {{ id }} }}'


async def cancel_in_third_batch(
    monkeypatch: pytest.MonkeyPatch, client: DatabaseClient, job: Job, job_id: str
) -> None:
    """Run a job that is cancelled before its third batch is written."""
    write = job_runner.JobRunner._write
    batches = 0

    async def cancel(runner: Any, command: Any) -> Any:
        nonlocal batches
        batches += 1
        if batches == 3:
            await start(client, f'mutation {{ cancelJob(id: "{job_id}") {{ id }} }}')
        return await write(runner, command)

    with monkeypatch.context() as patch:
        patch.setattr(job_runner.JobRunner, "_write", cancel)
        await job.run()


async def state_of(store: Store, account_id: int, job_id: str) -> dict[str, Any]:
    row = await find_job(store, account_id, job_id)
    assert row is not None
    return dict(row)


async def versions(store: Store) -> dict[int, int]:
    rows = await store.fetch(Query(sa.text("SELECT version FROM customers")), {})
    return {version: sum(row[0] == version for row in rows) for version in {r[0] for r in rows}}


def run(database: str, work: Callable[[Store], Awaitable[None]]) -> None:
    with_store(database, work)
    assert verify(parse_url(database)).problems == []


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_runner, "_BATCH", 7)


def test_a_stopped_job_continues_where_it_was(
    new_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = job_runner.JobRunner._write

    async def work(store: Store) -> None:
        account_id, client = await shop(store)

        async def finish(job_id: str) -> int:
            """Stops each process after its second batch, and returns how many there were."""
            processes = 0
            while (await state_of(store, account_id, job_id))["state"] != "done":
                processes += 1
                job, batches = Job(store, account_id, job_id), 0

                async def count(runner: Any, command: Any, job: Job = job) -> Any:
                    nonlocal batches
                    batches += 1
                    if batches == 2:
                        job.stop()
                    return await write(runner, command)

                monkeypatch.setattr(job_runner.JobRunner, "_write", count)
                await job.run()
            return processes

        edit_id = await start(client)
        assert await finish(edit_id) >= 4
        assert await versions(store) == {2: COUNT}
        row = await state_of(store, account_id, edit_id)
        assert (row["updated"], row["position"], row["size"]) == (COUNT, COUNT, COUNT)
        undo_id = await start(client, undo_document(edit_id))
        assert await finish(undo_id) >= 4
        assert await versions(store) == {3: COUNT}
        row = await state_of(store, account_id, undo_id)
        assert (row["updated"], row["unchanged"]) == (COUNT, 0)

    run(new_database, work)


def test_a_cancelled_job_stops_and_is_undone(
    new_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(store: Store) -> None:
        account_id, client = await shop(store)
        edit_id = await start(client)
        await cancel_in_third_batch(monkeypatch, client, Job(store, account_id, edit_id), edit_id)
        row = await state_of(store, account_id, edit_id)
        assert (row["state"], row["updated"]) == ("cancelled", 14)
        # The values of the edit are stored in the history only.
        assert '"edit"' not in row["source"]
        undo_id = await start(client, undo_document(edit_id))
        await Job(store, account_id, undo_id).run()
        assert (await state_of(store, account_id, undo_id))["updated"] == 14
        assert await versions(store) == {1: COUNT - 14, 3: 14}

    run(new_database, work)


def test_a_cancelled_undo_is_started_again(
    new_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(store: Store) -> None:
        account_id, client = await shop(store)
        edit_id = await start(client)
        await Job(store, account_id, edit_id).run()
        undo = undo_document(edit_id)
        first_id = await start(client, undo)
        await cancel_in_third_batch(monkeypatch, client, Job(store, account_id, first_id), first_id)
        second_id = await start(client, undo)
        await Job(store, account_id, second_id).run()
        row = await state_of(store, account_id, second_id)
        assert (row["updated"], row["unchanged"], row["problems"]) == (COUNT - 14, 14, "{}")
        assert await versions(store) == {3: COUNT}

    run(new_database, work)


def test_a_renaming_that_stops_changes_segments_once_at_its_end(
    new_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(store: Store) -> None:
        account_id, client = await shop(store)
        await Job(store, account_id, await start(client)).run()
        await start(client, 'mutation { createSegment(node: {name: "S", query: "tag:x"}) { id } }')

        async def query() -> str:
            read = await fetch_data(client, "{ segments { edges { node { query } } } }")
            return str(read["segments"]["edges"][0]["node"]["query"])

        rename = 'mutation { renameTags(names: ["x"], newName: "y") { id } }'
        first_id = await start(client, rename)
        await cancel_in_third_batch(monkeypatch, client, Job(store, account_id, first_id), first_id)
        assert (await state_of(store, account_id, first_id))["updated"] == 14
        assert await query() == "tag:x"
        # The second job renames the others.
        second_id = await start(client, rename)
        await Job(store, account_id, second_id).run()
        assert (await state_of(store, account_id, second_id))["updated"] == COUNT - 14
        assert await query() == "tag:y"

        undo_id = await start(client, undo_document(second_id))
        write, stops = job_runner.JobRunner._write, 0

        async def stop_at_end(runner: Any, command: Any) -> Any:
            nonlocal stops
            result = await write(runner, command)
            if command.segments:
                stops += 1
                raise Interrupted("Stopped.")
            return result

        monkeypatch.setattr(job_runner.JobRunner, "_write", stop_at_end)
        for state in ("running", "done"):
            await Job(store, account_id, undo_id).run()
            row = await state_of(store, account_id, undo_id)
            assert (row["state"], row["updated"], row["unchanged"]) == (state, COUNT - 14, 0)
            assert await query() == "tag:x"
        assert stops == 1

    run(new_database, work)


@pytest.mark.slow
def test_killed_processes_do_each_customer_once(new_database: str) -> None:
    chance = random.Random(1)
    count = 4_000
    environment = build_environment({"REGULARS_DATABASE_URL": new_database})

    def kill_until_done(account_id: int, job_id: str) -> None:
        for attempt in range(40):
            command = [sys.executable, "-m", "regulars.import_worker", str(account_id), job_id]
            with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as process:
                try:
                    # More time with each attempt: a process can take long to start.
                    process.wait(0.6 + chance.random() + attempt / 4)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            state = ""

            async def check(store: Store) -> None:
                nonlocal state
                await store.execute([(RELEASE, {})])
                state = (await state_of(store, account_id, job_id))["state"]

            with_store(new_database, check)
            if state == "done":
                return
        raise AssertionError(state)

    ids: list[Any] = []

    async def begin(store: Store) -> None:
        account_id, client = await shop(store, count)
        ids.extend([account_id, await start(client)])

    async def check_edit(store: Store) -> None:
        assert await versions(store) == {2: count}
        client = DatabaseClient(store, ids[0], Settings())
        ids.append(await start(client, undo_document(ids[1])))

    async def check_undo(store: Store) -> None:
        assert await versions(store) == {3: count}

    with_store(new_database, begin)
    kill_until_done(ids[0], ids[1])
    with_store(new_database, check_edit)
    kill_until_done(ids[0], ids[2])
    run(new_database, check_undo)


def test_jobs_wait_for_the_end_of_an_upgrade(new_database: str) -> None:
    async def work(store: Store) -> None:
        _, client = await shop(store, 1)
        before = Query(compatibility.update().values(finished="0019"))
        await store.execute([(before, {})])
        response = await client.execute(EDIT, {})
        (error,) = response["errors"]
        assert error["key"] == "errors_unavailable"
        assert "regulars migrate --contract" in error["message"]

    with_store(new_database, work)


def test_a_job_that_ended_is_not_continued(new_database: str) -> None:
    async def work(store: Store) -> None:
        account_id, client = await shop(store, 1)
        job_id = await start(client)
        await Job(store, account_id, job_id).run()
        edit = Edit({}, add_tags=("y",))
        for position in (0, 1):
            command = EditCustomers(job_id, position, (1,), edit, now_ms(), COMMAND_LINE)
            with pytest.raises(Rejected) as refused:
                await store.write(account_id, command)
            assert refused.value.problems[0].key == "errors_import_stopped"
        assert await versions(store) == {2: 1}

    run(new_database, work)


def test_jobs_are_deleted_after_a_month(new_database: str) -> None:
    async def work(store: Store) -> None:
        account_id, client = await shop(store, 1)
        job_id = await start(client)
        await Job(store, account_id, job_id).run()
        ended_at = (await state_of(store, account_id, job_id))["updated_at"]
        await forget_old(store, ended_at + RETENTION_MS - 1)
        assert await find_job(store, account_id, job_id)
        await forget_old(store, ended_at + RETENTION_MS)
        assert await find_job(store, account_id, job_id) is None

    run(new_database, work)


def test_a_deleted_segment_ends_its_job(new_database: str) -> None:
    async def work(store: Store) -> None:
        account_id, client = await shop(store, 1)
        create = 'mutation { createSegment(node: {name: "All", query: ""}) { id } }'
        segment_id = await start(client, create)
        job_id = await start(
            client, 'mutation { updateCustomers(segment: "All", addTags: ["x"]) { id } }'
        )
        delete = "mutation($i: [ID!]!) { deleteSegments(items: $i) }"
        await fetch_data(client, delete, i=[segment_id])
        await Job(store, account_id, job_id).run()
        row = await state_of(store, account_id, job_id)
        assert row["state"] == "failed"
        assert "No segment" in row["message"]
        assert await versions(store) == {1: 1}

    run(new_database, work)


def test_a_job_whose_process_fails_again_and_again_ends(
    new_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "_POLL_SECONDS", 0)

    async def work(store: Store) -> None:
        account_id, client = await shop(store, 1)
        job_id = await start(client)
        supervisor = jobs_module.Jobs(store, {})
        for _ in range(3):
            assert (await state_of(store, account_id, job_id))["state"] == "pending"
            await supervisor._failed(account_id, job_id, 1)
        row = await state_of(store, account_id, job_id)
        assert row["state"] == "failed"
        assert '"edit"' not in row["source"]

    run(new_database, work)


def test_at_most_ten_jobs_wait(new_database: str) -> None:
    async def work(store: Store) -> None:
        _, client = await shop(store, 1)
        fields = [f'j{n}: updateCustomers(query: "", addTags: ["x"]) {{ id }}' for n in range(11)]
        response = await client.execute(f"mutation {{ {' '.join(fields)} }}", {})
        (error,) = response["errors"]
        assert (error["key"], error["path"]) == ("errors_limit", ["j10"])

    run(new_database, work)


def test_tally_of_a_dry_run_has_limits() -> None:
    """Each batch has its own kinds of problems, and the tally of all is stored."""
    tally = job_runner.JobTally()
    for batch in range(5):
        kinds = {f"problem {batch}-{n}": {"count": 1, "examples": [n]} for n in range(30)}
        shared = {"shared": {"count": 9, "examples": list(range(9))}}
        tally.add(BatchResult(39, 0, 0, 39, shared | kinds))
    assert len(tally.problems) == MAX_PROBLEMS
    assert tally.problems["shared"]["count"] == 45
    assert sum(group["count"] for group in tally.problems.values()) == 5 * 39
    assert max(len(group["examples"]) for group in tally.problems.values()) == MAX_EXAMPLES
