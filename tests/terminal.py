"""Runs commands on a pseudo-terminal, as a person does."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Mapping

from tests.support import build_environment

CTRL_C = b"\x03"
CTRL_D = b"\x04"
_SECONDS = 60.0


def run_on_terminal(
    *arguments: str,
    env: Mapping[str, str],
    columns: int = 80,
    keys: bytes = b"",
    after: str = "",
    seconds: float = 0.0,
) -> tuple[int, str]:
    """Runs `regulars` on a terminal. Types `keys` when the output has `after` and `seconds` have
    passed since. Returns the exit code, and the output without styles."""
    pid, terminal = pty.fork()
    if pid == 0:
        variables = build_environment({"TERM": "xterm", **env})
        variables.pop("COLUMNS", None)  # it takes precedence over the size of the terminal
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.execve(sys.executable, [sys.executable, "-m", "regulars", *arguments], variables)
    output, due = b"", 0.0
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.02)[0]:
            try:
                output += os.read(terminal, 65_536)
            except OSError:  # the terminal is closed
                break
        if keys and not due and after in output.decode(errors="replace"):
            due = time.monotonic() + seconds
        if keys and due and time.monotonic() >= due:
            os.write(terminal, keys)
            keys = b""
    else:
        os.kill(pid, 9)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return status, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode().replace("\r\n", "\n"))
