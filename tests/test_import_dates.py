"""Dates of files: what is read, what is refused, and the order of day and month of a column."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from babel.dates import format_date, format_datetime
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.accounts.accounts import Accounts
from regulars.customers.commands import CreateCustomer
from regulars.customers.values import clean_values
from regulars.directory.directory import Directory
from regulars.store import Store
from regulars.transfer.date_order import DateOrderEvidence, decide_order
from regulars.transfer.dates import (
    MAX_CHARACTERS,
    AmbiguousDate,
    DateError,
    Order,
    UnreadableDate,
    is_storable,
    read_timestamp,
)
from tests.support import Client, example_count, find_account_name, with_store

DAY = datetime(2024, 3, 18, tzinfo=UTC)
MINUTE = datetime(2024, 3, 18, 14, 20, tzinfo=UTC)
SECOND = datetime(2024, 3, 18, 14, 20, 37, tzinfo=UTC)

LANGUAGES = "en fr es de it pt nl pl tr ar ru zh ja ko".split()
OTHER_LOCALES = (
    "en_GB en_AU en_CA en_IN fr_CA fr_CH es_MX de_AT de_CH pt_PT nl_BE ar_EG ar_MA ar_SY zh_Hant "
    "zh_Hant_HK sv da nb fi cs sk hu ro el uk id ca et sr sr_Latn sl is he vi bg lv "
    "lt fa hi ms az hy ka kk mk gl be mr ur uz bs hr"
).split()
FORMATS = ("short", "medium", "long")


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # ISO 8601, and what databases and programs write
        ("2020-01-02T03:04:05.000+0000", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-03-18T19:50:37+05:30", SECOND),
        ("2024-03-18T14:20:37Z", SECOND),
        ("2024-03-18T14:20:37.123456789Z", SECOND + timedelta(milliseconds=123)),
        ("2024-03-18 14:20:37,123", SECOND + timedelta(milliseconds=123)),
        ("2024-03-18 14:20:37 UTC", SECOND),
        ("2024-03-18 14:20:37 +0000 UTC", SECOND),
        ("2024-03-18 14:20:37.000 +0000 UTC m=+0.0001", SECOND),
        ("2024-03-18T15:20:37+01:00[Europe/Paris]", SECOND),
        ("2024-03-18 14:20", MINUTE),
        ("2024-03-18t14:20:37z", SECOND),
        ("2024-03-18", DAY),
        ("2024-18-03", DAY),
        ("  2024-03-18  ", DAY),
        ("2024-03-18Z", DAY),
        ("2024-03-18-05:00", DAY + timedelta(hours=5)),
        ("2024-03-17T24:00:00Z", DAY),
        ("2024-W12-1", DAY),
        ("2024-078", DAY),
        ("20240318", DAY),
        ("20240318T142037Z", SECOND),
        ("20240318142037", SECOND),
        ("2024-3-18", DAY),
        ("2024/03/18 14:20:37", SECOND),
        ("2024.03.18", DAY),
        ("20240318T14:20:37", SECOND),
        ("20240318 14:20", MINUTE),
        ("18/Mar/2024:14:20:37 +0000", SECOND),
        ("18MAR2024:14:20:37", SECOND),
        ("2024:03:18 14:20:37", SECOND),
        ("2024-03-18 16:20:37 (UTC+02:00)", SECOND),
        ("2024-03-18 14:20:37.1234567 +00:00", SECOND + timedelta(milliseconds=123)),
        ("2024-03-18 14:20:37+00", SECOND),
        # Named zones
        ("2024-03-18 09:20:37 EST", SECOND),
        ("2024-03-18 06:20:37 PST", SECOND),
        ("2024-03-18 15:20:37 CET", SECOND),
        ("2024-03-18 14:20:37 GMT", SECOND),
        ("18/03/2024 19:50:37 +0530", SECOND),
        ("18 marca 2024 r., 14:20", MINUTE),
        ("18 берез. 2024", DAY),
        ("18 มีนาคม 2567", DAY),
        ("18 มี.ค. 2567", DAY),
        ("18 ต.ค. 2567 14:20 น.", datetime(2024, 10, 18, 14, 20, tzinfo=UTC)),
        ("18 במרץ 2024", DAY),
        ("18 באוק׳ 2024", datetime(2024, 10, 18, tzinfo=UTC)),
        ("18/3/2024 2:20 μμ", MINUTE),
        ("18 Maret 2024 pukul 14.20", MINUTE),
        ("18 marca 2024 godz. 14:20", MINUTE),
        ("5 listopada 2023", datetime(2023, 11, 5, tzinfo=UTC)),  # Polish
        ("5. listopada 2023.", datetime(2023, 10, 5, tzinfo=UTC)),  # Croatian
        ("13. lip 2023.", datetime(2023, 6, 13, tzinfo=UTC)),
        ("13 lip 2023", datetime(2023, 7, 13, tzinfo=UTC)),
        ("13. srpnja 2023. 14:20", datetime(2023, 7, 13, 14, 20, tzinfo=UTC)),
        ("18 मार्च 2024", DAY),
        ("18 tháng 3, 2024", DAY),
        ("ngày 18 tháng 3 năm 2024", DAY),
        ("R6.3.18", DAY),
        ("2024-03-18 14:20:60", MINUTE + timedelta(minutes=1)),
        # RFC 2822, ctime, JavaScript, .NET
        ("Mon, 18 Mar 2024 14:20:37 +0000", SECOND),
        ("Mon, 18 Mar 2024 09:20:37 EST", SECOND),
        ("18 Mar 2024 14:20:37 GMT", SECOND),
        ("Mon Mar 18 14:20:37 2024", SECOND),
        ("Mon Mar 18 14:20:37 UTC 2024", SECOND),
        ("Mon Mar 18 2024 15:20:37 GMT+0100 (Central European Standard Time)", SECOND),
        ("/Date(1710771637000)/", SECOND),
        ("/Date(1710771637000+0100)/", SECOND),
        # Logs of monday, which begin with the name of a person
        ("Pia M. Holm Mar 18, 2024 2:20 PM", MINUTE),
        ("Pia 2024-03-18 14:20:37 UTC", SECOND),
        ("Pia Holm 18 mars 2024 14:20", MINUTE),
        # Local forms
        ("18/03/2024", DAY),
        ("3/18/2024", DAY),
        ("18.03.2024 14:20", MINUTE),
        ("18.03.2024 14.20", MINUTE),
        ("18-MAR-24 02.20.00.000000 PM", MINUTE),
        ("18.3.24", DAY),
        ("17. 3. 2024", DAY - timedelta(days=1)),
        ("18-03-2024", DAY),
        ("18 / 03 / 2024", DAY),
        ("3/18/2024 2:20 PM", MINUTE),
        ("3/18/24, 2:20 PM", MINUTE),
        ("3/18/24 2:20:37 p.m.", SECOND),
        ("18/03/2024 02:20 p. m.", MINUTE),
        ("18/03/2024 2pm", MINUTE - timedelta(minutes=20)),
        ("18/03/2024 14:20 PM", MINUTE),
        ("3/18/2024 12:00 AM", DAY),
        ("3/18/2024 12:20 PM", DAY + timedelta(hours=12, minutes=20)),
        ("18/03/2024 14h20", MINUTE),
        ("18/03/2024 14:20h", MINUTE),
        ("18/03/2024 à 14:20", MINUTE),
        ("am 18.03.2024 um 14:20 Uhr", MINUTE),
        ("14:20 18/03/2024", MINUTE),
        ("March 18, 2024 @ 2:20 pm", MINUTE),
        ("18/03/2024 alle ore 14:20", MINUTE),
        ("18.3.2024 klo 14.20", MINUTE),
        ("Mon 3/18/2024 2:20 PM", MINUTE),
        ("2/18/21, 11:08 AM", datetime(2021, 2, 18, 11, 8, tzinfo=UTC)),
        # Names of months
        ("18 марта 2024", DAY),
        ("18 марта 2024 г., 14:20", MINUTE),
        ("18 de marzo de 2024", DAY),
        ("18. März 2024", DAY),
        ("18 MÄRZ 2024", DAY),
        ("18 mars 2024", DAY),
        ("1er mars 2024", datetime(2024, 3, 1, tzinfo=UTC)),
        ("1er août 2024", datetime(2024, 8, 1, tzinfo=UTC)),
        ("1 aout 2024", datetime(2024, 8, 1, tzinfo=UTC)),
        ("Mar 18, 2024", DAY),
        ("March 18th, 2024", DAY),
        ("18th of March 2024", DAY),
        ("18-Mar-24", DAY),
        ("18-MAR-2024 14:20:37", SECOND),
        ("2024 March 18", DAY),
        ("Monday, March 18, 2024 2:20 PM", MINUTE),
        ("mar. 19 mars 2024", DAY + timedelta(days=1)),
        ("mar 19 mar 2024", DAY + timedelta(days=1)),
        ("segunda-feira, 18 de março de 2024", DAY),
        ("18 KASIM 2024", datetime(2024, 11, 18, tzinfo=UTC)),
        ("18 Mart 2024 Pazartesi 14:20", MINUTE),
        ("18 października 2024", datetime(2024, 10, 18, tzinfo=UTC)),
        ("18 كانون الثاني 2024", datetime(2024, 1, 18, tzinfo=UTC)),
        ("١٨ مارس ٢٠٢٤", DAY),
        ("١٨ مارس ٢٠٢٤م", DAY),
        ("18 مارس 2024 م 02:20 م", MINUTE),
        ("١٨\u200f/٣\u200f/٢٠٢٤ ٢:٢٠ م", MINUTE),
        # East Asia
        ("2024年3月18日 14時20分", MINUTE),
        ("2024年3月18日(月)", DAY),
        ("2024年3月18日 下午2:20", MINUTE),
        ("2024/3/18 午後2:20", MINUTE),
        ("2024/3/18 晚上8:20", DAY + timedelta(hours=20, minutes=20)),
        ("2024년 3월 18일", DAY),
        ("2024년 3월 18일 오후 2시 20분 37초", SECOND),
        ("2024. 3. 18. 오후 2:20", MINUTE),
        ("２０２４／０３／１８", DAY),
        ("令和6年3月18日", DAY),
        ("民國113年3月18日", DAY),
        # Numbers
        ("1710771637", SECOND),
        ("1710771637000", SECOND),
        ("1710771637000000", SECOND),
        ("1710771637.123", SECOND + timedelta(milliseconds=123)),
        (1710771637, SECOND),
        (1710771637.0, SECOND),
        (1710771637000, SECOND),
        (Decimal("1710771637.123"), SECOND + timedelta(milliseconds=123)),
        ("-631152000", datetime(1950, 1, 1, tzinfo=UTC)),
        # Before 1970
        ("1969-12-31", datetime(1969, 12, 31, tzinfo=UTC)),
        ("15/08/1947", datetime(1947, 8, 15, tzinfo=UTC)),
        ("1899-12-29T23:59:59.999Z", datetime(1899, 12, 29, 23, 59, 59, 999_000, tzinfo=UTC)),
        # What a reader of Excel returns
        (datetime(2024, 3, 18, 14, 20, 37), SECOND),
        (datetime(2024, 3, 18, 15, 20, 37, tzinfo=timezone(timedelta(hours=1))), SECOND),
        (date(2024, 3, 18), DAY),
        # A day of the week decides
        ("Mon, 03/04/2024", datetime(2024, 3, 4, tzinfo=UTC)),
        ("Wed, 03/04/2024", datetime(2024, 4, 3, tzinfo=UTC)),
        # The year cannot be a day
        ("99/03/18", datetime(1999, 3, 18, tzinfo=UTC)),
        ("05/05/2024", datetime(2024, 5, 5, tzinfo=UTC)),
        ("03.04.2024", datetime(2024, 4, 3, tzinfo=UTC)),
    ],
)
def test_a_date_with_one_meaning_is_read(text: Any, expected: datetime) -> None:
    assert read_timestamp(text) == ms(expected)


@pytest.mark.parametrize(
    "text",
    """|   |-|--|—|N/A|n/a|#N/A|Never|null|NULL|None|nunca|jamais|nie|никогда|从未|なし|없음|لا يوجد|
    0000-00-00|0000-00-00 00:00:00|0000-00-00T00:00:00Z|0/0/00|00/00/0000|00.00.0000|0|0.0|
    0001-01-01T00:00:00Z|1/1/0001 12:00:00 AM|1/0/1900|1899-12-30|01/01/1900|1900-01-01 00:00:00.000|12/30/1899|dd/mm/yyyy""".split(
        "|"
    ),
)
def test_an_empty_date_is_none(text: str) -> None:
    assert read_timestamp(text) is None


def test_other_empty_values_are_none() -> None:
    assert [read_timestamp(value) for value in (None, 0, 0.0, Decimal(0))] == [None] * 4


@pytest.mark.parametrize(
    "value",
    """31/02/2024|2023-02-29|29/02/2023|30 Feb 2024|2024-13-32|2024-13-00|2024-00-10|13/13/2024|2024-02-30T10:00:00Z|
    18/03/2024 14:20 AM|18/03/2024 25:00|18/03/2024 14:60|18/03/2024 14:20:61|2024-03-18T14:20:37+25:00|
    Tuesday, March 18, 2024|18 August|August 2024|03/2024|2024-03|2024|240318|20241318|tomorrow|
    3 days ago|March 14.20|mars 14h20|1mar/T18|18/03/2024 PM|0120240318|² Mar 2024|2 Mar ²024|18/03/2767|18/03/1403|0024-03-18|2024-03-18 14:20:37 IST|2024-03-18 14:20:37 CST|
    18.03.2024 5|18/03/2024 18/03/2024|1/2/3|18/3|1.7107716E+12|45369|123456|17107716370|1²/03/2024|
    18 Foo 2024|hello|2024年3月|18/03-2024|18 Mar Apr 2024|14:20|True|#VALUE!|+33 6 12 34 56 78|
    6年3月18日|24年3月18日|202403181420""".split("|"),
)
def test_an_unreadable_date_is_refused(value: str) -> None:
    for order in (None, "dmy", "mdy"):
        with pytest.raises(UnreadableDate, match=r"^[A-Z][^.]+[\w)]\..*"):
            read_timestamp(value, order)


@pytest.mark.parametrize(
    "value", [True, [], {}, float("nan"), float("inf"), 10**40, -(10**40), Decimal("NaN"), "1" * 81]
)
def test_a_value_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(UnreadableDate):
        read_timestamp(value)


@pytest.mark.parametrize(
    ("text", "by_order"),
    [
        ("03/04/2024", {"dmy": (2024, 4, 3), "mdy": (2024, 3, 4)}),
        ("3/4/2024", {"dmy": (2024, 4, 3), "mdy": (2024, 3, 4)}),
        ("03-04-2024", {"dmy": (2024, 4, 3), "mdy": (2024, 3, 4)}),
        ("03/04/24", {"dmy": (2024, 4, 3), "mdy": (2024, 3, 4), "ymd": (2003, 4, 24)}),
        ("18-03-21", {"dmy": (2021, 3, 18), "ymd": (2018, 3, 21)}),
        ("24. 3. 18.", {"dmy": (2018, 3, 24), "ymd": (2024, 3, 18)}),
    ],
)
def test_a_date_with_several_meanings_needs_the_order(
    text: str, by_order: dict[Order, tuple[int, int, int]]
) -> None:
    with pytest.raises(AmbiguousDate, match=r"^This date can be \d{4}-\d\d-\d\d or .*--dates dmy"):
        read_timestamp(text)
    for order, day in by_order.items():
        assert read_timestamp(text, order) == ms(datetime(*day, tzinfo=UTC))


def test_an_order_does_not_shift_a_certain_date() -> None:
    for order in ("dmy", "mdy", "ymd"):
        assert read_timestamp("18/03/2024", order) == ms(DAY)
        assert read_timestamp("2024-03-18", order) == ms(DAY)


def test_serial_numbers_of_excel_are_read_in_a_column_of_dates_alone() -> None:
    assert read_timestamp("45369", allow_serial=True) == ms(DAY)
    assert read_timestamp(45369.0, allow_serial=True) == ms(DAY)
    assert read_timestamp("45369.597222", allow_serial=True) == ms(MINUTE)
    assert read_timestamp("45369,597222", allow_serial=True) == ms(MINUTE)
    assert read_timestamp(45369.59765046296, allow_serial=True) == ms(SECOND)
    assert read_timestamp(1710771637, allow_serial=True) == ms(SECOND)
    for value in ("2024", "45369"):
        with pytest.raises(UnreadableDate):
            read_timestamp(value, allow_serial=value == "2024")


def test_a_year_of_two_digits_is_at_most_a_year_ahead() -> None:
    today = datetime.now(UTC).date()
    for years in range(-90, 9):
        year = today.year + years
        expected = year if year <= today.year else year - 100 if years > 1 else None
        timestamp = read_timestamp(f"28/02/{year % 100:02}", "dmy")
        assert timestamp is not None
        read = datetime.fromtimestamp(timestamp / 1_000, UTC).date()
        assert read <= today + timedelta(days=366)
        assert expected is None or read == date(expected, 2, 28)


def test_the_first_days_of_1970_cannot_be_stored() -> None:
    assert [is_storable(t) for t in (-1, 0, 1, 2**31 - 1, 2**31)] == [
        True,
        False,
        False,
        False,
        True,
    ]


DAYS = [(month, day) for month in range(1, 13) for day in (1, 3, 12, 13, 28)]


@pytest.mark.parametrize("locale", [*LANGUAGES, *OTHER_LOCALES])
def test_the_dates_of_a_locale_are_read(locale: str) -> None:
    """Of all forms of CLDR, those with one meaning are read, the others named ambiguous. The time
    is just after midnight, after noon, or in the afternoon, to see the halves of the day."""
    for length in FORMATS:
        for month, day in DAYS:
            moment = datetime(2024, month, day, (0, 12, 14)[day % 3], 5, 37, tzinfo=UTC)
            exact = ms(moment if length != "short" else moment.replace(second=0))
            text = format_datetime(moment, length, locale=locale)
            order = _own_order(locale)
            assert read_timestamp(text, order) == exact, text
            assert read_timestamp(format_date(moment, length, locale=locale), order) == ms(
                moment.replace(hour=0, minute=0, second=0)
            ), text
            try:
                assert read_timestamp(text) == exact, text
            except AmbiguousDate:
                assert length != "long"


def _own_order(locale: str) -> Order:
    text = format_date(date(2024, 3, 18), "short", locale=locale)
    positions = sorted((text.find(part), part) for part in ("18", "3", "24"))
    is_arabic = locale.startswith("ar")
    first = "18" if is_arabic else positions[0][1]
    return {"18": "dmy", "3": "mdy", "24": "ymd"}[first]  # type: ignore[return-value]  # one of its literals


def evidence_of(*values: Any) -> DateOrderEvidence:
    evidence = DateOrderEvidence()
    evidence.add_all(values)
    return evidence


def test_a_year_of_two_digits_at_the_start_is_unusual_but_possible() -> None:
    column = evidence_of("18/03/21", "24/03/18")
    assert (column.proven, column.assumed) == (None, "dmy")
    assert decide_order([column]) == ["dmy"]
    assert decide_order([column], "ymd") == ["ymd"]
    assert evidence_of("18/03/21", "28/03/21").assumed is None  # 1928 is too early for a customer
    assert evidence_of("18-03-21").assumed is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["01/02/2024 09:00", "01/13/2024 09:00", "12/31/2023 10:30"], "mdy"),
        (["01/02/2024", "13/01/2024"], "dmy"),
        (["12-04-2022 09:30", "13-04-2022 10:00"], "dmy"),
        (["3/4/2024, 2:20 PM"], None),
        (["Mon, 03/04/2024"], "mdy"),
        (["Wed, 03/04/2024 10:00"], "dmy"),
        (["mercredi 03/04/2024"], "dmy"),
        (["10:30 13/04/2022"], "dmy"),
        (["١٣/٠٤/٢٠٢٢"], "dmy"),
        (["2024-03-18", "2024-12-13T10:00:00Z", "1710771637", "", None, 5], None),
        (["05/05/2024", "03/04/2024"], None),
        (["18 Mar 2024", "March 18, 2024"], None),
        (["18.03.2024"], "dmy"),
        (["03.04.2024"], None),
        (["03.18.2024", "03.04.2024"], "mdy"),
        (["18/03/21", "28/03/21"], "dmy"),
        (["03/18/21"], "mdy"),
        (["18-03-21"], None),
        (["18-03-21", "31-03-45"], "dmy"),
        (["18-03-21", "5-3-21"], "dmy"),
        (["18-03-21", "18-03-2021"], "dmy"),
        (["24-03-18", "99-03-18"], "ymd"),
        (["24/03/18", "99/03/18"], "ymd"),
        (["24. 3. 18.", "24. 3. 1."], "ymd"),
        (["31/02/2024", "99/99/9999", "12 34 56 78"], None),
    ],
)
def test_a_column_proves_its_order(values: list[Any], expected: Order | None) -> None:
    evidence = evidence_of(*values)
    assert evidence.proven == expected
    assert not evidence.is_contradictory
    assert decide_order([evidence]) == [expected]


def test_the_order_of_a_column_is_that_of_all_its_values() -> None:
    """The value that decides can be the last of many."""
    evidence = DateOrderEvidence()
    days = [date(1990, 1, 1) + timedelta(days=number) for number in range(12_500)]
    evidence.add_all(f"{day:%m/%d/%Y 10:00}" for day in days if day.day <= 12)
    assert evidence.proven is None
    evidence.add("12/31/2023 10:30")
    assert evidence.proven == "mdy"


def test_a_contradictory_column_uses_only_the_chosen_order() -> None:
    evidence = evidence_of("18/03/2024", "03/18/2024", "03/04/2024")
    assert evidence.is_contradictory
    assert evidence.proven is None
    assert evidence.ambiguous_example == "03/04/2024"
    other = evidence_of("13/01/2024")
    assert decide_order([evidence, other]) == [None, "dmy"]
    assert decide_order([evidence, other], "mdy") == ["mdy", "dmy"]


def test_a_column_without_a_proven_order_takes_that_of_another_column() -> None:
    open_column = evidence_of("03/04/2024")
    no_dates = evidence_of("2024-03-18")
    dmy, mdy = evidence_of("18/03/2024"), evidence_of("03/18/2024")
    dashed, dotted = evidence_of("18-03-2024"), evidence_of("18.03.2024")
    assert decide_order([open_column, dmy]) == ["dmy", "dmy"]
    assert decide_order([mdy, open_column, no_dates]) == ["mdy", "mdy", "mdy"]
    # The same separator is preferred.
    assert decide_order([dashed, open_column, mdy]) == ["dmy", "mdy", "mdy"]
    assert decide_order([dashed, open_column]) == ["dmy", "dmy"]
    # Two columns contradict each other; dots say nothing about slashes, nor these about dots.
    assert decide_order([dmy, open_column, mdy]) == ["dmy", None, "mdy"]
    assert decide_order([dotted, open_column]) == ["dmy", None]
    assert decide_order([mdy, evidence_of("03.04.2024")]) == ["mdy", None]
    # An order that the column excludes is not taken.
    assert decide_order([evidence_of("03-18-2024"), evidence_of("18-03-21")]) == ["mdy", None]


def test_the_chosen_order_counts_where_none_is_proven() -> None:
    columns = [evidence_of("03/04/2024"), evidence_of("18/03/2024"), evidence_of("3/18/2024")]
    assert decide_order(columns, "mdy") == ["mdy", "dmy", "mdy"]
    assert decide_order(columns, "dmy") == ["dmy", "dmy", "mdy"]


def test_an_example_shows_what_is_ambiguous() -> None:
    assert evidence_of("18/03/2024", "05/05/2024", "03.04.2024").ambiguous_example is None
    assert evidence_of("18/03/2024", "03/04/2024 10:00").ambiguous_example == "03/04/2024"


@given(
    st.lists(st.dates(date(1900, 1, 1), date(2100, 12, 31)), min_size=1, max_size=20),
    st.sampled_from(["dmy", "mdy"]),
    st.sampled_from(["/", "-", "."]),
    st.booleans(),
)
@settings(max_examples=example_count(100), deadline=None)
def test_a_column_of_dates_is_read_with_its_true_order_or_refused(
    days: list[date], order: str, separator: str, padded: bool
) -> None:
    """Whatever the values, none is read as another day than the one that was written: only dots
    with the month first are not recognised without a proof."""

    def write(day: date) -> str:
        parts = {
            "d": f"{day.day:0{1 + padded}}",
            "m": f"{day.month:0{1 + padded}}",
            "y": str(day.year),
        }
        return separator.join(parts[part] for part in order)

    texts = [write(day) for day in days]
    (decided,) = decide_order([evidence_of(*texts)])
    if separator == "." and order == "mdy" and decided != "mdy":
        return
    for day, text in zip(days, texts, strict=True):
        try:
            timestamp = read_timestamp(text, decided)
        except AmbiguousDate:
            assert decided is None
            assert day.day <= 12
            assert day.day != day.month
        else:
            assert (timestamp or 0) // 86_400_000 == (day - date(1970, 1, 1)).days


_PIECES = st.sampled_from(
    "0 1 2 03 12 18 31 99 2024 1899 20240318 / - . : , T Z + +05:30 -0500 AM PM p.m. Mar March mar. mars "
    "марта 年 月 日 時 分 오후 년 元 令和 Mon Mo. (Mon) GMT UTC CST [ ] ( ) \\ ' \u200f \u0301 ٣ ３ ² 14:20 14.20 "
    "14h20 /Date( )/ W12 -1 = \x00 \n \ud800 ﷺ İ ſ e E+12".split(" ")
    + [" "]
)


@given(
    st.one_of(
        st.text(max_size=MAX_CHARACTERS + 5),
        st.lists(_PIECES, max_size=30).map("".join),
        st.lists(_PIECES, max_size=20).map(" ".join),
    ),
    st.sampled_from([None, "dmy", "mdy", "ymd"]),
    st.booleans(),
)
@settings(max_examples=example_count(200), deadline=None)
def test_any_text_is_read_or_refused(text: str, order: Order | None, allow_serial: bool) -> None:
    evidence = evidence_of(text)
    assert decide_order([evidence], order)[0] in (None, "dmy", "mdy", "ymd")
    try:
        timestamp = read_timestamp(text, order, allow_serial=allow_serial)
    except DateError:
        pass
    else:
        assert timestamp is None or -(2**45) < timestamp < 2**48


@pytest.mark.parametrize(
    "text",
    [
        "1" * 80,
        "1 " * 40,
        "1/" * 40,
        "12:" * 26,
        "1 1:11 " * 11,
        "((((" * 20,
        "a " * 40,
        "- " * 40,
        "14h " * 20,
        "\u0301" * 80,
        "e\u0301" * 40,
        "ﷺ" * 80,
        "年" * 80,
        "1年1月" * 20,
        "[a/a-" * 16,
        "mar " * 20,
        "0" * 79 + "x",
        "0 " * 39 + "x",
    ],
)
def test_no_text_takes_long(text: str) -> None:
    read_or_refuse(text)
    started = time.process_time()
    for number in range(20):
        read_or_refuse(f"{text[:78]}{number}")
    assert (time.process_time() - started) / 20 < 0.01


def read_or_refuse(text: str) -> None:
    with suppress(DateError):
        read_timestamp(text)


def test_a_long_text_is_refused_at_once() -> None:
    text = "2024-03-18T14:20:37." + "0" * 10_000_000
    started = time.process_time()
    for value in (text, text[:81], " " * 10_000_000):
        with pytest.raises(UnreadableDate, match="more than 80 characters"):
            read_timestamp(value)
        evidence_of(value)
    assert time.process_time() - started < 0.05


def test_customers_from_before_1970_are_listed_and_exported(client: Client) -> None:
    """Cursors, searches and formats take negative timestamps."""
    texts = ["1850-06-01", "31/12/1949", "1969-12-31T23:59:59.999Z", "1970-01-27", "2024-03-18"]
    timestamps = [read_timestamp(text) for text in texts]
    assert all(timestamp and is_storable(timestamp) for timestamp in timestamps)
    name = find_account_name(client.server, client.token)

    async def create(store: Store) -> None:
        owner = await Accounts(store).resolve(name)
        commands = []
        for number, timestamp in enumerate(timestamps):
            values, problems = clean_values({"email": f"c{number}@example.com"}, ())
            commands.append(CreateCustomer(values, timestamp or 0, problems))
        await Directory(store).create_many(owner.account_id, commands)

    with_store(client.server.database_url, create)
    expected = [f"c{number}@example.com" for number in range(len(texts))]
    for direction, emails in (("asc", expected), ("desc", expected[::-1])):
        query = f"order_by:created_at order_dir:{direction}"
        listed: list[str] = []
        cursor = None
        while len(listed) < len(texts):
            page = client.page("email", query=query, first=1, after=cursor)
            listed += [edge["node"]["email"] for edge in page["edges"]]
            cursor = page["pageInfo"]["endCursor"]
        assert listed == emails
        assert client.emails(query, last=2, before=cursor) == emails[2:4]
    assert sorted(client.emails("created_at:<1970")) == expected[:3]
    assert client.emails("created_at:1949-12-31") == [expected[1]]
    assert (
        client.emails("created_at:<1970 order_by:created_at order_dir:asc", first=2) == expected[:2]
    )
    page = client.page(
        'created_at(format: "YYYY-MM-DD HH:mm:ss.SSS") age: created_at', query="created_at:<1950"
    )
    nodes = sorted((edge["node"] for edge in page["edges"]), key=str)
    assert [node["created_at"] for node in nodes] == [
        "1850-06-01 00:00:00.000",
        "1949-12-31 00:00:00.000",
    ]
    assert all(node["age"].endswith(" years ago") for node in nodes)
    exported = client.http.get("/export").text
    assert "1850-06-01T00:00:00.000Z" in exported
    assert "1969-12-31T23:59:59.999Z" in exported
