"""The country of phones without a country code: reading, finding and comparing them, and the rebuild
of the search terms after a change."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import pytest

from regulars.accounts.accounts import Accounts
from regulars.accounts.settings import change_settings
from regulars.api.context import Context
from regulars.api.schema import engine
from regulars.customers.commands import CreateCustomer
from regulars.customers.phone_numbers import read_number
from regulars.customers.rebuild import RebuildTerms
from regulars.customers.rebuild_worker import RebuildWorker
from regulars.customers.search import phones
from regulars.directory.directory import Directory
from regulars.directory.verify import verify
from regulars.store import Store, parse_url
from tests.support import (
    Client,
    Server,
    create_token,
    find_account_name,
    run_regulars,
    wait_until,
    with_store,
)
from tests.test_no_email import problems

pytestmark = pytest.mark.both_databases

T = TypeVar("T")

SETTINGS = """mutation($c: String) {
  updateAccountSettings(node: {default_country: $c}) { default_country } }"""
CREATE = """mutation($n: InputCustomer!) { createCustomer(node: $n) {
  _id id phone phones { phone e164 country valid } } }"""
FIND = "query($q: String) { customers(query: $q, first: 50) { edges { node { _id version } } } }"
PHONES = "query($by: CustomerIdentifier!) { customer(by: $by) { _id phones { phone e164 valid } } }"


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client with a token for a new account."""
    scopes = ("customers", "settings", "orders:write")
    with Client(server, create_token(server, scopes=scopes)) as made:
        yield made


def found(client: Client, query: str) -> list[int]:
    edges = client.data(FIND, q=query)["customers"]["edges"]
    return sorted(edge["node"]["_id"] for edge in edges)


def create(client: Client, number: int, **node: Any) -> dict[str, Any]:
    node = {"email": f"p{number}@example.com", "first_name": f"Ana{number}", **node}
    created: dict[str, Any] = client.data(CREATE, n=node)["createCustomer"]
    return created


def set_country(client: Client, country: str | None) -> None:
    changed = client.data(SETTINGS, c=country)["updateAccountSettings"]
    assert changed == {"default_country": country}


def rebuild(server: Server) -> None:
    """Rebuilds the search terms of all accounts, as the worker does within some seconds."""

    async def work(store: Store) -> None:
        await RebuildWorker(store).do_all()

    with_store(server.database_url, work)


def test_numbers_are_read_with_the_country(client: Client) -> None:
    set_country(client, "FR")
    create(client, 1, phone="06 12 34 56 78")
    create(client, 2, phone="+44 20 7946 0958")
    create(client, 3, phone="112")

    def phone_of(number: int) -> dict[str, Any]:
        by = {"email": f"p{number}@example.com"}
        (phone,) = client.data(PHONES, by=by)["customer"]["phones"]
        return dict(phone)

    # A token is cached for a second, with the settings of its account.
    wait_until(lambda: phone_of(1)["e164"])
    assert phone_of(1) == {"phone": "06 12 34 56 78", "e164": "+33612345678", "valid": True}
    assert phone_of(2)["e164"] == "+442079460958"
    assert phone_of(3) == {"phone": "112", "e164": None, "valid": False}
    set_country(client, None)
    wait_until(lambda: phone_of(1)["e164"] is None)


@pytest.mark.parametrize("is_before", [True, False])
def test_every_written_form_finds_a_number(server: Server, client: Client, is_before: bool) -> None:
    """A change of the setting rebuilds the terms of the customers that exist."""
    if is_before:
        set_country(client, "FR")
    ids = [
        create(client, 1, phone="06 12 34 56 78")["_id"],
        create(client, 2, phone="+33 6 12 34 56 78")["_id"],
        create(client, 3, phone="", phones=[{"phone": "01 40"}, {"phone": "0612345678"}])["_id"],
    ]
    other = create(client, 4, phone="+44 20 7946 0958")["_id"]
    if not is_before:
        set_country(client, "FR")
        rebuild(server)
        wait_until(lambda: found(client, "+33612345678") == ids)
    for query in ("+33612345678", "phone:0033612345678", "phone:0612345678", "0612345678", "+3361"):
        assert found(client, query) == ids, query
    assert found(client, "phone:+442079460958") == [other]
    version = client.data(FIND, q="0612345678")["customers"]["edges"][0]["node"]["version"]
    assert version == 1
    set_country(client, None)
    rebuild(server)
    wait_until(lambda: found(client, "+33612345678") == [ids[1]])
    assert problems(server, client) == []


