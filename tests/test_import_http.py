"""Files of customers over HTTP: `POST /import`, its report, and `GET /export`."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from regulars.accounts.accounts import Accounts
from regulars.core.clock import now_ms
from regulars.store import Store
from regulars.transfer.jobs import PROGRAM
from regulars.transfer.uploads import RECEIVING_MS, RETENTION_MS, forget_old
from tests.support import (
    Client,
    Server,
    create_token,
    find_account_name,
    find_processes,
    run_regulars,
    run_server,
    wait_until,
    with_store,
)

ENDED = ("done", "failed", "cancelled")


def send(client: Client, content: str | bytes, **options: Any) -> httpx.Response:
    body = content.encode() if isinstance(content, str) else content
    return client.http.post("/import", content=body, params=options)


def ended(client: Client, sent: httpx.Response) -> dict[str, Any]:
    """The import that was sent, once it has ended."""
    assert sent.status_code == 202, sent.text
    return wait(client, sent.headers["location"], *ENDED)


def wait(client: Client, location: str, *states: str, rows: int = 0) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        details: dict[str, Any] = client.http.get(location).json()["data"]
        if details["state"] in states and details["rows"] >= rows:
            return details
        time.sleep(0.05)
    raise AssertionError(f"still {details}")


def refused(answer: httpx.Response, status: int, key: str) -> str:
    assert answer.status_code == status, answer.text
    (error,) = answer.json()["errors"]
    assert error["key"] == key
    return str(error["message"])


def many(count: int) -> str:
    lines = [f"c{n}@x.test,First{n},Last{n},vip" for n in range(count)]
    return "email,first_name,last_name,tags\n" + "\n".join(lines) + "\n"


def test_a_file_is_imported_and_rejected_rows_are_returned(client: Client) -> None:
    content = "E-Mail,Vorname,Laune\nana@x.test,Ana,Ulm\nbad,Bo,=1+1\nben@x.test,Ben,Bonn\n"
    options = {"name": "Kunden.csv", "map": ["Vorname=first_name"]}
    sent = send(client, content, **options)
    accepted = sent.json()["data"]
    assert accepted["id"].startswith("imp_")
    assert accepted["recognised"]["columns"]["Vorname"] == "first_name"
    details = ended(client, sent)
    assert (details["state"], details["rows"], details["created"], details["rejected"]) == (
        "done",
        3,
        2,
        1,
    )
    assert (details["name"], details["by"], details["dry_run"]) == ("Kunden.csv", "test", False)
    assert details["bytes"] == details["bytes_read"] == len(content)
    (problem,) = details["problems"]
    assert problem["count"] == 1
    assert problem["examples"][0]["line"] == 3

    rejected = client.http.get(sent.headers["location"] + "/rejected")
    assert rejected.headers["content-disposition"] == 'attachment; filename="rejected.csv"'
    assert rejected.headers["cache-control"] == "no-store"
    header, row = csv.reader(io.StringIO(rejected.text))
    assert header == ["regulars_problem", "E-Mail", "Vorname", "Laune"]
    assert row[1:] == ["bad", "Bo", "'=1+1"]
    corrected = rejected.text.replace(",bad,", ",bo@x.test,")
    assert ended(client, send(client, corrected, **options))["created"] == 1
    query = "{ customers { edges { node { email custom } } } }"
    nodes = [edge["node"] for edge in client.data(query)["customers"]["edges"]]
    assert {"email": "bo@x.test", "custom": {"Laune": "=1+1"}} in nodes


def test_responses_have_the_number_of_the_last_change(client: Client) -> None:
    """With the number, a client reads its import from a replica that has it."""
    sent = send(client, "email\na@x.test\nbad\nb@x.test\n")
    assert sent.headers["Regulars-Change"] in ("0", "2")
    ended(client, sent)
    location = sent.headers["location"]
    gets = [
        client.http.get(path) for path in ("/import", location, f"{location}/rejected", "/export")
    ]
    answers = [*gets, client.http.delete(location), client.http.post("/export", json={"ids": []})]
    assert {answer.headers["Regulars-Change"] for answer in answers} == {"2"}


def test_the_history_names_the_file_and_the_request(client: Client) -> None:
    headers = {"X-Request-Id": "my-import"}
    sent = client.http.post("/import?name=a.csv", content="email\na@x.test\n", headers=headers)
    ended(client, sent)
    query = "{ customerChanges { edges { node { kind request_id actor { kind name } } } } }"
    (edge,) = client.data(query)["customerChanges"]["edges"]
    actor = {"kind": "import", "name": "a.csv"}
    assert edge["node"] == {"kind": "created", "request_id": "my-import", "actor": actor}


def test_compressed_files_and_json_lines_are_imported(client: Client) -> None:
    lines = '{"email": "ana@x.test", "tags": ["vip"]}\n{"email": "bad"}\n'
    sent = send(client, gzip.compress(lines.encode()))
    details = ended(client, sent)
    assert details["recognised"]["format"] == "jsonl"
    assert details["recognised"]["gzip"] is True
    assert (details["created"], details["rejected"]) == (1, 1)
    (line,) = client.http.get(sent.headers["location"] + "/rejected").text.splitlines()
    assert json.loads(line)["email"] == "bad"


def test_a_dry_run_saves_nothing(client: Client) -> None:
    sent = send(client, "email\na@x.test\nbad\n", dry_run="true")
    details = ended(client, sent)
    assert (details["dry_run"], details["created"], details["rejected"]) == (True, 1, 1)
    assert client.emails() == []
    message = refused(
        client.http.get(sent.headers["location"] + "/rejected"), 404, "errors_not_found"
    )
    assert "No row" in message


@pytest.mark.slow
def test_imports_are_listed_newest_first_and_deleted(client: Client, other: Client) -> None:
    places = []
    for name in ("one", "two"):
        sent = send(client, f"email\n{name}@x.test\n", name=name)
        ended(client, sent)
        places.append(sent.headers["location"])
    listed = client.http.get("/import").json()["data"]
    assert [row["name"] for row in listed] == ["two", "one"]
    assert other.http.get("/import").json()["data"] == []
    for answer in (other.http.get(places[0]), other.http.delete(places[0])):
        refused(answer, 404, "errors_not_found")
    assert client.http.delete(places[0]).status_code == 200
    refused(client.http.get(places[0]), 404, "errors_not_found")
    refused(client.http.get(places[1] + "/accepted"), 404, "errors_not_found")


@pytest.mark.slow
def test_an_import_is_cancelled(client: Client) -> None:
    sent = send(client, many(30_000))
    wait(client, sent.headers["location"], "running", rows=1)
    answer = client.http.delete(sent.headers["location"])
    assert answer.json()["data"]["state"] == "cancelled"
    # The next one waits until that one has stopped.
    ended(client, send(client, "email\nlast@x.test\n"))
    details = client.http.get(sent.headers["location"]).json()["data"]
    assert details["state"] == "cancelled"
    assert 0 < details["rows"] < 30_000
    total = client.data("{ customers { totalCount } }")["customers"]["totalCount"]
    assert total == details["created"] + 1


def test_a_waiting_import_is_cancelled(client: Client) -> None:
    sent = send(client, "email\na@x.test\n")
    client.http.delete(sent.headers["location"])
    details = wait(client, sent.headers["location"], *ENDED)
    assert details["state"] in ("cancelled", "done")  # it may have been faster


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_import_survives_a_restart(new_database: str, how: signal.Signals) -> None:
    status = 0 if how == signal.SIGTERM else -signal.SIGKILL
    with run_server(new_database, status=status) as server:
        token = create_token(server, "default")
        with Client(server, token) as client:
            sent = send(client, many(6_000) + "bad,,,\n")
            wait(client, sent.headers["location"], "running", rows=1)
        server.end(how)
    with run_server(new_database) as server, Client(server, token) as client:
        details = wait(client, sent.headers["location"], *ENDED)
        assert (details["state"], details["created"], details["rejected"]) == ("done", 6_000, 1)
        cursor = base64.b64encode(b'["change",5999]').decode()
        query = "query($c: String) { customerChanges(after: $c) { edges { node { sequence } } } }"
        edges = client.data(query, c=cursor)["customerChanges"]["edges"]
        assert [edge["node"]["sequence"] for edge in edges] == [6_000]  # no row twice
        rejected = client.http.get(sent.headers["location"] + "/rejected").text
        assert len(rejected.splitlines()) == 2


def test_a_file_of_several_parts_is_imported_completely(client: Client) -> None:
    notes = "n" * 60_000
    content = "email,notes\n" + "".join(f"c{n}@x.test,{notes}\n" for n in range(50))

    def pieces() -> Iterator[bytes]:
        data = content.encode()
        for start in range(0, len(data), 100_001):
            yield data[start : start + 100_001]

    sent = client.http.post("/import", content=pieces())
    details = ended(client, sent)
    assert (details["bytes"], details["created"]) == (len(content), 50)


@pytest.mark.parametrize(
    ("content", "options", "what"),
    [
        ("", {}, "is empty"),
        ("nothing,known\n1,2\n", {}, "email"),
        ("%PDF-1.7\n", {}, "is a PDF document. Export the customers as CSV."),
        ("email\na@x.test\n", {"map": "Mail=email"}, "Mail"),
        ("email\na@x.test\n", {"unknown": "keep"}, "unknown must be custom or drop or refuse"),
        ("email\na@x.test\n", {"encoding": "utf-88"}, "There is no encoding"),
        ("email\na@x.test\n", {"dryrun": "true"}, "Did you mean `dry_run`?"),
        ("email\na@x.test\n", {"dry_run": "perhaps"}, "`dry_run` must be true or false"),
        ("email\na@x.test\n", {"name": ["a", "b"]}, "more than once"),
        ("email\na@x.test\n", {"name": "a" * 201}, "at most 200"),
    ],
)
def test_an_invalid_upload_is_refused_immediately(
    client: Client, content: str, options: dict[str, Any], what: str
) -> None:
    assert what in refused(send(client, content, **options), 400, "errors_bad_request")
    assert client.http.get("/import").json()["data"] == []


@pytest.mark.slow
def test_an_import_runs_in_a_new_python(tmp_path: Path) -> None:
    """The servers of other tests fork their imports (tests/fork_server.py)."""
    url = f"sqlite:///{tmp_path / 'r.db'}"
    with run_server(url, env={"PYTHONUNBUFFERED": "1"}) as server:
        with Client(server, create_token(server)) as client:
            response = send(client, many(20_000))
            wait_until(lambda: find_processes(server.pid, PROGRAM))
            (process,) = find_processes(server.pid, PROGRAM)
            assert process.cmdline()[:3] == [sys.executable, "-m", PROGRAM]
            result = ended(client, response)
            assert (result["state"], result["created"]) == ("done", 20_000)


@pytest.mark.slow
def test_an_import_of_a_damaged_file_fails_with_the_reason(client: Client) -> None:
    damaged = gzip.compress(b"email\n" + b"bad\n" * 30_000)[:-20]
    details = ended(client, send(client, damaged))
    assert details["state"] == "failed"
    assert "incomplete or damaged" in details["message"]


@pytest.mark.slow
def test_a_failed_import_reports_the_rows_before_the_damage(client: Client) -> None:
    emails = ("bad" if n % 10 == 9 else f"f{n}@x.test" for n in range(1_800))
    rows = [f"{email},gid-1,{os.urandom(600).hex()}" for email in emails]
    content = gzip.compress("\n".join(["email,Customer ID,notes", *rows, ""]).encode())
    result = ended(client, send(client, content + gzip.compress(b"x" * 99)[:-9]))
    assert (result["state"], result["rejected"] > 0) == ("failed", True)
    counts = [group["count"] for group in (*result["problems"], *result["warnings"])]
    assert counts == [result["rejected"], result["created"] - 1]
    warned = client.http.get(f"/import/{result['id']}/warnings").text
    assert warned.count("gid-1") == result["rows_with_warnings"] == counts[1]


def test_other_bodies_and_methods_are_refused(client: Client) -> None:
    files = {"file": b"email\na@x.test\n"}
    message = refused(client.http.post("/import", files=files), 415, "errors_media_type")
    assert "curl -X POST -T FILE" in message
    headers = {"Content-Encoding": "br"}
    answer = client.http.post("/import", content=b"x", headers=headers)
    refused(answer, 415, "errors_media_type")
    answer = client.http.put("/import", content=b"x")
    refused(answer, 405, "errors_method")
    assert answer.headers["allow"] == "GET, POST"
    refused(client.http.post("/import/imp_1", content=b"x"), 404, "errors_not_found")
    sent = send(client, "email\na@x.test\nbad\n")
    ended(client, sent)
    refused(client.http.post(sent.headers["location"]), 405, "errors_method")
    refused(client.http.post(sent.headers["location"] + "/rejected"), 405, "errors_method")
    refused(client.http.put("/export"), 405, "errors_method")
    refused(client.http.get("/import/preview"), 405, "errors_method")


def test_imports_and_exports_need_their_scopes(server: Server) -> None:
    nobody = Client(server, "nothing")
    reader = Client(server, create_token(server, scopes=("customers:read",)))
    writer = Client(server, create_token(server, scopes=("customers:write",)))
    with nobody, reader, writer:
        refused(send(nobody, "email\na@x.test\n"), 401, "errors_unauthenticated")
        refused(nobody.http.get("/export"), 401, "errors_unauthenticated")
        assert "customers:write" in refused(send(reader, "email\n"), 403, "errors_scope")
        refused(reader.http.get("/import"), 403, "errors_scope")
        assert "customers:read" in refused(writer.http.get("/export"), 403, "errors_scope")
        assert send(writer, "email\na@x.test\n").status_code == 202
        assert reader.http.get("/export").status_code == 200


@pytest.mark.slow
def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'limit.db'}"
    options = ("--max-import-bytes", "5000", "--rate-limit", "1", "--rate-burst", "20000")
    with run_server(url, *options) as server:
        with Client(server, create_token(server)) as client:
            sent = send(client, "email\n" + "a" * 5_000)
            assert "REGULARS_MAX_IMPORT_BYTES" in refused(sent, 413, "errors_body_limit")

            def unannounced() -> Iterator[bytes]:
                for _ in range(6):
                    yield b"a" * 1_000

            refused(client.http.post("/import", content=unannounced()), 413, "errors_body_limit")
            assert client.http.get("/import").json()["data"] == []
            answers = [client.http.get("/export") for _ in range(30)]
            limited = [answer for answer in answers if answer.status_code == 429]
            assert limited
            refused(limited[0], 429, "rate_limit_reached")


def test_the_number_of_waiting_imports_of_an_account_is_limited(
    client: Client, other: Client
) -> None:
    first = send(client, many(20_000))
    sent = [send(client, "email\na@x.test\n") for _ in range(10)]
    assert "10 waiting imports" in refused(sent[-1], 503, "errors_unavailable")
    assert sent[-1].headers["retry-after"] == "60"
    assert send(other, "email\na@x.test\n").status_code == 202
    for answer in (*sent[:-1], first):
        client.http.delete(answer.headers["location"])


@pytest.mark.slow
def test_uploads_that_begin_at_once_do_not_exceed_the_limit(client: Client) -> None:
    address = urlsplit(client.server.url)
    head = (
        f"POST /import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n"
        "Content-Length: 100\r\n\r\nemail"
    )
    with ExitStack() as opened:
        pair = (str(address.hostname), address.port)
        sockets = [opened.enter_context(socket.create_connection(pair)) for _ in range(40)]
        for connection in sockets:
            connection.sendall(head.encode())

        def count_receiving() -> int:
            return len(client.http.get("/import").json()["data"])

        def refused() -> list[socket.socket]:
            return select.select(sockets, [], [], 0)[0]

        # An upload that is refused can be listed until it has been removed.
        wait_until(lambda: len(refused()) >= 30 and count_receiving() == 40 - len(refused()))
        assert all(b" 503 " in connection.recv(100) for connection in refused())


def test_imports_of_the_command_line_are_listed(client: Client, tmp_path: Path) -> None:
    account = find_account_name(client.server, client.token)
    env = {"REGULARS_DATABASE_URL": client.server.database_url}
    file = tmp_path / "mine.csv"
    file.write_text("email\na@x.test\nbad\n")
    assert run_regulars("import", str(file), "--account", account, env=env).returncode == 5
    (details,) = client.http.get("/import").json()["data"]
    assert (details["name"], details["created"], details["state"]) == ("mine.csv", 1, "done")
    refused(client.http.get(f"/import/{details['id']}/rejected"), 404, "errors_not_found")


@pytest.mark.slow
def test_old_imports_are_deleted(client: Client) -> None:
    sent = send(client, "email\na@x.test\nbad\n")
    ended(client, sent)

    def later(milliseconds: int) -> None:
        async def forget(store: Store) -> None:
            await forget_old(store, now_ms() + milliseconds)

        with_store(client.server.database_url, forget)

    later(RECEIVING_MS + 1)
    assert client.http.get(sent.headers["location"]).status_code == 200
    later(RETENTION_MS + 1)
    refused(client.http.get(sent.headers["location"]), 404, "errors_not_found")


@pytest.mark.slow
def test_an_export_equals_that_of_the_command_line(client: Client, tmp_path: Path) -> None:
    names: dict[str, Any] = {"first_name": "=SUM(A1)", "last_name": "Ünal", "tags": ["vip"]}
    client.create("ana@x.test", **names)
    for number in range(600):
        client.create(f"c{number}@x.test")
    account = find_account_name(client.server, client.token)
    env = {"REGULARS_DATABASE_URL": client.server.database_url}
    for form in ("csv", "jsonl"):
        target = tmp_path / f"out.{form}"
        done = run_regulars("export", str(target), "--account", account, env=env)
        assert done.returncode == 0, done.stderr
        answer = client.http.get("/export", params={"format": form})
        assert answer.content == target.read_bytes()
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["content-disposition"].endswith(f'"customers.{form}"')
        plain = client.http.get(
            "/export", params={"format": form}, headers={"Accept-Encoding": "identity"}
        )
        assert plain.content == answer.content
        assert "content-encoding" not in plain.headers


@pytest.mark.slow
def test_exports_without_a_reader_are_ended(client: Client) -> None:
    notes = "n" * 20_000
    content = "email,notes\n" + "".join(f"c{n}@x.test,{n}{notes}\n" for n in range(1_500))
    ended(client, send(client, content))
    headers = {"Accept-Encoding": "identity"}
    for _ in range(6):
        with client.http.stream("GET", "/export", headers=headers) as answer:
            assert answer.status_code == 200
            next(answer.iter_raw())
    deadline = time.monotonic() + 120
    while client.http.get("/export", params={"columns": "email"}).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_export_takes_a_query_and_columns(client: Client) -> None:
    client.create("ana@x.test", tags=["vip"])
    client.create("ben@x.test")
    options = {"query": "tag:vip", "columns": "email, id", "format": "csv"}
    text = client.http.get("/export", params=options).text
    assert text.splitlines()[0] == "email,id"
    assert len(text.splitlines()) == 2
    none = client.http.get("/export", params={"query": "tag:none", "columns": "email"})
    assert none.text == "email\r\n"
    invalid_options = {"columns": "emial"}, {"format": "xls"}, {"colums": "email"}
    for options in invalid_options:
        refused(client.http.get("/export", params=options), 400, "errors_bad_request")
    refused(client.http.get("/export", params={"query": "tag:("}), 400, "errors_invalid_query")


def previewed(client: Client, content: str | bytes, **options: Any) -> dict[str, Any]:
    answer = client.http.post("/import/preview", content=content, params=options)
    assert answer.status_code == 200, answer.text
    preview: dict[str, Any] = answer.json()["data"]
    return preview


def test_a_preview_imports_nothing(client: Client) -> None:
    file = "E-Mail;Vorname;Country Code\nana@example.com;Ana;MA\n"
    preview = previewed(client, file, map="Vorname=first_name")
    assert (preview["format"], preview["delimiter"], preview["problem"]) == ("csv", ";", None)
    columns = [(c["heading"], c["field"], c["samples"]) for c in preview["columns"]]
    assert columns == [
        ("E-Mail", "email", ["ana@example.com"]),
        ("Vorname", "first_name", ["Ana"]),
        ("Country Code", "shipping_address.country", ["MA"]),
    ]
    assert preview["rows"] == [["ana@example.com", "Ana", "MA"]]
    assert "accepts_marketing" in preview["fields"]
    assert client.emails() == []
    assert client.http.get("/import").json()["data"] == []


def test_a_preview_shows_ambiguous_columns_and_the_problem(client: Client) -> None:
    preview = previewed(client, "Post,Vorname\nAna-Post,Ana\n")
    assert "No column is recognized as the email" in preview["problem"]
    columns = [(column["heading"], column["field"]) for column in preview["columns"]]
    assert columns == [("Post", None), ("Vorname", "first_name")]
    assert preview["rows"] == [["Ana-Post", "Ana"]]
    preview = previewed(client, "ana@example.com,Ana\n", header="false", map="1=email")
    assert preview["problem"] is None
    assert [column["field"] for column in preview["columns"]] == ["email", "custom.2"]


def test_a_preview_omits_a_truncated_last_row(client: Client) -> None:
    lines = ["email,first_name", *[f"a{n}@example.com,Ana {n}" for n in range(8)]]
    text = "\n".join(lines)
    assert len(previewed(client, text)["rows"]) == 8
    assert len(previewed(client, text[:-3], whole="false")["rows"]) == 7
    many = [f"a{n}@example.com,{hashlib.sha256(b'%d' % n).hexdigest()}" for n in range(9_000)]
    packed = gzip.compress("\n".join(["email,first_name", *many]).encode())[:200_000]
    assert len(previewed(client, packed, whole="false")["rows"]) == 10
    refused(client.http.post("/import/preview", content=packed[:40]), 400, "errors_bad_request")
    preview = previewed(client, '{"email": "a@example.com", "tags": ["a"]}\n{"email": 5}\n')
    assert [column["heading"] for column in preview["columns"]] == ["email", "tags"]
    assert preview["rows"] == [["a@example.com", '["a"]'], ["5", ""]]


def test_a_preview_refuses_unusable_files(client: Client) -> None:
    refused(client.http.post("/import/preview", content=b""), 400, "errors_bad_request")
    large = b"email\n" + b"x" * 1024 * 1024
    refused(client.http.post("/import/preview", content=large), 413, "errors_body_limit")
    answer = client.http.post("/import/preview?dry_run=true", content=b"email\n")
    refused(answer, 400, "errors_bad_request")


def test_an_export_of_ids_keeps_their_order(client: Client) -> None:
    ids = [client.create(f"c{n}@example.com")["id"] for n in range(5)]
    gone = client.create("gone@example.com")["id"]
    client.delete(gone)
    payload = {"ids": [ids[3], gone, ids[1], "4", "nothing", ids[3]]}
    answer = client.http.post("/export", json=payload, params={"columns": "_id,email"})
    assert answer.text == "_id,email\r\n4,c3@example.com\r\n2,c1@example.com\r\n"
    assert client.http.post("/export", json={"ids": []}).text.count("\n") == 1
    bodies: list[Any] = [{}, {"ids": "x"}, {"ids": [1]}, [], {"ids": [], "x": 1}]
    for body in bodies:
        refused(client.http.post("/export", json=body), 400, "errors_bad_request")
    answer = client.http.post("/export", json={"ids": []}, params={"query": "ana"})
    refused(answer, 400, "errors_bad_request")


def test_a_write_token_cannot_read_stored_values_by_an_import(server: Server) -> None:
    """Whether a row changed something would tell a token without `customers:read` its values."""
    name = f"oracle {server.pid}"
    with_store(server.database_url, lambda store: Accounts(store).create(name))
    with (
        Client(server, create_token(server, name)) as owner,
        Client(server, create_token(server, name, scopes=("customers:write",))) as writer,
    ):
        owner.create("a@x.test", notes="secret")
        for guess in ("wrong", "secret"):
            sent = send(writer, f"email,notes\na@x.test,{guess}\nb\n")
            run = ended(writer, sent)
            assert (run["rows"], run["rejected"]) == (2, 1)
            assert run["created"] is run["updated"] is run["unchanged"] is None
            assert "regulars-change" not in sent.headers
        listed = writer.http.get("/import").json()["data"]
        assert {row["unchanged"] for row in listed} == {None}
        assert {row["unchanged"] for row in owner.http.get("/import").json()["data"]} == {0}
