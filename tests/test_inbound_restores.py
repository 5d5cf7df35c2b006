"""Events of a shop, or of another Regulars, restore customers from the trash."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regulars.accounts.accounts import Accounts
from regulars.core.clock import now_ms
from regulars.orders.commands import RecordContact
from regulars.store import Store
from regulars.webhooks.inbox import Inbox
from tests.flaky import run_flaky_proxy
from tests.support import Client, create_token, run_regulars, with_store
from tests.test_inbound import Shop, order
from tests.test_inbound import shop as shop
from tests.test_inbound_contacts import WHOLE, expect_event_understood, send_event

pytestmark = pytest.mark.both_databases

RESTORED = "contact/restored"
EMPTY = "mutation($i: [ID!]) { emptyTrash(items: $i) }"


def test_a_shop_restores_a_customer_with_its_orders(shop: Shop) -> None:
    shop.expect_understood("contact/signup", WHOLE)
    shop.expect_understood("order/created", order(customer={"id": "cus_1"}, email=WHOLE["email"]))
    before = shop.customer("_id orders_count expenses tags")
    assert before["orders_count"] == 1
    shop.expect_understood("contact/deleted", {"id": "cus_1"})
    assert shop.client.emails() == []
    shop.expect_understood(RESTORED, {"id": "cus_1", "notes": "Back."})
    assert shop.customer("_id orders_count expenses tags") == before
    assert shop.customer("notes") == {"notes": "Back."}
    assert shop.list_kinds()[-3:] == ["deleted", "restored", "updated"]
    # A repeated event finds the customer, and later events are not late.
    shop.expect_understood(RESTORED, {"id": "cus_1", "notes": "Again."})
    assert shop.customer("notes") == {"notes": "Back."}
    shop.expect_understood("contact/updated", {"id": "cus_1", "notes": "New."})
    assert shop.customer("notes") == {"notes": "New."}
    assert run_regulars("verify", *shop.database).returncode == 0


def test_an_unknown_customer_is_created(shop: Shop) -> None:
    """Even if the id belongs to a customer that was deleted for good."""
    shop.expect_understood("contact/signup", WHOLE)
    number = shop.customer("_id")["_id"]
    shop.expect_understood("contact/deleted", {"id": "cus_1"})
    assert shop.client.data(EMPTY, i=[number]) == {"emptyTrash": 1}
    assert not shop.send(RESTORED, {"id": "cus_1"})["understood"]
    shop.expect_understood("contact/updated", WHOLE)
    assert shop.client.emails() == []
    shop.expect_understood(RESTORED, WHOLE)
    assert shop.customer("_id")["_id"] > number
    shop.expect_understood("contact/updated", {"id": "cus_1", "notes": "Back."})
    assert shop.customer("notes") == {"notes": "Back."}


def test_a_conflict_waits_in_the_inbox(shop: Shop) -> None:
    shop.expect_understood("contact/signup", WHOLE)
    shop.expect_understood("contact/deleted", {"id": "cus_1"})
    other = shop.client.create(WHOLE["email"])
    outcome = shop.send(RESTORED, WHOLE)
    assert not outcome["understood"]
    assert "belongs to another customer now" in outcome["problem"]
    shop.client.update(other["id"], email="other@example.com")
    retried = run_regulars("inbox", "retry", "--account", shop.name, *shop.database)
    assert "Processed 1 event." in retried.stdout
    assert sorted(shop.client.emails()) == [WHOLE["email"], "other@example.com"]
    assert shop.list_inbox() == []


def test_a_conflict_of_an_order_names_the_commands_that_help(shop: Shop) -> None:
    shop.expect_understood("contact/signup", WHOLE)
    bought = order(name="#1", customer={"id": "cus_1"}, email=WHOLE["email"])
    shop.expect_understood("order/created", bought)
    number = shop.customer("_id")["_id"]
    shop.expect_understood("contact/deleted", {"id": "cus_1"})
    again = order(id="order_2", name="#1", email="b@example.com", customer=None)
    shop.expect_understood("order/created", again)
    problem = shop.send(RESTORED, WHOLE)["problem"]
    assert "conflictPolicy" not in problem
    assert "regulars inbox retry" in problem
    restore = ("trash", "restore", str(number), "--skip-conflicts")
    assert f"`regulars {' '.join(restore)}`" in problem
    account = ("--account", shop.name, *shop.database)
    assert run_regulars(*restore, *account).returncode == 0
    assert "Processed 1 event." in run_regulars("inbox", "retry", *account).stdout
    assert sorted(shop.client.emails()) == [WHOLE["email"], "b@example.com"]


def test_a_value_that_cannot_be_stored_restores_nothing(shop: Shop) -> None:
    shop.client.create("taken@example.com")
    shop.expect_understood("contact/signup", WHOLE)
    shop.expect_understood("contact/deleted", {"id": "cus_1"})
    assert not shop.send(RESTORED, {**WHOLE, "email": "taken@example.com"})["understood"]
    assert shop.client.emails() == ["taken@example.com"]
    shop.expect_understood(RESTORED, WHOLE)
    assert sorted(shop.client.emails()) == [WHOLE["email"], "taken@example.com"]


def test_an_id_of_another_system_is_not_that_of_the_shop(shop: Shop) -> None:
    ids = [{"source": "crm", "id": "cus_1"}]
    other = shop.client.create("other@example.com", external_ids=ids)
    shop.client.delete(other["id"])
    shop.expect_understood(RESTORED, WHOLE)
    assert shop.client.emails() == [WHOLE["email"]]


def test_the_customer_that_was_deleted_last_is_restored(shop: Shop) -> None:
    for name in ("First", "Second"):
        shop.expect_understood(RESTORED, {**WHOLE, "first_name": name})
        if name == "First":
            # A new order creates the customer of the id again.
            shop.expect_understood("contact/deleted", {"id": "cus_1"})
            new = order(customer={"id": "cus_1"}, created_at="2100-01-01 00:00:00")
            shop.expect_understood("order/created", {**new, "email": WHOLE["email"]})
            assert not shop.send(RESTORED, WHOLE)["understood"]
            second = shop.customer("_id")["_id"]
            shop.expect_understood("contact/deleted", {"id": "cus_1"})
    assert shop.customer("_id first_name") == {"_id": second, "first_name": "Second"}


def test_a_customer_returns_with_an_email_that_it_got_before_its_deletion(shop: Shop) -> None:
    """Another Regulars sends no changes of a customer that is deleted meanwhile. So the email in
    the trash may belong to another customer by now."""
    expect_event_understood(shop, "contact/signup", WHOLE, 1)
    expect_event_understood(shop, "contact/deleted", {"id": "cus_1", "_id": 1}, 3)
    other = shop.client.create(WHOLE["email"])["id"]
    lists = {"emails": [{"email": "new@example.com", "default": True}, {"email": "b@example.com"}]}
    restored = {**WHOLE, "email": "new@example.com", **lists}
    # Another customer has one of its new emails, too.
    for taken in ("new@example.com", "b@example.com"):
        shop.client.update(other, emails=[{"email": WHOLE["email"]}, {"email": taken}])
        outcome = send_event(shop, RESTORED, restored, 4, attempt=9).json()["data"]
        assert not outcome["understood"]
        assert shop.client.emails() == [WHOLE["email"]]
    shop.client.update(other, emails=[{"email": WHOLE["email"]}])
    expect_event_understood(shop, RESTORED, restored, 5)
    found = shop.client.run('{ customer(by: {email: "b@example.com"}) { _id email } }')["data"]
    assert found == {"customer": {"_id": 1, "email": "new@example.com"}}
    assert shop.client.emails("email:new@example.com") == ["new@example.com"]
    assert run_regulars("verify", *shop.database).returncode == 0


def test_a_shop_restores_a_customer_with_another_email(shop: Shop) -> None:
    shop.expect_understood("contact/signup", WHOLE)
    shop.expect_understood("contact/deleted", {"id": "cus_1"})
    shop.client.create(WHOLE["email"])
    shop.expect_understood(RESTORED, {**WHOLE, "email": "new@example.com"})
    assert sorted(shop.client.emails()) == [WHOLE["email"], "new@example.com"]
    assert shop.list_inbox() == []
    assert run_regulars("verify", *shop.database).returncode == 0


def test_events_of_another_regulars_arrive_in_any_order(shop: Shop) -> None:
    expect_event_understood(shop, "contact/signup", WHOLE, 1)
    deleted = {"id": "cus_1", "_id": 1}
    expect_event_understood(shop, "contact/deleted", deleted, 3)
    # An update before the deletion is late; one after it follows a restore.
    expect_event_understood(shop, "contact/updated", {**WHOLE, "notes": "2"}, 2)
    assert shop.client.emails() == []
    expect_event_understood(shop, "contact/updated", {**WHOLE, "notes": "5"}, 5)
    assert shop.customer("_id notes") == {"_id": 1, "notes": "5"}
    expect_event_understood(shop, RESTORED, {**WHOLE, "notes": "4"}, 4)
    assert shop.customer("notes") == {"notes": "5"}
    # The restore arrives before a second attempt of its deletion.
    expect_event_understood(shop, RESTORED, {**WHOLE, "notes": "7"}, 7)
    expect_event_understood(shop, "contact/deleted", deleted, 6, attempt=2)
    assert shop.customer("notes") == {"notes": "7"}
    # Updates before the restore arrive in their order, and the deletion after them stays late.
    expect_event_understood(shop, "contact/updated", {**WHOLE, "notes": "older"}, 5)
    # With another body it is not the same request.
    again = {**deleted, "__typename": "Customer"}
    expect_event_understood(shop, "contact/deleted", again, 6, attempt=3)
    assert shop.customer("notes") == {"notes": "older"}
    # A restore before the last deletion is late.
    for event in (8, 10):
        expect_event_understood(shop, "contact/deleted", deleted, event)
    expect_event_understood(shop, RESTORED, WHOLE, 9)
    assert shop.client.emails() == []
    expect_event_understood(shop, RESTORED, WHOLE, 11)
    assert shop.customer("_id") == {"_id": 1}
    # A customer that was deleted here, not by the sender, stays deleted.
    shop.client.delete("1")
    expect_event_understood(shop, "contact/updated", {**WHOLE, "notes": "12"}, 12)
    assert shop.client.emails() == []
    assert shop.list_inbox() == []


def test_an_update_waits_for_the_restore_of_an_unknown_customer(shop: Shop) -> None:
    """The sender repeats it for a while; then it changes nothing."""
    expect_event_understood(shop, "contact/deleted", {"id": "cus_1"}, 2)
    update = {**WHOLE, "notes": "4"}
    assert send_event(shop, "contact/updated", update, 4).status_code == 409
    expect_event_understood(shop, RESTORED, {**WHOLE, "notes": "3"}, 3)
    expect_event_understood(shop, "contact/updated", update, 4, attempt=2)
    assert shop.customer("notes") == {"notes": "4"}
    expect_event_understood(shop, "contact/deleted", {"id": "cus_2"}, 6)
    expect_event_understood(shop, "contact/updated", {**WHOLE, "id": "cus_2"}, 7, attempt=9)
    assert shop.client.emails() == [WHOLE["email"]]
    assert shop.list_inbox() == []
    # A customer whom a person deleted here for good is not awaited.
    shop.client.delete(str(shop.customer("_id")["_id"]), permanent=True)
    expect_event_understood(shop, "contact/updated", {**update, "notes": "5"}, 5)
    assert shop.client.emails() == []


def test_events_that_are_applied_during_a_restore_are_seen(shop: Shop) -> None:
    """The customer is created and deleted after the trash was searched for it."""

    class BusyInbox(Inbox):
        """Applies other events after the first search of the trash."""

        others: list[tuple[str, dict[str, Any]]]

        async def _find_ids(self, account_id: int, command: RecordContact) -> frozenset[int]:
            found = await super()._find_ids(account_id, command)
            while self.others:
                await self.apply(account_id, *self.others.pop(0))
            return found

        async def apply(self, account_id: int, type_: str, node: dict[str, Any]) -> None:
            body = json.dumps({"node": node}).encode()
            outcome = await self.take(account_id, type_, body, now_ms(), "request")
            assert outcome.inbox_id is None, outcome.problem

    async def restore(store: Store) -> None:
        account = await Accounts(store).find(shop.name)
        assert account is not None
        inbox = BusyInbox(store)
        inbox.others = [("contact/signup", WHOLE), ("contact/deleted", {"id": "cus_1"})]
        await inbox.apply(account.account_id, RESTORED, {**WHOLE, "notes": "Back."})

    with_store(shop.client.server.database_url, restore)
    assert shop.customer("_id notes") == {"_id": 1, "notes": "Back."}
    assert shop.list_kinds() == ["created", "deleted", "restored", "updated"]
    assert run_regulars("verify", *shop.database).returncode == 0


@pytest.mark.parametrize("days", [0, 30])
def test_a_deletion_overtakes_a_restore(shop: Shop, days: int) -> None:
    """With and without a trash here, and for a customer that is not known here yet."""
    settings = ("account", "settings", "--account", shop.name, "--set", f"trash_days={days}")
    assert run_regulars(*settings, *shop.database).returncode == 0
    expect_event_understood(shop, "contact/signup", WHOLE, 1)
    expect_event_understood(shop, "contact/deleted", {"id": "cus_1"}, 2)
    expect_event_understood(shop, "contact/deleted", {"id": "cus_1"}, 4)
    expect_event_understood(shop, RESTORED, WHOLE, 3)
    assert shop.client.emails() == []
    expect_event_understood(shop, RESTORED, WHOLE, 5)
    assert shop.client.emails() == [WHOLE["email"]]
    expect_event_understood(shop, "contact/deleted", {"id": "cus_1"}, 4, attempt=2)
    assert shop.client.emails() == [WHOLE["email"]]
    other = {**WHOLE, "id": "cus_2", "_id": 2, "email": "other@example.com"}
    expect_event_understood(shop, "contact/deleted", {"id": "cus_2"}, 9)
    expect_event_understood(shop, RESTORED, other, 8)
    assert shop.client.emails() == [WHOLE["email"]]
    expect_event_understood(shop, RESTORED, other, 10)
    assert sorted(shop.client.emails()) == [WHOLE["email"], other["email"]]
    assert run_regulars("verify", *shop.database).returncode == 0


def test_a_restore_waits_until_its_email_is_free(shop: Shop) -> None:
    expect_event_understood(shop, "contact/signup", WHOLE, 1)
    expect_event_understood(shop, "contact/deleted", {"id": "cus_1"}, 2)
    second = {**WHOLE, "id": "cus_2", "_id": 2}
    expect_event_understood(shop, "contact/signup", second, 3)
    assert send_event(shop, RESTORED, WHOLE, 5).status_code == 409
    assert shop.list_inbox() == []
    expect_event_understood(shop, "contact/updated", {**second, "email": "new@example.com"}, 4)
    expect_event_understood(shop, RESTORED, WHOLE, 5, attempt=2)
    assert sorted(shop.client.emails()) == [WHOLE["email"], "new@example.com"]


def test_a_mirrored_customer_is_restored_by_its_id_on_the_sender(shop: Shop) -> None:
    server = shop.client.server
    with Client(server, create_token(server)) as sender:
        customer = sender.create("c@example.com")
        env = {"REGULARS_DATABASE_URL": server.database_url, "REGULARS_REMOTE_TOKEN": sender.token}
        assert run_regulars("pull", server.url, "--account", shop.name, env=env).returncode == 0
    ids = {"id": customer["id"], "_id": customer["_id"]}
    shop.client.update(str(customer["_id"]), notes="A note of the mirror.")
    for event in (10, 12):
        expect_event_understood(shop, "contact/deleted", ids, event)
    expect_event_understood(shop, RESTORED, {**ids, "email": "c@example.com"}, 11)
    assert shop.client.emails() == []
    shop.expect_understood(RESTORED, {**ids, "email": "c@example.com"})
    assert shop.customer("_id notes") == {
        "_id": customer["_id"],
        "notes": "A note of the mirror.",
    }


def test_a_deletion_during_a_pull_overtakes_the_restore_in_its_page(shop: Shop) -> None:
    server = shop.client.server
    with Client(server, create_token(server)) as sender, run_flaky_proxy(server) as proxy:
        customer = sender.create("c@example.com")
        ids = {"id": customer["id"], "_id": customer["_id"]}
        env = {"REGULARS_DATABASE_URL": server.database_url, "REGULARS_REMOTE_TOKEN": sender.token}
        pull = ("pull", proxy.url, "--account", shop.name)
        assert run_regulars(*pull, env=env).returncode == 0
        sender.delete(ids["id"])
        assert run_regulars(*pull, "--since", "last", "--delete", env=env).returncode == 0
        restore = "mutation($i: [ID!]!) { restoreCustomers(items: $i) { customers { _id } } }"
        sender.data(restore, i=[ids["id"]])

        def delete_first(_request: Any, answer: Any) -> Any:
            if "customerChanges" in answer["data"]:
                expect_event_understood(shop, "contact/deleted", ids, 4)
            return answer

        proxy.transform_response = delete_first
        done = run_regulars(*pull, "--since", "last", env=env)
        assert "ids are never reused" in done.stdout
        assert shop.client.emails() == []
        # Without a later deletion, it is restored.
        sender.delete(ids["id"])
        sender.data(restore, i=[ids["id"]])
        proxy.transform_response = lambda _request, answer: answer
        assert run_regulars(*pull, "--since", "last", env=env).returncode == 0
        assert shop.client.emails() == ["c@example.com"]
