"""How far a mirror has come."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson

from regulars.transfer.errors import BadOption

# How the other server is read: its list by `_id`, its latest changes first, or its feed.
LIST, UPDATED_SINCE, FEED = "list", "updated", "feed"


@dataclass(slots=True)
class PullCheckpoint:
    """How far a mirror has come: in this run, which reads what changed `since`, and what it was up
    to date with before (`feed`, a cursor of the other server's feed; `updated`, the last change of
    a customer there), or will be at the end of the run (`next_…`). Moments are milliseconds since
    1970."""

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
        """The checkpoint as it is kept."""
        return orjson.dumps(asdict(self)).decode()


def since_last(known: PullCheckpoint | None) -> PullCheckpoint:
    """A run from the last one on. Raises BadOption where there was none."""
    if known is None or (known.feed is None and known.updated is None):
        raise BadOption(
            "No pull from this server has come to its end yet: leave out --since, or give a moment."
        )
    checkpoint = PullCheckpoint(FEED, known.keep_ids, feed=known.feed, updated=known.updated)
    if known.feed is not None:
        checkpoint.after = known.feed
    else:
        checkpoint.by, checkpoint.since = UPDATED_SINCE, known.updated
    return checkpoint


def leaves_no_gap(checkpoint: PullCheckpoint) -> bool:
    """Whether a run read all that changed after the one before it."""
    if checkpoint.by != UPDATED_SINCE:
        return True
    return checkpoint.updated is not None and (checkpoint.since or 0) <= checkpoint.updated
