"""Files of customers: in by `regulars import`, out by `regulars export`."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest

from regulars.cli.errors import error_message
from regulars.core.errors import Rejected
from regulars.customers.bulk import SetCustomers, Step
from regulars.store import Store
from tests.support import (
    CommandResult,
    build_environment,
    copy_sqlite_template,
    run_regulars,
    wait_until,
    with_store,
)


class Shop:
    """An account on a database of its own, from the command line."""

    def __init__(self, url: str, folder: Path) -> None:
        self.env = {"REGULARS_DATABASE_URL": url}
        self.url = url
        self.folder = folder
        assert self.run("account", "create", "shop").returncode == 0

    def run(self, *arguments: str, **env: str) -> CommandResult:
        return run_regulars(*arguments, env={**self.env, **env})

    def file(self, name: str, content: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def bring(self, content: str | bytes, *options: str, name: str = "a.csv") -> dict[str, Any]:
        """What an import of a file prints as JSON."""
        done = self.run("import", self.file(name, content), "--json", *options)
        assert done.returncode in (0, 5), done.stderr
        result: dict[str, Any] = json.loads(done.stdout)[0]
        assert (done.returncode == 5) == bool(result["rejected"])
        return result

    def customers(self, columns: str = "email", account: str = "shop") -> list[dict[str, Any]]:
        options = ("--format", "jsonl", "--columns", columns, "--account", account)
        target = self.folder / "out.jsonl"
        assert self.run("export", str(target), *options).returncode == 0
        return [json.loads(line) for line in target.read_text().splitlines()]

    def emails(self) -> list[str]:
        return [row["email"] for row in self.customers()]


@pytest.fixture
def shop(new_database: str, tmp_path: Path) -> Shop:
    return Shop(new_database, tmp_path)


@pytest.fixture
def local(tmp_path: Path) -> Shop:
    """A shop on SQLite: for what is read, which is the same on both."""
    return Shop(copy_sqlite_template(tmp_path / "shop.db"), tmp_path)


def counts(result: dict[str, Any]) -> tuple[int, int, int, int]:
    return tuple(result[n] for n in ("created", "updated", "unchanged", "rejected"))


def test_a_row_creates_updates_or_does_not_change_a_customer(shop: Shop) -> None:
    first = shop.bring("email,first_name\nana@x.test,Ana\nben@x.test,Ben\n")
    assert counts(first) == (2, 0, 0, 0)
    again = shop.bring("email,first_name\nana@x.test,Ana\nBEN@x.test,Benno\ncid@x.test,\n")
    assert counts(again) == (1, 1, 1, 0)
    rows = shop.customers("_id,email,first_name,version")
    assert rows[1] == {"_id": 2, "email": "BEN@x.test", "first_name": "Benno", "version": 2}
    assert shop.run("verify").stdout.endswith("The data is consistent.\n")


def test_a_second_row_for_a_customer_updates_the_first(shop: Shop) -> None:
    result = shop.bring("email,phone\na@x.test,1\nA@X.test,2\n")
    assert counts(result) == (1, 1, 0, 0)
    assert shop.customers("phone") == [{"phone": "2"}]


ENCODINGS = {
    "a BOM": "\ufeffemail;first_name\nana@x.test;ÀÉ €\n".encode(),
    "utf-16": "email;first_name\nana@x.test;ÀÉ €\n".encode("utf-16"),
    "utf-16 without a BOM": "email;first_name\nana@x.test;ÀÉ €\n".encode("utf-16-le"),
    "windows-1252": "email;first_name\nana@x.test;ÀÉ €\nb@x.test;Zoë\nc@x.test;François\n".encode(
        "cp1252"
    ),
    "gzip": gzip.compress("email;first_name\nana@x.test;ÀÉ €\n".encode()),
    "a separator's line": "sep=;\nemail;first_name\nana@x.test;ÀÉ €\n".encode(),
    "tabs": "email\tfirst_name\r\nana@x.test\tÀÉ €\r\n".encode(),
    "pipes": "email|first_name\rana@x.test|ÀÉ €\r".encode(),
    "mixed line ends": "email,first_name\r\nx@x.test,Ex\rana@x.test,ÀÉ €\n".encode(),
    "JSON Lines": '{"email":"ana@x.test","first_name":"ÀÉ €"}\n'.encode(),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODINGS)
def test_a_file_is_read_in_its_format_and_encoding(local: Shop, name: str) -> None:
    result = local.bring(ENCODINGS[name])
    assert result["rejected"] == 0
    assert {"email": "ana@x.test", "first_name": "ÀÉ €"} in local.customers("email,first_name")


def test_cells_hold_quotes_line_breaks_and_delimiters(local: Shop) -> None:
    local.bring('email,notes,tags\na@x.test,"He said ""hi"",\nand went","vip,""a, b"""\n')
    (row,) = local.customers("notes,tags")
    assert row == {"notes": 'He said "hi",\nand went', "tags": ["vip", "a, b"]}


