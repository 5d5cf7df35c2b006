"""Converts every exception to the errors of a response."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from regulars.core.errors import Rejected
from regulars.graphql import INTERNAL, INTERNAL_KEY, Fault
from regulars.graphql.errors import BAD_USER_INPUT, CODES
from regulars.store import DiskFull, StatementTimeout, Unreachable

UNAVAILABLE = "errors_unavailable"
TIMEOUT = "errors_timeout"

log = logging.getLogger("regulars")

# `extensions.code` of every key (docs/reference/errors.md).
CODES.update(
    {
        key: code
        for code, keys in {
            "UNAUTHENTICATED": ("errors_unauthenticated", "errors_signature"),
            "FORBIDDEN": (
                *("errors_scope", "errors_cross_site", "webhooks_errors_permission"),
                *("errors_account_disabled", "errors_not_author"),
            ),
            "NOT_FOUND": (
                *("errors_customer_not_found", "errors_not_found", "webhooks_not_found"),
                *("tokens_not_found", "addresses_not_found", "jobs_not_found"),
                *("changes_not_found", "people_not_found"),
                *("segments_not_found", "comments_not_found"),
            ),
            "CONFLICT": (
                *("errors_dup_email", "errors_dup_row", "errors_other_rows"),
                *("errors_dup_external_id", "errors_ambiguous"),
                *("errors_version_conflict", "errors_import_stopped", "webhooks_duplicated"),
                *("segments_duplicated", "errors_in_use", "errors_found_more", "jobs_cannot_undo"),
                "errors_restore_conflict",
                *("errors_idempotency_key", "errors_idempotency_running"),
            ),
            "RATE_LIMITED": ("rate_limit_reached",),
            "PERSISTED_QUERY_NOT_SUPPORTED": ("errors_persisted_query",),
            "INTERNAL_SERVER_ERROR": (UNAVAILABLE, TIMEOUT),
            BAD_USER_INPUT: (
                *("errors_bad_request", "errors_media_type", "errors_body_limit"),
                *("errors_header_limit", "errors_receive_timeout", "errors_method"),
                *("errors_invalid_query", "errors_invalid_cursor", "errors_page_size"),
                "webhooks_version_error",
                *("errors_limit", "errors_last_identifier", "people_last_owner"),
            ),
        }.items()
        for key in keys
    }
)


def describe(error: Exception, request_id: str) -> Sequence[Fault]:
    """Return the faults of an exception. They describe a rejected request, an unavailable database
    or an internal error."""
    if isinstance(error, Rejected):
        return [
            Fault(problem.message, problem.key, problem.input_path, extensions=problem.extensions)
            for problem in error.problems
        ]
    if isinstance(error, StatementTimeout):
        return [too_slow(request_id)]
    if isinstance(error, Unreachable):
        return [unavailable(error, request_id)]
    return [internal(error, request_id)]


def _ours(message: str, key: str, request_id: str) -> Fault:
    return Fault(message, key, name=INTERNAL, extensions={"request_id": request_id})


def internal(error: BaseException, request_id: str) -> Fault:
    """Log an internal error, and return the fault for the client, with the request id.

    The text of the exception is not logged, because it may contain values of a customer.
    """
    trace = (type(error), error, error.__traceback__)
    log.error("failed", exc_info=trace, extra={"fields": {"request_id": request_id}})
    message = (
        "The server failed. Your request is not the cause. Try again, and report the request id "
        "to the operator if it fails again."
    )
    return _ours(message, INTERNAL_KEY, request_id)


def unavailable(error: Unreachable, request_id: str) -> Fault:
    """Return the fault for a database that cannot be used. The log has the reason."""
    fields = {"request_id": request_id, "reason": str(error)}
    log.warning("unavailable", extra={"fields": fields})
    if isinstance(error, DiskFull):
        message = (
            "The disk of the server is full, so nothing was saved. Reading still works. Try "
            "again after the operator has freed space."
        )
    else:
        message = (
            "The database is unavailable. The write may have been saved. Send the request again "
            "with the same `Idempotency-Key`, or read the data first."
        )
    return _ours(message, UNAVAILABLE, request_id)


def too_slow(request_id: str) -> Fault:
    """Return the fault for a request that exceeded its time limit."""
    message = (
        "The request took too long and was cancelled. A write may have been saved. Request less "
        "at once. Send a write again with the same `Idempotency-Key`, or read the data first."
    )
    return _ours(message, TIMEOUT, request_id)
