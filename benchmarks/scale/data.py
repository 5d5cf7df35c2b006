"""Accounts by the thousand: one is filled with sample customers, and the others are made of it in
SQL, for a load of millions of customers would take hours through the API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import asyncpg

from benchmarks.scale.fairness import regulars

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
# What is one customer's alone within an account.
_UNIQUE = {"customers": ("email", "email_key", "email_folded"), "orders": ("name",)}


@dataclass(frozen=True, slots=True)
class Filled:
    """A database of so many accounts with so many customers each, and its size in bytes."""

    url: str
    accounts: int
    each: int
    bytes: int

    def token(self, number: int) -> str:
        """The token of an account, from 1."""
        return f"benchmark-{number}"

    def tokens(self) -> Iterator[str]:
        """The tokens, one after another, again and again; those of neighbours far apart."""
        number = 0
        while True:
            number = (number + 7_919) % self.accounts
            yield self.token(number + 1)


def fill(url: str, accounts: int, customers: int) -> Filled:
    """Fills an empty database with so many customers in so many accounts."""
    each = max(1, customers // accounts)
    regulars(url, "migrate")
    regulars(url, "account", "create", "1")
    regulars(url, "sample", "--customers", str(min(each, _BLOCK)))
    return asyncio.run(_multiply(url, accounts, each))


async def _multiply(url: str, accounts: int, each: int) -> Filled:
    async with asyncpg.create_pool(url, min_size=1, max_size=len(_TABLES), init=_hurry) as pool:
        keys, others = await _bared(pool)
        await _more_of_the_first(pool, each)
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
        await asyncio.gather(*(_copied(pool, table, accounts) for table in tables))
        await asyncio.gather(*(_in_turn(pool, statements) for statements in keys))
        await _in_turn(pool, others)
        await pool.execute("VACUUM ANALYZE")
        size = await pool.fetchval("SELECT pg_database_size(current_database())")
    return Filled(url, accounts, each, size)


async def _hurry(connection: asyncpg.Connection) -> None:
    await connection.execute("SET synchronous_commit = off")
    await connection.execute("SET maintenance_work_mem = '1GB'")


async def _in_turn(pool: asyncpg.Pool, statements: Sequence[str]) -> None:
    for statement in statements:
        await pool.execute(statement)


async def _copied(pool: asyncpg.Pool, table: str, accounts: int) -> None:
    """Gives every account what the first has in a table."""
    columns = await _columns(pool, table)
    shown = ", ".join("n" if c == "account_id" else f"t.{c}" for c in columns)
    await pool.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {shown} "
        f"FROM generate_series(2, $1) n, {table} t WHERE t.account_id = 1",
        accounts,
    )


async def _more_of_the_first(pool: asyncpg.Pool, each: int) -> None:
    """Has the first account hold so many customers: its first block, again and again."""
    blocks = each // _BLOCK
    if blocks < 2:
        return
    last = {
        name: f"(SELECT {name} FROM counters WHERE account_id = 1)" for name in _COUNTED.values()
    }
    steps = {"customer_id": last["customers"], "sequence": last["changes"]}
    steps |= {"order_id": last["orders"], "lead_id": last["leads"]}

    async def more(table: str) -> None:
        columns = await _columns(pool, table)
        shown = [
            f"t.{c} + n * {steps[c]}"
            if c in _IDS[table]
            else f"n || '.' || t.{c}"
            if c in _UNIQUE.get(table, ())
            else f"t.{c}"
            for c in columns
        ]
        await pool.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(shown)} "
            f"FROM generate_series(1, $1) n, {table} t WHERE t.account_id = 1",
            blocks - 1,
        )

    await asyncio.gather(*map(more, _TABLES))
    sets = ", ".join(f"{name} = {name} * {blocks}" for name in _COUNTED.values())
    await pool.execute(f"UPDATE counters SET {sets} WHERE account_id = 1")


async def _bared(pool: asyncpg.Pool) -> tuple[list[list[str]], list[str]]:
    """Takes the keys and indexes off the large tables, which are faster made of rows that
    are there; answers the statements that put them back: those of each table, and after them
    those that refer from one table to another."""
    keys = await pool.fetch(
        """SELECT conrelid::regclass::text AS held_by, conname, contype = 'f' AS refers,
            pg_get_constraintdef(oid) AS definition
        FROM pg_constraint WHERE contype IN ('p', 'f') AND conrelid::regclass::text = ANY($1)
        ORDER BY refers DESC""",
        _TABLES,
    )
    put_back: dict[str, list[str]] = {table: [] for table in _TABLES}
    refer: list[str] = []
    for key in keys:
        await pool.execute(f"ALTER TABLE {key['held_by']} DROP CONSTRAINT {key['conname']}")
        statements = refer if key["refers"] else put_back[key["held_by"]]
        statements.append(
            f"ALTER TABLE {key['held_by']} ADD CONSTRAINT {key['conname']} {key['definition']}"
        )
    indexes = await pool.fetch(
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE tablename = ANY($1)", _TABLES
    )
    for index in indexes:
        await pool.execute(f"DROP INDEX {index['indexname']}")
        put_back[index["tablename"]].append(index["indexdef"])
    return list(put_back.values()), refer


async def _columns(pool: asyncpg.Pool, table: str) -> list[str]:
    rows = await pool.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 "
        "AND NOT attisdropped ORDER BY attnum",
        table,
    )
    return [row[0] for row in rows]
