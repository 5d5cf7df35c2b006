"""The workloads: the requests that are sent to every server."""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson

from benchmarks.load import build_http_request
from regulars.sample import generate_customers

PAGE = 25

LIST = """\
query CustomersQuery($first: Int, $after: String, $query: String!) {
  customers(query: $query, after: $after, first: $first) {
    edges {
      node {
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
    pageInfo {
      endCursor
      hasNextPage
    }
  }
}"""

NODE = """\
query CustomerQuery($id: ID!) {
  node(id: $id) {
    ... on Customer {
      id
      full_name
      email
      shipping_address {
        line1
        city
        zip
        country
      }
    }
  }
}"""

CREATE = """\
mutation mutationName($node: InputCustomer!) {
  createCustomer(node: $node) {
    id
    _id
    full_name
    email
  }
}"""

ORDER = "order_by:id order_dir:desc"


def cursor(number: int) -> str:
    """Returns the cursor of a customer in a list ordered by id."""
    return base64.b64encode(b"[%d,%d]" % (number, number)).decode()


def global_id(number: int) -> str:
    """Returns the global id of a customer."""
    return base64.b64encode(b"Customer:%d" % number).decode()


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload: its letter, its title, the number of connections, and a function that yields
    request bodies for random customers out of a number of them."""

    letter: str
    title: str
    bodies: Callable[[random.Random, int], Iterator[bytes]]
    connections: int = 32

    def requests(self, url: str, token: str, seed: int, customers: int) -> Iterator[bytes]:
        """Yields HTTP requests endlessly."""
        for body in self.bodies(random.Random(seed), customers):
            yield build_http_request(url, body, token)


def _lists(rng: random.Random, customers: int) -> Iterator[bytes]:
    while True:
        yield page_body(LIST, rng.randint(PAGE + 1, customers))


def page_body(document: str, number: int) -> bytes:
    """Returns the request for the page after a customer."""
    variables = {"first": PAGE, "after": cursor(number), "query": ORDER}
    return orjson.dumps({"query": document, "variables": variables})


def _nodes(rng: random.Random, customers: int) -> Iterator[bytes]:
    while True:
        variables = {"id": global_id(rng.randint(1, customers))}
        yield orjson.dumps({"query": NODE, "variables": variables})


# Emails and documents are unique across all runs.
_serial = itertools.count()


def _creates(rng: random.Random, _customers: int) -> Iterator[bytes]:
    run_id = f"{rng.getrandbits(40):x}"
    while True:
        number = next(_serial)
        customer = {
            "email": f"guest.{run_id}.{number}@example.com",
            "first_name": "Amina",
            "last_name": f"Benali {number}",
            "phone": "+212 5 22 00 00 00",
            "accepts_marketing": True,
            "tags": ["benchmark"],
            "shipping_address": {
                "line1": f"{number % 200} Rue des Orangers",
                "city": "Casablanca",
                "zip": "20000",
                "country": "MA",
            },
        }
        yield orjson.dumps({"query": CREATE, "variables": {"node": customer}})


def _mixed(rng: random.Random, customers: int) -> Iterator[bytes]:
    kinds = [_lists(rng, customers), _nodes(rng, customers), _creates(rng, customers)]
    while True:
        (kind,) = rng.choices(kinds, weights=(80, 15, 5))
        yield next(kind)


def _unseen_documents(rng: random.Random, customers: int) -> Iterator[bytes]:
    run_id = f"{rng.getrandbits(40):x}"
    while True:
        document = LIST.replace("cursor", f"cursor at_{run_id}_{next(_serial)}: cursor", 1)
        yield page_body(document, rng.randint(PAGE + 1, customers))


def _documents_with_arguments(rng: random.Random, customers: int) -> Iterator[bytes]:
    """Yields pages as the list example of the reference requests them."""
    selection = LIST.partition(") {\n    edges")[2]
    while True:
        after = cursor(rng.randint(PAGE + 1, customers))
        arguments = f'query: "{ORDER}", after: "{after}", first: {PAGE}'
        document = f"query CustomersQuery {{\n  customers({arguments}) {{\n    edges{selection}"
        yield orjson.dumps({"query": document})


_SAMPLE_SIZE = 300


def _searches(rng: random.Random, _customers: int) -> Iterator[bytes]:
    """Yields searches of staff and applications: by name, email, phone, and for segments."""
    nodes = [customer.node for customer in generate_customers(_SAMPLE_SIZE, 1)]
    while True:
        node = rng.choice(nodes)
        first, last = node["first_name"], node["last_name"]
        query = rng.choice(
            (
                f'"{first}" "{last}"',
                f'"{first[:3]}"',
                f'"{last}" example.com',
                f"email:{node['email']}",
                f'phone:"{node["phone"]}"' if node["phone"] else "-has:phone",
                f'last_name:"{last}" order_by:created_at',
                "tag:vip order_by:expenses",
                f"country:{node.get('shipping_address', {'country': 'FR'})['country']} {ORDER}",
                "created_at:2025-03 order_by:created_at",
            )
        )
        yield search_body(query)


def search_body(query: str) -> bytes:
    """Returns the request for the first page of a search."""
    return orjson.dumps({"query": LIST, "variables": {"first": PAGE, "query": query}})


L = Workload("L", "list page of the reference, 25 customers", _lists)
N = Workload("N", "one customer by its id", _nodes)
C = Workload("C", "create a customer", _creates, connections=64)
M = Workload("M", "80 % L, 15 % N, 5 % C", _mixed)
D = Workload("D", "L with a new document in each request", _unseen_documents)
A = Workload("A", "L with its arguments in the document", _documents_with_arguments)
S = Workload("S", "search by names, emails, phones and tags", _searches)
ALL = (L, N, C, M, D, A, S)
