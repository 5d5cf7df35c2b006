"""`regulars pull` and `regulars push`: mirror another server, or send customers to it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from regulars.accounts.accounts import Accounts
from regulars.background import lower_priority
from regulars.cli.database import with_store
from regulars.cli.errors import SOME_REJECTED, UsageError
from regulars.cli.output import print_counts, print_json, print_problems, print_warnings
from regulars.cli.progress import stopping, transfer_progress
from regulars.core.clock import now_ms
from regulars.core.counts import count_of
from regulars.core.dates import parse_timestamp
from regulars.segments.searching import parse_search
from regulars.settings import Settings
from regulars.store import Store
from regulars.transfer.import_repository import COUNTS
from regulars.transfer.importer import Tally
from regulars.transfer.pull import LAST, Options, Pull
from regulars.transfer.push import Push
from regulars.transfer.remote import Remote, address_of
from regulars.transfer.remote_customers import Customers
from regulars.transfer.uploads import problems_to_json

_HOW = {
    "list": "the whole list",
    "updated": "the customers that were updated last",
    "feed": "the feed of changes",
}


@dataclass(frozen=True, slots=True)
class RemoteServer:
    """The other server. `insecure` allows plain HTTP."""

    url: str
    token: str
    insecure: bool


def since(text: str | None) -> int | str | None:
    """Parse `--since`: `last`, or a timestamp in milliseconds since 1970. Raises UsageError."""
    if text is None or text == LAST:
        return text
    timestamp = parse_timestamp(text)
    if timestamp is None:
        raise UsageError(
            f"--since must be {LAST} or a time such as 2026-11-25T08:00:00Z, not {text!r}."
        )
    return timestamp


def pull(
    settings: Settings, account: str | None, server: RemoteServer, options: Options, as_json: bool
) -> None:
    """Mirror a server. Exit with SOME_REJECTED (5) if customers were rejected. Raises
    TransferError."""
    address = address_of(server.url, server.insecure)

    async def work(store: Store) -> dict[str, Any]:
        owner = await Accounts(store).resolve(account)
        async with Remote(address, server.token, _paused) as remote:
            customers = Customers(remote)
            transfer = Pull(store, owner.account_id, customers, address, options, _say)
            began = time.monotonic()
            await _go(transfer, address)
        return {
            **_result(address, owner.name, options.dry_run, transfer.tally, began),
            "how": transfer.by,
            "gone": transfer.gone,
            "deleted": transfer.deleted,
        }

    lower_priority()
    result = with_store(settings, work, is_bulk=True)
    _tell(result, as_json, "gone", lambda: _print_pulled(result))


def push(
    settings: Settings,
    account: str | None,
    server: RemoteServer,
    query: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send the customers of an account to a server. Exit with SOME_REJECTED (5) if it refused
    some. Raises TransferError, and Rejected with InvalidQuery."""
    address = address_of(server.url, server.insecure)

    async def work(store: Store) -> dict[str, Any]:
        owner = await Accounts(store).resolve(account)
        search = await parse_search(store, owner.account_id, query)
        async with Remote(address, server.token, _paused) as remote:
            customers = Customers(remote)
            transfer = Push(store, owner.account_id, remote, customers, search, dry_run, now_ms())
            began = time.monotonic()
            await _go(transfer, address)
        result = _result(address, owner.name, dry_run, transfer.tally, began)
        return {**result, "only_there": transfer.only_there}

    result = with_store(settings, work)
    _tell(result, as_json, "only_there", lambda: None)


class _Transfer(Protocol):
    async def go(self, progress: Callable[[Tally], None]) -> None: ...

    def stop(self) -> None: ...


async def _go(transfer: _Transfer, address: str) -> None:
    with transfer_progress(address, None) as progress, stopping(transfer.stop):
        await transfer.go(progress)


def _paused(why: str, seconds: float) -> None:
    if seconds >= 1:
        _say(f"Waiting for {seconds:.0f} s: {why}.")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _result(
    address: str, account: str, dry_run: bool, tally: Tally, began: float
) -> dict[str, Any]:
    return {
        "url": address,
        "account": account,
        "dry_run": dry_run,
        "rows": tally.rows,
        **{name: tally.counts[name] for name in COUNTS},
        "seconds": round(time.monotonic() - began, 3),
        **problems_to_json(tally.problems),
    }


def _tell(result: dict[str, Any], as_json: bool, extra: str, more: Callable[[], None]) -> None:
    if as_json:
        print_json(result)
    else:
        dry = " (dry run: nothing was saved)" if result["dry_run"] else ""
        print(f"{result['url']}, account {result['account']}{dry}: {result['seconds']:.1f} s")
        print_counts(result, extra)
        print("Comments, orders, messages and visits are not copied.")
        more()
        print_problems(result["problems"], "customer")
        print_warnings(result, "customer")
    if result["rejected"]:
        sys.exit(SOME_REJECTED)


def _print_pulled(result: dict[str, Any]) -> None:
    print(f"Read {_HOW[result['how']]}.")
    remaining = result["gone"] - result["deleted"]
    if remaining:
        print(
            f"{count_of(remaining, 'customer no longer exists', 'customers no longer exist')} on "
            "the other server. To delete such customers here, add --delete."
        )
