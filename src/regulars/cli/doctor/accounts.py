"""Checks of accounts, of the nodes that store them, and of tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from regulars.accounts.accounts import Account, Accounts, Token
from regulars.cli.database import with_store
from regulars.cli.doctor.findings import FAIL, OK, WARN, Finding
from regulars.core import account_settings
from regulars.core.account_settings import EXPENSES_CURRENCY, OF_ALL
from regulars.core.counts import count_of
from regulars.core.scopes import ADMIN
from regulars.settings import Settings
from regulars.store import DatabaseUrl, StatementTimeout, Store
from regulars.store.citus.nodes import Node, list_nodes
from regulars.store.queries import count_customers
from regulars.store.spend import currencies_of_orders
from regulars.store.tokens import account_settings_of

_COUNT_SECONDS = 60.0
_LARGEST = 5
_MANY_CUSTOMERS = 1_000_000
_UNUSED_DAYS = 90
_DAY_MS = 86_400_000


def check_accounts(url: DatabaseUrl, settings: Settings) -> Iterator[Finding]:
    """Yields the findings about the nodes of Citus, and the sizes of accounts."""

    async def count(store: Store) -> dict[int, int]:
        sizes = {account.account_id: 0 for account in await Accounts(store).all()}
        return sizes | dict(await store.fetch(count_customers(), {}, is_long=True))

    nodes = asyncio.run(list_nodes(str(url.dsn))) if url.dsn else []
    if not all(node.is_reachable for node in nodes):
        yield from map(_describe_uncounted, nodes)
        return
    try:
        sizes = with_store(settings, count, seconds=_COUNT_SECONDS)
    except StatementTimeout:
        message = f"Their customers were not counted within {_COUNT_SECONDS:g} s."
        yield Finding(OK, "accounts", message)
        return
    if not sizes:
        message = (
            "No account exists. `regulars serve` creates the first one, or create it with: "
            "regulars account create NAME"
        )
        yield Finding(WARN, "accounts", message)
    elif not nodes:
        largest = max(sizes.values(), default=0)
        message = (
            f"{count_of(len(sizes), 'account has', 'accounts have')} "
            f"{count_of(sum(sizes.values()), 'customer')}; the largest has {largest:,}."
        )
        yield Finding(OK, "accounts", message)
    for node in nodes:
        yield _describe_node(node, sizes)
    yield from _check_currencies(settings)


def _check_currencies(settings: Settings) -> Iterator[Finding]:
    """Yields the findings about accounts that add amounts of several currencies."""

    async def read(store: Store) -> list[tuple[Account, list[str]]]:
        found = []
        for account in await Accounts(store).all():
            key = {"account_id": account.account_id}
            ((stored,),) = await store.fetch(account_settings_of(), key)
            if account_settings.load(stored)[EXPENSES_CURRENCY.name] == OF_ALL:
                rows = await store.fetch(currencies_of_orders(), key, is_long=True)
                found.append((account, [row[0] for row in rows]))
        return found

    try:
        found = with_store(settings, read, seconds=_COUNT_SECONDS)
    except StatementTimeout:
        return
    for account, currencies in found:
        if len(currencies) > 1:
            message = (
                f"`expenses` add amounts in {', '.join(currencies)} without conversion. To count "
                f"one currency: regulars account settings --account {account.name} --set "
                "currency=CODE --set expenses_currency=account"
            )
            yield Finding(WARN, f"account {account.name}", message)


def _describe_uncounted(node: Node) -> Finding:
    """Returns the finding about a node while a node does not respond."""
    names = [account.name for account in node.residents]
    if node.is_reachable:
        accounts = count_of(len(names), "account")
        message = f"{accounts}. Customers are not counted while another node does not respond."
        return Finding(OK, f"node {node.name}", message)
    examples = f" ({', '.join(names[:_LARGEST])}{', …' * (len(names) > _LARGEST)})" if names else ""
    message = (
        f"The node does not respond. Until it does, requests of {count_of(len(names), 'account')}"
        f"{examples} get status 503."
    )
    return Finding(FAIL, f"node {node.name}", message)


def _describe_node(node: Node, sizes: Mapping[int, int]) -> Finding:
    counts = {account.name: sizes.get(account.account_id, 0) for account in node.residents}
    total = sum(counts.values())
    mib = node.size_bytes / 1024**2
    accounts, customers = count_of(len(counts), "account"), count_of(total, "customer")
    message = f"{accounts} with {customers}, {mib:,.0f} MiB"
    largest = sorted(node.residents, key=lambda account: -counts[account.name])[:_LARGEST]
    if largest:
        names = (f"{r.name} ({counts[r.name]:,}{', alone' * r.has_own_shard})" for r in largest)
        message += f"; the largest: {', '.join(names)}"
    subject = f"node {node.name}"
    if node.takes_shards and not node.shards:
        message = "The node stores nothing. Run in SQL: SELECT citus_rebalance_start()"
        return Finding(WARN, subject, message)
    if total > _MANY_CUSTOMERS and counts[largest[0].name] > total / 2 and len(counts) > 1:
        name = largest[0].name
        message += (
            f". {name} has more than half of them. Give it a node: regulars account move {name} "
            "NODE --dedicated"
        )
        return Finding(WARN, subject, message + ".")
    return Finding(OK, subject, message + ".")


def check_tokens(tokens: Sequence[Token], now: int) -> Iterator[Finding]:
    """Yields the findings about the tokens of all accounts."""
    valid = [token for token in tokens if token.state(now) == "valid"]
    if not valid:
        message = (
            "No token is valid. If there is an account, create one with: "
            "regulars token create --name NAME"
        )
        yield Finding(WARN, "tokens", message)
        return
    yield Finding(OK, "tokens", f"{count_of(len(valid), 'token is', 'tokens are')} valid.")
    oldest_use = now - _UNUSED_DAYS * _DAY_MS
    unused = [t for t in valid if max(t.created_at, t.last_used_at or 0) < oldest_use]
    if unused:
        subject = count_of(len(unused), "token was", "tokens were")
        message = (
            f"{subject} not used for {_UNUSED_DAYS} days: {_ids(unused)}. Revoke tokens that are "
            "not needed: regulars token revoke ID"
        )
        yield Finding(WARN, "tokens", message)
    endless = [t for t in valid if ADMIN in t.scopes.split() and t.expires_at is None]
    if len(endless) > 1:
        message = (
            f"{len(endless):,} tokens with the scope admin never expire: {_ids(endless)}. Give "
            "apps narrower scopes."
        )
        yield Finding(WARN, "tokens", message)


def _ids(tokens: Sequence[Token]) -> str:
    return ", ".join(token.token_id for token in tokens[:10])
