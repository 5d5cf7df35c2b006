"""Find the columns of further addresses, such as `Address 2 - City` and `Home Street`, and those of
the labels of addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from regulars.transfer.address_groups import Candidate, divide_name
from regulars.transfer.heading_dictionary import dictionary, words
from regulars.transfer.headings import WHOLE

_MIN_PARTS = 2


def is_entry(group: str, columns: Iterable[Candidate]) -> bool:
    """Return whether columns with values are an address of its own: they have a street and another
    part, or are numbered."""
    parts = {c.match.field for c in columns if c.has_values}
    _, number = divide_name(group)
    known = {"line1", WHOLE} if number is None else {"line1", WHOLE, "city", "zip"}
    return not known.isdisjoint(parts) and len(parts) >= _MIN_PARTS


def without_later(
    groups: Sequence[tuple[str, list[Candidate]]],
) -> list[tuple[str, list[Candidate]]]:
    """Return groups of columns without the numbered ones of which there is an earlier one."""
    first: dict[str, int] = {}
    for group, columns in groups:
        name, number = divide_name(group)
        if number is not None and is_entry(group, columns):
            first[name] = min(number, first.get(name, number))

    def is_first(group: str) -> bool:
        name, number = divide_name(group)
        return number is None or number <= first.get(name, number)

    return [(group, columns) for group, columns in groups if is_first(group)]


def label_columns(
    headings: Sequence[str], groups: Mapping[str, Sequence[Candidate]], *, has_further: bool
) -> Iterator[tuple[int, str]]:
    """Yield the positions of columns of labels, such as `Address 2 - Type`, each with the name of
    the address in `groups` whose columns begin with the same words. Without further addresses, only
    a numbered column is one, and a `label` in an object of JSON."""
    label_words = dictionary().contact_words.label
    first_words = {
        name: [words(headings[c.position]) for c in columns] for name, columns in groups.items()
    }
    found: set[str] = set()
    for position, heading in enumerate(headings):
        *start, last = words(heading) or ("",)
        is_exact = bool(start) and (start[-1].isdecimal() or heading.endswith(".label"))
        if last not in label_words or not start or not (has_further or is_exact):
            continue
        prefix = tuple(start)
        name = next(
            (n for n, ws in first_words.items() if any(w[: len(prefix)] == prefix for w in ws)), ""
        )
        if name and name not in found:
            found.add(name)
            yield position, name
