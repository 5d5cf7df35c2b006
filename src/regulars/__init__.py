"""Regulars: a self-hosted customer directory behind a GraphQL API."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """Returns the version of Regulars. Reading it takes 60 ms, which most commands do not need."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import version

    return version("regulars")
