"""The command `regulars`.

The commands are imported in `main`, so that Ctrl-C is handled from the start.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading

_INTERRUPTED = 130
# The imports of a command create up to 180,000 objects, and no garbage. With Python's threshold of
# 700, collections take a tenth of the time until a server is ready.
_GC_THRESHOLD = 200_000


def main() -> None:
    """Runs the command of `sys.argv` and exits with its exit code."""
    gc.set_threshold(_GC_THRESHOLD)
    try:
        from regulars.cli.root import run

        code = run()
    except KeyboardInterrupt:
        # A terminal shows ^C at the start of the line.
        start = "\n" if sys.stderr.isatty() else ""
        print(f"{start}regulars: Stopped by Ctrl-C.", file=sys.stderr)
        code = _INTERRUPTED
    # While Python ends, it reports Ctrl-C with a traceback. Nothing is left that it could stop.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


__all__ = ["main"]
