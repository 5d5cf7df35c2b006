"""`regulars import`: import files into an account, with a progress bar and a summary of each."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from regulars.accounts.accounts import Accounts
from regulars.background import lower_priority
from regulars.cli.database import with_store
from regulars.cli.errors import SOME_REJECTED, UsageError
from regulars.cli.output import print_counts, print_json, print_problems, print_warnings
from regulars.cli.progress import ask, stopping, transfer_progress
from regulars.core.clock import now_ms
from regulars.core.commands import Origin
from regulars.core.counts import count_of
from regulars.settings import Settings
from regulars.store import Row, Store, Unreachable
from regulars.store.imports import RUNNING
from regulars.transfer.account_options import with_account
from regulars.transfer.date_text import Order
from regulars.transfer.errors import BadOption, Interrupted, ProcessEnded
from regulars.transfer.garbage_collector import collect_less
from regulars.transfer.import_options import DATES, Options
from regulars.transfer.import_repository import (
    CANCELLED,
    COUNTS,
    FOREVER,
    ImportRepository,
    is_silent,
)
from regulars.transfer.importer import Importer, Tally
from regulars.transfer.input_file import STDIN, InputFile, open_input
from regulars.transfer.preview import describe_columns
from regulars.transfer.rejected_rows import DiscardedRows, RejectedFile
from regulars.transfer.source import Source
from regulars.transfer.uploads import problems_to_json

# Columns that are shown before an import.
_MAX_COLUMNS = 100


@dataclass(frozen=True, slots=True)
class Job:
    """The options of the command, which apply to each file."""

    account: str | None
    options: Options
    rejected: Path | None
    dry_run: bool
    resume: bool
    silent: bool


def run(settings: Settings, files: Sequence[str], job: Job, as_json: bool) -> None:
    """Import files one after another. Exit with SOME_REJECTED (5) if rows were rejected. Raises
    UsageError, TransferError and StoreError."""
    _check(job, files)

    async def work(store: Store) -> list[dict[str, Any]]:
        return [await _import_file(store, name, job) for name in files]

    lower_priority()
    collect_less()
    results = with_store(settings, work, is_bulk=True)
    if as_json:
        print_json(results)
    else:
        for result in results:
            _print(result)
    if any(result["rejected"] for result in results):
        sys.exit(SOME_REJECTED)


def _check(job: Job, files: Sequence[str]) -> None:
    if job.options.problem:
        raise UsageError(f"--{job.options.problem.replace('no_email', 'no-email', 1)}")
    if job.rejected and len(files) > 1:
        raise UsageError(
            "--rejected requires a single file. Import the files one at a time, or remove the "
            "option."
        )
    if job.resume and job.dry_run:
        raise UsageError("--resume cannot be combined with --dry-run. Remove one of them.")


async def _import_file(store: Store, name: str, job: Job) -> dict[str, Any]:
    account = await Accounts(store).resolve(job.account)
    runs = ImportRepository(store, account.account_id)
    job = replace(job, options=await with_account(store, account.account_id, job.options))
    with open_input(
        name, job.options.encoding, form=job.options.format, sheet=job.options.sheet
    ) as file:
        source = _ask_about_dates(file, Source(file, job.options))
        _show(name, source)
        if job.dry_run:
            print("Values of the first rows, as they would be saved:", file=sys.stderr)
            for column in describe_columns(source)[:_MAX_COLUMNS]:
                _show_column(column)
            source.restart()
        output = RejectedFile(_rejected_path(name, source, job))
        warned = RejectedFile(_path_of_rows(name, source, "warnings"))
        path = os.path.abspath(name) if name != STDIN else STDIN  # noqa: ASYNC240, PTH100  # asks no disk
        before = None if job.dry_run else await runs.stopped(path, source.fingerprint)
        current = None
        if not job.dry_run:
            current = await _current(runs, job, before, path, source, file.size, output)
            if not job.resume:
                await warned.truncate(0)
        display_name = Path(name).name if name != STDIN else "standard input"
        silent = is_silent(current, job.silent, "import") if current else job.silent
        importer = Importer(
            store,
            account.account_id,
            source,
            DiscardedRows() if job.dry_run else output,
            DiscardedRows() if job.dry_run else warned,
            Origin(
                "import",
                display_name,
                silent=silent,
                cause=current["import_id"] if current else None,
            ),
            current,
        )
        start = time.monotonic()
        with transfer_progress(display_name, file.size) as progress, stopping(importer.stop):
            try:
                await importer.go(progress)
            except (Interrupted, ProcessEnded, Unreachable) as error:
                hint = "" if job.dry_run else " Continue with the same command and --resume."
                raise type(error)(f"{error}{hint}") from None
    seconds = time.monotonic() - start
    return _result(name, account.name, importer.tally, output, warned, job, seconds)


async def _current(
    runs: ImportRepository,
    job: Job,
    before: Row | None,
    path: str,
    source: Source,
    size: int | None,
    output: RejectedFile,
) -> Row:
    """Return the row of the import to resume, or of a new one. Raises BadOption."""
    if job.resume:
        if before is None:
            raise BadOption(
                "--resume found no stopped import of this file into this account. Remove --resume. "
                "(A file that has changed counts as another file.)"
            )
        return before
    if output.path.exists():
        raise BadOption(
            f"The file {output.path} with rejected rows of an earlier import already exists. "
            "Import or move it, or choose another file with --rejected."
        )
    if before is not None:
        rows = count_of(before["position"], "row")
        print(
            f"An earlier import of this file stopped after {rows}. Starting again. (To continue "
            "it, use --resume.)",
            file=sys.stderr,
        )
        await runs.end(before["import_id"], CANCELLED, now_ms(), "Started again.")
    import_details = {"options": job.options.as_json, "silent": job.silent, **source.to_json()}
    return await runs.begin(
        RUNNING, path, source.fingerprint, import_details, size, now_ms(), claimed_until=FOREVER
    )


def _rejected_path(name: str, source: Source, job: Job) -> Path:
    return job.rejected or _path_of_rows(name, source, "rejected")


def _path_of_rows(name: str, source: Source, kind: str) -> Path:
    """Return the path of a file of rows next to an imported file: `customers.rejected.csv`."""
    end = "jsonl" if source.json else "csv"
    if name == STDIN:
        return Path(f"{kind}.{end}")
    stem = name.removesuffix(".gz").removesuffix(f".{end}")
    return Path(f"{stem}.{kind}.{end}")


def _show(name: str, source: Source) -> None:
    """Print the format of the file, its columns, and what is worth a look to standard error."""
    print(f"{name}: {source.summary}", file=sys.stderr)
    for column in source.columns[:_MAX_COLUMNS]:
        heading = column.heading or "(no heading)"
        print(f"  {heading} → {column.field or 'left out'}", file=sys.stderr)
    for column in source.columns[:_MAX_COLUMNS]:
        if column.note:
            print(column.note, file=sys.stderr)
    for heading in source.undecided_dates:
        print(
            f"{heading}: The order of day and month is not clear from the values. Dates that can "
            "be read in two ways are left out, and the time of creation cannot be set later. Add "
            "--dates dmy or --dates mdy (or ymd, for years of two digits).",
            file=sys.stderr,
        )


def _ask_about_dates(file: InputFile, source: Source) -> Source:
    """Ask a person at a terminal for the order of day and month, if the file does not tell."""
    if not source.undecided_dates or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return source
    headings = ", ".join(source.undecided_dates)
    question = f"Is 3/4/2024 in {headings} the 3rd of April (dmy) or March 4th (mdy)?"
    answer = ""
    while answer not in DATES:
        answer = ask(f"{question} [{'/'.join(DATES)}]").strip().lower()
    file.restart()
    return Source(file, replace(source.options, dates=cast("Order", answer)))


def _show_column(column: Mapping[str, Any]) -> None:
    """Print three values of a column as they would be stored, and its number of warnings."""
    samples = ", ".join(repr(sample) for sample in column["samples"])
    count = column["warnings"]
    warnings = f"; {count_of(count, 'warning')} in the first 1,000 rows" if count else ""
    if samples or warnings:
        print(f"  {column['heading']}: {samples or 'no value'}{warnings}", file=sys.stderr)


def _result(
    name: str,
    account: str,
    tally: Tally,
    output: RejectedFile,
    warned: RejectedFile,
    job: Job,
    seconds: float,
) -> dict[str, Any]:
    return {
        "file": name,
        "account": account,
        "dry_run": job.dry_run,
        "rows": tally.rows,
        **{count: tally.counts[count] for count in COUNTS},
        "seconds": round(seconds, 3),
        "rejected_file": str(output.path) if tally.counts["rejected"] and not job.dry_run else None,
        "warnings_file": str(warned.path) if warned.size else None,
        **problems_to_json(tally.problems),
    }


def _print(result: dict[str, Any]) -> None:
    dry = " (dry run: nothing was saved)" if result["dry_run"] else ""
    rate = result["rows"] / max(result["seconds"], 0.001)
    print(
        f"{result['file']} → account {result['account']}{dry}: "
        f"{count_of(result['rows'], 'row')} in {result['seconds']:.1f} s ({rate:,.0f} per second)"
    )
    print_counts(result)
    print_problems(result["problems"], "line")
    print_warnings(result, "line")
    if result["warnings_file"]:
        print(f"The rows with warnings are in {result['warnings_file']}.")
    if result["rejected_file"]:
        print(f"The rejected rows are in {result['rejected_file']}. Correct and import that file.")
