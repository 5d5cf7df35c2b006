"""The entities of the trash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars.store import LoadedRows
from regulars.store.entity import Entity, Load
from regulars.store.tokens import account_settings_of
from regulars.trash.moving import ACCOUNT_SETTINGS
from regulars.trash.table import trash, trash_keys


def _settings(rows: Sequence[Sequence[Any]]) -> LoadedRows:
    return {ACCOUNT_SETTINGS: [{"settings": row[0]} for row in rows]}


TRASH = Entity(
    trash,
    more_loads=(Load(("moved_ids", "moved_shop_ids"), account_settings_of, _settings),),
    editable=tuple(str(column.name) for column in trash.c if not column.primary_key),
)

TRASH_KEYS = Entity(trash_keys)

ENTITIES = (TRASH, TRASH_KEYS)
