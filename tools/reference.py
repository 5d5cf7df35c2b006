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
        "No token, or one that is unknown, expired or revoked; the answer does not say which.",
        "Send `Authorization: Bearer TOKEN`; make a token with `regulars token create`.",
    ),
    "errors_account_disabled": (
        "403",
        "The token, session or signature is valid, but the operator has disabled the account.",
        "Ask the operator to enable it: `regulars account enable NAME`. Its customers are kept.",
    ),
    "errors_scope": (
        "200 or 403",
        "The token lacks the scope that a field needs, which the message names; 403 at `/metrics`.",
        "Use a token that has it: `regulars token create --scope …`.",
    ),
    "errors_customer_not_found": (
        "200",
        "An id to update or delete names no customer of this account; `extensions.ids` lists them.",
        "Nothing was changed. Leave those ids out.",
    ),
    "errors_dup_email": (
        "200 or 409",
        "Another customer of the account has that email, compared without case. 409 for an event of "
        "another Regulars that came before one that frees the email.",
        "Use another email, or update that customer.",
    ),
    "errors_dup_row": (
        "200",
        "In `errors` of a row: an earlier row of the call names the same customer; "
        "`extensions.row` is its place, from 0. Not an error of the request.",
        "Give each customer one row.",
    ),
    "errors_other_rows": (
        "200",
        "In `errors` of a row: it is good, but nothing was saved, because another is rejected.",
        "Mend the other row, or send `errorPolicy: REJECT_ROW`.",
    ),
    "errors_import_stopped": (
        "none",
        "Told by the command line: an import was cancelled, or somebody else goes on with it.",
        "See what became of it before starting it again.",
    ),
    "errors_invalid_input": (
        "200",
        "A value is of the wrong type or cannot be kept; `extensions.input_path` says which.",
        "Mend the value as the message says. Every fault is reported, one error each.",
    ),
    "errors_version_conflict": (
        "200",
        "`ifVersion` is not the customer's version: somebody else was faster. `extensions.version` is "
        "the current one, `extensions.id` the customer's id as it was given.",
        "Nothing was changed. Read the customer again, and decide anew.",
    ),
    "errors_idempotency_key": (
        "422",
        "The `Idempotency-Key` was sent with another request in the last 24 hours.",
        "Nothing was done. Give every request a key of its own.",
    ),
    "errors_idempotency_running": (
        "409",
        "The request with this `Idempotency-Key` is still being worked on.",
        "Send it again after `Retry-After` seconds.",
    ),
    "errors_invalid_query": (
        "200",
        "The `query` of a list cannot be read, or its search takes too long; `extensions.position` "
        "counts characters from 0, `extensions.expected` is what belongs there, "
        "and `extensions.suggestion` is the nearest word that would be understood, if there is one.",
        "See [the search language](search.md#errors) and [lists](lists.md).",
    ),
    "errors_invalid_cursor": (
        "200",
        "`after` or `before` is not a cursor, or was visibly made under another order; `after` of a "
        "list inside a customer is no id of an order or lead.",
        "Use a cursor of a page in the same order, or the id of the last row.",
    ),
    "errors_page_size": (
        "200",
        "`first` or `last` is negative or over 250, or both are given.",
        "Ask for 0 to 250, counted from one end.",
    ),
    "errors_invalid_document": (
        "200 or 400",
        "The GraphQL document does not parse, does not fit the schema, or does not hold the "
        "operation named.",
        "Mend the document; `locations` says where.",
    ),
    "errors_document_limit": (
        "200 or 400",
        "The document has too many tokens, levels, fields, root fields, aliases or directives, too "
        "long a list, or costs too much; the message says which, the limit and the value. "
        "See [limits](limits.md).",
        "Send less at once.",
    ),
    "errors_bad_request": (
        "400",
        "The body is not JSON in UTF-8, or not an object with a string `query`; or the same of a "
        "query string.",
        'Send `{"query": "…", "variables": {…}, "operationName": "…"}`; the last two are optional.',
    ),
    "errors_method": (
        "405",
        "The method is neither GET nor POST, or a GET holds a mutation; `Allow` says what is taken.",
        "Use POST.",
    ),
    "errors_body_limit": (
        "413",
        "The body is larger than `REGULARS_MAX_BODY_BYTES`.",
        "Send less at once.",
    ),
    "errors_persisted_query": (
        "200",
        "The request has the hash of a persisted query (`extensions.persistedQuery`) and no "
        "`query`. `extensions.code` is `PERSISTED_QUERY_NOT_SUPPORTED`.",
        "Send the document in `query`. Apollo's and urql's clients do so by themselves.",
    ),
    "errors_header_limit": (
        "431",
        "The request line and the headers, the trailers, or the chunk sizes and extensions of a "
        "body are larger than `REGULARS_MAX_HEADER_BYTES`.",
        "Send less; a long query belongs into a POST. Send larger chunks, without extensions.",
    ),
    "errors_receive_timeout": (
        "408",
        "The request did not arrive within `REGULARS_RECEIVE_SECONDS`.",
        "Send it again, whole.",
    ),
    "rate_limit_reached": (
        "429",
        "The token has used up its rate, in points of cost; `Retry-After` says when to come back.",
        "Nothing was done. Wait as long as it says.",
    ),
    "errors_media_type": (
        "415",
        "The body is not `application/json` by its own account, or is compressed.",
        "Send `Content-Type: application/json`.",
    ),
    "errors_not_found": (
        "404",
        "There is nothing at this address.",
        "GraphQL is at `/api/v2`, and at `/graphql` and `/api2`.",
    ),
    "errors_signature": (
        "401",
        "An event of a shop, at `/in`, is not signed with a secret of its account; or there is no "
        "such account.",
        "Sign the body: `lightfunnels-hmac` is base64 of HMAC-SHA256. See "
        "[mirror a shop](../integrate/mirror-a-shop.md).",
    ),
    "errors_cross_site": (
        "403",
        "A request with a session's cookie was made by a page of another site, or by a program.",
        "From a program, send a token: `Authorization: Bearer TOKEN`.",
    ),
    "tokens_not_found": (
        "200",
        "No valid token of the account has the id.",
        "See the query `tokens`.",
    ),
    "webhooks_duplicated": (
        "200",
        "There is a webhook of that type to that address.",
        "Update or delete that one.",
    ),
    "webhooks_not_found": (
        "200",
        "No webhook of the account, or no delivery of one, has the id.",
        "See the query `webhooks`.",
    ),
    "webhooks_version_error": (
        "200",
        "A webhook with `version: v1`.",
        "Use `v2`, or leave it out.",
    ),
    "webhooks_errors_permission": (
        "200",
        "The token has the scope `webhooks`, but not `customers:read`, and the event tells of "
        "customers.",
        "Use a token that has both.",
    ),
    "errors_timeout": (
        "200",
        "The request took longer than `REGULARS_REQUEST_SECONDS` and was ended, in the database, too. "
        "A write may have been made.",
        "Ask for less at once. Send a write again with the same `Idempotency-Key`, or look first.",
    ),
    "errors_unavailable": (
        "503",
        "The database cannot be used at present, its disk is full, or the server works on as many "
        "requests as it may, in all or for one account, or holds too much for slow connections; "
        "`Retry-After` says when to come back.",
        "Try again. Where the message says that a write may have been made: with the same "
        "`Idempotency-Key`, or look first.",
    ),
    "errors_internal": (
        "200 or 500",
        "The server failed: `name` is `InternalError`, and `extensions.request_id` finds the details "
        "in the log. In `errors` of a row of `setCustomers`, and among the rejected rows of an "
        "import, it concerns that row alone.",
        "Try again; tell us the request id.",
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
        "Every error has a `message` for a person, a `key` for a program, which never changes, and "
        "a `name`: `ReportedError` for what the caller can mend, `InternalError` for what it "
        "cannot. `path` is where in the response the error belongs, `locations` where in the "
        "document; `extensions.key` repeats the key, `extensions.code` is the code that Apollo "
        "clients look for, and `extensions.input_path` says where in the arguments the fault lies.",
        "A status of “200 or 400” is 200 with `application/json` and 400 with "
        "`application/graphql-response+json`; see [transport](transport.md).",
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
