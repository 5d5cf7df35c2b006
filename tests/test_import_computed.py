"""Exports with values that Regulars computes, and what an import makes of them."""

from __future__ import annotations

import pytest

from tests.support import CommandResult
from tests.test_import import Shop
from tests.test_import import local as local

COMPUTED = (
    *("full_name", "location", "avatar", "expenses", "orders_count", "visits", "last_order_at"),
    *("version", "id"),
)
ORDER = 'mutation { recordOrder(node: {name: "#1", email: "a@x.test", total: 9}) { id } }'


def done(result: CommandResult) -> CommandResult:
    assert result.returncode == 0, result.stderr
    return result


@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx"])
def test_computed_values_of_an_export_are_not_imported(local: Shop, form: str) -> None:
    local.bring("email,first_name,last_name\na@x.test,Ana,Ali\nb@x.test,Bo,\n")
    done(local.run("query", local.file("order.graphql", ORDER)))
    target, columns = str(local.folder / f"x.{form}"), ",".join(("regulars_id", *COMPUTED))
    done(local.run("export", target, "--columns", f"{columns},email,first_name,last_name"))
    done(local.run("account", "create", "empty"))
    imported = done(local.run("import", target, "--account", "empty", "--json"))
    assert "last_order_at → custom" not in imported.stderr
    new, shop = (
        local.customers("regulars_id,email,first_name,last_name,custom,orders_count", account)
        for account in ("empty", "shop")
    )
    assert [row["email"] for row in new] == ["a@x.test", "b@x.test"]
    assert new == [{**row, "orders_count": new[0]["orders_count"]} for row in shop]
    assert {str(row["orders_count"]) for row in new} == {"0"}
    assert not any(row["custom"] for row in new)
    content = (local.folder / f"x.{form}").read_bytes()
    again = local.bring(content, "--account", "shop", name=f"again.{form}")
    assert (again["unchanged"], again["updated"], again["rejected"]) == (2, 0, 0)
