"""Sample customers: realistic, the same for the same seed, and nobody's.

Names, places and streets come from Faker, drawn into pools once; the customers are combined from
the pools, because drawing each value anew would take longer than storing it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from faker import Faker

from regulars.core.text import fold
from regulars.customers.commands import Activity, NewLead
from regulars.orders.values import NewOrder

# The last sample customer came before this moment, the first three years earlier: the same for
# the same seed means that no clock is asked.
UNTIL = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_DAY = 86_400_000
_SPAN = 3 * 365 * _DAY

_PLACES = {
    "US": "en_US",
    "GB": "en_GB",
    "FR": "fr_FR",
    "DE": "de_DE",
    "ES": "es_ES",
    "IT": "it_IT",
    "BR": "pt_BR",
    "NL": "nl_NL",
    "PL": "pl_PL",
    "SE": "sv_SE",
    "TR": "tr_TR",
    "GR": "el_GR",
    "UA": "uk_UA",
    "IN": "hi_IN",
    "JP": "ja_JP",
    "CN": "zh_CN",
    "SA": "ar_SA",
}
_CURRENCIES = {"GB": "GBP", "US": "USD", "BR": "BRL", "PL": "PLN", "SE": "SEK", "TR": "TRY"}
_CURRENCIES |= {"UA": "UAH", "IN": "INR", "JP": "JPY", "CN": "CNY", "SA": "SAR"}
_POOL = 100
_PROVIDERS = [f"faker.providers.{name}" for name in ("person", "address", "phone_number")]
_DOMAINS = ("example.com", "example.net", "example.org")
_TAGS = ("vip", "wholesale", "newsletter", "returning", "gift", "local", "birthday club", "B2B")
_REFERRERS = (None, None, "google", "instagram", "newsletter", "a friend")
_NOTES = (
    "Prefers to be called in the afternoon.",
    "Asks for gift wrapping.\nUsually in December.",
    "Had a damaged parcel; we sent another.",
)
_SUBJECTS = (
    ("Delivery", "When will my order arrive? I am away next week."),
    ("Sizes", "Do you have this in a larger size?"),
    ("Invoice", "Could I have an invoice with my company's name on it?"),
    ("Thank you", "It arrived today and it is lovely."),
)


@dataclass(frozen=True, slots=True)
class Pool:
    """What the customers of a country are combined from."""

    country: str
    first_names: list[str]
    last_names: list[str]
    cities: list[str]
    streets: list[str]
    zips: list[str]
    phones: list[str]


@dataclass(frozen=True, slots=True)
class SampleCustomer:
    """A customer as somebody would create it, when, and what the customer did since."""

    node: dict[str, Any]
    created_at: int
    activity: Activity


def sample_customers(count: int, seed: int) -> Iterator[SampleCustomer]:
    """`count` customers; the first of a longer run are those of a shorter one."""
    draw = random.Random(seed)  # noqa: S311  # it has to be repeatable, not secret
    pools = [_pool(country, locale, seed) for country, locale in _PLACES.items()]
    orders_before = 0
    for index in range(count):
        customer = _customer(draw, draw.choice(pools), index, f"S{seed}", orders_before)
        orders_before += len(customer.activity.orders)
        yield customer


def moved(customer: SampleCustomer, by: int) -> SampleCustomer:
    """A customer all of whose moments are so many milliseconds later."""
    orders = tuple(
        replace(
            order,
            created_at=order.created_at + by,
            cancelled_at=None if order.cancelled_at is None else order.cancelled_at + by,
        )
        for order in customer.activity.orders
    )
    leads = tuple(
        replace(lead, created_at=lead.created_at + by) for lead in customer.activity.leads
    )
    activity = replace(customer.activity, orders=orders, leads=leads)
    return replace(customer, created_at=customer.created_at + by, activity=activity)


def _pool(country: str, locale: str, seed: int) -> Pool:
    fake = Faker(locale, providers=_PROVIDERS, use_weighting=False)
    fake.seed_instance(f"{seed}:{locale}")
    return Pool(
        country,
        [fake.first_name() for _ in range(_POOL)],
        [fake.last_name() for _ in range(_POOL)],
        [fake.city() for _ in range(_POOL // 5)],
        [fake.street_address().replace("\n", ", ") for _ in range(_POOL)],
        [fake.postcode() for _ in range(_POOL)],
        [fake.phone_number() for _ in range(_POOL)],
    )


def _customer(
    draw: random.Random, pool: Pool, index: int, prefix: str, orders_before: int
) -> SampleCustomer:
    first, last = draw.choice(pool.first_names), draw.choice(pool.last_names)
    words = [re.sub("[^a-z]", "", fold(word)) for word in (first, last)]
    name = ".".join(word for word in words if word) or "customer"
    node: dict[str, Any] = {
        "email": f"{name}.{prefix.lower()}.{index}@{draw.choice(_DOMAINS)}",
        "phone": draw.choice(pool.phones) if draw.random() < 0.7 else "",
        "first_name": first,
        "last_name": last,
        "accepts_marketing": draw.random() < 0.4,
        "tags": draw.sample(_TAGS, draw.choice((0, 0, 1, 1, 2, 3))),
    }
    if draw.random() < 0.8:
        node["shipping_address"] = _address(draw, pool, first, last)
    if draw.random() < 0.3:
        node["billing_address"] = _address(draw, pool, first, last)
    if draw.random() < 0.1:
        node["notes"] = draw.choice(_NOTES)
    if draw.random() < 0.2:
        node["custom"] = {"loyalty": draw.choice(("bronze", "silver", "gold")), "since": index % 5}
    created = UNTIL - draw.randrange(_SPAN)
    count = draw.choice((0, 0, 1, 1, 1, 2, 3, 5))
    orders = tuple(
        _order(draw, pool, created, f"{prefix}-{1001 + orders_before + number}")
        for number in range(count)
    )
    leads = tuple(
        NewLead(*draw.choice(_SUBJECTS), draw.randrange(created, UNTIL))
        for _ in range(draw.choice((0, 0, 0, 0, 1, 2)))
    )
    visits = count + draw.randrange(20)
    return SampleCustomer(node, created, Activity(orders, leads, visits))


def _address(draw: random.Random, pool: Pool, first: str, last: str) -> dict[str, str]:
    return {
        "first_name": first,
        "last_name": last,
        "line1": draw.choice(pool.streets),
        "city": draw.choice(pool.cities),
        "zip": draw.choice(pool.zips),
        "country": pool.country,
    }


def _order(draw: random.Random, pool: Pool, since: int, name: str) -> NewOrder:
    at = draw.randrange(since, UNTIL)
    total = Decimal(draw.randrange(500, 50_000)) / 100
    status = draw.choices(("paid", "pending", "refunded", "partially_refunded"), (85, 7, 4, 4))[0]
    refunds = {"refunded": total, "partially_refunded": (total / 2).quantize(Decimal("0.01"))}
    return NewOrder(
        name=name,
        total=total,
        created_at=at,
        currency=_CURRENCIES.get(pool.country, "EUR"),
        refunded_amount=refunds.get(status, Decimal(0)),
        financial_status=status,
        fulfillment_status=draw.choice(("fulfilled", "fulfilled", "unfulfilled", "partial")),
        tags=("gift",) if draw.random() < 0.1 else (),
        test=draw.random() < 0.01,
        referrer=draw.choice(_REFERRERS),
        cancelled_at=min(at + _DAY, UNTIL) if draw.random() < 0.03 else None,
    )
