"""`regulars serve`: a migrated database, a first token, and the server."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec

from regulars import __version__
from regulars.accounts.accounts import AccountError, Accounts
from regulars.accounts.sessions import Sessions
from regulars.cli.database import with_store
from regulars.cli.errors import CannotListenError, UsageError
from regulars.cli.reloading import (
    ENVIRONMENT_FILE,
    CheckFailed,
    describe_process,
    inherited_socket,
    read_environment,
    restart,
)
from regulars.cli.server_processes import Server, WorkerProcesses
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

_log = logging.getLogger("regulars.server")

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
                processes = WorkerProcesses(config, [listening], original_environment)
                processes.run()
                _log.info("stop")
            if processes.is_interrupted:
                raise KeyboardInterrupt
        else:
            server = Server(
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
