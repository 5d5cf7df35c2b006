"""What other columns of a file say about one whose heading has several meanings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from regulars.core.text import folded
from regulars.transfer.column_profile import ColumnProfile, is_mostly_time, share
from regulars.transfer.column_selection import SUBSCRIBED_AT, UNSUBSCRIBED_AT
from regulars.transfer.consent import is_activity
from regulars.transfer.heading_dictionary import comparable, dictionary, words
from regulars.transfer.headings import match_heading

_MOST, _NEARLY_ALL = 0.6, 0.9
# Headings with the same beginning, and what stands for a single letter.
_MIN_HEADINGS = 4
_LETTER = "?"
# Objects of customers in those of orders, and fields that the orders have, too.
_OWNERS = ("customer", "buyer", "purchaser", "attendee")
_OF_ANY_RECORD = ("external_id", "created_at", "updated_at", "tags", "notes")


class Siblings:
    """The headings of a file. None are not to be recognised."""

    def __init__(self, headings: Iterable[str | None]) -> None:
        names = [heading for heading in headings if heading]
        keys = frozenset(map(comparable, names))
        known = dictionary()
        self._is_of_orders = not known.order_columns.isdisjoint(keys)
        # Of JSON, as `id` and `tags` next to `customer.id` and `customer.email`.
        self._is_around_customers = any(
            {f"{owner}.id", f"{owner}.email"}.issubset(names) for owner in _OWNERS
        )
        self._is_form = not known.form_columns.isdisjoint(keys)
        # CleverReach has the times at which subscribers were activated and deactivated.
        self._times = next((pair for pair in known.subscriptions if keys.issuperset(pair)), None)
        self._has_activity = not known.activities.isdisjoint(keys)
        self._is_of_subscribers = (
            bool(self._times)
            or not known.ids_of_subscribers.isdisjoint(keys)
            or any(
                match is not None and match.field == "unsubscribed_at"
                for match in map(match_heading, names)
            )
        )

    def is_of_order(self, heading: str) -> bool:
        """Return whether a heading is one of orders: `Id` next to `Lineitem name`, as in the
        exports of Shopify, or `id`, `created_at`, `tags` and `note` next to `customer.id` and
        `customer.email`."""
        if comparable(heading) in dictionary().plain_ids:
            return self._is_of_orders or self._is_around_customers
        if not self._is_around_customers or "." in heading:
            return False
        match = match_heading(heading)
        return match is not None and match.field in _OF_ANY_RECORD

    def is_time_of_form(self, heading: str) -> bool:
        """Return whether a heading is that of the time at which a form was sent, as in the exports
        of Tilda: `sent` next to `formid`."""
        return self._is_form and comparable(heading) in dictionary().form_times

    def is_time_of_subscription(self, heading: str, profile: ColumnProfile) -> str | None:
        """Return the field of a column of the times at which subscriptions began or ended, in a
        file that has no other column of subscriptions."""
        key = comparable(heading)
        is_time = is_mostly_time(profile) or not profile.sample
        if not self._times or key not in self._times or self._has_activity or not is_time:
            return None
        return SUBSCRIBED_AT if key == self._times[0] else UNSUBSCRIBED_AT

    def is_active_subscription(self, heading: str, profile: ColumnProfile) -> bool:
        """Return whether a column of active and inactive customers is one of subscriptions: the
        file has ids of subscribers, or the time at which subscriptions ended, as in the exports of
        Beehiiv and Campaign Monitor."""
        return self._is_of_subscribers and self.is_activity(heading, profile)

    @staticmethod
    def is_activity(heading: str, profile: ColumnProfile) -> bool:
        """Return whether a column says who is active and inactive."""
        if not is_of_activity(heading):
            return False
        return share(profile, lambda value: is_activity(value) is not None) >= _NEARLY_ALL


def is_of_activity(heading: str) -> bool:
    """Return whether a heading may be that of active and inactive customers."""
    return comparable(heading) in dictionary().activities


def without_prefix(headings: Sequence[str | None]) -> list[str | None]:
    """Return headings without a beginning that most have and that hides what they are: the name of
    a table (`tbl_email`, `tbl_city`), or a letter for the type (`cMail`, `dCreated`)."""
    known = [bool(heading and match_heading(heading)) for heading in headings]
    listed = [words(heading or "") for heading in headings]
    starts = Counter(
        _LETTER if len(found[0]) == 1 else found[0] for found in listed if len(found) > 1
    )
    start, count = starts.most_common(1)[0] if starts else ("", 0)
    if count < max(_MIN_HEADINGS, _MOST * len(headings)) or sum(known) * 2 > len(headings):
        return list(headings)
    return [
        " ".join(found[1:])
        if not is_known and len(found) > 1 and start in (found[0], _LETTER[: len(found[0]) == 1])
        else heading
        for heading, is_known, found in zip(headings, known, listed, strict=True)
    ]


def holds_names_of(whole: ColumnProfile, parts: Sequence[ColumnProfile]) -> bool:
    """Return whether most values of a column have several words, one of which is from one of the
    `parts`: whole names next to first names."""
    known = {word for part in parts for name in part.sample for word in folded(name).split()}
    return share(whole, lambda name: _has_word_of(name, known)) >= _MOST


def _has_word_of(name: str, known: set[str]) -> bool:
    listed = folded(name).replace(",", " ").split()
    return len(listed) > 1 and not known.isdisjoint(listed)
