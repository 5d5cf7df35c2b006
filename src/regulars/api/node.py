"""The fields `node` and `nodes`: objects of any type by their ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from regulars.accounts.graphql import load_token
from regulars.api.context import Context, require
from regulars.api.part import Node
from regulars.core.errors import InvalidInput, Rejected
from regulars.core.external_ids import ExternalId, parse
from regulars.core.ids import decode, number_of
from regulars.core.scopes import ADMIN, READ, WEBHOOKS
from regulars.customers.contact_points import EMAILS, ContactPointId
from regulars.customers.graphql.roots import contact_point
from regulars.directory.directory import Directory
from regulars.graphql import Arguments, Layouts, Resolve
from regulars.webhooks.graphql import load_delivery
from regulars.webhooks.values import DeliveryId

MAX_NODES = 250

# The type and the `_id` of an object.
_Name = tuple[str, int]
_Target = _Name | DeliveryId | ContactPointId | ExternalId | None
_TOGETHER = {"Customer": Directory.customers, "Order": Directory.orders}


def node(nodes: Mapping[str, Node]) -> Callable[[Layouts], Resolve]:
    """Returns the field `node`. It is null for every id without an object, and does not say why.
    Each type needs the scope of its list."""

    def prepare(layouts: Layouts) -> Resolve:
        loader = _Loader(nodes, layouts)

        async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
            text = arguments["id"]
            target = _target(text)
            if isinstance(target, ExternalId):
                (target,) = await loader.look_up(env, [target])
            return await loader.load_one(env, text, target)

        return resolve

    return prepare


def list_of_nodes(nodes: Mapping[str, Node]) -> Callable[[Layouts], Resolve]:
    """Returns the field `nodes`."""

    def prepare(layouts: Layouts) -> Resolve:
        loader = _Loader(nodes, layouts)

        async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
            ids = arguments["ids"]
            if len(ids) > MAX_NODES:
                message = (
                    f"`ids` has {len(ids):,} values; the maximum is {MAX_NODES} in one request."
                )
                raise Rejected(InvalidInput(message, ("ids",)))
            return await loader.load(env, ids)

        return resolve

    return prepare


def price_of_nodes(arguments: Arguments, fixed: int, _per_row: int) -> int:
    """Returns the cost of `node` for each id."""
    return max(1, len(arguments["ids"])) * fixed


class _Loader:
    """Loads objects by the ids that clients write."""

    def __init__(self, nodes: Mapping[str, Node], layouts: Layouts) -> None:
        self._nodes = nodes
        self._layouts = layouts

    async def load(self, env: Context, texts: Sequence[str]) -> list[Any]:
        """Return for each id the type of its object and its row, or None."""
        targets = await self.look_up(env, list(map(_target, texts)))
        rows = await self._load_together(env, targets) if len(texts) > 1 else {}
        return [
            rows[target] if target in rows else await self.load_one(env, text, target)
            for text, target in zip(texts, targets, strict=True)
        ]

    @staticmethod
    async def look_up(env: Context, targets: Sequence[_Target]) -> Sequence[_Target]:
        """Return the targets, with the objects that have the external ids in place of these."""
        external_ids = [target for target in targets if isinstance(target, ExternalId)]
        if not external_ids:
            return targets
        require(env, READ)
        found = await env.directory.with_external_ids(env.account_id, external_ids)
        return [found.get(t) if isinstance(t, ExternalId) else t for t in targets]

    async def _load_together(self, env: Context, targets: Sequence[Any]) -> dict[_Name, Any]:
        """Load customers and orders with one statement for each type."""
        rows: dict[_Name, Any] = {}
        for type_name, read in _TOGETHER.items():
            names = [name for name in dict.fromkeys(targets) if name and name[0] == type_name]
            if not names:
                continue
            require(env, READ)
            layout = self._layouts.of(type_name)
            numbers = [name[1] for name in names]
            found = await read(env.directory, env.account_id, numbers, layout.columns)
            loaded = await layout.load_related_grouped(found, env)
            for name, row in zip(names, loaded, strict=True):
                rows[name] = None if row is None else (type_name, row)
        return rows

    async def load_one(self, env: Context, text: str, target: Any) -> Any:
        """Return the type and the row of what an id names, or None."""
        type_name, row = "", None
        if isinstance(target, DeliveryId):
            require(env, WEBHOOKS)
            type_name = "WebhookDelivery"
            row = await load_delivery(env, target, self._layouts.of(type_name))
        elif isinstance(target, ContactPointId):
            require(env, READ)
            type_name = "EmailAddress" if target.kind is EMAILS else "PhoneNumber"
            row = await contact_point(env, target)
        elif target is not None and target[0] in self._nodes:
            type_name, number = target
            scope, load_row = self._nodes[type_name]
            if scope is not None:
                require(env, scope)
            row = await load_row(env, number, self._layouts.of(type_name))
        else:
            require(env, READ)
            if target is None and ADMIN in env.scopes:
                type_name, row = "Token", await load_token(env, text)
        return None if row is None else (type_name, row)


def _target(text: str) -> _Target:
    """Return what an id names, in the order in which the forms of ids take precedence."""
    named = decode(text) or DeliveryId.decode(text) or ContactPointId.decode(text)
    if named is not None:
        return named
    number = number_of(text, "Customer")
    return parse(text) if number is None else ("Customer", number)
