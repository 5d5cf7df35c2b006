"""`regulars sample`: sample customers into an account, with a progress bar."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from regulars.directory.accounts import Accounts
from regulars.directory.commands import CreateCustomer
from regulars.directory.customers import clean_values
from regulars.directory.directory import Directory
from regulars.directory.errors import Refused
from regulars.sample import SampleCustomer, sample_customers
from regulars.store import Store
from regulars.store.writer import MAX_BATCH


async def fill(store: Store, account_name: str | None, count: int, seed: int) -> dict[str, Any]:
    """Adds `count` sample customers. Answers how many were `added`, how many `present` already,
    the account's name, and the `seconds` it took."""
    account = await Accounts(store).named(account_name)
    directory = Directory(store)
    started = time.monotonic()
    added = 0
    with _progress() as progress:
        task = progress.add_task("Customers", total=count)
        for chunk in _chunks(sample_customers(count, seed), MAX_BATCH):
            added += await _add(directory, account.account_id, chunk)
            progress.advance(task, len(chunk))
    return {
        "account": account.name,
        "added": added,
        "present": count - added,
        "seconds": round(time.monotonic() - started, 3),
    }


async def _add(directory: Directory, account_id: int, chunk: list[SampleCustomer]) -> int:
    creates = [
        CreateCustomer(*_cleaned(customer.node, customer.created_at)) for customer in chunk
    ]
    rows = await directory.record(account_id, creates)
    made = [
        (customer, row["customer_id"])
        for customer, row in zip(chunk, rows, strict=True)
        if not isinstance(row, Refused)
    ]
    activity = [command for customer, number in made for command in customer.activity(number)]
    await directory.record(account_id, activity)
    return len(made)


def _cleaned(node: dict[str, Any], at: int) -> tuple[dict[str, Any], int, list[Any]]:
    values, problems = clean_values(node, ("node",))
    return values, at, problems


def _chunks(customers: Iterable[SampleCustomer], size: int) -> Iterator[list[SampleCustomer]]:
    waiting = iter(customers)
    while chunk := list(itertools.islice(waiting, size)):
        yield chunk


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
