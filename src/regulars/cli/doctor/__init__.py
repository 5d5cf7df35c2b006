"""`regulars doctor`: checks a deployment, and reports what to fix.

Every check runs, whatever the others report. A check that fails in an unexpected way is a finding,
too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from regulars.accounts.accounts import Accounts
from regulars.cli.database import with_store
from regulars.cli.doctor.accounts import check_accounts, check_tokens
from regulars.cli.doctor.backups import check_backups, check_tools
from regulars.cli.doctor.findings import FAIL, OK, WARN, Finding
from regulars.cli.doctor.host import check_port, check_settings
from regulars.cli.doctor.postgresql import check_postgresql, check_replica
from regulars.cli.doctor.sqlite import check_sqlite
from regulars.cli.doctor.webhooks import check_webhooks
from regulars.core.clock import now_ms
from regulars.settings import Settings
from regulars.store import DatabaseUrl, NotMigrated, StoreError, Unreachable, parse_url
from regulars.store.schema_version import newest_version, require_usable

__all__ = ["FAIL", "OK", "WARN", "Finding", "examine"]


def examine(settings: Settings, tools: Path | None = None) -> list[Finding]:
    """Returns the findings of all checks. `tools` is the folder of PostgreSQL's tools."""
    findings = _run("settings", lambda: check_settings(settings))
    findings += _run("port", lambda: check_port(settings))
    try:
        url = parse_url(settings.database_url)
    except StoreError as error:
        findings.append(Finding(FAIL, "database", str(error)))
    else:
        findings += _check_database(url, settings, tools)
    for replica_url in settings.replica_urls:
        findings += _run("replica", partial(_check_replica, replica_url, settings))
    folder = Path(settings.backup_folder) if settings.backup_folder else None
    findings += _run("backup", lambda: check_backups(folder))
    return findings


def _check_database(url: DatabaseUrl, settings: Settings, tools: Path | None) -> list[Finding]:
    if url.path is not None:
        path = url.path
        findings = _run("database", lambda: check_sqlite(path, settings))
    else:
        findings = _run("database", lambda: asyncio.run(check_postgresql(url, settings)))
        findings += _run("pg_dump", lambda: check_tools(url, tools))
    # Without the tables or the right to read them, each of the next checks would fail as well.
    if any(f.state == FAIL and f.subject in ("database", "rights") for f in findings):
        return findings
    tables = _run("database", lambda: [_check_tables(url)])
    findings += tables
    if tables[0].state != FAIL:
        findings += _run("accounts", lambda: check_accounts(url, settings))
        findings += _run("tokens", lambda: _check_tokens(settings))
        findings += _run("webhooks", lambda: check_webhooks(settings))
    return findings


def _check_tokens(settings: Settings) -> Iterable[Finding]:
    return check_tokens(with_store(settings, lambda store: Accounts(store).tokens()), now_ms())


def _check_tables(url: DatabaseUrl) -> Finding:
    try:
        schema = require_usable(url)
    except (NotMigrated, Unreachable) as error:
        return Finding(FAIL, "database", str(error))
    if schema.version != newest_version():
        message = f"{url.redacted} has the tables of a newer Regulars. This version supports them."
        return Finding(OK, "database", message)
    if schema.finished != newest_version():
        message = (
            f"{url.redacted} still supports older versions of Regulars. When none of them runs any "
            "more, run: regulars migrate"
        )
        return Finding(WARN, "database", message)
    return Finding(OK, "database", f"{url.redacted} has the tables of this version.")


def _check_replica(url: str, settings: Settings) -> list[Finding]:
    return check_replica(parse_url(url), settings)


def _run(subject: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Returns the findings of a check, including those before an exception that ends it."""
    findings: list[Finding] = []
    try:
        findings.extend(check())
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        findings.append(Finding(FAIL, subject, f"This check failed: {reason.rstrip('.')}."))
    return findings
