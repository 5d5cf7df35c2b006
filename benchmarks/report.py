"""Write the report: tables, JSON, and a chart for the docs."""

from __future__ import annotations

import json
import platform
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import contenders
from benchmarks.compare import Results
from benchmarks.searches import SearchLatency, table
from benchmarks.targets import Target
from benchmarks.work import ALL
from regulars.core.counts import count_of

_TOP, _LEFT, _WIDTH, _BAR = 44, 36, 600, 17
_COLOURS = {
    contenders.REGULARS_SQLITE: "#0b4f9e",
    contenders.REGULARS_POSTGRESQL: "#5b9bd8",
    contenders.MERCURIUS_SQLITE: "#b4590a",
    contenders.MERCURIUS_POSTGRESQL: "#eda35a",
    contenders.STRAWBERRY: "#b02a4c",
    contenders.FASTAPI: "#777777",
}

DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmark"


def rows(results: Results) -> list[dict[str, Any]]:
    """Returns the medians, one row for each workload and server."""
    return [
        {
            "work": letter,
            "server": server,
            "requests_per_second": round(results.median(letter, server, lambda run: run.rate), 1),
            "cpu_us": round(results.median(letter, server, lambda run: run.cpu_seconds) * 1e6, 1),
            "p50_ms": round(results.median(letter, server, lambda run: run.p50) * 1e3, 2),
            "p99_ms": round(results.median(letter, server, lambda run: run.p99) * 1e3, 2),
        }
        for letter, server in sorted(
            results.rounds, key=lambda key: (_workload_index(key[0]), key[1])
        )
    ]


def _workload_index(letter: str) -> int:
    return [work.letter for work in ALL].index(letter)


def _build() -> str:
    """Returns a note for a Python built without profile-guided optimisation, which is a sixth
    slower."""
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    return "" if "--enable-optimizations" in options else " (built without optimizations)"


def markdown(
    results: Results,
    comparisons: Sequence[Target],
    others: Sequence[Target],
    command: str,
    rounds: int,
    search_latencies: Sequence[SearchLatency] = (),
) -> str:
    """Returns the page of the comparison, and of the other measurements."""
    lines = [
        "<!-- Written by make bench. -->",
        "# Results",
        "",
        "This page compares the speed of Regulars with that of its peers.",
        "",
        "![Requests per second, in % of the fastest server](chart.svg)",
        "",
        *_ratio_table(results),
        "",
        "## Method",
        "",
        f"`{command}` ran {count_of(rounds, 'round')} on {platform.machine()} with Python "
        f"{platform.python_version()}{_build()}. In each round, every workload runs on every "
        "server in turn. The server has one core; PostgreSQL and the load generator share the "
        "other. Figures are medians. Another machine, or another day on this one, gives other "
        "figures, so compare figures of this page only. [The benchmark](README.md) describes the "
        "workloads, the servers and the method.",
        "",
        "## All figures",
        "",
        "| workload | server | requests/s | CPU per request | p50 | p99 |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows(results):
        latency = f"{row['p50_ms']} ms | {row['p99_ms']} ms" if row["p50_ms"] else "|"
        lines.append(
            f"| {row['work']} | {row['server']} | {row['requests_per_second']:,.0f} "
            f"| {row['cpu_us']:,.0f} µs | {latency} |"
        )
    lines += [
        "",
        "| server | start to first answer | resident memory at the end |",
        "| --- | ---: | ---: |",
    ]
    for server, memory in results.memory.items():
        start = results.starts[server][0]
        lines.append(f"| {server} | {start:.2f} s | {memory / 2**20:,.0f} MiB |")
    lines += _other_figures(others)
    lines += table(list(search_latencies))
    return "\n".join([*lines, *_missed_goals([*comparisons, *others])]) + "\n"


# The peers with the server of Regulars on the same database.
_PEERS = (
    (contenders.REGULARS_SQLITE, contenders.MERCURIUS_SQLITE),
    (contenders.REGULARS_POSTGRESQL, contenders.MERCURIUS_POSTGRESQL),
    (contenders.REGULARS_POSTGRESQL, contenders.STRAWBERRY),
    (contenders.REGULARS_POSTGRESQL, contenders.FASTAPI),
)


def _ratio_table(results: Results) -> list[str]:
    """Returns the requests per second of Regulars, divided by those of each peer."""
    peers = [pair for pair in _PEERS if pair[1] in results.memory]
    if not peers:
        return []
    lines = [
        "Requests per second of Regulars, divided by those of each peer on the same database:",
        "",
        f"| workload | {' | '.join(peer for _, peer in peers)} |",
        f"| --- |{' ---: |' * len(peers)}",
    ]
    for work in ALL:
        ratios = [
            results.ratio(work.letter, ours, [peer], lambda run: run.rate) for ours, peer in peers
        ]
        if any(ratios):
            cells = " | ".join("" if ratio is None else f"{ratio:.1f}×" for ratio in ratios)
            lines.append(f"| {work.letter}: {work.title} | {cells} |")
    return lines


def _other_figures(targets: Sequence[Target]) -> list[str]:
    """Returns what was measured in addition to the comparison of the servers."""
    if not any(target.measured for target in targets):
        return []
    lines = ["", "| measurement | result |", "| --- | ---: |"]
    lines += [
        f"| {target.label} | {_format_number(target.measured)}{target.unit} |"
        for target in targets
        if target.measured is not None
    ]
    return lines


def _missed_goals(targets: Sequence[Target]) -> list[str]:
    """Returns the goals that are not reached, with the reasons."""
    missed = [target for target in targets if target.is_reached is False]
    if not missed:
        return []
    lines = [
        "",
        "## Goals that are not reached",
        "",
        "| measurement | goal | result | what limits it |",
        "| --- | ---: | ---: | --- |",
    ]
    for target in missed:
        bound = "at most" if target.is_upper_bound else "at least"
        result = f"{_format_number(target.measured or 0.0)}{target.unit}"
        goal = f"{bound} {target.goal:,g}{target.unit}"
        limit = target.limit or "not examined"
        lines.append(f"| {target.label} | {goal} | {result} | {limit} |")
    return lines


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.2f}"


