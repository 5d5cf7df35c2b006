"""A real server on each database, and for each test an account of its own on it."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fasteners import InterProcessLock
from hypothesis import settings
from playwright.sync_api import Browser

from tests.browser import Person, run_browser, sign_in_person
from tests.postgres import PostgreSQL, own_server, shared_server
from tests.support import (
    Client,
    Server,
    copy_sqlite_template,
    create_postgresql_template,
    create_token,
    run_regulars,
    run_server,
    scratch_database,
)

DATABASES = ("sqlite", "postgresql")
TEMPLATE = "with_all_tables"
SERVERS = {"server", "sqlite_server", "postgresql_server"}

# The modules that take longest, with the slow tests.
LONGEST = {
    f"test_{name}": index
    for index, name in enumerate(
        "pausing webhook_failures import_limits pages_for_all import_http pages_others "
        "compiler rolling search_plans bulkhead processes search_model pages_customer "
        "pages_import import mirroring webhook_mirror crashes limits upgrades wire documents "
        "webhooks copying fields docs_walkthrough sessions reloading import_process "
        "inbound_contacts cli_terminal verify replicas health language_docs command_line "
        "import_encodings event_types migrations failover pages_list attacks lists "
        "account_deletion literals cli_customers related_lists packages index_changes doctor "
        "slow_searches coercion clients hostile_text maintenance import_files search inbound".split()
    )
}

# What is collected stays until the end. Looking for garbage in it takes a sixth of the time.
gc.disable()

# The servers of the tests inherit what a signal means: `nohup` ignores this one, by which they reload.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# `--hypothesis-profile thorough` is what .ci/run runs (make test-full).
# Without a deadline: an example may take long on a busy machine.
settings.register_profile("quick", max_examples=25, deadline=None)
settings.register_profile("thorough", max_examples=100, deadline=None)
settings.load_profile("quick")


@pytest.fixture(scope="session")
def postgresql_lock(tmp_path_factory: pytest.TempPathFactory) -> InterProcessLock:
    """The lock of the server that the processes of the test run share."""
    return InterProcessLock(tmp_path_factory.getbasetemp().parent / "postgresql.lock")


@pytest.fixture(scope="session")
def postgresql(testrun_uid: str, postgresql_lock: InterProcessLock) -> Iterator[str]:
    """The DSN of a database of this process: on the server that the test run shares, or on the one
    that REGULARS_TEST_DSN names (with Citus, if the database named there has it)."""
    external = os.environ.get("REGULARS_TEST_DSN")
    with ExitStack() as stack:
        # Not in pytest's folder: as root, PostgreSQL runs as another user, and the next run of
        # pytest makes the folder inaccessible to it.
        folder = Path(tempfile.gettempdir()) / f"regulars-{testrun_uid[:12]}"
        dsn = external or stack.enter_context(shared_server(folder, postgresql_lock))
        yield stack.enter_context(scratch_database(dsn))


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A `regulars serve` on SQLite, for all tests of this process."""
    folder = tmp_path_factory.mktemp("sqlite")
    with run_server(f"sqlite:///{folder / 'regulars.db'}") as run_browser:
        yield run_browser


@pytest.fixture(scope="session")
def postgresql_server(postgresql: str, postgresql_template: str) -> Iterator[Server]:
    """A `regulars serve` on PostgreSQL, for all tests of this process."""
    with scratch_database(postgresql, template=postgresql_template) as url, run_server(url) as run:
        yield run


@pytest.fixture(scope="session", params=DATABASES)
def server(request: pytest.FixtureRequest) -> Server:
    """A running `regulars serve`, on each database in turn: this fixture ends whenever the other
    database is asked for, which the servers outlive."""
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client with a token for a new account."""
    with Client(server, create_token(server)) as made:
        yield made


@pytest.fixture
def sqlite_client(sqlite_server: Server) -> Iterator[Client]:
    """A client on SQLite: for how files are read, which is the same on both databases."""
    with Client(sqlite_server, create_token(sqlite_server)) as made:
        yield made


@pytest.fixture
def other(server: Server) -> Iterator[Client]:
    """A client with a token for another new account on the same server."""
    with Client(server, create_token(server)) as made:
        yield made


@pytest.fixture
def empty_postgresql(postgresql: str) -> Iterator[str]:
    """The URL of a database of PostgreSQL without tables."""
    with scratch_database(postgresql) as url:
        yield url


@pytest.fixture(scope="module")
def durable_postgresql() -> Iterator[PostgreSQL]:
    """A server with PostgreSQL's own settings: the one of the test run is not durable."""
    with own_server() as server:
        yield server


