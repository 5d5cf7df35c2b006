"""Shared by the tests: start a server, send it requests, run commands, and create databases."""

from __future__ import annotations

import asyncio
import atexit
import functools
import io
import itertools
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self, TypeVar, cast
from unittest.mock import patch
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import psutil
from hypothesis import settings

from regulars.accounts.accounts import Accounts
from regulars.cli import main
from regulars.cli.database import with_store as open_and_work
from regulars.directory.database import store_for
from regulars.settings import Settings
from regulars.store import Store, Unreachable
from regulars.store.query import Query
from tests.fork_server import ForkedProcess, ForkServer

START_SECONDS = 120
BOOTSTRAP_TOKEN = "bootstrap-token-of-the-tests-0123456789"

# One context for all clients: httpx would load all CA certificates for each of them, in 28 ms.
TLS = ssl.create_default_context()

T = TypeVar("T")
_numbers = itertools.count(1)


class OpenStore:
    """A database that stays open between uses, because opening it is slow. Its event loop runs in
    a separate thread: in tests with a browser, the main thread already runs one."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._store: Store | None = None

    def run(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """Calls `work` with the database. Retries once if its connections were closed."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
                self._thread.start()
            try:
                return self._wait(self._with_store(work))
            except Unreachable:
                return self._wait(self._with_store(work))

    def close(self) -> None:
        """Closes the database and ends the thread."""
        with self._lock:
            if self._loop is None or self._thread is None:
                return
            if self._store:
                self._wait(self._store.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = self._store = None

    async def _with_store(self, work: Callable[[Store], Awaitable[T]]) -> T:
        if self._store is None:
            self._store = store_for(self._url)
            await self._store.open()
        return await work(self._store)

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        assert self._loop
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its URL, its database and its process."""

    url: str
    database_url: str
    pid: int
    store: OpenStore
    signals: list[int] = field(default_factory=list)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Sends the server a signal that ends it. `run_server` then sends no other: a second one
        would kill a server that is shutting down."""
        self.signals.append(number)
        os.kill(self.pid, number)


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit status and the output of a command."""

    returncode: int
    stdout: str
    stderr: str


@functools.cache
def sqlite_template() -> Path:
    """Returns a SQLite file with all tables and no rows. A migration takes 0.2 s, a copy 1 ms."""
    folder = tempfile.TemporaryDirectory(prefix="regulars-template-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "template.db"
    assert run_regulars("migrate", "--database-url", f"sqlite:///{path}").returncode == 0
    return path


def copy_sqlite_template(path: Path) -> str:
    """Creates a SQLite file with all tables, and returns its URL."""
    shutil.copy(sqlite_template(), path)
    return f"sqlite:///{path}"


def run_regulars(*arguments: str, env: Mapping[str, str] | None = None) -> CommandResult:
    """Runs a command of `regulars` in this process, because starting Python is slow, and returns
    its result. The priority of this process stays as it is."""
    out, err = io.StringIO(), io.StringIO()
    old_environment, old_argv = dict(os.environ), sys.argv
    os.environ.clear()
    os.environ.update(build_environment(env))
    sys.argv = ["regulars", *arguments]
    try:
        with (
            redirect_stdout(out),
            redirect_stderr(err),
            patch("regulars.cli.importing.lower_priority"),
            patch("regulars.cli.mirroring.lower_priority"),
        ):
            run_outside_event_loop(main)
        code: Any = 0
    except SystemExit as error:
        code = error.code
    finally:
        sys.argv = old_argv
        os.environ.clear()
        os.environ.update(old_environment)
    return CommandResult(code or 0, out.getvalue(), err.getvalue())


def build_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the environment of this process without its settings of Regulars, plus `extra`. Only
    REGULARS_FAST_PATH stays: `make test-asgi` switches it off for all servers."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("REGULARS_") or name == "REGULARS_FAST_PATH"
    }
    # Without bytecode, each process takes 0.4 s longer to start.
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**inherited, "PYTHONWARNINGS": "error", **(extra or {})}


@contextmanager
def run_server(
    database_url: str,
    *arguments: str,
    log: IO[str] | None = None,
    status: int = 0,
    env: Mapping[str, str] | None = None,
    use_template: bool = True,
    in_new_python: bool = False,
) -> Iterator[Server]:
    """Runs `regulars serve` on a free port, and stops it at the end unless the test has. Its exit
    status must be `status`. Standard error goes to `log`, or is shown if the test fails. A new SQLite
    file is a copy of the template, unless `use_template` is false. Its workers are its children
    with `in_new_python`; otherwise another process stands for each of them (see fork_server.py)."""
    errors = log or cast("IO[str]", tempfile.TemporaryFile("w+"))  # noqa: SIM115  # closed below
    variables = {
        "REGULARS_DATABASE_URL": database_url,
        "REGULARS_BOOTSTRAP_TOKEN": BOOTSTRAP_TOKEN,
        "REGULARS_REQUEST_SECONDS": "60",  # a disk that others write to can stop for over 10 s
        **(env or {}),
    }
    file = Path(database_url.removeprefix("sqlite:///"))
    if use_template and database_url.startswith("sqlite:///") and not file.exists():
        copy_sqlite_template(file)
    read_fd, write_fd = os.pipe()
    with os.fdopen(write_fd, "w") as out:
        process = _start(
            ("serve", "--port", "0", *arguments), variables, out, errors, in_new_python
        )
    store, output = OpenStore(database_url), os.fdopen(read_fd)
    server = None
    try:
        startup_line = re.search(r"GraphQL at (http://\S+)/api/v2", output.readline())
        assert startup_line, "the server did not print its URL"
        server = Server(startup_line[1], database_url, process.pid, store)
        yield server
    finally:
        store.close()
        if server is None or not server.signals:
            process.send_signal(signal.SIGTERM)
        exit_status = process.wait(START_SECONDS)
        output.close()
        if log is None:
            errors.seek(0)
            print(*(line for line in errors if '"level":"info"' not in line), sep="")
            errors.close()
    assert exit_status == status, f"the server exited with status {exit_status}"


def _start(
    command: Sequence[str],
    variables: Mapping[str, str],
    out: IO[str],
    errors: IO[str],
    in_new_python: bool,
) -> ForkedProcess | subprocess.Popen[bytes]:
    """Starts a command of `regulars`: in a fork, or in a new Python if it starts worker processes,
    if a variable is for Python itself, or if coverage is measured."""
    needs_new_python = (
        in_new_python
        or "REGULARS_TEST_COVERAGE" in os.environ
        or {"--workers", "REGULARS_WORKERS"} & {*command, *variables}
        or any(not name.startswith("REGULARS_") for name in variables)
    )
    if needs_new_python:
        program = [sys.executable, "-m", "regulars", *command]
        return subprocess.Popen(
            program, env=build_environment(variables), stdout=out, stderr=errors
        )
    return _fork_server().start(
        command, build_environment(variables), out.fileno(), errors.fileno()
    )


@functools.cache
def _fork_server() -> ForkServer:
    server = ForkServer(build_environment())
    atexit.register(server.close)
    return server


def find_processes(pid: int, word: str) -> list[psutil.Process]:
    """Returns the descendants of a process whose command line contains a word."""
    matches = []
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has just exited
            if any(word in argument for argument in process.cmdline()):
                matches.append(process)
    return matches


class Stopwatch:
    """Measures how long a server works, without the time that it waits for a CPU: on a busy
    machine, elapsed time says little about the server."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._started_at, self._cpu_seconds_at_start = time.monotonic(), self._cpu_seconds()

    @property
    def seconds(self) -> float:
        """The CPU time of the server since the start: at most the elapsed time, and at least a
        tenth of it, so that a server that only waits does not count as fast."""
        elapsed = time.monotonic() - self._started_at
        return min(elapsed, max(self._cpu_seconds() - self._cpu_seconds_at_start, elapsed / 10))

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def find_worker_pids(pid: int) -> list[int]:
    """Returns the ids of the worker processes of a server."""
    return [process.pid for process in find_processes(pid, "spawn_main")]


def read_metrics(url: str) -> dict[str, float]:
    """Returns the samples of /metrics by name and labels."""
    text = get(f"{url}/metrics").text
    samples = re.findall(r"^(\w+(?:\{[^}]*\})?) ([0-9.e+-]+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in samples}


def count_used_replicas(server: Server) -> float:
    """Returns how many replicas a server reads from."""
    return read_metrics(server.url)["regulars_replicas_usable"]


def example_count(thorough: int) -> int:
    """Returns how many examples to test a property with: `thorough` in the Hypothesis profile of
    that name (see conftest.py), and a quarter of it in the quick one."""
    profile = settings.default
    assert profile
    return thorough * profile.max_examples // 100


def wait_until(condition: Callable[[], Any], timeout_seconds: float = 60) -> None:
    """Waits until a condition is true; fails after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true within {timeout_seconds} seconds"
        time.sleep(0.05)


def with_store(database_url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """Calls `work` with a database directly, without a server."""
    return run_outside_event_loop(lambda: open_and_work(Settings(database_url=database_url), work))


def run_outside_event_loop(work: Callable[[], T]) -> T:
    """Calls `work` in another thread if this one runs an event loop, as it does with a browser: a
    thread cannot run two."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def create_token(
    server: Server,
    account: str | None = None,
    expires_at: int | None = None,
    scopes: Sequence[str] = ("customers",),
) -> str:
    """Creates a token for a new account, or for the existing account of that name."""
    name = account or f"account {os.getpid()} {next(_numbers)}"

    async def create(store: Store) -> str:
        accounts = Accounts(store)
        owner = await accounts.resolve(name) if account else await accounts.create(name)
        token, _ = await accounts.create_token(owner, "test", expires_at, scopes=scopes)
        return token

    return server.store.run(create)


def find_account_name(server: Server, token: str) -> str:
    """Returns the name of the account that a token belongs to."""

    async def find(store: Store) -> str:
        accounts = Accounts(store)
        grant = await accounts.authenticate(token)
        assert grant
        return next(a.name for a in await accounts.all() if a.account_id == grant.account_id)

    return server.store.run(find)


@contextmanager
def scratch_database(dsn: str, options: str = "", template: str = "") -> Iterator[str]:
    """Creates a database on a PostgreSQL server, as a copy of `template` if there is one, and drops
    it afterwards. If the server has Citus, the database is created on all nodes."""
    if template:
        options += f" TEMPLATE {template}"
    name = f"scratch_{os.getpid()}_{next(_numbers)}"

    async def run(database_dsn: str, statement: str) -> list[Any]:
        connection = await asyncpg.connect(database_dsn)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    async def create() -> list[str]:
        if not await run(dsn, "SELECT 1 FROM pg_extension WHERE extname = 'citus'"):
            # Faster by a quarter than the default, which writes every page to the WAL.
            await run(dsn, f"CREATE DATABASE {name} {options} STRATEGY file_copy")
            return [dsn]
        addresses = await run(dsn, "SELECT nodename, nodeport FROM pg_dist_node ORDER BY groupid")
        nodes = [replace_dsn(dsn, host=f"{host}:{port}") for host, port in addresses]
        for node in nodes:
            # PostgreSQL does not copy a database with connections, and Citus keeps some open.
            await run(
                node,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{template}'",
            )
            await run(node, f"CREATE DATABASE {name} {options}")
            await run(replace_dsn(node, name), "CREATE EXTENSION IF NOT EXISTS citus")
        (host, port), *workers = addresses
        coordinator = replace_dsn(dsn, name)
        await run(coordinator, f"SELECT citus_set_coordinator_host('{host}', {port})")
        for host, port in workers:
            await add_node(coordinator, host, port)
        return nodes

    async def drop(nodes: Sequence[str]) -> None:
        for node in nodes:
            await run(node, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    nodes = run_outside_event_loop(lambda: asyncio.run(create()))
    yield replace_dsn(dsn, name)
    run_outside_event_loop(lambda: asyncio.run(drop(nodes)))


def create_postgresql_template(dsn: str, name: str) -> None:
    """Creates a database with all tables and no rows on a PostgreSQL server, unless it exists."""

    async def create() -> bool:
        connection = await asyncpg.connect(dsn)
        try:
            if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                return False
            await connection.execute(f"CREATE DATABASE {name}")
            return True
        finally:
            await connection.close()

    if run_outside_event_loop(lambda: asyncio.run(create())):
        url = replace_dsn(dsn, name)
        assert run_regulars("migrate", "--database-url", url).returncode == 0


async def add_node(dsn: str, host: str, port: int) -> None:
    """Adds a node to a database with Citus. Citus then copies the roles of the cluster to the node,
    which fails while another test does the same: so it is retried."""
    connection = await asyncpg.connect(dsn)
    try:
        for retries in reversed(range(10)):
            try:
                await connection.execute("SELECT citus_add_node($1, $2)", host, port)
                return
            except asyncpg.InternalServerError:
                if not retries:
                    raise
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


def replace_dsn(dsn: str, database: str | None = None, host: str | None = None) -> str:
    """Returns a DSN with another database or host."""
    parts = urlsplit(dsn)
    user = parts.netloc.rpartition("@")[0]
    netloc = parts.netloc if host is None else f"{user}@{host}" if user else host
    path = parts.path if database is None else f"/{database}"
    return urlunsplit(parts._replace(netloc=netloc, path=path))


def get(url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Sends a GET request without a token."""
    return httpx.get(url, headers=headers, timeout=START_SECONDS, verify=TLS)


class RecordingStore:
    """A store that records the queries that it runs, with their parameters."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.queries: list[tuple[Query, Mapping[str, Any]]] = []

    async def fetch(
        self, query: Query, parameters: Mapping[str, Any], is_long: bool = False
    ) -> Sequence[Any]:
        self.queries.append((query, parameters))
        return await self._store.fetch(query, parameters, is_long)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Client:
    """A client of the API, as an application would use it."""

    def __init__(self, server: Server, token: str) -> None:
        self.server = server
        self.token = token
        self.http = httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=120,
            verify=TLS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def post(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Sends an operation and returns the HTTP response."""
        body = {"query": query, "variables": variables}
        return self.http.post("/api/v2", json=body, headers=headers)

    def run(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """Runs an operation and returns the body of the response."""
        response = self.post(document, variables)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body

    def data(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """Runs an operation that must succeed and returns its data."""
        body = self.run(document, **variables)
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    def errors(self, document: str, /, **variables: Any) -> list[dict[str, Any]]:
        """Runs an operation that must fail and returns its errors."""
        body = self.run(document, **variables)
        assert "errors" in body, body
        errors: list[dict[str, Any]] = body["errors"]
        assert all(error["key"] != "errors_internal" for error in errors), errors
        return errors

    def expect_error(self, key: str, document: str, /, **variables: Any) -> dict[str, Any]:
        """Runs an operation that must fail with one error of this key, and returns the error."""
        errors = self.errors(document, **variables)
        assert [error["key"] for error in errors] == [key], errors
        assert errors[0]["name"] == "ReportedError"
        assert errors[0]["extensions"]["key"] == key
        assert errors[0]["message"]
        return errors[0]

    def create(self, email: str, fields: str = "id _id", **node: Any) -> dict[str, Any]:
        """Creates a customer."""
        mutation = (
            f"mutation($node: InputCustomer!) {{ createCustomer(node: $node) {{ {fields} }} }}"
        )
        created: dict[str, Any] = self.data(mutation, node={"email": email, **node})[
            "createCustomer"
        ]
        return created

    def update(self, customer_id: str, fields: str = "id", **node: Any) -> dict[str, Any]:
        """Updates a customer."""
        mutation = f"""mutation($id: ID!, $node: InputUpdateCustomer!) {{
            updateCustomer(id: $id, node: $node) {{ {fields} }} }}"""
        updated: dict[str, Any] = self.data(mutation, id=customer_id, node=node)["updateCustomer"]
        return updated

    def delete(self, *ids: str, permanent: bool = False) -> list[str]:
        """Deletes customers and returns their ids."""
        deleted: list[str] = self.data(
            """mutation($items: [ID!]!, $permanent: Boolean) {
              deleteCustomers(items: $items, permanent: $permanent) }""",
            items=list(ids),
            permanent=permanent,
        )["deleteCustomers"]
        return deleted

    def node(self, object_id: str, selection: str) -> Any:
        """Returns an object by its id, or None."""
        query = f"query($id: ID!) {{ node(id: $id) {{ {selection} }} }}"
        return self.data(query, id=object_id)["node"]

    def emails(self, query: str = "", **arguments: Any) -> list[str]:
        """Returns the emails of a page of customers, in order."""
        page = self.page("email", query=query, **arguments)
        return [edge["node"]["email"] for edge in page["edges"]]

    def page(self, fields: str = "_id", **arguments: Any) -> dict[str, Any]:
        """Returns a page of customers."""
        query = f"""query($query: String, $first: Int, $after: String, $last: Int, $before: String) {{
            customers(query: $query, first: $first, after: $after, last: $last, before: $before) {{
              edges {{ cursor node {{ {fields} }} }}
              pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"""
        page: dict[str, Any] = self.data(query, **arguments)["customers"]
        return page


@contextmanager
def background_load(
    server: Server, work: Callable[[Client], object], token: str, client_count: int
) -> Iterator[None]:
    """Calls `work` repeatedly with each of several clients until the block ends."""
    stop = threading.Event()

    def repeat() -> None:
        with Client(server, token) as client:
            while not stop.is_set():
                work(client)

    threads = [threading.Thread(target=repeat) for _ in range(client_count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
