"""Random changes of an address book against a small model of its rules."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import Client, create_token, example_count
from tests.test_address_book import CREATE, DELETE, UPDATE, UPDATE_CUSTOMER, global_id

pytestmark = pytest.mark.both_databases

CITIES = ("Rabat", "Fès", "Salé")
ROLES = ("shipping", "billing")


@dataclass(frozen=True)
class Entry:
    """An entry of the model. `own` is its id below 0, if it has one."""

    city: str
    label: str = ""
    own: int | None = None
    roles: frozenset[str] = frozenset()


def in_order(entry: Entry) -> int:
    return 0 if "shipping" in entry.roles else 1 if entry.roles else 2


def join(entries: list[Entry]) -> list[Entry]:
    """Return entries of which equal addresses are one, which has what any of them has."""
    joined: dict[str, Entry] = {}
    for entry in entries:
        first = joined.get(entry.city, entry)
        label, own = first.label or entry.label, first.own or entry.own
        joined[entry.city] = replace(first, label=label, own=own, roles=first.roles | entry.roles)
    return list(joined.values())


@dataclass
class Model:
    """The book of one customer: the default entries by their roles, and the others."""

    defaults: dict[str, Entry] = field(default_factory=dict)
    others: list[Entry] = field(default_factory=list)
    last: int = 0

    def entries(self) -> list[Entry]:
        """Return the entries as they are shown."""
        shipping, billing = (self.defaults.get(role) for role in ROLES)
        shown = []
        if shipping:
            shown.append(replace(shipping, roles=frozenset({"shipping"})))
        if billing:
            is_same = shipping and shipping.own is not None and billing.own == shipping.own
            own = None if is_same else billing.own
            shown.append(replace(billing, own=own, roles=frozenset({"billing"})))
        return join([*shown, *self.others])

    def put(self, entries: list[Entry]) -> None:
        """Store entries: those without a role get an id."""
        self.defaults, self.others = {}, []
        for entry in join(sorted(entries, key=in_order)):
            for role in entry.roles:
                self.defaults[role] = entry
            if not entry.roles:
                own = entry.own
                if own is None:
                    self.last += 1
                    own = -self.last
                self.others.append(replace(entry, own=own))

    def set_default(self, role: str, city: str | None) -> None:
        """`shipping_address` and `billing_address` change the default in place."""
        old = self.defaults.pop(role, None)
        if city is not None:
            # Equal ones that are separated keep one id.
            self.defaults[role] = replace(old, city=city) if old else Entry(city)
        self.put(self.entries())

    def number(self, entry: Entry) -> int:
        if not entry.roles:
            assert entry.own is not None
            return entry.own
        return 2 if "shipping" in entry.roles else 3

    def position(self, number: int) -> int | None:
        for n, entry in enumerate(self.entries()):
            role = {2: "shipping", 3: "billing"}.get(number)
            if entry.own == number or role in entry.roles:
                return n
        return None

    def apply(self, n: int, entries: list[Entry], node: dict[str, Any]) -> None:
        """Set the properties of an entry; its defaults replace those of others."""
        entry = entries[n]
        if "label" in node:
            entry = replace(entry, label=node["label"])
        for role in ROLES:
            flag = node.get(f"default_{role}")
            if flag is not None:
                change = frozenset({role})
                entry = replace(entry, roles=entry.roles | change if flag else entry.roles - change)
            if flag:
                entries[:] = [replace(e, roles=e.roles - frozenset({role})) for e in entries]
        entries[n] = entry
        self.put(entries)


_FLAGS = {f"default_{role}": st.booleans() for role in ROLES}
_NODE = st.fixed_dictionaries(
    {"city": st.sampled_from(CITIES)},
    optional={"label": st.sampled_from(("", "Home", "Work")), **_FLAGS},
)
_NUMBER = st.sampled_from((2, 3, -1, -2, -3, -4))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("default"), st.sampled_from(ROLES), st.sampled_from((None, *CITIES))),
        st.tuples(st.just("create"), _NODE),
        st.tuples(st.just("update"), _NUMBER, _NODE),
        st.tuples(st.just("delete"), st.lists(_NUMBER, min_size=1, max_size=2, unique=True)),
        st.tuples(st.just("list"), st.lists(_NODE, max_size=3, unique_by=lambda n: n["city"])),
    ),
    max_size=8,
)


def as_node(node: dict[str, Any]) -> dict[str, Any]:
    return {**{k: v for k, v in node.items() if k != "city"}, "address": {"city": node["city"]}}


def run_step(client: Client, customer: str, model: Model, step: tuple[Any, ...]) -> None:
    """Do a step on the server and in the model, and compare what it returns."""
    kind, *rest = step
    if kind == "default":
        role, city = rest
        patch: Any = {f"{role}_address": None if city is None else {"city": city}}
        client.update(customer, **patch)
        model.set_default(role, city)
    elif kind == "create":
        (node,) = rest
        returned = client.data(CREATE, c=customer, n=as_node(node))["createAddress"]
        entries = model.entries()
        n = next((n for n, e in enumerate(entries) if e.city == node["city"]), None)
        if n is None:
            n = len(entries)
            entries.append(Entry(node["city"]))
        if not node.get("label"):
            node = {key: value for key, value in node.items() if key != "label"}
        model.apply(n, entries, node)
        assert returned["address"]["city"] == node["city"]
    elif kind == "update":
        number, node = rest
        n = model.position(number)
        if n is None:
            client.expect_error("addresses_not_found", UPDATE, i=str(number), n=as_node(node))
            return
        returned = client.data(UPDATE, i=str(number), n=as_node(node))["updateAddress"]
        entries = model.entries()
        entries[n] = replace(entries[n], city=node["city"])
        model.apply(n, entries, node)
        assert returned["address"]["city"] == node["city"]
    elif kind == "delete":
        (numbers,) = rest
        positions = [model.position(number) for number in numbers]
        items = [str(number) for number in numbers]
        if None in positions:
            client.expect_error("addresses_not_found", DELETE, i=items)
            return
        ids = client.data(DELETE, i=items)["deleteAddresses"]
        assert ids == [global_id(number) for number in numbers]
        model.put([e for n, e in enumerate(model.entries()) if n not in positions])
    else:
        (nodes,) = rest
        variables = {"i": customer, "n": {"addresses": [as_node(node) for node in nodes]}}
        for role in ROLES:
            if sum(bool(node.get(f"default_{role}")) for node in nodes) > 1:
                errors = client.errors(UPDATE_CUSTOMER, **variables)
                assert {error["key"] for error in errors} == {"errors_invalid_input"}
                return
        client.data(UPDATE_CUSTOMER, **variables)
        stored, result = model.entries(), []
        for node in nodes:
            same = next((e for e in stored if e.city == node["city"]), Entry(node["city"]))
            label = node.get("label", same.label)
            roles = same.roles
            for role in ROLES:
                flag = node.get(f"default_{role}")
                if flag is not None:
                    change = frozenset({role})
                    roles = roles | change if flag else roles - change
            result.append(replace(same, label=label, roles=roles))
        for role in ROLES:
            chosen = [n for n, node in enumerate(nodes) if node.get(f"default_{role}")]
            if chosen:
                result = [
                    e if n == chosen[0] else replace(e, roles=e.roles - frozenset({role}))
                    for n, e in enumerate(result)
                ]
        model.put(result)


SELECTION = "addresses { label default_shipping default_billing address { _id city } }"


@settings(
    max_examples=example_count(120),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_random_changes_follow_the_model(client: Client, steps: list[tuple[Any, ...]]) -> None:
    # Each example has an account of its own, whose ids begin at 1.
    with Client(client.server, create_token(client.server)) as fresh:
        customer = fresh.create("a@x.test")["id"]
        model = Model()
        for step in steps:
            run_step(fresh, customer, model, step)
            node = fresh.node(customer, f"... on Customer {{ {SELECTION} }}")
            shown = [
                (
                    entry["label"],
                    frozenset(role for role in ROLES if entry[f"default_{role}"]),
                    entry["address"]["_id"],
                    entry["address"]["city"],
                )
                for entry in node["addresses"]
            ]
            expected = [(e.label, e.roles, model.number(e), e.city) for e in model.entries()]
            assert shown == expected, step
            assert len({entry["address"]["city"] for entry in node["addresses"]}) == len(shown)
            cities = {e.city for e in model.entries()}
            for city in CITIES:
                assert bool(fresh.emails(f"city:{city}")) == (city in cities)
