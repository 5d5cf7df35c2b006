"""`regulars import`: files into an account, with a progress bar, and a summary of each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from regulars.cli.database import with_store
from regulars.cli.errors import SOME_REJECTED, Usage
from regulars.cli.output import print_json
from regulars.directory.accounts import Accounts, now_ms
from regulars.directory.commands import Origin
from regulars.settings import Settings
from regulars.store import Row, Store
from regulars.transfer.collecting import collect_less
from regulars.transfer.errors import BadOption, Interrupted
from regulars.transfer.importing import Importer, Tally
from regulars.transfer.opening import STDIN, opened
from regulars.transfer.rejected import InFile, Nowhere
from regulars.transfer.runs import CANCELLED, COUNTS, FOREVER, RUNNING, Runs
from regulars.transfer.shape import Options
from regulars.transfer.source import Source
from regulars.transfer.uploads import problems_told


@dataclass(frozen=True, slots=True)
class Job:
    """What is done with each file."""

    account: str | None
    options: Options
    rejected: Path | None
    dry_run: bool
    resume: bool


def run(settings: Settings, files: Sequence[str], job: Job, as_json: bool) -> None:
    """Imports files, one after the other. Ends with 5 when rows were rejected. Raises Usage,
    TransferError and StoreError."""
    _check(job, files)

    async def work(store: Store) -> list[dict[str, Any]]:
        return [await _one(store, name, job) for name in files]

    collect_less()
    results = with_store(settings, work, large=True)
    if as_json:
        print_json(results)
    else:
        for result in results:
            _print(result)
    if any(result["rejected"] for result in results):
        sys.exit(SOME_REJECTED)


def _check(job: Job, files: Sequence[str]) -> None:
    if job.options.wrong:
        raise Usage(f"--{job.options.wrong}")
    if job.rejected and len(files) > 1:
        raise Usage("--rejected names one file: import the files one at a time, or leave it out.")
    if job.resume and job.dry_run:
        raise Usage("A dry run saves nothing that could be gone on with: leave out --resume.")


async def _one(store: Store, name: str, job: Job) -> dict[str, Any]:
    account = await Accounts(store).named(job.account)
    runs = Runs(store, account.account_id)
    with opened(name, job.options.encoding) as file:
        source = Source(file, job.options)
        _show(name, source)
        kept = InFile(_rejected_path(name, source, job))
        known = os.path.abspath(name) if name != STDIN else STDIN  # noqa: ASYNC240, PTH100  # asks no disk
        before = None if job.dry_run else await runs.stopped(known, source.fingerprint)
        current = None
        if not job.dry_run:
            current = await _current(runs, job, before, known, source, file.size, kept)
        shown = Path(name).name if name != STDIN else "standard input"
        importer = Importer(
            store,
            account.account_id,
            source,
            Nowhere() if job.dry_run else kept,
            Origin("import", shown),
            current,
        )
        began = time.monotonic()
        with transfer_progress(shown, file.size) as progress, stopping(importer.stop):
            try:
                await importer.go(progress)
            except Interrupted as error:
                again = "" if job.dry_run else " The same command with --resume goes on."
                raise Interrupted(f"{error}{again}") from None
    return _result(name, account.name, importer.tally, kept, job, time.monotonic() - began)


async def _current(
    runs: Runs,
    job: Job,
    before: Row | None,
    known: str,
    source: Source,
    size: int | None,
    kept: InFile,
) -> Row:
    """The import to go on with, or a new one. Raises BadOption."""
    if job.resume:
        if before is None:
            raise BadOption(
                "No import of this file into this account was stopped: leave out --resume. (A file "
                "that has changed since is another one.)"
            )
        return before
    if kept.path.exists():
        raise BadOption(
            f"There is already a file {kept.path}, with rows that were rejected before. Mend and "
            "import those, move it away, or name another with --rejected."
        )
    if before is not None:
        message = f"An import of this file stopped after {before['position']:,} rows"
        print(f"{message}; --resume would have gone on. Starting anew.", file=sys.stderr)
        await runs.end(before["import_id"], CANCELLED, now_ms(), "Begun anew.")
    told = {"options": job.options.told, **source.told()}
    return await runs.begin(
        RUNNING, known, source.fingerprint, told, size, now_ms(), claimed_until=FOREVER
    )


def _rejected_path(name: str, source: Source, job: Job) -> Path:
    if job.rejected:
        return job.rejected
    end = "jsonl" if source.json else "csv"
    if name == STDIN:
        return Path(f"rejected.{end}")
    stem = name.removesuffix(".gz").removesuffix(f".{end}")
    return Path(f"{stem}.rejected.{end}")


@contextlib.contextmanager
def stopping(stop_transfer: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C, and the signal by which a process is told to end, stop after the present batch."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        stop_transfer()
        for one in signals:  # a second one ends it at once
            loop.remove_signal_handler(one)

    for one in signals:
        loop.add_signal_handler(one, stop)
    try:
        yield
    finally:
        for one in signals:
            loop.remove_signal_handler(one)


class _Bar:
    """How far an import has come, on a terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._began = time.monotonic()
        self._first: int | None = None

    def __call__(self, tally: Tally) -> None:
        if self._first is None:
            self._first = tally.rows
        seconds = max(time.monotonic() - self._began, 0.001)
        rate = (tally.rows - self._first) / seconds
        bad = tally.counts["rejected"]
        said = f"{tally.rows:,} rows, {rate:,.0f} a second" + (f", {bad:,} rejected" if bad else "")
        self._progress.update(self._task, completed=tally.read, said=said)


