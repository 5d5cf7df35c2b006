"""Exports of other shops and services (`tests/files`), imported as the documentation says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.support import Client, create_token, run_regulars, run_server

HERE = Path(__file__).parent
HOW_TO = HERE.parent / "docs" / "how-to"
PORTO = {"line1": "Rua das Flores 8", "city": "Porto", "country": "PT", "zip": "4050-262"}
PHONE = "+351 912 345 678"


def run_documented_import(
    name: str, tmp_path: Path, page: str = ""
) -> tuple[list[dict[str, Any]], str]:
    """Run the first import command of a page; return the customers and the database URL."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    env = {"REGULARS_DATABASE_URL": url}
    assert run_regulars("migrate", env=env).returncode == 0
    assert run_regulars("account", "create", "shop", env=env).returncode == 0
    text = (HOW_TO / f"{page or f'from-{name}'}.md").read_text()
    match = re.search(r"^regulars import (\S+\.csv.*)$", text, re.MULTILINE)
    assert match
    options = [word for word in shlex.split(match[1])[1:] if word != "--dry-run"]
    result = run_regulars("import", str(HERE / "files" / f"{name}.csv"), *options, env=env)
    assert result.returncode == 0, result.stderr
    shown = tmp_path / "shown.jsonl"
    assert run_regulars("export", str(shown), env=env).returncode == 0
    return [json.loads(line) for line in shown.read_text().splitlines()], url


def test_a_shopify_export(tmp_path: Path) -> None:
    (ana, ben), _ = run_documented_import("shopify", tmp_path)
    assert ana["shipping_address"] == {**PORTO, "phone": PHONE}
    assert (ana["phone"], ana["accepts_marketing"]) == (PHONE, True)
    assert (ana["tags"], ana["notes"]) == (["vip", "wholesale"], "Prefers mornings")
    assert ana["custom"]["Total Spent"] == "128.40"
    assert ana["custom"]["Customer ID"] == "7210001112223"
    # Shopify writes digits behind an apostrophe.
    assert ben["shipping_address"]["zip"] == "78701"


@pytest.mark.slow
def test_a_stripe_export(tmp_path: Path) -> None:
    (ana, ben), url = run_documented_import("stripe", tmp_path)
    assert (ana["first_name"], ana["last_name"]) == ("Ana", "Duarte")
    assert ana["billing_address"] == PORTO
    assert ana["created_at"] == "2024-03-18T14:20:00.000Z"
    assert ana["custom"]["plan (metadata)"] == "gold"
    assert ben["billing_address"] is None
    with run_server(url) as server, Client(server, create_token(server, "shop")) as client:
        customer = client.node("cus_PQx81kZ2VbT4uJ", "... on Customer { email }")
        assert customer == {"email": "ana@example.com"}


def test_a_woocommerce_export(tmp_path: Path) -> None:
    (ana, ben), _ = run_documented_import("woocommerce", tmp_path)
    address = {"city": "Austin", "country": "US", "zip": "78701", "state": "TX"}
    assert (ben["first_name"], ben["shipping_address"]) == ("Ben", address)
    assert ana["created_at"] == "2024-03-18T14:20:37.000Z"
    assert ana["custom"]["Total spend"] == "128.40"


def test_a_mailchimp_export(tmp_path: Path) -> None:
    ((ana,), _) = run_documented_import("mailchimp", tmp_path, "import")
    assert (ana["email"], ana["first_name"]) == ("ana@example.com", "Ana")
    assert ana["tags"] == ["vip", "Summer, 2024"]
    assert ana["created_at"] == "2024-03-18T14:20:37.000Z"


@pytest.mark.parametrize("name", ["shopify", "stripe", "woocommerce"])
def test_documentation_describes_each_column(name: str) -> None:
    page = (HOW_TO / f"from-{name}.md").read_text()
    with (HERE / "files" / f"{name}.csv").open() as file:
        headings = next(file).strip().split(",")
    for heading in headings:
        if name == "stripe" and "metadata" in heading:
            continue
        assert heading in page or re.sub(r"\d$", "", heading) in page, heading
