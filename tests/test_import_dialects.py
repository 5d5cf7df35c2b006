"""The dialects of CSV: quotes, line ends, widths and lines before the headings."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regulars.transfer.csv_dialect import detect_dialect, is_rule
from regulars.transfer.file_profile import MAX_SAMPLE, FileProfile, profile_columns
from regulars.transfer.import_options import Options
from regulars.transfer.input_file import open_input
from tests.support import example_count
from tests.test_import_files import Table


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ('a, b\nx, "Ana, Maria"\n', [["x", "Ana, Maria"]]),
        ('a; b\nx;   "Ana; ""M"""\n', [["x", 'Ana; "M"']]),
        ('a,b\nx,"He said \\"hi\\" ok"\n', [["x", 'He said "hi" ok']]),
        ('a,b\nx,"\\"hi\\""\ny,"C:\\\\dir, \\"q\\" x"\n', [["x", '"hi"'], ["y", 'C:\\dir, "q" x']]),
        ('a,b\n"C:\\dir\\",x\n"C:\\",y\n', [["C:\\dir\\", "x"], ["C:\\", "y"]]),
        ('a,b\n"say \\""hi\\""",x\n', [['say \\"hi\\"', "x"]]),
        ("'a','b'\n'x','O''Brien, A'\n", [["x", "O'Brien, A"]]),
        ("a,b\n'0612,x\n'07,y\n", [["'0612", "x"], ["'07", "y"]]),
        ("a,b\rx,1\ry,2\r", [["x", "1"], ["y", "2"]]),
        ("a,b\r\nx,1\ny,2\rz,3", [["x", "1"], ["y", "2"], ["z", "3"]]),
        ('a,b\r\nx,"1\r2\n3\r\n4"\r\n', [["x", "1\r2\n3\r\n4"]]),
        ("a,b\nx,\0\n", [["x", "\0"]]),
        ("a;b\nx\n;;;;\n  ; \n\ny;1;\nz;2; ;\n", [["x", ""], ["y", "1"], ["z", "2"]]),
        ("a,b,\nx,1\ny,2,\n", [["x", "1"], ["y", "2"]]),
        ("sep=;\r\na;b\r\nx,1;2\r\n", [["x,1", "2"]]),
        ('"sep=;"\na;b\nx,1;2\n', [["x,1", "2"]]),
        ("email^name\na@x^Ana, M\n", [["a@x", "Ana, M"]]),
        ("email~name\na@x~Ana\n", [["a@x", "Ana"]]),
        ("email\x1fname\na@x\x1fAna\n", [["a@x", "Ana"]]),
        # Tables of databases and of Markdown, and the end of a file of DOS
        ("| email | b |\n|---|:-:|\n| a@x | 1 |\n", [["", " a@x ", " 1 "]]),
        (" email | b \n-------+---\n a@x   | 1\n(1 row)\n", [[" a@x   ", " 1"]]),
        ("+---+---+\n| email | b |\n+---+---+\n| a@x | 1 |\n+---+---+\n", [["", " a@x ", " 1 "]]),
        ("email,b\na@x,1\n\x1a", [["a@x", "1"]]),
        ("email,b\na@x,-\n-,1\n", [["a@x", "-"], ["-", "1"]]),
        # Files that were appended
        (
            "email,b\na@x,1\nemail,b\nb@x,2\n\ufeffemail,b\nc@x,3\n",
            [["a@x", "1"], ["b@x", "2"], ["c@x", "3"]],
        ),
        # Numbers of rows without a heading
        ('"email","b"\n"1","a@x","x"\n"2","b@x","y"\n', [["1", "a@x", "x"], ["2", "b@x", "y"]]),
        ("email,b\n5,a@x,x\n6,b@x,y\n", [["5", "a@x"], ["6", "b@x"]]),
        # A list of emails without a heading
        ("a@x.test\nb@x.test\n", [["a@x.test"], ["b@x.test"]]),
        (
            "email:name:city\na@x:Ana:Porto\nb@x:Ben:Fès\n",
            [["a@x", "Ana", "Porto"], ["b@x", "Ben", "Fès"]],
        ),
        # No delimiters: some rows have other numbers of them, or the headings are none.
        (
            "email:name:city\na@x:Ana:Porto\nb@x\nc@x\n",
            [["a@x:Ana:Porto"], ["b@x"], ["c@x"]],
        ),
        ("email\na@x\nb@x^2\n", [["a@x"], ["b@x^2"]]),
        ("Time 10:30:00\n10:31:00\n", [["10:31:00"]]),
    ],
)
def test_a_dialect_is_recognised(text: str, cells: list[list[str]]) -> None:
    assert Table(text).cells == cells


def test_surplus_text_is_kept_apart() -> None:
    table = Table("email,b,,\na@x.test,1,,\nb@x.test,2,three,\nc@x.test,3,,,four\n")
    assert table.headings == ["email", "b"]
    assert [list(record.surplus) for record in table.records] == [
        *([], ["three", ""], ["", "", "four"])
    ]
    assert table.cells == [["a@x.test", "1"], ["b@x.test", "2"], ["c@x.test", "3"]]


