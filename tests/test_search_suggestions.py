"""Other words for a search that finds no customers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from regulars.customers.search import spelling
from tests.support import Client, Server, create_token

pytestmark = pytest.mark.both_databases

SUGGEST = """query($q: String!) {
  searchSuggestions(query: $q) { query word other customers { count precision } } }"""


def suggestions(client: Client, query: str) -> list[tuple[str, int]]:
    found = client.data(SUGGEST, q=query)["searchSuggestions"]
    for each in found:
        # What it promises is what the search finds.
        total = client.page("email", query=each["query"])
        assert len(total["edges"]) == min(each["customers"]["count"], 25), each
    return [(each["query"], each["customers"]["count"]) for each in found]


def test_one_typo_finds_the_words_of_the_account(client: Client) -> None:
    client.create(email="ana@example.org", first_name="Gerard", last_name="Smith-Jones")
    client.create(email="bob@shop.test", first_name="Gérard Jean", last_name="Müller")
    client.create(
        email="c@shop.test",
        first_name="Ольга",
        last_name="O'Brien",
        shipping_address={"line1": "5 Rue des Orangers", "city": "Casablanca"},
    )
    assert suggestions(client, "Gerrard") == [("Gerard", 2)]
    assert suggestions(client, "gerrard muller") == [("gerard muller", 1)]
    assert suggestions(client, "Gerard Smiht") == [("Gerard Smith", 1)]
    assert suggestions(client, "mulller") == [("muller", 1)]
    assert suggestions(client, "ana@exmaple.org") == [("ana@example.org", 1)]
    assert suggestions(client, '"gerrard smith"') == [('"gerard smith"', 1)]
    assert suggestions(client, "Ольнга") == [("Ольга", 1)]
    assert suggestions(client, "casablanka") == [("casablanca", 1)]
    assert suggestions(client, "orangerz") == [("orangers", 1)]
    assert suggestions(client, "jerard order_by:email") == [("gerard order_by:email", 2)]
    assert suggestions(client, "email:ana* gerrard") == [("email:ana* gerard", 1)]


@pytest.mark.parametrize(
    "query",
    [
        "gerard",  # it finds somebody
        "gerrrard",  # two typos away is too far
        "ger",
        "gerard smith",  # both words exist, but no customer has both
        "zzzzzzz",
        "-gerrard",
        "gerrard OR smith",
        "(gerrard)",
        "first_name:gerrard",
        "0612345679",
        "山田太郎",
        "",
        "!gerrard" * 20,
    ],
)
def test_other_searches_have_no_suggestions(client: Client, query: str) -> None:
    client.create(email="ana@example.org", first_name="Gerard")
    client.create(email="bob@example.org", last_name="Smith", phone="0612345678")
    assert suggestions(client, query) == []


def test_the_most_frequent_words_come_first(client: Client) -> None:
    for number, name in enumerate(("Marta", "Maria", "Maria", "Marla", "Marca", "Marga")):
        client.create(email=f"m{number}@example.com", first_name=name)
    found = suggestions(client, "marxa")
    assert found[0] == ("maria", 2)
    assert len(found) == 3


def test_errors_and_scopes_are_those_of_a_search(server: Server, client: Client) -> None:
    error = client.expect_error("errors_invalid_query", SUGGEST, q="colour:red")
    assert error["extensions"]["position"] == 0
    with Client(server, create_token(server, scopes=("customers:write",))) as writer:
        writer.expect_error("errors_scope", SUGGEST, q="gerrard")


def test_accounts_see_their_own_words(server: Server, client: Client) -> None:
    client.create(email="ana@example.org", first_name="Gerard")
    with Client(server, create_token(server)) as other:
        assert suggestions(other, "gerrard") == []


def test_the_work_is_bounded() -> None:
    """Whatever the query is, few words are looked up."""
    for text in ("abcdefghijklmnopqrstuvwx", "абвгдежзийклмнопрстуфхцч", "a" * 24, "éàüñ" * 6):
        assert len(spelling.similar_words(text)) <= spelling.MAX_SIMILAR
    began = time.process_time()
    words = spelling.words_of_query("gerrard " * 240)
    assert len(words) <= spelling.MAX_WORDS
    assert time.process_time() - began < 0.5


def test_similar_words_are_one_typo_away() -> None:
    def is_similar(one: str, other: str) -> bool:
        """Returns whether two words differ by one typo, letter by letter."""
        if len(one) == len(other):
            different = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
            if len(different) == 2 and different[1] == different[0] + 1:
                i = different[0]
                return one[i] == other[i + 1] and one[i + 1] == other[i]
            return len(different) == 1
        short, long = sorted((one, other), key=len)
        return len(long) == len(short) + 1 and any(
            long[:i] + long[i + 1 :] == short for i in range(len(long))
        )

    for word in ("gerard", "ольга", "μαρια", "محمد"):
        similar = spelling.similar_words(word)
        assert len(similar) == len(set(similar)) > 150
        assert word not in similar
        assert all(is_similar(word, other) for other in similar)
    pairs: Any = [("gerard", "gerrard"), ("smith", "smiht"), ("ольга", "олга"), ("maria", "mario")]
    for one, other in pairs:
        assert other in spelling.similar_words(one)
        assert one in spelling.similar_words(other)
