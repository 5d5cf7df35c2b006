"""The packages of the entities.

A package has some of these modules: `entity` with ENTITIES, the descriptions of its tables;
`stored_values` with RULES and `checks` with CHECKS, what `verify` expects in its columns and rows;
`graphql` with API, its part of the API. `schema.graphql` in the package has the types of that part.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import sqlalchemy as sa

from regulars.store.tables import metadata

# An entity comes after those that it refers to.
PACKAGES = ("customers", "orders", "webhooks", "accounts", "trash", "segments", "comments", "jobs")


def parts(module: str, name: str) -> list[Any]:
    """Returns an attribute of a module of each package that has the module."""
    paths = [f"regulars.{package}.{module}" for package in PACKAGES]
    return [getattr(import_module(path), name) for path in paths if find_spec(path)]


def all_tables() -> list[sa.Table]:
    """Returns the tables of the store and of all packages; a table comes after those that it refers
    to. `metadata` itself has those of the packages only once they are imported."""
    parts("entity", "ENTITIES")
    return metadata.sorted_tables
