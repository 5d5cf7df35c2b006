"""The options of an import, and their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from regulars.core.account_settings import IDENTIFY_BY
from regulars.core.external_ids import is_source, source_problem
from regulars.transfer.date_text import Order

# The formats of files, each with its media type.
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8; header=present",
    "jsonl": "application/x-ndjson",
}
FORMATS = tuple(MEDIA_TYPES)
UNKNOWN = ("custom", "drop", "refuse")
EMPTY = ("keep", "clear")
PHONE = "phone"
MATCH = ("email", "_id", PHONE)
CONSENT = ("keep", "overwrite")
TAGS = ("add", "replace")
NO_EMAIL = ("keep", "reject")
DATES = ("dmy", "mdy", "ymd")


EXTERNAL = "external_id."


def is_external(field: str) -> bool:
    """Return whether a field has the external ids of a system: `external_id.SOURCE`."""
    return field.startswith(EXTERNAL) and is_source(field.removeprefix(EXTERNAL))


@dataclass(frozen=True, slots=True)
class Options:
    """The options of an import.

    - `format` (csv or jsonl), `encoding` and `delimiter` (one character or its name): None detects
      them from the file.
    - `sheet`: the name of a sheet of a workbook; None for the first one with rows.
    - `header`: whether the first line has the headings.
    - `mapped`: texts of the form HEADING=FIELD.
    - `unknown`: what to do with unknown columns: custom, drop or refuse.
    - `empty`: whether an empty cell keeps or clears the field of an existing customer.
    - `match`: the field by which customers are found: email, or _id, phone or external_id.SOURCE,
      which each row must then have.
    - `no_email`: whether rows without an email are imported where the account permits it (keep),
      or rejected (reject).
    - `source`: the system whose ids are in the columns of ids; None is the shop.
    - `consent`: whether a row may turn an unsubscribed customer into a subscribed one (overwrite)
      or not (keep).
    - `tags`: whether the tags of a row are added to those of an existing customer, or replace them.
    - `dates`: the order of day, month and year where the file does not tell: dmy, mdy, ymd (with
      years of two digits) or None.
    - `sheet`: the name of a workbook's sheet; None for the first one with rows.
    - `identify_by`: the setting of the account, by which a file may have no column of emails.
    - `has_lists`: whether the account can have several emails and phones for each customer.
    - `strict`: whether a value that cannot be read rejects its row. Otherwise the row is imported
      with a warning, and the text is kept in `custom`.
    """

    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header: bool = True
    mapped: tuple[str, ...] = ()
    unknown: str = "custom"
    empty: str = "keep"
    match: str = "email"
    consent: str = "keep"
    tags: str = "add"
    dates: Order | None = None
    sheet: str | None = None
    strict: bool = False
    source: str | None = None
    identify_by: str = IDENTIFY_BY.default
    no_email: str = "keep"
    has_lists: bool = False

    @property
    def as_json(self) -> dict[str, Any]:
        """The options as a JSON object."""
        options = {**asdict(self), "mapped": list(self.mapped)}
        # An older version of the program that continues the import does not know them.
        defaults = {
            "source": None,
            "identify_by": IDENTIFY_BY.default,
            "no_email": "keep",
            "has_lists": False,
        }
        return {k: v for k, v in options.items() if k not in defaults or v != defaults[k]}

    @property
    def problem(self) -> str | None:
        """A message about the first option with an invalid value, or None. It starts with the name
        of the option."""
        for name, value, choices in (
            ("format", self.format, (None, *FORMATS)),
            ("unknown", self.unknown, UNKNOWN),
            ("empty", self.empty, EMPTY),
            ("match", self.match, MATCH if not is_external(self.match) else (self.match,)),
            ("consent", self.consent, CONSENT),
            ("tags", self.tags, TAGS),
            ("no_email", self.no_email, NO_EMAIL),
            ("dates", self.dates, (None, *DATES)),
        ):
            if value not in choices:
                return f"{name} must be {' or '.join(filter(None, choices))}, not {value!r}."
        problem = source_problem(self.source) if self.source is not None else None
        return f"source: {problem}" if problem else None


def parse_options(stored: Mapping[str, Any]) -> Options:
    """Return the options of an object that `Options.as_json` returned."""
    return Options(**{**stored, "mapped": tuple(stored["mapped"])})
