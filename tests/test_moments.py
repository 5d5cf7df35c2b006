"""Moments as text: every token, and relative times."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regulars.api.moments import TOKENS, from_now, prepare
from tests.support import Client

AT = int(datetime(2024, 3, 8, 14, 5, 7, 9_000, tzinfo=UTC).timestamp() * 1000)
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True)
class Now:
    now: int


def rendered(at: int, form: str | None, suffix: bool | None = True, now: int = AT) -> str | None:
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
    assert rendered(AT, form) == expected


def test_noon_and_midnight() -> None:
    for hour, expected in ((0, "12 AM 00"), (11, "11 AM 11"), (12, "12 PM 12"), (23, "11 PM 23")):
        at = int(datetime(2024, 1, 1, hour, tzinfo=UTC).timestamp() * 1000)
        assert rendered(at, "h A HH") == expected


def test_ordinals() -> None:
    for day, expected in ((1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th")):
        at = int(datetime(2024, 1, day, tzinfo=UTC).timestamp() * 1000)
        assert rendered(at, "Do") == expected
    assert rendered(int(datetime(2024, 1, 12, tzinfo=UTC).timestamp() * 1000), "Do") == "12th"
    assert rendered(int(datetime(2024, 1, 13, tzinfo=UTC).timestamp() * 1000), "Do") == "13th"
    assert rendered(int(datetime(2024, 1, 22, tzinfo=UTC).timestamp() * 1000), "Do") == "22nd"
    assert rendered(int(datetime(2024, 1, 31, tzinfo=UTC).timestamp() * 1000), "Do") == "31st"


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
        (45 * DAY, "a month"),
        (46 * DAY, "2 months"),
        (319 * DAY, "10 months"),
        (320 * DAY, "a year"),
        (547 * DAY, "a year"),
        (548 * DAY, "2 years"),
        (3_653 * DAY, "10 years"),
    ],
)
def test_an_age_in_words(age: int, words: str) -> None:
    assert from_now(age) == f"{words} ago"
    assert from_now(-age) == (f"in {words}" if age else f"{words} ago")
    assert from_now(age, suffix=False) == words


def test_null_arguments_are_as_good_as_absent() -> None:
    assert rendered(AT - DAY, None, None) == "a day ago"
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
console.log(JSON.stringify(cases.map(([at, age, form]) => [
  moment.utc(at).format(form),
  moment.duration(-age).humanize(true),
  moment.duration(age).humanize(),
])));
"""


@pytest.mark.skipif(
    not shutil.which("node") or not MOMENT.exists(),
    reason="moment.js is not here: npm install --prefix build/node moment",
)
def test_the_same_as_moment_js() -> None:
    """10,000 random moments and formats. Relative times are those of `moment.duration`, which
    rounds each unit from the exact age; `moment.fromNow` walks the calendar's months."""
    draw = random.Random(1)
    # Tokens stand apart: side by side, some of them are one of moment.js's further tokens.
    apart = [" ", "-", ":", "[at]", "[YYYY o'clock]", "/", ", ", "é"]
    cases = []
    for _ in range(10_000):
        at = draw.randrange(-62_135_596_800_000 + 400 * 365 * DAY, 253_402_300_800_000)
        age = int(draw.uniform(-1, 1) * 10 ** draw.uniform(3, 12))
        pairs = [
            draw.choice(list(TOKENS)) + draw.choice(apart) for _ in range(draw.randrange(1, 8))
        ]
        form = "".join(pairs)
        cases.append((at, age, form))
    done = subprocess.run(
        ["node", "-e", _SCRIPT, str(MOMENT.resolve())],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )
    for (at, age, form), (text, words, bare) in zip(cases, json.loads(done.stdout), strict=True):
        assert rendered(at, form) == text, (at, form)
        assert from_now(age) == words, age
        assert from_now(age, suffix=False) == bare, age
