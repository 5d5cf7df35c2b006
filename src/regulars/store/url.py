"""The database URLs that `REGULARS_DATABASE_URL` accepts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from regulars.store.errors import BadDatabaseURL

_FORMS = "Use `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A parsed database URL: the `path` of a SQLite file, or the `dsn` of a PostgreSQL server.

    `redacted` is the URL without the password.
    """

    dialect: str
    redacted: str
    path: Path | None = None
    dsn: str | None = None


def parse_url(url: str) -> DatabaseUrl:
    """Parse a database URL.

    `sqlite:///regulars.db` is a file relative to the working directory, `sqlite:////srv/r.db` an
    absolute path. `postgresql://` (also `postgres://`) is libpq's connection URI, with several
    hosts and options if needed. Raises BadDatabaseURL.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise BadDatabaseURL(f"The database URL has no scheme. {_FORMS}.")
    if scheme == "sqlite":
        return _parse_sqlite(rest)
    if scheme in ("postgresql", "postgres", "postgresql+asyncpg"):
        dsn = f"postgresql://{rest}"
        return DatabaseUrl("postgresql", _without_password(dsn), dsn=dsn)
    raise BadDatabaseURL(f"Databases of the kind {scheme!r} are not supported. {_FORMS}.")


def _parse_sqlite(rest: str) -> DatabaseUrl:
    name = unquote(rest.partition("?")[0])
    if not name.startswith("/") or name in ("/", "/:memory:"):
        raise BadDatabaseURL(
            "A SQLite URL needs a file: `sqlite:///regulars.db` in the working directory, or "
            "`sqlite:////srv/regulars.db` with an absolute path."
        )
    path = Path(name[1:])
    return DatabaseUrl("sqlite", f"sqlite:///{path}", path=path)


def _without_password(dsn: str) -> str:
    parts = urlsplit(dsn)
    hosts = parts.netloc.rpartition("@")[2]
    return f"postgresql://{hosts}{parts.path}"
