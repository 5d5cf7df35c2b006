"""The compiled renderer: a plan written as Python, for documents that are used again.

A row by itself is rendered value by value, rows together column by column. For the plan of
`{ thing { name kids { size } } }` the source is, but for some names,

    def many_0(rows, env):
        if not rows: return []
        c = tuple(zip(*rows))
        v1 = c[0]
        v2 = f5(env, v1)
        return [{'size': a0} if a0 is not None else fail() for a0, in zip(v2, strict=True)]

    def one_1(r, env):
        v0 = r[0]
        v1 = r[-1]
        v2 = None if v1 is None else present(many_0, v1, env)
        return {'name': v0, 'kids': v2} if v0 is not None and v2 is not None else fail()

It handles no errors: it raises for every error, and for a null where none is allowed, and the row
renderer finds the path of the error. So bindings must be pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from regulars.graphql.bindings import PerRow
from regulars.graphql.column_renderer import fail, lists, optional, present
from regulars.graphql.plan import (
    ColumnRefs,
    FieldPlan,
    LeafPlan,
    NestedPlan,
    ObjectPlan,
    RootPlan,
    TypeNamePlan,
)

Render = Callable[[Any, Any], Any]


def compiled(plan: RootPlan) -> Render:
    """Returns `render(value, env)`, which returns what `render_root` returns for a value that is
    not null and has no errors, and raises for any other."""
    writer = _Writer()
    kind = _Many if plan.is_list else _One
    names = {type_name: writer.function(one, kind) for type_name, one in plan.objects.items()}
    functions_by_name = writer.functions()
    if plan.is_abstract:
        by_type = {type_name: functions_by_name[name] for type_name, name in names.items()}
        return lambda value, env: by_type[value[0]](value[1], env)
    (name,) = names.values()
    render: Render = functions_by_name[name]
    if plan.is_list:
        items = optional if plan.has_nullable_items else present
        return lambda rows, env: items(render, rows, env)
    return render


class _Writer:
    """Writes a function for each object, and keeps the names that the functions refer to."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {
            "fail": fail,
            "lists": lists,
            "present": present,
            "optional": optional,
        }
        self._lines: list[str] = []
        self._written = 0

    def functions(self) -> dict[str, Any]:
        """Compiles the functions, and returns them by name."""
        code = compile("\n".join(self._lines), "<plan>", "exec")
        exec(code, self._names)  # noqa: S102  # the source holds names of the schema and of GraphQL, quoted
        return self._names

    def function(self, plan: ObjectPlan, kind: type[_Function]) -> str:
        """Writes the function of an object, and returns its name."""
        function = kind(self, plan.has_dict_rows)
        shown = function.dict(plan)
        name = f"{kind.name}_{self._written}"
        self._written += 1
        self._lines += [f"def {name}({kind.parameters}, env):"]
        self._lines += [f"    {line}" for line in [*function.lines, function.return_line(shown)]]
        return name

    def refer(self, value: Any) -> str:
        """Returns the name by which a function is called in the source."""
        name = f"f{len(self._names)}"
        self._names[name] = value
        return name


