"""Starts `regulars` by forking a process that has imported it: in 0.3 s of a processor, not 1.5 s.

`ForkServer` starts that process with `python -m tests.fork_server`, and sends it what to run. Python
is not started again, so tests that are about that use `subprocess`. A server that it starts runs its
imports and the worker of its bulkhead in the same way, through `tests/fork_client.py`.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

_MESSAGE_BYTES = 1024 * 1024
_PROGRAMS = ("regulars.import_worker", "regulars.bulkhead_worker")
# What a forked server runs as `sys.executable`.
_PYTHON = """#!/bin/sh
case "$2" in
{programs}) exec {python} -IS {client} {address} "$@";;
*) exec {python} "$@";;
esac
"""


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
        self._folder = tempfile.TemporaryDirectory(prefix="regulars-fork-server-")
        with other:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.fork_server"),
                    *(str(other.fileno()), self._folder.name),
                ],
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
                "program": "",
                "arguments": command,
                "environment": dict(environment),
                "folder": str(Path.cwd()),
            }
            files = [0, stdout, stderr, writing]
            socket.send_fds(self._socket, [json.dumps(message).encode()], files)
        finally:
            os.close(writing)
        return ForkedProcess(reading)

    def close(self) -> None:
        """Ends the process; what it forked goes on."""
        self._socket.close()
        self._process.wait(30)
        self._folder.cleanup()


def _serve(commands: socket.socket, workers: socket.socket) -> Mapping[str, Any]:
    """Forks for each command until there are no more. Returns the message in the process of a
    command."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the exit codes of monitors are not used
    while True:
        ready, _, _ = select.select([commands, workers], [], [])
        client = commands if commands in ready else workers.accept()[0]
        content, files, _, _ = socket.recv_fds(client, _MESSAGE_BYTES, 4)
        if client is not commands:
            client.close()
        elif not content:
            os._exit(0)
        if os.fork() == 0:
            commands.close()
            workers.close()
            message: Mapping[str, Any] = json.loads(content)
            _monitor(message, *files)
            return message
        for file in files:
            os.close(file)


def _monitor(message: Mapping[str, Any], stdin: int, stdout: int, stderr: int, status: int) -> None:
    """Forks for a command, reports its process id and its exit code, and ends it when the report is
    not read any more. Returns in the process of the command."""
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    pid = os.fork()
    if pid:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for file in (stdin, stdout, stderr):
            os.close(file)
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
                    # The process that stands for a worker is only killed.
                    os.kill(pid, signal.SIGKILL if message["program"] else signal.SIGTERM)
        with suppress(BrokenPipeError):
            os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended[1]))
        os._exit(0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(woken)
    os.close(wake)
    os.close(status)
    for number, file in enumerate((stdin, stdout, stderr)):
        os.dup2(file, number)
        os.close(file)
    os.chdir(message["folder"])
    os.environ.clear()
    os.environ.update(message["environment"])
    sys.argv = [message["program"] or "regulars", *message["arguments"]]


def _write_python(path: Path, address: Path) -> None:
    """Writes a program that runs the programs of a server by the fork server at an address, and
    everything else by Python."""
    text = _PYTHON.format(
        programs="|".join(_PROGRAMS),
        python=shlex.quote(sys.executable),
        client=shlex.quote(str(Path(__file__).with_name("fork_client.py"))),
        address=shlex.quote(str(address)),
    )
    path.write_text(text, encoding="utf-8")
    path.chmod(0o700)


if __name__ == "__main__":
    import gc

    # Together with what a server imports only when it needs it.
    import regulars.app
    import regulars.bulkhead_worker
    import regulars.cli.serve
    import regulars.import_worker  # noqa: F401  # so that forked processes have it
    from regulars.api.schema import sdl
    from regulars.cli import main
    from regulars.transfer.heading_dictionary import dictionary
    from regulars.transfer.letter_model import languages

    for cached in (sdl, dictionary, languages):
        cached()

    folder = Path(sys.argv[2])
    python, address = folder / "python", folder / "socket"
    with (
        socket.socket(fileno=int(sys.argv[1])) as commands,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as workers,
    ):
        workers.bind(str(address))
        workers.listen()
        _write_python(python, address)
        gc.freeze()
        message = _serve(commands, workers)
    sys.executable = str(python)
    if message["program"]:
        import_module(message["program"]).main()
    else:
        main()
