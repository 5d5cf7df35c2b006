"""Choose the columns of a file for the fields of a customer, by their headings and values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from regulars.transfer.address_choice import AddressChooser
from regulars.transfer.address_groups import PERSON, Candidate
from regulars.transfer.calling_codes import is_calling_code, is_phone
from regulars.transfer.column_profile import (
    ColumnProfile,
    email_share,
    is_consent,
    is_mostly_account_state,
    is_mostly_flag,
    is_mostly_letters,
    is_mostly_list,
    is_mostly_phone,
    is_mostly_several_words,
    is_mostly_technical_id,
    is_mostly_time,
    is_mostly_without_digits,
    is_mostly_without_letters,
)
from regulars.transfer.column_selection import (
    CALLING_CODE,
    CONSENT,
    CONTINUED,
    DROP,
    OPT_OUT,
    SUBSCRIBED_AT,
    UNSUBSCRIBED_AT,
    Choice,
    Selection,
)
from regulars.transfer.composed_fields import (
    HOUSE_NUMBER,
    LAST_NAME_PREFIX,
    SECOND_LAST_NAME,
)
from regulars.transfer.divided_columns import find_continuations
from regulars.transfer.heading_stems import guess_heading, is_status_of_consent
from regulars.transfer.headings import (
    BILLING,
    COMPANY,
    NEUTRAL,
    WHOLE,
    Match,
    is_name_too,
    is_number_heading,
    is_status,
    match_heading,
)
from regulars.transfer.name_order import AND_CUSTOMER, FAMILY_FIRST, order_of_names
from regulars.transfer.sibling_columns import Siblings, holds_names_of

# Columns that are recognised by their headings, which takes 0.2 ms each. Others are custom fields.
MAX_RECOGNISED = 2_000


def _match(heading: str, profile: ColumnProfile) -> Match | None:
    """Return what a heading is known for. One of emails without any, as `EmailSubscriber` with yes
    and no, is what its values say."""
    found = match_heading(heading)
    if found and found.field == "email" and profile.sample and not email_share(profile):
        return guess_heading(heading, profile) or found
    return found


class Chooser:
    """Chooses columns for the fields that are not in `taken`, the fields of mapped columns.

    `headings` are as in the file, and None for columns that are not to be recognised. `names` are
    their distinct names for the user.
    """

    def __init__(
        self,
        headings: Sequence[str | None],
        names: Sequence[str],
        profiles: Sequence[ColumnProfile],
        taken: Iterable[str],
        *,
        has_lists: bool = False,
    ) -> None:
        self._chosen = Selection(len(headings), taken)
        self._headings = [heading or "" for heading in headings]
        # The columns of whole names of customers.
        self._names: list[list[Candidate]] = []
        self._fields: dict[str, list[Candidate]] = defaultdict(list)
        self._groups: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
        # Columns that are house numbers if they are next to a street.
        self._numbers: list[Candidate] = []
        self._companies: list[Candidate] = []
        self._addresses = AddressChooser(
            self._chosen,
            self._groups,
            self._numbers,
            self._companies,
            self._headings if has_lists else None,
        )
        self._calling_codes: list[int] = []
        statuses = []
        self._continuations = find_continuations(headings, profiles)
        siblings = Siblings(headings[:MAX_RECOGNISED])
        # Columns of active and inactive customers.
        self._activities: list[int] = []
        for position, heading in enumerate(headings):
            if not heading or position in self._continuations or siblings.is_of_order(heading):
                continue
            name = names[position]
            profile = profiles[position] if position < len(profiles) else ColumnProfile()
            if position < MAX_RECOGNISED and is_calling_code(heading, profile):
                self._calling_codes.append(position)
                continue
            is_consent_status = is_status(heading) or is_status_of_consent(heading)
            if (is_consent_status and is_consent(profile)) or siblings.is_active_subscription(
                heading, profile
            ):
                match = Match(CONSENT, (1, 0, 0))
                self._fields[CONSENT].append(Candidate(position, name, match, profile))
            elif siblings.is_activity(heading, profile):
                self._activities.append(position)
            elif position < MAX_RECOGNISED and (found := _match(heading, profile)):
                candidate = Candidate(position, name, found, profile)
                if found.field == "state" and is_status(heading):
                    statuses.append(candidate)
                elif found.field == COMPANY and found.group is not None:
                    self._companies.append(candidate)
                else:
                    self._add(candidate)
            elif field := siblings.is_time_of_subscription(heading, profile):
                self._fields[field].append(
                    Candidate(position, name, Match(field, (0, 500, 0)), profile)
                )
            elif siblings.is_time_of_form(heading):
                self._add(Candidate(position, name, Match("created_at", (1, 0, 0)), profile))
            elif position < MAX_RECOGNISED and (found := guess_heading(heading, profile)):
                self._add(Candidate(position, name, found, profile))
            elif is_number_heading(heading):
                match = Match(HOUSE_NUMBER, (1, 0, 0), "")
                self._numbers.append(Candidate(position, name, match, profile))
        self._add_states(statuses)

    def choose(self) -> list[Choice]:
        """Return a choice for each column."""
        self._choose_address_email()
        self._choose_names()
        self._addresses.choose()
        self._choose_consent()
        for field, candidates in self._fields.items():
            self._chosen.select(field, field, candidates)
        self._complete_customer()
        self._choose_name_orders()
        for position, first in self._continuations.items():
            note = f"It is put together with column {first + 1}."
            self._chosen.choices[position] = Choice(DROP, CONTINUED, note)
        self._choose_calling_code()
        return self._chosen.choices

    def _add(self, candidate: Candidate) -> None:
        match, profile = candidate.match, candidate.profile
        field = match.field
        if match.group is not None:
            if field in ("state", "country") and is_mostly_technical_id(profile):
                return
            if field == WHOLE and is_mostly_flag(profile):  # `default_billing`
                return
            if field == "zip" and not match.group and is_mostly_phone(profile):  # Turkish `Cep`
                candidate.match = Match("phone", (0, match.rank[1], match.rank[2]))
                self._fields["phone"].append(candidate)
                return
            self._groups[match.kind, match.group].append(candidate)
            return
        if field == "phone" and profile.sample and is_mostly_without_digits(profile):
            return
        if field == "email" and profile.sample and email_share(profile) == 0:
            # A column of something else, if there is one with emails.
            candidate.match = Match(field, (2, *match.rank[1:]))
        if field == "name" and match.rank[0] and not is_mostly_letters(profile):
            return
        if field in ("name", "full_name") and is_mostly_without_letters(profile):
            return  # the number of an order
        if field == "created_at" and match.rank[0] and not is_mostly_time(profile):
            return
        if field == CONSENT and is_mostly_time(profile):
            field = SUBSCRIBED_AT
        elif field == "opt_out" and is_mostly_time(profile):
            field = UNSUBSCRIBED_AT
        elif field in (SUBSCRIBED_AT, UNSUBSCRIBED_AT) and (
            profile.sample and not is_mostly_time(profile) and not is_mostly_list(profile)
        ):
            field = CONSENT if field == SUBSCRIBED_AT else OPT_OUT
        self._fields[field].append(candidate)

    def _add_states(self, candidates: Sequence[Candidate]) -> None:
        """Add columns headed `state`, which are parts of an address only if there are others."""
        for candidate in candidates:
            has_address = any(
                kind != NEUTRAL or not group.strip() or candidate.match.group == group
                for kind, group in self._groups
            )
            if has_address and not is_mostly_account_state(candidate.profile):
                self._add(candidate)

    def _choose_address_email(self) -> None:
        """Let the email of an address be the customer's, if there is no other."""
        if self._has_column("email"):
            return
        emails = [
            (c.match.kind != BILLING, -c.profile.filled, c.position, key)
            for key, columns in self._groups.items()
            for c in columns
            if c.match.field == "email" and c.has_values
        ]
        if emails:
            _, _, position, key = min(emails)
            for candidate in [c for c in self._groups[key] if c.position == position]:
                self._groups[key].remove(candidate)
                self._fields["email"].append(candidate)
            if not self._groups[key]:
                del self._groups[key]

    # Names

    def _choose_names(self) -> None:
        """Decide what a whole name is if there are first and last names."""
        first, last = (self._has_column(name) for name in ("first_name", "last_name"))
        if not last:  # their columns say nothing alone
            for part in (LAST_NAME_PREFIX, SECOND_LAST_NAME):
                self._fields.pop(part, None)
        names = self._fields.pop("name", [])
        full = self._fields.pop("full_name", [])
        if first and not last and not names and not full:
            columns = self._fields["first_name"]
            if any(
                is_name_too(self._headings[c.position]) and is_mostly_several_words(c.profile)
                for c in columns
            ):
                names, first = self._fields.pop("first_name"), False
        elif first != last and not names:  # a column of whole names that has one part of them
            names = [c for c in full if c.profile.sample and not is_mostly_several_words(c.profile)]
            full = [c for c in full if c not in names]
        if first and last:
            for candidate in (*names, *full):
                self._chosen.note(candidate, "the file has columns of the first and the last name")
        elif first or last:
            part, field = ("first_name", "last_name") if first else ("last_name", "first_name")
            parts = [c.profile for c in self._fields.get(part, ())]
            whole = [c for c in (*names, *full) if holds_names_of(c.profile, parts)]
            self._fields["name"] = whole
            names, full = ([c for c in listed if c not in whole] for listed in (names, full))
            self._fields[field] += names
            for candidate in full:
                self._chosen.note(candidate, "the file has a column of the first or the last name")
        else:
            for field in ("first_name", "last_name"):
                self._fields.pop(field, None)
            for candidate in full:
                tier, index, steps = candidate.match.rank
                # A plain "Name" is preferred to all but a full name.
                candidate.match = Match("name", (tier, index - 1_000, steps))
            self._fields["name"] = [*names, *full]
            self._names = [names, full]

    def _has_column(self, field: str) -> bool:
        return field in self._chosen.taken or any(c.has_values for c in self._fields.get(field, ()))

    # Customers

    def _complete_customer(self) -> None:
        """Let the name and phone of an address be those of a customer without columns of these."""
        has_name = any(self._has_column(name) for name in ("first_name", "last_name", "name"))
        for part in PERSON:
            if part == "email" or (has_name if part != "phone" else self._fields.get("phone")):
                continue
            if part in self._chosen.taken:
                continue
            columns = [
                (-c.profile.filled, c.match.kind != BILLING, c.position)
                for c in self._addresses.chosen_parts()
                if c.has_values
                and (self._chosen.choices[c.position].field or "").endswith(f".{part}")
            ]
            if columns:
                choice = self._chosen.choices[min(columns)[2]]
                choice.reader = AND_CUSTOMER
                choice.note = f"It is the {part.replace('_', ' ')} of the customer, too."

    def _choose_calling_code(self) -> None:
        """Let a column of calling codes complete the phone numbers, if there is one of each."""
        phones = [n for n, choice in enumerate(self._chosen.choices) if is_phone(choice.field)]
        if phones and len(self._calling_codes) == 1:
            note = f"Its codes are put before the numbers of {self._headings[phones[0]]!r}."
            self._chosen.choices[self._calling_codes[0]] = Choice(DROP, CALLING_CODE, note)

    def _choose_name_orders(self) -> None:
        """Decide whether last names stand first in the columns of whole names."""
        whole = [c for columns in self._names for c in columns]
        for candidate in (*whole, *self._addresses.chosen_parts()):
            choice, profile = self._chosen.choices[candidate.position], candidate.profile
            is_name = (choice.field or "").rpartition(".")[2] == "name"
            if not is_name or choice.reader not in (None, AND_CUSTOMER):
                continue
            order = order_of_names(self._headings[candidate.position], profile.sample)
            if order is not None:
                choice.reader = f"{choice.reader} {order}" if choice.reader else order
            if order == FAMILY_FIRST:
                choice.note = f"In {candidate.heading!r}, the last names stand first."

    # Consent

    def _choose_consent(self) -> None:
        """Choose the columns of consent: one that says so, and all opt-outs and times."""
        times = self._fields.pop(SUBSCRIBED_AT, [])
        created = self._fields.get("created_at", [])
        is_created = any(c.has_values and c.match.rank[0] == 0 for c in created)
        best = min(times, key=lambda c: c.rank, default=None)
        if best and best.has_values and not is_created and "created_at" not in self._chosen.taken:
            self._chosen.choices[best.position] = Choice("created_at", SUBSCRIBED_AT)
            times = [c for c in times if c is not best]
            for candidate in self._fields.pop("created_at", []):
                self._chosen.note(candidate, f"{best.heading!r} is used as created_at")
        if CONSENT in self._chosen.taken:
            for candidate in (*times, *self._fields.pop(UNSUBSCRIBED_AT, [])):
                self._chosen.note(candidate, "a column is mapped to accepts_marketing")
            self._fields.pop(OPT_OUT, None)
            return
        for reader, candidates in (
            (SUBSCRIBED_AT, times),
            (UNSUBSCRIBED_AT, self._fields.pop(UNSUBSCRIBED_AT, [])),
            (OPT_OUT, self._fields.pop(OPT_OUT, [])),
        ):
            for candidate in candidates:
                self._chosen.choices[candidate.position] = Choice(CONSENT, reader)
        if best:  # an inactive subscriber has a time of subscription, too
            for position in self._activities:
                self._chosen.choices[position].fallback = CONSENT
