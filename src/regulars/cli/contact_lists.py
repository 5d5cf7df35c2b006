"""The options that add and remove emails and phones of a customer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli.errors import APIError, UsageError
from regulars.customers.contact_points import KINDS, Kind
from regulars.customers.contact_texts import parse

if TYPE_CHECKING:
    from regulars.cli.client import Client

# How often lists are read and written again because another client has changed the customer.
_ATTEMPTS = 5
_INPUTS = ("label", "default", "verified_at")


def _remove_option(noun: str) -> Any:
    option = typer.Option(
        f"--remove-{noun}",
        metavar=noun.upper(),
        help=f"Remove the {noun}; repeat it for several.",
    )
    return Annotated[list[str] | None, option]


RemoveEmails = _remove_option("email")
RemovePhones = _remove_option("phone")


def add_option(kind: Kind) -> Any:
    """Return the type of the option that adds entries of a kind."""
    noun = kind.noun
    option = typer.Option(
        f"--add-{noun}",
        metavar=noun.upper(),
        help=f"Another {noun}, with a label as in 'work <{noun.upper()}>'; repeat it for several.",
    )
    return Annotated[list[str] | None, option]


def change_lists(
    node: Mapping[str, Any],
    customer: Mapping[str, Any],
    added: Mapping[str, Sequence[str]],
    removed: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return an input object with lists of emails and phones: those of the input, or else of the
    customer, without removed values and with added ones, each a value or `label <value>`. The value
    of the default in the input is one of them, or replaces the default."""
    changed = dict(node)
    for kind in KINDS.values():
        if not added.get(kind.name) and not removed.get(kind.name):
            continue
        noun, entries = kind.noun, dict[str, dict[str, Any]]()
        for entry in _present(kind, changed, customer):
            # Without a default, the first entry becomes it, unless it has `default: false`.
            properties = {name: entry[name] for name in _INPUTS if name in entry}
            if not properties.get("default"):
                properties.pop("default", None)
            entries[kind.key(entry[noun])] = {noun: entry[noun], **properties}
        for value in removed.get(kind.name, ()):
            entries.pop(kind.key(value), None)
        for text in added.get(kind.name, ()):
            (new,) = parse([text]).entries
            present = entries.setdefault(kind.key(new.value), {noun: new.value})
            present.update({"label": new.label} if new.label else {})
        if kind.default in changed:
            _set_default(kind, entries, str(changed.pop(kind.default) or ""))
        changed[kind.name] = list(entries.values())
    return changed


def lists_of(values: Mapping[str, Any], action: str) -> dict[str, Sequence[str]]:
    """Return the values of the options that change lists, such as --add-email, by list."""
    return {name: values.get(f"{action}_{name}") or () for name in KINDS}


def _present(
    kind: Kind, node: Mapping[str, Any], customer: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]]:
    """Return the list of an input, or else of a customer. Raises UsageError."""
    entries = node.get(kind.name, customer.get(kind.name, []))
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get(kind.noun), str) for entry in entries
    ):
        raise UsageError(f"`{kind.name}` in --input must be a list of objects with `{kind.noun}`.")
    return entries


def _set_default(kind: Kind, entries: dict[str, dict[str, Any]], value: str) -> None:
    """Make a value the default of a list: one that it has, or the old default with this value. An
    empty value removes the default."""
    key = kind.key(value) if value else ""
    old = next((other for other, entry in entries.items() if entry.get("default")), None)
    if not value:
        entries.pop(old or "", None)
        return
    if old is not None and key not in entries:
        replaced = {**entries.pop(old), kind.noun: value}
        replaced.pop("verified_at", None)
        rest = dict(entries)
        entries.clear()
        entries.update({key: replaced, **rest})
    else:
        entries.setdefault(key, {})[kind.noun] = value
    for other, entry in entries.items():
        entry["default"] = other == key


def with_retries(write: Callable[[Client], Awaitable[Any]]) -> Callable[[Client], Awaitable[Any]]:
    """Return a function that reads and writes a customer, and does it again if another client
    changes the customer in between."""

    async def work(client: Client) -> Any:
        for _ in range(_ATTEMPTS - 1):
            try:
                return await write(client)
            except APIError as error:
                if error.key != "errors_version_conflict":
                    raise
        return await write(client)

    return work
