"""`python -m regulars.import_worker ACCOUNT IMPORT`: the process that runs one import.

It stops when its standard input is closed, which happens when the server exits for any reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading

from regulars.background import lower_priority
from regulars.directory.database import store_for
from regulars.http import log
from regulars.settings import Settings
from regulars.transfer.garbage_collector import collect_less
from regulars.transfer.gzip_reader import Bounds
from regulars.transfer.job import Job

_log = logging.getLogger("regulars.imports")


async def _work(account_id: int, import_id: str) -> None:
    settings = Settings()
    store = store_for(settings.database_url, is_bulk=True)
    await store.open()
    try:
        bounds = Bounds(settings.max_import_unpacked_bytes)
        job = Job(store, account_id, import_id, bounds)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):  # Windows has other ways
            # A terminal and a service manager tell the server's processes all at once.
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, job.stop)
        threading.Thread(target=_watch, args=(loop, job), daemon=True).start()
        await job.run()
    finally:
        await store.close()


def _watch(loop: asyncio.AbstractEventLoop, job: Job) -> None:
    while os.read(0, 1):
        pass
    with contextlib.suppress(RuntimeError):  # it is done, and the loop closed
        loop.call_soon_threadsafe(job.stop)


def main() -> None:
    """Runs one import, to its end or until the server's."""
    log.configure()
    lower_priority()
    _, account_id, import_id = sys.argv
    collect_less()
    try:
        asyncio.run(_work(int(account_id), import_id))
    except Exception as error:
        # The log shows where, and no text: it may quote a customer.
        fields = {"fields": {"import": import_id}}
        _log.error("An import failed.", exc_info=error, extra=fields)
        sys.exit(1)


if __name__ == "__main__":
    main()