@pytest.mark.parametrize(
    ("text", "headings", "skipped"),
    [
        (
            'Notes:\n"When exporting, you may notice, that"\n\nFirst Name,Email Address\nA,a@x.test\n',
            ["First Name", "Email Address"],
            3,
        ),
        (
            "Report,,\nOf:,2024-03-18,\n\nMail,Name,City\na@x.test,A,P\n",
            ["Mail", "Name", "City"],
            3,
        ),
        (
            "Our customers\nMail;Name;City\na@x.test;A;P\nb@x.test;B;Q\n",
            ["Mail", "Name", "City"],
            1,
        ),
        ("\n\nemail,b\na@x.test,1\n", ["email", "b"], 2),
        ('"A title\nof two lines"\n\nemail,b,c\na@x.test,1,2\n', ["email", "b", "c"], 3),
        # No preamble: the first line is of the usual width, or all others are rows.
        ("name,city\nA,P\nB,Q\n", ["name", "city"], 0),
        ("email\na@x.test\nb@x.test\n", ["email"], 0),
        ("mail,2023,2024\na@x.test,1,2\n,x,y\n", ["mail", "2023", "2024"], 0),
        ("mail,contact by\na@x.test,email\nb@x.test,email\n", ["mail", "contact by"], 0),
        ("mail,,,\na@x.test,1,2,3\nb@x.test,1,2,3\n", ["mail"], 0),
    ],
)
def test_lines_before_the_headings_are_skipped(
    text: str, headings: list[str], skipped: int
) -> None:
    table = Table(text)
    assert (table.headings, table.skipped_lines) == (headings, skipped)
    assert ("before the headings skipped" in table.summary) == bool(skipped)
    assert table.records[0].line > skipped + 1


def test_headings_beyond_the_first_lines_are_not_searched() -> None:
    text = "".join(f"title {n}\n" for n in range(60)) + "email,b\na@x.test,1\n"
    assert Table(text).skipped_lines == 0


def test_a_file_without_headings_has_no_preamble() -> None:
    table = Table("A title\nemail,b\na@x.test,1\n", header=False)
    assert table.headings == ["1"]
    assert len(table.records) == 3


CELL = st.text(st.sampled_from("ab1 \\\"';,|\t\n\r@.é"), max_size=6)


@settings(max_examples=example_count(300), deadline=None)
@example([[",", " \r"]], ",", csv.QUOTE_ALL)
@given(
    st.lists(st.lists(CELL, min_size=2, max_size=2), max_size=6),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_valid_csv_is_read_exactly(
    rows: list[list[str]], delimiter: str, quoting: Literal[0, 1]
) -> None:
    """RFC 4180: quotes are doubled, and no heuristic changes a cell."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting)
    writer.writerows([["email", "notes"], *rows])
    table = Table(out.getvalue(), encoding="utf-8")
    texts = ("".join(row) for row in rows)
    expected = [
        row for row, text in zip(rows, texts, strict=True) if text.strip() and not is_rule(text)
    ]
    assert table.cells == expected


@settings(max_examples=example_count(200), deadline=None)
@given(st.text(max_size=60))
def test_any_text_has_a_dialect(text: str) -> None:
    dialect = detect_dialect(text)
    assert dialect.heading_line >= 1
    assert list(dialect.reader(io.StringIO("a" + dialect.delimiter + "b\n"))) == [["a", "b"]]


@pytest.mark.parametrize(
    "text",
    [" " * 65_000 + "x", "1" + " " * 65_000 + "x", "'" * 65_000, '\\"' * 32_000, ",'" * 30_000],
)
@pytest.mark.parametrize("delimiter", [" ", None])
def test_detection_takes_linear_time(text: str, delimiter: str | None) -> None:
    start = time.process_time()
    detect_dialect(f"a,b\n{text}\n", delimiter)
    assert time.process_time() - start < 1


def profile_of(path: Path, text: str) -> FileProfile:
    path.write_text(text)
    with open_input(str(path)) as file:
        return profile_columns(file, Options())


def test_columns_are_profiled(tmp_path: Path) -> None:
    rows = "".join(f"a{n}@x.test,{'x' if n % 4 == 0 else ''}, \n" for n in range(1_000))
    profile = profile_of(tmp_path / "a.csv", f"email,b,c\n{rows}")
    assert profile.headings == ("email", "b", "c")
    assert [(c.filled, c.rows) for c in profile.columns] == [
        (1000, 1000),
        (250, 1000),
        (1000, 1000),
    ]
    assert profile.columns[0].sample[:2] == ("a0@x.test", "a1@x.test")
    assert [len(c.sample) for c in profile.columns] == [MAX_SAMPLE, 1, 0]
    assert profile.is_whole
    long = profile_of(tmp_path / "b.csv", "email\n" + "a@x.test\n" * 20_001)
    assert (long.columns[0].rows, long.is_whole) == (20_000, False)


def test_json_objects_are_profiled(tmp_path: Path) -> None:
    profile = profile_of(
        tmp_path / "a.json", '[{"email":"a@x.test","a":{"b":1}},{"email":"b","tags":["x","y"]}]'
    )
    assert profile.headings == ("email", "a.b", "tags")
    assert [c.filled for c in profile.columns] == [2, 1, 1]
    assert profile.columns[2].sample == ("x, y",)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_observer_gets_values_until_it_needs_no_more(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    dates = [f"01/{n % 12 + 1:02d}/{2000 + n % 20}" for n in range(25_000)] + ["31/12/2020"]
    if kind == "csv":
        path.write_text("email,date\n" + "".join(f"a@x.test,{date}\n" for date in dates))
    else:
        path.write_text("".join(f'{{"email":"a","date":"{date}"}}\n' for date in dates))
    batches: list[list[str]] = []

    def observe(values: Iterable[str]) -> bool:
        batches.append(list(values))
        return "31/12/2020" in batches[-1]

    with open_input(str(path)) as file:
        profile = profile_columns(file, Options(), lambda _: {1: observe})
        assert not profile.is_whole
        assert [value for batch in batches[1:] for value in batch] == dates
        batches.clear()

        def observe_sample(values: Iterable[str]) -> bool:
            batches.append(list(values))
            return True

        profile_columns(file, Options(), lambda _: {1: observe_sample})
        assert len(batches) == 1  # the sample was enough
        assert file.stream.readline() in ("email,date\n", '{"email":"a","date":"01/01/2000"}\n')
