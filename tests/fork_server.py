"""Starts `regulars` by forking a process that has imported it: in 0.3 s of a processor, not 1.5 s.

`ForkServer` starts that process with `python -m tests.fork_server`, and sends it what to run. Python
is not started again, so tests that are about that use `subprocess`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_MESSAGE_BYTES = 1024 * 1024


class ForkedProcess:
    """A command that runs, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, status: int) -> None:
        self._status = os.fdopen(status)
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def poll(self) -> int | None:
        """How it ended, if it has."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """How it ended: its exit code, or the number of a signal, negative."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("regulars", timeout)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode


class ForkServer:
    """A process that has imported Regulars, and forks for each command."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(other.fileno())],
                env=environment,
                pass_fds=[other.fileno()],
            )

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], stdout: int, stderr: int
    ) -> ForkedProcess:
        """Runs a command of `regulars`, with an environment and the files that it writes to."""
        reading, writing = os.pipe()
        try:
            message = {
                "command": command,
                "environment": dict(environment),
                "folder": str(Path.cwd()),
            }
            files = [stdout, stderr, writing]
            socket.send_fds(self._socket, [json.dumps(message).encode()], files)
        finally:
            os.close(writing)
        return ForkedProcess(reading)

    def close(self) -> None:
        """Ends the process; what it forked goes on."""
        self._socket.close()
        self._process.wait(30)


def _serve(commands: socket.socket) -> None:
    """Forks for each command until there are no more. Returns in the process of a command."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how the monitors end
    while True:
        message, files, _, _ = socket.recv_fds(commands, _MESSAGE_BYTES, 3)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            commands.close()
            _monitor(json.loads(message), *files)
            return
        for file in files:
            os.close(file)


def _monitor(message: Mapping[str, Any], stdout: int, stderr: int, status: int) -> None:
    """Forks for a command, reports its process id and how it ends, and ends it when nobody reads
    that any more. Returns in the process of the command."""
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    pid = os.fork()
    if pid:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.close(stdout)
        os.close(stderr)
        os.write(status, b"%d\n" % pid)
        poll = select.poll()
        poll.register(woken, select.POLLIN)
        poll.register(status, 0)  # reports an error when the reader has gone
        while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
            for file, _ in poll.poll():
                if file == woken:
                    os.read(woken, 64)
                else:
                    poll.unregister(status)
                    os.kill(pid, signal.SIGTERM)
        with suppress(BrokenPipeError):
            os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended[1]))
        os._exit(0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(woken)
    os.close(wake)
    os.close(status)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.close(stdout)
    os.close(stderr)
    os.chdir(message["folder"])
    os.environ.clear()
    os.environ.update(message["environment"])
    sys.argv = ["regulars", *message["command"]]


if __name__ == "__main__":
    import gc

    # Together with what a server imports only when it needs it.
    import regulars.app
    import regulars.cli.serve  # noqa: F401
    from regulars.cli import main

    with socket.socket(fileno=int(sys.argv[1])) as commands:
        gc.freeze()
        _serve(commands)
    main()
