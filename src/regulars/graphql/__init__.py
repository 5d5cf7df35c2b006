"""A compiler for GraphQL documents: each becomes a plan once, and the plan is run.

It builds on graphql-core's parser, validation and type system and imports nothing of Regulars:
a schema is bound to data by the classes of `bindings`, and run by an `Engine`.
"""

from regulars.graphql.bindings import (
    Arguments,
    Bindings,
    Guard,
    Load,
    Nested,
    PerRow,
    Related,
    Resolve,
    Root,
    SameRow,
    TypeBinding,
    Value,
)
from regulars.graphql.document import CACHE_BYTES, InvalidDocument
from regulars.graphql.engine import Answer, Engine, Prepared
from regulars.graphql.errors import (
    DOCUMENT_LIMIT,
    INTERNAL,
    INTERNAL_KEY,
    CostLimitError,
    Fault,
    RequestError,
    error_entry,
)
from regulars.graphql.layout import Layout, Layouts
from regulars.graphql.limits import DEFAULTS, Limits
from regulars.graphql.operation import Operation

__all__ = [
    "CACHE_BYTES",
    "DEFAULTS",
    "DOCUMENT_LIMIT",
    "INTERNAL",
    "INTERNAL_KEY",
    "Answer",
    "Arguments",
    "Bindings",
    "CostLimitError",
    "Engine",
    "Fault",
    "Guard",
    "InvalidDocument",
    "Layout",
    "Layouts",
    "Limits",
    "Load",
    "Nested",
    "Operation",
    "PerRow",
    "Prepared",
    "Related",
    "RequestError",
    "Resolve",
    "Root",
    "SameRow",
    "TypeBinding",
    "Value",
    "error_entry",
]