class Account:
    """An account of a database without a server, whose worker would rebuild it."""

    def __init__(self, store: Store, account_id: int) -> None:
        self.store = store
        self.account_id = account_id
        self.directory = Directory(store)
        self.api = engine()

    async def create(self, number: int, **node: Any) -> int:
        """Creates a customer, and returns its `_id`."""
        node = {"email": f"p{number}@example.com", "phone": f"06 12 34 56 {number:02}", **node}
        command = CreateCustomer.from_node(node, 1_700_000_000_000)
        row = await self.directory.write(self.account_id, command)
        return int(row["customer_id"])

    async def found(self, query: str) -> list[int]:
        context = Context(self.account_id, self.directory, "test", 1_700_000_000_000)
        execution = self.api.run(self.api.get_operation(FIND), {"q": query}, context)
        edges = (await execution).to_response()["data"]["customers"]["edges"]
        return sorted(edge["node"]["_id"] for edge in edges)

    async def rebuild(self, start: int, ids: Sequence[int], is_last: bool) -> Any:
        return await self.store.write(self.account_id, RebuildTerms(start, tuple(ids), is_last))


def in_account(
    url: str, work: Callable[[Account], Awaitable[T]], account_id: int | None = None
) -> T:
    """Calls `work` with an account, or a new one."""

    async def run(store: Store) -> T:
        if account_id is None:
            return await work(Account(store, (await Accounts(store).create("phones")).account_id))
        return await work(Account(store, account_id))

    return with_store(url, run)


def test_a_rebuild_is_bounded_and_resumable(new_database: str) -> None:
    """Each batch moves a position in the database. A batch at another position changes nothing."""

    async def begin(account: Account) -> tuple[int, list[int]]:
        numbers = [await account.create(n) for n in range(10, 16)]
        await change_settings(account.store, account.account_id, {"default_country": "FR"})
        assert await account.rebuild(7, numbers, True) is None
        assert await account.rebuild(1, numbers[:2], False) == numbers[1] + 1
        return account.account_id, numbers

    account_id, numbers = in_account(new_database, begin)
    # The other customers are to be rebuilt.
    assert verify(parse_url(new_database)).problems == []

    async def resume(account: Account) -> None:
        assert await account.found("+336") == numbers[:2]
        assert await account.rebuild(1, numbers[:2], False) is None
        later = await account.create(20)
        assert await account.found("+336") == [*numbers[:2], later]
        await RebuildWorker(account.store).do_all()
        assert await account.found("+336") == [*numbers, later]
        assert await account.rebuild(1, numbers, True) is None  # it is over

    in_account(new_database, resume, account_id)
    assert verify(parse_url(new_database)).problems == []


def test_long_customers_are_rebuilt_in_several_batches(new_database: str) -> None:
    async def work(account: Account) -> None:
        tags = [f"tag {n} " + "x" * 200 for n in range(60)]
        numbers = [await account.create(n, tags=tags) for n in range(8)]
        await change_settings(account.store, account.account_id, {"default_country": "FR"})
        position = await account.rebuild(1, numbers, True)
        assert 1 < position <= numbers[-1]
        await RebuildWorker(account.store).do_all()
        assert await account.found("+336") == numbers

    in_account(new_database, work)


