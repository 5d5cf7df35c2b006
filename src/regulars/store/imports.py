"""The queries of imports and other jobs: their rows, the claims of workers, and the parts of
files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from regulars.store.entity import Row
from regulars.store.queries import of_account
from regulars.store.query import Query, any_of, number
from regulars.store.tables import import_parts, imports
from regulars.store.tokens import in_enabled_account

COLUMNS = tuple(str(column.name) for column in imports.columns)
# An import over HTTP is received, waits as pending, and runs in a process of its own.
RECEIVING, PENDING, RUNNING = "receiving", "pending", "running"
UNFINISHED = (PENDING, RUNNING)
# Where an import's customers come from: a file, or another server.
FILE, PULL = "file", "pull"
# Jobs that edit many customers, and that undo another job.
BULK, UNDO = "bulk", "undo"
# The parts of a job with the ids of its customers. The file of an import has the kind `FILE`.
IDS = "ids"
_PROGRESS = ("position", "bytes_read", "created", "updated", "unchanged", "rejected")
# The ids of imports and jobs: `imp_…` and `job_…`.
_ID = re.compile(r"\w{1,64}", re.ASCII)


def is_id(text: str) -> bool:
    """Return whether an import or a job can have an id. PostgreSQL refuses others, such as NUL."""
    return _ID.fullmatch(text) is not None


def row_of(values: Sequence[Any]) -> Row:
    """Return the row of an import that was read whole."""
    return dict(zip(COLUMNS, values, strict=True))


def _text(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.Text())


def _word(word: str) -> sa.ColumnElement[str]:
    """One of the constants above, as a SQL literal."""
    return sa.literal_column(f"'{word}'")


def _of_import(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(of_account(table), table.c.import_id == _text("import_id"))


def _is_unfinished() -> sa.ColumnElement[bool]:
    return imports.c.state.in_(list(map(_word, UNFINISHED)))


def _is_file() -> sa.ColumnElement[bool]:
    return imports.c.kind == _word(FILE)


def unfinished_job(table: sa.Table) -> sa.ColumnElement[bool]:
    """Select rows of a table if the job `import_id`, which is no pull, waits or runs."""
    statement: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        imports.c.account_id == table.c.account_id,
        imports.c.import_id == _text("import_id"),
        _is_no_pull(),
        _is_unfinished(),
    )
    return statement.correlate(table).exists()


@cache
def import_by_id() -> Query:
    """An import, whole."""
    return Query(sa.select(*imports.columns).where(_of_import(imports)))


def _is_no_pull() -> sa.ColumnElement[bool]:
    return imports.c.kind != _word(PULL)


@cache
def page_of_jobs(columns: tuple[str, ...], with_after: bool) -> Query:
    """At most `limit` jobs of the account, newest first: those after the time `after_time` and the
    id `after_id`, if there is one."""
    statement = sa.select(*(imports.c[name] for name in columns))
    statement = statement.where(of_account(imports), _is_no_pull())
    if with_after:
        statement = statement.where(
            sa.tuple_(imports.c.created_at, imports.c.import_id)
            < sa.tuple_(number("after_time"), _text("after_id"))
        )
    ordered = statement.order_by(imports.c.created_at.desc(), imports.c.import_id.desc())
    return Query(ordered.limit(number("limit")))


@cache
def count_jobs() -> Query:
    """The number of the account's jobs."""
    statement = sa.select(sa.func.count()).select_from(imports)
    return Query(statement.where(of_account(imports), _is_no_pull()))


@cache
def waiting_jobs() -> Query:
    """The ids of jobs of the account that wait or run, at most as many as may."""
    statement = sa.select(imports.c.import_id).where(
        of_account(imports), _is_no_pull(), _is_unfinished()
    )
    return Query(statement.limit(sa.literal_column("50")))


@cache
def set_total() -> Query:
    """Set the number of customers of a claimed job, whose ids are stored."""
    statement = imports.update().where(
        _of_import(imports), _is_unfinished(), imports.c.claimed_by == _text("claimed_by")
    )
    return Query(statement.values(size=number("size"), updated_at=number("now")))


@cache
def newest_imports() -> Query:
    """The account's imports of files, newest first: at most `limit`, whole."""
    statement = sa.select(*imports.columns).where(of_account(imports), _is_file())
    ordered = statement.order_by(imports.c.created_at.desc(), imports.c.import_id.desc())
    return Query(ordered.limit(number("limit")))


@cache
def pulls_of_account() -> Query:
    """The account's pulls: the URL of the server, and the cursor."""
    statement = sa.select(imports.c.name, imports.c.cursor).where(of_account(imports))
    return Query(statement.where(imports.c.kind == _word(PULL)))


@cache
def unfinished_import() -> Query:
    """The account's newest running import of a file with a name and a fingerprint."""
    statement = sa.select(*imports.columns).where(
        of_account(imports),
        imports.c.state == _word(RUNNING),
        imports.c.name == _text("name"),
        imports.c.fingerprint == _text("fingerprint"),
    )
    ordered = statement.order_by(imports.c.created_at.desc(), imports.c.import_id.desc())
    return Query(ordered.limit(sa.literal_column("1")))


@cache
def end_import() -> Query:
    """End an unfinished import, with a state and a message."""
    statement = imports.update().where(_of_import(imports), _is_unfinished())
    return Query(
        statement.values(
            state=_text("new_state"),
            message=_text("new_message"),
            problems=sa.func.coalesce(_text("new_problems"), imports.c.problems),
            source=sa.func.coalesce(_text("new_source"), imports.c.source),
            ended_at=number("now"),
            updated_at=number("now"),
            claimed_by=sa.null(),
            claimed_until=sa.literal_column("0"),
        )
    )


