"""Rows that are rendered together, column by column, where nothing is wrong with any of them.

Whatever goes wrong, and a null where none is allowed, raises: `render` then goes from row to row
and finds the place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, NoReturn

from regulars.graphql.plan import Below, FieldPlan, Leaf, ObjectPlan, TypeName, View

# What renders rows as objects, all at once.
Many = Callable[[Sequence[Any], Any], list[Any]]
Items = Callable[[Many, Sequence[Any], Any], list[Any]]


class NotPlainError(Exception):
    """The answer has an error in it, or a null where none is allowed."""


def fail() -> NoReturn:
    """Raises NotPlainError."""
    raise NotPlainError


def present(render: Many, rows: Sequence[Any], env: Any) -> list[Any]:
    """The rows as objects, where none may be null."""
    return fail() if None in rows else render(rows, env)


def optional(render: Many, rows: Sequence[Any], env: Any) -> list[Any]:
    """The rows as objects; null where there is no row."""
    if None not in rows:
        return render(rows, env)
    made = iter(render([row for row in rows if row is not None], env))
    return [None if row is None else next(made) for row in rows]


def lists(items: Items, render: Many, column: Sequence[Any], env: Any) -> list[Any]:
    """A column of lists of rows as lists of objects, all rendered together; null where there is no
    list. `items` is `present` or `optional`, as they may be null or not."""
    made = iter(items(render, [row for rows in column if rows is not None for row in rows], env))
    return [None if rows is None else list(islice(made, len(rows))) for rows in column]


def items_together(
    plan: ObjectPlan, item_nullable: bool, rows: Sequence[Any], env: Any
) -> list[Any]:
    """A list of rows as objects."""
    return (optional if item_nullable else present)(partial(together, plan), rows, env)


def together(plan: ObjectPlan, rows: Sequence[Any], env: Any) -> list[Any]:
    """The rows as objects."""
    if not plan.fields:  # a directive left all of them out
        return [{} for _ in rows]
    columns = [_column(one, rows, env) for one in plan.fields]
    keys = [one.key for one in plan.fields]
    return [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)]


def _column(plan: FieldPlan, rows: Sequence[Any], env: Any) -> Sequence[Any]:
    """What stands under a field's key in each of the objects."""
    what = plan.what
    column: Sequence[Any]
    if isinstance(what, TypeName):
        column = [what.name] * len(rows)
    elif isinstance(what, View):
        column = together(what.object, rows, env)
    else:
        columns = [[row[place] for row in rows] for place in what.places]
        if isinstance(what, Leaf):
            column = _leaves(what, columns, env)
        else:
            column = _below(what, columns, env)
    return fail() if not plan.nullable and None in column else column


def _leaves(what: Leaf, columns: Sequence[Any], env: Any) -> Any:
    if what.render is None:
        return columns[0]
    return what.render(env, *columns) if what.with_env else what.render(*columns)


def _below(what: Below, columns: Sequence[Any], env: Any) -> list[Any]:
    column = columns[0] if what.pick is None else what.pick(*columns)
    render = partial(together, what.object)
    if not what.is_list:
        return optional(render, column, env)
    return lists(optional if what.item_nullable else present, render, column, env)
