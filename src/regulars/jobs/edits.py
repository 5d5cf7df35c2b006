"""What a bulk edit does to each of its customers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from regulars.core.errors import InvalidInput, Problem
from regulars.customers import custom
from regulars.customers.field_rules import Values
from regulars.customers.search.parser import MAX_TERMS
from regulars.customers.tags import TagRenaming, clean_tag, tag_term
from regulars.customers.values import MAX_TAGS, clean_tags, clean_values, with_values
from regulars.store import Row
from regulars.store.large_work import text_size

# Values that identify one customer.
UNIQUE = ("email", "emails", "external_ids")
# Characters of an edit. It is written to each customer.
MAX_TEXT = 100_000
MAX_CHANGES = 100
# A query finds the customers that have one of them.
MAX_RENAMED = MAX_TERMS
_CUSTOM = "custom."
_MAX_EXACT = 2**53


class Edit(NamedTuple):
    """An edit: clean values to merge, tags to add and to remove, custom fields to remove, amounts
    to add to custom fields, and tags to rename, also in segments if it `renames_segments`."""

    values: Values
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    remove_custom: tuple[str, ...] = ()
    increments: tuple[tuple[str, float], ...] = ()
    renaming: TagRenaming | None = None
    renames_segments: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing."""
        return not any(self)

    @property
    def name(self) -> str:
        """Return what is edited, without values."""
        names = [name for name in self.values if name not in ("custom", "email_key")]
        patch = self.values.get("custom", {})
        names += ["custom"] if patch is None else [f"custom.{key}" for key in patch]
        names += [f"custom.{key}" for key in (*self.remove_custom, *dict(self.increments))]
        has_tags = (
            self.add_tags or self.remove_tags or self.renaming
        ) and "tags" not in self.values
        names += ["tags"] if has_tags else []
        shown = list(dict.fromkeys(names))
        rest = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
        return ", ".join(name[:60] for name in shown[:5]) + rest


def parse_edit(source: Mapping[str, Any]) -> tuple[Edit, list[Problem]]:
    """Return the edit of an input, and its problems."""
    if text_size(source, MAX_TEXT) > MAX_TEXT:
        message = f"The edit has more than {MAX_TEXT:,} characters. Send fewer values."
        return Edit({}), [InvalidInput(message, ("node",))]
    node = source.get("node") or {}
    problems: list[Problem] = [
        InvalidInput(
            f"`{name}` cannot be set for several customers, because it identifies one. Use "
            "`updateCustomer` or `setCustomers`.",
            ("node", name),
        )
        for name in UNIQUE
        if name in node
    ]
    if any(entry.get("id") for entry in node.get("addresses") or ()):
        message = "An address of several customers cannot have an id. Leave out `id`."
        problems.append(InvalidInput(message, ("node", "addresses")))
    values, more = clean_values({k: v for k, v in node.items() if k not in UNIQUE}, ("node",))
    problems += more
    add, more = clean_tags(source.get("add_tags") or (), ("addTags",))
    dropped, others = clean_tags(source.get("remove_tags") or (), ("removeTags",))
    problems += [*more, *others]
    remove = tuple(dict.fromkeys(map(_custom_key, source.get("remove_custom") or ())))
    increments = []
    for index, item in enumerate(source.get("increments") or ()):
        key, path = _custom_key(item["field"]), ("increments", index)
        if not math.isfinite(item["amount"]):
            problems.append(InvalidInput("The amount must be a finite number.", path))
        if not item["field"].startswith(_CUSTOM) or not key:
            message = (
                f"`{item['field'][:100]}` is not a number field. Amounts are added to custom "
                "fields, such as `custom.points`."
            )
            problems.append(InvalidInput(message, (*path, "field")))
        increments.append((key, item["amount"]))
    problems += _conflicts(values, remove, [key for key, _ in increments])
    renaming, renames_segments, more = _parse_renaming(source.get("rename_tags"))
    problems += more
    tags = tuple(add), tuple(dropped)
    edit = Edit(values, *tags, remove, tuple(increments), renaming, renames_segments)
    return edit, problems


def _parse_renaming(
    source: Mapping[str, Any] | None,
) -> tuple[TagRenaming | None, bool, list[Problem]]:
    """Return the tags to rename, whether segments are changed, and the problems of the input."""
    if source is None:
        return None, False, []
    names = source["names"]
    if not 0 < len(names) <= MAX_RENAMED:
        message = f"`names` has {len(names):,} tags; send 1 to {MAX_RENAMED}."
        return None, False, [InvalidInput(message, ("names",))]
    tags = [clean_tag(name, ("names",)) for name in names]
    new_name, problems = clean_tag(source["new_name"], ("newName",))
    terms = frozenset([tag_term(tag) for tag, _ in tags])
    problems = [*(problem for _, found in tags for problem in found), *problems]
    return TagRenaming(terms, new_name), source["segments"], problems


def _custom_key(name: str) -> str:
    return name.removeprefix(_CUSTOM)


def _conflicts(values: Values, removed: tuple[str, ...], added: list[str]) -> list[Problem]:
    """Return the problems of custom fields that are changed in two ways."""
    problems: list[Problem] = []
    if max(len(removed), len(added)) > MAX_CHANGES:
        message = f"An edit changes at most {MAX_CHANGES} custom fields. Send fewer."
        return [InvalidInput(message, ("removeCustom",))]
    patch = values.get("custom") or {}
    names = [*patch, *removed, *added]
    if "custom" in values and values["custom"] is None:
        names += [*removed, *added]
    double = next((name for name, count in Counter(names).items() if count > 1), None)
    if double is not None:
        message = f"The custom field `{double[:100]}` is changed twice. Send one change of it."
        problems.append(InvalidInput(message, ("node", "custom")))
    return problems


def apply(edit: Edit, row: Row) -> tuple[Row, list[Problem]]:
    """Return a customer's row with an edit, and the problems of the result."""
    values: Values = dict(edit.values)
    problems: list[Problem] = []
    if edit.remove_custom or edit.increments:
        current = custom.load(row["custom"]) or {}
        patch = {**(values.get("custom") or {}), **dict.fromkeys(edit.remove_custom)}
        for key, amount in edit.increments:
            result = _sum(current.get(key), amount)
            if result is None:
                message = f"`custom.{key[:100]}` is not a number, or the result is too large."
                problems.append(InvalidInput(message, ("increments",)))
            patch[key] = result
        # A customer without custom fields does not get an empty object.
        if current or any(value is not None for value in patch.values()):
            values["custom"] = patch
    if edit.add_tags or edit.remove_tags:
        tags = values.get("tags", orjson.loads(row["tags"]))
        tags = [t for t in dict.fromkeys([*tags, *edit.add_tags]) if t not in edit.remove_tags]
        if len(tags) > MAX_TAGS:
            problems.append(
                InvalidInput(f"The customer would have more than {MAX_TAGS} tags.", ("addTags",))
            )
        values["tags"] = tags
    if edit.renaming:
        values["tags"] = edit.renaming.apply(orjson.loads(row["tags"]))
    updated, more = with_values(row, values, ("node",))
    return updated, [*problems, *more]


def _sum(value: Any, amount: float) -> int | float | None:
    """Return a stored value plus an amount; None if it is not a number, or too large. Whole numbers
    stay whole."""
    if value is None:
        value = 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    result = value + amount
    if not math.isfinite(result) or abs(result) > _MAX_EXACT:
        return None
    is_whole = isinstance(value, int) and float(amount).is_integer()
    return int(result) if is_whole else result
