"""The options of commands that work against a database or a server, and the client that they
select."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from regulars.cli import options
from regulars.cli.completion import complete_account
from regulars.cli.database import with_store
from regulars.cli.errors import UsageError
from regulars.environment import ACCOUNT_VARIABLE

if TYPE_CHECKING:
    from regulars.cli.client import Client
    from regulars.store import Store

T = TypeVar("T")

TOKEN_VARIABLE = "REGULARS_TOKEN"  # noqa: S105  # its name
URL_VARIABLE = "REGULARS_URL"
# What RFC 6750 allows in an Authorization header (section 2.1, b64token).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_MAX_TOKEN_BYTES = 16 * 1024

ServerURL = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The server to use instead of a database, such as https://shop.example.com. "
        f"The token comes from {TOKEN_VARIABLE}, {TOKEN_VARIABLE}_FILE or --token-file. "
        f"[env: {URL_VARIABLE}]",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="The file with the token for --url."),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure", help="Allow http for --url, in a network that you trust. Sends the token."
    ),
]
AccountName = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="NAME",
        autocompletion=complete_account,
        help="The account in the database. Required if the database has several. "
        f"[env: {ACCOUNT_VARIABLE}, without --url]",
    ),
]


@dataclass(frozen=True, slots=True)
class Connection:
    """The values of the options: a server with a token file, or an account of a database."""

    url: str | None
    token_file: Path | None
    insecure: bool
    account: str | None
    database_url: str | None

    @property
    def server_url(self) -> str | None:
        """The URL of the server, or None for a database."""
        return self.url or (None if self.database_url else os.environ.get(URL_VARIABLE)) or None

    def run(self, work: Callable[[Client], Awaitable[T]]) -> T:
        """Call `work` with a client of the server or the database. Raises UsageError, StoreError,
        AccountError, ServerUnreachable and APIError."""
        url = self.server_url
        if not url:
            if self.token_file or self.insecure:
                option = "--token-file" if self.token_file else "--insecure"
                raise UsageError(f"{option} needs --url.")
            return self._run_in_database(work)
        for option, value in (("--account", self.account), ("--database-url", self.database_url)):
            if value is not None:
                raise UsageError(
                    f"{option} and --url cannot be combined. With --url, the token selects the "
                    "account."
                )
        return asyncio.run(self._run_on_server(url, work))

    def _run_in_database(self, work: Callable[[Client], Awaitable[T]]) -> T:
        from regulars.accounts.accounts import Accounts
        from regulars.cli.client import DatabaseClient

        settings = options.settings(database_url=self.database_url)

        async def run(store: Store) -> T:
            name = self.account or os.environ.get(ACCOUNT_VARIABLE) or None
            account = await Accounts(store).resolve(name)
            return await work(DatabaseClient(store, account.account_id, settings))

        return with_store(settings, run, seconds=settings.request_seconds)

    async def _run_on_server(self, url: str, work: Callable[[Client], Awaitable[T]]) -> T:
        from regulars.cli.client import CONNECT_SECONDS, READ_SECONDS, ServerClient
        from regulars.http_client import open_http
        from regulars.transfer.remote import address_of

        address = address_of(url, self.insecure)
        token = read_token(self.token_file)
        async with open_http(address, token, READ_SECONDS, CONNECT_SECONDS) as http:
            return await work(ServerClient(http, address))


_OPTIONS: Mapping[str, Any] = {
    "url": (ServerURL, None),
    "token_file": (TokenFile, None),
    "insecure": (Insecure, False),
    "account": (AccountName, None),
    "database_url": (options.DatabaseURL, None),
}


def with_connection(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a connection and --json to a command, which is called with `connection`
    and `as_json`."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        parameter.replace(kind=keyword)
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name not in ("connection", "as_json")
        and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    added = {**_OPTIONS, "as_json": (options.JsonOrTable, None)}
    parameters += [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, (annotation, default) in added.items()
    ]

    def run(**values: Any) -> None:
        connection = Connection(**{name: values.pop(name) for name in _OPTIONS})
        command(connection=connection, **values)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # PEP 362
    return run


def read_token(file: Path | None) -> str:
    """Return the token in a file, or else that of the environment. Raises UsageError."""
    if file is None:
        from regulars.environment import SettingsError, read_secret

        try:
            source, secret = read_secret(TOKEN_VARIABLE, os.environ)
        except SettingsError as error:
            raise UsageError(str(error)) from None
        text = secret or ""
        if not text.strip():
            raise UsageError(
                f"--url needs a token. Set {TOKEN_VARIABLE}, or name a file with --token-file."
            )
    else:
        source = str(file)
        try:
            with file.open("rb") as stream:
                text = stream.read(_MAX_TOKEN_BYTES).decode("ascii", "replace")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise UsageError(
                f"The file {source} of --token-file cannot be read: {reason}."
            ) from None
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise UsageError(
            f"{source} does not contain a token: letters, digits and - . _ ~ + /, without spaces."
        )
    return token
