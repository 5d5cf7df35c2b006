"""The servers that are compared: Regulars on two databases, its peers, and uvicorn with a fixed
body."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data import TOKEN
from benchmarks.servers import BUILD, SERVER_CORE, Contender, python, uvicorn

PEERS = Path(__file__).resolve().parent / "peers"

REGULARS_SQLITE = "Regulars, SQLite"
REGULARS_POSTGRESQL = "Regulars, PostgreSQL"
STRAWBERRY = "Strawberry, asyncpg"
FASTAPI = "graphql-core, SQLAlchemy, FastAPI"
MERCURIUS_POSTGRESQL = "Mercurius JIT, PostgreSQL"
MERCURIUS_SQLITE = "Mercurius JIT, better-sqlite3"
FIXED_LIST = "uvicorn, fixed body of L"
FIXED_NODE = "uvicorn, fixed body of N"


def regulars(
    name: str,
    database_url: str,
    *options: str,
    module: str = "regulars",
    cores: Sequence[int] = (SERVER_CORE,),
) -> Contender:
    """Returns Regulars as `regulars serve` starts it."""
    command = python(module, "serve", "--port", "{port}", "--database-url", database_url, *options)
    return Contender(name, command, {}, "/api/v2", TOKEN, cores)


def fixed(name: str, body: bytes) -> Contender:
    """Returns uvicorn with the same response to every request."""
    body_file = BUILD / f"{len(body)}.body"
    body_file.write_bytes(body)
    return Contender(name, uvicorn("benchmarks.peers.fixed:app"), {"FIXED_BODY": str(body_file)})


def python_peers(dsn: str) -> list[Contender]:
    """Returns the peers in Python, on PostgreSQL."""
    apps = {STRAWBERRY: "strawberry_app", FASTAPI: "fastapi_app"}
    return [
        Contender(name, uvicorn(f"benchmarks.peers.{app}:app"), {"PEER_DSN": dsn})
        for name, app in apps.items()
    ]


def mercurius(dsn: str, database: Path) -> list[Contender]:
    """Returns Mercurius on both databases, or nothing if npm is not installed."""
    if shutil.which("npm") is None:
        print("Mercurius is left out: Node's npm is not installed here.", file=sys.stderr)
        return []
    _install()
    command = [str(BUILD / "node_modules/.bin/node"), str(PEERS / "mercurius" / "server.js")]
    modules = {"PEER_MODULES": str(BUILD)}
    return [
        Contender(MERCURIUS_POSTGRESQL, command, {**modules, "PEER_DSN": dsn}),
        Contender(MERCURIUS_SQLITE, command, {**modules, "PEER_DB": str(database)}),
    ]


def _install() -> None:
    """Installs Mercurius, the database drivers and Node, unless they are installed."""
    manifest = (PEERS / "mercurius" / "package.json").read_text()
    installed = BUILD / "package.json"
    if installed.exists() and json.loads(installed.read_text()) == json.loads(manifest):
        return
    installed.unlink(missing_ok=True)
    shutil.copyfile(PEERS / "mercurius" / "package.json", BUILD / "package.json.new")
    (BUILD / "package.json.new").rename(installed)
    options = ["--silent", "--no-audit", "--no-fund", "--no-package-lock"]
    try:
        subprocess.run(["npm", "install", *options, "--prefix", str(BUILD)], check=True)
    except subprocess.CalledProcessError:
        installed.unlink()
        raise
