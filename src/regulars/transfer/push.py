"""Pushing: the customers of an account are created and updated on another server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from regulars.core.paging import KeysetPage
from regulars.customers.emails import clean_email
from regulars.customers.field_rules import MERGED
from regulars.customers.listing import CustomerPage, Listing
from regulars.customers.search.parser import Order, parse
from regulars.customers.values import new_row, replacement_patch
from regulars.store import Store
from regulars.store.queries import ORDER_VALUE
from regulars.transfer.errors import Interrupted
from regulars.transfer.importer import Tally
from regulars.transfer.remote import Remote, RemoteFault
from regulars.transfer.remote_customers import Customers, Node, input_of, values_of
from regulars.transfer.temporary_table import temporary_table

_CREATE = "mutation ($node: InputCustomer!) { createCustomer(node: $node) { id } }"
_UPDATE = """mutation ($id: ID!, $node: InputUpdateCustomer!) {
  updateCustomer(id: $id, node: $node) { id } }"""
_COLUMNS = (ORDER_VALUE, "customer_id", "email_key", *input_of(new_row(0)))
_PAGE = 250
# How many writes are under way at once.
_AT_ONCE = 8


class Push:
    """Makes the customers of a server the same as those of an account, all of them or those whom a
    query finds: by their emails. Nobody is deleted there."""

    def __init__(
        self,
        store: Store,
        account_id: int,
        remote: Remote,
        customers: Customers,
        query: str,
        dry_run: bool,
        now: int,
    ) -> None:
        self._store = store
        self._account_id = account_id
        self._remote = remote
        self._remote_customers = customers
        order, condition = Order("id", ascending=True), parse(query).condition
        self._selected = CustomerPage(order, KeysetPage(_PAGE), condition, now)
        self._dry_run = dry_run
        self._run = secrets.token_hex(8)
        self._stop = False
        self.tally = Tally()
        self.only_there = 0

    def stop(self) -> None:
        """Asks to stop after the customers that are being sent."""
        self._stop = True

    async def go(self, progress: Callable[[Tally], None]) -> None:
        """Sends. Raises RemoteError and Interrupted."""
        known = _RemoteIndex()
        try:
            await self._read_there(known)
            # Not from a snapshot: it would be held for as long as the other server takes.
            pages = Listing(self._store).pages(self._account_id, self._selected, _COLUMNS)
            async for page in pages:
                rows = [dict(zip(_COLUMNS, row, strict=True)) for row in page]
                for start in range(0, len(rows), _AT_ONCE):
                    some = rows[start : start + _AT_ONCE]
                    await asyncio.gather(*(self._send(row, known) for row in some))
                    progress(self.tally)
                    self._go_on_or_stop()
            self.only_there = known.left()
        finally:
            known.close()

    def _go_on_or_stop(self) -> None:
        if self._stop:
            raise Interrupted(
                f"Stopped after {self.tally.rows:,} customers. The same command goes on: who is "
                "there by now is left as he is."
            )

    async def _read_there(self, known: _RemoteIndex) -> None:
        after = None
        while True:
            page = await self._remote_customers.page("order_by:id order_dir:asc", after)
            known.add(page.nodes)
            self._go_on_or_stop()
            if not page.more:
                return
            after = page.after

    async def _send(self, row: Mapping[str, Any], known: _RemoteIndex) -> None:
        has = await self._remote_customers.names()
        here = {name: value for name, value in input_of(row).items() if name in has}
        found = known.find(row["email_key"])
        try:
            outcome = await (
                self._create(row, here) if found is None else self._update(here, *found)
            )
        except RemoteFault as fault:
            outcome = "rejected"
            self.tally.note(fault.key or "refused", row["customer_id"], str(fault))
        self.tally.counts[outcome] += 1
        self.tally.rows += 1

    async def _create(self, row: Mapping[str, Any], here: Mapping[str, Any]) -> str:
        if not self._dry_run:
            node = {name: value for name, value in here.items() if value is not None}
            # A server that knows the key creates nobody twice when an answer is lost.
            headers = {"Idempotency-Key": f"{self._run}-{row['customer_id']}"}
            await self._remote.ask(_CREATE, {"node": node}, _has("createCustomer"), headers)
        return "created"

    async def _update(
        self, here: Mapping[str, Any], customer_id: str, there: Mapping[str, Any]
    ) -> str:
        changed = {
            name: _instead(name, there[name], value)
            for name, value in here.items()
            if value != there[name] and name != "email"
        }
        if not changed:
            return "unchanged"
        if not self._dry_run:
            variables = {"id": customer_id, "node": changed}
            await self._remote.ask(_UPDATE, variables, _has("updateCustomer"))
        return "updated"


def _has(name: str) -> Callable[[Any], bool]:
    return lambda data: bool(data[name]["id"])


def _instead(name: str, there: Any, here: Any) -> Any:
    """A value that takes the place of another, where the server merges the two."""
    if name in MERGED and there and here:
        return replacement_patch(there, here)
    return here


class _RemoteIndex:
    """The customers of the other server by their emails, in a temporary file that is gone with it:
    memory does not grow."""

    def __init__(self) -> None:
        columns = "key TEXT PRIMARY KEY, id TEXT, given TEXT, met INTEGER"
        self._connection = temporary_table(f"known ({columns})")

    def add(self, nodes: Sequence[Node]) -> None:
        """Takes customers."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO known VALUES (?, ?, ?, 0)",
            [
                (
                    clean_email(node.get("email") or "")[1],
                    str(node["id"]),
                    orjson.dumps(values_of(node)).decode(),
                )
                for node in nodes
            ],
        )

    def find(self, key: str) -> tuple[str, dict[str, Any]] | None:
        """The id and the values of who has an email, and that it was asked for."""
        asked = "UPDATE known SET met = 1 WHERE key = ? RETURNING id, given"
        for customer_id, given in self._connection.execute(asked, (key,)):
            return str(customer_id), orjson.loads(str(given))
        return None

    def left(self) -> int:
        """How many were never asked for."""
        query = "SELECT count(*) FROM known WHERE NOT met"
        return int(str(next(iter(self._connection.execute(query)))[0]))

    def close(self) -> None:
        """Forgets them."""
        self._connection.close()
