"""`regulars export`: customers into a file, or to standard output."""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from regulars.accounts.accounts import Accounts
from regulars.cli.database import with_store
from regulars.cli.progress import counting
from regulars.core.clock import now_ms
from regulars.segments.searching import parse_search
from regulars.settings import Settings
from regulars.store import Store
from regulars.transfer.errors import BadFile, BadOption
from regulars.transfer.export import CSV, JSON_LINES, WORKBOOK, Export
from regulars.transfer.garbage_collector import collect_less
from regulars.transfer.input_file import STDIN

_GZIP_LEVEL = 6


def run(
    settings: Settings,
    account: str | None,
    target: str,
    form: str | None,
    query: str,
    columns: Sequence[str],
    delimiter: str | None = None,
    segment: str | None = None,
    include: Sequence[str] = (),
) -> dict[str, Any]:
    """Export the customers of an account to a file, or to `-`, standard output. Return their number
    and the duration. The file appears when it is complete. `segment` is a name or an id. Raises
    TransferError and Rejected."""
    chosen = form or _format_of(target)
    if chosen == WORKBOOK and target.endswith(".gz"):
        raise BadOption(
            f"A workbook is already compressed. Use the name {target.removesuffix('.gz')!r}."
        )

    async def work(store: Store) -> dict[str, Any]:
        owner = await Accounts(store).resolve(account)
        search = await parse_search(store, owner.account_id, query, segment=segment)
        export = Export(
            *(owner.account_id, chosen, search, columns, now_ms()),
            delimiter=delimiter,
            include=include,
        )
        began, count = time.monotonic(), 0
        with _written(target) as file, counting() as progress:
            total = await export.count(store) if not progress.disable else None
            task = progress.add_task("Customers", total=total)
            async for rows, text in export.pages(store):
                file.write(text)
                count += rows
                progress.advance(task, rows)
        seconds = round(time.monotonic() - began, 3)
        return {"file": target, "account": owner.name, "customers": count, "seconds": seconds}

    collect_less()
    return with_store(settings, work)


def _format_of(target: str) -> str:
    """Return the format of a file by its name."""
    plain = target.lower().removesuffix(".gz")
    if plain.endswith((".jsonl", ".ndjson")):
        return JSON_LINES
    return WORKBOOK if plain.endswith(".xlsx") else CSV


@contextlib.contextmanager
def _written(target: str) -> Iterator[IO[bytes]]:
    """Open a new private file, which replaces an old one when it is complete. A device or a pipe is
    written to directly."""
    if target == STDIN:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    # A link stays, and the file that it points to is replaced.
    part = path.resolve().with_name(path.resolve().name + ".part")
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file, _compressed(file, target) as stream:
                yield stream
            return
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:  # noqa: PTH123  # of a descriptor
            with _compressed(file, target) as stream:
                yield stream
            file.flush()
            os.fsync(file.fileno())
        part.rename(path.resolve())
    except OSError as error:
        raise BadFile(
            f"The file {target!r} cannot be written: {error.strerror or error}."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _compressed(file: IO[bytes], target: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    """Return a file that is compressed if the name of the target ends in `.gz`."""
    if not target.endswith(".gz"):
        return contextlib.nullcontext(file)
    # Without a time and a name, the same customers are the same bytes.
    return gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0)  # type: ignore[return-value]  # a file
