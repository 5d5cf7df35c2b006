"""The commands of jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from regulars.core.commands import (
    COMMAND_LINE,
    IdempotencyRecord,
    Origin,
    SmallCommand,
    SummarizedResult,
    record_lookups,
)
from regulars.core.external_ids import ExternalId
from regulars.customers.commands import (
    Reference,
    customer_ids,
    has_lists,
    named_shop_ids,
    settings_of_change,
)
from regulars.customers.reverting import Pairs, email_keys_of
from regulars.jobs.edits import Edit
from regulars.segments.commands import SEGMENT_LOOKUPS, SegmentChange
from regulars.store import LookupKeys, Row
from regulars.store.large_work import LARGE_CHARACTERS, text_size

# Kinds of changes of a job to a customer: it was created or restored, deleted, or changed.
ADDED, REMOVED, CHANGED = "added", "removed", "changed"


@dataclass(frozen=True, slots=True)
class JobResult(SummarizedResult):
    """A job that was started: its row."""

    row: Row

    def to_json(self) -> dict[str, Any]:
        return {"job_id": self.row["import_id"]}


@dataclass(frozen=True, slots=True)
class StartJob(SmallCommand):
    """Stores a job, which waits for its process. `customers` are those of a job that names them.
    `related` are the ids of the job that it undoes, and of the one that undid that before."""

    row: Row
    at: int
    customers: tuple[Reference, ...] | None = None
    related: tuple[str, ...] = ()
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        customers = self.customers or ()
        return LookupKeys(
            import_ids=self.related,
            customer_ids=customer_ids(*customers),
            shop_ids=named_shop_ids(*customers),
            waiting_jobs=(True,),
            table_versions=(True,),
            **record_lookups(self.idempotency_record),
        )


@dataclass(frozen=True, slots=True)
class EditCustomers(SmallCommand):
    """Edits the customers `ids` of a job, from number `position` on. Fewer are edited if that is
    enough work for one transaction. In a dry run (`is_draft`) the progress is not in the job. With
    the last customers (`is_last`), tags are renamed in the segments, too."""

    job_id: str
    position: int
    ids: tuple[int, ...]
    edit: Edit
    at: int
    origin: Origin
    is_draft: bool = False
    is_last: bool = False
    idempotency_record: None = None

    @property
    def renames_segments(self) -> bool:
        """Whether it changes segments after the last customer."""
        return self.is_last and self.edit.renames_segments

    @property
    def is_large(self) -> bool:
        characters = text_size(self.edit.values, LARGE_CHARACTERS) * len(self.ids)
        return characters > LARGE_CHARACTERS or self.renames_segments

    def lookup_keys(self) -> LookupKeys:
        values = self.edit.values
        return LookupKeys(
            import_ids=[self.job_id],
            customer_ids=self.ids,
            account_settings=settings_of_change(values),
            table_versions=has_lists(values),
            **(SEGMENT_LOOKUPS if self.renames_segments else {}),
        )


class CustomerUndo(NamedTuple):
    """What a job did to a customer: the kind, the values of fields before and after it, the version
    of the customer when the history was read, who changed it since (None without a change), and the
    number of the change from which the next customer is read."""

    customer_id: int
    kind: str
    pairs: Pairs
    version: int | None
    changed_by: str | None
    before: int


@dataclass(frozen=True, slots=True)
class UndoChanges(SmallCommand):
    """Undoes what a job did to customers. Fewer are undone if that is enough work for one
    transaction. The last one undoes what the job did to `segments`, without customers."""

    job_id: str
    position: int
    customers: tuple[CustomerUndo, ...]
    at: int
    origin: Origin
    is_draft: bool = False
    segments: Sequence[SegmentChange] = ()
    idempotency_record: None = None

    @property
    def is_large(self) -> bool:
        return True

    def lookup_keys(self) -> LookupKeys:
        restored_ids = self._ids(REMOVED)
        return LookupKeys(
            import_ids=[self.job_id],
            customer_ids=self._ids(ADDED, CHANGED, REMOVED),
            moved_ids=self._ids(ADDED),
            restored_ids=restored_ids,
            spend_settings=(True,) if restored_ids else (),
            email_keys=frozenset().union(*(email_keys_of(c.pairs) for c in self.customers)),
            shop_ids=frozenset(self._shop_ids()),
            account_settings=(True,),
            **(SEGMENT_LOOKUPS if self.segments else {}),
        )

    def _ids(self, *kinds: str) -> frozenset[int]:
        return frozenset([each.customer_id for each in self.customers if each.kind in kinds])

    def _shop_ids(self) -> Iterator[str]:
        for each in self.customers:
            for item in each.pairs["external_ids"][0] if "external_ids" in each.pairs else ():
                yield ExternalId(**item).id


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The outcome of a batch: how many customers were processed, changed, unchanged and rejected,
    problems by message, and the lines of the file of what was rejected or kept. `before` is the
    number of the change from which an undo continues."""

    processed: int
    changed: int
    unchanged: int
    rejected: int
    problems: Mapping[str, Any] = field(default_factory=dict)
    before: int | None = None
    lines: bytes = b""
