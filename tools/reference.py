"""Writes the pages of docs/reference that can be read off the code, or checks that they are so.

Use: tools/reference.py [--check]
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    print_ast,
)

from regulars.api import errors as _errors  # noqa: F401  # adds its keys to CODES
from regulars.api.schema import schema
from regulars.api.timestamps import FROM_NOW, ISO, MAX_FORMAT, TOKENS, prepare
from regulars.cli import main
from regulars.cli.errors import EXIT_CODES
from regulars.cli.groups import ENTRIES, GROUPS
from regulars.graphql.errors import CODES
from regulars.settings import SETTINGS

PAGES = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- Written by `make docs` from the code; changes here are lost. -->\n"

# When each key is answered, with which status, and what to do.
ERRORS = {
    "errors_unauthenticated": (
        "401",
        "The request has no token, or the token is unknown, expired or revoked. The response "
        "does not say which.",
        "Send `Authorization: Bearer TOKEN`. Create a token with `regulars token create`.",
    ),
    "errors_account_disabled": (
        "403",
        "The token, session or signature is valid, but the operator has disabled the account.",
        "Ask the operator to enable it: `regulars account enable NAME`. Its customers are kept.",
    ),
    "errors_scope": (
        "200 or 403",
        "The token lacks a scope that a field requires. The message names the scope. `/metrics`"
        " answers 403.",
        "Use a token with that scope: `regulars token create --scope …`.",
    ),
    "errors_customer_not_found": (
        "200",
        "An id to update or delete belongs to no customer of the account, or an id to restore or "
        "purge to no customer in the trash. `extensions.ids` lists these ids.",
        "Nothing was changed. Remove the ids and try again.",
    ),
    "errors_dup_email": (
        "200 or 409",
        "Another customer of the account has this email. Case is ignored. "
        "`extensions.customer_id` is its id if the token has `customers:read`. 409 is for an event "
        "from another Regulars server that arrived before the event that frees the email, or that "
        "restores its customer.",
        "Use another email, or update that customer.",
    ),
    "errors_last_identifier": (
        "200",
        "The write removes the last identification that the setting `identify_by` of the account "
        "requires, such as the phone of a customer without an email.",
        "Add another identification first, or in the same write.",
    ),
    "errors_dup_external_id": (
        "200",
        "Another customer of the account, or another order, has this external id. "
        "`extensions.customer_id` or `extensions.order_id` is its id.",
        "Remove the external id there, or update that customer.",
    ),
    "errors_ambiguous": (
        "200",
        "The identifiers belong to several customers. `extensions.ids` has the ids of up to 10 of "
        "them.",
        "Identify the customer by `id`.",
    ),
    "errors_dup_row": (
        "200",
        "In `errors` of a row: an earlier row of the call is for the same customer. "
        "`extensions.row` is the index of that row, starting at 0. The request itself has no "
        "error.",
        "Send one row for each customer.",
    ),
    "errors_other_rows": (
        "200",
        "In `errors` of a row: the row is valid, but nothing was saved, because another row was"
        " rejected.",
        "Fix the other row, or send `errorPolicy: REJECT_ROW`.",
    ),
    "errors_restore_conflict": (
        "200",
        "`restoreCustomers`: another object has the email, an order name or an external id of a "
        "customer in the trash. `extensions.conflicts` lists `customer_id`, `field`, `value` and "
        "`taken_by`.",
        "Nothing was restored. Change the other customer, or send `conflictPolicy: skip`. An email "
        "cannot be skipped.",
    ),
    "errors_import_stopped": (
        "none",
        "Reported by the command line: an import was cancelled, or another process continues it.",
        "Check the state of the import before you start it again.",
    ),
    "errors_invalid_input": (
        "200",
        "A value has the wrong type or cannot be stored. `extensions.input_path` is the path of"
        " the value.",
        "Fix the value as the message says. Each invalid value has an error of its own.",
    ),
    "errors_version_conflict": (
        "200",
        "`ifVersion` is not the current version, because the customer was changed meanwhile. "
        "`extensions.version` is the current version, `extensions.id` the id from the request, and "
        "`extensions.customer` the present customer: see "
        "[version conflicts](writes.md#version-conflicts).",
        "Nothing was changed. Compare with the present customer and decide again.",
    ),
    "errors_idempotency_key": (
        "422",
        "The `Idempotency-Key` was used for another request in the last 24 hours.",
        "Nothing was done. Use a new key for each request.",
    ),
    "errors_idempotency_running": (
        "409",
        "A request with this `Idempotency-Key` is in progress.",
        "Repeat the request after `Retry-After` seconds.",
    ),
    "errors_invalid_query": (
        "200",
        "The `query` of a list is invalid, or the search takes too long. `extensions.position` "
        "is the index of the first wrong character, starting at 0. `extensions.expected` is "
        "what can stand there. `extensions.suggestion` is the nearest valid word, if there is "
        "one.",
        "See [the search language](search.md#errors) and [lists](lists.md).",
    ),
    "errors_invalid_cursor": (
        "200",
        "`after` or `before` is not a cursor, or is a cursor of another order. For lists inside"
        " a customer: `after` is not the id of an order or a lead.",
        "Use a cursor of a page in the same order, or the id of the last row.",
    ),
    "errors_page_size": (
        "200",
        "`first` or `last` is negative or over 250, or both are set.",
        "Send one of them, from 0 to 250.",
    ),
    "errors_invalid_document": (
        "200 or 400",
        "The GraphQL document has a syntax error, does not match the schema, or does not "
        "contain the operation.",
        "Fix the document. `locations` has the position.",
    ),
    "errors_document_limit": (
        "200 or 400",
        "The document has too many tokens, levels, fields, root fields, aliases or directives, "
        "a list is too long, or the cost is too high. The message has the limit and the value. "
        "See [limits](limits.md).",
        "Divide the request into smaller ones.",
    ),
    "errors_bad_request": (
        "400",
        "The body is not JSON in UTF-8, or is not an object with a string `query`. The same "
        "applies to the query string of a GET request.",
        'Send `{"query": "…", "variables": {…}, "operationName": "…"}`. Only `query` is required.',
    ),
    "errors_method": (
        "405",
        "The method is neither GET nor POST, or a GET request contains a mutation. The header "
        "`Allow` lists the methods.",
        "Use POST.",
    ),
    "errors_body_limit": (
        "413",
        "The body is larger than `REGULARS_MAX_BODY_BYTES`.",
        "Divide the request into smaller ones.",
    ),
    "errors_persisted_query": (
        "200",
        "The request has the hash of a persisted query (`extensions.persistedQuery`) and no "
        "`query`. `extensions.code` is `PERSISTED_QUERY_NOT_SUPPORTED`.",
        "Send the document in `query`. The clients of Apollo and urql do this automatically.",
    ),
    "errors_header_limit": (
        "431",
        "The request line with the headers, the trailers, or the chunk sizes and extensions of "
        "a body are larger than `REGULARS_MAX_HEADER_BYTES`.",
        "Send a long query with POST. Send larger chunks without extensions.",
    ),
    "errors_receive_timeout": (
        "408",
        "The request did not arrive within `REGULARS_RECEIVE_SECONDS`.",
        "Send the whole request again.",
    ),
    "rate_limit_reached": (
        "429",
        "The token has used its rate limit, in points of cost. `Retry-After` is the number of "
        "seconds to wait.",
        "Nothing was done. Wait, then repeat the request.",
    ),
    "errors_media_type": (
        "415",
        "The `Content-Type` is not `application/json`, or the body is compressed.",
        "Send `Content-Type: application/json` and an uncompressed body.",
    ),
    "errors_not_found": (
        "404",
        "The path does not exist.",
        "GraphQL is at `/api/v2`, and at `/graphql` and `/api2`.",
    ),
    "errors_signature": (
        "401",
        "An event of a shop at `/in` is not signed with a secret of its account, or the account"
        " does not exist.",
        "Sign the body: `lightfunnels-hmac` is base64 of HMAC-SHA256. See [mirror a "
        "shop](../integrate/mirror-a-shop.md).",
    ),
    "errors_cross_site": (
        "403",
        "A page of another site, or a program, sent a request with the cookie of a session.",
        "In a program, send a token: `Authorization: Bearer TOKEN`.",
    ),
    "segments_not_found": (
        "200",
        "An id belongs to no segment of the account. `extensions.ids` lists these ids. The option "
        "`segment` of an export answers 400.",
        "Read the ids with the query `segments`.",
    ),
    "segments_duplicated": (
        "200",
        "Another segment of the account has this name. Case and accents are ignored.",
        "Choose a different name, or update that segment.",
    ),
    "errors_in_use": (
        "200",
        "`deleteSegments`: other segments or webhooks use a segment. `updateSegment`: "
        "`segments_uids` of a webhook needs it to be watched. `extensions.used_by` lists the `id`, "
        "`type` and `name` of each.",
        "Nothing was changed. Change or delete the others first, or in the same request.",
    ),
    "errors_found_more": (
        "200",
        "`updateCustomers`: more customers are found than `expected` and a tenth. "
        "`extensions.count` is their number.",
        "Check the list, and pass the number as `expected`.",
    ),
    "jobs_not_found": (
        "200",
        "The id belongs to no job of the last 30 days.",
        "List the jobs with `jobs`.",
    ),
    "changes_not_found": (
        "200",
        "`revertChange`: the change does not exist, is not an update of a customer, or its values "
        "were removed.",
        "Read the changes of the customer again.",
    ),
    "jobs_cannot_undo": (
        "200",
        "`undoJob`: the job has not ended, has changed nothing, was a dry run, ran before Regulars "
        "could undo jobs, or was undone. `extensions.undone_by` is the job that undid it.",
        "Undo the job of `undone_by` to apply this one again.",
    ),
    "errors_limit": (
        "200",
        "The account has 500 segments, or 50 watched segments, or 500 webhooks with filters that use "
        "segments, or 100 webhooks of the type `job/ended`, or its segments would have more than 2 Mi "
        "characters together. `addComment`, `updateComment`: the customer has 10,000 comments, or comments with 1,000,000 characters. `updateCustomers`, `renameTags`, `undoJob`: 10 jobs of the account wait or "
        "run.",
        "Delete one first, stop watching a segment, or wait for a job.",
    ),
    "addresses_not_found": (
        "200",
        "An id belongs to no address of the account. `extensions.ids` lists these ids.",
        "Read the ids with `Customer.addresses`.",
    ),
    "comments_not_found": (
        "200",
        "An id belongs to no comment of the account. `extensions.ids` lists these ids.",
        "Read the ids with `Customer.comments`.",
    ),
    "errors_not_author": (
        "200",
        "Another person, or another token, wrote the comment.",
        "Sign in as that person, or use that token, a session that was started with it, or a token "
        "with the scope `admin`.",
    ),
    "tokens_not_found": (
        "200",
        "No valid token of the account has this id.",
        "Read the ids with the query `tokens`.",
    ),
    "people_not_found": (
        "200",
        "No active person of the account has this id.",
        "Read the ids with the query `people`.",
    ),
    "people_last_owner": (
        "200",
        "Without this person, no owner of the account would have signed in.",
        "Make another person an owner first, who then signs in.",
    ),
    "webhooks_duplicated": (
        "200",
        "A webhook of this type with this URL exists.",
        "Update or delete that webhook.",
    ),
    "webhooks_not_found": (
        "200",
        "No webhook of the account, or no delivery of a webhook, has this id.",
        "Read the ids with the query `webhooks`.",
    ),
    "webhooks_version_error": (
        "200",
        "The webhook has `version: v1`.",
        "Use `v2`, or omit `version`.",
    ),
    "webhooks_errors_permission": (
        "200",
        "The token has the scope `webhooks` but not `customers:read`, and the event contains "
        "customers.",
        "Use a token with both scopes.",
    ),
    "errors_timeout": (
        "200",
        "The request took longer than `REGULARS_REQUEST_SECONDS`, and was cancelled, in the "
        "database too. A write may have been saved.",
        "Request less data. Repeat a write with the same `Idempotency-Key`, or check its result"
        " first.",
    ),
    "errors_unavailable": (
        "503",
        "The database is unavailable, its disk is full, or the server has reached a limit: of "
        "requests in progress, in total or for one account, or of bytes buffered for slow "
        "connections. `Retry-After` is the number of seconds to wait.",
        "Try again. If the message says that a write may have been saved, use the same "
        "`Idempotency-Key`, or check its result first.",
    ),
    "errors_internal": (
        "200 or 500",
        "The server failed. `name` is `InternalError`. `extensions.request_id` identifies the "
        "details in the log. In `errors` of a row of `setCustomers`, and among the rejected "
        "rows of an import, the error concerns only that row.",
        "Try again. If it fails again, send us the request id.",
    ),
}


def page(title: str, *parts: str) -> str:
    """Return a generated page with paragraphs."""
    return "\n\n".join([f"{NOTE}\n# {title}", *(part.strip("\n") for part in parts)]) + "\n"


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    head = list(headings)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def types_page() -> str:
    api = schema()
    roots = [api.query_type, api.mutation_type]
    types = [t for t in api.type_map.values() if not t.name.startswith("__") and t not in roots]
    declared = [t for t in types if t.ast_node is not None]
    parts = [
        "Look up the types, fields and arguments of the API. `!` means never null. "
        "`regulars schema` prints the same in GraphQL's schema definition language. The arguments "
        "`format` and `suffix` of timestamps are described in [formats](formats.md). For behavior "
        "that types cannot express, see [lists](lists.md), [the search language](search.md), "
        "[writes](writes.md), [ids and values](values.md), [errors](errors.md) and "
        "[transport](transport.md).",
        "Custom scalars link to their specification. `TimeStamp` has none, because its text "
        "depends on the argument `format`.",
    ]
    for root in roots:
        assert root
        parts.append(type_part(root))
    parts += [type_part(type_) for type_ in sorted(declared, key=lambda t: t.name)]
    return page("Types", *parts)


def type_part(type_: GraphQLNamedType) -> str:
    parts = [f"## {type_.name}"]
    if type_.description:
        parts.append(type_.description)
    if isinstance(type_, GraphQLScalarType):
        url = type_.specified_by_url
        parts.append(f"A scalar, specified by <{url}>." if url else "A scalar.")
    elif isinstance(type_, GraphQLEnumType):
        rows = [(f"`{name}`", value.description or "") for name, value in type_.values.items()]
        parts.append(table(("value", "description"), rows))
    elif isinstance(type_, GraphQLInputObjectType):
        input_rows = [
            (f"`{name}`", f"`{field.type}`", default(field.ast_node), field.description or "")
            for name, field in type_.fields.items()
        ]
        parts.append(table(("field", "type", "default", "description"), input_rows))
    elif isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        if type_.interfaces:
            parts.append("Implements " + ", ".join(f"`{i.name}`" for i in type_.interfaces) + ".")
        fields = [
            (
                f"`{name}`",
                "<br>".join(argument_text(name, a) for name, a in definition.args.items()),
                f"`{definition.type}`",
                definition.description or "",
            )
            for name, definition in type_.fields.items()
        ]
        parts.append(table(("field", "arguments", "type", "description"), fields))
    return "\n\n".join(parts)


def argument_text(name: str, argument: GraphQLArgument) -> str:
    """Return an argument with its default and its description. The page about formats describes
    those of timestamps."""
    value = default(argument.ast_node)
    text = f"`{name}: {argument.type}{' = ' + value if value else ''}`"
    return text if name in ("format", "suffix") else f"{text}: {argument.description}"


def default(node: object) -> str:
    value = getattr(node, "default_value", None)
    return print_ast(value) if value else ""


class Example:
    """A request context with a fixed time."""

    now = int(datetime(2024, 3, 18, 15, 20, 37, tzinfo=UTC).timestamp() * 1000)


def formats_page() -> str:
    at = int(datetime(2024, 3, 8, 14, 5, 7, 9_000, tzinfo=UTC).timestamp() * 1000)

    def example(form: str) -> str:
        return f"`{prepare({'format': form})(Example(), [at])[0]}`"

    forms = [FROM_NOW, ISO, "YYYY-MM-DD HH:mm", "dddd, MMMM Do YYYY", "[on] D MMM [at] h:mm a"]
    return page(
        "Formats of a timestamp",
        "Every timestamp takes `format` and `suffix`. `format` is `fromNow` (the default), `ISO`, "
        f"or a text of at most {MAX_FORMAT} characters in which the tokens below are replaced; "
        "text in `[brackets]` and all other characters stay as they are. The tokens are those of "
        "moment.js, the names English, the time zone UTC.",
        "The examples show 2024-03-08 14:05:07.009, asked ten days later.",
        table(("format", "example"), [(f"`{form}`", example(form)) for form in forms]),
        "## Tokens",
        table(("token", "example"), [(f"`{token}`", example(token)) for token in TOKENS]),
        "## fromNow",
        "The age is rounded to whole seconds, minutes, hours, days, months (of 146,097 / 4,800 "
        "days) and years (of twelve of them), halves up, each from the exact age; the first line "
        "that holds wins. ` ago` follows, or `in ` stands before a moment to come; "
        "`suffix: false` leaves both off.",
        table(
            ("when", "text"),
            [
                ("seconds ≤ 44", "`a few seconds`"),
                ("minutes ≤ 1 · < 45", "`a minute` · `N minutes`"),
                ("hours ≤ 1 · < 22", "`an hour` · `N hours`"),
                ("days ≤ 1 · < 26", "`a day` · `N days`"),
                ("months ≤ 1 · < 11", "`a month` · `N months`"),
                ("years ≤ 1 · more", "`a year` · `N years`"),
            ],
        ),
    )


def errors_page() -> str:
    return page(
        "Errors",
        "Every error has a `message` for people, a `key` for programs, which never changes, and a "
        "`name`: `ReportedError` if the caller can fix it, otherwise `InternalError`. `path` is the "
        "path in the response, `locations` the positions in the document. `extensions.key` repeats "
        "the key, `extensions.code` is the code that Apollo clients read, and "
        "`extensions.input_path` is the path of the wrong value in the arguments.",
        "A status of “200 or 400” is 200 with `application/json` and 400 with "
        "`application/graphql-response+json`. See [transport](transport.md).",
        table(
            ("key", "code", "status", "when", "what to do"),
            [(f"`{key}`", f"`{CODES[key]}`", *cells) for key, cells in ERRORS.items()],
        ),
    )


def settings_page() -> str:
    rows = []
    for setting in SETTINGS.values():
        value = f"`{setting.default_text}`" if setting.default_text else ""
        file = f" or `{setting.variable}_FILE`" if setting.is_secret else ""
        rows.append(
            (f"`{setting.variable}`{file}", f"`{setting.option}`", value, setting.description)
        )
    return page(
        "Settings",
        "Set a setting with an environment variable, or with the option of `regulars serve` of the "
        "same name. The option takes precedence. Every command that uses a database has the option "
        "`--database-url`.",
        "A variable that ends in `_FILE` names a file with the value, such as a mounted secret. "
        "Regulars refuses unknown variables that begin with `REGULARS_`, and suggests the closest "
        "setting. It ignores the variables that Kubernetes sets for services.",
        "Write flags as `true` or `false`. Sizes are in bytes, and durations in the unit of their "
        "name.",
        table(("variable", "option", "default", "description"), rows),
    )


def commands_page() -> str:
    parts = [
        "`regulars` and `python -m regulars` are the same. `regulars help COMMAND` prints the help "
        "of a command, and `regulars --install-completion` installs completion for your shell.",
        "Commands that list something print a table on a terminal and JSON otherwise. Choose with "
        "`--table` and `--json`. Errors are sentences on standard error.",
    ]
    for group in GROUPS:
        entries = [entry for entry in ENTRIES if entry.group == group and not entry.is_hidden]
        parts.append(f"## {group}")
        parts.append(
            table(
                ("command", "description"),
                [
                    (f"[`{entry.name}`](#regulars-{entry.name.replace(' ', '-')})", entry.summary)
                    for entry in entries
                    if entry.module
                ],
            )
        )
        for entry in entries:
            if entry.module:
                parts.append(f"### regulars {entry.name}")
                parts.append(f"```text\n{help_of(entry.name)}\n```")
    parts.append("## Exit codes")
    parts.append(table(("code", "meaning"), [(str(c), text) for c, text in EXIT_CODES.items()]))
    return page("Commands", *parts)


def help_of(command: str) -> str:
    """Return the help of a command, on a terminal of 100 columns."""
    output = io.StringIO()
    os.environ["COLUMNS"] = "100"
    sys.argv = ["regulars", *command.split(), "--help"]
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        main()
    return re.sub(r" +$", "", output.getvalue(), flags=re.MULTILINE).strip()


def pages() -> dict[str, str]:
    """Return the generated pages, by file name."""
    return {
        "types.md": types_page(),
        "formats.md": formats_page(),
        "errors.md": errors_page(),
        "settings.md": settings_page(),
        "commands.md": commands_page(),
    }


def run(check: bool) -> int:
    """Write the pages, or check them; return the exit code."""
    stale = []
    for name, text in pages().items():
        path = PAGES / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"docs/reference is not what the code says: {', '.join(stale)}. Run: make docs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run("--check" in sys.argv))
