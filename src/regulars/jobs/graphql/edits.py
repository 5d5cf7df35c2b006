"""Preparing the jobs of `updateCustomers` and `renameTags`: their input, and the customers that
they edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from regulars.api.context import Context
from regulars.core.errors import InvalidInput, Rejected
from regulars.customers.commands import Reference, reference_to
from regulars.customers.listing import customer_page
from regulars.customers.tags import TAG_KEY
from regulars.jobs.commands import StartJob
from regulars.jobs.edits import Edit, parse_edit
from regulars.jobs.problems import FoundMore, exceeds
from regulars.jobs.starting import StartJobBuilder, new_job
from regulars.segments.expansion import quote
from regulars.segments.searching import parse_search
from regulars.store.imports import BULK

MAX_ITEMS = 1_000
_PREVIEWED = 10
# The arguments of an edit, and their names in a stored job.
_EDITS = {
    "node": "node",
    "addTags": "add_tags",
    "removeTags": "remove_tags",
    "removeCustom": "remove_custom",
    "increments": "increments",
}
_SELECTION = ("query", "segment", "expected")


async def prepare_edit(env: Context, arguments: Mapping[str, Any]) -> StartJobBuilder:
    """Return the function that makes the command which starts a bulk edit. Raises Rejected."""
    has_search = any(arguments.get(name) is not None for name in ("query", "segment"))
    if has_search == (arguments.get("items") is not None):
        message = (
            "Pass `items`, or else `query`, `segment` or both. `query` with an empty text means "
            "all customers."
        )
        raise Rejected(InvalidInput(message, ("items" if has_search else "query",)))
    source = {
        key: arguments[name] for name, key in _EDITS.items() if arguments.get(name) is not None
    }
    edit = _parse(source)
    if edit.is_empty:
        message = "The edit changes nothing. Set a field, or add or remove a tag."
        raise Rejected(InvalidInput(message, ("node",)))
    return await _build(env, arguments, source, edit, env.directory.limits.search_characters)


async def prepare_renaming(env: Context, arguments: Mapping[str, Any]) -> StartJobBuilder:
    """Return the function that makes the command which starts a bulk edit that renames tags. Raises
    Rejected."""
    names = arguments["names"]
    has_segments = arguments.get("segments") is not False
    renaming = {"names": names, "new_name": arguments["newName"], "segments": has_segments}
    source = {"rename_tags": renaming}
    edit = _parse(source)
    query = " OR ".join(f"{TAG_KEY}:{quote(name)}" for name in names)
    return await _build(env, {**arguments, "query": query}, source, edit, len(query))


def _parse(source: Mapping[str, Any]) -> Edit:
    edit, problems = parse_edit(source)
    if problems:
        raise Rejected(*problems)
    return edit


async def _build(
    env: Context,
    arguments: Mapping[str, Any],
    source: Mapping[str, Any],
    edit: Edit,
    max_characters: int,
) -> StartJobBuilder:
    """Return the function that makes the command which starts an edit. Its query has at most
    `max_characters`."""
    references = _references(arguments.get("items"))
    found_ids = await _check_count(env, arguments, max_characters)
    details = {
        "dry_run": bool(arguments.get("dryRun")),
        "silent": bool(arguments.get("silent")),
        "edit": source,
        **{name: arguments[name] for name in _SELECTION if arguments.get(name) is not None},
    }
    if details["dry_run"]:
        named_ids = [r.customer_id for r in references or () if r.customer_id is not None]
        details["first_ids"] = found_ids if references is None else named_ids[:_PREVIEWED]
    row = new_job(env.account_id, BULK, edit.name, env.origin, env.received_at, details)
    return partial(StartJob, row, env.received_at, references, (), origin=env.origin)


def _references(items: Sequence[str] | None) -> tuple[Reference, ...] | None:
    if items is None:
        return None
    if not 0 < len(items) <= MAX_ITEMS:
        message = (
            f"`items` has {len(items):,} ids; send 1 to {MAX_ITEMS:,}. For more customers, pass a "
            "`query` or a `segment`."
        )
        raise Rejected(InvalidInput(message, ("items",)))
    return tuple([reference_to(text) for text in items])


async def _check_count(
    env: Context, arguments: Mapping[str, Any], max_characters: int
) -> list[int]:
    """Check the query, and the number of customers that it finds. Return the first ids of a dry
    run."""
    expected, items = arguments.get("expected"), arguments.get("items")
    if expected is not None and expected < 0:
        raise Rejected(InvalidInput("`expected` must be 0 or greater.", ("expected",)))
    if items is not None:
        _require_expected(len(set(items)), expected)
        return []
    search = await parse_search(
        env.directory.primary,
        env.account_id,
        arguments.get("query") or "",
        max_characters,
        arguments.get("segment"),
    )
    selected = customer_page({"first": _PREVIEWED}, search, env.now, _PREVIEWED)
    if expected is not None:
        _require_expected(await env.directory.count(env.account_id, selected), expected)
    if not arguments.get("dryRun"):
        return []
    page = await env.directory.page(env.account_id, selected, ("order_value", "customer_id"))
    return [row[1] for row in page.rows]


def _require_expected(count: int, expected: int | None) -> None:
    if expected is not None and exceeds(count, expected):
        raise Rejected(FoundMore(count, expected))
