"""The fast renderer: a plan written as Python, for documents that are asked again and again.

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

It knows no errors: whatever goes wrong, and a null where none is allowed, raises, and the answer is
left to `render`, which finds the error's place. So bindings must be pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from regulars.graphql.bindings import Each
from regulars.graphql.plan import Below, FieldPlan, Leaf, ObjectPlan, Places, RootPlan, TypeName
from regulars.graphql.together import fail, lists, optional, present

Render = Callable[[Any, Any], Any]


def compiled(plan: RootPlan) -> Render:
    """`render(value, env)`, which answers what `render_root` answers of a value that is not null
    and renders without errors, and raises for any other."""
    writer = _Writer()
    kind = _Many if plan.is_list else _One
    names = {type_name: writer.function(one, kind) for type_name, one in plan.objects.items()}
    made = writer.functions()
    if plan.abstract:
        by_type = {type_name: made[name] for type_name, name in names.items()}
        return lambda value, env: by_type[value[0]](value[1], env)
    (name,) = names.values()
    render: Render = made[name]
    if plan.is_list:
        items = optional if plan.item_nullable else present
        return lambda rows, env: items(render, rows, env)
    return render


class _Writer:
    """Writes a function for each object, and keeps what the functions refer to by name."""

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
        """The functions that were written, by name."""
        code = compile("\n".join(self._lines), "<plan>", "exec")
        exec(code, self._names)  # noqa: S102  # the source holds names of the schema and of GraphQL, quoted
        return self._names

    def function(self, plan: ObjectPlan, kind: type[_Function]) -> str:
        """Writes the function of an object; answers its name."""
        function = kind(self, plan.keyed)
        shown = function.dict(plan)
        name = f"{kind.name}_{self._written}"
        self._written += 1
        self._lines += [f"def {name}({kind.given}, env):"]
        self._lines += [f"    {line}" for line in [*function.lines, function.answer(shown)]]
        return name

    def refer(self, value: Any) -> str:
        """The name by which a function is called in the source."""
        name = f"f{len(self._names)}"
        self._names[name] = value
        return name


class _Function:
    """The function of an object, as it is written: what an entry of the answer needs is in a local
    variable."""

    name: str
    given: str

    def __init__(self, writer: _Writer, keyed: bool) -> None:
        self._writer = writer
        self._keyed = keyed
        self._known: dict[str, str] = {}
        self._needed: dict[str, None] = {}
        self.lines: list[str] = []

    def dict(self, plan: ObjectPlan) -> str:
        """The object as a dict display; the lines that must come before it go into `lines`."""
        entries = [f"{one.key!r}: {self._field(one)}" for one in plan.fields]
        return f"{{{', '.join(entries)}}}"

    def answer(self, shown: str) -> str:
        """The line that answers the object, or all of them."""
        raise NotImplementedError

    def place(self, place: int | str) -> str:
        """The expression for a column."""
        raise NotImplementedError

    def call(self, function: Callable[..., Any], columns: str, with_env: bool) -> str:
        """The expression for what a binding makes of columns."""
        raise NotImplementedError

    def below(self, what: Below, rows: str) -> str:
        """The expression for the objects below, of a variable that holds their rows."""
        raise NotImplementedError

    def shown(self, variable: str) -> str:
        """The expression for a variable's value in the dict display."""
        raise NotImplementedError

    def _field(self, plan: FieldPlan) -> str:
        what = plan.what
        if isinstance(what, TypeName):
            return repr(what.name)
        if not isinstance(what, Leaf | Below):
            return self.dict(what.object)
        columns = self._columns(what.places)
        if isinstance(what, Leaf):
            value = columns
            if what.render is not None:
                value = self.call(what.render, columns, what.with_env)
        else:
            if what.pick is not None:
                columns = self.call(what.pick, columns, with_env=False)
            value = self.below(what, self.variable(columns))
        shown = self.shown(self.variable(value))
        if not plan.nullable:
            self._needed[shown] = None
        return shown

    def _columns(self, places: Places) -> str:
        return ", ".join(self.variable(self.place(place)) for place in places)

    def variable(self, value: str, name: str = "") -> str:
        """A local variable that holds a value; the same one for the same value, and for its own
        name itself."""
        if value.isidentifier():
            return value
        if value not in self._known:
            self._known[value] = name or f"v{len(self._known)}"
            self.lines.append(f"{self._known[value]} = {value}")
        return self._known[value]

    def checked(self, shown: str) -> str:
        """The dict display, unless there is a null where none is allowed."""
        checks = " and ".join(f"{name} is not None" for name in self._needed)
        return f"{shown} if {checks} else fail()" if checks else shown


class _One(_Function):
    """`one(r, env)`: the object of a row."""

    name, given = "one", "r"

    def answer(self, shown: str) -> str:
        return f"return {self.checked(shown)}"

    def place(self, place: int | str) -> str:
        return f"r[{place!r}]"

    def call(self, function: Callable[..., Any], columns: str, with_env: bool) -> str:
        if isinstance(function, Each):
            return f"{self._writer.refer(function.of_one)}({columns})"
        singles = [f"({column},)" for column in columns.split(", ")]
        given = ", ".join(["env", *singles] if with_env else singles)
        return f"{self._writer.refer(function)}({given})[0]"

    def below(self, what: Below, rows: str) -> str:
        render = self._writer.function(what.object, _Many if what.is_list else _One)
        if not what.is_list:
            return f"None if {rows} is None else {render}({rows}, env)"
        items = "optional" if what.item_nullable else "present"
        return f"None if {rows} is None else {items}({render}, {rows}, env)"

    def shown(self, variable: str) -> str:
        return variable


class _Many(_Function):
    """`many(rows, env)`: the objects of rows, in whose source each variable holds a column."""

    name, given = "many", "rows"

    def __init__(self, writer: _Writer, keyed: bool) -> None:
        super().__init__(writer, keyed)
        self._looped: dict[str, str] = {}
        self.lines = ["if not rows: return []"]

    def answer(self, shown: str) -> str:
        if not self._looped:
            return f"return [{shown} for _ in rows]"
        names, columns = ", ".join(self._looped.values()), ", ".join(self._looped)
        return f"return [{self.checked(shown)} for {names}, in zip({columns}, strict=True)]"

    def place(self, place: int | str) -> str:
        if self._keyed:
            return f"[r[{place!r}] for r in rows]"
        self.variable("tuple(zip(*rows))", "c")
        return f"c[{place}]"

    def call(self, function: Callable[..., Any], columns: str, with_env: bool) -> str:
        given = f"env, {columns}" if with_env else columns
        return f"{self._writer.refer(function)}({given})"

    def below(self, what: Below, rows: str) -> str:
        render = self._writer.function(what.object, _Many)
        if not what.is_list:
            return f"optional({render}, {rows}, env)"
        items = "optional" if what.item_nullable else "present"
        return f"lists({items}, {render}, {rows}, env)"

    def shown(self, variable: str) -> str:
        return self._looped.setdefault(variable, f"a{len(self._looped)}")