@pytest.fixture(params=DATABASES)
def durable_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, which `regulars doctor` finds nothing wrong with."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'durable.db'}"
    else:
        with scratch_database(request.getfixturevalue("durable_postgresql").dsn) as url:
            yield url


@pytest.fixture(params=DATABASES)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("empty_postgresql"))


@pytest.fixture(scope="session")
def postgresql_template(postgresql: str, postgresql_lock: InterProcessLock) -> Iterator[str]:
    """The name of a database of PostgreSQL with all tables and no rows. The first process that needs
    it on the shared server creates it for all."""
    if not os.environ.get("REGULARS_TEST_DSN"):
        with postgresql_lock:
            create_postgresql_template(postgresql, TEMPLATE)
        yield TEMPLATE
        return
    with scratch_database(postgresql) as url:
        assert run_regulars("migrate", "--database-url", url).returncode == 0
        yield urlsplit(url).path.strip("/")


@pytest.fixture
def new_postgresql(postgresql: str, postgresql_template: str) -> Iterator[str]:
    """The URL of a database of PostgreSQL with all tables and no rows."""
    with scratch_database(postgresql, template=postgresql_template) as url:
        yield url


@pytest.fixture(params=DATABASES)
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with all tables and no rows."""
    if request.param == "sqlite":
        return copy_sqlite_template(tmp_path / "new.db")
    return str(request.getfixturevalue("new_postgresql"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser; not for longer than its tests, because it has an event loop running in this
    thread."""
    with run_browser() as found:
        yield found


@pytest.fixture
def person(browser: Browser, server: Server) -> Iterator[Person]:
    """A person at the browser, signed in to a new account."""
    with sign_in_person(browser, server) as signed_in:
        yield signed_in


def pytest_xdist_auto_num_workers() -> int:
    """Two processes for each core: a test waits half of its time, for timers and other processes."""
    return 2 * len(os.sched_getaffinity(0))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full-matrix",
        action="store_true",
        help="run every test on SQLite and PostgreSQL, not only those marked both_databases",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects what is not to run on PostgreSQL, and begins with the modules that take longest:
    the processes of pytest-xdist end at about the same time then."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: LONGEST.get(item.path.stem, len(LONGEST)))
    full_matrix = config.getoption("--full-matrix")
    deselected = {item for item in items if not _is_selected(item, full_matrix)}
    if deselected:
        config.hook.pytest_deselected(items=list(deselected))
        items[:] = [item for item in items if item not in deselected]


def _is_selected(item: pytest.Item, full_matrix: bool) -> bool:
    """Returns whether a test runs. What only speaks to the API runs on SQLite alone, because the
    other tests show that the API is the same on both databases. Without the fast HTTP path, only
    tests that may start a server can have another result."""
    if os.environ.get("REGULARS_FAST_PATH") == "false" and not _may_start_server(item):
        return False
    callspec = getattr(item, "callspec", None)
    if callspec is None or "postgresql" not in callspec.params.values():
        return True
    if item.path.stem == "test_clients" or item.path.stem.startswith("test_pages"):
        return False
    return full_matrix or item.get_closest_marker("both_databases") is not None


def _may_start_server(item: pytest.Item) -> bool:
    """Returns whether a test has a server of this file, or `run_server` is in its module or in a
    test module from which that imports something."""
    if not isinstance(item, pytest.Function) or SERVERS.intersection(item.fixturenames):
        return True
    names = {str(getattr(value, "__module__", "")) for value in vars(item.module).values()}
    modules = {name for name in names if name.startswith("tests.test_")} | {item.module.__name__}
    return any(hasattr(sys.modules[name], "run_server") for name in modules)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where nothing may be skipped, a skipped test fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("REGULARS_TEST_NO_SKIPS") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
