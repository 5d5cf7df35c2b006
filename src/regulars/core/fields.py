"""The kinds of fields that an entity can have.

A declaration is plain data. Each layer has one table from kind to behaviour, and loops over the
declarations when it is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an entity.

    `name` is its name everywhere: in the API, the table, files and events. `description` is its
    text in the schema, required if `in_api`; its first sentence also describes the field in the
    input types. `headings` are those by which a column of a file is recognised, in lower
    case with underscores, separated by spaces. `sort` makes it an order of the list, with an
    index. `search` makes it a key of the search language, and its words are found without the key.
    `in_api` and `in_history` are false for a field that is not in the entity's type, or whose
    changes are not recorded. `in_list` is false for a field without a column in the list page.
    """

    name: str
    _: KW_ONLY
    description: str = ""
    headings: str = ""
    sort: bool = False
    search: bool = False
    in_api: bool = True
    in_history: bool = True
    in_list: bool = True

    # Whether clients write it, and whether it has columns of its own or is computed from others.
    is_writable: ClassVar[bool] = True
    is_stored: ClassVar[bool] = True
    # Whether it is sorted by a folded form, in a column of its own.
    is_folded: ClassVar[bool] = False

    @property
    def folded_column(self) -> str:
        """The column of the folded form."""
        return f"{self.name}_folded"

    @property
    def sort_column(self) -> str:
        """The column by which a list is ordered."""
        return self.folded_column if self.is_folded else self.name


@dataclass(frozen=True, slots=True)
class Text(Field):
    """One line of text, never null."""

    max_length: int = 255
    is_folded: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class LongText(Field):
    """Text of several lines; null if there is none. One field of an entity can be searched."""

    max_length: int = 65_535


@dataclass(frozen=True, slots=True)
class Email(Field):
    """An email address: required, and unique in an account without regard to case."""

    is_folded: ClassVar[bool] = True

    @property
    def key_column(self) -> str:
        """The column of the form in which it is unique."""
        return f"{self.name}_key"


@dataclass(frozen=True, slots=True)
class Phone(Field):
    """A phone number as it was entered."""

    max_length: int = 64


@dataclass(frozen=True, slots=True)
class Flag(Field):
    """True or false."""


@dataclass(frozen=True, slots=True)
class Tags(Field):
    """A list of texts without duplicates. `key` is the key of one of them in a search."""

    key: str = "tag"
    max_length: int = 255
    max_count: int = 250


@dataclass(frozen=True, slots=True)
class ExternalIds(Field):
    """The ids of the entity in other systems. `key` is the key of one of them in a search."""

    key: str = "external_id"


@dataclass(frozen=True, slots=True)
class ContactPoints(Field):
    """A list of contact points with labels; the field `default` has the value of the default."""

    default: str = ""
    max_count: int = 20
    max_label: int = 64


@dataclass(frozen=True, slots=True)
class Emails(ContactPoints):
    """The email addresses, each unique in an account like the default."""


@dataclass(frozen=True, slots=True)
class Phones(ContactPoints):
    """The phone numbers."""


@dataclass(frozen=True, slots=True)
class Json(Field):
    """A JSON object whose keys the merchant chooses; an update merges it key by key."""


@dataclass(frozen=True, slots=True)
class Address(Field):
    """A postal address; null if there is none. An update merges it part by part."""


@dataclass(frozen=True, slots=True)
class Addresses(Field):
    """The address book: the addresses of the kind `Address`, and further ones; null if there is
    nothing more than the former. An update replaces it."""


@dataclass(frozen=True, slots=True)
class Timestamp(Field):
    """A time, in milliseconds since 1970; the program sets it."""

    is_writable: ClassVar[bool] = False


# The stored value of a time that has not come: before all others.
NEVER = -(2**53) + 1


@dataclass(frozen=True, slots=True)
class OptionalTimestamp(Field):
    """A time, in milliseconds since 1970, or NEVER; the program sets it."""

    is_writable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Money(Field):
    """An amount, in 1/10,000 of the currency's unit; the program counts it. `synonyms` are other
    keys in a search, separated by spaces."""

    synonyms: str = ""
    is_writable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Count(Field):
    """A whole number that the program counts, from `start`."""

    start: int = 0
    is_writable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Computed(Field):
    """A value that is computed from the fields `sources`, and not stored."""

    sources: tuple[str, ...] = ()
    is_writable: ClassVar[bool] = False
    is_stored: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class FullName(Computed):
    """First and last name. It is found by the words of both, which need no words of their own."""

    is_folded: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Location(Computed):
    """Country and city of the first address that has them."""


@dataclass(frozen=True, slots=True)
class Avatar(Computed):
    """The picture of an email."""


def in_order(leading: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names: first those of `leading` (separated by spaces) in its order, then the
    others."""
    all_names = tuple(names)
    fixed = [name for name in leading.split() if name in all_names]
    return tuple(dict.fromkeys([*fixed, *all_names]))


def names_of(fields: Sequence[Field], *kinds: type[Field]) -> tuple[str, ...]:
    """Return the names of the fields of these kinds; without kinds, of all fields."""
    return tuple(field.name for field in fields if not kinds or isinstance(field, kinds))
