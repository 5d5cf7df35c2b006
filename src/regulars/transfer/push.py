"""Create and update the customers of an account on another server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from regulars.core.counts import count_of
from regulars.core.errors import Ambiguous
from regulars.core.paging import KeysetPage
from regulars.customers.address_book import BOOK, FLAGS
from regulars.customers.emails import clean_email
from regulars.customers.field_rules import MERGED
from regulars.customers.listing import CustomerPage, Listing
from regulars.customers.search.parser import Order, Search
from regulars.customers.search.phone_facets import contact_term
from regulars.customers.values import new_row, replacement_patch
from regulars.store import Store
from regulars.store.queries import ORDER_VALUE
from regulars.transfer.errors import Interrupted
from regulars.transfer.export_columns import OWN_EXTERNAL_IDS as EXTERNAL_IDS
from regulars.transfer.importer import Tally
from regulars.transfer.records import Record
from regulars.transfer.remote import Remote, RemoteFault
from regulars.transfer.remote_customers import Customers, Node, input_of, values_of
from regulars.transfer.temporary_table import temporary_table

_CREATE = "mutation ($node: InputCustomer!) { createCustomer(node: $node) { id } }"
_UPDATE = """mutation ($id: ID!, $node: InputUpdateCustomer!) {
  updateCustomer(id: $id, node: $node) { id } }"""
_COLUMNS = (ORDER_VALUE, "customer_id", *input_of(new_row(0)))
_AMBIGUOUS = (
    "Several customers without an email have this phone and name, here or on the other server. "
    "Give one of them an email."
)
_PAGE = 250
# Concurrent writes.
_AT_ONCE = 8


class Push:
    """Creates and updates the customers of an account, or the matches of a search, on a server.
    They are matched by email, or without one by phone and full name. None is deleted on the
    server."""

    def __init__(
        self,
        store: Store,
        account_id: int,
        remote: Remote,
        customers: Customers,
        search: Search,
        dry_run: bool,
        now: int,
    ) -> None:
        self._store = store
        self._account_id = account_id
        self._remote = remote
        self._remote_customers = customers
        order = Order("id", ascending=True)
        self._selected = CustomerPage(order, KeysetPage(_PAGE), search.condition, now)
        self._dry_run = dry_run
        self._run = secrets.token_hex(8)
        self._stop = False
        self.tally = Tally()
        self.only_there = 0

    def stop(self) -> None:
        """Stop after the current customers."""
        self._stop = True

    async def go(self, progress: Callable[[Tally], None]) -> None:
        """Push, and call `progress` after each batch. Raises RemoteError and Interrupted."""
        index = _RemoteIndex()
        try:
            await self._read_remote(index)
            # Not from a snapshot: it would be held for as long as the other server takes.
            pages = Listing(self._store).pages(self._account_id, self._selected, _COLUMNS)
            async for page in pages:
                rows = [dict(zip(_COLUMNS, row, strict=True)) for row in page]
                for start in range(0, len(rows), _AT_ONCE):
                    batch = rows[start : start + _AT_ONCE]
                    await asyncio.gather(*(self._send(row, index) for row in batch))
                    progress(self.tally)
                    self._check_stop()
            self.only_there = index.count_unmatched()
        finally:
            index.close()

    def _check_stop(self) -> None:
        if self._stop:
            raise Interrupted(
                f"Stopped after {count_of(self.tally.rows, 'customer')}. To continue, run the same "
                "command again. It skips customers that are already identical."
            )

    async def _read_remote(self, index: _RemoteIndex) -> None:
        after = None
        while True:
            page = await self._remote_customers.page("order_by:id order_dir:asc", after)
            index.add(page.nodes)
            self._check_stop()
            if not page.more:
                return
            after = page.after

    async def _send(self, row: Mapping[str, Any], index: _RemoteIndex) -> None:
        local = await self._remote_customers.supported(input_of(row))
        try:
            match = index.find(_key_of(local))
            outcome = await (
                self._create(row, local) if match is None else self._update(local, *match)
            )
        except RemoteFault as fault:
            outcome = "rejected"
            self.tally.note(fault.key or "refused", Record(row["customer_id"]), str(fault))
        self.tally.counts[outcome] += 1
        self.tally.rows += 1

    async def _create(self, row: Mapping[str, Any], local: Mapping[str, Any]) -> str:
        if not self._dry_run:
            node = _without_repetition(local)
            node = {name: value for name, value in node.items() if value is not None}
            # If a response is lost, a server that supports the key creates no duplicate.
            headers = {"Idempotency-Key": f"{self._run}-{row['customer_id']}"}
            await self._remote.ask(_CREATE, {"node": node}, _has("createCustomer"), headers)
        return "created"

    async def _update(
        self, local: Mapping[str, Any], customer_id: str, remote: Mapping[str, Any]
    ) -> str:
        changed = {
            name: _replacement(name, remote[name], value)
            for name, value in local.items()
            if value != remote[name] and name != "email"
        }
        if EXTERNAL_IDS in changed:  # none is removed there
            ids = [*remote[EXTERNAL_IDS], *local[EXTERNAL_IDS]]
            changed[EXTERNAL_IDS] = [id_ for n, id_ in enumerate(ids) if id_ not in ids[:n]]
            if changed[EXTERNAL_IDS] == remote[EXTERNAL_IDS]:
                del changed[EXTERNAL_IDS]
        changed = _without_repetition(changed)
        if not changed:
            return "unchanged"
        if not self._dry_run:
            variables = {"id": customer_id, "node": changed}
            await self._remote.ask(_UPDATE, variables, _has("updateCustomer"))
        return "updated"


def _without_repetition(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return an input without the default addresses, if it has the address book with them."""
    names = FLAGS if BOOK in node else ()
    return {name: value for name, value in node.items() if name not in names}


