"""`python -m regulars.import_worker ACCOUNT_ID IMPORT_ID`: the process that runs one import.

It stops when its standard input is closed, which happens when the server exits for any reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import sys
import threading

from regulars.background import lower_priority
from regulars.directory.database import store_for
from regulars.environment import load_settings
from regulars.http import log
from regulars.settings import Settings
from regulars.store import DiskFull, Unreachable
from regulars.store.statement_times import statement_times
from regulars.transfer.garbage_collector import collect_less
from regulars.transfer.gzip_reader import Bounds
from regulars.transfer.job import Job
from regulars.transfer.jobs import DISK_IS_FULL, IS_AWAY, TEMPORARY_IS_FULL

_log = logging.getLogger("regulars.imports")


async def _run(settings: Settings, account_id: int, import_id: str) -> None:
    statement_times.slow_seconds = settings.slow_statement_seconds
    store = store_for(settings.database_url, is_bulk=True)
    await store.open()
    # Not earlier: on a busy machine, a small import would wait for its process to start.
    lower_priority()
    try:
        bounds = Bounds(settings.max_import_unpacked_bytes)
        job = Job(store, account_id, import_id, bounds)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):  # on Windows
            # A terminal and a service manager signal all processes of the server at once.
            for signal_number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(signal_number, job.stop)
        threading.Thread(target=_stop_with_server, args=(loop, job), daemon=True).start()
        await job.run()
    finally:
        await store.close()


def _stop_with_server(loop: asyncio.AbstractEventLoop, job: Job) -> None:
    """Stops the job when the standard input is closed."""
    while os.read(0, 1):
        pass
    with contextlib.suppress(RuntimeError):  # the job has ended, and the event loop is closed
        loop.call_soon_threadsafe(job.stop)


def main() -> None:
    """Runs one import until it ends or the server exits. If the database cannot be used, or
    there is no space for temporary files, the exit code says so."""
    settings = load_settings()
    log.configure(settings.log_level, settings.log_format)
    _, account_id, import_id = sys.argv
    collect_less()
    try:
        asyncio.run(_run(settings, int(account_id), import_id))
    except Unreachable as error:
        sys.exit(DISK_IS_FULL if isinstance(error, DiskFull) else IS_AWAY)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            sys.exit(TEMPORARY_IS_FULL)
        # The log omits the message of the exception, which may contain customer data.
        _log.error("An import failed.", exc_info=error, extra={"fields": {"import": import_id}})
        sys.exit(1)


if __name__ == "__main__":
    main()