@contextlib.contextmanager
def transfer_progress(name: str, size: int | None) -> Iterator[_Bar]:
    """A bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        yield _Bar(bar, bar.add_task(name, total=size, said=""))


def _show(name: str, source: Source) -> None:
    """What was recognised, on standard error."""
    print(f"{name}: {source.shown}", file=sys.stderr)
    if source.shape.columns is None:
        return
    for column in source.shape.columns[:100]:
        print(
            f"  {column.heading or '(no heading)'} → {column.field or 'left out'}", file=sys.stderr
        )


def _result(
    name: str, account: str, tally: Tally, kept: InFile, job: Job, seconds: float
) -> dict[str, Any]:
    return {
        "file": name,
        "account": account,
        "dry_run": job.dry_run,
        "rows": tally.rows,
        **{count: tally.counts[count] for count in COUNTS},
        "seconds": round(seconds, 3),
        "rejected_file": str(kept.path) if tally.counts["rejected"] and not job.dry_run else None,
        "problems": problems_told(tally.problems),
    }


def _print(result: dict[str, Any]) -> None:
    dry = " (dry run: nothing was saved)" if result["dry_run"] else ""
    rate = result["rows"] / max(result["seconds"], 0.001)
    print(
        f"{result['file']} → account {result['account']}{dry}: "
        f"{result['seconds']:.1f} s, {rate:,.0f} rows a second"
    )
    counts_table(result)
    print_problems(result["problems"], "line")
    if result["rejected_file"]:
        print(f"The rejected rows are in {result['rejected_file']}: mend and import that.")


def counts_table(result: Mapping[str, Any], *more: str) -> None:
    """Prints how many rows there were, and how many came to each outcome."""
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    columns = ("rows", *COUNTS, *more)
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    table.add_row(*(f"{result[column]:,}" for column in columns))
    console = Console(width=None if sys.stdout.isatty() else 1_000, markup=False, highlight=False)
    console.print(table)


def print_problems(problems: Sequence[Mapping[str, Any]], place: str) -> None:
    """Prints each kind of problem with its examples; `place` is what their numbers count."""
    for problem in problems:
        print(f"{problem['count']:,} × {problem['kind']}")
        for example in problem["examples"]:
            print(f"  {place} {example['line']:,}: {example['message']}")
