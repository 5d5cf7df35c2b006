"""Write the names of months, weekdays and halves of the day by which dates are read.

They are from CLDR (Unicode's Common Locale Data Repository), through Babel. Babel is too large for
a process that imports a file: 35 MiB, and half a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from babel import Locale

from regulars.transfer.date_words import fold

OUTPUT = Path("src/regulars/transfer/date_names.tsv")
# The groups are used one after the other when a date needs them. Croatian is last: some of its
# months are others in Polish and Czech (`date_text.py`).
LANGUAGES = (
    ("en",),
    tuple("fr es de it pt nl pl tr ar ru zh ja ko".split()),
    tuple(
        "ar_SY ar_DZ ar_MA sv da nb fi cs sk hu ro el uk id ca de_AT he th bg et lv lt sr"
        " sr_Latn sl is".split()
    ),
    tuple("fa hi ms az hy ka kk mk sq eu gl be bn mr ur uz".split()),
    ("hr",),
)


def lines() -> Iterator[str]:
    """Yield the lines: the group of languages, a meaning (`month 3`, `weekday 0` for Monday,
    `period pm`) and its folded names."""
    for group, languages in enumerate(LANGUAGES, start=1):
        names: dict[str, dict[str, None]] = {}
        for language in languages:
            for name, meaning in words_of(language):
                names.setdefault(meaning, {})[name] = None
        for meaning, keys in names.items():
            yield "\t".join((str(group), meaning, *keys))


def words_of(language: str) -> Iterator[tuple[str, str]]:
    """Yield the folded words of a locale of CLDR, and their meanings."""
    locale = Locale.parse(language)
    for months, weekdays in zip(locale.months.values(), locale.days.values(), strict=True):
        for width in ("wide", "abbreviated"):
            for month, name in months[width].items():
                # Catalan has `de març` and `d’abril`.
                key = _key(name).removeprefix("de ").removeprefix("d ")
                yield key, f"month {month}"
                if language == "he":  # 18 במרץ 2024
                    yield f"ב{key}", f"month {month}"
        for width in ("wide", "abbreviated", "short"):
            for weekday, name in weekdays.get(width, {}).items():
                yield _key(name), f"weekday {weekday}"
    for widths in locale.day_periods.values():
        for width in ("wide", "abbreviated"):
            for period in ("am", "pm"):
                if period in widths.get(width, {}):
                    yield _key(widths[width][period]), f"period {period}"


def _key(name: str) -> str:
    """Return a name as the reader finds it: the parts of `ต.ค.` are words."""
    return " ".join(fold(name).replace(".", " ").replace("'", " ").split())


if __name__ == "__main__":
    OUTPUT.write_text("".join(f"{line}\n" for line in lines()), "utf-8")
