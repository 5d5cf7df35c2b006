"""The field `node`: an object of any type by its id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from regulars.accounts.graphql import load_token
from regulars.api.context import Context, require
from regulars.api.part import Node
from regulars.core.external_ids import parse
from regulars.core.ids import decode
from regulars.core.scopes import ADMIN, READ, WEBHOOKS
from regulars.graphql import Layouts, Resolve
from regulars.webhooks.graphql import load_delivery
from regulars.webhooks.values import DeliveryId


def node(nodes: Mapping[str, Node]) -> Callable[[Layouts], Resolve]:
    """Returns the field. It is null for every id without an object, and does not say why. Each type
    needs the scope of its list."""

    def prepare(layouts: Layouts) -> Resolve:
        async def load(env: Context, type_name: str, number: int) -> Any:
            scope, load_row = nodes[type_name]
            if scope is not None:
                require(env, scope)
            row = await load_row(env, number, layouts.of(type_name))
            return None if row is None else (type_name, row)

        async def resolve(env: Context, arguments: dict[str, Any]) -> Any:
            text = arguments["id"]
            type_and_id = decode(text)
            if type_and_id is not None and type_and_id[0] in nodes:
                return await load(env, *type_and_id)
            delivery = DeliveryId.decode(text)
            if delivery is not None:
                require(env, WEBHOOKS)
                row = await load_delivery(env, delivery, layouts.of("WebhookDelivery"))
                return None if row is None else ("WebhookDelivery", row)
            require(env, READ)
            if type_and_id is not None:
                return None
            external = parse(text)
            if external is not None:
                found = await env.directory.with_external_ids(env.account_id, [external])
                if external in found:
                    return await load(env, *found[external])
            token = await load_token(env, text) if ADMIN in env.scopes else None
            return None if token is None else ("Token", token)

        return resolve

    return prepare
