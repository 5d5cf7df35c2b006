"""`regulars serve` on a disk whose commit takes longer: `python -m benchmarks.slow_disk serve …`.

`COMMIT_MS` is how much longer, and `MAX_BATCH` how many writes may share a commit.
"""

from __future__ import annotations

import os
import time
from typing import Any

import apsw

from regulars.store import sqlite, writer

COMMIT_SECONDS = float(os.environ.get("COMMIT_MS", "0")) / 1000


class SlowConnection(apsw.Connection):
    """A connection whose commit takes as long as a slow disk's."""

    def execute(self, statements: str, *bindings: Any, **options: Any) -> apsw.Cursor:
        if statements == "COMMIT":
            time.sleep(COMMIT_SECONDS)
        return super().execute(statements, *bindings, **options)


if __name__ == "__main__":
    from regulars.cli import main

    setattr(apsw, "Connection", SlowConnection)  # noqa: B010  # as a disk would be exchanged
    setattr(sqlite, "MAX_BATCH", int(os.environ.get("MAX_BATCH", writer.MAX_BATCH)))  # noqa: B010  # likewise
    main()
