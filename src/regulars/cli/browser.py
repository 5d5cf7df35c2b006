"""`regulars open`: sign in to the pages in a browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from regulars.cli import options
from regulars.cli.database import with_store
from regulars.cli.errors import ServerUnreachable, UsageError
from regulars.cli.options import examples
from regulars.cli.urls import reachable_at, sign_in_url

if TYPE_CHECKING:
    from regulars.store import Store

app = typer.Typer()

_TIMEOUT_SECONDS = 5.0


@app.command("open", epilog=examples("regulars open --url https://customers.example.com"))
def open_pages(
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="The address of the pages, such as https://customers.example.com. "
            "Default: where `regulars serve` listens.",
        ),
    ] = None,
    expires: Annotated[
        str,
        typer.Option(
            "--expires", metavar="WHEN", help="When you are signed out: 12h, 30d, or a date."
        ),
    ] = "7d",
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the link, and do not open a browser.")
    ] = False,
    account: options.AccountName = None,
    database_url: options.DatabaseURL = None,
) -> None:
    """Open the pages in a browser that is signed in.

    This needs the database of the server. The command creates a token with the scope `admin` and a
    link that works once, within an hour. Without a browser, it prints the link.
    """
    from regulars.accounts.accounts import Accounts
    from regulars.accounts.sessions import Sessions
    from regulars.cli.accounts import expiry
    from regulars.core.clock import now_ms
    from regulars.core.scopes import ADMIN

    settings = options.settings(database_url=database_url)
    pages = url or reachable_at(settings.host, settings.port)
    parts = urlsplit(pages)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--url must be an http or https URL, not {pages!r}.")
    ends_at = expiry(expires, now_ms())
    require_server(pages)

    async def create(store: Store) -> str:
        accounts = Accounts(store)
        owner = await accounts.resolve(account)
        _, token = await accounts.create_token(owner, "regulars open", ends_at, scopes=(ADMIN,))
        sessions = Sessions(store, accounts, settings.session_hours)
        return sign_in_url(pages, await sessions.link(token.token_id))

    link = with_store(settings, create)
    if not print_only and open_browser(link):
        print(f"Opened {pages} in your browser.")
        return
    if sys.stdout.isatty():
        print("Open this link in a browser. It works once, within an hour:")
    print(link)


def require_server(pages: str) -> None:
    """Raise ServerUnreachable unless a server of Regulars answers at a URL."""
    import httpx

    from regulars.http_client import tls_for

    url = f"{pages.rstrip('/')}/healthz"
    try:
        status: Any = httpx.get(url, timeout=_TIMEOUT_SECONDS, verify=tls_for(url)).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        status = str(error).rstrip(".") or type(error).__name__
    if status != httpx.codes.OK:
        raise ServerUnreachable(
            f"No server answers at {pages}: {status}. Start it with `regulars serve`, or pass its "
            "address with --url."
        )


def open_browser(link: str) -> bool:
    """Open a link in a graphical browser; return whether there is one."""
    is_unix = sys.platform not in ("darwin", "win32")
    has_display = any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if is_unix and not has_display:
        return False  # a browser for terminals, such as w3m, would run no scripts
    return webbrowser.open(link)
