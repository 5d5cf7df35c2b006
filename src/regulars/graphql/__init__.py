"""A compiler and executor of GraphQL documents over rows. docs/explanation/compiler.md explains it.

It uses graphql-core's parser, validation and type system, and imports nothing of Regulars. The
classes of `bindings.py` bind a schema to data; an `Engine` executes documents.
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
from regulars.graphql.engine import Engine, ExecutionResult, PreparedOperation
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
from regulars.graphql.limits import DEFAULT_LIMITS, DocumentLimits
from regulars.graphql.operation import Operation

__all__ = [
    "CACHE_BYTES",
    "DEFAULT_LIMITS",
    "DOCUMENT_LIMIT",
    "INTERNAL",
    "INTERNAL_KEY",
    "Arguments",
    "Bindings",
    "CostLimitError",
    "DocumentLimits",
    "Engine",
    "ExecutionResult",
    "Fault",
    "Guard",
    "InvalidDocument",
    "Layout",
    "Layouts",
    "Load",
    "Nested",
    "Operation",
    "PerRow",
    "PreparedOperation",
    "Related",
    "RequestError",
    "Resolve",
    "Root",
    "SameRow",
    "TypeBinding",
    "Value",
    "error_entry",
]
