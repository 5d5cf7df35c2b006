"""An entity that the product does not have: one package, one line and a generated migration.

The test adds it to a copy of the program, as docs/explanation/architecture.md says ("Add an entity"), and uses
it over HTTP.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Client, Server, create_token, run_server
from tests.test_fields import Program

ROOT = Path(__file__).parents[1]
FILES = {
    "__init__.py": '"""Notices of customers."""\n',
    "table.py": """
from regulars.store.columns import belongs_to, key, number, table, text
from regulars.store.tables import add_counter

notices = table(
    "notices",
    key("account_id"),
    key("notice_id"),
    number("customer_id"),
    text("title"),
    belongs_to("customers", "customer_id"),
)
COUNTER = add_counter("notices")
""",
    "rules.py": """
from __future__ import annotations

from dataclasses import dataclass

from regulars.core.commands import (
    COMMAND_LINE, IdempotencyRecord, Origin, SmallCommand, record_lookups
)
from regulars.core.errors import InvalidInput, Rejected
from regulars.customers.commands import Reference, customer_ids
from regulars.customers.unit_of_work import CustomerUnitOfWork
from regulars.notices.table import notices
from regulars.store import LookupKeys, Row


@dataclass(frozen=True, slots=True)
class CreateNotice(SmallCommand):
    customer: Reference
    title: str
    at: int
    idempotency_record: IdempotencyRecord | None = None
    origin: Origin = COMMAND_LINE

    def lookup_keys(self) -> LookupKeys:
        records = record_lookups(self.idempotency_record)
        return LookupKeys(customer_ids=customer_ids(self.customer), **records)


def create(unit: CustomerUnitOfWork, command: CreateNotice) -> Row:
    customer = unit.find(command.customer)
    if customer is None:
        raise Rejected(InvalidInput("No customer has this id.", ("customer",)))
    row = {
        "account_id": unit.account_id,
        "notice_id": unit.next_id("notices"),
        "customer_id": customer["customer_id"],
        "title": command.title,
    }
    unit.rows[notices].put(row)
    return row
""",
    "entity.py": """
from regulars.notices import rules
from regulars.notices.table import COUNTER, notices
from regulars.store.entity import CASCADE, Entity, Lookup

NOTICES = Entity(
    notices,
    counter=COUNTER,
    lookups=(Lookup("notice_ids", notices.c.notice_id),),
    editable=("title",),
    on_customer_delete=CASCADE,
    rules={rules.CreateNotice: rules.create},
)
ENTITIES = (NOTICES,)
""",
    "stored_values.py": """
from regulars.core.stored_values import ID, NOT_EMPTY

RULES = {"notices": {"notice_id": ID, "title": NOT_EMPTY}}
""",
    "schema.graphql": """
extend type Query {
  "The notices of the account, oldest first."
  notices: [Notice!]!
}

extend type Mutation {
  createNotice(customer: ID!, title: String!): Notice!
}

type Notice implements Node {
  id: ID!
  title: String!
  customer: Customer
}
""",
    "graphql.py": """
import sqlalchemy as sa

from regulars.api.guards import needs, price_of_write
from regulars.api.part import ApiPart, Node
from regulars.api.related import customers_of
from regulars.api.values import global_id
from regulars.api.writing import mutation
from regulars.core.scopes import READ, WRITE
from regulars.customers.commands import reference_to
from regulars.graphql import Related, Root, TypeBinding, Value
from regulars.notices.rules import CreateNotice
from regulars.notices.table import notices as table
from regulars.store.columns import Number
from regulars.store.query import Query


async def rows_of(env, layout, *conditions, **parameters):
    columns = [table.c[name] for name in layout.columns]
    query = sa.select(*columns).where(
        table.c.account_id == sa.bindparam("account_id", type_=Number), *conditions
    ).order_by(table.c.notice_id)
    rows = await env.directory.store.fetch(
        Query(query), {"account_id": env.account_id, **parameters}
    )
    return await layout.load_related(rows, env)


