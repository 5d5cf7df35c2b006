"""Checks of a PostgreSQL database: the connection, the rights, the server and the replicas."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from regulars.cli.doctor.findings import FAIL, OK, WARN, Finding
from regulars.core.counts import count_of
from regulars.core.packages import all_tables
from regulars.settings import Settings
from regulars.store import DatabaseUrl
from regulars.store.postgresql.connect import CONNECT_ERRORS, connect, describe_error

_SKEW_SECONDS = 5
_SETTINGS = (
    "server_version_num",
    "server_version",
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "data_checksums",
    "max_connections",
    "synchronous_standby_names",
    "transaction_read_only",
    "server_encoding",
)
# The catalogs can be read without any right. The tables are in the first schema of the search path
# that has them, or will be created in its first schema that exists.
_SCHEMA = """SELECT n.nspname, quote_ident(n.nspname), quote_ident(current_user),
    has_schema_privilege(n.oid, 'USAGE') AS usage, has_schema_privilege(n.oid, 'CREATE') AS create,
    EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relname = 'alembic_version')
    FROM unnest(string_to_array(replace(current_setting('search_path'), '"$user"', current_user),
        ', ')) WITH ORDINALITY AS path (name, position)
    JOIN pg_namespace n ON n.nspname = btrim(path.name, '"') ORDER BY 6 DESC, position LIMIT 1"""
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
_MISSING_RIGHTS = """SELECT privilege, array_agg(quote_ident(relname) ORDER BY relname)
    FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace, unnest($2::text[]) AS privilege
    WHERE nspname = $1 AND relname = ANY ($3::text[]) AND relkind IN ('r', 'p')
    AND NOT has_table_privilege(pg_class.oid, privilege) GROUP BY 1 ORDER BY 1"""
_READ_ONLY_TABLES = ("alembic_version",)


async def check_postgresql(url: DatabaseUrl, settings: Settings) -> list[Finding]:
    """Returns the findings about the database and its server."""
    try:
        connection = await connect(str(url.dsn))
    except CONNECT_ERRORS as error:
        return [*_check_encryption(url), _explain(url, error)]
    try:
        values = {name: await connection.fetchval(f"SHOW {name}") for name in _SETTINGS}
        now = float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())"))
        skew_seconds = abs(now - time.time())
        rights = await _check_rights(connection, url)
    finally:
        await connection.close()
    return [
        *_check_server(values, skew_seconds),
        *_check_connections(url, settings, int(values["max_connections"])),
        *_check_encryption(url),
        *rights,
    ]


def _explain(url: DatabaseUrl, error: BaseException) -> Finding:
    """Returns a finding with the reason why a connection failed, and the fix."""
    name = urlsplit(str(url.dsn)).path.strip("/")
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        message = (
            f"PostgreSQL answers, but the database {name!r} does not exist. Create it in SQL: "
            f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0"
        )
    elif isinstance(error, asyncpg.InvalidPasswordError):
        message = f"PostgreSQL answers, but refuses the password: {_first_line(error)}."
    elif isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        message = f"PostgreSQL answers, but refuses the user: {_first_line(error)}."
    elif isinstance(error, asyncpg.TooManyConnectionsError):
        message = f"PostgreSQL answers, but all its connections are in use: {_first_line(error)}."
    elif isinstance(error, asyncpg.InsufficientPrivilegeError):
        message = (
            f"PostgreSQL answers, but this user may not connect to {name!r}. Run in SQL: GRANT "
            f"CONNECT ON DATABASE {name} TO USER"
        )
    else:
        message = f"{describe_error(error)} Check the host and the port in REGULARS_DATABASE_URL."
    return Finding(FAIL, "database", message)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


async def _check_rights(connection: asyncpg.Connection, url: DatabaseUrl) -> list[Finding]:
    """Returns a finding for each right that the user lacks, with the GRANT that gives it."""
    row = await connection.fetchrow(_SCHEMA)
    if row is None:
        message = "No schema of the search_path exists. Create one in SQL: CREATE SCHEMA public"
        return [Finding(FAIL, "rights", message)]
    schema, quoted_schema, user, has_usage, has_create, has_tables = row
    findings = []
    needed = ("USAGE",) if has_tables else ("USAGE", "CREATE")
    missing = [n for n, has in (("USAGE", has_usage), ("CREATE", has_create)) if not has]
    lacking = [name for name in needed if name in missing]
    if lacking:
        message = (
            f"The user {user} lacks {' and '.join(lacking)} on the schema {schema}. Run in SQL, as "
            f"its owner: GRANT {', '.join(lacking)} ON SCHEMA {quoted_schema} TO {user}"
        )
        findings.append(Finding(FAIL, "rights", message))
    if not has_tables:
        return findings
    names = [table.name for table in all_tables()]
    lacks = dict(await connection.fetch(_MISSING_RIGHTS, schema, list(_RIGHTS), names))
    lacks.update(
        await connection.fetch(_MISSING_RIGHTS, schema, ["SELECT"], list(_READ_ONLY_TABLES))
        if "SELECT" not in lacks
        else []
    )
    if lacks:
        count = len({table for tables in lacks.values() for table in tables})
        message = (
            f"The user {user} lacks {', '.join(lacks)} on {count_of(count, 'table')} of "
            f"{url.redacted}, such as {next(iter(lacks.values()))[0]}. Run in SQL, as owner: GRANT "
            f"{', '.join(_RIGHTS)} ON ALL TABLES IN SCHEMA {quoted_schema} TO {user}"
        )
        findings.append(Finding(FAIL, "rights", message))
    return findings or [Finding(OK, "rights", f"The user {user} may read and write the tables.")]


def _check_server(values: dict[str, str], skew_seconds: float) -> Iterator[Finding]:
    if int(values["server_version_num"]) < 150_000:
        message = f"PostgreSQL {values['server_version']} is too old. Use version 15 or newer."
        yield Finding(FAIL, "version", message)
    else:
        yield Finding(OK, "version", f"PostgreSQL {values['server_version']}.")
    if values["server_encoding"] != "UTF8":
        message = (
            f"The database's encoding is {values['server_encoding']}, which cannot store every "
            "name. Create another: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )
        yield Finding(FAIL, "database", message)
    if values["transaction_read_only"] == "on":
        message = (
            "The database is read-only: it is a standby, or default_transaction_read_only is on. "
            "Connect to the primary, or turn the setting off."
        )
        yield Finding(FAIL, "writes", message)
    unsafe = [name for name in ("fsync", "full_page_writes") if values[name] != "on"]
    if values["synchronous_commit"] == "off":
        unsafe.append("synchronous_commit")
    for name in unsafe:
        message = f"{name} is off: a crash loses acknowledged writes. Turn it on."
        yield Finding(FAIL, "durability", message)
    if not unsafe:
        standby = values["synchronous_standby_names"]
        place = "on this server and its standby" if standby else "on this server"
        yield Finding(OK, "durability", f"A write is on disk {place} before it is acknowledged.")
    if values["data_checksums"] != "on":
        message = (
            "Data checksums are off: damage on disk stays undetected. Enable them with "
            "pg_checksums while the server is stopped."
        )
        yield Finding(WARN, "checksums", message)
    if skew_seconds > _SKEW_SECONDS:
        message = (
            f"The clocks of PostgreSQL and of this machine differ by {skew_seconds:.0f} s. "
            "Synchronize them with NTP."
        )
        yield Finding(WARN, "clock", message)


def _check_connections(url: DatabaseUrl, settings: Settings, limit: int) -> Iterator[Finding]:
    hosts = urlsplit(str(url.dsn)).netloc.rpartition("@")[2].split(",")
    monitors = 1 if len(hosts) > 1 else 0  # each host is asked whether it takes writes
    needed = settings.workers * (settings.pool_size + monitors)
    if needed > limit * 0.8:
        message = (
            f"{count_of(settings.workers, 'process opens', 'processes open')} up to {needed} "
            f"connections, and PostgreSQL allows {limit}. Raise max_connections, or lower "
            "REGULARS_WORKERS or REGULARS_POOL_SIZE."
        )
        yield Finding(WARN, "connections", message)
    else:
        message = f"Up to {needed} of PostgreSQL's {limit} connections are used."
        yield Finding(OK, "connections", message)


def _check_encryption(url: DatabaseUrl) -> Iterator[Finding]:
    parts = urlsplit(str(url.dsn))
    hosts = parts.netloc.rpartition("@")[2].split(",")
    options = parse_qs(parts.query)
    names = {host.rpartition(":")[0] or host for host in hosts} | set(options.get("host", []))
    is_local = all(n in ("", "localhost", "127.0.0.1", "[::1]") or n.startswith("/") for n in names)
    mode = options.get("sslmode", [os.environ.get("PGSSLMODE", "prefer")])[0]
    if not is_local and mode not in ("require", "verify-ca", "verify-full"):
        message = (
            "The connection to PostgreSQL crosses a network and may be unencrypted. Add "
            "sslmode=verify-full to REGULARS_DATABASE_URL."
        )
        yield Finding(WARN, "encryption", message)


def check_replica(url: DatabaseUrl, settings: Settings) -> list[Finding]:
    """Returns a finding about a replica: it must follow a primary, and not lag behind."""
    return [asyncio.run(_check_replica(url, settings))]


async def _check_replica(url: DatabaseUrl, settings: Settings) -> Finding:
    try:
        connection: Any = await connect(str(url.dsn))
    except CONNECT_ERRORS as error:
        return Finding(WARN, "replica", f"{url.redacted}: {describe_error(error)}")
    try:
        follows, lag_seconds = await connection.fetchrow(
            "SELECT pg_is_in_recovery(), CASE WHEN pg_last_wal_receive_lsn() = "
            "pg_last_wal_replay_lsn() THEN 0 ELSE extract(epoch FROM now() - "
            "pg_last_xact_replay_timestamp())::float8 END"
        )
    finally:
        await connection.close()
    if not follows:
        message = (
            f"{url.redacted} is a primary, not a replica. Regulars does not read from it. Correct "
            "REGULARS_READ_DATABASE_URL."
        )
        return Finding(WARN, "replica", message)
    seconds = lag_seconds or 0.0
    state = OK if seconds <= settings.replica_seconds else WARN
    return Finding(state, "replica", f"{url.redacted} lags {seconds:.1f} s behind the primary.")
