"""`regulars serve` on a disk whose commit takes longer: `python -m benchmarks.slow_disk serve …`.

`COMMIT_MS` is how much longer, and `MAX_BATCH` how many writes may share a commit.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from regulars.store import sqlite, writer

COMMIT_SECONDS = float(os.environ.get("COMMIT_MS", "0")) / 1000


class SlowConnection(sqlite3.Connection):
    """A connection whose commit takes as long as a slow disk's."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            time.sleep(COMMIT_SECONDS)
        return super().execute(sql, *parameters)


_connect: Callable[..., sqlite3.Connection] = sqlite3.connect


def _slow(*arguments: Any, **options: Any) -> sqlite3.Connection:
    return _connect(*arguments, **{"factory": SlowConnection, **options})


if __name__ == "__main__":
    from regulars.cli import main

    setattr(sqlite3, "connect", _slow)  # noqa: B010  # as a disk would be exchanged
    setattr(sqlite, "MAX_BATCH", int(os.environ.get("MAX_BATCH", writer.MAX_BATCH)))  # noqa: B010
    main()
