"""Builds the engine and the limits from the settings, for the server and its bulkhead worker."""

from __future__ import annotations

from regulars.api import schema
from regulars.core.limits import Limits as DirectoryLimits
from regulars.graphql import DocumentLimits, Engine
from regulars.http.endpoint import Limits as RequestLimits
from regulars.settings import Settings


def build_engine(settings: Settings) -> Engine:
    """Returns a GraphQL engine with the limits of the settings."""
    limits = DocumentLimits(
        characters=settings.max_document_characters,
        tokens=settings.max_document_tokens,
        depth=settings.max_depth,
        fields=settings.max_fields,
        root_fields=settings.max_root_fields,
        aliases=settings.max_aliases,
        directives=settings.max_directives,
        list_items=settings.max_list_items,
        response_bytes=settings.max_response_bytes,
        cost=settings.max_cost,
    )
    return schema.engine(limits, settings.max_page_size, settings.document_cache_bytes)


def request_limits(settings: Settings) -> RequestLimits:
    """Returns the limits of HTTP requests."""
    return RequestLimits(
        settings.max_cost,
        settings.max_body_bytes,
        settings.max_header_bytes,
        settings.receive_seconds,
    )


def directory_limits(settings: Settings) -> DirectoryLimits:
    """Returns the limits of the directory."""
    return DirectoryLimits(
        settings.max_page_size,
        settings.max_deletes,
        settings.max_search_characters,
        settings.webhook_private_targets,
        list_rows=settings.max_cost,
        response_bytes=settings.max_response_bytes,
    )
