"""A root field of a plan: its cost, its size, and the choice of its renderer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from graphql import GraphQLObjectType

from regulars.graphql.argument_values import ArgumentCoercer
from regulars.graphql.bindings import Root
from regulars.graphql.compiled_renderer import Render, compile_plan
from regulars.graphql.cost import (
    compute_surplus,
    compute_weight,
    count_copies,
    count_values,
    estimate_bytes,
    find_open_lists,
)
from regulars.graphql.errors import DOCUMENT_LIMIT, Fault, RequestError
from regulars.graphql.introspection import IntrospectionResult
from regulars.graphql.plan import RootPlan, count_fields
from regulars.graphql.row_renderer import RenderContext, render_root

# Measured as in document.py: a plan takes up to 1,100 bytes per field, with its source.
_FIELD_BYTES, _ROOT_BYTES = 1_200, 1_500

# A field of an introspection response takes up to 60 bytes; some have descriptions.
_INTROSPECTION_BYTES = 100

_INTROSPECTION_FIELDS_PER_POINT = 10

# A response with more values is rendered in a thread. So many take from 0.1 ms to 0.8 ms (formatted
# timestamps), and a thread 0.1 ms. The reference's page of 25 customers has 2,146, one of 50 3,996.
_LARGE_VALUES = 4_000

_TOO_LONG = (
    "The response exceeds the limit (`REGULARS_MAX_RESPONSE_BYTES`). Request fewer rows, or "
    "fewer long fields such as `notes`, `custom`, `tags`, addresses and `changes`."
)


class RootField:
    """A compiled root field.

    The first response is rendered without compiling the renderer, because most plans of documents
    with literals are used once. The second response shows that the plan is used again.
    """

    __slots__ = (
        "_copies",
        "_has_open_lists",
        "_is_rendered",
        "_open_lists",
        "_render",
        "_values",
        "_weight",
        "argument_coercer",
        "binding",
        "definition",
        "guard",
        "introspection",
        "plan",
        "resolve",
        "root",
    )

    def __init__(
        self,
        plan: RootPlan,
        root: GraphQLObjectType,
        binding: Root | None,
        introspection: IntrospectionResult | None = None,
    ) -> None:
        self.plan = plan
        self.root = root
        self.binding = binding
        self.introspection = introspection
        if binding is not None:
            self.definition = root.fields[plan.name]
            self.argument_coercer = ArgumentCoercer(self.definition, plan.nodes[0])
            self.resolve = binding.prepare(plan.layouts)
            self.guard = binding.prepare_guard(plan.layouts) if binding.prepare_guard else None
        self._weight = compute_weight(plan)
        self._values = count_values(plan)
        self._copies = count_copies(plan)
        self._open_lists = {
            type_name: find_open_lists(object_plan)
            for type_name, object_plan in plan.objects.items()
        }
        self._has_open_lists = any(self._open_lists.values())
        self._is_rendered = False
        self._render: Render | None = None

    @property
    def size_bytes(self) -> int:
        """The memory that the field takes, in bytes, rounded up."""
        size = _ROOT_BYTES + _FIELD_BYTES * sum(map(count_fields, self.plan.objects.values()))
        if self.introspection is not None:
            size += _INTROSPECTION_BYTES * self.introspection.field_count
        return size

    def estimate_cost(self, arguments: Mapping[str, Any]) -> int:
        """Returns the cost of the field, in points."""
        if self.introspection is not None:
            return 1 + self.introspection.field_count // _INTROSPECTION_FIELDS_PER_POINT
        compute_cost = self.binding.compute_cost if self.binding else None
        return compute_cost(arguments, *self._weight) if compute_cost else self._weight.fixed

    def compute_surplus(self, value: Any) -> int:
        """Returns the cost of the resolved value beyond the estimate, in points: its lists are
        longer than estimated, or the binding measures its work."""
        if value is None:
            return 0
        if self.binding is not None and self.binding.measure_cost is not None:
            return self.binding.measure_cost(value) + self._surplus_of_lists(value)
        return self._surplus_of_lists(value)

    def _surplus_of_lists(self, value: Any) -> int:
        if not self._has_open_lists:
            return 0
        if self.plan.is_abstract:
            items = [item for item in value if item is not None] if self.plan.is_list else [value]
            return sum(compute_surplus(self._open_lists[name], [row]) for name, row in items)
        (lists,) = self._open_lists.values()
        rows = [row for row in value if row is not None] if self.plan.is_list else [value]
        return compute_surplus(lists, rows)

    def is_large(self, cost: int) -> bool:
        """Returns whether it takes long to render a response with a cost in points. The estimated
        number of values is the number of objects, which is the cost, times the values per
        object."""
        return cost * self._values > _LARGE_VALUES

    def estimate_bytes(self, value: Any, is_large: bool, max_bytes: int) -> int:
        """Returns the approximate size of the response for the resolved value, in bytes. Returns 0
        if it is always small. Raises RequestError if it is more than `max_bytes`."""
        copies = self._copies or int(is_large)
        size = copies * estimate_bytes(value, max_bytes // copies) if copies else 0
        if size > max_bytes:
            raise RequestError(Fault(_TOO_LONG, DOCUMENT_LIMIT))
        return size

    def render(self, value: Any, context: RenderContext) -> Any:
        """Returns the response for the resolved value. Raises FieldError if it has an error and
        must not be null."""
        if value is None or not self.plan.objects:
            return render_root(self.plan, value, context)
        if self._render is None:
            if not self._is_rendered:
                self._is_rendered = True
                return render_root(self.plan, value, context)
            self._render = compile_plan(self.plan)
        try:
            return self._render(value, context.env)
        except Exception:
            # The row renderer finds the path of the error.
            return render_root(self.plan, value, context)

    def introspect(self) -> Any:
        """Returns the value of an introspection field, serialized once per plan."""
        if self.introspection is None:
            return self.root.name
        value, field_count = self.introspection
        if not isinstance(value, orjson.Fragment):
            value = orjson.Fragment(orjson.dumps(value))
            self.introspection = IntrospectionResult(value, field_count)
        return value
