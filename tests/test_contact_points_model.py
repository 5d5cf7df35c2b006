"""Random changes of emails and phones, compared with a model of the rules. The model uses no code of
Regulars."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from tests.support import Client, example_count, run_regulars

pytestmark = pytest.mark.both_databases

CUSTOMERS = 3
MOST = 20
VALUES = {
    "emails": [f"{letter}@x.test" for letter in "abcdefg"] + ["A@X.test", "B@x.TEST"],
    "phones": [
        "+212 612 345678",
        "00212612345678",
        "0612 34",
        "061234",
        "5",
        "front desk",
        "7 x12",
    ],
}
DEFAULTS = {"emails": "email", "phones": "phone"}
TIME = "2026-03-01T12:00:00.000Z"
SELECTION = """email phone emails { id email label default verified_at(format: "ISO") }
  phones { id phone label default }"""
UPDATE = f"""mutation($id: ID!, $n: InputUpdateCustomer!) {{
  updateCustomer(id: $id, node: $n) {{ {SELECTION} }} }}"""
SET = """mutation($nodes: [InputSetCustomer!]!) { setCustomers(nodes: $nodes, errorPolicy: REJECT_ROW) {
  rows { outcome errors { key } } } }"""
CHANGE = f"""mutation($id: ID!, $values: [TYPE!]!) {{
  FIELD(id: $id, NAME: $values) {{ {SELECTION} }} }}"""


class Refused(Exception):
    """The rules refuse a change. The text is the key of the error."""


@dataclass
class Entry:
    n: int
    value: str
    label: str = ""
    verified_at: str | None = None


def compared(name: str, value: str) -> str:
    """Returns the form in which the values of the test are compared."""
    if name == "emails":
        return value.lower()
    same = {"00212612345678": "+212 612 345678", "061234": "0612 34"}
    return same.get(value, value)


@dataclass
class List:
    """A list of emails or phones in the model."""

    name: str
    entries: list[Entry] = field(default_factory=list)
    default: int | None = None
    next: int = 1

    def copy(self) -> List:
        entries = [Entry(**vars(entry)) for entry in self.entries]
        return List(self.name, entries, self.default, self.next)

    def keys(self) -> list[str]:
        return [compared(self.name, entry.value) for entry in self.entries]

    def find(self, value: str) -> Entry | None:
        key = compared(self.name, value)
        return next((e for e in self.entries if compared(self.name, e.value) == key), None)

    def default_value(self) -> str:
        return next((e.value for e in self.entries if e.n == self.default), "")

    def add(self, value: str) -> Entry:
        entry = Entry(self.next, value)
        self.next += 1
        self.entries.append(entry)
        return entry

    def settle(self) -> None:
        """Makes the first entry the default if there is none."""
        if self.default not in [entry.n for entry in self.entries]:
            self.default = self.entries[0].n if self.entries else None

    def set_default(self, value: str) -> None:
        """`email: "x"` of an update."""
        if not value:
            self.entries = [entry for entry in self.entries if entry.n != self.default]
        elif known := self.find(value):
            known.value, self.default = value, known.n
        elif self.default is None:
            self.default = self.add(value).n
        else:
            old = next(entry for entry in self.entries if entry.n == self.default)
            old.value, old.verified_at = value, None
        self.settle()

    def replace(self, nodes: list[dict[str, Any]], default: str) -> None:
        """`emails: […]` of an update, perhaps with `email`."""
        item = DEFAULTS[self.name]
        unique: dict[str, dict[str, Any]] = {}
        for node in nodes:
            unique.setdefault(compared(self.name, node[item]), node)
        wanted = compared(self.name, default) if default else None
        if wanted and wanted not in unique:
            unique = {wanted: {item: default}, **unique}
        elif wanted:
            unique[wanted] = {**unique[wanted], item: default}
        marked = [key for key, node in unique.items() if node.get("default")]
        if len(marked) > 1 or (wanted and marked not in ([], [wanted])):
            raise Refused("errors_invalid_input")
        before, self.entries, numbers = self.copy(), [], {}
        for key, node in unique.items():
            known = before.find(node[item])
            if known:
                entry = Entry(**vars(known))
                entry.value = node[item]
                self.entries.append(entry)
            else:
                entry = self.add(node[item])
            numbers[key] = entry.n
            change_properties(entry, node, empty_label=True)
        free = [k for k, node in unique.items() if node.get("default") is not False] or [*unique]
        if wanted or marked:
            self.default = numbers[wanted or marked[0]]
        elif self.default not in [numbers[key] for key in free]:
            self.default = numbers[free[0]] if free else None
        self.settle()

    def extend(self, nodes: list[dict[str, Any]]) -> None:
        """`addEmails`."""
        item = DEFAULTS[self.name]
        unique: dict[str, dict[str, Any]] = {}
        for node in nodes:
            unique.setdefault(compared(self.name, node[item]), node)
        if sum(bool(node.get("default")) for node in unique.values()) > 1:
            raise Refused("errors_invalid_input")
        for node in unique.values():
            entry = self.find(node[item])
            is_new = entry is None
            entry = entry or self.add(node[item])
            change_properties(entry, node, empty_label=is_new)
            if node.get("default"):
                self.default = entry.n
        self.settle()

    def remove(self, values: list[str]) -> None:
        """`removeEmails`."""
        keys = {compared(self.name, value) for value in values}
        self.entries = [e for e in self.entries if compared(self.name, e.value) not in keys]
        self.settle()

    def shown(self) -> list[dict[str, Any]]:
        first = [entry for entry in self.entries if entry.n == self.default]
        rest = [entry for entry in self.entries if entry.n != self.default]
        item = DEFAULTS[self.name]
        return [
            {
                "n": entry.n,
                item: entry.value.split("@")[0] + "@" + entry.value.split("@")[1].lower()
                if "@" in entry.value
                else entry.value,
                "label": entry.label,
                "default": entry.n == self.default,
                **({"verified_at": entry.verified_at} if self.name == "emails" else {}),
            }
            for entry in first + rest
        ]


def change_properties(entry: Entry, node: dict[str, Any], empty_label: bool) -> None:
    label = node.get("label")
    if label is not None and (label or empty_label):
        entry.label = label
    if "verified_at" in node:
        entry.verified_at = node["verified_at"]


class Model:
    """The customers of an account."""

    def __init__(self) -> None:
        self.customers = {n: self._new(n) for n in range(1, CUSTOMERS + 1)}

    @staticmethod
    def _new(number: int) -> dict[str, List]:
        lists = {name: List(name) for name in DEFAULTS}
        lists["emails"].set_default(f"start{number}@x.test")
        return lists

    def holder(self, email: str) -> int | None:
        for number, lists in self.customers.items():
            if lists["emails"].find(email):
                return number
        return None

    def change(self, number: int, change: Callable[[dict[str, List]], None]) -> None:
        """Changes a customer, or nothing if a rule refuses it. Raises Refused."""
        lists = {name: each.copy() for name, each in self.customers[number].items()}
        change(lists)
        emails = lists["emails"]
        for each in lists.values():
            if len(each.entries) > MOST:
                raise Refused("errors_invalid_input")
        for other, theirs in self.customers.items():
            if other != number and not set(theirs["emails"].keys()).isdisjoint(emails.keys()):
                raise Refused("errors_dup_email")
        if not emails.entries:
            raise Refused("a customer needs an email")
        self.customers[number] = lists


def update(lists: dict[str, List], node: dict[str, Any]) -> None:
    for name, default in DEFAULTS.items():
        if name in node:
            lists[name].replace(node[name], node.get(default) or "")
        elif default in node:
            lists[name].set_default(node[default])


def add(lists: dict[str, List], name: str, nodes: list[dict[str, Any]]) -> None:
    lists[name].extend(nodes)


def remove(lists: dict[str, List], name: str, values: list[str]) -> None:
    lists[name].remove(values)


def shown(customer: dict[str, Any]) -> dict[str, Any]:
    """Returns the lists of a customer, with numbers instead of ids."""
    result: dict[str, Any] = {}
    for name in DEFAULTS:
        result[name] = [
            {**entry, "n": int(base64.b64decode(entry["id"]).decode().rpartition("-")[2])}
            for entry in customer[name]
        ]
        for entry in result[name]:
            del entry["id"]
    return result


class Inputs:
    """Random inputs."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def value(self, name: str) -> str:
        return self._draw.choice(VALUES[name])

    def nodes(self, name: str) -> list[dict[str, Any]]:
        draw = self._draw
        nodes = []
        for _ in range(draw.randrange(4)):
            node: dict[str, Any] = {DEFAULTS[name]: self.value(name)}
            if draw.random() < 0.4:
                node["label"] = draw.choice(["", "work", "home office", None])
            if draw.random() < 0.3:
                node["default"] = draw.choice([True, False, None])
            if name == "emails" and draw.random() < 0.3:
                node["verified_at"] = draw.choice([TIME, None])
            nodes.append(node)
        return nodes

    def node(self) -> dict[str, Any]:
        """Returns some fields of an update."""
        node: dict[str, Any] = {}
        for name, default in DEFAULTS.items():
            if self._draw.random() < 0.5:
                node[default] = self._draw.choice([self.value(name), ""])
            if self._draw.random() < 0.4:
                node[name] = self.nodes(name)
        return node


