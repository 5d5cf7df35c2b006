"""The fast renderer: a plan written as Python, for documents that are asked again and again.

For the plan of `{ thing { name kids { size } } }` the source is, but for some names,

    def o0(r, env):
        v0 = r[0]
        v1 = f1(env, v0)
        if v1 is None: fail()
        return {'size': v1}

    def o1(r, env):
        v0 = r[0]
        v1 = r[-1]
        v2 = None if v1 is None else [o0(x, env) if x is not None else fail() for x in v1]
        if v2 is None: fail()
        return {'name': v0, 'kids': v2}

It knows no errors: whatever goes wrong, and a null where none is allowed, raises, and the answer is
left to `render`, which finds the error's place. So bindings must be pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from regulars.graphql.plan import Below, FieldPlan, Leaf, ObjectPlan, Places, RootPlan, TypeName

Render = Callable[[Any, Any], Any]


class NotPlainError(Exception):
    """The answer has an error in it, or a null where none is allowed."""


def compiled(plan: RootPlan) -> Render:
    """`render(value, env)`, which answers what `render_root` answers of a value that is not null
    and renders without errors, and raises for any other."""
    writer = _Writer()
    names = {type_name: writer.object(one) for type_name, one in plan.objects.items()}
    made = writer.functions()
    if plan.abstract:
        by_type = {type_name: made[name] for type_name, name in names.items()}
        return lambda value, env: by_type[value[0]](value[1], env)
    (name,) = names.values()
    render: Render = made[name]
    if plan.is_list:
        item = _item("render(x, env)", plan.item_nullable)
        whole: Render = eval(  # noqa: S307  # our own words
            f"lambda rows, env: [{item} for x in rows]", {"render": render, "fail": _fail}
        )
        return whole
    return render


def _fail() -> None:
    raise NotPlainError


def _item(rendered: str, nullable: bool) -> str:
    return f"{rendered} if x is not None else {'None' if nullable else 'fail()'}"


class _Writer:
    """Writes a function for each object, and keeps what the functions refer to by name."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {"fail": _fail}
        self._lines: list[str] = []
        self._objects = 0

    def functions(self) -> dict[str, Any]:
        """The functions that were written, by name."""
        code = compile("\n".join(self._lines), "<plan>", "exec")
        exec(code, self._names)  # noqa: S102  # the source holds names of the schema and of GraphQL, quoted
        return self._names

    def object(self, plan: ObjectPlan) -> str:
        """Writes the function `name(row, env)` of an object; answers its name."""
        body: list[str] = []
        answer = self._dict(plan, body, {})
        name = f"o{self._objects}"
        self._objects += 1
        self._lines += [f"def {name}(r, env):", *(f"    {line}" for line in body)]
        self._lines.append(f"    return {answer}")
        return name

    def _dict(self, plan: ObjectPlan, body: list[str], known: dict[str, str]) -> str:
        """The object as a dict display; the lines that must come before it go into `body`."""
        entries = [f"{one.key!r}: {self._field(one, body, known)}" for one in plan.fields]
        return f"{{{', '.join(entries)}}}"

    def _field(self, plan: FieldPlan, body: list[str], known: dict[str, str]) -> str:
        what = plan.what
        if isinstance(what, TypeName):
            return repr(what.name)
        if not isinstance(what, Leaf | Below):
            return self._dict(what.object, body, known)
        columns = self._columns(what.places, body, known)
        if isinstance(what, Leaf):
            if what.render is None:
                value = columns
            else:
                call = self._refer(what.render)
                value = f"{call}(env, {columns})" if what.with_env else f"{call}({columns})"
        else:
            value = columns if what.pick is None else f"{self._refer(what.pick)}({columns})"
            row = self._variable(value, body, known)
            render = self.object(what.object)
            if what.is_list:
                item = _item(f"{render}(x, env)", what.item_nullable)
                value = f"None if {row} is None else [{item} for x in {row}]"
            else:
                value = f"None if {row} is None else {render}({row}, env)"
        name = self._variable(value, body, known)
        if not plan.nullable:
            body.append(f"if {name} is None: fail()")
        return name

    def _columns(self, places: Places, body: list[str], known: dict[str, str]) -> str:
        return ", ".join(self._variable(f"r[{place!r}]", body, known) for place in places)

    def _variable(self, value: str, body: list[str], known: dict[str, str]) -> str:
        """A local variable that holds a value; the same one for the same value, and for its own
        name itself."""
        if value.isidentifier():
            return value
        if value not in known:
            known[value] = f"v{len(known)}"
            body.append(f"{known[value]} = {value}")
        return known[value]

    def _refer(self, value: Any) -> str:
        name = f"f{len(self._names)}"
        self._names[name] = value
        return name