def notices(layouts):
    async def resolve(env, _arguments):
        return await rows_of(env, layouts.only)

    return resolve


async def one(env, number, layout):
    condition = table.c.notice_id == sa.bindparam("notice_id", type_=Number)
    rows = await rows_of(env, layout, condition, notice_id=number)
    return rows[0] if rows else None


def _create(env, arguments, record):
    customer = reference_to(arguments["customer"])
    return CreateNotice(customer, arguments["title"], env.now, record, env.origin)


API = ApiPart(
    {
        "Notice": TypeBinding(
            {
                "id": global_id("Notice", "notice_id"),
                "title": Value(("title",)),
                "customer": Related("customer_id", customers_of),
            }
        )
    },
    lambda _page_size: {
        "notices": Root(notices, needs(READ)),
        "createNotice": Root(mutation(_create), needs(WRITE), price_of_write),
    },
    {"Notice": Node(READ, one)},
)
""",
}
LINE = '"customers", "orders", "webhooks", "accounts"'
CREATE = """mutation($customer: ID!, $title: String!) {
    createNotice(customer: $customer, title: $title) { id title customer { email } } }"""
RESTORE = "mutation($items: [ID!]!) { restoreCustomers(items: $items) { customers { id } } }"
LIST = "{ notices { id title customer { _id } } }"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A copy of the program that has the package."""
    folder = tmp_path_factory.mktemp("program")
    for name in ("src/regulars", "tools"):
        shutil.copytree(ROOT / name, folder / name)
    package = folder / "src/regulars/notices"
    package.mkdir()
    for name, text in FILES.items():
        (package / name).write_text(text.lstrip())
    packages = folder / "src/regulars/core/packages.py"
    text = packages.read_text()
    assert text.count(LINE) == 1
    packages.write_text(text.replace(LINE, f'{LINE}, "notices"'))
    program = Program(folder)
    program.python(str(folder / "tools/migration.py"), "add_notices")
    return program


@pytest.fixture(scope="module")
def copy(program: Program) -> Iterator[Server]:
    """A server of the copy, on a database with its tables."""
    url = f"sqlite:///{program.folder / 'copy.db'}"
    with run_server(url, env=program.env, use_template=False) as server:
        yield server


@pytest.mark.slow
def test_a_package_a_line_and_a_migration_are_an_entity(program: Program, copy: Server) -> None:
    with Client(copy, create_token(copy)) as client, Client(copy, create_token(copy)) as other:
        customer = client.create("ada@example.com")
        second = client.create("bo@example.com")
        response = client.data(CREATE, customer=customer["id"], title="First")
        notice = response["createNotice"]
        assert notice == {
            "id": notice["id"],
            "title": "First",
            "customer": {"email": "ada@example.com"},
        }
        client.data(CREATE, customer=str(second["_id"]), title="Second")
        errors = client.errors(CREATE, customer="99", title="Third")
        assert [error["key"] for error in errors] == ["errors_invalid_input"]

        listed = client.data(LIST)["notices"]
        assert [each["title"] for each in listed] == ["First", "Second"]
        assert listed[0]["customer"] == {"_id": customer["_id"]}
        by_id = "query($id: ID!) { node(id: $id) { ... on Notice { title } } }"
        assert client.data(by_id, id=notice["id"])["node"] == {"title": "First"}
        assert other.data(by_id, id=notice["id"])["node"] is None
        assert other.data(LIST)["notices"] == []

        client.delete(customer["id"])
        assert [each["title"] for each in client.data(LIST)["notices"]] == ["Second"]
        client.data(RESTORE, items=[customer["id"]])
        assert client.data(LIST)["notices"] == listed
    assert "notices 2," in program.run_regulars(copy.database_url, "verify")
    target = f"sqlite:///{program.folder / 'target.db'}"
    program.run_regulars(copy.database_url, "copy", copy.database_url, target)
    assert "notices 2," in program.run_regulars(target, "verify")
