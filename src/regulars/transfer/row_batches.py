"""Parse the records of a file into batches of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from regulars.core.errors import failed
from regulars.customers.bulk import SetRow
from regulars.transfer.records import Record
from regulars.transfer.source import Source

# Rows of a batch. Larger ones write fewer pages of SQLite's log.
BATCH = 2_500
# Characters of a batch: long rows make smaller batches. A character is up to four of the work that
# a transaction may do (`index_terms.MAX_WORK`), and a batch that is too much is decided twice.
_BATCH_CHARACTERS = 240 * 1024


class RowBatch(NamedTuple):
    """Records of a file and their rows, with the bytes and the children of other records
    (`Source.skipped_children`) that were read until then."""

    records: Sequence[Record]
    rows: Sequence[SetRow]
    bytes_read: int
    skipped_children: tuple[int, int]


def parse_batches(
    source: Source, records: Iterator[Record], request_id: str | None
) -> Iterator[RowBatch]:
    """Yield the rows of the remaining records of a source. The last batch may be empty. Raises
    BadFile."""
    is_last = False
    while not is_last:
        batch: list[Record] = []
        characters = 0
        for record in islice(records, BATCH):
            batch.append(record)
            characters += record.size
            if characters > _BATCH_CHARACTERS:
                break
        else:
            is_last = len(batch) < BATCH
        yield RowBatch(
            batch,
            [parse_row(source, record, request_id) for record in batch],
            source.bytes_read,
            source.skipped_children,
        )


def parse_row(source: Source, record: Record, request_id: str | None) -> SetRow:
    """Parse a record. An exception rejects this row alone."""
    try:
        return source.shape.row(record)
    except Exception as error:
        return SetRow({}, (failed(error, request_id, ()),))
