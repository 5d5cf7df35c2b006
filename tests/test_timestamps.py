"""Timestamps as text: every token, and relative times."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regulars.api.timestamps import TOKENS, from_now, prepare
from regulars.core.dates import iso
from tests.support import Client

AT = int(datetime(2024, 3, 8, 14, 5, 7, 9_000, tzinfo=UTC).timestamp() * 1000)
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True)
class Now:
    now: int


def render(at: int, form: str | None, suffix: bool | None = True, now: int = AT) -> str | None:
    (text,) = prepare({"format": form, "suffix": suffix})(Now(now), [at])
    return text


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("ISO", "2024-03-08T14:05:07.009Z"),
        ("YYYY YY", "2024 24"),
        ("MMMM MMM MM M", "March Mar 03 3"),
        ("DDDD DDD DD D Do", "068 68 08 8 8th"),
        ("dddd ddd", "Friday Fri"),
        ("HH H hh h", "14 14 02 2"),
        ("mm m ss s SSS", "05 5 07 7 009"),
        ("A a Z ZZ", "PM pm +00:00 +0000"),
        ("X x", f"{AT // 1000} {AT}"),
        ("[at] YYYY [YYYY]", "at 2024 YYYY"),
        ("[]", ""),
        ("[", "["),
        ("[HH", "[14"),
        ("HH]", "14]"),
        ("YYYYMMDD", "20240308"),
        ("hmm", "205"),
        ("MMMMM", "March3"),
        ("é·年-MM月", "é·年-03月"),
        ("\n", "\n"),
        ("", ""),
    ],
)
def test_every_token(form: str, expected: str) -> None:
    assert render(AT, form) == expected


def test_iso_times_are_those_of_the_standard_library() -> None:
    first, last = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_000)
    span = (last - first) // timedelta(milliseconds=1)
    generator = random.Random(1)
    for distance in (0, span, *(generator.randint(0, span) for _ in range(2_000))):
        time = first + timedelta(milliseconds=distance)
        at = (time - datetime(1970, 1, 1)) // timedelta(milliseconds=1)
        assert iso(at) == f"{time.isoformat(timespec='milliseconds')}Z"


def test_noon_and_midnight() -> None:
    for hour, expected in ((0, "12 AM 00"), (11, "11 AM 11"), (12, "12 PM 12"), (23, "11 PM 23")):
        at = int(datetime(2024, 1, 1, hour, tzinfo=UTC).timestamp() * 1000)
        assert render(at, "h A HH") == expected


def test_ordinals() -> None:
    for day, expected in ((1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th")):
        at = int(datetime(2024, 1, day, tzinfo=UTC).timestamp() * 1000)
        assert render(at, "Do") == expected
    assert render(int(datetime(2024, 1, 12, tzinfo=UTC).timestamp() * 1000), "Do") == "12th"
    assert render(int(datetime(2024, 1, 13, tzinfo=UTC).timestamp() * 1000), "Do") == "13th"
    assert render(int(datetime(2024, 1, 22, tzinfo=UTC).timestamp() * 1000), "Do") == "22nd"
    assert render(int(datetime(2024, 1, 31, tzinfo=UTC).timestamp() * 1000), "Do") == "31st"


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (0, "a few seconds"),
        (44_499, "a few seconds"),
        (44_500, "a minute"),
        (89_999, "a minute"),
        (90_000, "2 minutes"),
        (44 * MINUTE + 29_999, "44 minutes"),
        (44 * MINUTE + 30_000, "an hour"),
        (90 * MINUTE - 1, "an hour"),
        (90 * MINUTE, "2 hours"),
        (21 * HOUR + 30 * MINUTE - 1, "21 hours"),
        (21 * HOUR + 30 * MINUTE, "a day"),
        (36 * HOUR - 1, "a day"),
        (36 * HOUR, "2 days"),
        (25 * DAY + 12 * HOUR - 1, "25 days"),
        (25 * DAY + 12 * HOUR, "a month"),
        (3_653 * DAY, "10 years"),
    ],
)
def test_an_age_in_words(age: int, words: str) -> None:
    assert from_now(AT - age, AT) == f"{words} ago"
    assert from_now(AT + age, AT) == (f"in {words}" if age else f"{words} ago")
    assert from_now(AT - age, AT, suffix=False) == words


def contract_rows() -> list[tuple[str, str, str]]:
    """The table of timestamps in the contract: `t`, `now` and the text."""
    text = (Path(__file__).parents[1] / "docs" / "contract" / "contract.md").read_text("utf-8")
    row = r"^\| (\d{4}-\S+ \S+) \| (\d{4}-\S+ \S+) \|[^|]*\|[^|]*\| `([^`]+)` \|"
    return re.findall(row, text, re.MULTILINE)


def test_relative_times_of_the_contract() -> None:
    rows = contract_rows()
    assert len(rows) == 14
    for at, now, text in rows:
        assert from_now(milliseconds(at), milliseconds(now)) == text, (at, now)
        assert render(milliseconds(at), None, now=milliseconds(now)) == text


def milliseconds(text: str) -> int:
    at = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(at.timestamp()) * 1000 + at.microsecond // 1000


def test_null_arguments_are_absent_arguments() -> None:
    assert render(AT - DAY, None, None) == "a day ago"
    assert prepare({})(Now(AT), [AT, None]) == ["a few seconds ago", None]


def test_formats_through_the_api(client: Client) -> None:
    client.create("a@example.com")
    query = """query($f: String, $s: Boolean) { customers { edges { node {
        plain: created_at
        bare: created_at(suffix: false)
        iso: created_at(format: "ISO")
        ms: created_at(format: "x")
        variable: created_at(format: $f, suffix: $s)
        updated_at(format: "YYYY") } } } }"""
    node = client.data(query, f="[on] dddd", s=False)["customers"]["edges"][0]["node"]
    assert node["plain"] == "a few seconds ago"
    assert node["bare"] == "a few seconds"
    at = datetime.fromisoformat(node["iso"])
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert int(node["ms"]) == round(at.timestamp() * 1000)
    assert node["variable"] == f"on {at:%A}"
    assert node["updated_at"] == f"{at:%Y}"
    again = client.data(query, f="fromNow", s=False)["customers"]["edges"][0]["node"]
    assert again["variable"] == "a few seconds"


MOMENT = Path(os.environ.get("REGULARS_TEST_MOMENT", "build/node/node_modules/moment"))

_SCRIPT = """
const moment = require(process.argv[1]);
const cases = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(cases.map(([at, now, form]) => [
  moment.utc(at).format(form),
  moment.utc(at).from(moment.utc(now)),
  moment.utc(at).from(moment.utc(now), true),
])));
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("node") or not MOMENT.exists(),
    reason="moment.js is not here: npm install --prefix build/node moment",
)
def test_all_formats_match_moment_js() -> None:
    """Compares 60,000 random timestamps, present times and formats, many of them near the limits
    between two words."""
    draw = random.Random(1)
    # Text between the tokens: adjacent tokens can form another token of moment.js.
    separators = [" ", "-", ":", "[at]", "[YYYY o'clock]", "/", ", ", "é"]
    month = 146_097 * DAY // 4_800
    cases = []
    for number in range(60_000):
        at = draw.randrange(-62_135_596_800_000 + 400 * 365 * DAY, 253_370_764_800_000)
        if number % 3 == 0:
            age = int(draw.uniform(-1, 1) * 10 ** draw.uniform(3, 12))
        elif number % 3 == 1:  # near half a month
            age = (2 * draw.randrange(0, 40) + 1) * month // 2 + draw.randrange(-5 * DAY, 5 * DAY)
        else:  # near half a year, at the end of a month
            at -= at % DAY - draw.choice([0, DAY - 1])
            age = (2 * draw.randrange(0, 250) + 1) * 6 * month + draw.randrange(-6 * DAY, 6 * DAY)
        now = min(max(at + age, -62_135_596_800_000 + DAY), 253_402_300_799_999)
        if draw.random() < 0.2:
            at, now = now, at
        pairs = [
            draw.choice(list(TOKENS)) + draw.choice(separators) for _ in range(draw.randrange(1, 8))
        ]
        cases.append((at, now, "".join(pairs)))
    process = subprocess.run(
        ["node", "-e", _SCRIPT, str(MOMENT.resolve())],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )
    for (at, now, form), (text, words, bare) in zip(cases, json.loads(process.stdout), strict=True):
        assert render(at, form) == text, (at, form)
        assert from_now(at, now) == render(at, None, now=now) == words, (at, now)
        assert from_now(at, now, suffix=False) == bare, (at, now)
