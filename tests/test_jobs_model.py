"""Random bulk edits, imports and undos with writes between them, compared with a model of the rules.
The model uses no code of Regulars."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from regulars.accounts.accounts import Accounts
from regulars.cli.client import DatabaseClient, fetch_data
from regulars.core.clock import now_ms
from regulars.directory.verify import verify
from regulars.settings import Settings
from regulars.store import Store, parse_url
from regulars.transfer import job_runner
from regulars.transfer.import_options import Options
from regulars.transfer.job import Job
from regulars.transfer.uploads import Upload
from tests.support import example_count, with_store

pytestmark = pytest.mark.both_databases

STEPS = 30
TAGS = ["a", "b", "c"]
EMAILS = [f"{letter}@x.test" for letter in "klmnopq"]
FIELDS = ("phone", "notes", "tags", "custom")
SELECTION = "_id email phone notes tags custom"
JOB = "id state changed unchanged rejected can_undo message"
EDIT = f"""mutation($items: [ID!], $node: InputUpdateCustomer, $addTags: [String!],
  $removeTags: [String!], $removeCustom: [String!], $increments: [InputIncrement!]) {{
  updateCustomers(items: $items, node: $node, addTags: $addTags, removeTags: $removeTags,
    removeCustom: $removeCustom, increments: $increments) {{ {JOB} }} }}"""

Customer = dict[str, Any]


@dataclass
class Effect:
    """What a job did to a customer."""

    kind: str
    before: Customer
    after: Customer


@dataclass
class Model:
    """The customers by `_id`, those in the trash, and the effects of jobs."""

    customers: dict[int, Customer] = field(default_factory=dict)
    trash: dict[int, Customer] = field(default_factory=dict)
    effects: dict[str, dict[int, Effect]] = field(default_factory=dict)
    # The job, or None, of each change of a customer.
    writers: dict[int, list[str | None]] = field(default_factory=dict)
    last_id: int = 0

    def holder(self, email: str) -> int | None:
        return next((n for n, c in self.customers.items() if c["email"] == email), None)

    def record(self, job: str | None, number: int, before: Customer, after: Customer) -> bool:
        """Sets a customer, and returns whether it changed."""
        if before == after:
            return False
        self.customers[number] = after
        self.writers[number].append(job)
        if job:
            self.effects.setdefault(job, {})[number] = Effect("changed", before, after)
        return True

    def create(self, job: str | None, customer: Customer) -> None:
        self.last_id += 1
        self.customers[self.last_id] = customer
        self.writers[self.last_id] = [job]
        if job:
            self.effects.setdefault(job, {})[self.last_id] = Effect("added", {}, customer)

    def delete(self, job: str | None, number: int) -> None:
        customer = self.trash[number] = self.customers.pop(number)
        self.writers[number].append(job)
        if job:
            self.effects.setdefault(job, {})[number] = Effect("removed", customer, {})

    def restore(self, job: str | None, number: int) -> None:
        customer = self.customers[number] = self.trash.pop(number)
        self.writers[number].append(job)
        if job:
            self.effects.setdefault(job, {})[number] = Effect("added", {}, customer)

    def undo(self, undone: str, job: str) -> tuple[int, int]:
        """Undoes a job, and returns how many customers changed, and how many did not."""
        counts = [0, 0]
        for number, effect in self.effects.get(undone, {}).items():
            is_changed = False
            if effect.kind == "added":
                since = self.writers[number]
                own = len(since) - 1 - since[::-1].index(undone)
                if number in self.customers and own == len(since) - 1:
                    self.delete(job, number)
                    is_changed = True
            elif effect.kind == "removed":
                if number in self.trash and self.holder(self.trash[number]["email"]) is None:
                    self.restore(job, number)
                    is_changed = True
            elif number in self.customers:
                now = self.customers[number]
                is_changed = self.record(job, number, now, set_back(now, effect))
            counts[not is_changed] += 1
        return counts[0], counts[1]


def set_back(now: Customer, effect: Effect) -> Customer:
    result = dict(now)
    for name in ("phone", "notes"):
        if now[name] == effect.after[name]:
            result[name] = effect.before[name]
    old, new = effect.before["tags"], effect.after["tags"]
    if now["tags"] == new:
        result["tags"] = old
    elif now["tags"] != old and old != new:
        kept = [tag for tag in now["tags"] if tag in old or tag not in new]
        result["tags"] = kept + [tag for tag in old if tag not in new and tag not in kept]
    old, new = effect.before["custom"] or {}, effect.after["custom"] or {}
    if now["custom"] == effect.after["custom"]:
        result["custom"] = effect.before["custom"]
    elif now["custom"] != effect.before["custom"]:
        custom = dict(now["custom"] or {})
        for key in {*old, *new}:
            if custom.get(key) == new.get(key) != old.get(key):
                custom[key] = old.get(key)
        custom = {key: value for key, value in custom.items() if value is not None}
        result["custom"] = custom if custom or now["custom"] is not None else None
    return result


class Shop:
    """The same operations on Regulars and on the model."""

    def __init__(self, store: Store, account_id: int, chance: random.Random) -> None:
        self._store = store
        self._account_id = account_id
        self._client = DatabaseClient(store, account_id, Settings())
        self._chance = chance
        self.model = Model()
        self.jobs: list[str] = []

    async def _data(self, document: str, **variables: Any) -> Any:
        (result,) = (await fetch_data(self._client, document, **variables)).values()
        return result

    async def _finish(self, job_id: str) -> Any:
        await Job(self._store, self._account_id, job_id).run()
        job = await self._data(f"query($id: ID!) {{ job(id: $id) {{ {JOB} }} }}", id=job_id)
        assert job["state"] == "done", job
        return job

    def _some(self) -> list[int]:
        return [n for n in self.model.customers if self._chance.random() < 0.6]

    def _values(self) -> Customer:
        chance = self._chance
        node: Customer = {}
        if chance.random() < 0.5:
            node["phone"] = chance.choice(["", "1", "2"])
        if chance.random() < 0.5:
            node["notes"] = chance.choice([None, "x", "y"])
        if chance.random() < 0.3:
            node["custom"] = {chance.choice("rs"): chance.choice([None, 1, "one"])}
        return node

    async def edit(self) -> None:
        numbers, chance = self._some(), self._chance
        if not numbers:
            return
        node = self._values()
        add, remove = chance.sample(TAGS, chance.randrange(3)), chance.sample(TAGS, 1)
        amount = chance.choice([0, 1, 2])
        increments = [{"field": "custom.points", "amount": amount}] if amount else []
        removed = ["t"] if chance.random() < 0.3 else []
        job = await self._data(
            EDIT,
            items=list(map(str, numbers)),
            node=node,
            addTags=add,
            removeTags=remove,
            removeCustom=removed,
            increments=increments,
        )
        done = await self._finish(job["id"])
        changed = 0
        for number in numbers:
            before = self.model.customers[number]
            after = {**copy.deepcopy(before), **{n: v for n, v in node.items() if n != "custom"}}
            custom = dict(after["custom"] or {})
            patch = {**node.get("custom", {}), **dict.fromkeys(removed)}
            if amount:
                patch["points"] = custom.get("points", 0) + amount
            custom = {k: v for k, v in {**custom, **patch}.items() if v is not None}
            touches = "custom" in node or custom != (before["custom"] or {})
            if touches and (before["custom"] is not None or custom or "custom" in node):
                after["custom"] = custom
            tags = list(dict.fromkeys([*after["tags"], *add]))
            after["tags"] = [tag for tag in tags if tag not in remove]
            changed += self.model.record(job["id"], number, before, after)
        assert (done["changed"], done["rejected"]) == (changed, 0)
        self.jobs.append(job["id"])

    async def run_import(self) -> None:
        chance = self._chance
        rows = {
            email: [chance.choice(["3", "4"]), chance.choice("tu")]
            for email in chance.sample(EMAILS, chance.randrange(1, 5))
        }
        text = "email,phone,t\n" + "".join(f"{e},{p},{t}\n" for e, (p, t) in rows.items())
        options = Options(format="csv")
        upload = await Upload.begin(
            self._store, self._account_id, "f.csv", options, False, False, "x", "r", now_ms()
        )
        await upload.feed(text.encode())
        row = await upload.finish(now_ms())
        await self._finish(row["import_id"])
        for email, (phone, text) in rows.items():
            number = self.model.holder(email)
            if number is None:
                empty: Customer = {"email": email, "notes": None, "tags": []}
                self.model.create(
                    row["import_id"], {**empty, "phone": phone, "custom": {"t": text}}
                )
            else:
                before = self.model.customers[number]
                custom = {**(before["custom"] or {}), "t": text}
                after = {**before, "phone": phone, "custom": custom}
                self.model.record(row["import_id"], number, before, after)
        self.jobs.append(row["import_id"])

    async def undo(self) -> None:
        if not self.jobs:
            return
        undone = self._chance.choice(self.jobs)
        job = await self._data(f"query($id: ID!) {{ job(id: $id) {{ {JOB} }} }}", id=undone)
        if not job["can_undo"]:
            return
        document = f"mutation($id: ID!, $d: Boolean) {{ undoJob(id: $id, dryRun: $d) {{ {JOB} }} }}"
        expected = copy.deepcopy(self.model).undo(undone, "")
        dry_run = await self._data(document, id=undone, d=True)
        tried = await self._finish(dry_run["id"])
        started = await self._data(document, id=undone, d=False)
        done = await self._finish(started["id"])
        assert self.model.undo(undone, started["id"]) == expected
        assert (done["changed"], done["unchanged"]) == expected
        assert (tried["changed"], tried["unchanged"]) == expected
        self.jobs.append(started["id"])

    async def write(self) -> None:
        chance = self._chance
        number = chance.choice([*self.model.customers, 0])
        if not number:
            email = chance.choice(EMAILS)
            if self.model.holder(email) is None:
                document = "mutation($n: InputCustomer!) { createCustomer(node: $n) { _id } }"
                await self._data(document, n={"email": email})
                empty: Customer = {"email": email, "phone": "", "notes": None, "tags": []}
                self.model.create(None, {**empty, "custom": None})
            return
        node = self._values()
        if chance.random() < 0.4:
            node["tags"] = chance.sample(TAGS, 2)
        document = """mutation($id: ID!, $n: InputUpdateCustomer!) {
          updateCustomer(id: $id, node: $n) { _id } }"""
        await self._data(document, id=str(number), n=node)
        before = self.model.customers[number]
        after = {**before, **node}
        if "custom" in node:
            custom = {**(before["custom"] or {}), **node["custom"]}
            after["custom"] = {k: v for k, v in custom.items() if v is not None}
        self.model.record(None, number, before, after)

    async def delete_or_restore(self) -> None:
        if self.model.trash and self._chance.random() < 0.5:
            number = self._chance.choice(list(self.model.trash))
            if self.model.holder(self.model.trash[number]["email"]) is None:
                document = (
                    "mutation($i: [ID!]!) { restoreCustomers(items: $i) { customers { _id } } }"
                )
                await self._data(document, i=[str(number)])
                self.model.restore(None, number)
        elif self.model.customers:
            number = self._chance.choice(list(self.model.customers))
            document = "mutation($i: [ID!]!) { deleteCustomers(items: $i) }"
            await self._data(document, i=[str(number)])
            self.model.delete(None, number)

    async def check(self) -> None:
        document = f"""{{ customers(query: "order_by:id order_dir:asc", first: 250) {{
          edges {{ node {{ {SELECTION} }} }} }} }}"""
        edges = (await self._data(document))["edges"]
        found = {edge["node"].pop("_id"): edge["node"] for edge in edges}
        assert found == self.model.customers


@pytest.mark.slow
@pytest.mark.parametrize("batch", [2, 1_000])
def test_random_jobs_and_undos_match_the_model(
    new_database: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_runner, "_BATCH", batch)
    monkeypatch.setattr(job_runner, "_ENTRIES", batch)
    monkeypatch.setattr(job_runner, "_WINDOW", 3 * batch)

    async def work(store: Store) -> None:
        for seed in range(example_count(40)):
            account = await Accounts(store).create(f"shop {seed}")
            chance = random.Random(seed)
            shop = Shop(store, account.account_id, chance)
            operations = [shop.edit, shop.run_import, shop.undo, shop.undo, shop.write, shop.write]
            for _ in range(STEPS):
                operation = chance.choice([*operations, shop.delete_or_restore])
                await operation()
                await shop.check()

    with_store(new_database, work)
    assert verify(parse_url(new_database)).problems == []
