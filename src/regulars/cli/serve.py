"""`regulars serve`: a migrated database, a first token, and the server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf
from time import monotonic
from weakref import WeakKeyDictionary

import uvicorn
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from regulars import __version__
from regulars.accounts.accounts import AccountError, Accounts
from regulars.accounts.sessions import Sessions
from regulars.cli.database import with_store
from regulars.cli.errors import CannotListenError, UsageError
from regulars.cli.reloading import (
    ENVIRONMENT_FILE,
    CheckFailed,
    Hangup,
    accept_hangups,
    check_start,
    describe_process,
    inherited_socket,
    read_environment,
    restart,
)
from regulars.cli.urls import reachable_at, sign_in_url, url_of
from regulars.core.scopes import ADMIN
from regulars.directory.database import replicas_for, store_for, upgrade
from regulars.environment import is_secret_file
from regulars.http import log
from regulars.http.metrics import MULTIPROCESS
from regulars.http.server_config import ServerConfig
from regulars.settings import Settings
from regulars.store import DatabaseUrl, Store, parse_url
from regulars.store.schema_version import require_usable, stored_version

FIRST_ACCOUNT = "default"
BACKLOG = 2_048
_FILES = 65_536
# How long a server that reloads waits for the requests of connections that it has accepted.
_LINGER_SECONDS = 0.5

_log = logging.getLogger("regulars.server")

# The time that a process may take to start.
_START_SECONDS = 60

_QUERY = '{"query":"{ customers(first: 5) { edges { node { id full_name email } } } }"}'


@dataclass(frozen=True, slots=True)
class InitialCredentials:
    """The credentials of a new database: its token, and the code of a sign-in link. Both are empty
    if the token came from REGULARS_BOOTSTRAP_TOKEN, which is not printed."""

    token: str | None = None
    link: str = ""


def serve(settings: Settings) -> None:
    """Serves until SIGTERM. Raises StoreError, UsageError or CannotListenError, and
    KeyboardInterrupt after Ctrl-C."""
    address = parse_url(settings.database_url)
    original_environment = dict(os.environ)
    if settings.environment_file is not None:
        original_environment[ENVIRONMENT_FILE] = settings.environment_file
    require_servable(settings)
    log.configure(settings.log_level, settings.log_format)
    _log.info("start", extra={"fields": describe_process()})
    if stored_version(address) is None:
        version = upgrade(address)
        fields = {"database": address.redacted, "before": None, "after": version}
        _log.info("migration", extra={"fields": fields})
    require_usable(address)
    first = with_store(settings, lambda store: bootstrap(store, settings))
    listening = inherited_socket() or _listen(settings.host, settings.port)
    port = listening.getsockname()[1]
    banner = _banner(settings, address, port, first)
    _export(settings)
    # When stopped, uvicorn finishes the requests in flight and raises the signal again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _raise_file_limit()
    config = ServerConfig(
        "regulars.app:create",
        factory=True,
        workers=settings.workers,
        http="regulars.http.protocol:Protocol",  # of worker processes, which import it
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_seconds,  # type: ignore[arg-type]  # any number does
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    with listening:
        if settings.workers > 1:
            print(banner, flush=True)
            # The directory in which the processes combine their metrics.
            with tempfile.TemporaryDirectory(prefix="regulars-metrics-") as folder:
                os.environ[MULTIPROCESS] = folder
                processes = _WorkerProcesses(config, [listening], original_environment)
                processes.run()
                _log.info("stop")
            if processes.is_interrupted:
                raise KeyboardInterrupt
        else:
            server = _Server(
                config, lambda: print(banner, flush=True), original_environment, listening
            )
            # uvicorn closes the socket that it is given. The original keeps the port open during a
            # reload, and new connections wait.
            server.run(sockets=[listening.dup()])
            if server.is_reloading:
                restart(listening, server.environment)


def require_servable(settings: Settings) -> None:
    """Raises UsageError or BadDatabaseURL for settings that a server cannot work with."""
    if settings.workers > 1 and parse_url(settings.database_url).dialect == "sqlite":
        raise UsageError(
            "--workers (REGULARS_WORKERS): SQLite is served by one process. "
            "Use PostgreSQL for more."
        )
    if settings.tracing and find_spec("opentelemetry.exporter") is None:
        raise UsageError(
            "--tracing (REGULARS_TRACING) needs OpenTelemetry. Run: pip install 'regulars[otel]'"
        )
    if settings.environment_file is not None:
        try:
            read_environment({ENVIRONMENT_FILE: settings.environment_file})
        except CheckFailed as error:
            raise UsageError(str(error)) from error
    replicas_for(store_for(settings.database_url), settings.replica_urls, 1, 1)


class _WorkerProcesses(Multiprocess):
    """Worker processes that SIGHUP replaces one after another. A process may take a minute to start
    on a busy machine. uvicorn allows only the health check timeout: it kills such a process and
    starts it again, and it stops replacing."""

    is_interrupted = False

    def __init__(
        self,
        config: uvicorn.Config,
        sockets: list[socket.socket],
        environment: Mapping[str, str],
    ) -> None:
        self._environment = environment
        self._hangup = Hangup()
        # When each process that has not answered yet got its first health check.
        self._asked_at: WeakKeyDictionary[Process, float] = WeakKeyDictionary()
        super().__init__(config, sockets)
        if self._hangup.is_ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        accept_hangups()

    def keep_subprocess_alive(self) -> None:
        starting = [process for process in self.processes if self._is_starting(process)]
        self.processes = [process for process in self.processes if process not in starting]
        try:
            super().keep_subprocess_alive()
        finally:
            self.processes += starting

    def _is_starting(self, process: Process) -> bool:
        """Returns whether a process has not answered its first health check yet, and may take more
        time."""
        if process not in self._asked_at:
            self._asked_at[process] = monotonic()
            with contextlib.suppress(OSError):
                process.parent_conn.send(b"ping")
        if self._asked_at[process] + _START_SECONDS < monotonic() or not process.process.is_alive():
            return False
        with contextlib.suppress(OSError, EOFError):
            if not process.parent_conn.poll():
                return True
            process.parent_conn.recv()
        self._asked_at[process] = -inf
        return False

    def handle_int(self) -> None:
        self.is_interrupted = True
        super().handle_int()

    def handle_hup(self) -> None:
        if self._hangup.has_lost_terminal():
            self.handle_term()
            return
        try:
            os.environ.update(asyncio.run(check_start(read_environment(self._environment))))
        except CheckFailed as error:
            _log.error("reload_failed", extra={"fields": {"reason": str(error)}})
            return
        _log.info("reload")
        health_check_seconds = self.config.timeout_worker_healthcheck
        self.config.timeout_worker_healthcheck = _START_SECONDS
        try:
            super().handle_hup()
        finally:
            self.config.timeout_worker_healthcheck = health_check_seconds


class _Server(uvicorn.Server):
    """The server of a single process. It calls `on_ready` when it is ready. SIGHUP stops it for a
    reload, unless the check of a new process with `environment` fails."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[], None],
        environment: Mapping[str, str],
        listening: socket.socket,
    ) -> None:
        super().__init__(config)
        self._listening = listening
        self._on_ready = on_ready
        self.environment = environment
        self._hangup = Hangup()
        self._check: asyncio.Task[None] | None = None
        self.is_reloading = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            if not self._hangup.is_ignored:
                loop = asyncio.get_running_loop()
                loop.add_signal_handler(signal.SIGHUP, self._handle_hangup)
            accept_hangups()
            # Without a reader of the output, the server is ready all the same. An exception here
            # would end the loop while the sockets are open, and the process would hang.
            with contextlib.suppress(OSError):
                self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _log.info("reload" if self.is_reloading else "stop")
        if not self.is_reloading:
            self._listening.close()  # new connections are refused
        else:
            for server in self.servers:  # new connections wait for the new process
                server.close()
            # Connections that were just accepted get a response, and are closed after it.
            self.config.loaded_app.draining.is_draining = True
            await asyncio.sleep(_LINGER_SECONDS)
        await super().shutdown(sockets)

    def _handle_hangup(self) -> None:
        if self._hangup.has_lost_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
        elif self._check is None:
            self._check = asyncio.create_task(self._reload())

    async def _reload(self) -> None:
        try:
            environment = read_environment(self.environment)
            await check_start(environment)
        except CheckFailed as error:
            _log.error("reload_failed", extra={"fields": {"reason": str(error)}})
        else:
            if not self.should_exit:
                self.environment = environment
                self.is_reloading = self.should_exit = True
        finally:
            self._check = None