def _has(name: str) -> Callable[[Any], bool]:
    return lambda data: bool(data[name]["id"])


def _replacement(name: str, remote: Any, local: Any) -> Any:
    """Return the input that changes `remote` to `local`, though the server merges the two."""
    if name in MERGED and remote and local:
        return replacement_patch(remote, local)
    return local


def _key_of(values: Mapping[str, Any]) -> str:
    """Return the key by which a customer is matched: its email, or else its phone and full name, or
    an external id."""
    if values["email"]:
        return clean_email(values["email"])[1]
    if contact := contact_term(values):
        return contact
    ids = values.get(EXTERNAL_IDS) or [{"source": "", "id": ""}]
    return f"external:{ids[0]['source']}:{ids[0]['id']}"


class _RemoteIndex:
    """The customers of the other server by their key, in a temporary file to limit memory use."""

    def __init__(self) -> None:
        columns = "key TEXT PRIMARY KEY, id TEXT, customer TEXT, is_matched INTEGER, copies INTEGER"
        self._connection = temporary_table(f"remote ({columns})")

    def add(self, nodes: Sequence[Node]) -> None:
        """Add customers."""
        self._connection.executemany(
            "INSERT INTO remote VALUES (?, ?, ?, 0, 1) ON CONFLICT (key) DO UPDATE "
            "SET id = excluded.id, customer = excluded.customer, copies = copies + 1",
            [
                (_key_of(values := values_of(node)), str(node["id"]), orjson.dumps(values).decode())
                for node in nodes
            ],
        )

    def find(self, key: str) -> tuple[str, dict[str, Any]] | None:
        """Return the id and the values of the customer with a key, and mark it as matched. Raises
        RemoteFault if several customers without an email have the key, here or there."""
        query = (
            "UPDATE remote SET is_matched = is_matched + 1 WHERE key = ? "
            "RETURNING id, customer, is_matched + copies"
        )
        for customer_id, customer, count in self._connection.execute(query, (key,)):
            if "@" not in key and int(str(count)) > 2:
                raise RemoteFault(_AMBIGUOUS, Ambiguous.key)
            return str(customer_id), orjson.loads(str(customer))
        return None

    def count_unmatched(self) -> int:
        """Return the number of customers that `find` never returned."""
        query = "SELECT count(*) FROM remote WHERE NOT is_matched"
        return int(str(next(iter(self._connection.execute(query)))[0]))

    def close(self) -> None:
        """Delete the file."""
        self._connection.close()
