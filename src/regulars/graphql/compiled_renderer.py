"""The compiled renderer: writes a plan as Python functions, for a plan that is used again.

An object by itself is rendered value by value, the objects of a list together, column by column.
For the plan of `{ thing { name kids { size } } }` the source is, but for some names,

    def render_rows_0(rows, env):
        if not rows: return []
        c = tuple(zip(*rows))
        v1 = c[0]
        v2 = f5(env, v1)
        return [{'size': a0} if a0 is not None else fail() for a0, in zip(v2, strict=True)]

    def render_row_1(row, env):
        v0 = row[0]
        v1 = row[-1]
        v2 = None if v1 is None else render_required(render_rows_0, v1, env)
        return {'name': v0, 'kids': v2} if v0 is not None and v2 is not None else fail()

The functions raise for every error, and for a null that is not allowed; then the row renderer finds
the path of the error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from regulars.graphql.bindings import PerRow
from regulars.graphql.column_renderer import (
    fail,
    render_lists,
    render_optional,
    render_required,
)
from regulars.graphql.plan import (
    FieldPlan,
    LeafPlan,
    NestedPlan,
    ObjectPlan,
    RootPlan,
    SameRowPlan,
    TypeNamePlan,
)

# (value, env) -> the response.
Render = Callable[[Any, Any], Any]


def compile_plan(plan: RootPlan) -> Render:
    """Returns `render(value, env)`, for a value that is not None. It returns what `render_root`
    returns if there are no errors, and raises if there are."""
    writer = _SourceWriter()
    function_class = _RowsFunction if plan.is_list and not plan.is_abstract else _RowFunction
    names = {
        type_name: writer.write_function(object_plan, function_class)
        for type_name, object_plan in plan.objects.items()
    }
    functions = writer.compile_functions()
    if plan.is_abstract:
        by_type = {type_name: functions[name] for type_name, name in names.items()}
        if plan.is_list:  # its items are nullable
            return lambda values, env: [
                None if value is None else by_type[value[0]](value[1], env) for value in values
            ]
        return lambda value, env: by_type[value[0]](value[1], env)
    (name,) = names.values()
    render: Render = functions[name]
    if plan.is_list:
        render_items = render_optional if plan.has_nullable_items else render_required
        return lambda rows, env: render_items(render, rows, env)
    return render


class _SourceWriter:
    """Writes a function for each object, and collects the values that the functions use."""

    def __init__(self) -> None:
        self._globals: dict[str, Any] = {
            "fail": fail,
            "render_lists": render_lists,
            "render_required": render_required,
            "render_optional": render_optional,
        }
        self._lines: list[str] = []
        self._function_count = 0

    def compile_functions(self) -> dict[str, Any]:
        """Compiles the functions, and returns them by name."""
        code = compile("\n".join(self._lines), "<plan>", "exec")
        exec(code, self._globals)  # noqa: S102  # the source holds names of the schema and of GraphQL, quoted
        return self._globals

    def write_function(self, plan: ObjectPlan, function_class: type[_Function]) -> str:
        """Writes the function of an object, and returns its name."""
        function = function_class(self, plan.has_dict_rows)
        response = function.dict_display(plan)
        name = f"{function_class.name}_{self._function_count}"
        self._function_count += 1
        self._lines += [f"def {name}({function_class.parameter}, env):"]
        self._lines += [f"    {line}" for line in [*function.lines, function.return_line(response)]]
        return name

    def add_global(self, value: Any) -> str:
        """Returns the global name of a value in the source."""
        name = f"f{len(self._globals)}"
        self._globals[name] = value
        return name


class _Function:
    """The function of an object while it is written. It has a local variable for each value of the
    response."""

    name: str
    parameter: str

    def __init__(self, writer: _SourceWriter, has_dict_rows: bool) -> None:
        self._writer = writer
        self._has_dict_rows = has_dict_rows
        self._variables: dict[str, str] = {}
        self._non_null: dict[str, None] = {}
        self.lines: list[str] = []

    def dict_display(self, plan: ObjectPlan) -> str:
        """Returns the dict display of an object. The lines that it needs go into `lines`."""
        entries = [f"{field.key!r}: {self._value(field)}" for field in plan.fields]
        return f"{{{', '.join(entries)}}}"

    def return_line(self, display: str) -> str:
        """Returns the line that returns the object, or all objects."""
        raise NotImplementedError

    def column(self, column_ref: int | str) -> str:
        """Returns the expression for a column."""
        raise NotImplementedError

    def call(self, function: Callable[..., Any], columns: str, has_env: bool) -> str:
        """Returns the expression for the call of a binding's function."""
        raise NotImplementedError

    def nested(self, value_plan: NestedPlan, rows: str) -> str:
        """Returns the expression for nested objects. `rows` is the variable with their rows."""
        raise NotImplementedError

    def item(self, variable: str) -> str:
        """Returns the expression for the value of a variable in the dict display."""
        raise NotImplementedError

    def _value(self, plan: FieldPlan) -> str:
        """Returns the expression for the value of a field in the dict display."""
        value_plan = plan.value_plan
        if isinstance(value_plan, TypeNamePlan):
            return repr(value_plan.name)
        if isinstance(value_plan, SameRowPlan):
            return self.dict_display(value_plan.object)
        columns = ", ".join(
            self.variable(self.column(column_ref)) for column_ref in value_plan.column_refs
        )
        if isinstance(value_plan, LeafPlan):
            value = columns
            if value_plan.render is not None:
                value = self.call(value_plan.render, columns, value_plan.has_env)
        else:
            if value_plan.extract is not None:
                columns = self.call(value_plan.extract, columns, has_env=False)
            value = self.nested(value_plan, self.variable(columns))
        item = self.item(self.variable(value))
        if not plan.is_nullable:
            self._non_null[item] = None
        return item

    def variable(self, expression: str, name: str = "") -> str:
        """Returns the local variable for an expression: one per expression. A name is its own
        variable."""
        if expression.isidentifier():
            return expression
        if expression not in self._variables:
            self._variables[expression] = name or f"v{len(self._variables)}"
            self.lines.append(f"{self._variables[expression]} = {expression}")
        return self._variables[expression]

    def with_null_checks(self, display: str) -> str:
        """Returns the dict display, with checks for nulls that are not allowed."""
        checks = " and ".join(f"{item} is not None" for item in self._non_null)
        return f"{display} if {checks} else fail()" if checks else display


