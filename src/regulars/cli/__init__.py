"""The command `regulars`.

The commands are imported in `main`, so that Ctrl-C is handled from the start.
"""

from __future__ import annotations

import sys

_INTERRUPTED = 130


def main() -> None:
    """Runs the command of `sys.argv` and exits with its exit code."""
    try:
        from regulars.cli.root import run

        code = run()
    except KeyboardInterrupt:
        # A terminal shows ^C at the start of the line.
        start = "\n" if sys.stderr.isatty() else ""
        print(f"{start}regulars: Stopped by Ctrl-C.", file=sys.stderr)
        code = _INTERRUPTED
    sys.exit(code)


__all__ = ["main"]
