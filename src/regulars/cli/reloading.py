"""Reloading a server of one process: on SIGHUP it finishes its requests, and then replaces itself
by a new process with the same id and the same listening socket.

The socket is passed in the way of systemd's socket activation (sd_listen_fds(3)): LISTEN_FDS and
LISTEN_PID name it. So a socket unit of systemd works, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regulars import __version__
from regulars.core.errors import RegularsError
from regulars.versions import commit

ENVIRONMENT_FILE = "REGULARS_ENVIRONMENT_FILE"

# The first file descriptor of socket activation.
_FIRST_SOCKET = 3
_CHECK_SECONDS = 60


class Hangup:
    """What SIGHUP means: a reload, or, for a process of a terminal, that the terminal is gone."""

    def __init__(self) -> None:
        self._had_terminal = _has_terminal()
        # As nohup has set it.
        self.is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    def has_lost_terminal(self) -> bool:
        """Returns whether the process had a terminal that does not exist any more."""
        return self._had_terminal and not _has_terminal()


def accept_hangups() -> None:
    """Delivers SIGHUP from now on, and one that has come since the process started."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def describe_process() -> dict[str, Any]:
    """Returns the fields of the log about this process."""
    return {
        "version": __version__,
        "commit": commit(),
        "pid": os.getpid(),
        "python": sys.version.split()[0],
    }


def inherited_socket() -> socket.socket | None:
    """Returns the listening socket that systemd or the process before a reload has passed, or
    None."""
    is_mine = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if not is_mine or count != "1":
        return None
    listening = socket.socket(fileno=_FIRST_SOCKET)
    listening.setblocking(False)
    return listening


class CheckFailed(RegularsError):
    """A new process could not serve."""


def read_environment(original: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment for a reload: the original one, with the present content of the file
    REGULARS_ENVIRONMENT_FILE. Raises CheckFailed if the file cannot be read."""
    name = original.get(ENVIRONMENT_FILE)
    if not name:
        return dict(original)
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "It is not UTF-8"
        raise CheckFailed(
            f"{ENVIRONMENT_FILE} names the file {name!r}, which cannot be read: {reason}."
        ) from error
    values = (
        line.strip().partition("=") for line in lines if line.strip()[:1] not in ("", "#", ";")
    )
    file_values = {key.strip(): _unquote(value.strip()) for key, _, value in values}
    # A setting that the file does not have any more is back at its default.
    kept = {
        n: v for n, v in original.items() if not n.startswith("REGULARS_") or n == ENVIRONMENT_FILE
    }
    return {**kept, **file_values}


def _unquote(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


async def check_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Checks whether a new process with this environment could serve: the installed program, the
    settings and the database's tables. Returns the settings as environment variables. Raises
    CheckFailed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "regulars.cli.preflight", *sys.argv[1:]),
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise CheckFailed(f"The check took longer than {_CHECK_SECONDS} s.") from None
    if process.returncode != 0:
        lines = errors.decode(errors="replace").strip().splitlines()
        reason = lines[-1].removeprefix("regulars: ") if lines else ""
        raise CheckFailed(reason or f"The check exited with {process.returncode}.")
    settings: dict[str, str] = json.loads(output)
    return settings


def restart(listening: socket.socket, environment: Mapping[str, str]) -> None:
    """Replaces this process. Does not return."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # until the new one can reload
    os.dup2(listening.fileno(), _FIRST_SOCKET)
    os.set_inheritable(_FIRST_SOCKET, True)
    passed = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    # The arguments of Python itself, too, such as `-m regulars`.
    arguments = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, arguments, {**environment, **passed})  # noqa: S606  # itself, no shell
