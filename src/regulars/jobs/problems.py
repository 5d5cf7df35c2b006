"""The problems of starting jobs and of undoing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars.core.errors import InputPath, Problem
from regulars.jobs.values import ENDED, KINDS, MAX_WAITING, is_dry_run
from regulars.store import Row

_TOLERANCE = 10


class JobNotFound(Problem):
    """An id belongs to no job of the account."""

    key = "jobs_not_found"

    def __init__(self, id_text: str) -> None:
        super().__init__(
            f"No job has the id `{id_text[:50]}`. `jobs` lists the jobs of the last 30 days.",
            ("id",),
        )


class CannotUndo(Problem):
    """A job cannot be undone now."""

    key = "jobs_cannot_undo"

    def __init__(self, row: Row) -> None:
        super().__init__(_why(row), ("id",))
        self._undone_by = row["undone_by"]

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"undone_by": self._undone_by} if self._undone_by else {}


def _why(row: Row) -> str:
    job_id = row["import_id"]
    if row["undone_by"]:
        return (
            f"This job was undone by `{row['undone_by']}`. Undo that job to apply this one again."
        )
    if row["kind"] not in KINDS:
        return f"The job `{job_id}` mirrors another server. Undo the changes there."
    if row["state"] not in ENDED:
        return f"The job `{job_id}` has not ended. Cancel it, or wait for its end."
    if is_dry_run(row):
        return f"The job `{job_id}` was a dry run. It has changed nothing."
    return (
        f"The job `{job_id}` has changed nothing, or it ran before Regulars could undo jobs. There "
        "is nothing to undo."
    )


def exceeds(count: int, expected: int) -> bool:
    """Return whether a number of customers is above the expected one by more than a tenth."""
    return count > expected + expected // _TOLERANCE


class FoundMore(Problem):
    """More customers are found than the client has seen."""

    key = "errors_found_more"

    def __init__(self, count: int, expected: int, input_path: InputPath = ("expected",)) -> None:
        super().__init__(
            f"The query finds {count:,} customers now, not {expected:,}. Check the list and pass "
            f"`expected: {count}`.",
            input_path,
        )
        self._count = count

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"count": self._count}


class TooManyJobs(Problem):
    """The account has the maximum number of jobs that wait or run."""

    key = "errors_limit"

    def __init__(self) -> None:
        super().__init__(
            f"{MAX_WAITING} jobs of this account are waiting or running, the maximum. Try again "
            "when one of them has ended."
        )


class OldTables(Problem):
    """Programs of an older version use the database."""

    key = "errors_unavailable"

    def __init__(self) -> None:
        super().__init__(
            "Jobs need tables that older versions of Regulars do not use. The operator must "
            "replace all servers, and run `regulars migrate --contract`."
        )