def test_rejected_rows_have_a_reason_and_can_be_corrected_and_imported(shop: Shop) -> None:
    content = 'email,country,phone\nana@x.test,FR,1\nbad,Nowhere,=2\n"cid@x.test,US\n'
    result = shop.bring(content)
    assert counts(result) == (1, 0, 0, 2)
    rejected = Path(result["rejected_file"])
    assert rejected.stat().st_mode & 0o777 == 0o600
    lines = rejected.read_text().splitlines()
    assert lines[0] == "regulars_problem,email,country,phone"
    assert lines[1].endswith(",bad,Nowhere,'=2")
    assert lines[1].startswith("Row 3: email: The email is not valid")
    assert lines[2].startswith('"Row 4: Unclosed quote.')
    kinds = {problem["kind"] for problem in result["problems"]}
    assert "errors_invalid_input email" in kinds
    refused = shop.run("import", str(shop.folder / "a.csv"))
    assert refused.returncode == 2
    assert "with rejected rows of an earlier import" in refused.stderr
    corrected = rejected.read_text().replace(",bad,Nowhere", ",bad@x.test,Spain")
    rejected.unlink()
    result = shop.bring(corrected.replace('"""cid@x.test,US"', "cid@x.test,US"), name="b.csv")
    assert counts(result) == (2, 0, 0, 0)
    assert {"email": "bad@x.test", "phone": "=2"} in shop.customers("email,phone")


def test_unreadable_rows_are_rejected_and_the_others_imported(local: Shop) -> None:
    content = (
        b'email,first_name\na@x.test,Ana\nb@x.test,"never closed\nc@x.test,Cid\n'
        b"d@x.test,\xff\xfe\ne@x.test,Eva\n"
    )
    result = local.bring(content, "--encoding", "utf-8")
    assert counts(result) == (3, 0, 0, 2)
    assert local.emails() == ["a@x.test", "c@x.test", "e@x.test"]
    rejected = Path(result["rejected_file"]).read_bytes()
    assert b"never closed" in rejected
    assert b"--encoding" in rejected
    assert b",d@x.test,\xff\xfe\r\n" in rejected


def test_a_line_over_the_length_limit_is_rejected(local: Shop) -> None:
    content = f"email,notes\na@x.test,short\nb@x.test,{'x' * 5_000_000}\nc@x.test,\n"
    result = local.bring(content)
    assert counts(result) == (2, 0, 0, 1)
    (problem,) = result["problems"]
    assert problem["examples"][0]["line"] == 3


