"""Rows of CSV with stray quotes: each is read right or reported, and the rows around it are read."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.transfer.csv_dialect import DELIMITERS, CsvDialect
from regulars.transfer.errors import BadFile
from regulars.transfer.records import Record
from regulars.transfer.stray_quotes import read_line
from tests.support import build_environment, copy_sqlite_template, example_count
from tests.test_import import Shop, counts
from tests.test_import_files import Table

HEADINGS = "email,name,notes\n"
BEFORE = "p@x.test,Pia,first\n"
AFTER = "y@x.test,Yan,last\nz@x.test,Zoe,\n"
DIALECTS = [
    (delimiter, end, encoding)
    for delimiter in ",;\t|"
    for end in ("\n", "\r\n", "\r")
    for encoding in ("utf-8", "utf-16", "cp1252")
]
# Lines and the cells of the row. They are read without a warning.
EXACT = {
    "a quote in an unquoted cell": ('a@x.test,Ana,5" pipe', ["Ana", '5" pipe']),
    "a quote at the end of an unquoted cell": ('a@x.test,5",x', ['5"', "x"]),
    "doubled quotes": ('a@x.test,"say ""hi""",""""', ['say "hi"', '"']),
    "several lines": ('a@x.test,Ana,"l1\nl2, ""q""\n\nl3"', ["Ana", 'l1\nl2, "q"\n\nl3']),
    "spaces around quotes": ('a@x.test, "Ana, M" , "c, d"', ["Ana, M", "c, d"]),
    "a row in quotes": ('"a@x.test,""Ana, M"",c"', ["Ana, M", "c"]),
    "a row of several lines in quotes": ('"a@x.test,""Ana\nM"",c"', ["Ana\nM", "c"]),
    "backslashes before quotes": ('a@x.test,"a \\"b\\"",c', ['a "b"', "c"]),
}
# These are read with a warning.
GUESSED = {
    "an inch in quotes": ('a@x.test,Ana,"5" pipe"', ["Ana", '5" pipe']),
    "an inch before the closing quote": ('a@x.test,"wants 5"",x', ['wants 5"', "x"]),
    "a nickname": ('a@x.test,"Bob "The Builder" Smith",x', ['Bob "The Builder" Smith', "x"]),
    "a delimiter within": ('a@x.test,"Bob "The, B" Smith",x', ['Bob "The, B" Smith', "x"]),
    "a delimiter after": ('a@x.test,"Bob "The B", Inc",x', ['Bob "The B", Inc', "x"]),
    "text after a closing quote": ('a@x.test,"Ana" b,c', ['"Ana" b', "c"]),
    "a missing opening quote": ('a@x.test,Ana, Maria",', ["Ana", ' Maria"']),
    "two ways to escape": ('a@x.test,"say ""x""","a \\"b\\" c"', ['say "x"', 'a "b" c']),
    "two lines": ('a@x.test,"say "hi"\nto him",x', ['say "hi"\nto him', "x"]),
    "three lines": ('a@x.test,Ana,"a 5" pipe, then\n\na "6""', ["Ana", 'a 5" pipe, then\n\na "6"']),
    "fewer cells": ('a@x.test,"the "one""', ['the "one"', ""]),
}


@pytest.fixture
def shop(new_database: str, tmp_path: Path) -> Shop:
    return Shop(new_database, tmp_path)


@pytest.fixture
def local(tmp_path: Path) -> Shop:
    return Shop(copy_sqlite_template(tmp_path / "shop.db"), tmp_path)


def table(lines: str, delimiter: str = ",", end: str = "\n", encoding: str = "utf-8") -> Table:
    text = f"{HEADINGS}{BEFORE}{lines}\n{AFTER}".replace(",", delimiter).replace("\n", end)
    return Table(text.encode(encoding), encoding=encoding)


def assert_others_are_read(records: list[Record], lines: int) -> None:
    """Assert that the rows before and after some lines are read unchanged."""
    first, *_, second_last, last = records
    assert (first.line, first.cells) == (2, ["p@x.test", "Pia", "first"])
    assert (second_last.line, second_last.cells) == (3 + lines, ["y@x.test", "Yan", "last"])
    assert (last.line, last.cells) == (4 + lines, ["z@x.test", "Zoe", ""])
    assert not any(r.problem or r.has_stray_quotes for r in (first, second_last, last))


@pytest.mark.parametrize(("delimiter", "end", "encoding"), DIALECTS)
def test_a_row_is_read_in_every_dialect(delimiter: str, end: str, encoding: str) -> None:
    for kinds, is_guess in ((EXACT, False), (GUESSED, True)):
        for name, (lines, cells) in kinds.items():
            records = table(lines, delimiter, end, encoding).records
            row = records[1]
            expected = [cell.replace(",", delimiter).replace("\n", end) for cell in cells]
            assert (row.line, row.cells, row.problem) == (3, ["a@x.test", *expected], None), name
            assert row.has_stray_quotes == is_guess, name
            assert_others_are_read(records, lines.count("\n") + 1)


