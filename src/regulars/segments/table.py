"""The table of segments."""

from __future__ import annotations

import sqlalchemy as sa

from regulars.store.columns import key, number, table, text
from regulars.store.tables import add_counter

# Saved searches. `query` is in the version `language` of the search language. `settings` is a JSON
# object with the tags of which `query` was made; null if a client wrote the query. `name_key` is
# the name as it is compared.
segments = table(
    "segments",
    key("account_id"),
    key("segment_id"),
    text("name"),
    text("name_key"),
    text("description"),
    text("query"),
    text("settings", nullable=True),
    number("language"),
    number("created_at"),
    number("updated_at"),
    sa.Index("segments_name", "account_id", "name_key", unique=True),
)
COUNTER = add_counter("segments")