class _Function:
    """The function of an object while it is written. Each value of the response is in a local
    variable."""

    name: str
    parameters: str

    def __init__(self, writer: _Writer, has_dict_rows: bool) -> None:
        self._writer = writer
        self._has_dict_rows = has_dict_rows
        self._known: dict[str, str] = {}
        self._needed: dict[str, None] = {}
        self.lines: list[str] = []

    def dict(self, plan: ObjectPlan) -> str:
        """Returns the object as a dict display. Lines that must come before it go into `lines`."""
        entries = [f"{one.key!r}: {self._field(one)}" for one in plan.fields]
        return f"{{{', '.join(entries)}}}"

    def return_line(self, shown: str) -> str:
        """Returns the line that returns the object, or all objects."""
        raise NotImplementedError

    def column_ref(self, column_ref: int | str) -> str:
        """Returns the expression for a column."""
        raise NotImplementedError

    def call(self, function: Callable[..., Any], columns: str, has_env: bool) -> str:
        """Returns the expression for the call of a binding."""
        raise NotImplementedError

    def nested(self, value_plan: NestedPlan, rows: str) -> str:
        """Returns the expression for nested objects, from a variable that holds their rows."""
        raise NotImplementedError

    def shown(self, variable: str) -> str:
        """Returns the expression for a variable's value in the dict display."""
        raise NotImplementedError

    def _field(self, plan: FieldPlan) -> str:
        value_plan = plan.value_plan
        if isinstance(value_plan, TypeNamePlan):
            return repr(value_plan.name)
        if not isinstance(value_plan, LeafPlan | NestedPlan):
            return self.dict(value_plan.object)
        columns = self._columns(value_plan.column_refs)
        if isinstance(value_plan, LeafPlan):
            value = columns
            if value_plan.render is not None:
                value = self.call(value_plan.render, columns, value_plan.has_env)
        else:
            if value_plan.extract is not None:
                columns = self.call(value_plan.extract, columns, has_env=False)
            value = self.nested(value_plan, self.variable(columns))
        shown = self.shown(self.variable(value))
        if not plan.is_nullable:
            self._needed[shown] = None
        return shown

    def _columns(self, column_refs: ColumnRefs) -> str:
        return ", ".join(self.variable(self.column_ref(column_ref)) for column_ref in column_refs)

    def variable(self, value: str, name: str = "") -> str:
        """Returns a local variable that holds a value: the same variable for the same value, and a
        name itself."""
        if value.isidentifier():
            return value
        if value not in self._known:
            self._known[value] = name or f"v{len(self._known)}"
            self.lines.append(f"{self._known[value]} = {value}")
        return self._known[value]

    def checked(self, shown: str) -> str:
        """Returns the dict display, with a check for nulls where none is allowed."""
        checks = " and ".join(f"{name} is not None" for name in self._needed)
        return f"{shown} if {checks} else fail()" if checks else shown


class _One(_Function):
    """`one(r, env)`: the object of a row."""

    name, parameters = "one", "r"

    def return_line(self, shown: str) -> str:
        return f"return {self.checked(shown)}"

    def column_ref(self, column_ref: int | str) -> str:
        return f"r[{column_ref!r}]"

    def call(self, function: Callable[..., Any], columns: str, has_env: bool) -> str:
        if isinstance(function, PerRow):
            return f"{self._writer.refer(function.row_function)}({columns})"
        singles = [f"({column},)" for column in columns.split(", ")]
        parameters = ", ".join(["env", *singles] if has_env else singles)
        return f"{self._writer.refer(function)}({parameters})[0]"

    def nested(self, value_plan: NestedPlan, rows: str) -> str:
        render = self._writer.function(value_plan.object, _Many if value_plan.is_list else _One)
        if not value_plan.is_list:
            return f"None if {rows} is None else {render}({rows}, env)"
        items = "optional" if value_plan.has_nullable_items else "present"
        return f"None if {rows} is None else {items}({render}, {rows}, env)"

    def shown(self, variable: str) -> str:
        return variable


class _Many(_Function):
    """`many(rows, env)`: the objects of rows, in whose source each variable holds a column."""

    name, parameters = "many", "rows"

    def __init__(self, writer: _Writer, has_dict_rows: bool) -> None:
        super().__init__(writer, has_dict_rows)
        self._looped: dict[str, str] = {}
        self.lines = ["if not rows: return []"]

    def return_line(self, shown: str) -> str:
        if not self._looped:
            return f"return [{shown} for _ in rows]"
        names, columns = ", ".join(self._looped.values()), ", ".join(self._looped)
        return f"return [{self.checked(shown)} for {names}, in zip({columns}, strict=True)]"

    def column_ref(self, column_ref: int | str) -> str:
        if self._has_dict_rows:
            return f"[r[{column_ref!r}] for r in rows]"
        self.variable("tuple(zip(*rows))", "c")
        return f"c[{column_ref}]"

    def call(self, function: Callable[..., Any], columns: str, has_env: bool) -> str:
        parameters = f"env, {columns}" if has_env else columns
        return f"{self._writer.refer(function)}({parameters})"

    def nested(self, value_plan: NestedPlan, rows: str) -> str:
        render = self._writer.function(value_plan.object, _Many)
        if not value_plan.is_list:
            return f"optional({render}, {rows}, env)"
        items = "optional" if value_plan.has_nullable_items else "present"
        return f"lists({items}, {render}, {rows}, env)"

    def shown(self, variable: str) -> str:
        return self._looped.setdefault(variable, f"a{len(self._looped)}")