def transfers(targets: Sequence[Target], command: str, rows: int) -> str:
    """Returns the page of imports and exports."""
    lines = [
        "<!-- Written by make bench. -->",
        "# Imports and exports",
        "",
        f"`{command}`, {rows:,} rows of six columns, on {platform.machine()} with Python "
        f"{platform.python_version()}{_build()}, each command from its start to its "
        "end. What is measured, and how: [the benchmark](README.md).",
    ]
    return "\n".join([*lines, *_other_figures(targets), *_missed_goals(targets)]) + "\n"


def write_transfers(
    targets: Sequence[Target], command: str, rows: int, folder: Path = DOCS
) -> None:
    """Writes the page to docs/benchmark."""
    (folder / "transfers.md").write_text(transfers(targets, command, rows))


def pages(targets: Sequence[Target], command: str, rounds: int) -> str:
    """Returns the page of the measurements in a browser."""
    lines = [
        "<!-- Written by make bench. -->",
        "# The pages in a browser",
        "",
        f"`{command}`: the list of 100,000 customers on SQLite, at 1440 by 900 pixels, "
        f"on {platform.machine()} with Python {platform.python_version()}{_build()}, in Chromium "
        f"without a screen; the median of {rounds} rounds, from the navigation to the frame that "
        "shows the first rows. Server and browser share the machine's cores.",
    ]
    return "\n".join([*lines, *_other_figures(targets), *_missed_goals(targets)]) + "\n"


def write_pages(targets: Sequence[Target], command: str, rounds: int, folder: Path = DOCS) -> None:
    """Writes the page to docs/benchmark."""
    (folder / "pages.md").write_text(pages(targets, command, rounds))


def chart(results: Results) -> str:
    """Returns an SVG with the requests per second of each workload, in % of the fastest server."""
    elements: list[str] = []
    y = _TOP
    for letter in [work.letter for work in ALL]:
        rates = {
            server: results.median(letter, server, lambda run: run.rate)
            for server in _COLOURS
            if (letter, server) in results.rounds
        }
        if not rates:
            continue
        middle = y + len(rates) * _BAR / 2
        elements.append(f'<text x="8" y="{middle + 5}" class="work">{letter}</text>')
        for server, rate in rates.items():
            share = rate / max(rates.values())
            width = round(_WIDTH * share, 1)
            elements.append(
                f'<rect x="{_LEFT}" y="{y}" width="{width}" height="{_BAR - 2}" '
                f'fill="{_COLOURS[server]}"><title>{server}: {rate:,.0f}/s</title></rect>'
                f'<text x="{_LEFT + width + 6:.1f}" y="{y + 12}">{100 * share:.0f} %</text>'
            )
            y += _BAR
        y += _BAR
    for index, (server, colour) in enumerate(_COLOURS.items()):
        x, line = _LEFT + index % 2 * 330, y + index // 2 * 22
        elements.append(f'<rect x="{x}" y="{line}" width="12" height="12" fill="{colour}"/>')
        elements.append(f'<text x="{x + 18}" y="{line + 11}">{server}</text>')
    height = y + len(_COLOURS) // 2 * 22 + 10
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}" '
        'font-family="sans-serif" font-size="13" role="img">\n'
        "<title>Requests per second, in % of the fastest server</title>\n"
        "<style>text { fill: #222 } .work { font-size: 16px; font-weight: bold }</style>\n"
        f'<rect width="720" height="{height}" fill="#fff"/>\n'
        f'<text x="{_LEFT}" y="26" font-size="16">Requests/s, in % of the fastest server</text>\n'
    )
    return head + "\n".join(elements) + "\n</svg>\n"


def write(
    results: Results,
    comparisons: Sequence[Target],
    others: Sequence[Target],
    extras: Mapping[str, float],
    command: str,
    rounds: int,
    search_latencies: Sequence[SearchLatency] = (),
    folder: Path = DOCS,
) -> None:
    """Writes the page, the JSON file and the chart."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "command": command,
        "rounds": rounds,
        "rows": rows(results),
        "start_seconds": {name: round(times[0], 3) for name, times in results.starts.items()},
        "memory_bytes": results.memory,
        "searches_ms": {
            f"{latency.kind}, {latency.database}": {
                k: round(v, 2) for k, v in latency.by_order_ms.items()
            }
            for latency in search_latencies
        },
        "extras": {name: round(value, 3) for name, value in extras.items()},
        "targets": [
            {
                "what": target.label,
                "wanted": target.goal,
                "bound": "at most" if target.is_upper_bound else "at least",
                "measured": None if target.measured is None else round(target.measured, 3),
                "reached": target.is_reached,
            }
            for target in (*comparisons, *others)
        ],
    }
    (folder / "results.json").write_text(json.dumps(document, indent=2) + "\n")
    (folder / "results.md").write_text(
        markdown(results, comparisons, others, command, rounds, search_latencies)
    )
    (folder / "chart.svg").write_text(chart(results))
