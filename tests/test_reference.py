"""The examples of the API reference work, with fields in place of the placeholder comments."""

from __future__ import annotations

import re
from typing import Any

from gql import Client as GraphQLClient
from gql import gql
from gql.transport.httpx import HTTPXTransport

from tests.support import Client

LIST = """query CustomersQuery($first: Int, $after: String, $query: String!){
	customers(query: "order_by:id order_dir:desc", after: "WzVE4OTA5LDEe/4OTA5XQ==", first: 10){
		edges{
			node{
				id
				_id
				avatar
				full_name
				expenses
				orders_count
				updated_at
				created_at
			}
			cursor
		}
		pageInfo{
			endCursor
			hasNextPage
		}
	}
}"""
LIST_FROM_THE_START = LIST.replace(' after: "WzVE4OTA5LDEe/4OTA5XQ==",', "")

FIELDS = """id _id created_at updated_at email phone first_name last_name full_name location avatar
  accepts_marketing notes expenses orders_count custom tags __typename
  shipping_address { id _id line1 line2 city area country first_name last_name zip state email phone
    toString }
  billing_address { id city }
  summary { visits orders { expenses count list { referrer order { id name } } } }
  leads { id subject message custom created_at }"""

CREATE = """mutation mutationName($node: InputCustomer!) {
	createCustomer(node: $node){
		# Customer type fields
	}
}""".replace("# Customer type fields", FIELDS)

RETRIEVE = """	query CustomerQuery($id: ID!){
		node(id: $id){
			... on Customer{
				# Customer type fields
			}
		}
	}""".replace("# Customer type fields", FIELDS)

UPDATE = """mutation updateCustomerMutation($node: InputUpdateCustomer!, $id: ID!){
		updateCustomer(node: $node, id: $id){
			# Customer type fields
		}
	}""".replace("# Customer type fields", FIELDS)

NODE: dict[str, Any] = {
    "email": "yassir@example.com",
    "first_name": "Yassir",
    "last_name": "Ennazk",
    "shipping_address": {"line1": "1 Rue de Fès", "city": "Rabat", "country": "MA"},
}


def test_the_printed_list_fails_with_its_invalid_cursor(client: Client) -> None:
    error = client.expect_error("errors_invalid_cursor", LIST)
    assert error["path"] == ["customers"]
    assert error["extensions"]["input_path"] == ["after"]


def test_the_printed_list_without_a_cursor_returns_a_page(client: Client) -> None:
    for number in range(11):
        client.create(f"c{number}@example.com", first_name="Yassir", last_name="Ennazk")
    page = client.data(LIST_FROM_THE_START)["customers"]
    assert [edge["node"]["_id"] for edge in page["edges"]] == list(range(11, 1, -1))
    first = page["edges"][0]
    avatar = first["node"].pop("avatar")
    assert re.fullmatch(r"//www\.gravatar\.com/avatar/[0-9a-f]{32}", avatar)
    assert first == {
        "node": {
            "id": "Q3VzdG9tZXI6MTE=",
            "_id": 11,
            "full_name": "Yassir Ennazk",
            "expenses": 0,
            "orders_count": 0,
            "updated_at": "a few seconds ago",
            "created_at": "a few seconds ago",
        },
        "cursor": "WzExLDExXQ==",
    }
    assert page["pageInfo"] == {"endCursor": "WzIsMl0=", "hasNextPage": True}


def test_the_printed_create_retrieve_and_update_work(client: Client) -> None:
    created = client.data(CREATE, node=NODE)["createCustomer"]
    assert created["id"] == "Q3VzdG9tZXI6MQ=="
    assert created["full_name"] == "Yassir Ennazk"
    assert created["location"] == "MA, Rabat"
    assert client.data(RETRIEVE, id=created["id"])["node"] == created
    updated = client.data(UPDATE, id=created["id"], node={"phone": "+212 537-000000"})
    assert updated["updateCustomer"] == {**created, "phone": "+212 537-000000"}


def test_the_examples_work_with_the_python_client_gql(client: Client) -> None:
    transport = HTTPXTransport(
        url=f"{client.server.url}/api/v2", headers={"Authorization": f"Bearer {client.token}"}
    )
    # gql validates with the introspected schema and rejects unused variables.
    with GraphQLClient(transport=transport, fetch_schema_from_transport=True) as session:
        create = gql(CREATE)
        create.variable_values = {"node": NODE}
        created = session.execute(create)["createCustomer"]
        list_document = re.sub(r"\(\$first.*?\)", "", LIST_FROM_THE_START, count=1)
        listed = session.execute(gql(list_document))
        assert [e["node"]["id"] for e in listed["customers"]["edges"]] == [created["id"]]
        retrieve = gql(RETRIEVE)
        retrieve.variable_values = {"id": created["id"]}
        assert session.execute(retrieve)["node"] == created
        update = gql(UPDATE)
        update.variable_values = {"id": created["id"], "node": {"tags": ["vip"]}}
        assert session.execute(update)["updateCustomer"]["tags"] == ["vip"]
        delete = gql("mutation($items: [ID!]!) { deleteCustomers(items: $items) }")
        delete.variable_values = {"items": [created["id"]]}
        assert session.execute(delete) == {"deleteCustomers": [created["id"]]}
