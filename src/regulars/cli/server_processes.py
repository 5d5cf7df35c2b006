"""The processes of a server, and how they are replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from math import inf
from time import monotonic
from weakref import WeakKeyDictionary

import uvicorn
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from regulars.cli.reloading import (
    CheckFailed,
    Hangup,
    accept_hangups,
    check_start,
    read_environment,
)

# How long a server that reloads waits for the requests of connections that it has accepted.
_LINGER_SECONDS = 0.5
# The time that a process may take to start.
_START_SECONDS = 60

_log = logging.getLogger("regulars.server")


class WorkerProcesses(Multiprocess):
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


class Server(uvicorn.Server):
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
            # Without a reader of the output, the server is ready, too. An exception here
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