@pytest.mark.parametrize(
    ("lines", "rejected"),
    [
        ('a@x.test,"Ana,n', [3]),
        ('"a@x.test,Ana,n', [3]),
        ('a@x.test,"Ana,n\nb@x.test,Ben,n\nc@x.test,"Cid, Jr",n', [3]),
        ('a@x.test,"Ana,n\nb@x.test,Ben,n\nc@x.test,"",n\nd@x.test,Dan,n', [3]),
        ('"a@x.test,Ana,n\n"b@x.test","Ben",n', [3]),
        ('a@x.test,"Ana,n\nb@x.test,"Ben,n\nc@x.test,Cid,n', [3, 4]),
        # Two ways to read it: the cell ends in the second or the third line.
        ('a@x.test,"a "b" c\nd",e\nf",g', [3]),
        # The quotes close a cell, but with too many others: a row of its own.
        ('a@x.test,Ana,"n\nb@x.test,Ben,n\nc@x.test,5",x', [3]),
        # A valid cell: its lines are not imported as customers, and each is reported.
        ('a@x.test,"Ana,n\nb@x.test,Ben,n\nc@x.test,5",x\nd@x.test,Dan,n', [3, 4, 5]),
        # In a file with damaged rows, it is not taken for valid.
        ('q@x.test,"M" "N",n\na@x.test,"Ana,n\nb@x.test,Ben,n\nc@x.test,5",x', [4]),
    ],
)
def test_an_unclosed_quote_damages_its_row_only(lines: str, rejected: list[int]) -> None:
    records = table(lines).records
    assert [r.line for r in records if r.problem] == rejected
    assert [r.line for r in records] == list(range(2, len(records) + 2))
    assert_others_are_read(records, lines.count("\n") + 1)


def test_unclosed_quotes_far_from_others_damage_their_rows_only() -> None:
    rows = [f"c{n}@x.test,Name,notes\n" for n in range(30_000)]
    rows[10] = 'c10@x.test,"Name,notes\n'
    rows[20_000] = 'c20000@x.test,5",notes\n'
    records = Table(HEADINGS + "".join(rows)).records
    assert [r.line for r in records if r.problem] == [12]
    assert len(records) == len(rows)


def test_rows_in_quotes_have_headings_in_quotes() -> None:
    result = Table('"email,name"\n"a@x.test,""Ana, M"""\n"b@x.test,Ben"\nc@x.test,Cid\n')
    assert result.headings == ["email", "name"]
    assert result.cells == [["a@x.test", "Ana, M"], ["b@x.test", "Ben"], ["c@x.test", "Cid"]]
    single = Table('email\n"a@x.test, b@x.test"\n"c@x.test, d@x.test"\n')
    assert single.headings == ["email"]
    assert single.cells == [["a@x.test, b@x.test"], ["c@x.test, d@x.test"]]


def test_headings_may_have_stray_quotes() -> None:
    result = Table('email,"the "name"",notes\na@x.test,Ana,x\n')
    assert result.headings == ["email", 'the "name"', "notes"]


def test_a_cell_that_is_too_long_is_reported_as_such() -> None:
    records = Table(f"{HEADINGS}{BEFORE}a@x.test,{'x' * 1_100_000},n\n{AFTER}").records
    assert "longer than 1,048,576 characters" in str(records[1].problem)
    assert_others_are_read(records, 1)


TEXT = st.lists(
    st.sampled_from(["Ana", "5 m", "D ", " n", "\n", '"', '""', "é", "x"]), max_size=4
).map(lambda parts: "".join(parts).strip())
DAMAGES = [
    *('5" D', '"5"', '"5" x"', '"wants 5""', '"Bob "The B" S"', '"Bob "T, B" S"', '"a \\"b\\" c"'),
    *('"Ana" b', ' "A, B" ', '"A, B" ', '"Ana', 'Ana"', '"', '"""', 'a""b', "WRAP", "INSERT"),
]


