"""Events of a shop, or of another Regulars, restore customers from the trash."""

from __future__ import annotations

import pytest

from tests.support import Client, create_token, run_regulars
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
    shop.expect_understood("contact/deleted", ids)
    assert shop.client.emails() == []
    shop.expect_understood(RESTORED, {**ids, "email": "c@example.com"})
    assert shop.customer("_id notes") == {
        "_id": customer["_id"],
        "notes": "A note of the mirror.",
    }
