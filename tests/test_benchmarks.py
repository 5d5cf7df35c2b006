"""The load generator and the reports of the benchmarks."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace

from benchmarks import contenders, load, report, targets
from benchmarks.compare import Results, Round

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def test_a_server_may_close_a_connection_that_has_no_more_requests() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/graphql"

        def answer_one_after_the_other() -> None:
            first, second = server.accept()[0], server.accept()[0]
            first.recv(4096)
            first.sendall(RESPONSE)
            first.close()
            with second:
                second.recv(4096)
                # Long enough for the generator to see the end of the first connection.
                time.sleep(0.3)
                second.sendall(RESPONSE)

        answering = threading.Thread(target=answer_one_after_the_other)
        answering.start()
        request = load.build_http_request(url, b"{}", "token")
        sample = load.send(url, iter([request, request]), 2, 0.0)
        answering.join()
    assert sample.request_count == 2


def test_the_report_opens_with_the_ratios_and_lists_each_missed_goal_once_with_its_reason() -> None:
    results = Results()
    for server, rate in (
        (contenders.REGULARS_SQLITE, 300.0),
        (contenders.MERCURIUS_SQLITE, 200.0),
        (contenders.FIXED_NODE, 600.0),
    ):
        results.memory[server] = 2**20
        results.starts[server] = [0.5]
        for letter in "LN":
            results.add(letter, server, Round(rate, 1 / rate, 0.001, 0.002))
    comparisons = list(targets.comparison_targets(results))
    others = list(targets.measured_targets(targets.EXTRAS, {"memory": 1.0, "two cpu": 1.2}))
    page = report.markdown(results, comparisons, others, "make bench", 1)

    headings = [line for line in page.split("\n") if line.startswith("## ")]
    assert headings == ["## Method", "## All figures", "## Goals that are not reached"]
    opening, missed = page.partition(headings[0])[0], page.partition(headings[-1])[2]
    assert "| L: list page of the reference, 25 customers | 1.5× |" in opening
    rows = [line for line in missed.split("\n") if line.startswith("| ")][2:]
    labels = [row.split(" | ")[0].removeprefix("| ") for row in rows]
    wanted = [t.label for t in (*comparisons, *others) if t.is_reached is False]
    assert labels == wanted
    assert f"L: requests/s of {contenders.REGULARS_SQLITE}, divided by" in labels[0]
    assert any("two" in label for label in labels)
    assert not any("memory" in label for label in labels)
    assert all(row.split(" | ")[-1].removesuffix(" |") for row in rows)


def test_every_goal_of_a_comparison_has_a_reason_for_the_case_that_it_is_missed() -> None:
    assert all(target.limit for target in targets.comparison_targets(Results()))


def test_the_pages_of_transfers_and_of_the_browser_list_missed_goals_with_reasons() -> None:
    figures = {"import SQLite": 9_000.0, "export SQLite": 200_000.0}
    page = report.transfers(
        list(targets.measured_targets(targets.TRANSFERS, figures)), "make bench", 1_000
    )
    results, _, missed = page.partition("## Goals that are not reached")
    assert "| export to CSV, SQLite | 200,000 rows/s |" in results
    assert "import of new customers, with their history, SQLite | at least 15,000 rows/s" in missed
    assert "One process writes" in missed
    assert "export" not in missed
    reached = [replace(target, measured=1.0) for target in targets.PAGES.values()]
    assert "Goals that are not reached" not in report.pages(reached, "make bench", 1)
