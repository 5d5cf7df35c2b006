"""The usual cells of a file are read at once, with the result of reading them one by one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.transfer.columns import Column
from regulars.transfer.import_options import Options
from regulars.transfer.records import Record
from regulars.transfer.row_parser import RowParser
from tests.support import example_count

_FIELDS = ("email", "first_name", "last_name", "phone", "accepts_marketing", "tags")
_CELL = st.one_of(
    st.text("aB1 '=&;,|@.+-\"#[]\u200b\u00e9\u00c3\u00bc\t", max_size=12),
    st.sampled_from(
        [
            "ana@shop.test",
            "Ana@Shop.Test",
            "o'b@shop.test",
            "n/a",
            "-",
            "yes",
            "wat",
            "0612",
            "x, y",
        ]
    ),
    st.from_regex(r"\+?[0-9(][0-9 ()/.-]{0,9}(E\+11|\.0)?", fullmatch=True),
    st.just("x" * 300),
)


def _parser(*fields: str) -> RowParser:
    columns = [Column(position, field, field) for position, field in enumerate(fields)]
    return RowParser(columns, {}, Options())


_PLAIN = _parser(*_FIELDS, "notes")
# A second column for each field: cells are read one by one, because the later ones replace others.
_ONE_BY_ONE = _parser(*_FIELDS, "notes", *_FIELDS)


@settings(max_examples=example_count(300), deadline=None)
@given(st.tuples(*[_CELL] * len(_FIELDS)))
def test_plain_cells_are_read_like_others(cells: tuple[str, ...]) -> None:
    empty = [""] * len(_FIELDS)
    plain = _PLAIN.row(Record(2, [*cells, ""]))
    one_by_one = _ONE_BY_ONE.row(Record(2, [*cells, "", *empty]))
    assert plain.values == one_by_one.values
    assert plain.warnings == one_by_one.warnings
    assert [p.to_json() for p in plain.problems] == [p.to_json() for p in one_by_one.problems]
    assert plain._replace(values={}, problems=()) == one_by_one._replace(values={}, problems=())
