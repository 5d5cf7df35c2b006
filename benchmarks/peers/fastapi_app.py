"""graphql-core and SQLAlchemy behind FastAPI, with a cache of parsed and validated documents."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.responses import ORJSONResponse
from graphql import DocumentNode, build_schema, execute, parse, validate
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.peers import common


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    email: Mapped[str]
    phone: Mapped[str]
    first_name: Mapped[str]
    last_name: Mapped[str]
    accepts_marketing: Mapped[bool]
    expenses: Mapped[float] = mapped_column(sa.Double, server_default=sa.text("0"))
    orders_count: Mapped[int] = mapped_column(server_default=sa.text("0"))
    tags: Mapped[list[str]] = mapped_column(JSONB)
    shipping_address: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[Any] = mapped_column(
        sa.DateTime(timezone=True), server_default=sa.func.now()
    )
    updated_at: Mapped[Any] = mapped_column(
        sa.DateTime(timezone=True), server_default=sa.func.now()
    )


engine = create_async_engine(
    os.environ["PEER_DSN"].replace("postgresql://", "postgresql+asyncpg://")
)
sessions = async_sessionmaker(engine, expire_on_commit=False)

schema = build_schema((Path(__file__).parent / "schema.graphql").read_text())


async def resolve_customers(
    _root: Any, info: Any, query: str, first: int = 25, after: str | None = None
) -> Any:  # query: the order is that of ids
    del query
    statement = (
        sa.select(Customer)
        .where(Customer.id < common.decode_cursor(after))
        .order_by(Customer.id.desc())
        .limit(first + 1)
    )
    rows = (await info.context.scalars(statement)).all()
    edges = [
        {"node": customer, "cursor": common.encode_cursor(customer.id)} for customer in rows[:first]
    ]
    return {
        "edges": edges,
        "pageInfo": {
            "endCursor": edges[-1]["cursor"] if edges else None,
            "hasNextPage": len(rows) > first,
        },
    }


async def resolve_node(_root: Any, info: Any, id: str) -> Any:  # noqa: A002  # the API's name
    return await info.context.get(Customer, common.decode_id(id))


async def resolve_create(_root: Any, info: Any, node: dict[str, Any]) -> Any:
    defaults = {"phone": "", "first_name": "", "last_name": "", "accepts_marketing": False}
    customer = Customer(**{**defaults, "tags": [], **node})
    info.context.add(customer)
    await info.context.commit()
    return customer


schema.query_type.fields["customers"].resolve = resolve_customers
schema.query_type.fields["node"].resolve = resolve_node
schema.mutation_type.fields["createCustomer"].resolve = resolve_create
schema.get_type("Node").resolve_type = lambda *_: "Customer"
fields = schema.get_type("Customer").fields
fields["id"].resolve = lambda row, _info: common.encode_id(row.id)
fields["_id"].resolve = lambda row, _info: row.id
fields["avatar"].resolve = lambda row, _info: common.avatar(row.email)
fields["full_name"].resolve = lambda row, _info: f"{row.first_name} {row.last_name}".strip()
fields["created_at"].resolve = lambda row, _info: common.from_now(row.created_at)
fields["updated_at"].resolve = lambda row, _info: common.from_now(row.updated_at)


@lru_cache(maxsize=1_000)
def document(text: str) -> DocumentNode | list[Mapping[str, Any]]:
    parsed = parse(text)
    errors = validate(schema, parsed)
    return [error.formatted for error in errors] if errors else parsed


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/graphql")
async def graphql(request: Request) -> ORJSONResponse:
    body = await request.json()
    parsed = document(body["query"])
    if isinstance(parsed, list):
        return ORJSONResponse({"errors": parsed})
    session: AsyncSession
    async with sessions() as session:
        result = execute(
            schema, parsed, context_value=session, variable_values=body.get("variables")
        )
        if not hasattr(result, "data"):
            result = await result
    return ORJSONResponse(result.formatted)
