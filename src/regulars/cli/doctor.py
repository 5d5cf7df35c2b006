"""`regulars doctor`: checks a deployment, and reports what to fix."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from regulars.accounts.accounts import Accounts, Token, now_ms
from regulars.cli.database import with_store
from regulars.core.scopes import ADMIN
from regulars.settings import Settings
from regulars.store import DatabaseUrl, StatementTimeout, Store, StoreError, parse_url
from regulars.store.citus.nodes import Node, list_nodes
from regulars.store.postgresql.connect import CONNECT_ERRORS, connect, describe_error
from regulars.store.queries import count_customers
from regulars.store.schema_version import SchemaState, newest_version, require_usable

OK, WARN, FAIL = "ok", "warn", "fail"

_MIN_FREE_BYTES = 1024**3
_MIN_FILES = 4_096
_SKEW_SECONDS = 5
_COUNT_SECONDS = 60.0
_LARGEST = 5
_MANY_CUSTOMERS = 1_000_000
_UNUSED_MS = 90 * 24 * 3_600_000
_NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph")


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check: its state, its subject, and a message with the fix."""

    state: str
    subject: str
    message: str


def examine(settings: Settings) -> list[Finding]:
    """Returns the findings of all checks."""
    address = parse_url(settings.database_url)
    findings = list(_settings(settings))
    try:
        schema = require_usable(address)
    except StoreError as error:
        return [*findings, Finding(FAIL, "database", str(error))]
    findings.append(_tables(address, schema))
    if address.path is not None:
        findings += _sqlite(address.path)
    else:
        findings += asyncio.run(_postgresql(address, settings))
    for url in settings.replica_urls:
        findings.append(asyncio.run(_replica(parse_url(url), settings)))
    findings += _accounts(address, settings)
    tokens = with_store(settings, lambda store: Accounts(store).tokens())
    return [*findings, *_tokens(tokens, now_ms())]


def _tables(address: DatabaseUrl, schema: SchemaState) -> Finding:
    if schema.version != newest_version():
        message = f"{address.redacted} has tables of a newer Regulars, which this one works with."
        return Finding(OK, "database", message)
    if schema.finished != newest_version():
        message = (
            f"{address.redacted} still has what older versions need. Once none serves any more, "
            "run: regulars migrate"
        )
        return Finding(WARN, "database", message)
    return Finding(OK, "database", f"{address.redacted} has this program's tables.")


def _settings(settings: Settings) -> Iterator[Finding]:
    if settings.is_loopback:
        yield Finding(OK, "network", f"Listens on {settings.host}: for this machine alone.")
    else:
        message = (
            f"Listens on {settings.host}, without TLS: only a proxy with TLS may reach port "
            f"{settings.port}."
        )
        yield Finding(WARN, "network", message)
        if not settings.points_per_second:
            message = "No rate limit, on an address of the network. Leave REGULARS_RATE_LIMIT out."
            yield Finding(WARN, "rate limit", message)
    if "*" in settings.cors_origins:
        message = "Every page on the web may call the API from a browser that holds a token."
        yield Finding(WARN, "CORS", f"{message} Name the origins in REGULARS_CORS_ORIGINS.")
    try:
        import resource
    except ImportError:
        return
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit != resource.RLIM_INFINITY and limit < _MIN_FILES:
        message = f"A process may open {limit:,} files, and each connection is one. Raise the "
        yield Finding(
            WARN, "open files", message + f"limit to {_MIN_FILES:,} or more (LimitNOFILE)."
        )
    else:
        yield Finding(OK, "open files", "A process may open as many files as it needs.")


