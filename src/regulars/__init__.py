"""Regulars: a self-hosted customer directory behind a GraphQL API."""

from importlib.metadata import version

__version__ = version("regulars")
