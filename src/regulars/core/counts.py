"""Numbers with their nouns, as messages for people show them."""


def count_of(number: int, one: str, other: str | None = None) -> str:
    """Return a number with its noun: `1 row`, `1,200 rows`.

    `other` is the form after every number but 1, by default `one` with an s. Both may include the
    verb: `count_of(2, "row differs", "rows differ")`.
    """
    return f"{number:,} {one if number == 1 else other or f'{one}s'}"