class _RowFunction(_Function):
    """`render_row(row, env)` returns the object of a row. A variable holds a value."""

    name, parameter = "render_row", "row"

    def return_line(self, display: str) -> str:
        return f"return {self.with_null_checks(display)}"

    def column(self, column_ref: int | str) -> str:
        return f"row[{column_ref!r}]"

    def call(self, function: Callable[..., Any], columns: str, has_env: bool) -> str:
        if isinstance(function, PerRow):
            return f"{self._writer.add_global(function.row_function)}({columns})"
        arguments = [f"({column},)" for column in columns.split(", ")]
        if has_env:
            arguments.insert(0, "env")
        return f"{self._writer.add_global(function)}({', '.join(arguments)})[0]"

    def nested(self, value_plan: NestedPlan, rows: str) -> str:
        function_class = _RowsFunction if value_plan.is_list else _RowFunction
        render = self._writer.write_function(value_plan.object, function_class)
        if not value_plan.is_list:
            return f"None if {rows} is None else {render}({rows}, env)"
        render_items = "render_optional" if value_plan.has_nullable_items else "render_required"
        return f"None if {rows} is None else {render_items}({render}, {rows}, env)"

    def item(self, variable: str) -> str:
        return variable


class _RowsFunction(_Function):
    """`render_rows(rows, env)` returns the objects of rows. A variable holds a column, and a loop
    variable an item of it."""

    name, parameter = "render_rows", "rows"

    def __init__(self, writer: _SourceWriter, has_dict_rows: bool) -> None:
        super().__init__(writer, has_dict_rows)
        self._loop_variables: dict[str, str] = {}
        self.lines = ["if not rows: return []"]

    def return_line(self, display: str) -> str:
        if not self._loop_variables:
            return f"return [{display} for _ in rows]"
        names, columns = ", ".join(self._loop_variables.values()), ", ".join(self._loop_variables)
        item = self.with_null_checks(display)
        return f"return [{item} for {names}, in zip({columns}, strict=True)]"

    def column(self, column_ref: int | str) -> str:
        if self._has_dict_rows:
            return f"[row[{column_ref!r}] for row in rows]"
        self.variable("tuple(zip(*rows))", "c")
        return f"c[{column_ref}]"

    def call(self, function: Callable[..., Any], columns: str, has_env: bool) -> str:
        arguments = f"env, {columns}" if has_env else columns
        return f"{self._writer.add_global(function)}({arguments})"

    def nested(self, value_plan: NestedPlan, rows: str) -> str:
        render = self._writer.write_function(value_plan.object, _RowsFunction)
        if not value_plan.is_list:
            return f"render_optional({render}, {rows}, env)"
        render_items = "render_optional" if value_plan.has_nullable_items else "render_required"
        return f"render_lists({render_items}, {render}, {rows}, env)"

    def item(self, variable: str) -> str:
        return self._loop_variables.setdefault(variable, f"a{len(self._loop_variables)}")