@cache
def note_wait() -> Query:
    """Note in an unfinished import what it waits for. The next claim removes the message."""
    statement = imports.update().where(_of_import(imports), _is_unfinished())
    return Query(statement.values(message=_text("new_message"), updated_at=number("now")))


@cache
def due_imports(of_accounts: bool = False) -> Query:
    """The oldest unfinished import of each enabled account that came over HTTP and that no worker
    has claimed at the time `now`: account, id. With `of_accounts`, only of the accounts `ids`."""
    statement = sa.select(imports.c.account_id, imports.c.import_id).where(
        _is_unfinished(), imports.c.claimed_until < number("now"), in_enabled_account(imports)
    )
    if of_accounts:
        statement = statement.where(any_of(imports.c.account_id, "ids"))
    older = imports.alias("older")
    none_before = ~sa.exists().where(
        older.c.account_id == imports.c.account_id,
        older.c.state.in_(list(map(_word, UNFINISHED))),
        older.c.claimed_until < number("now"),
        sa.tuple_(older.c.created_at, older.c.import_id)
        < sa.tuple_(imports.c.created_at, imports.c.import_id),
    )
    ordered = statement.where(none_before).order_by(imports.c.created_at)
    return Query(ordered.limit(sa.literal_column("1000")))


@cache
def claim_import() -> Query:
    """Claim an import of an enabled account until `until`, unless it is claimed at the time `now`:
    the whole row, or none."""
    statement = imports.update().where(
        _of_import(imports),
        _is_unfinished(),
        imports.c.claimed_until < number("now"),
        in_enabled_account(imports),
    )
    values: dict[str, Any] = {
        "state": _word(RUNNING),
        "message": sa.null(),
        "claimed_by": _text("claimed_by"),
        "claimed_until": number("until"),
    }
    return Query(statement.values(values).returning(*imports.columns))


@cache
def extend_claim() -> Query:
    """Extend a claim until `until`: the state of the import, or no row if the claim is lost or the
    account is disabled."""
    statement = imports.update().where(
        _of_import(imports),
        _is_unfinished(),
        imports.c.claimed_by == _text("claimed_by"),
        in_enabled_account(imports),
    )
    extended = statement.values(claimed_until=number("until"))
    return Query(extended.returning(imports.c.state))


@cache
def parts_from() -> Query:
    """At most `limit` parts of a kind from the number `part` on: number, bytes."""
    statement = sa.select(import_parts.c.part, import_parts.c.bytes).where(
        _of_import(import_parts),
        import_parts.c.kind == _text("kind"),
        import_parts.c.part >= number("part"),
    )
    return Query(statement.order_by(import_parts.c.part).limit(number("limit")))


@cache
def delete_parts() -> Query:
    """Delete the parts of a kind from the number `part` on."""
    statement = import_parts.delete().where(_of_import(import_parts))
    return Query(
        statement.where(import_parts.c.kind == _text("kind"), import_parts.c.part >= number("part"))
    )


@cache
def mark_received() -> Query:
    """Set an import whose file is complete to pending."""
    statement = imports.update().where(_of_import(imports), imports.c.state == _word(RECEIVING))
    return Query(
        statement.values(
            state=_word(PENDING),
            size=number("size"),
            fingerprint=_text("fingerprint"),
            source=_text("source"),
            updated_at=number("now"),
        )
    )


@cache
def touch_upload() -> Query:
    """Record that the file of an import is still being received."""
    statement = imports.update().where(_of_import(imports), imports.c.state == _word(RECEIVING))
    return Query(statement.values(updated_at=number("now")))


@cache
def update_progress() -> Query:
    """Record the progress of a dry run, which saves nothing else."""
    statement = imports.update().where(
        _of_import(imports), _is_unfinished(), imports.c.claimed_by == _text("claimed_by")
    )
    progress = {name: number(f"new_{name}") for name in _PROGRESS}
    return Query(
        statement.values(**progress, problems=_text("new_problems"), updated_at=number("now"))
    )


@cache
def delete_finished() -> Query:
    """Delete a finished import, with its parts."""
    return Query(imports.delete().where(_of_import(imports), sa.not_(_is_unfinished())))


@cache
def delete_any() -> Query:
    """Delete an import in any state, to replace it."""
    return Query(imports.delete().where(_of_import(imports)))


@cache
def delete_old() -> Query:
    """Delete, for all accounts, the jobs other than pulls that were last updated at the time
    `before` or earlier, and those whose files were still incomplete at the time `broken_before`."""
    is_incomplete = sa.and_(
        imports.c.state == _word(RECEIVING),
        imports.c.updated_at <= number("broken_before"),
    )
    return Query(
        imports.delete().where(
            _is_no_pull(), sa.or_(imports.c.updated_at <= number("before"), is_incomplete)
        )
    )


@cache
def clear_old_problems() -> Query:
    """Delete, for all accounts, the messages about rejected rows of pulls that were last updated at
    the time `before` or earlier: the messages may quote customers. The next pull continues from the
    stored cursor."""
    old = imports.c.updated_at <= number("before")
    has_problems = imports.c.problems != sa.literal_column("'{}'")
    has_rejected = imports.c.last_rejected != sa.literal_column("'[]'")
    statement = imports.update().where(
        imports.c.kind == _word(PULL), old, sa.or_(has_problems, has_rejected)
    )
    values: dict[str, Any] = {
        "problems": sa.literal_column("'{}'"),
        "last_rejected": sa.literal_column("'[]'"),
    }
    return Query(statement.values(values))
