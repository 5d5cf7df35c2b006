"""Strawberry on asyncpg, with its parser and validation caches."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import asyncpg
import strawberry
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig

from benchmarks.peers import common


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.type
class Address:
    line1: str | None = None
    city: str | None = None
    zip: str | None = None
    country: str | None = None


@strawberry.type
class Customer(Node):
    row: strawberry.Private[asyncpg.Record]

    @strawberry.field(name="_id")
    def number(self) -> int:
        return self.row["id"]

    @strawberry.field
    def avatar(self) -> str:
        return common.avatar(self.row["email"])

    @strawberry.field
    def full_name(self) -> str:
        return f"{self.row['first_name']} {self.row['last_name']}".strip()

    @strawberry.field
    def email(self) -> str:
        return self.row["email"]

    @strawberry.field
    def expenses(self) -> float:
        return self.row["expenses"]

    @strawberry.field
    def orders_count(self) -> int:
        return self.row["orders_count"]

    @strawberry.field
    def created_at(self) -> str:
        return common.from_now(self.row["created_at"])

    @strawberry.field
    def updated_at(self) -> str:
        return common.from_now(self.row["updated_at"])

    @strawberry.field
    def shipping_address(self) -> Address | None:
        parts = common.address(self.row["shipping_address"])
        return Address(**{name: parts.get(name) for name in ADDRESS}) if parts else None


ADDRESS = ("line1", "city", "zip", "country")


@strawberry.type
class CustomerEdge:
    node: Customer
    cursor: str


@strawberry.type
class PageInfo:
    end_cursor: str | None = strawberry.field(name="endCursor")
    has_next_page: bool = strawberry.field(name="hasNextPage")


@strawberry.type
class CustomerConnection:
    edges: list[CustomerEdge]
    page_info: PageInfo = strawberry.field(name="pageInfo")


@strawberry.input
class InputAddress:
    line1: str | None = None
    city: str | None = None
    zip: str | None = None
    country: str | None = None


@strawberry.input
class InputCustomer:
    email: str
    phone: str = ""
    first_name: str = ""
    last_name: str = ""
    accepts_marketing: bool = False
    tags: list[str] = strawberry.field(default_factory=list)
    shipping_address: InputAddress | None = None


def customer(row: asyncpg.Record) -> Customer:
    return Customer(id=strawberry.ID(common.encode_id(row["id"])), row=row)


@strawberry.type
class Query:
    @strawberry.field
    async def node(self, id: strawberry.ID) -> Node | None:  # noqa: A002  # the API's name
        row = await pool().fetchrow(common.ONE, common.decode_id(id))
        return customer(row) if row else None

    @strawberry.field
    async def customers(
        self,
        query: str,  # noqa: ARG002  # the order is that of ids
        first: int | None = None,
        after: str | None = None,
    ) -> CustomerConnection:
        size = first or 25
        rows = await pool().fetch(common.PAGE, common.decode_cursor(after), size + 1)
        edges = [
            CustomerEdge(node=customer(row), cursor=common.encode_cursor(row["id"]))
            for row in rows[:size]
        ]
        info = PageInfo(
            end_cursor=edges[-1].cursor if edges else None, has_next_page=len(rows) > size
        )
        return CustomerConnection(edges=edges, page_info=info)


@strawberry.type
class Mutation:
    @strawberry.mutation(name="createCustomer")
    async def create_customer(self, node: InputCustomer) -> Customer:
        shipping = json.dumps(asdict(node.shipping_address)) if node.shipping_address else None
        row = await pool().fetchrow(
            common.CREATE,
            node.email,
            node.phone,
            node.first_name,
            node.last_name,
            node.accepts_marketing,
            json.dumps(node.tags),
            shipping,
        )
        return customer(row)


_pools: list[Any] = []


def pool() -> Any:
    return _pools[0]


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    _pools.append(await asyncpg.create_pool(os.environ["PEER_DSN"]))
    yield
    await pool().close()


schema = strawberry.Schema(
    Query,
    Mutation,
    types=[Customer],
    extensions=[ParserCache(), ValidationCache()],
    config=StrawberryConfig(auto_camel_case=False),
)
app = Starlette(routes=[Route("/graphql", GraphQL(schema))], lifespan=lifespan)
