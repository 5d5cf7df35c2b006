"""A compiler for GraphQL documents: each becomes a plan once, and the plan is run.

It builds on graphql-core's parser, validation and type system and imports nothing of Regulars:
a schema is bound to data by the classes of `bindings`, and run by an `Engine`.
"""

from regulars.graphql.bindings import (
    Bindings,
    Each,
    Part,
    Related,
    Resolve,
    Root,
    Same,
    TypeBinding,
    Value,
)
from regulars.graphql.document import InvalidDocument, Operation
from regulars.graphql.engine import Answer, Engine
from regulars.graphql.errors import INTERNAL, INTERNAL_KEY, Fault, Refused, error_entry
from regulars.graphql.layout import Layout, Layouts

__all__ = [
    "INTERNAL",
    "INTERNAL_KEY",
    "Answer",
    "Bindings",
    "Each",
    "Engine",
    "Fault",
    "InvalidDocument",
    "Layout",
    "Layouts",
    "Operation",
    "Part",
    "Refused",
    "Related",
    "Resolve",
    "Root",
    "Same",
    "TypeBinding",
    "Value",
    "error_entry",
]