def test_phones_of_a_list_are_compared_as_numbers_of_the_country(client: Client) -> None:
    set_country(client, "FR")
    listed = [{"phone": "06 12 34 56 78"}, {"phone": "+33 6 12 34 56 78", "label": "mobile"}]
    made = create(client, 1, phones=listed)
    assert [p["phone"] for p in made["phones"]] == ["06 12 34 56 78"]
    add = """mutation($id: ID!, $p: [InputPhoneNumber!]!) {
      addPhones(id: $id, phones: $p) { phones { phone label } } }"""
    added = client.data(add, id=made["id"], p=[{"phone": "0033612345678", "label": "home"}])
    assert added["addPhones"]["phones"] == [{"phone": "06 12 34 56 78", "label": "home"}]
    remove = """mutation($id: ID!, $p: [String!]!) {
      removePhones(id: $id, phones: $p) { phones { phone } } }"""
    removed = client.data(remove, id=made["id"], p=["+33612345678"])
    assert removed["removePhones"]["phones"] == []


def test_an_import_matches_a_number_of_the_country(
    server: Server, client: Client, tmp_path: Any
) -> None:
    set_country(client, "FR")
    client.data("mutation { updateAccountSettings(node: {identify_by: anything}) { trash_days } }")
    create(client, 1, phone="06 12 34 56 78")
    create(client, 2, email="", phone="06 99 88 77 66", first_name="Bob")
    account = find_account_name(server, client.token)

    def run(text: str, *options: str) -> str:
        path = tmp_path / "customers.csv"
        path.write_text(text)
        database = ("--account", account, "--database-url", server.database_url)
        result = run_regulars("import", str(path), "--json", *options, *database)
        assert result.returncode == 0, result.stdout + result.stderr
        return str(result.stdout)

    out = run("phone,last_name\n+33 6 12 34 56 78,Martin\n", "--match", "phone")
    assert json.loads(out)[0]["updated"] == 1
    assert len(found(client, "martin")) == 1
    # Without an email, the phone and the name identify a customer, in either form of the number.
    out = run("phone,first_name,notes\n+33699887766,Bob,tall\n")
    assert json.loads(out)[0]["created"] == 0, out
    assert found(client, "notes:tall") == found(client, "bob")


def test_the_country_is_set_and_refused(server: Server, client: Client) -> None:
    for wrong, hint in (("France", "Did you mean FR?"), ("fr", "Did you mean FR?"), ("XX", "code")):
        error = client.expect_error("errors_invalid_input", SETTINGS, c=wrong)
        assert hint in error["message"], error
        assert error["extensions"]["input_path"] == ["node", "default_country"]
    account = find_account_name(server, client.token)
    database = ("--account", account, "--database-url", server.database_url)
    set_ = run_regulars("account", "settings", "--set", "default_country=MA", *database)
    assert json.loads(set_.stdout)["default_country"] == "MA"
    refused = run_regulars("account", "settings", "--set", "default_country=Marokko", *database)
    assert refused.returncode != 0
    assert "Did you mean MA?" in refused.stderr
    unset = run_regulars("account", "settings", "--unset", "default_country", *database)
    assert json.loads(unset.stdout)["default_country"] is None


def test_forms_with_a_country_contain_those_of_the_number() -> None:
    """What the API shows as the number is a form by which it is found."""
    for text, country in (
        ("06 12 34 56 78", "FR"),
        ("(415) 555-2671", "US"),
        ("011 33 612345678", "US"),
        ("0171 2345678", "DE"),
        ("8 912 345-67-89", "RU"),
        ("06 1234 5678", "IT"),
        ("٠٦١٢٣٤٥٦٧٨", "MA"),
    ):
        number = read_number(text, country)
        assert number.valid, text
        forms = phones.forms(text, country)
        assert (number.e164 or "").removeprefix("+") == forms[0]
        assert phones.digits(text) in forms
        assert set(phones.forms(number.e164 or "")) <= set(forms)
