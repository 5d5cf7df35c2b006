"""The rows of jobs: their states, and their form for clients."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

import orjson

from regulars.core.dates import iso
from regulars.core.ids import encoder
from regulars.core.text import neutral
from regulars.store import Row
from regulars.store.imports import BULK, FILE, PENDING, PULL, RECEIVING, RUNNING, UNDO

# The version of the tables since which there are jobs.
JOBS_VERSION = "0022"
DONE, CANCELLED, FAILED = "done", "cancelled", "failed"
ENDED = (DONE, CANCELLED, FAILED)
UNENDED = (RECEIVING, PENDING, RUNNING)
# The kinds in the API.
KINDS = {FILE: "import", BULK: "bulk", UNDO: "undo"}
# The parts with the customers that were rejected, or of which something was kept.
REJECTED, KEPT = "rejected", "kept"
# The part with the segments in which tags were renamed.
SEGMENTS = "segments"
HEADINGS = {
    REJECTED: ("_id", "reason"),
    KEPT: ("_id", "field", "reason", "changed_by"),
}
MAX_WAITING = 10
# Ids of a part.
IDS_OF_PART = 10_000
# At most so many kinds of problems, each with so many examples.
MAX_PROBLEMS, MAX_EXAMPLES = 50, 10
_OTHERS = "Other problems."


def details_of(row: Row) -> dict[str, Any]:
    """Return what a job does, and for whom."""
    details: dict[str, Any] = orjson.loads(row["source"])
    return details


def is_dry_run(row: Row) -> bool:
    """Return whether a job changes nothing."""
    return bool(details_of(row).get("dry_run"))


def name_of(row: Row) -> str:
    """Return the name of a job for people. Imports of the command line have a path of the server as
    name."""
    return PurePath(row["name"]).name if row["kind"] == FILE else str(row["name"])


def ended_source(row: Row) -> str | None:
    """Return what is stored of the source of a bulk edit or an undo that has ended; None if nothing
    changes. The values of an edit are in the history. Here they would outlive an erasure."""
    details = details_of(row)
    if row["kind"] not in (BULK, UNDO) or details["dry_run"]:
        return None
    return orjson.dumps({k: v for k, v in details.items() if k not in ("edit", "query")}).decode()


def can_undo(row: Row) -> bool:
    """Return whether a job can be undone now."""
    return (
        row["kind"] in KINDS
        and row["state"] in ENDED
        and row["undone_by"] is None
        and row["first_change"] is not None
    )


def job_to_json(row: Row) -> dict[str, Any]:
    """Return a job in the form of the API. Its times are in milliseconds since 1970."""
    details = details_of(row)
    is_import = row["kind"] == FILE
    return {
        **{n: row[n] for n in ("state", "message", "undo_of", "undone_by", "rejected")},
        **{n: row[n] for n in ("unchanged", "created_at", "ended_at")},
        "name": name_of(row),
        "id": row["import_id"],
        "kind": KINDS.get(row["kind"], PULL),
        "actor_kind": "import" if is_import else details.get("actor_kind", "token"),
        "actor": row["actor"],
        "dry_run": bool(details.get("dry_run")),
        "silent": bool(details.get("silent")),
        "total": _total(row),
        "done": row["position"],
        "changed": row["created"] + row["updated"],
        "problems": problems_to_json(orjson.loads(row["problems"]), is_import),
        "can_undo": can_undo(row),
    }


def with_texts(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job in the form of the API, as JSON outside of GraphQL: its times are texts."""
    actor = {"kind": job["actor_kind"], "name": job["actor"]}
    times = {n: None if job[n] is None else iso(job[n]) for n in ("created_at", "ended_at")}
    rest = {name: value for name, value in job.items() if name != "actor_kind"}
    return {**rest, "actor": actor, **times}


def _total(row: Row) -> int | None:
    is_over = row["state"] in ENDED
    if row["kind"] == FILE or (row["kind"] == UNDO and is_over):
        return int(row["position"]) if is_over else None
    total: int | None = row["size"]
    return total


def problems_to_json(problems: Mapping[str, Any], is_import: bool) -> list[dict[str, Any]]:
    """Return the problems of a job. Those of an import have the numbers of lines."""
    ids_of = encoder("Customer")
    return [
        {
            "message": message,
            "count": group["count"],
            "examples": [str(line) for line, *_ in group["examples"]]
            if is_import
            else ids_of(group["examples"]),
        }
        for message, group in list(problems.items())[:MAX_PROBLEMS]
        if group["count"] and not message.startswith("warning_")
    ]


def with_problem(problems: Mapping[str, Any], message: str, customer_id: int) -> dict[str, Any]:
    """Return problems with one more, of a customer."""
    return merge_problems(problems, {message: {"count": 1, "examples": [customer_id]}})


def merge_problems(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the problems of both. Kinds above the maximum become one."""
    merged = dict(one)
    for message, group in other.items():
        key = message if message in merged or len(merged) < MAX_PROBLEMS - 1 else _OTHERS
        before = merged.get(key, {"count": 0, "examples": []})
        examples = [*before["examples"], *group["examples"]][:MAX_EXAMPLES]
        merged[key] = {"count": before["count"] + group["count"], "examples": examples}
    return merged


def csv_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    """Return rows as lines of CSV. No cell is a formula."""
    out = io.StringIO()
    cells = ([neutral(str(value)) for value in row] for row in rows)
    csv.writer(out, lineterminator="\n").writerows(cells)
    return out.getvalue().encode()
