"""Random queries return the same customers as a slow filter: with every search strategy, sort order
and page size, on both databases."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars.accounts.accounts import Accounts
from regulars.api.context import Context
from regulars.api.schema import engine
from regulars.comments.commands import AddComment, DeleteComments, Editor, UpdateComment
from regulars.customers.commands import (
    Activity,
    CreateCustomer,
    Reference,
    UpdateCustomer,
    reference_to,
)
from regulars.customers.phone_numbers import read_number
from regulars.customers.search import finding
from regulars.customers.values import clean_values
from regulars.directory.database import store_for
from regulars.directory.directory import Directory
from regulars.orders.values import NewOrder
from regulars.store import Store
from tests.conftest import DATABASES
from tests.search_model import ModelCustomer, Query, fold, format_query, matches, quote
from tests.support import copy_sqlite_template, example_count, scratch_database

NAMES = (
    ("Yassir", "Ennazk"),
    ("José María", "Núñez"),
    ("Zoë", "O'Neil"),
    ("Jean-Pierre", "Lefèvre"),
    ("太郎", "山田"),
    ("花子", "山口"),
    ("田中太郎", ""),
    ("민수", "김"),
    ("サーバー", "ハナ"),
    ("Işık", "Çalışkan"),
    ("IŞIL", "İnce"),
    ("Nguyễn", "Thị Hồng"),
    ("Ольга", "Іваненко"),
    ("ЁЛКА", "Петров"),
    ("Γιώργος", "Παπαδόπουλος"),
    ("أحمد", "الزهراء"),
    ("आरती", "शर्मा"),
    ("Ana 🌸", "👩‍💻"),
    ("ana", "Straße"),
    ("ANA", "STRASSE"),
    ("A\u0301na", "ﬁnn"),
    ("", ""),
    ("vip", "gold"),
    ("100%", "a_b"),
    ("Lu\u200bkasz", "O’Neil"),
    ("Łukasz", "Ørsted"),
    ("Lukasz", "Orsted"),
)
EMAILS = (
    "{}.yassir@example.com",
    "{}@shop.test",
    "Ana.{}@Example.org",
    "nunez+{}@bücher.example",
    "{}@b.co",
)
# A phone number, and the digits that match it.
PHONES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ()),
    ("+212 612-345678", ("212612345678", "612345678", "0612345678")),
    ("00212612345678", ("212612345678", "612345678", "0612345678")),
    ("+44 (0)20 7946 0958", ("442079460958", "2079460958", "02079460958")),
    ("06 12 34 56 78", ("0612345678", "612345678")),
    ("(415) 555-0100", ("4155550100",)),
    ("+1 415 555 0100", ("14155550100", "4155550100")),
    ("+7 912 345-67-89", ("79123456789", "9123456789", "89123456789")),
    ("+39 06 1234 5678", ("390612345678", "0612345678", "612345678")),
    ("٠٦١٢٣٤٥٦٧٨", ("0612345678", "612345678")),
    ("tel:+1 415 555 0100 ext. 89", ("14155550100", "4155550100")),
    ("0612345678 / 0699887766", ("0612345678", "0699887766", "612345678", "699887766")),
    (
        "+55 11 8234-5678",
        ("551182345678", "1182345678", "01182345678")
        + ("5511982345678", "11982345678", "011982345678"),
    ),
    ("ask first", ()),
)
TAGS = ("vip", "VIP", "birthday club", "Grünkohl", "山田会", "a:b", "50%", "x_y", "gift")
NOTES = (
    None,
    None,
    "Paid in cash; vip since 2019.",
    "Zahlt bar.\nMag Grünkohl",
    "电话联系",
    "!!!",
    "paid twice, NEAR the shop",
    "電話 山田",
)
PLACES = (
    None,
    {"country": "FR", "city": "Saint-Étienne", "zip": "42000"},
    {
        "country": "US",
        "city": "New York",
        "state": "NY",
        "zip": "10001",
        "company": "ACME  & Söhne",
    },
    {"country": "JP", "city": "横浜", "zip": "220-0012"},
    {"line1": "1 Main Street"},
    {"line1": "12 Rue des Orangers", "line2": "Apt 5b", "city": "Los Angeles", "area": "Maârif"},
    {"line1": "Straße 12", "city": "Rio de Janeiro", "country": "BR"},
    {"line1": "東京都港区 1-2", "city": "港区"},
    {"line1": "!!!"},
    {"city": "new  york"},
)
CUSTOM: tuple[Any, ...] = (
    None,
    {"loyalty": "Gold"},
    {"loyalty": "gold", "size": {"eu": 42, "us": "9"}},
    {"Fav colour": "Réd", "likes": ["tea", "Chaï", 3]},
    {"a:b": "c", "a": {"b": True}, "n": None, "empty": ""},
    {"size": 42, "l": []},
)
COMMENTS = (
    "Called twice,\ncalls back on Monday.",
    "She called: paid in cash",
    "Zahlt bar. Grünkohl!",
    "电话号码 changed",
    "!!!",
)
SINCE = 1_709_251_200_000  # 2024-03-01
DAY = 86_400_000
COUNT = 120


def model_customers(seed: int = 7) -> list[tuple[ModelCustomer, CreateCustomer]]:
    """Returns the customers of the model with the commands that create them."""
    draw, draw_comments = random.Random(seed), random.Random(seed + 1)
    customers = []
    for number in range(1, COUNT + 1):
        first, last = draw.choice(NAMES)
        phone, phone_forms = draw.choice(PHONES)
        node: dict[str, Any] = {
            "email": draw.choice(EMAILS).format(number),
            "first_name": first,
            "last_name": last,
            "phone": phone,
            "tags": draw.sample(TAGS, draw.choice((0, 1, 1, 2, 3))),
            "notes": draw.choice(NOTES),
            "accepts_marketing": draw.random() < 0.3,
            "shipping_address": draw.choice(PLACES),
            "billing_address": draw.choice(PLACES),
            "custom": draw.choice(CUSTOM),
            "external_ids": external_ids(number),
            "emails": [{"email": email} for email in more_emails(number)],
        }
        node["emails"].insert(number % 2, {"email": node["email"], "default": True})
        others = draw.sample(PHONES[1:], draw.choice((0, 0, 1, 2)))
        node["phones"] = [
            {"phone": text} for text in dict.fromkeys([phone, *(p for p, _ in others)])
        ]
        node["phones"] = [entry for entry in node["phones"] if entry["phone"]]
        phone_forms = (*phone_forms, *(form for _, forms in others for form in forms))
        node["phones_count"] = count_phones(phone, *(text for text, _ in others))
        created_at = SINCE + draw.randrange(60) * DAY // 2 + draw.choice((0, 1, DAY // 2 - 1))
        totals = [Decimal(draw.choice(("35", "12.5", "0.01"))) for _ in range(draw.randrange(4))]
        timestamps = [created_at + draw.randrange(10) * DAY for _ in totals]
        orders = tuple(
            NewOrder(f"{number}-{n}", total, timestamp)
            for n, (total, timestamp) in enumerate(zip(totals, timestamps, strict=True))
        )
        input_ = {name: value for name, value in node.items() if name != "phones_count"}
        values, problems = clean_values(input_, ())
        assert not problems, (node, [problem.message for problem in problems])
        updated_at = max([created_at, *timestamps])
        spent = sum(totals, Decimal(0))
        texts = [phone, *(text for text, _ in others)]
        customer = ModelCustomer(
            number,
            node,
            phone_forms,
            created_at,
            updated_at,
            spent,
            len(totals),
            numbers=tuple(n for text, forms in PHONES if text in texts for n in whole(text, forms)),
            has_valid_phone=any(read_number(text).valid for text in texts),
            comments=tuple(draw_comments.sample(COMMENTS, draw_comments.choice((0, 0, 1, 3)))),
        )
        customers.append((customer, CreateCustomer(values, created_at, problems, Activity(orders))))
    return customers


def whole(text: str, forms: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the whole numbers of a phone: two if it has several numbers, or the first."""
    return forms[:2] if "/" in text else forms[:1]


