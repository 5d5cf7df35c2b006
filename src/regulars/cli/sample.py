"""`regulars sample`: sample customers into an account, with a progress bar."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any

from regulars.accounts.accounts import Accounts
from regulars.cli.progress import counting
from regulars.core.clock import now_ms
from regulars.core.commands import Origin
from regulars.core.errors import DuplicateEmail, Rejected
from regulars.customers.commands import CreateCustomer
from regulars.customers.values import clean_values
from regulars.directory.directory import Directory
from regulars.sample import LAST_TIMESTAMP, SampleCustomer, generate_customers, shift_timestamps
from regulars.store import Store
from regulars.store.writer import MAX_BATCH


async def fill(
    store: Store, account_name: str | None, count: int, seed: int, recent: bool
) -> dict[str, Any]:
    """Add `count` sample customers. If they are `recent`, the newest was created now. Return how
    many were `added` and `present`, the name of the account, and the duration in `seconds`."""
    account = await Accounts(store).resolve(account_name)
    directory = Directory(store)
    started = time.monotonic()
    added = 0
    with counting() as progress:
        task = progress.add_task("Customers", total=count)
        writing: asyncio.Task[int] | None = None
        later = now_ms() - LAST_TIMESTAMP if recent else 0
        customers = (
            shift_timestamps(customer, later) for customer in generate_customers(count, seed)
        )
        for chunk in _chunks(customers, MAX_BATCH):
            # The next chunk is made while the database is busy with this one.
            added += await writing if writing else 0
            writing = asyncio.create_task(_add(directory, account.account_id, chunk))
            await asyncio.sleep(0)
            progress.advance(task, len(chunk))
        added += await writing if writing else 0
    return {
        "account": account.name,
        "added": added,
        "present": count - added,
        "seconds": round(time.monotonic() - started, 3),
    }


async def _add(directory: Directory, account_id: int, chunk: list[SampleCustomer]) -> int:
    """Add the customers whose email does not exist yet. Return their number."""
    outcomes = await directory.create_many(account_id, [_command(customer) for customer in chunk])
    for outcome in outcomes:
        if isinstance(outcome, Rejected) and not any(
            isinstance(problem, DuplicateEmail) for problem in outcome.problems
        ):
            raise outcome
    return sum(not isinstance(outcome, Rejected) for outcome in outcomes)


def _command(customer: SampleCustomer) -> CreateCustomer:
    values, problems = clean_values(customer.node, ("node",))
    return CreateCustomer(
        values,
        customer.created_at,
        problems,
        customer.activity,
        origin=Origin("command_line", "regulars sample"),
    )


def _chunks(customers: Iterable[SampleCustomer], size: int) -> Iterator[list[SampleCustomer]]:
    waiting = iter(customers)
    while chunk := list(itertools.islice(waiting, size)):
        yield chunk
