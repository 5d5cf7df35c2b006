"""The report: tables for a person, JSON for a program, a chart for the docs."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pygal
from pygal.style import CleanStyle

from benchmarks import contenders as who
from benchmarks.compare import Results
from benchmarks.targets import Target
from benchmarks.work import ALL

DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmark"


def rows(results: Results) -> list[dict[str, Any]]:
    """The medians, a row for each piece of work and server."""
    return [
        {
            "work": letter,
            "server": server,
            "requests_per_second": round(results.median(letter, server, lambda one: one.rate), 1),
            "cpu_us": round(results.median(letter, server, lambda one: one.cpu) * 1e6, 1),
            "p50_ms": round(results.median(letter, server, lambda one: one.p50) * 1e3, 2),
            "p99_ms": round(results.median(letter, server, lambda one: one.p99) * 1e3, 2),
        }
        for letter, server in sorted(results.rounds, key=lambda key: (_place(key[0]), key[1]))
    ]


def _place(letter: str) -> int:
    return [work.letter for work in ALL].index(letter)


def markdown(results: Results, targets: Sequence[Target], command: str, rounds: int) -> str:
    """Everything, as a page."""
    lines = [
        "<!-- Written by make bench. -->",
        "# Results",
        "",
        f"`{command}`, {rounds} rounds, on {platform.machine()} with Python "
        f"{platform.python_version()}. Medians; compare figures within this page only. "
        "What is measured, and how: [the benchmark](README.md).",
        "",
        "![Requests a second, by the fastest of each](chart.svg)",
        "",
        "| work | server | requests/s | CPU a request | p50 | p99 |",
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
    lines += ["", "| what | wanted | measured | |", "| --- | ---: | ---: | --- |"]
    for target in targets:
        bound = "at most" if target.at_most else "at least"
        shown = "" if target.measured is None else f"{target.measured:.2f}{target.unit}"
        state = {True: "reached", False: "not reached", None: "not measured"}[target.reached]
        lines.append(
            f"| {target.what} | {bound} {target.wanted:g}{target.unit} | {shown} | {state} |"
        )
    return "\n".join(lines) + "\n"


def chart(results: Results) -> str:
    """Requests a second of each piece of work, by the fastest server's, as SVG."""
    servers = [
        who.REGULARS_SQLITE,
        who.REGULARS_POSTGRESQL,
        who.MERCURIUS_SQLITE,
        who.MERCURIUS_POSTGRESQL,
        who.STRAWBERRY,
        who.FASTAPI,
    ]
    letters = [work.letter for work in ALL if (work.letter, servers[0]) in results.rounds]
    drawn = pygal.HorizontalBar(
        style=CleanStyle,
        js=[],
        pretty_print=True,
        disable_xml_declaration=True,
        legend_at_bottom=True,
        legend_at_bottom_columns=2,
        range=(0, 100),
        height=520,
        title="Requests a second, in % of the fastest",
    )
    # The first label is drawn at the bottom.
    drawn.x_labels = letters[::-1]
    best = {
        letter: max(
            results.median(letter, server, lambda one: one.rate)
            for server in servers
            if (letter, server) in results.rounds
        )
        for letter in letters
    }
    for server in servers:
        values = [
            round(100 * results.median(letter, server, lambda one: one.rate) / best[letter], 1)
            if (letter, server) in results.rounds
            else None
            for letter in letters[::-1]
        ]
        if any(values):
            drawn.add(server, values)
    return str(drawn.render(is_unicode=True)) + "\n"


def write(
    results: Results,
    targets: Sequence[Target],
    extras: Mapping[str, float],
    command: str,
    rounds: int,
    folder: Path = DOCS,
) -> None:
    """Writes the page, the figures and the chart."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {
        "command": command,
        "rounds": rounds,
        "rows": rows(results),
        "start_seconds": {name: round(times[0], 3) for name, times in results.starts.items()},
        "memory_bytes": results.memory,
        "extras": {name: round(value, 3) for name, value in extras.items()},
        "targets": [
            {
                "what": target.what,
                "wanted": target.wanted,
                "bound": "at most" if target.at_most else "at least",
                "measured": None if target.measured is None else round(target.measured, 3),
                "reached": target.reached,
            }
            for target in targets
        ],
    }
    (folder / "results.json").write_text(json.dumps(whole, indent=2) + "\n")
    (folder / "results.md").write_text(markdown(results, targets, command, rounds))
    (folder / "chart.svg").write_text(chart(results))
