"""Where a database is: the addresses that `REGULARS_DATABASE_URL` takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from regulars.store.errors import BadDatabaseURL

_FORMS = "Use sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


@dataclass(frozen=True, slots=True)
class Address:
    """A database's address: `path` of the SQLite file, or the `dsn` of a PostgreSQL server.

    `shown` is safe to print: it holds no password.
    """

    dialect: str
    shown: str
    path: Path | None = None
    dsn: str | None = None


def parse_url(url: str) -> Address:
    """Reads a database URL.

    `sqlite:///regulars.db` is a file relative to the working directory, `sqlite:////srv/r.db` an
    absolute one. `postgresql://` (also `postgres://`) is libpq's connection URI, with several
    hosts and options where they are wanted. Raises BadDatabaseURL.
    """
    scheme, found, rest = url.partition("://")
    if not found:
        raise BadDatabaseURL(f"The database URL has no scheme. {_FORMS}.")
    if scheme == "sqlite":
        return _sqlite(rest)
    if scheme in ("postgresql", "postgres", "postgresql+asyncpg"):
        dsn = f"postgresql://{rest}"
        return Address("postgresql", _without_password(dsn), dsn=dsn)
    raise BadDatabaseURL(f"Regulars does not know databases of the kind {scheme!r}. {_FORMS}.")


def _sqlite(rest: str) -> Address:
    name = unquote(rest.partition("?")[0])
    if not name.startswith("/") or name in ("/", "/:memory:"):
        raise BadDatabaseURL(
            "A SQLite URL names a file: sqlite:///regulars.db beside the working directory, "
            "sqlite:////srv/regulars.db from the root."
        )
    path = Path(name[1:])
    return Address("sqlite", f"sqlite:///{path}", path=path)


def _without_password(dsn: str) -> str:
    parts = urlsplit(dsn)
    hosts = parts.netloc.rpartition("@")[2]
    return f"postgresql://{hosts}{parts.path}"
