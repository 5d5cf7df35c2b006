"""What the tests share: a server to talk to, and a client that talks to it."""

from __future__ import annotations

import asyncio
import atexit
import functools
import io
import itertools
import os
import re
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

START_SECONDS = 30
BOOTSTRAP_TOKEN = "bootstrap-token-of-the-tests"

# Made once: httpx would read the certificates of all authorities for each client, in 28 ms.
TLS = ssl.create_default_context()

T = TypeVar("T")
_numbers = itertools.count(1)


class OpenStore:
    """A database that stays open between uses: opening it takes longer than most work with it. It
    has a thread with an event loop of its own, because with a browser a test's thread has one."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._store: Store | None = None

    def run(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """Works with the database; once more if its connections have been ended."""
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
        """Closes the database."""
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
    """A running server: where it listens, and its database."""

    url: str
    database_url: str
    pid: int
    store: OpenStore
    signals: list[int] = field(default_factory=list)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Sends the server a signal that ends it. `running` does not send another: it would kill a
        server that is about to exit."""
        self.signals.append(number)
        os.kill(self.pid, number)


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def regulars(*arguments: str, env: Mapping[str, str] | None = None) -> Done:
    """Runs a command of `regulars` to its end, in this process, which goes behind nobody for it:
    starting Python takes longer than most commands. The server itself runs in a process of its
    own."""
    out, err = io.StringIO(), io.StringIO()
    before, argv = dict(os.environ), sys.argv
    os.environ.clear()
    os.environ.update(environment(env))
    sys.argv = ["regulars", *arguments]
    try:
        with (
            redirect_stdout(out),
            redirect_stderr(err),
            patch("regulars.cli.importing.lower_priority"),
            patch("regulars.cli.mirroring.lower_priority"),
        ):
            apart(main)
        code: Any = 0
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(before)
    return Done(code or 0, out.getvalue(), err.getvalue())


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without its settings of Regulars, and with others. Only
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
def running(
    database_url: str,
    *arguments: str,
    log: IO[str] | None = None,
    status: int = 0,
    env: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """A `regulars serve` on a free port; it must end with `status` when it is told to stop, or has
    been ended. What it writes to standard error goes to `log`, or else is shown with a test that
    fails."""
    errors = log or cast("IO[str]", tempfile.TemporaryFile("w+"))  # noqa: SIM115  # closed below
    variables = {
        "REGULARS_DATABASE_URL": database_url,
        "REGULARS_BOOTSTRAP_TOKEN": BOOTSTRAP_TOKEN,
        **(env or {}),
    }
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as out:
        process = _start(("serve", "--port", "0", *arguments), variables, out, errors)
    store, output = OpenStore(database_url), os.fdopen(reading)
    server = None
    try:
        listening = re.search(r"GraphQL at (http://\S+)/api/v2", output.readline())
        assert listening, "the server did not say where it listens"
        server = Server(listening[1], database_url, process.pid, store)
        yield server
    finally:
        store.close()
        if server is None or not server.signals:
            process.send_signal(signal.SIGTERM)
        ended = process.wait(START_SECONDS)
        output.close()
        if log is None:
            errors.seek(0)
            print(*(line for line in errors if '"level":"info"' not in line), sep="")
            errors.close()
    assert ended == status, f"the server ended with {ended}"


def _start(
    command: Sequence[str], variables: Mapping[str, str], out: IO[str], errors: IO[str]
) -> ForkedProcess | subprocess.Popen[bytes]:
    """Starts a command of `regulars`. One that begins processes of its own starts them as it was
    started, the other variables are for Python itself, and coverage is measured from the start: all
    in a new Python."""
    new_python = (
        "REGULARS_TEST_COVERAGE" in os.environ
        or {"--workers", "REGULARS_WORKERS"} & {*command, *variables}
        or any(not name.startswith("REGULARS_") for name in variables)
    )
    if new_python:
        program = [sys.executable, "-m", "regulars", *command]
        return subprocess.Popen(program, env=environment(variables), stdout=out, stderr=errors)
    return _fork_server().start(command, environment(variables), out.fileno(), errors.fileno())


@functools.cache
def _fork_server() -> ForkServer:
    server = ForkServer(environment())
    atexit.register(server.close)
    return server


def processes(pid: int, word: str) -> list[psutil.Process]:
    """The processes that a process has begun, and those in their turn, with a word in their command
    line."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if any(word in one for one in process.cmdline()):
                found.append(process)
    return found


class Stopwatch:
    """Measures how long a server works, and leaves out how long it waits for a processor: on a busy
    machine the clock on the wall says little about the server."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._began, self._used = time.monotonic(), self._processor_seconds()

    @property
    def seconds(self) -> float:
        """The processor time of the server since the start, but at least a tenth of the elapsed
        time, so that a server which only waits is noticed, too; at most the elapsed time."""
        elapsed = time.monotonic() - self._began
        return min(elapsed, max(self._processor_seconds() - self._used, elapsed / 10))

    def _processor_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def workers(pid: int) -> list[int]:
    """The processes that serve, of those that a server has begun."""
    return [process.pid for process in processes(pid, "spawn_main")]


def figures(url: str) -> dict[str, float]:
    """The samples of /metrics."""
    text = get(f"{url}/metrics").text
    found = re.findall(r"^(\w+(?:\{[^}]*\})?) ([0-9.e+-]+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def used(server: Server) -> float:
    """How many replicas a server reads."""
    return figures(server.url)["regulars_replicas_used"]


def examples(thorough: int) -> int:
    """How many examples a property is tested with, of those that are `thorough`: a quarter, unless
    the Hypothesis profile is the thorough one (see conftest.py)."""
    profile = settings.default
    assert profile
    return thorough * profile.max_examples // 100


def eventually(holds: Callable[[], Any], seconds: float = 30) -> None:
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


def with_store(database_url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """Works with a database directly, beside the server that serves it."""

    return apart(lambda: open_and_work(Settings(database_url=database_url), work))


def apart(work: Callable[[], T]) -> T:
    """Does something in a thread of its own, where a browser is at work in this one: it has an
    event loop there, and there may be no other."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def new_token(
    server: Server,
    account: str | None = None,
    expires_at: int | None = None,
    scopes: Sequence[str] = ("customers",),
) -> str:
    """A token for a new account, or for the one named."""
    name = account or f"account {os.getpid()} {next(_numbers)}"

    async def create(store: Store) -> str:
        accounts = Accounts(store)
        found = await accounts.resolve(name) if account else await accounts.create(name)
        token, _ = await accounts.create_token(found, "test", expires_at, scopes=scopes)
        return token

    return server.store.run(create)


def account_of(server: Server, token: str) -> str:
    """The name of the account that a token opens."""

    async def find(store: Store) -> str:
        accounts = Accounts(store)
        grant = await accounts.authenticate(token)
        assert grant
        return next(a.name for a in await accounts.all() if a.account_id == grant.account_id)

    return with_store(server.database_url, find)


@contextmanager
def scratch_database(dsn: str, options: str = "", template: str = "") -> Iterator[str]:
    """A new database on a PostgreSQL server, dropped afterwards; with Citus on all of its nodes, if
    the server has it. A `template` is a database that it is a copy of."""
    if template:
        options += f" TEMPLATE {template}"
    name = f"scratch_{os.getpid()}_{next(_numbers)}"

    async def run(at: str, statement: str) -> list[Any]:
        connection = await asyncpg.connect(at)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    async def make() -> list[str]:
        if not await run(dsn, "SELECT 1 FROM pg_extension WHERE extname = 'citus'"):
            await run(dsn, f"CREATE DATABASE {name} {options}")
            return [dsn]
        found = await run(dsn, "SELECT nodename, nodeport FROM pg_dist_node ORDER BY groupid")
        nodes = [elsewhere(dsn, host=f"{host}:{port}") for host, port in found]
        for node in nodes:
            # Citus is at work in its databases, and one that is in use is not copied.
            await run(
                node,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{template}'",
            )
            await run(node, f"CREATE DATABASE {name} {options}")
            await run(elsewhere(node, name), "CREATE EXTENSION IF NOT EXISTS citus")
        (host, port), *workers = found
        made = elsewhere(dsn, name)
        await run(made, f"SELECT citus_set_coordinator_host('{host}', {port})")
        for host, port in workers:
            await add_node(made, host, port)
        return nodes

    async def drop(nodes: Sequence[str]) -> None:
        for node in nodes:
            await run(node, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    nodes = apart(lambda: asyncio.run(make()))
    yield elsewhere(dsn, name)
    apart(lambda: asyncio.run(drop(nodes)))


async def add_node(dsn: str, host: str, port: int) -> None:
    """Adds a node to a database with Citus. It tells the node of the cluster's roles, which are the
    same in all databases: while another test does so, too, one of the two is refused."""
    connection = await asyncpg.connect(dsn)
    try:
        for left in reversed(range(10)):
            try:
                await connection.execute("SELECT citus_add_node($1, $2)", host, port)
                return
            except asyncpg.InternalServerError:
                if not left:
                    raise
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


def elsewhere(dsn: str, database: str | None = None, host: str | None = None) -> str:
    """The DSN of another database, or of the same one on another host."""
    parts = urlsplit(dsn)
    user = parts.netloc.rpartition("@")[0]
    netloc = parts.netloc if host is None else f"{user}@{host}" if user else host
    path = parts.path if database is None else f"/{database}"
    return urlunsplit(parts._replace(netloc=netloc, path=path))


def get(url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """The answer to a GET of nobody in particular."""
    return httpx.get(url, headers=headers, verify=TLS)


class Listening:
    """A store that remembers what it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: list[tuple[Query, Mapping[str, Any]]] = []

    async def fetch(
        self, query: Query, parameters: Mapping[str, Any], is_long: bool = False
    ) -> Sequence[Any]:
        self.asked.append((query, parameters))
        return await self._store.fetch(query, parameters, is_long)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Client:
    """Speaks to a server as an application would."""

    def __init__(self, server: Server, token: str) -> None:
        self.server = server
        self.token = token
        self.http = httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
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
        """The HTTP answer to an operation."""
        body = {"query": query, "variables": variables}
        return self.http.post("/api/v2", json=body, headers=headers)

    def run(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """The GraphQL response to an operation."""
        answer = self.post(document, variables)
        assert answer.status_code == 200, answer.text
        response: dict[str, Any] = answer.json()
        return response

    def data(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """The data of an operation that succeeds."""
        response = self.run(document, **variables)
        assert "errors" not in response, response["errors"]
        data: dict[str, Any] = response["data"]
        return data

    def errors(self, document: str, /, **variables: Any) -> list[dict[str, Any]]:
        """The errors of an operation that is refused."""
        response = self.run(document, **variables)
        assert "errors" in response, response
        errors: list[dict[str, Any]] = response["errors"]
        assert all(error["key"] != "errors_internal" for error in errors), errors
        return errors

    def refused(self, key: str, document: str, /, **variables: Any) -> dict[str, Any]:
        """The only error of an operation, which has this key."""
        errors = self.errors(document, **variables)
        assert [error["key"] for error in errors] == [key], errors
        assert errors[0]["name"] == "ReportedError"
        assert errors[0]["extensions"]["key"] == key
        assert errors[0]["message"]
        return errors[0]

    def create(self, email: str, fields: str = "id _id", **node: Any) -> dict[str, Any]:
        """A new customer."""
        mutation = (
            f"mutation($node: InputCustomer!) {{ createCustomer(node: $node) {{ {fields} }} }}"
        )
        created: dict[str, Any] = self.data(mutation, node={"email": email, **node})[
            "createCustomer"
        ]
        return created

    def update(self, customer_id: str, fields: str = "id", **node: Any) -> dict[str, Any]:
        """A customer, updated."""
        mutation = f"""mutation($id: ID!, $node: InputUpdateCustomer!) {{
            updateCustomer(id: $id, node: $node) {{ {fields} }} }}"""
        updated: dict[str, Any] = self.data(mutation, id=customer_id, node=node)["updateCustomer"]
        return updated

    def delete(self, *ids: str) -> list[str]:
        """Deletes customers."""
        deleted: list[str] = self.data(
            "mutation($items: [ID!]!) { deleteCustomers(items: $items) }", items=list(ids)
        )["deleteCustomers"]
        return deleted

    def node(self, object_id: str, selection: str) -> Any:
        """An object by its id, or None."""
        query = f"query($id: ID!) {{ node(id: $id) {{ {selection} }} }}"
        return self.data(query, id=object_id)["node"]

    def emails(self, query: str = "", **arguments: Any) -> list[str]:
        """The emails of a page, in its order."""
        page = self.page("email", query=query, **arguments)
        return [edge["node"]["email"] for edge in page["edges"]]

    def page(self, fields: str = "_id", **arguments: Any) -> dict[str, Any]:
        """A page of customers."""
        query = f"""query($query: String, $first: Int, $after: String, $last: Int, $before: String) {{
            customers(query: $query, first: $first, after: $after, last: $last, before: $before) {{
              edges {{ cursor node {{ {fields} }} }}
              pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"""
        page: dict[str, Any] = self.data(query, **arguments)["customers"]
        return page


@contextmanager
def busy(
    server: Server, work: Callable[[Client], object], token: str, count: int
) -> Iterator[None]:
    """Clients who do something again and again."""
    stop = threading.Event()

    def go_on() -> None:
        with Client(server, token) as client:
            while not stop.is_set():
                work(client)

    threads = [threading.Thread(target=go_on) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
