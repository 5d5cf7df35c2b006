"""Validates documents by the rules of the GraphQL specification."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from graphql import (
    ASTValidationRule,
    DeferStreamDirectiveLabel,
    DeferStreamDirectiveOnRootField,
    DeferStreamDirectiveOnValidOperationsRule,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NoUnusedVariablesRule,
    SingleFieldSubscriptionsRule,
    StreamDirectiveOnListField,
    ValuesOfCorrectTypeRule,
    specified_rules,
    validate,
)
from graphql.language import SKIP, ArgumentNode
from graphql.language.visitor import EnterLeaveVisitor
from graphql.utilities.validate_input_value import validate_input_literal

from regulars.graphql.plain_documents import is_plain_and_valid

# The value that a message of graphql-core repeats.
_QUOTED_VALUE = re.compile(r",? found: .*$|(?<=value): .*$", re.IGNORECASE | re.DOTALL)
_INPUT_FIELD = re.compile(r"(?:required|unknown) field '(\w+)'")

# The messages about one argument quote at most this many characters, before they are truncated.
_MAX_QUOTED_CHARACTERS = 100_000


def remove_value(message: str) -> str:
    """Returns a message of graphql-core's input validation without the value that it repeats, which
    can be personal data and megabytes long."""
    text = _QUOTED_VALUE.sub("", message).replace("not to be None", "not to be null")
    return text if text.endswith((".", "?")) else f"{text}."


def named_input_field(message: str) -> list[str]:
    """Returns the input field that a message of graphql-core's input validation names because it is
    missing or unknown, as the rest of a path. Returns an empty list for other messages."""
    match = _INPUT_FIELD.search(message)
    return [match[1]] if match else []


class _FaultLimitError(Exception):
    """The messages about an argument quote as much as they may."""


class _LiteralsOfCorrectTypeRule(ValuesOfCorrectTypeRule):
    """Checks the types of literals, and adds the path in the arguments to the errors."""

    def enter_argument(self, node: ArgumentNode, *_args: Any) -> Any:
        argument = self.context.get_argument()
        if argument is None:
            return None

        # Each message quotes the whole literal, however long it is.
        length = node.loc.end - node.loc.start if node.loc else 1
        errors_left = max(1, _MAX_QUOTED_CHARACTERS // max(1, length))

        def on_error(error: GraphQLError, path: list[str | int]) -> None:
            nonlocal errors_left
            if not errors_left:
                raise _FaultLimitError
            errors_left -= 1
            input_path = [node.name.value, *path, *named_input_field(error.message)]
            error.extensions = {"input_path": input_path}
            self.report_error(error)

        with suppress(_FaultLimitError):
            validate_input_literal(node.value, argument.type, on_error)
        return SKIP


_EXCLUDED_RULES = (
    # An unused variable is no error: the contract's example declares three and uses none.
    NoUnusedVariablesRule,
    # _LiteralsOfCorrectTypeRule replaces it.
    ValuesOfCorrectTypeRule,
    # @defer, @stream and subscriptions are not supported: other rules report them as unknown.
    DeferStreamDirectiveLabel,
    DeferStreamDirectiveOnRootField,
    DeferStreamDirectiveOnValidOperationsRule,
    SingleFieldSubscriptionsRule,
    StreamDirectiveOnListField,
)

_NO_VISITOR = EnterLeaveVisitor(None, None)


def _cache_visitors(rule: type[ASTValidationRule]) -> type[ASTValidationRule]:
    """Returns a subclass of the rule that looks up its methods for a kind of node once, and not for
    each document. The look-up took a third of the validation."""
    method_names: dict[str, tuple[str, str]] = {}

    class CachedRule(rule):  # type: ignore[misc, valid-type]  # a class that is a parameter
        def get_enter_leave_for_kind(self, kind: str) -> EnterLeaveVisitor:
            if kind not in method_names:
                method_names[kind] = (
                    self._method_name("enter", kind),
                    self._method_name("leave", kind),
                )
            enter, leave = method_names[kind]
            if not enter and not leave:
                return _NO_VISITOR
            return EnterLeaveVisitor(
                getattr(self, enter) if enter else None, getattr(self, leave) if leave else None
            )

        def _method_name(self, event: str, kind: str) -> str:
            names = (f"{event}_{kind}", event)
            return next((name for name in names if hasattr(self, name)), "")

    return CachedRule


_RULES = [
    *(_cache_visitors(rule) for rule in specified_rules if rule not in _EXCLUDED_RULES),
    _cache_visitors(_LiteralsOfCorrectTypeRule),
]


def find_errors(
    schema: GraphQLSchema, document: DocumentNode, max_errors: int
) -> list[GraphQLError]:
    """Returns the validation errors of a document. After `max_errors`, the last one says that there
    are more."""
    if is_plain_and_valid(schema, document):
        return []
    return validate(schema, document, _RULES, max_errors=max_errors)
