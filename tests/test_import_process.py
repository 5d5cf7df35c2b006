"""Imports whose rows a second process parses: the same results, and what happens when one ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import build_environment, wait_until
from tests.test_import import Shop, local, shop

__all__ = ["local", "shop"]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Other systems parse in one process."),
    pytest.mark.skipif(os.cpu_count() == 1, reason="One processor parses in one process."),
    pytest.mark.slow,
]

_NOTES = "Ordered by phone. " * 22


def rows(count: int) -> str:
    """A file of over 512 KiB: rejected rows, rows with warnings, second rows of customers, rows
    with tags, and names that the search folds."""
    lines = ["email,first_name,country,tags,Customer ID,note"]
    for n in range(count):
        email = "no email" if n % 50 == 7 else f"a{n - n % 20 if n % 20 == 3 else n}@x.test"
        country = "Atlantis" if n % 30 == 5 else "FR"
        shop_id = f"gid-{n % 700}"
        lines.append(f'{email},Łukasz {n},{country},"vip, t{n % 9}",{shop_id},{_NOTES}')
    return "\n".join(lines) + "\n"


@contextmanager
def importing(shop: Shop, file: str) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A running import, and the process that parses its rows."""
    process = subprocess.Popen(
        [sys.executable, "-m", "regulars", "import", file, "--account", "shop"],
        env=build_environment(shop.env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: psutil.Process(process.pid).children())
        yield process, psutil.Process(process.pid).children()[0]
    finally:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


def finish(shop: Shop, file: str) -> dict[str, Any]:
    """Resume an import, and return its result."""
    done = shop.run("import", "--resume", "--json", file)
    assert done.returncode == 5, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)[0]
    return result


def test_a_second_process_changes_no_result(shop: Shop, local: Shop) -> None:
    content = rows(1_500)
    assert len(content) > 512 * 1024
    file = shop.file("a.csv", content)
    results = []
    all_processors = os.sched_getaffinity(0)
    for processors in (all_processors, {min(all_processors)}):
        account = f"with-{len(processors)}"
        assert shop.run("account", "create", account).returncode == 0
        done = subprocess.run(
            [sys.executable, "-m", "regulars", "import", file, "--account", account, "--json"],
            env=build_environment(shop.env),
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=partial(os.sched_setaffinity, 0, processors),
        )
        assert done.returncode == 5, done.stderr
        result = json.loads(done.stdout)[0]
        del result["seconds"], result["account"]
        columns = "_id,email,first_name,tags,custom,notes,shipping_address"
        files = [Path(result[f"{kind}_file"]) for kind in ("rejected", "warnings")]
        # The warnings of the database follow those of the file in each batch. Its size is timed.
        texts = [sorted(path.read_text().splitlines()) for path in files]
        for path in files:
            path.unlink()
        found = shop.run("customer", "list", "--account", account, "--query", "lukasz tag:t3")
        results.append((result, texts, shop.customers(columns, account), found.stdout))
    assert results[0] == results[1]
    assert (results[0][0]["rejected"], results[0][0]["rows_with_warnings"]) > (0, 0)
    assert shop.run("verify").stdout.endswith("The data is consistent.\n")


def test_the_end_of_the_second_process_fails_the_import(local: Shop) -> None:
    file = local.file("a.csv", rows(6_000))
    with importing(local, file) as (process, parser):
        parser.kill()
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "ended unexpectedly (exit code -9)" in errors
        assert "--resume" in errors
    assert finish(local, file)["rows"] == 6_000


def test_a_killed_import_leaves_no_process(local: Shop) -> None:
    file = local.file("a.csv", rows(6_000))
    with importing(local, file) as (process, parser):
        process.kill()
        parser.wait(30)
    assert finish(local, file)["rows"] == 6_000


def test_an_interrupt_of_both_processes_stops_the_import(local: Shop) -> None:
    file = local.file("a.csv", rows(6_000))
    with importing(local, file) as (process, parser):
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert "Continue with the same command and --resume." in errors
        parser.wait(30)
    result = finish(local, file)
    assert result["rows"] == 6_000
    assert len(Path(result["rejected_file"]).read_text().splitlines()) == result["rejected"] + 1


def test_many_new_rows_are_saved_like_few(shop: Shop) -> None:
    """PostgreSQL copies many new rows, and saves few with one statement."""
    assert shop.run("account", "create", "few").returncode == 0
    heading, *lines = rows(1_500).splitlines(keepends=True)
    shop.bring(heading + "".join(lines), "--account", "shop")
    for start in range(0, len(lines), 300):
        part = heading + "".join(lines[start : start + 300])
        shop.bring(part, "--account", "few", name=f"{start}.csv")
    assert content_of(shop, "shop") == content_of(shop, "few")
    assert shop.run("verify").stdout.endswith("The data is consistent.\n")


def test_a_killed_import_resumes_with_the_same_result(shop: Shop) -> None:
    assert shop.run("account", "create", "whole").returncode == 0
    file = shop.file("a.csv", rows(6_000))
    with importing(shop, file) as (process, _):
        wait_until(lambda: bool(shop.customers("email", "shop")))
        process.kill()
        process.wait()
    assert len(shop.customers("email", "shop")) < 5_500
    assert shop.run("import", file, "--account", "shop", "--resume").returncode == 5
    copy = shop.file("whole.csv", rows(6_000))
    assert shop.run("import", copy, "--account", "whole").returncode == 5
    assert content_of(shop, "shop") == content_of(shop, "whole")
    assert shop.run("verify").stdout.endswith("The data is consistent.\n")


def test_two_imports_at_the_same_time_create_each_customer_once(shop: Shop) -> None:
    heading, *lines = rows(3_000).splitlines(keepends=True)
    files = [
        shop.file("a.csv", heading + "".join(lines[:2_000])),
        shop.file("b.csv", heading + "".join(lines[1_000:])),
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "regulars", "import", file, "--json"],
            env=build_environment(shop.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for file in files
    ]
    results = [json.loads(process.communicate()[0])[0] for process in processes]
    emails = {line.split(",", 1)[0] for line in lines} - {"no email"}
    assert sum(result["created"] for result in results) == len(emails)
    assert set(shop.emails()) == emails
    assert shop.run("verify").stdout.endswith("The data is consistent.\n")


def content_of(shop: Shop, account: str) -> tuple[list[dict[str, Any]], str]:
    """The customers of an account, and those that a search finds."""
    columns = "_id,email,first_name,tags,custom,notes,shipping_address,external_ids"
    found = shop.run("customer", "list", "--account", account, "--query", "lukasz tag:t3")
    return shop.customers(columns, account), found.stdout
