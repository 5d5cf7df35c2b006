"""Progress bars, questions, and stopping a command."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from regulars.core.counts import count_of
from regulars.transfer.importer import Tally


def counting() -> Progress:
    """Returns a progress bar that counts, on a terminal only."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def ask(question: str) -> str:
    """Returns the answer of a person at the terminal. Ctrl-C ends the command, although an event
    loop is running, which would only handle it after the answer."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return str(typer.prompt(question, err=True))
    finally:
        signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def stopping(stop_transfer: Callable[[], None]) -> Iterator[None]:
    """Stops after the current batch on SIGINT (Ctrl-C) and SIGTERM."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        stop_transfer()
        for signal_number in signals:  # a second signal stops the command at once
            loop.remove_signal_handler(signal_number)

    for signal_number in signals:
        loop.add_signal_handler(signal_number, stop)
    try:
        yield
    finally:
        for signal_number in signals:
            loop.remove_signal_handler(signal_number)


class _Bar:
    """Shows the progress of an import."""

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
        text = f"{count_of(tally.rows, 'row')}, {rate:,.0f} per second"
        if bad:
            text += f", {bad:,} rejected"
        self._progress.update(self._task, completed=tally.bytes_read, text=text)


@contextlib.contextmanager
def transfer_progress(name: str, size: int | None) -> Iterator[_Bar]:
    """Shows a progress bar, on a terminal only."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        yield _Bar(bar, bar.add_task(name, total=size, text=""))
