"""The rules by which a document is validated: those of the GraphQL specification, less what no
schema of ours has, and each only where it can have anything to say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from graphql import (
    ASTValidationRule,
    DeferStreamDirectiveLabel,
    DeferStreamDirectiveOnRootField,
    DeferStreamDirectiveOnValidOperationsRule,
    FragmentsOnCompositeTypesRule,
    GraphQLError,
    KnownArgumentNamesRule,
    KnownDirectivesRule,
    KnownFragmentNamesRule,
    KnownTypeNamesRule,
    MaxIntrospectionDepthRule,
    NoFragmentCyclesRule,
    NoUndefinedVariablesRule,
    NoUnusedFragmentsRule,
    NoUnusedVariablesRule,
    PossibleFragmentSpreadsRule,
    SingleFieldSubscriptionsRule,
    StreamDirectiveOnListField,
    UniqueArgumentNamesRule,
    UniqueDirectivesPerLocationRule,
    UniqueFragmentNamesRule,
    UniqueInputFieldNamesRule,
    UniqueVariableNamesRule,
    ValuesOfCorrectTypeRule,
    VariablesAreInputTypesRule,
    VariablesInAllowedPositionRule,
    specified_rules,
)
from graphql.language import SKIP, ArgumentNode
from graphql.language.visitor import EnterLeaveVisitor
from graphql.utilities.validate_input_value import validate_input_literal

_FOUND = re.compile(r",? found: .*$|(?<=value): .*$", re.IGNORECASE | re.DOTALL)
_NAMED_FIELD = re.compile(r"(?:required|unknown) field '(\w+)'")


# The most characters that messages about one argument quote together, before they are cut.
_QUOTED = 100_000


class _EnoughError(Exception):
    """An argument has as many faults as can be reported."""


class _LiteralsOfCorrectType(ValuesOfCorrectTypeRule):
    """Values of correct type, with the place of the fault in the arguments."""

    def enter_argument(self, node: ArgumentNode, *_args: Any) -> Any:
        argument = self.context.get_argument()
        if argument is None:
            return None

        # Each message quotes the whole of an object, however long that is.
        length = node.loc.end - node.loc.start if node.loc else 1
        left = max(1, _QUOTED // max(1, length))

        def on_error(error: GraphQLError, path: list[str | int]) -> None:
            nonlocal left
            if not left:
                raise _EnoughError
            left -= 1
            input_path = [node.name.value, *path, *named_field(error.message)]
            error.extensions = {"input_path": input_path}
            self.report_error(error)

        with suppress(_EnoughError):
            validate_input_literal(node.value, argument.type, on_error)
        return SKIP


def without_value(message: str) -> str:
    """A message of graphql-core's input validation without the value that it repeats: that may be
    a person's name, and megabytes long."""
    text = _FOUND.sub("", message).replace("not to be None", "not to be null")
    return text if text.endswith((".", "?")) else f"{text}."


def named_field(message: str) -> list[str]:
    """The input field that a message of graphql-core's input validation is about, when it is
    reported at the object that lacks it, or that has one too many."""
    found = _NAMED_FIELD.search(message)
    return [found[1]] if found else []


_LEFT_OUT = (
    # An unused variable is no error: the reference's own example declares three and uses none.
    NoUnusedVariablesRule,
    ValuesOfCorrectTypeRule,
    # These are about @defer, @stream and subscriptions, which no schema of ours has: a document
    # with one is refused as unknown.
    DeferStreamDirectiveLabel,
    DeferStreamDirectiveOnRootField,
    DeferStreamDirectiveOnValidOperationsRule,
    SingleFieldSubscriptionsRule,
    StreamDirectiveOnListField,
)


def _lean(rule: type[ASTValidationRule]) -> type[ASTValidationRule]:
    """The rule, but what it does at which kind of node is looked up once and not again for each
    document: that took a third of the validation."""
    known: dict[str, tuple[str, str]] = {}

    class Lean(rule):  # type: ignore[misc, valid-type]  # a class that is given
        def get_enter_leave_for_kind(self, kind: str) -> EnterLeaveVisitor:
            if kind not in known:
                known[kind] = (self._name("enter", kind), self._name("leave", kind))
            enter, leave = known[kind]
            if not enter and not leave:
                return _NEITHER
            return EnterLeaveVisitor(
                getattr(self, enter) if enter else None, getattr(self, leave) if leave else None
            )

        def _name(self, what: str, kind: str) -> str:
            names = (f"{what}_{kind}", what)
            return next((name for name in names if hasattr(self, name)), "")

    return Lean


_NEITHER = EnterLeaveVisitor(None, None)

# What a document must hold somewhere for a rule to have anything to say. What stands in a string
# or a comment is taken for the thing itself: then a rule is asked in vain.
_FRAGMENTS, _VARIABLES, _DIRECTIVES = ("...", "fragment"), ("$",), ("@",)
_ARGUMENTS, _INTROSPECTION = ("(",), ("__",)
_IN_VAIN_WITHOUT: Mapping[type[ASTValidationRule], tuple[str, ...]] = {
    FragmentsOnCompositeTypesRule: _FRAGMENTS,
    UniqueFragmentNamesRule: _FRAGMENTS,
    KnownFragmentNamesRule: _FRAGMENTS,
    NoUnusedFragmentsRule: _FRAGMENTS,
    PossibleFragmentSpreadsRule: _FRAGMENTS,
    NoFragmentCyclesRule: _FRAGMENTS,
    KnownTypeNamesRule: (*_FRAGMENTS, *_VARIABLES),
    VariablesAreInputTypesRule: _VARIABLES,
    UniqueVariableNamesRule: _VARIABLES,
    NoUndefinedVariablesRule: _VARIABLES,
    VariablesInAllowedPositionRule: _VARIABLES,
    KnownDirectivesRule: _DIRECTIVES,
    UniqueDirectivesPerLocationRule: _DIRECTIVES,
    KnownArgumentNamesRule: _ARGUMENTS,
    UniqueArgumentNamesRule: _ARGUMENTS,
    UniqueInputFieldNamesRule: _ARGUMENTS,
    _LiteralsOfCorrectType: _ARGUMENTS,
    MaxIntrospectionDepthRule: _INTROSPECTION,
}
_RULES = [
    (_lean(rule), _IN_VAIN_WITHOUT.get(rule, ("",)))
    for rule in (*(r for r in specified_rules if r not in _LEFT_OUT), _LiteralsOfCorrectType)
]


def rules_for(text: str) -> list[type[ASTValidationRule]]:
    """The rules that can have anything to say of a document."""
    return [rule for rule, marks in _RULES if any(mark in text for mark in marks)]
