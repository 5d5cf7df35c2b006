"""Generates sample customers: realistic and fictitious, and always the same for a seed.

Names, cities and streets come from Faker. They are generated once, in pools from which the
customers are combined, because generating each value would take longer than storing it.
"""

from __future__ import annotations

import functools
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

# All sample data is from the three years before this timestamp, in milliseconds. A clock would make
# it depend on the time.
LAST_TIMESTAMP = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_DAY_MS = 86_400_000
_SPAN_MS = 3 * 365 * _DAY_MS

_LOCALES = {  # by country
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
_POOL_SIZE = 100
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
    """The values from which the customers of a country are combined."""

    country: str
    first_names: list[str]
    last_names: list[str]
    cities: list[str]
    streets: list[str]
    zips: list[str]
    phones: list[str]


@dataclass(frozen=True, slots=True)
class SampleCustomer:
    """A customer: the input that creates it, its creation timestamp in milliseconds, and its
    activity since."""

    node: dict[str, Any]
    created_at: int
    activity: Activity


def generate_customers(count: int, seed: int) -> Iterator[SampleCustomer]:
    """Yields `count` customers. A larger count yields the same customers first."""
    rng = random.Random(seed)  # noqa: S311  # it must be repeatable, not secret
    pools = [_fill_pool(country, locale, seed) for country, locale in _LOCALES.items()]
    order_count = 0
    for index in range(count):
        customer = _generate_customer(rng, rng.choice(pools), index, f"S{seed}", order_count)
        order_count += len(customer.activity.orders)
        yield customer


def shift_timestamps(customer: SampleCustomer, shift_ms: int) -> SampleCustomer:
    """Returns a customer with all timestamps later by `shift_ms`."""
    orders = tuple(
        replace(
            order,
            created_at=order.created_at + shift_ms,
            cancelled_at=None if order.cancelled_at is None else order.cancelled_at + shift_ms,
        )
        for order in customer.activity.orders
    )
    leads = tuple(
        replace(lead, created_at=lead.created_at + shift_ms) for lead in customer.activity.leads
    )
    activity = replace(customer.activity, orders=orders, leads=leads)
    return replace(customer, created_at=customer.created_at + shift_ms, activity=activity)


@functools.cache
def _fill_pool(country: str, locale: str, seed: int) -> Pool:
    fake = Faker(locale, providers=_PROVIDERS, use_weighting=False)
    fake.seed_instance(f"{seed}:{locale}")
    return Pool(
        country,
        [fake.first_name() for _ in range(_POOL_SIZE)],
        [fake.last_name() for _ in range(_POOL_SIZE)],
        [fake.city() for _ in range(_POOL_SIZE // 5)],
        [fake.street_address().replace("\n", ", ") for _ in range(_POOL_SIZE)],
        [fake.postcode() for _ in range(_POOL_SIZE)],
        [fake.phone_number() for _ in range(_POOL_SIZE)],
    )


def _generate_customer(
    rng: random.Random, pool: Pool, index: int, prefix: str, order_count: int
) -> SampleCustomer:
    first_name, last_name = rng.choice(pool.first_names), rng.choice(pool.last_names)
    words = [re.sub("[^a-z]", "", fold(word)) for word in (first_name, last_name)]
    name = ".".join(word for word in words if word) or "customer"
    node: dict[str, Any] = {
        "email": f"{name}.{prefix.lower()}.{index}@{rng.choice(_DOMAINS)}",
        "phone": rng.choice(pool.phones) if rng.random() < 0.7 else "",
        "first_name": first_name,
        "last_name": last_name,
        "accepts_marketing": rng.random() < 0.4,
        "tags": rng.sample(_TAGS, rng.choice((0, 0, 1, 1, 2, 3))),
    }
    if rng.random() < 0.8:
        node["shipping_address"] = _generate_address(rng, pool, first_name, last_name)
    if rng.random() < 0.3:
        node["billing_address"] = _generate_address(rng, pool, first_name, last_name)
    if rng.random() < 0.1:
        node["notes"] = rng.choice(_NOTES)
    if rng.random() < 0.2:
        node["custom"] = {"loyalty": rng.choice(("bronze", "silver", "gold")), "since": index % 5}
    created_at = LAST_TIMESTAMP - rng.randrange(_SPAN_MS)
    count = rng.choice((0, 0, 1, 1, 1, 2, 3, 5))
    orders = tuple(
        _generate_order(rng, pool, created_at, f"{prefix}-{1001 + order_count + number}")
        for number in range(count)
    )
    leads = tuple(
        NewLead(*rng.choice(_SUBJECTS), rng.randrange(created_at, LAST_TIMESTAMP))
        for _ in range(rng.choice((0, 0, 0, 0, 1, 2)))
    )
    visits = count + rng.randrange(20)
    return SampleCustomer(node, created_at, Activity(orders, leads, visits))


def _generate_address(
    rng: random.Random, pool: Pool, first_name: str, last_name: str
) -> dict[str, str]:
    return {
        "first_name": first_name,
        "last_name": last_name,
        "line1": rng.choice(pool.streets),
        "city": rng.choice(pool.cities),
        "zip": rng.choice(pool.zips),
        "country": pool.country,
    }


def _generate_order(rng: random.Random, pool: Pool, min_timestamp: int, name: str) -> NewOrder:
    created_at = rng.randrange(min_timestamp, LAST_TIMESTAMP)
    total = Decimal(rng.randrange(500, 50_000)) / 100
    status = rng.choices(("paid", "pending", "refunded", "partially_refunded"), (85, 7, 4, 4))[0]
    refunds = {"refunded": total, "partially_refunded": (total / 2).quantize(Decimal("0.01"))}
    return NewOrder(
        name=name,
        total=total,
        created_at=created_at,
        currency=_CURRENCIES.get(pool.country, "EUR"),
        refunded_amount=refunds.get(status, Decimal(0)),
        financial_status=status,
        fulfillment_status=rng.choice(("fulfilled", "fulfilled", "unfulfilled", "partial")),
        tags=("gift",) if rng.random() < 0.1 else (),
        test=rng.random() < 0.01,
        referrer=rng.choice(_REFERRERS),
        cancelled_at=min(created_at + _DAY_MS, LAST_TIMESTAMP) if rng.random() < 0.03 else None,
    )