def _sqlite(path: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        message = f"Others on this machine may open {path}. Run: chmod 600 {path}"
        yield Finding(WARN, "permissions", message)
    else:
        yield Finding(OK, "permissions", "The database is for its owner alone.")
    free = shutil.disk_usage(path.resolve().parent).free
    room = f"{free / 1024**3:.1f} GiB are free where the database is."
    yield Finding(OK if free >= _MIN_FREE_BYTES else WARN, "room", room)
    kind = _file_system(path.resolve())
    if kind in _NETWORK_FILE_SYSTEMS:
        message = (
            f"The database is on a network's file system ({kind}), on which SQLite loses data. "
            "Move it to a disk of this machine, or use PostgreSQL."
        )
        yield Finding(FAIL, "file system", message)


def _file_system(path: Path) -> str:
    """Returns the type of the file system of a path, or an empty string."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    file_system, longest = "", -1
    for line in mounts:
        _, where, kind, *_ = line.split()
        if path.is_relative_to(where) and len(where) > longest:
            file_system, longest = kind, len(where)
    return file_system


async def _postgresql(address: DatabaseUrl, settings: Settings) -> list[Finding]:
    connection = await connect(str(address.dsn))
    try:
        names = (
            "server_version_num",
            "server_version",
            "fsync",
            "full_page_writes",
            "synchronous_commit",
            "data_checksums",
            "max_connections",
            "synchronous_standby_names",
        )
        values = {name: await connection.fetchval(f"SHOW {name}") for name in names}
        at = float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())"))
        skew = abs(at - time.time())
    finally:
        await connection.close()
    return [
        *_server(values, skew),
        *_connections(address, settings, int(values["max_connections"])),
    ]


def _server(values: dict[str, str], skew: float) -> Iterator[Finding]:
    if int(values["server_version_num"]) < 150_000:
        message = f"PostgreSQL {values['server_version']} is too old. Use 15 or newer."
        yield Finding(FAIL, "version", message)
    else:
        yield Finding(OK, "version", f"PostgreSQL {values['server_version']}.")
    unsafe = [name for name in ("fsync", "full_page_writes") if values[name] != "on"]
    if values["synchronous_commit"] == "off":
        unsafe.append("synchronous_commit")
    for name in unsafe:
        message = f"{name} is off: a crash loses writes that were answered. Turn it on."
        yield Finding(FAIL, "durability", message)
    if not unsafe:
        standby = values["synchronous_standby_names"]
        where = "on this server and its standby" if standby else "on this server"
        yield Finding(OK, "durability", f"A write is on disk {where} when it is answered.")
    if values["data_checksums"] != "on":
        message = "Data checksums are off: damage of the disk goes unseen. See pg_checksums."
        yield Finding(WARN, "checksums", message)
    if skew > _SKEW_SECONDS:
        message = f"The clocks of PostgreSQL and of this machine are {skew:.0f} s apart. Use NTP."
        yield Finding(WARN, "clock", message)


def _connections(address: DatabaseUrl, settings: Settings, limit: int) -> Iterator[Finding]:
    parts = urlsplit(str(address.dsn))
    hosts = parts.netloc.rpartition("@")[2].split(",")
    asking = 1 if len(hosts) > 1 else 0  # each host whether it takes writes
    needed = settings.workers * (settings.pool_size + asking)
    if needed > limit * 0.8:
        message = (
            f"{settings.workers} processes keep up to {needed} connections, and PostgreSQL allows "
            f"{limit}. Raise max_connections, or run fewer."
        )
        yield Finding(WARN, "connections", message)
    else:
        yield Finding(OK, "connections", f"Up to {needed} of PostgreSQL's {limit} are used.")
    options = parse_qs(parts.query)
    names = {host.rpartition(":")[0] or host for host in hosts} | set(options.get("host", []))
    local = all(n in ("", "localhost", "127.0.0.1", "[::1]") or n.startswith("/") for n in names)
    mode = options.get("sslmode", [os.environ.get("PGSSLMODE", "prefer")])[0]
    if not local and mode not in ("require", "verify-ca", "verify-full"):
        message = "PostgreSQL is reached over a network that may not be encrypted. Add "
        yield Finding(WARN, "encryption", message + "sslmode=verify-full to the database's URL.")


async def _replica(address: DatabaseUrl, settings: Settings) -> Finding:
    """Check a replica."""
    try:
        connection = await connect(str(address.dsn))
    except CONNECT_ERRORS as error:
        return Finding(WARN, "replica", f"{address.redacted}: {describe_error(error)}")
    try:
        follows, behind = await connection.fetchrow(
            "SELECT pg_is_in_recovery(), CASE WHEN pg_last_wal_receive_lsn() = "
            "pg_last_wal_replay_lsn() THEN 0 ELSE extract(epoch FROM now() - "
            "pg_last_xact_replay_timestamp())::float8 END"
        )
    finally:
        await connection.close()
    if not follows:
        message = f"{address.redacted} is no replica: it takes writes, and is not read from."
        return Finding(WARN, "replica", message)
    seconds = behind or 0.0
    state = OK if seconds <= settings.replica_seconds else WARN
    return Finding(state, "replica", f"{address.redacted} is {seconds:.1f} s behind.")


def _accounts(address: DatabaseUrl, settings: Settings) -> Iterator[Finding]:
    """Where accounts live, and how large they are."""

    async def count(store: Store) -> dict[int, int]:
        return dict(await store.fetch(count_customers(), {}, is_long=True))

    placed = asyncio.run(list_nodes(str(address.dsn))) if address.dsn else []
    if not all(node.is_reachable for node in placed):
        yield from map(_silent_node, placed)
        return
    try:
        sizes = with_store(settings, count, seconds=_COUNT_SECONDS)
    except StatementTimeout:
        message = f"They were not counted: it takes longer than {_COUNT_SECONDS:g} s."
        yield Finding(OK, "accounts", message)
        return
    if not placed:
        largest = max(sizes.values(), default=0)
        message = f"{len(sizes):,} have {sum(sizes.values()):,} customers; the largest {largest:,}."
        yield Finding(OK, "accounts", message)
    for node in placed:
        yield _node(node, sizes)


def _silent_node(node: Node) -> Finding:
    """Return the finding of a node while a node does not answer."""
    names = [account.name for account in node.residents]
    if node.is_reachable:
        message = f"{len(names):,} accounts, not counted while another node does not answer."
        return Finding(OK, f"node {node.name}", message)
    some = f" ({', '.join(names[:_LARGEST])}{', …' * (len(names) > _LARGEST)})" if names else ""
    message = (
        f"It does not answer. Its {len(names):,} accounts{some} are answered 503 until it does."
    )
    return Finding(FAIL, f"node {node.name}", message)


def _node(node: Node, sizes: Mapping[int, int]) -> Finding:
    """Return the finding of a node of Citus."""
    counts = {account.name: sizes.get(account.account_id, 0) for account in node.residents}
    total = sum(counts.values())
    mib = node.size_bytes / 1024**2
    message = f"{len(counts):,} accounts with {total:,} customers, {mib:,.0f} MiB"
    largest = sorted(node.residents, key=lambda account: -counts[account.name])[:_LARGEST]
    if largest:
        names = (f"{r.name} ({counts[r.name]:,}{', alone' * r.has_own_shard})" for r in largest)
        message += f"; the largest: {', '.join(names)}"
    subject = f"node {node.name}"
    if node.takes_shards and not node.shards:
        return Finding(WARN, subject, "Nothing is here. Run in SQL: SELECT citus_rebalance_start()")
    if total > _MANY_CUSTOMERS and counts[largest[0].name] > total / 2 and len(counts) > 1:
        mine = largest[0].name
        message += f". {mine} is more than half: regulars account move {mine} NODE --dedicated"
        return Finding(WARN, subject, message + ".")
    return Finding(OK, subject, message + ".")


def _tokens(tokens: Sequence[Token], now: int) -> Iterator[Finding]:
    valid = [token for token in tokens if token.state(now) == "valid"]
    if not valid:
        yield Finding(WARN, "tokens", "No token is valid. Make one: regulars token create")
        return
    yield Finding(OK, "tokens", f"{len(valid):,} are valid.")
    unused = [t for t in valid if max(t.created_at, t.last_used_at or 0) < now - _UNUSED_MS]
    if unused:
        ids = ", ".join(token.token_id for token in unused[:10])
        message = f"{len(unused):,} were not used for 90 days: {ids}. Revoke what nobody needs."
        yield Finding(WARN, "tokens", message)
    endless = [t for t in valid if ADMIN in t.scopes.split() and t.expires_at is None]
    if len(endless) > 1:
        ids = ", ".join(token.token_id for token in endless[:10])
        message = f"{len(endless):,} with the scope admin never end: {ids}. Give apps less."
        yield Finding(WARN, "tokens", message)
