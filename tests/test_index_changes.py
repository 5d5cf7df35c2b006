"""The search index after a change: only differing terms are written, and the work is limited."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.customers.search import index_terms, search_document
from regulars.customers.values import new_row, with_values
from tests.support import (
    Client,
    Server,
    create_token,
    example_count,
    find_account_name,
    run_regulars,
    run_server,
)

pytestmark = pytest.mark.both_databases

TEXT = st.lists(
    st.sampled_from(
        "ana an a 山 山田 田 가 가나 Ωmega é e\u0301 x1 +3069 123 foo-bar ß İ ff ﬁ tag".split()
        + ["日本 山", "a b"]
    ),
    max_size=6,
).map(" ".join)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "email": TEXT.map(lambda text: text.replace(" ", "") + "@example.com"),
        "first_name": TEXT,
        "last_name": TEXT,
        "tags": st.lists(TEXT, max_size=4),
        "notes": TEXT.map(lambda text: text or None),
        "phone": st.sampled_from(["", "+306912345678", "12345"]),
        "custom": st.dictionaries(TEXT, TEXT, max_size=3),
    },
)
SET = """mutation($nodes: [InputSetCustomer!]!, $policy: ErrorPolicy) {
  setCustomers(nodes: $nodes, errorPolicy: $policy) { saved rejected } }"""
TAG = "mutation($ids: [ID!]!, $tags: [String!]!) { addTags(items: $ids, tags: $tags) { id } }"
# 13,000 different words.
LONG_NOTES = " ".join(f"{n:x}" for n in range(0x1000, 0x1000 + 13_000))


@settings(max_examples=example_count(400), deadline=None)
@given(VALUES, VALUES, st.sampled_from([4_096, 0]))
def test_only_differing_terms_of_the_index_are_written(
    before: dict[str, Any], change: dict[str, Any], long: int
) -> None:
    """The terms are the same for long texts, which are not indexed again, as for short ones."""
    original = index_terms._LONG_LENGTH
    try:
        index_terms._LONG_LENGTH = 10**9
        old, _ = with_values(new_row(1), {"email": "q@example.com", **before}, ())
        new, _ = with_values(old, change, ())
        now, then = index_terms.terms_of(new), index_terms.terms_of(old)
        index_terms._LONG_LENGTH = long
        assert search_document.derive_columns(new) == {
            name: new[name] for name in search_document.SOURCES_BY_COLUMN
        }
        assert index_terms.terms_of(new) == now
        assert index_terms.changed_terms(old, new) == (now - then, then - now)
    finally:
        index_terms._LONG_LENGTH = original


@pytest.fixture(scope="module")
def customers_with_notes(server: Server) -> Iterator[tuple[Client, list[str]]]:
    """A client, and 20 customers with the longest notes. The time limit is long enough for a busy
    machine."""
    with run_server(server.database_url, "--request-seconds", "120") as patient:
        with Client(patient, create_token(patient)) as client:
            emails = [f"{n}@example.com" for n in range(20)]
            yield client, [client.create(email, notes=LONG_NOTES)["id"] for email in emails]


@pytest.mark.slow
def test_a_tag_is_added_to_many_customers_with_long_notes(
    customers_with_notes: tuple[Client, list[str]],
) -> None:
    client, ids = customers_with_notes
    client.data(TAG, ids=ids, tags=["abc1"])
    assert len(client.emails("tag:abc1", first=250)) == 20
    nodes = [{"email": f"{n}@example.com", "first_name": "1abc"} for n in range(20)]
    assert client.data(SET, nodes=nodes)["setCustomers"]["saved"] is True
    assert len(client.emails("1abc", first=250)) == 20
    assert len(client.emails("notes:1abc", first=250)) == 20


@pytest.mark.slow
def test_command_beyond_the_index_limit_of_a_transaction_is_refused(
    customers_with_notes: tuple[Client, list[str]],
) -> None:
    client, ids = customers_with_notes
    delete = "mutation($ids: [ID!]!) { deleteCustomers(items: $ids) }"
    error = client.expect_error("errors_invalid_input", delete, ids=ids)
    assert "Send fewer customers." in error["message"]
    for policy in ("REJECT_ALL", "REJECT_ROW"):
        nodes = [{"email": f"{n}@example.com", "notes": "short"} for n in range(20)]
        client.expect_error("errors_invalid_input", SET, nodes=nodes, policy=policy)
    tags = ["é" * 240 + str(n) for n in range(250)]
    client.expect_error("errors_invalid_input", TAG, ids=ids, tags=tags)
    assert len(client.emails("notes:1000", first=250)) == 20
    assert client.delete(*ids[:2]) == ids[:2]


@pytest.mark.slow
def test_concurrent_writes_of_long_texts_are_all_saved(
    customers_with_notes: tuple[Client, list[str]],
) -> None:
    """They exceed the limit of a transaction; the others are saved in the next."""
    client, ids = customers_with_notes

    def write(number: int) -> None:
        with Client(client.server, client.token) as own_client:
            own_client.http.timeout = httpx.Timeout(150)  # on a busy machine
            if number < 3:
                own_client.create(f"new{number}@example.com", notes=LONG_NOTES)
            elif number < 6:
                own_client.update(ids[number], notes=f"{LONG_NOTES} w{number}"[-65_000:])
            else:
                own_client.delete(ids[number])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    emails = client.emails(first=250)
    assert {email for email in emails if email.startswith("new")} == {
        f"new{number}@example.com" for number in range(3)
    }
    assert not {"6@example.com", "7@example.com"} & set(emails)


@pytest.mark.slow
def test_import_of_long_texts_is_saved_in_parts(tmp_path: Any) -> None:
    """Replaced notes count with their old and their new text."""
    url = f"sqlite:///{tmp_path / 'r.db'}"
    with run_server(url) as server, Client(server, create_token(server)) as client:
        for number in range(30):
            client.create(f"{number}@example.com", notes=LONG_NOTES)
        file = tmp_path / "list.csv"
        file.write_text("email,notes\n" + "".join(f"{n}@example.com,x\n" for n in range(30)))
        name = find_account_name(server, client.token)
        result = run_regulars("import", str(file), "--account", name, "--database-url", url)
        assert result.returncode == 0, result.stderr
        assert len(client.emails("notes:x", first=250)) == 30
        checked = run_regulars("verify", "--database-url", url)
        assert checked.returncode == 0, checked.stdout
