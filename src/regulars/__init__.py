"""Regulars: a self-hosted customer directory behind a GraphQL API."""

# Reading it from the metadata of the package takes 10 ms at each start.
__version__ = "0.2.0"
