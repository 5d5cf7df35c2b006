"""A root field of a plan: its cost, its size, and the choice of its renderer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from graphql import (
    GraphQLObjectType,
)

from regulars.graphql.argument_values import Arguments
from regulars.graphql.bindings import Root
from regulars.graphql.compiled_renderer import Render, compiled
from regulars.graphql.cost import copies, open_lists, surplus, text_bytes, values, weight
from regulars.graphql.errors import DOCUMENT_LIMIT, Fault, RequestError
from regulars.graphql.introspection import IntrospectionResult
from regulars.graphql.plan import RootPlan, count_fields
from regulars.graphql.row_renderer import RenderContext, render_root

# Measured as in document.py: a plan takes up to 1,100 bytes for each field, with its source.
_FIELD_BYTES, _ROOT_BYTES = 1_200, 1_500

# A field of an introspection's response takes up to 60 bytes; some have descriptions.
_INTROSPECTION_BYTES = 100

_FIELDS_PER_POINT = 10

# A field that may have more values is rendered in a thread. A page of 25 customers has some 1,000.
_LARGE_VALUES = 2_000

_TOO_LONG = (
    "The response would be longer than the limit (REGULARS_MAX_RESPONSE_BYTES). Request fewer "
    "rows, or fewer long fields: notes, custom, tags, addresses, changes."
)


class RootField:
    """A root field of a plan, ready to run.

    The first value is rendered without compilation; a second one shows that the plan is used again.
    """

    __slots__ = (
        "_copies",
        "_is_rendered",
        "_open_lists",
        "_render",
        "_values",
        "_weight",
        "arguments",
        "binding",
        "definition",
        "guard",
        "introspected",
        "plan",
        "resolve",
        "root",
    )

    def __init__(
        self,
        plan: RootPlan,
        root: GraphQLObjectType,
        binding: Root | None,
        introspected: IntrospectionResult | None = None,
    ) -> None:
        self.plan = plan
        self.root = root
        self.binding = binding
        self.introspected = introspected
        if binding is not None:
            self.definition = root.fields[plan.name]
            self.arguments = Arguments(self.definition, plan.nodes[0])
            self.resolve = binding.prepare(plan.layouts)
            self.guard = binding.prepare_guard(plan.layouts) if binding.prepare_guard else None
        self._weight = weight(plan)
        self._values = values(plan)
        self._copies = copies(plan)
        self._open_lists = {name: open_lists(one) for name, one in plan.objects.items()}
        self._is_rendered = False
        self._render: Render | None = None

    @property
    def size(self) -> int:
        """The memory that the field takes, in bytes, rounded up."""
        size = _ROOT_BYTES + _FIELD_BYTES * sum(map(count_fields, self.plan.objects.values()))
        return size + (
            _INTROSPECTION_BYTES * self.introspected.field_count if self.introspected else 0
        )

    def cost(self, arguments: Mapping[str, Any]) -> int:
        """Returns what the field costs, in points."""
        if self.introspected is not None:
            return 1 + self.introspected.field_count // _FIELDS_PER_POINT
        compute_cost = self.binding.compute_cost if self.binding else None
        return compute_cost(arguments, *self._weight) if compute_cost else self._weight.fixed

    def surplus(self, value: Any) -> int:
        """Returns the points that the value costs beyond the estimate, because its lists are
        long."""
        if value is None or not any(self._open_lists.values()):
            return 0
        if self.plan.is_abstract:
            type_name, row = value
            return surplus(self._open_lists[type_name], [row])
        (lists,) = self._open_lists.values()
        rows = [row for row in value if row is not None] if self.plan.is_list else [value]
        return surplus(lists, rows)

    def is_large(self, arguments: Mapping[str, Any], surplus: int) -> bool:
        """Returns whether it takes milliseconds to render the response. The number of values is
        estimated, like the cost: the values of one object for each object."""
        return (self.cost(arguments) + surplus) * self._values > _LARGE_VALUES

    def response_bytes(self, value: Any, is_large: bool, max_bytes: int) -> int:
        """Returns about how many bytes the response takes for the resolved value; 0 if it cannot
        be many. Raises RequestError beyond `max_bytes`."""
        times = self._copies or int(is_large)
        size = times * text_bytes(value, max_bytes // times) if times else 0
        if size > max_bytes:
            raise RequestError(Fault(_TOO_LONG, DOCUMENT_LIMIT))
        return size

    def render(self, value: Any, context: RenderContext) -> Any:
        """Returns the response for the resolved value."""
        if value is None or not self.plan.objects:
            return render_root(self.plan, value, context)
        if self._render is None:
            if not self._is_rendered:
                self._is_rendered = True
                return render_root(self.plan, value, context)
            self._render = compiled(self.plan)
        try:
            return self._render(value, context.env)
        except Exception:
            return render_root(self.plan, value, context)

    def introspect(self) -> Any:
        """Returns the value of an introspection field, which is serialized once for each plan."""
        if self.introspected is None:
            return self.root.name
        value, fields = self.introspected
        if not isinstance(value, orjson.Fragment):
            value = orjson.Fragment(orjson.dumps(value))
            self.introspected = IntrospectionResult(value, fields)
        return value