@settings(max_examples=example_count(400), deadline=None)
@given(st.data())
def test_every_row_is_read_unchanged_or_reported(data: st.DataObject) -> None:
    delimiter = data.draw(st.sampled_from(",;\t|"))
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting: Literal[0, 1] = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    width = data.draw(st.integers(2, 5))
    text = written(["email", *"abcd"[: width - 1]], delimiter, quoting) + end
    rows: list[tuple[int, str, str, list[str]]] = []
    line = 2
    for number in range(data.draw(st.integers(1, 12))):
        texts = [data.draw(TEXT).replace("D", delimiter) for _ in range(width - 1)]
        cells = [f"r{number}@x.test", *texts]
        damage = data.draw(st.none() | st.sampled_from(DAMAGES))
        row = written(cells, delimiter, quoting)
        if damage is not None:
            row = damaged(row, damage, delimiter, data.draw(st.integers(1, len(row))))
        rows.append((line, row, damage or "", cells))
        line += row.count("\n") + 1
        text += row + end
    result = Table(text.encode(), encoding="utf-8", delimiter=DELIMITERS[delimiter])
    by_line = {record.line: record for record in result.records}
    for start, row, damage, cells in rows:
        record = by_line[max(line for line in by_line if line <= start)]
        is_reported = record.problem or record.has_stray_quotes or record.surplus
        if record.line != start:  # two damaged rows may be a valid one, with this row in a cell
            assert is_reported
        elif not damage:
            is_held = record.problem and "look like rows" in record.problem
            assert is_held or (record.cells == cells and not is_reported)
        elif not is_reported:
            # The quotes are those of the file, or the rest of the row is a row without an email.
            rest = [by_line.get(start + more) for more in range(1, row.count("\n") + 1)]
            assert letters(row) == letters("".join(record.cells or ())) or any(rest)


def written(cells: list[str], delimiter: str, quoting: Literal[0, 1]) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=quoting).writerow(cells)
    return out.getvalue().removesuffix("\r\n")


def damaged(row: str, damage: str, delimiter: str, position: int) -> str:
    """Return a row with a stray quote at a position, within quotes, or with a damaged last cell."""
    if damage == "INSERT":
        return f'{row[:position]}"{row[position:]}'
    if damage == "WRAP":
        return '"' + row.replace('"', '""') + '"'
    kept = row.splitlines()[0].rpartition(delimiter)[0].replace('"', "")
    return kept + delimiter + damage.replace("D", delimiter)


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


@pytest.mark.parametrize(
    "row",
    ['"a"b,\n', 'a"b,"c\n', '"\n', '"a,"\n', 'x@x",y,"\n', '"""",""x\n', "a," * 50 + '"b" c\n'],
)
def test_damaged_rows_take_linear_time(row: str) -> None:
    content = "email,b\n" + row * (1_000_000 // len(row))
    start = time.process_time()
    with suppress(BadFile):  # too many unclosed quotes
        Table(content, encoding="utf-8", delimiter=",")
    # `Table` reads twice. A second per megabyte leaves room for a busy machine.
    assert time.process_time() - start < 6


@pytest.mark.parametrize(
    "line", ['"a,' * 300_000, '"a"b,' * 200_000, '"a"",' * 200_000, '\\",' * 300_000, '"' * 900_000]
)
def test_a_damaged_line_takes_linear_time(line: str) -> None:
    start = time.process_time()
    read_line(line, CsvDialect(","), 7)
    assert time.process_time() - start < 3


def test_stray_quotes_are_reported_and_the_rows_are_imported(shop: Shop) -> None:
    rows = [
        f'c{n}@x.test,"C{n} "The {n}"",n\n' if n % 3 else f"c{n}@x.test,C{n},n\n" for n in range(9)
    ]
    rows[4] = 'c4@x.test,"C4,n\n'
    result = shop.bring("email,first_name,notes\n" + "".join(rows))
    assert counts(result) == (8, 0, 0, 1)
    problems = {problem["kind"]: problem for problem in result["warnings"]}
    assert problems["warning_stray_quotes"]["count"] == 5
    assert problems["warning_stray_quotes"]["examples"][0]["line"] == 3
    assert {"email": "c1@x.test", "first_name": 'C1 "The 1"'} in shop.customers("email,first_name")


def test_stray_quotes_are_rejected_if_strict(local: Shop) -> None:
    result = local.bring('email,notes\na@x.test,"a "b" c"\nb@x.test,x\n', "--strict")
    assert counts(result) == (1, 0, 0, 1)


@pytest.mark.slow
def test_an_import_is_resumed_between_damaged_rows(local: Shop) -> None:
    def row(number: int) -> str:
        name = {3: '"N "M" O"', 4: '"N', 5: '"N\nO"', 6: '5"'}.get(number % 10, "N")
        return f"c{number}@x.test,{name},n\n"

    file = local.file("a.csv", "email,first_name,notes\n" + "".join(map(row, range(20_000))))
    command = [sys.executable, "-m", "regulars", "import", file]
    process = subprocess.Popen(
        command,
        env=build_environment(local.env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not local.emails() and process.poll() is None:
        assert time.monotonic() < deadline
    process.kill()
    process.wait(30)
    (result,) = json.loads(local.run("import", "--resume", "--json", file).stdout)
    assert counts(result) == (18_000, 0, 0, 2_000)
    assert len(local.emails()) == 18_000
    rejected = (local.folder / "a.rejected.csv").read_text().splitlines()
    assert len(set(rejected)) == len(rejected) == 2_001
