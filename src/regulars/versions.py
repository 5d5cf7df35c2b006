"""The commit of the program, from its build or from a git checkout."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

_LENGTH = 12
_GIT_SECONDS = 5


@cache
def commit() -> str:
    """Returns the first characters of the commit's id, or `unknown`."""
    package = Path(__file__).parent
    built = package / "commit.txt"
    if built.exists():
        return built.read_text(encoding="ascii").strip()[:_LENGTH] or "unknown"
    # Only the checkout of Regulars itself: an installation may be inside another one.
    checkout = package.parent.parent
    if package.parent.name != "src" or not (checkout / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        process = subprocess.run(  # noqa: S603  # git from PATH, without a shell
            command, capture_output=True, text=True, check=True, timeout=_GIT_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return process.stdout.strip()[:_LENGTH]
