"""No input of a client blocks the event loop for longer than 100 ms.

Each attack is the worst input of a limit. A server is measured from inside (`loop_probe.py`), where
other processes of a busy machine do not count, and from outside by /healthz. An input that blocks
does so each time, so the best of some attempts counts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from regulars.accounts.accounts import Accounts
from regulars.app import Application
from regulars.settings import Settings
from regulars.store import Store
from regulars.webhooks.signatures import secrets_of
from tests.attacks import CASES, Case, fill
from tests.conftest import DATABASES
from tests.event_loop import Measured, Target, measure, measure_idle
from tests.support import run_regulars, scratch_database, with_store

LIMITS = Path(__file__).parent.parent / "docs" / "reference" / "limits.md"
PAUSE_SECONDS = 0.1
# Measured from outside, this includes everything else that the machine does.
HEALTHZ_SECONDS = 1.5
GROWN_BYTES = 200 * 2**20
ATTEMPTS = 5
# The processor time of `measure_slowness` on two idle cores.
ALONE_SECONDS = 0.03
# A pause this many times over the limit is not measured again.
HOPELESS_FACTOR = 5


@pytest.fixture(scope="module", params=DATABASES)
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """A server with customers of the largest possible size."""
    folder = tmp_path_factory.mktemp("event-loop")
    if request.param == "sqlite":
        with FilledTarget(f"sqlite:///{folder / 'r.db'}", folder) as filled:
            yield filled
        return
    with scratch_database(request.getfixturevalue("postgresql")) as url:
        with FilledTarget(url, folder) as filled:
            yield filled


class FilledTarget:
    """A target with the customers that the attacks read."""

    def __init__(self, url: str, folder: Path) -> None:
        self._target = Target(url, folder)

    def __enter__(self) -> Target:
        target = self._target.__enter__()
        fill(target)
        # And customers of usual size.
        result = run_regulars(
            "sample", "--customers", "1000", "--database-url", target.database_url
        )
        assert result.returncode == 0, result.stderr

        async def secret(store: Store) -> str:
            account = await Accounts(store).resolve(None)
            return (await secrets_of(store, account.account_id, 0)).current

        target.secret = with_store(target.database_url, secret)
        return target

    def __exit__(self, *_: object) -> None:
        self._target.__exit__()


@pytest.mark.alone
@pytest.mark.slow
def test_the_measurement_is_calibrated(target: Target) -> None:
    """Without an attack, the event loop does not pause. Otherwise the measurements are invalid."""
    idle = measure_best(target, Case("nothing", lambda *_: measure_idle(target), (), ()), None)
    assert idle.pause_seconds < PAUSE_SECONDS / 2, idle
    assert idle.healthz_seconds < HEALTHZ_SECONDS, idle


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_an_attack_does_not_block_the_event_loop(target: Target, case: Case) -> None:
    if target.database_url.startswith("postgresql") and not case.uses_database:
        return  # the database does not matter for this input
    senders = {"with a token": target.token}
    measured = {name: measure_best(target, case, token) for name, token in senders.items()}
    if case.stranger:
        measured["without a token"] = measure_best(target, case, None)
    summary = "; ".join(f"{name}: {result}" for name, result in measured.items())
    print(summary)
    assert all(is_good(result) for result in measured.values()), summary


def measure_best(target: Target, case: Case, token: str | None) -> Measured:
    """Returns the best result of several attempts."""
    results: list[Measured] = []
    for number in range(ATTEMPTS):
        result = measure(target, case.attack, number, token)
        if is_good(result):
            return result
        result = replace(result, pause_seconds=result.pause_seconds / measure_slowness())
        if is_good(result):
            return result
        results.append(result)
        if result.pause_seconds > HOPELESS_FACTOR * PAUSE_SECONDS:
            break
    return min(results, key=lambda result: result.pause_seconds)


def measure_slowness() -> float:
    """Returns how many times longer than on an idle machine the same instructions take now. The
    processor time of a step grows, too, if the machine is busy. At least 1."""
    began = time.thread_time()
    texts: dict[int, str] = {}
    for number in range(60_000):
        texts[number % 997] = str(number) + texts.get((number * 7) % 997, "")[:3]
    return max(1.0, (time.thread_time() - began) / ALONE_SECONDS)


def is_good(result: Measured) -> bool:
    """Returns whether all measurements are within their limits."""
    return (
        not result.problems
        and result.pause_seconds <= PAUSE_SECONDS
        and result.healthz_seconds <= HEALTHZ_SECONDS
        and result.grown_bytes <= GROWN_BYTES
    )


def documented_limits() -> list[str]:
    """Returns the first column of the table of limits."""
    table = LIMITS.read_text().partition("| --- |")[2].partition("\n\n")[0]
    return re.findall(r"^\| (.+?) \|", table, re.MULTILINE)


def test_each_documented_limit_has_an_attack() -> None:
    attacked = {limit for case in CASES for limit in case.limits}
    documented = documented_limits()
    assert len(documented) > 15
    missing = [limit for limit in documented if limit not in attacked]
    assert not missing, f"add attacks of these limits to tests/attacks.py: {missing}"


def test_each_route_has_an_attack(tmp_path: Path) -> None:
    app = Application(Settings(database_url=f"sqlite:///{tmp_path / 'r.db'}"))
    routes = [*app.graphql_at, *(getattr(route, "path", "") for route in app._starlette.routes)]
    attacked = {route for case in CASES for route in case.routes}
    missing = [route for route in routes if route not in attacked]
    assert not missing, f"add attacks of these routes to tests/attacks.py: {missing}"