def more_emails(number: int) -> list[str]:
    """Returns the emails of a customer that are not its default."""
    emails = (
        f"Zweite{number}@Łódź.example",
        f"o’brien{number}@shop.test",
        f"yassir{number}@work.example",
    )
    return [email for divisor, email in enumerate(emails, 2) if number % divisor == 0]


def count_phones(*texts: str) -> int:
    """Returns how many phones differ: two of the constants are the same number."""
    same = {"00212612345678": "+212 612-345678", "٠٦١٢٣٤٥٦٧٨": "06 12 34 56 78"}
    return len({same.get(text, text) for text in texts if text})


def external_ids(number: int) -> list[dict[str, str]]:
    ids = {"Stripe": f"cus_É{number}", "woo": f"{number}  {number}", "stripe": "one:two"}
    return [
        {"source": source, "id": id_ if source != "stripe" else f"{id_}:{number}"}
        for divisor, (source, id_) in enumerate(ids.items(), 2)
        if number % divisor == 0
    ]


MODEL_CUSTOMERS = model_customers()


class ModelApi:
    """The API on a database with the customers of the model, called without a server."""

    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.store: Store = store_for(url)
        self.loop.run_until_complete(self._fill())
        self.api = engine()

    async def _fill(self) -> None:
        await self.store.open()
        accounts = Accounts(self.store)
        # A second account has the same customers, which must not match.
        for name in ("other", "model"):
            self.account = await accounts.create(name)
            directory = Directory(self.store)
            commands = [command for _, command in MODEL_CUSTOMERS]
            outcomes = await directory.create_many(self.account.account_id, commands)
            assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        await asyncio.gather(
            *(self._change(directory, customer) for customer, _ in MODEL_CUSTOMERS[::2])
        )
        await asyncio.gather(*(self._comment(directory, each) for each, _ in MODEL_CUSTOMERS))

    async def _change(self, directory: Directory, customer: ModelCustomer) -> None:
        """Changes a customer, and changes it back, with the same words in other fields."""
        first, last = customer.node["first_name"], customer.node["last_name"]
        head, _, tail = f"{first} {last}".strip().partition(" ")
        reference = Reference(str(customer.number), customer.number)
        for node in (
            {"first_name": last, "last_name": first, "tags": ["was"], "notes": "were"},
            {k: v for k, v in customer.node.items() if k != "phones_count"},
            {"first_name": head, "last_name": tail},
            {"first_name": first, "last_name": last},
        ):
            command = UpdateCustomer.from_node(reference, node, customer.updated_at)
            await directory.write(self.account.account_id, command)

    async def _comment(self, directory: Directory, customer: ModelCustomer) -> None:
        """Writes the comments of a customer: changed, and next to one that is deleted."""
        account_id, reference = self.account.account_id, reference_to(str(customer.number))
        editor = Editor("test", is_admin=True)
        for text in customer.comments:
            before = {"text": "was cash"}
            added = AddComment(reference, before, editor, SINCE)
            number = (await directory.write(account_id, added))["comment_id"]
            changed = UpdateComment(str(number), number, {"text": text}, editor, SINCE)
            await directory.write(account_id, changed)
            removed = (await directory.write(account_id, added))["comment_id"]
            deletion = DeleteComments(((str(removed), removed),), editor, SINCE)
            await directory.write(account_id, deletion)

    def response(self, document: str, **variables: Any) -> dict[str, Any]:
        context = Context(self.account.account_id, Directory(self.store), "test", SINCE)
        execution = self.api.run(self.api.get_operation(document), variables, context)
        return dict(self.loop.run_until_complete(execution).to_response())

    def run(self, document: str, **variables: Any) -> dict[str, Any]:
        response = self.response(document, **variables)
        assert "errors" not in response, (variables, response["errors"])
        data: dict[str, Any] = response["data"]["customers"]
        return data

    def close(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.loop.close()


@pytest.fixture(scope="module", params=DATABASES)
def model_api(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelApi]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = copy_sqlite_template(tmp_path_factory.mktemp("model") / "model.db")
        else:
            template = request.getfixturevalue("postgresql_template")
            dsn = request.getfixturevalue("postgresql")
            url = stack.enter_context(scratch_database(dsn, template=template))
        api = ModelApi(url)
        yield api
        api.close()


PIECES = sorted(
    {piece for pair in NAMES for name in pair for piece in (name, name[:2], name[1:3]) if piece.strip("%_ '")}
    | {"yassir ennazk", "jose", "NUNEZ", "example.com", "shop.test", "ennazk yassir", "b.co", "5", "12"}
    | {"0612", "+212 612", "06 12 34", "415-555", "cash", "grunkohl", "Club", "電話", "电", "田", "nobody", "maria", "María Núñez", "山 田", "ㄱ", "기", "\u1100"}
    | {"rue", "des", "orangers", "12 rue des orangers", "12 rue", "rue des oran", "main st", "str", "los angeles"}
    | {"angeles", "de jan", "rio de janeiro", "12", "港区", "東京", "maarif", "5b", "acme", "42000", "5678", "0100", "766"}
    | {"paid in", "in cash", "near", "DROP TABLE customers", 'a" OR 1=1 --', "a* NEAR b", "a_b", "100%", "x'y"}
)  # fmt: skip
PIECES = [piece for piece in PIECES if any(c.isalnum() or c in "🌸👩💻" for c in piece)]


def sample_from(choices: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Like `sampled_from`, but without the choices in its repr, which would be 35 KB."""
    return st.integers(0, len(choices) - 1).map(tuple(choices).__getitem__)


SIGNS = sample_from(("=", "<", "<=", ">", ">="))


def text_key(key: str, *texts: str) -> st.SearchStrategy[Query]:
    """Returns queries for a key: the full text in any case, or a prefix with a star."""
    full = sample_from([t for text in texts for t in (text, text.upper(), text.lower())])
    prefixes = sample_from([text[:end] for text in texts for end in range(1, len(text) + 1)])
    searchable = prefixes.filter(lambda text: any(c.isalnum() or c in "🌸👩💻" for c in text))
    return st.one_of(
        full.map(lambda text: ("key", key, "=", text, False)),
        searchable.map(lambda text: ("key", key, "=", text.strip(), True)),
    )


def comparable_key(key: str, *texts: str) -> st.SearchStrategy[Query]:
    return st.tuples(st.just("key"), st.just(key), SIGNS, sample_from(texts), st.just(False))


def fixed_key(key: str, *texts: str) -> st.SearchStrategy[Query]:
    return sample_from([("key", key, "=", text, False) for text in texts])


FIRST = sorted({first for first, _ in NAMES if first})
LAST = sorted({last for _, last in NAMES if last})
KEYS = (
    "id", "email", "phone", "first_name", "last_name", "full_name", "tag", "accepts_marketing", "country", "state",
    "city", "zip", "company", "orders_count", "expenses", "total_spent", "created_at", "updated_at", "notes", "custom",
    "custom.loyalty", "custom.size", "custom.n", "custom.a", "custom.empty", "external_id",
    "emails_count", "phones_count", "address", "comment",
)  # fmt: skip
LEAVES: st.SearchStrategy[Query] = st.one_of(
    sample_from(PIECES).map(lambda text: ("word", text)),
    sample_from(PIECES).map(lambda text: ("word", text.upper())),
    text_key("first_name", *FIRST),
    text_key("last_name", *LAST),
    text_key("full_name", *(f"{a} {b}".strip() for a, b in NAMES if a)),
    text_key("tag", *TAGS, "other"),
    text_key("external_id", "Stripe:cus_É4", "stripe:CUS_e4", "woo:9 9", "stripe:one:two:8", "erp:1"),
    text_key("city", "Saint-Étienne", "New York", "横浜", "saint-etienne"),
    text_key("state", "NY"),
    text_key("address", "12 Rue des Orangers", "rue", "Main Street", "Rio de Janeiro", "港区", "straße 12", "220-0012"),
    fixed_key("valid", "phone"),
    text_key("zip", "42000", "220-0012"),
    text_key("company", "acme & sohne", "Acme", "other"),
    fixed_key("country", "FR", "us", "France", "JP", "DE").map(
        lambda query: (*query[:3], {"France": "FR"}.get(query[3], query[3]), query[4])
    ),
    text_key("notes", "paid", "cash", "Paid in", "grunkohl", "电话", "since 2019", "bar"),
    text_key("comment", "called", "called twice", "back on monday", "paid in cash", "grunkohl", "电话", "bar", "was", "话号码 changed"),
    text_key("custom.loyalty", "gold", "silver"),
    text_key("custom.size.eu", "42"),
    text_key("custom.size", "42"),
    text_key("custom.Fav colour", "red"),
    text_key("custom.likes", "tea", "chai", "3"),
    text_key("custom.a.b", "true"),
    text_key("custom.a:b", "c"),
    text_key("phone", "0612345678", "06 12 34 56 78", "212612345678", "+212 612 345678", "415 555-0100", "89123456789"),
    fixed_key("accepts_marketing", "true", "false"),
    fixed_key("email", *(customer.node["email"] for customer, _ in MODEL_CUSTOMERS[:5]), "nobody@example.com"),
    fixed_key("email", "ZWEITE2@łódź.example", "zweite4@xn--d-uga0v4h.example", "yassir4@work.example", "zweite3@łódź.example"),
    text_key("email", "Zweite12@Łódź.example", "o'brien", "O’BRIEN6", "yassir", "ana.1").filter(lambda query: query[-1]),
    comparable_key("emails_count", "0", "1", "2", "3", "4", "21"),
    comparable_key("phones_count", "0", "1", "2", "3", "20", "99"),
    fixed_key("has", *KEYS),
    comparable_key("id", "1", "60", "119", "120", "500"),
    comparable_key("orders_count", "0", "1", "3", "9"),
    comparable_key("expenses", "0", "12.5", "35", "47.5", "0.01"),
    comparable_key("total_spent", "35", "70"),
    comparable_key("created_at", "2024-03-18", "2024-03", "2024-03-01", "2024-04", "2023-12"),
    comparable_key("updated_at", "2024-03-18", "2024-03-20", "2024-04"),
)  # fmt: skip
QUERIES: st.SearchStrategy[Query] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just("and"), inner, inner),
        st.tuples(st.just("and"), inner, inner, inner),
        st.tuples(st.just("or"), inner, inner),
        inner.filter(lambda query: query[0] != "not").map(lambda query: ("not", query)),
    ),
    max_leaves=6,
)

PAGE = """query($q: String, $first: Int, $after: String, $last: Int, $before: String) {
    customers(query: $q, first: $first, after: $after, last: $last, before: $before) {
      totalCount edges { node { _id } cursor } pageInfo { hasNextPage hasPreviousPage } } }"""


def sort_ids(matching: list[ModelCustomer], order: str, ascending: bool) -> list[int]:
    key: dict[str, Any] = {
        "id": lambda p: p.number,
        "created_at": lambda p: p.created_at,
        "updated_at": lambda p: p.updated_at,
        "last_name": lambda p: fold(p.node["last_name"]),
        "full_name": lambda p: fold(f"{p.node['first_name']} {p.node['last_name']}".strip()),
        "email": lambda p: fold(p.node["email"]),
        "expenses": lambda p: p.expenses,
        "orders_count": lambda p: p.orders_count,
    }
    customers = sorted(matching, key=lambda p: (key[order](p), p.number), reverse=not ascending)
    return [customer.number for customer in customers]


ORDERS = (
    "id",
    "created_at",
    "updated_at",
    "last_name",
    "full_name",
    "email",
    "expenses",
    "orders_count",
)


@dataclass(frozen=True, slots=True)
class Case:
    """A query, a sort order and a page size. `few`, `far` and `walked` set the thresholds between the
    search strategies, as 120 customers would always use the first."""

    query: Query
    order: str
    ascending: bool
    size: int
    few: int
    far: int
    walked: int


CASES = st.builds(
    Case,
    QUERIES,
    sample_from(ORDERS),
    st.booleans(),
    st.integers(1, 40),
    sample_from((0, 3, 15, 5_000)),
    sample_from((1, 20, 5_000)),
    sample_from((0, 1, 10)),
)
COMMON: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


HOSTILE = st.text(
    alphabet=st.one_of(
        sample_from("ab:\"'\\()-*<>=. %_\n12田éANDOR+,;[]{}|^$?"),
        st.characters(codec="utf-8"),
    ),
    max_size=40,
)
HOSTILE_VALUES = st.builds(
    lambda key, text, end: f"{key}{quote(text)}{end}",
    sample_from(
        ("", "tag:", "first_name:", "notes:", "comment:", "custom.a:", "city:", "phone:", "-")
    ),
    HOSTILE,
    sample_from(("", "*")),
)


@settings(max_examples=example_count(80), **COMMON)
@given(query=st.one_of(HOSTILE, HOSTILE_VALUES))
def test_any_search_text_is_safe(model_api: ModelApi, query: str) -> None:
    """Any text matches, does not match or is rejected, and never runs as SQL."""
    response = model_api.response(PAGE, q=query, first=1)
    for error in response.get("errors", ()):
        assert error["key"] == "errors_invalid_query", (query, error)
    assert model_api.run(PAGE, q="")["totalCount"] == COUNT


@pytest.mark.slow
@settings(max_examples=example_count(150), **COMMON)
@given(case=CASES)
def test_searches_agree_with_the_model(
    model_api: ModelApi, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    compare(model_api, monkeypatch, case)


def compare(model_api: ModelApi, monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    """Compares the pages of a search, forwards and backwards, with those of the slow filter."""
    query, order, size = case.query, case.order, case.size
    monkeypatch.setattr(finding, "MAX_INDEX_SCAN", case.few)
    monkeypatch.setattr(finding, "MAX_ORDER_SCAN", case.far)
    monkeypatch.setattr(finding, "MAX_COUNTED", 2 * case.few)
    monkeypatch.setattr(finding, "WALKED_PER_ROW", case.walked)
    expected = sort_ids([p for p, _ in MODEL_CUSTOMERS if matches(p, query)], order, case.ascending)
    text = f"{format_query(query)} order_by:{order} order_dir:{'asc' if case.ascending else 'desc'}"
    ids: list[int] = []
    cursor: str | None = None
    while True:
        page = model_api.run(PAGE, q=text, first=size, after=cursor)
        assert page["totalCount"] == len(expected), text
        info = page["pageInfo"]
        assert info["hasPreviousPage"] == bool(ids), text
        ids += [edge["node"]["_id"] for edge in page["edges"]]
        assert info["hasNextPage"] == (len(ids) < len(expected)), text
        if not info["hasNextPage"]:
            break
        cursor = page["edges"][-1]["cursor"]
    assert ids == expected, text
    page = model_api.run(PAGE, q=text, last=size)
    assert [edge["node"]["_id"] for edge in page["edges"]] == expected[-size:], text
    if len(expected) > size:
        page = model_api.run(PAGE, q=text, last=size, before=page["edges"][0]["cursor"])
        assert [e["node"]["_id"] for e in page["edges"]] == expected[:-size][-size:], text
        assert page["pageInfo"]["hasNextPage"], text
