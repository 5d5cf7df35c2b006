"""Checks of backups, and of the tools that make them."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from regulars.cli.doctor.findings import FAIL, OK, WARN, Finding
from regulars.core.counts import count_of
from regulars.store import DatabaseUrl
from regulars.store.backup import newest_backup
from regulars.store.postgresql.connect import CONNECT_ERRORS, connect

_MAX_AGE_HOURS = 48
_TOOL_SECONDS = 10


def check_backups(folder: Path | None) -> Iterator[Finding]:
    """Yields a finding about the age of the newest backup in a folder."""
    if folder is None:
        message = (
            "The age of the last backup is unknown. Set REGULARS_BACKUP_FOLDER to the folder that "
            "`regulars backup` writes to."
        )
        yield Finding(WARN, "backup", message)
        return
    if not folder.is_dir():
        message = f"REGULARS_BACKUP_FOLDER is {folder}, which is not a folder. Run: mkdir {folder}"
        yield Finding(FAIL, "backup", message)
        return
    newest = newest_backup(folder)
    if newest is None:
        message = f"{folder} has no backup. Run: regulars backup {folder}/FILE"
        yield Finding(WARN, "backup", message)
        return
    hours = (time.time() - newest.stat().st_mtime) / 3_600
    age = (
        count_of(round(hours), "hour")
        if hours < _MAX_AGE_HOURS
        else count_of(round(hours / 24), "day")
    )
    message = f"The newest backup, {newest}, is {age} old."
    if hours <= _MAX_AGE_HOURS:
        yield Finding(OK, "backup", message)
    else:
        yield Finding(WARN, "backup", f"{message} Run `regulars backup` every day.")


def check_tools(url: DatabaseUrl, tools: Path | None) -> Iterator[Finding]:
    """Yields a finding about pg_dump: it must be installed, and not older than the server."""
    executable = shutil.which("pg_dump", path=tools)
    if executable is None:
        place = f"in {tools}" if tools else "on the PATH"
        message = (
            f"pg_dump is not {place}, and `regulars backup` needs it. Install PostgreSQL's client "
            "(Debian: postgresql-client), or name its folder with --tools."
        )
        yield Finding(WARN, "pg_dump", message)
        return
    process = subprocess.run(  # noqa: S603  # an executable from PATH, without a shell
        [executable, "--version"],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TOOL_SECONDS,
    )
    match = re.search(r"\d+(?:\.\d+)?", process.stdout)
    if match is None:
        message = f"{executable} does not print its version. Name another folder with --tools."
        yield Finding(WARN, "pg_dump", message)
        return
    try:
        server = asyncio.run(_server_version(str(url.dsn)))
    except CONNECT_ERRORS:  # the check of the database reports it
        yield Finding(OK, "pg_dump", f"pg_dump has version {match[0]}.")
        return
    if int(match[0].split(".")[0]) < int(server.split(".")[0]):
        message = (
            f"pg_dump has version {match[0]}, and cannot back up PostgreSQL {server}. Install the "
            "client of the server's version, or name its folder with --tools."
        )
        yield Finding(WARN, "pg_dump", message)
    else:
        yield Finding(OK, "pg_dump", f"pg_dump {match[0]} can back up PostgreSQL {server}.")


async def _server_version(dsn: str) -> str:
    connection = await connect(dsn)
    try:
        return str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()