async def bootstrap(store: Store, settings: Settings) -> InitialCredentials | None:
    """Creates the first account and token of a database without accounts."""
    accounts = Accounts(store)
    if await accounts.has_any():
        return None
    try:
        account = await accounts.create(FIRST_ACCOUNT)
    except AccountError:  # another process has created it
        return None
    bootstrap_token = settings.bootstrap_token
    token, created = await accounts.create_token(
        account, "first", text=bootstrap_token, scopes=(ADMIN,)
    )
    if bootstrap_token:
        return InitialCredentials()
    return InitialCredentials(
        token, await Sessions(store, accounts, settings.session_hours).link(created.token_id)
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # From now on, connections wait until a process accepts them.
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise CannotListenError(
            f"Cannot listen on {host} port {port}: {error.strerror or error}. "
            "Choose another address with --host or --port."
        ) from error
    listening.set_inheritable(True)
    return listening


def _export(settings: Settings) -> None:
    """Passes the settings to the worker processes. Secrets of files become variables, because the
    files may be unreadable later."""
    for name in [name for name in os.environ if is_secret_file(name)]:
        del os.environ[name]
    os.environ.update(settings.environment())


def _raise_file_limit() -> None:
    """Raises the limit of open files as far as possible: every connection is one."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _banner(
    settings: Settings, address: DatabaseUrl, port: int, first: InitialCredentials | None
) -> str:
    pages = reachable_at(settings.host, port)
    url = f"{pages}/api/v2"
    lines = [
        f"Regulars {__version__} listens on {url_of(settings.host, port)}, GraphQL at {url}",
        f"Database: {address.redacted}",
    ]
    if first is None:
        bearer = "$REGULARS_TOKEN"
        lines.append("Create a token for REGULARS_TOKEN with: regulars token create")
    elif first.token is None:
        bearer = "$REGULARS_BOOTSTRAP_TOKEN"
        lines.append("Created the first token of the database from REGULARS_BOOTSTRAP_TOKEN.")
    else:
        bearer = first.token
        lines.append(
            f"Created the first token. Save it now, because it is shown only once: {bearer}"
        )
    if first and first.link:
        lines.append(
            f"Sign in to the pages with this link, once within an hour: "
            f"{sign_in_url(pages, first.link)}"
        )
    else:
        lines.append(f"Pages: {pages} (sign in with a token)")
    lines += [
        "Try it:",
        f'  curl -s {url} -H "Authorization: Bearer {bearer}" '
        f"-H 'Content-Type: application/json' -d '{_QUERY}'",
        "Press Ctrl-C to stop.",
    ]
    return "\n".join(lines)