REFUSED = {
    "nothing": ("", "is empty"),
    "No email": ("name,city\nAna,Rabat\n", "--map 'E-mail=email'"),
    "no headings": ("ana@x.test,Ana\nben@x.test,Ben\n", "--no-header"),
    "too many columns": (",".join(["email", *map(str, range(100_000))]) + "\n", "100,001 columns"),
    "a PDF document": ("%PDF-1.7\n", "is a PDF document. Export the customers as CSV."),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_an_unusable_file_is_refused_with_a_reason(local: Shop, name: str) -> None:
    content, message = REFUSED[name]
    done = local.run("import", local.file("a.csv", content))
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert local.emails() == []


def test_a_file_with_headings_only_is_valid(local: Shop) -> None:
    assert local.bring("email,first_name\n")["rows"] == 0


@pytest.mark.slow
def test_rows_before_the_damage_of_an_archive_are_imported(local: Shop) -> None:
    rows = "".join(f"a{n}@x.test,{os.urandom(200).hex()}\n" for n in range(20_000))
    packed = gzip.compress(f"email,notes\n{rows}".encode())
    done = local.run("import", local.file("a.csv.gz", packed[: len(packed) // 2]))
    assert done.returncode == 1
    assert "incomplete or damaged" in done.stderr
    assert local.emails()


def test_columns_are_mapped_dropped_and_kept(local: Shop) -> None:
    content = "Kunde,Mobil,Punkte,Intern\nana@x.test,1,7,secret\n"
    maps = ("--map", "Kunde=email", "--map", "Mobil=phone", "--map", "Intern=-")
    local.bring(content, *maps)
    assert local.customers("phone,custom") == [{"phone": "1", "custom": {"Punkte": "7"}}]
    invalid = local.run("import", local.file("b.csv", content), "--map", "Kunde=emial")
    assert invalid.returncode == 2
    assert "Did you mean `email`?" in invalid.stderr
    unknown = local.run("import", local.file("b.csv", content), *maps, "--unknown", "refuse")
    assert "No field fits the column 'Punkte'" in unknown.stderr
    absent = local.run("import", local.file("b.csv", content), "--map", "Nobody=email")
    assert "no column 'Nobody'" in absent.stderr


def test_a_file_without_headings_is_mapped_by_column_number(local: Shop) -> None:
    local.bring("ana@x.test,Ana\n", "--no-header", "--map", "1=email", "--map", "2=first_name")
    assert local.customers("email,first_name") == [{"email": "ana@x.test", "first_name": "Ana"}]


def test_empty_cells_keep_or_clear(local: Shop) -> None:
    local.bring("email,phone,notes,tags,city\na@x.test,1,note,vip,Rabat\n")
    empty = "email,phone,notes,tags,city\na@x.test,,,,\n"
    assert local.bring(empty, name="b.csv")["unchanged"] == 1
    assert local.bring(empty, "--empty", "clear", name="c.csv")["updated"] == 1
    (row,) = local.customers("phone,notes,tags,shipping_address")
    assert row == {"phone": "", "notes": None, "tags": [], "shipping_address": None}


def test_ids_of_the_file_are_used_if_they_are_free(shop: Shop) -> None:
    own = ("--map", "_id=_id")
    assert counts(shop.bring("_id,email\n7,a@x.test\n3,b@x.test\n", *own)) == (2, 0, 0, 0)
    assert [row["_id"] for row in shop.customers("_id")] == [3, 7]
    shop.bring("email\nc@x.test\n", name="b.csv")
    assert [row["_id"] for row in shop.customers("_id")] == [3, 7, 8]
    # The email selects the customer. The `_id` of another customer is not assigned.
    content = "_id,email\n7,new@x.test\n9,a@x.test\n"
    assert counts(shop.bring(content, *own, name="c.csv")) == (1, 0, 1, 0)
    assert [row["_id"] for row in shop.customers("_id")] == [3, 7, 8, 9]
    by_id = shop.bring("_id,email\n7,other@x.test\n12,d@x.test\n", "--match", "_id", name="d.csv")
    assert counts(by_id) == (1, 1, 0, 0)
    assert shop.run("verify").stdout.endswith("The data is consistent.\n")


def test_a_dry_run_reports_outcomes_and_saves_nothing(shop: Shop) -> None:
    shop.bring("email,phone\na@x.test,1\n")
    rows = "".join(f"n{n}@x.test,\n" for n in range(1_500))
    content = f"email,phone\na@x.test,2\n{rows}n0@x.test,3\nbad,\n"
    dry = shop.bring(content, "--dry-run", name="b.csv")
    assert counts(dry) == (1_500, 2, 0, 1)
    assert dry["rejected_file"] is None
    assert shop.emails() == ["a@x.test"]
    assert counts(shop.bring(content, name="b.csv")) == (1_500, 2, 0, 1)


@pytest.mark.slow
def test_an_export_imports_into_an_empty_account_and_exports_to_the_same_bytes(shop: Shop) -> None:
    assert shop.run("sample", "--customers", "300").returncode == 0
    shop.bring(
        "email,first_name,last_name,notes,tags,custom\n"
        'x@x.test,=cmd(),\'+1,"-a\nb","\'a,""@, x""","{""a"":[1,{""b"":null}]}"\n'
    )
    for form in ("csv", "jsonl", "csv.gz"):
        first, second = (str(shop.folder / f"{name}.{form}") for name in ("first", "second"))
        assert shop.run("export", first, "--account", "shop").returncode == 0
        assert shop.run("account", "create", form).returncode == 0
        assert shop.run("import", first, "--account", form).returncode == 0
        assert shop.run("export", second, "--account", form).returncode == 0
        assert Path(first).read_bytes() == Path(second).read_bytes()
    assert shop.run("verify").stdout.endswith("The data is consistent.\n")


def test_no_cell_of_an_export_is_a_formula(local: Shop) -> None:
    names = ["=1+1", "+1", "-1", "@a", "\t=1", "'=1", "''", "＝1"]
    rows = [{"email": f"a{n}@x.test", "first_name": name} for n, name in enumerate(names)]
    local.bring("\n".join(json.dumps(row) for row in rows))
    target = local.folder / "x.csv"
    assert local.run("export", str(target), "--columns", "first_name").returncode == 0
    cells = target.read_text().splitlines()[1:]
    assert cells == ["'=1+1", "'+1", "'-1", "'@a", "'=1", "''=1", "'''", "'＝1"]
    assert local.run("export", str(target)).returncode == 0
    assert local.bring(target.read_text(), name="b.csv")["unchanged"] == len(names)


@pytest.mark.slow
def test_an_export_filters_sorts_and_selects_columns(shop: Shop) -> None:
    shop.run("sample", "--customers", "50")
    options = ("--query", "expenses:>0 order_by:expenses", "--columns", "email,expenses,full_name")
    done = shop.run("export", "--format", "jsonl", *options, str(shop.folder / "x.jsonl"))
    assert done.returncode == 0
    rows = [json.loads(line) for line in (shop.folder / "x.jsonl").read_text().splitlines()]
    spent = [row["expenses"] for row in rows]
    assert spent == sorted(spent, reverse=True)
    assert spent[-1] > 0
    invalid = shop.run("export", "--columns", "emial", str(shop.folder / "y.csv"))
    assert (invalid.returncode, "Did you mean `email`?" in invalid.stderr) == (2, True)
    assert not (shop.folder / "y.csv").exists()
    query = shop.run("export", "--query", "nokey:1", str(shop.folder / "y.csv"))
    assert query.returncode == 1
    assert "nokey" in query.stderr


@pytest.mark.slow
def test_a_stopped_import_is_resumed(shop: Shop) -> None:
    rows = [
        # One in a hundred is rejected, and one in seven has a control character.
        (f"a{n}@x.test," if n % 100 else f"bad{n},") + ("" if n % 7 else "\x07") + str(n)
        for n in range(8_000)
    ]
    file = shop.file("a.csv", "email,phone\n" + "\n".join(rows) + "\n")
    assert "no stopped import" in shop.run("import", "--resume", file).stderr
    for how in (signal.SIGINT, signal.SIGKILL):
        resume = () if how == signal.SIGINT else ("--resume",)
        before = len(shop.emails())
        process = subprocess.Popen(
            [sys.executable, "-m", "regulars", "import", file, *resume],
            env=build_environment(shop.env),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 120
        while len(shop.emails()) <= before and process.poll() is None:
            assert time.monotonic() < deadline
        process.send_signal(how)
        process.wait(30)
    done = shop.run("import", "--resume", "--json", file)
    assert done.returncode in (2, 5), (
        done.stderr
    )  # it may have come to its end before it was killed
    assert len(shop.emails()) == 7_920
    rejected = (shop.folder / "a.rejected.csv").read_text().splitlines()
    assert len(rejected) == 81
    assert len(set(rejected)) == 81
    if done.returncode == 5:
        (result,) = json.loads(done.stdout)
        assert counts(result) == (7_920, 0, 0, 80)
        assert result["rows_with_warnings"] == len(
            [n for n in range(8_000) if n % 7 == 0 and n % 100]
        )


def test_a_complete_import_cannot_be_resumed(shop: Shop) -> None:
    shop.bring("email\na@x.test\n")

    async def late(store: Store) -> Rejected:
        step = Step("imp_none", 0, 1, 0, 0, "{}")
        with pytest.raises(Rejected) as refused:
            await store.write(1, SetCustomers((), 0, step=step))
        return refused.value

    refused = with_store(shop.url, late)
    assert [problem.key for problem in refused.problems] == ["errors_import_stopped"]
    assert "imp_none" in error_message(refused)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux has classes of processes")
def test_an_import_lowers_its_priority(local: Shop) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "regulars", "import", "-"],
        env=build_environment(local.env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as importing:
        wait_until(lambda: os.sched_getscheduler(importing.pid) == os.SCHED_BATCH)
        assert psutil.Process(importing.pid).nice() > psutil.Process().nice()
        printed, _ = importing.communicate(b"email\nana@x.test\n", 30)
    assert b"1        1" in printed


@pytest.mark.slow
def test_standard_input_is_imported_and_standard_output_written(local: Shop) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "regulars", "import", "-"],
        input=b"email\nana@x.test\n",
        env=build_environment(local.env),
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert b"1        1" in done.stdout
    result = subprocess.run(
        [sys.executable, "-m", "regulars", "export", "--columns", "email"],
        env=build_environment(local.env),
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert result.stdout == b"email\r\nana@x.test\r\n"


@pytest.mark.parametrize("at", ["regulars.transfer.row_parser.clean_values"])
def test_an_internal_error_rejects_one_row_of_a_file(
    shop: Shop, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = at.rpartition(".")
    real = getattr(import_module(module), name)

    def fails(node: Any, path: Any) -> Any:
        if node.get("email") == "o'faulty@shop.test":
            raise RuntimeError("a fault of ours")
        return real(node, path)

    monkeypatch.setattr(at, fails)
    content = "email,first_name\nana@shop.test,Ana\no'faulty@shop.test,F\nben@shop.test,Ben\n"
    result = shop.bring(content)
    assert (result["created"], result["rejected"]) == (2, 1)
    assert "errors_internal" in json.dumps(result["problems"])
