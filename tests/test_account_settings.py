"""Account settings: reading and changing them over the API and with a command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import Client, Server, create_token, find_account_name, run_regulars

pytestmark = pytest.mark.both_databases

READ = "{ accountSettings { trash_days } }"
CHANGE = (
    """mutation($n: InputAccountSettings!) { updateAccountSettings(node: $n) { trash_days } }"""
)


@pytest.fixture
def owner(server: Server) -> Iterator[Client]:
    with Client(server, create_token(server, scopes=("settings",))) as client:
        yield client


def test_a_setting_is_changed_and_reset(owner: Client) -> None:
    assert owner.data(READ) == {"accountSettings": {"trash_days": 30}}
    for days in (0, 3_650, 7):
        changed = owner.data(CHANGE, n={"trash_days": days})
        assert changed == {"updateAccountSettings": {"trash_days": days}}
    assert owner.data(CHANGE, n={})["updateAccountSettings"] == {"trash_days": 7}
    assert owner.data(READ)["accountSettings"] == {"trash_days": 7}
    assert owner.data(CHANGE, n={"trash_days": None})["updateAccountSettings"]["trash_days"] == 30


@pytest.mark.parametrize("days", [-1, 3_651])
def test_a_value_outside_the_limits_is_refused(owner: Client, days: int) -> None:
    error = owner.expect_error("errors_invalid_input", CHANGE, n={"trash_days": days})
    assert error["extensions"]["input_path"] == ["node", "trash_days"]
    assert "0 to 3,650" in error["message"]
    assert owner.data(READ)["accountSettings"] == {"trash_days": 30}


def test_settings_need_a_scope_to_change_and_belong_to_one_account(
    server: Server, owner: Client
) -> None:
    owner.data(CHANGE, n={"trash_days": 5})
    with Client(server, create_token(server, scopes=("customers",))) as other:
        assert other.data(READ)["accountSettings"] == {"trash_days": 30}
        other.expect_error("errors_scope", CHANGE, n={"trash_days": 1})


def test_settings_are_shown_and_changed_with_a_command(server: Server, owner: Client) -> None:
    account = find_account_name(server, owner.token)
    database = ("--account", account, "--database-url", server.database_url)

    def settings(*arguments: str) -> dict[str, Any]:
        result = run_regulars("account", "settings", *arguments, *database)
        assert result.returncode == 0, result.stderr
        values: dict[str, Any] = json.loads(result.stdout)
        return values

    assert settings() == {
        "trash_days": 30,
        "identify_by": "email",
        "default_country": None,
        "currency": None,
        "expenses_currency": "account",
    }
    assert settings("--set", "currency=mad")["currency"] == "MAD"
    assert settings("--unset", "currency")["currency"] is None
    assert settings("--set", "trash_days=90")["trash_days"] == 90
    assert owner.data(READ)["accountSettings"] == {"trash_days": 90}
    assert settings("--unset", "trash_days")["trash_days"] == 30
    assert settings("--set", "identify_by=anything")["identify_by"] == "anything"
    assert settings("--unset", "identify_by")["identify_by"] == "email"
    for wrong in (
        "trash_day=1",
        "trash_days",
        "trash_days=many",
        "trash_days=5000",
        "identify_by=name",
        "currency=euro",
        "expenses_currency=EUR",
    ):
        result = run_regulars("account", "settings", "--set", wrong, *database)
        assert result.returncode != 0
        assert result.stderr.count("\n") <= 2, result.stderr
    remote = run_regulars(
        *("account", "settings", "--url", server.url, "--insecure", "--json"),
        env={"REGULARS_TOKEN": owner.token},
    )
    assert json.loads(remote.stdout)["trash_days"] == 30, remote.stderr
