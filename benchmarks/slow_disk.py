"""Run `regulars` with a simulated slow disk: `python -m benchmarks.slow_disk serve …`.

The variables are `COMMIT_MS`, the milliseconds that each commit takes longer, and `MAX_BATCH`, the
maximum number of writes per commit.
"""

from __future__ import annotations

import os
import time
from typing import Any

import apsw

from regulars.store import writer
from regulars.store.sqlite import writer_thread

COMMIT_SECONDS = float(os.environ.get("COMMIT_MS", "0")) / 1000


class SlowConnection(apsw.Connection):
    """A connection that sleeps before each commit."""

    def execute(self, statements: str, *bindings: Any, **options: Any) -> apsw.Cursor:
        if statements == "COMMIT":
            time.sleep(COMMIT_SECONDS)
        return super().execute(statements, *bindings, **options)


if __name__ == "__main__":
    from regulars.cli import main

    setattr(apsw, "Connection", SlowConnection)  # noqa: B010  # as mypy sees a constant
    assert hasattr(writer_thread, "MAX_BATCH")  # the writer reads it there
    setattr(writer_thread, "MAX_BATCH", int(os.environ.get("MAX_BATCH", writer.MAX_BATCH)))  # noqa: B010  # likewise
    main()
