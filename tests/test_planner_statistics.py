"""PostgreSQL has statistics of an account that grows fast, before autovacuum gathers them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.support import run_regulars, scratch_database

pytestmark = pytest.mark.slow

_ANALYZED = """SELECT relname FROM pg_stat_user_tables
    WHERE last_analyze IS NOT NULL AND relname IN ('customers', 'terms', 'history') ORDER BY 1"""
# The plan of a statement with unknown parameters, as PostgreSQL keeps it for a connection.
_PLAN = "EXPLAIN EXECUTE find(1, '{}')"
_FIND = """PREPARE find AS SELECT customer_id FROM customers
    WHERE account_id = $1::bigint AND email_key = ANY ($2::text[])"""


async def _fetch(dsn: str, *statements: str) -> list[Any]:
    """Return the rows of the last statement."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return [row[0] for row in await connection.fetch(statements[-1])]
    finally:
        await connection.close()


def _import(url: str, folder: Path, count: int, first: int = 0) -> None:
    file = folder / "customers.csv"
    rows = "".join(f"c{number}@example.com,C\n" for number in range(first, first + count))
    file.write_text(f"email,first_name\n{rows}")
    _run(url, "import", str(file))


def _run(url: str, *arguments: str) -> None:
    done = run_regulars(*arguments, env={"REGULARS_DATABASE_URL": url})
    assert done.returncode == 0, done.stderr


def test_statistics_are_gathered_while_an_account_grows(postgresql: str, tmp_path: Path) -> None:
    with scratch_database(postgresql) as url:
        _run(url, "migrate")
        _run(url, "account", "create", "shop")
        _import(url, tmp_path, 900)
        assert asyncio.run(_fetch(url, _ANALYZED)) == []
        _import(url, tmp_path, 200, first=900)
        assert asyncio.run(_fetch(url, _ANALYZED)) == ["customers", "history", "terms"]
        plan = asyncio.run(_fetch(url, "SET plan_cache_mode = force_generic_plan", _FIND, _PLAN))
        assert "customers_email_key" in plan[0], plan


def test_an_account_that_grows_in_a_large_table_is_analyzed_later(
    postgresql: str, tmp_path: Path
) -> None:
    with scratch_database(postgresql) as url:
        _run(url, "migrate")
        _run(url, "account", "create", "shop")
        grown = "UPDATE pg_class SET reltuples = 20000 WHERE oid = 'customers'::regclass"
        asyncio.run(_fetch(url, grown, "SELECT 1"))
        _import(url, tmp_path, 1_100)
        assert asyncio.run(_fetch(url, _ANALYZED)) == []
        _import(url, tmp_path, 9_000, first=1_100)
        assert asyncio.run(_fetch(url, _ANALYZED)) == ["customers", "history", "terms"]


def test_a_role_that_may_not_gather_statistics_imports(postgresql: str, tmp_path: Path) -> None:
    with scratch_database(postgresql) as url:
        _run(url, "migrate")
        _run(url, "account", "create", "shop")
        role = f"clerk_of_{urlsplit(url).path[1:]}"
        rights = "SELECT, INSERT, UPDATE, DELETE"  # with ALL it may gather statistics
        grants = f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO {role}"
        asyncio.run(_fetch(url, f"CREATE ROLE {role}", grants, "SELECT 1"))
        try:
            separator = "&" if "?" in url else "?"
            _import(f"{url}{separator}options=-c%20role%3D{role}", tmp_path, 1_100)
            count = asyncio.run(_fetch(url, "SELECT count(*) FROM customers"))
            assert (count, asyncio.run(_fetch(url, _ANALYZED))) == ([1_100], [])
        finally:
            asyncio.run(_fetch(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}", "SELECT 1"))
