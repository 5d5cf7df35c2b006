"""Fill a database with thousands of accounts: one gets sample customers, and SQL copies it to the
others, because millions of customers would take hours through the API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import asyncpg

from benchmarks.scale.fairness import run_regulars

_BLOCK = 1_000
_TABLES = ("customers", "terms", "history", "orders", "leads")
_COUNTED = {"customers": "customers", "history": "changes", "orders": "orders", "leads": "leads"}
_IDS = {
    "customers": ("customer_id",),
    "terms": ("customer_id",),
    "history": ("customer_id", "sequence", "order_id"),
    "orders": ("customer_id", "order_id"),
    "leads": ("customer_id", "lead_id"),
}
# The columns that are unique within an account.
_UNIQUE = {"customers": ("email", "email_key", "email_folded"), "orders": ("name",)}


@dataclass(frozen=True, slots=True)
class FilledDatabase:
    """A database of several accounts with the same number of customers each."""

    url: str
    accounts: int
    customers_per_account: int
    size_bytes: int

    def token(self, number: int) -> str:
        """Returns the token of an account. Accounts are numbered from 1."""
        return f"benchmark-{number}"

    def tokens(self) -> Iterator[str]:
        """Yields all tokens endlessly. Those of accounts with close numbers are far apart."""
        number = 0
        while True:
            number = (number + 7_919) % self.accounts
            yield self.token(number + 1)


def fill(url: str, accounts: int, customers: int) -> FilledDatabase:
    """Fills an empty database with `customers` customers in `accounts` accounts."""
    customers_per_account = max(1, customers // accounts)
    run_regulars(url, "migrate")
    run_regulars(url, "account", "create", "1")
    run_regulars(url, "sample", "--customers", str(min(customers_per_account, _BLOCK)))
    return asyncio.run(_multiply(url, accounts, customers_per_account))


async def _multiply(url: str, accounts: int, customers_per_account: int) -> FilledDatabase:
    async with asyncpg.create_pool(
        url, min_size=1, max_size=len(_TABLES), init=_speed_up_writes
    ) as pool:
        keys, foreign_keys = await _drop_keys_and_indexes(pool)
        await _multiply_first_account(pool, customers_per_account)
        await pool.execute(
            "INSERT INTO accounts SELECT n, n::text, 0 FROM generate_series(2, $1) n", accounts
        )
        await pool.execute(
            """INSERT INTO tokens (token_id, hash, account_id, name, created_at)
            SELECT n::text, sha256(('benchmark-' || n)::bytea), n, 'benchmark', 0
            FROM generate_series(1, $1) n""",
            accounts,
        )
        tables = ("counters", *_TABLES)
        await asyncio.gather(*(_copy_to_accounts(pool, table, accounts) for table in tables))
        await asyncio.gather(*(_execute_all(pool, statements) for statements in keys))
        await _execute_all(pool, foreign_keys)
        await pool.execute("VACUUM ANALYZE")
        size = await pool.fetchval("SELECT pg_database_size(current_database())")
    return FilledDatabase(url, accounts, customers_per_account, size)


async def _speed_up_writes(connection: asyncpg.Connection) -> None:
    await connection.execute("SET synchronous_commit = off")
    await connection.execute("SET maintenance_work_mem = '1GB'")


async def _execute_all(pool: asyncpg.Pool, statements: Sequence[str]) -> None:
    for statement in statements:
        await pool.execute(statement)


async def _copy_to_accounts(pool: asyncpg.Pool, table: str, accounts: int) -> None:
    """Copies the rows of the first account in a table to all others."""
    columns = await _columns(pool, table)
    selected = ", ".join("n" if c == "account_id" else f"t.{c}" for c in columns)
    await pool.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {selected} "
        f"FROM generate_series(2, $1) n, {table} t WHERE t.account_id = 1",
        accounts,
    )


async def _multiply_first_account(pool: asyncpg.Pool, customers_per_account: int) -> None:
    """Repeats the first block of the first account until it has `customers_per_account`."""
    blocks = customers_per_account // _BLOCK
    if blocks < 2:
        return
    counter_values = {
        name: f"(SELECT {name} FROM counters WHERE account_id = 1)" for name in _COUNTED.values()
    }
    steps = {"customer_id": counter_values["customers"], "sequence": counter_values["changes"]}
    steps |= {"order_id": counter_values["orders"], "lead_id": counter_values["leads"]}

    async def multiply(table: str) -> None:
        columns = await _columns(pool, table)
        selected = [
            f"t.{c} + n * {steps[c]}"
            if c in _IDS[table]
            else f"n || '.' || t.{c}"
            if c in _UNIQUE.get(table, ())
            else f"t.{c}"
            for c in columns
        ]
        await pool.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(selected)} "
            f"FROM generate_series(1, $1) n, {table} t WHERE t.account_id = 1",
            blocks - 1,
        )

    await asyncio.gather(*map(multiply, _TABLES))
    sets = ", ".join(f"{name} = {name} * {blocks}" for name in _COUNTED.values())
    await pool.execute(f"UPDATE counters SET {sets} WHERE account_id = 1")


async def _drop_keys_and_indexes(pool: asyncpg.Pool) -> tuple[list[list[str]], list[str]]:
    """Drops the keys and indexes of the large tables, which are faster to build afterwards, and
    foreign keys that refer to them. Returns the statements that restore them: first those of each
    table, then the foreign keys."""
    keys = await pool.fetch(
        """SELECT conrelid::regclass::text AS held_by, conname, contype = 'f' AS refers,
            pg_get_constraintdef(oid) AS definition
        FROM pg_constraint
        WHERE (contype IN ('p', 'f') AND conrelid::regclass::text = ANY($1))
        OR (contype = 'f' AND confrelid::regclass::text = ANY($1))
        ORDER BY refers DESC""",
        _TABLES,
    )
    restore: dict[str, list[str]] = {table: [] for table in _TABLES}
    foreign_keys: list[str] = []
    for key in keys:
        await pool.execute(f"ALTER TABLE {key['held_by']} DROP CONSTRAINT {key['conname']}")
        statements = foreign_keys if key["refers"] else restore[key["held_by"]]
        statements.append(
            f"ALTER TABLE {key['held_by']} ADD CONSTRAINT {key['conname']} {key['definition']}"
        )
    indexes = await pool.fetch(
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE tablename = ANY($1)", _TABLES
    )
    for index in indexes:
        await pool.execute(f"DROP INDEX {index['indexname']}")
        restore[index["tablename"]].append(index["indexdef"])
    return list(restore.values()), foreign_keys


async def _columns(pool: asyncpg.Pool, table: str) -> list[str]:
    rows = await pool.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 "
        "AND NOT attisdropped ORDER BY attnum",
        table,
    )
    return [row[0] for row in rows]
