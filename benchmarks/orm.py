"""Import customers as a plain application would: `python -m benchmarks.orm URL ROWS` inserts rows
one by one through SQLAlchemy's ORM, in one transaction, into a table with one index."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.transfers import rows


class _Base(DeclarativeBase):
    pass


class Customer(_Base):
    """A customer, without a history and indexed by email only."""

    __tablename__ = "orm_customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    first_name: Mapped[str]
    last_name: Mapped[str]
    phone: Mapped[str]
    accepts_marketing: Mapped[bool]
    tags: Mapped[list[str]] = mapped_column(sa.JSON)
    created_at: Mapped[datetime]


def _build_customer(row: tuple[str, ...]) -> Customer:
    email, first_name, last_name, phone, marketing, tags = row
    return Customer(
        email=email,
        first_name=first_name,
        last_name=last_name,
        phone=phone,
        accepts_marketing=marketing == "true",
        tags=[tag.strip() for tag in tags.split(",") if tag.strip()],
        created_at=datetime.now(UTC).replace(tzinfo=None),
    )


def _insert_on_sqlite(url: str, count: int) -> None:
    engine = sa.create_engine(f"{url}-orm")
    _Base.metadata.create_all(engine)
    with Session(engine) as session:
        for row in rows(count):
            session.add(_build_customer(row))
            session.flush()
        session.commit()


async def _insert_on_postgresql(url: str, count: int) -> None:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))
    async with engine.begin() as connection:
        await connection.run_sync(_Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        for row in rows(count):
            session.add(_build_customer(row))
            await session.flush()
        await session.commit()
    await engine.dispose()


if __name__ == "__main__":
    _, database_url, row_count = sys.argv
    if database_url.startswith("sqlite:"):
        _insert_on_sqlite(database_url, int(row_count))
    else:
        asyncio.run(_insert_on_postgresql(database_url, int(row_count)))