@pytest.mark.parametrize("seed", range(example_count(20)))
def test_changes_are_those_of_the_model(client: Client, seed: int) -> None:
    draw = random.Random(seed)  # examples
    inputs, model = Inputs(draw), Model()
    for number in model.customers:
        client.create(f"start{number}@x.test")
    for step in range(40):
        number = draw.randint(1, CUSTOMERS)
        action = draw.choice(["update", "set", "set by email", "add", "remove"])
        name = draw.choice(list(DEFAULTS))
        expected = ""
        node: Any = inputs.node()
        change = partial(update, node=node)
        if action == "set by email":
            # The row finds its customer by any of its emails, and changes no default by that.
            email = inputs.value("emails")
            number = model.holder(email) or 0
            if not number:
                continue
            node = {k: v for k, v in node.items() if k not in ("email", "emails")}
            known = model.customers[number]["emails"]
            is_default = compared("emails", known.default_value()) == compared("emails", email)
            applied = {**node, "email": email} if is_default else node
            node = {**node, "email": email}
            change = partial(update, node=applied)
        elif action == "add":
            node = inputs.nodes(name)
            change = partial(add, name=name, nodes=node)
        elif action == "remove":
            node = [inputs.value(name) for _ in range(draw.randrange(3))]
            change = partial(remove, name=name, values=node)
        try:
            model.change(number, change)
        except Refused as refused:
            expected = str(refused)
        keys = _apply(client, number, action, name, node)
        context = (seed, step, action, number, name, node, expected)
        assert bool(keys) == bool(expected), (keys, context)
        assert not expected.startswith("errors_") or expected in keys, (keys, context)
        for each, lists in model.customers.items():
            customer = client.node(str(each), f"... on Customer {{ {SELECTION} }}")
            assert shown(customer) == {n: lists[n].shown() for n in DEFAULTS}, (each, context)
            for name_, default in DEFAULTS.items():
                first = [entry[default] for entry in customer[name_][:1]]
                assert customer[default] == (first[0] if first else ""), context
    if seed < 3:
        result = run_regulars("verify", "--database-url", client.server.database_url)
        assert result.returncode == 0, result.stdout


def _apply(client: Client, number: int, action: str, name: str, node: Any) -> list[str]:
    """Changes a customer; returns the keys of the errors."""
    if action.startswith("set"):
        row = node if action == "set by email" else {"_id": number, **node}
        (result,) = client.data(SET, nodes=[row])["setCustomers"]["rows"]
        return [error["key"] for error in result["errors"]]
    if action == "update":
        body = client.run(UPDATE, id=str(number), n=node)
    else:
        type_ = {"emails": "InputEmailAddress", "phones": "InputPhoneNumber"}[name]
        document = CHANGE.replace("FIELD", action + name.title()).replace("NAME", name)
        document = document.replace("TYPE", type_ if action == "add" else "String")
        body = client.run(document, id=str(number), values=node)
    return [error["key"] for error in body.get("errors", ())]
