"""The position of a mirror in the data of the other server."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson

from regulars.transfer.errors import BadOption

# Ways to read the other server: its list by `_id`, its latest changes first, or its feed.
LIST, UPDATED_SINCE, FEED = "list", "updated", "feed"


@dataclass(slots=True)
class PullCheckpoint:
    """The position of a mirror. Timestamps are milliseconds since 1970.

    - `since`, `after`, `last`: of this run, which reads changes since `since`.
    - `feed`, `updated`: a cursor of the other server's feed and its last change before this run.
    - `next_feed`, `next_updated`: the same for the end of this run.
    """

    by: str
    keep_ids: bool
    since: int | None = None
    after: str | None = None
    last: int = 0
    feed: str | None = None
    updated: int | None = None
    next_feed: str | None = None
    next_updated: int | None = None

    def dump(self) -> str:
        """Return the checkpoint as JSON text for the database."""
        return orjson.dumps(asdict(self)).decode()


def since_last(previous: PullCheckpoint | None) -> PullCheckpoint:
    """Return the checkpoint of a run that follows `previous`. Raises BadOption without one."""
    if previous is None or (previous.feed is None and previous.updated is None):
        raise BadOption(
            "No pull from this server is complete yet. Remove --since, or pass a time such as "
            "2026-11-25T08:00:00Z."
        )
    checkpoint = PullCheckpoint(
        FEED, previous.keep_ids, feed=previous.feed, updated=previous.updated
    )
    if previous.feed is not None:
        checkpoint.after = previous.feed
    else:
        checkpoint.by, checkpoint.since = UPDATED_SINCE, previous.updated
    return checkpoint


def leaves_no_gap(checkpoint: PullCheckpoint) -> bool:
    """Return whether a run read all changes since the run before it."""
    if checkpoint.by != UPDATED_SINCE:
        return True
    return checkpoint.updated is not None and (checkpoint.since or 0) <= checkpoint.updated
