"""Assign the columns of a file to fields: by options, by the names of our exports, and by headings
and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from regulars.core.account_settings import ANYTHING, EMAIL, EMAIL_OR_PHONE, IDENTIFIERS
from regulars.core.text import did_you_mean
from regulars.customers.addresses import PARTS
from regulars.transfer.address_cells import add_address_cells
from regulars.transfer.column_choice import MAX_RECOGNISED, Chooser
from regulars.transfer.column_profile import (
    ColumnProfile,
    email_share,
    has_one_value,
    is_email,
)
from regulars.transfer.column_selection import DROP, Choice
from regulars.transfer.columns import (
    BILLING,
    COLUMNS,
    CUSTOM,
    EXTERNAL_ID,
    PLAIN,
    SHIPPING,
    Column,
    exact_field,
    is_own_export,
    of_source,
)
from regulars.transfer.contact_columns import KIND_OF, LABELLED, add_contact_points
from regulars.transfer.display_names import add_display_names
from regulars.transfer.entry_fields import is_entry_field
from regulars.transfer.errors import BadOption
from regulars.transfer.heading_stems import is_like_email
from regulars.transfer.headings import match_heading
from regulars.transfer.import_options import is_external
from regulars.transfer.secret_headings import is_secret
from regulars.transfer.sibling_columns import without_prefix
from regulars.transfer.text_layouts import require_table

_MAX_LISTED = 20
_MAX_CANDIDATES = 3
# The columns of which a file needs one, by the setting `identify_by` of the account.
_IDENTIFYING = {**IDENTIFIERS, ANYTHING: (*IDENTIFIERS[ANYTHING], "name", EXTERNAL_ID)}
_COLUMN = {
    EMAIL: "the email",
    EMAIL_OR_PHONE: "the email or the phone",
    ANYTHING: "the email, the phone, a name or an external id",
}


def mapping(options: Sequence[str]) -> dict[str, str]:
    """Parse `--map HEADING=FIELD` options to fields by heading. Raises BadOption."""
    fields_by_heading: dict[str, str] = {}
    for text in options:
        heading, equals, field = text.rpartition("=")
        field = field.strip()
        if not equals or not heading or not field:
            raise BadOption(
                f"--map takes a heading and a field, as in --map 'E-mail=email', not {text!r}."
            )
        is_free = field.startswith("custom.") or is_external(field) or is_entry_field(field)
        if field not in COLUMNS and field != DROP and not is_free:
            hint = did_you_mean(field, COLUMNS)
            raise BadOption(
                f"There is no field {field!r}.{hint} Fields: {', '.join(PLAIN)}, {SHIPPING}.PART "
                f"and {BILLING}.PART ({', '.join(PARTS)}), addresses.NAME.PART, external_id.SOURCE "
                f"and custom.KEY. {DROP} leaves the column out."
            )
        fields_by_heading[heading.strip()] = field
    return fields_by_heading


def assign_columns(
    headings: Sequence[str],
    profiles: Sequence[ColumnProfile],
    mapped: Mapping[str, str],
    unknown: str,
    *,
    match: str = "email",
    source: str | None = None,
    identify_by: str = EMAIL,
    has_lists: bool = False,
) -> list[Column]:
    """Return the columns of a file, with the fields that they have by their headings and values.

    `profiles` describe the values of the columns; without them, headings decide. `mapped` takes
    precedence. `unknown` decides about columns of no field: `custom` stores them under their
    headings, `drop` leaves them out and `refuse` refuses the file. With `match="_id"`, `id` and
    `_id` are the customers' own ids. The ids of another system are those of `source`. Without a
    column that identifies customers by the setting `identify_by`, or by an id, BadOption is raised.
    With `has_lists`, further emails and phones go to the lists of the customer.
    """
    names = _mappable_names(headings, mapped)
    missing = [heading for heading in mapped if heading not in names]
    if missing:
        raise BadOption(f"There is no column {missing[0]!r}. The columns are: {_listed(names)}.")
    _require_one_mapping(headings, names, mapped)
    if not mapped:
        require_table(headings, profiles)
    assigned = _assign(
        headings, names, profiles, mapped, has_own_ids=match == "_id", has_lists=has_lists
    )
    assigned = [replace(column, field=of_source(column.field, source)) for column in assigned]
    fields_ = {column.field or "" for column in assigned}
    further = sorted(f for f in fields_ if f in KIND_OF or is_entry_field(f))
    if further and not has_lists:
        raise BadOption(
            f"Columns of {further[0]} need tables that older versions of Regulars do not use. The "
            "operator must replace all servers, and run `regulars migrate --contract`."
        )
    if is_external(match) and match not in fields_:
        raise BadOption(
            f"There is no column {match!r}, by which customers are found. Map the column of these "
            f"ids, as in --map 'ID={match}'."
        )
    identifying = {"_id", "id", *_IDENTIFYING[identify_by]}
    if fields_.isdisjoint(identifying) and not any(map(is_external, fields_)):
        raise BadOption(_no_email(names, profiles, identify_by))
    unused = [c for c in assigned if c.field is None and c.heading]
    if unused and unknown == "refuse":
        raise BadOption(
            f"No field fits the column {unused[0].heading!r}. Set its field with --map, or use "
            f"--unknown custom or --unknown drop.{' ' + unused[0].note if unused[0].note else ''}"
        )
    if unknown == "custom":
        assigned = _with_custom(assigned, profiles)
    return [replace(c, field=None) if c.field == DROP else c for c in assigned]


def preview_columns(
    headings: Sequence[str], mapped: Mapping[str, str]
) -> list[tuple[str, str | None]]:
    """Return headings with the fields to which they are mapped or by which they are detected,
    without checking that they can be combined."""
    names = _mappable_names(headings, mapped)
    assigned = _assign(headings, names, (), mapped, has_own_ids=False, has_lists=False)
    return [(c.heading, None if c.field == DROP else c.field) for c in assigned]


def _mappable_names(headings: Sequence[str], mapped: Mapping[str, str]) -> list[str]:
    """Return the numbered headings. A blank one has the name by which it is mapped."""
    by_position = [_name_of_blank(position) for position in range(len(headings))]
    return [
        name or (other if other in mapped else "")
        for name, other in zip(numbered(headings), by_position, strict=True)
    ]


def _name_of_blank(position: int) -> str:
    """Return the name of a column without a heading."""
    return f"Column {position + 1}"


def numbered(headings: Sequence[str]) -> list[str]:
    """Return headings without spaces at their ends, and equal ones with a number: `Phone`,
    `Phone 2`. A blank heading stays blank."""
    stripped = [heading.strip() for heading in headings]
    used = set(stripped)
    counts: dict[str, int] = {}
    names: list[str] = []
    for heading in stripped:
        name = heading
        number = counts.get(heading, 0) + 1
        if heading and number > 1:
            while (name := f"{heading} {number}") in used:
                number += 1
            used.add(name)
        counts[heading] = number
        names.append(name)
    return names


def _assign(
    headings: Sequence[str],
    names: Sequence[str],
    profiles: Sequence[ColumnProfile],
    mapped: Mapping[str, str],
    *,
    has_own_ids: bool,
    has_lists: bool,
) -> list[Column]:
    """Return the columns with their fields: DROP if they are left out, None if they are unknown."""
    is_own = is_own_export(headings)
    fixed: list[str | None] = []
    open_headings: list[str | None] = []
    secrets: set[int] = set()
    for position, (heading, name) in enumerate(zip(headings, names, strict=True)):
        field = mapped.get(name) or exact_field(
            name, is_own or (has_own_ids and name in ("id", "_id"))
        )
        if field is None and is_secret(name) and match_heading(heading) is None:
            secrets.add(position)
            field = DROP
        fixed.append(field)
        open_headings.append(heading.strip() if field is None else None)
    losers = _outranked(fixed, profiles)
    taken = {field for field in fixed if field and field != DROP}
    open_headings[:MAX_RECOGNISED] = without_prefix(open_headings[:MAX_RECOGNISED])
    has_lists = has_lists and not is_own
    choices = Chooser(open_headings, names, profiles, taken, has_lists=has_lists).choose()
    if "email" not in taken:
        _choose_email(names, open_headings, profiles, choices)
    if has_lists:
        add_contact_points(open_headings, names, profiles, choices)
        add_address_cells(open_headings, profiles, choices)
    add_display_names(profiles, choices, taken)
    assigned = []
    for position, (name, field, choice) in enumerate(zip(names, fixed, choices, strict=True)):
        note = choice.note
        if position in secrets:
            note = (
                f"{name!r} is left out, because it seems to hold secrets. "
                f"To keep it: --map '{name}=custom.{name}'."
            )
        elif position in losers:
            field = None
            note = f"{name!r} is not used, because another column is mapped to the same field."
        assigned.append(
            Column(
                position,
                name,
                field or choice.field,
                LABELLED if field in KIND_OF else choice.reader,
                note,
                choice.fallback,
                choice.label,
                choice.label_position,
            )
        )
    return assigned


def _outranked(fixed: Sequence[str | None], profiles: Sequence[ColumnProfile]) -> set[int]:
    """Return the positions of columns that are mapped to a field of which another is fuller."""
    best: dict[str, int] = {}
    losers: set[int] = set()
    for position, field in enumerate(fixed):
        if field is None or field == DROP or field in KIND_OF:
            continue
        other = best.setdefault(field, position)
        if other != position:
            is_fuller = _filled(profiles, position) > _filled(profiles, other)
            losers.add(other if is_fuller else position)
            best[field] = position if is_fuller else other
    return losers


def _filled(profiles: Sequence[ColumnProfile], position: int) -> int:
    return profiles[position].filled if position < len(profiles) else 0


def _require_one_mapping(
    headings: Sequence[str], names: Sequence[str], mapped: Mapping[str, str]
) -> None:
    """Raise BadOption if two equal headings are mapped to one field."""
    positions: dict[tuple[str, str], int] = {}
    for position, (heading, name) in enumerate(zip(headings, names, strict=True)):
        field = mapped.get(name)
        if field is None or field == DROP or field in KIND_OF:
            continue
        first = positions.setdefault((field, heading.strip()), position)
        if first != position:
            raise BadOption(
                f"The columns {first + 1} and {position + 1} are both mapped to {field}. Map one "
                f"of them to another field, as in --map '{name}=custom.{name}'."
            )


def _choose_email(
    names: Sequence[str],
    headings: Sequence[str | None],
    profiles: Sequence[ColumnProfile],
    choices: Sequence[Choice],
) -> None:
    """Choose the column of which most values are emails, if no heading says which it is."""
    current = [p for p, choice in enumerate(choices) if choice.field == "email"]
    if any(is_email(name) for name in names):
        return  # The first line is a customer.
    if current and not (profiles and profiles[current[0]].sample):
        return
    is_shared = bool(current) and has_one_value(profiles[current[0]])
    if current and email_share(profiles[current[0]]) > 0 and not is_shared:
        return
    by_share = [
        (not has_one_value(profile), email_share(profile) * profile.filled, -position)
        for position, profile in enumerate(profiles[: len(names)])
        if (headings[position] is not None) and email_share(profile) > 0.5
    ]
    if not by_share or (is_shared and not max(by_share)[0]):
        return
    position = -max(by_share)[2]
    reason = "its values are equal" if is_shared else "it has no email addresses"
    for other in current:
        choices[other].field = None
        choices[other].note = f"{names[other]!r} is not the email: {reason}."
    choices[position].field, choices[position].reader = "email", None
    choices[position].note = (
        f"{names[position] or _name_of_blank(position)!r} is used as the email, because most of "
        "its values are email addresses."
    )


def _with_custom(columns: Sequence[Column], profiles: Sequence[ColumnProfile]) -> list[Column]:
    """Return the columns, with those of no field as custom fields of different names. A blank
    heading is named by its position if it has values."""
    used = {column.field for column in columns}
    result = []
    for column in columns:
        key = column.heading
        if not key and _filled(profiles, column.position):
            key = _name_of_blank(column.position)
        if column.field is None and key:
            number, field = 1, f"{CUSTOM}.{key}"
            while field in used:
                number += 1
                field = f"{CUSTOM}.{key} {number}"
            used.add(field)
            column = replace(column, heading=key, field=field)
        result.append(column)
    return result


def _listed(names: Sequence[str]) -> str:
    more = ", …" if len(names) > _MAX_LISTED else ""
    return ", ".join(repr(name[:50]) for name in names[:_MAX_LISTED]) + more


def _no_email(names: Sequence[str], profiles: Sequence[ColumnProfile], identify_by: str) -> str:
    if any(is_email(name) for name in names):
        return (
            "The first line seems to be a customer, not the headings. If the file has no headings, "
            "add --no-header and map the columns: --no-header --map 1=email --map 2=first_name."
        )
    shares = [(email_share(profile), name) for name, profile in zip(names, profiles, strict=False)]
    candidates = [name for share, name in sorted(shares, reverse=True) if share > 0 and name]
    candidates += [name for name in names if is_like_email(name)]
    candidates = list(dict.fromkeys(candidates))[:_MAX_CANDIDATES]
    hint = (
        f" It may be {' or '.join(repr(name[:50]) for name in candidates)}." if candidates else ""
    )
    other = ""
    if identify_by == EMAIL and not candidates:
        other = (
            " To import customers without an email, the operator must change the setting "
            "identify_by of the account."
        )
    example = candidates[0] if candidates else "E-mail"
    return (
        f"No column is recognized as {_COLUMN[identify_by]}.{hint} The headings are "
        f"{_listed(names)}. Map the column, as in --map '{example}=email'.{other}"
    )
