"""The columns of a file: which field each is, by its heading and its values."""

from __future__ import annotations

import csv
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.transfer.column_assignment import (
    assign_columns,
    mapping,
    numbered,
    preview_columns,
)
from regulars.transfer.column_choice import Chooser
from regulars.transfer.column_profile import ColumnProfile
from regulars.transfer.columns import Column, is_own_export, recognised
from regulars.transfer.consent import is_subscription_state, read_consent
from regulars.transfer.contact_columns import KIND_OF
from regulars.transfer.errors import BadOption
from regulars.transfer.export_columns import DEFAULT_COLUMNS
from regulars.transfer.heading_dictionary import comparable
from regulars.transfer.headings import is_number_heading, match_heading
from regulars.transfer.secret_headings import is_secret
from tests.support import example_count

SYSTEMS: Mapping[str, Any] = tomllib.loads(
    (Path(__file__).parent / "files" / "headings.toml").read_text("utf-8")
)


_HEADINGS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [heading for system in SYSTEMS.values() for heading in system["lines"][0].split(",")]
    ),
)


def profiles_of(rows: Sequence[Sequence[str]], width: int) -> list[ColumnProfile]:
    """Returns the profiles of the columns of rows."""
    columns = [[row[n] for row in rows if n < len(row) and row[n].strip()] for n in range(width)]
    return [
        ColumnProfile(len(column), len(rows), tuple(dict.fromkeys(column))) for column in columns
    ]


def assign(
    headings: Sequence[str], *rows: Sequence[str], mapped: Mapping[str, str] | None = None
) -> list[Column]:
    profiles = profiles_of(rows, len(headings)) if rows else []
    return assign_columns(headings, profiles, mapped or {}, "custom")


def fields(
    headings: str, *rows: str, mapped: Mapping[str, str] | None = None
) -> dict[str, str | None]:
    """Returns the fields of the columns of a file of lines with commas, with their readers."""
    columns = assign(headings.split(","), *(row.split(",") for row in rows), mapped=mapped)
    return {c.heading: f"{c.field}:{c.reader}" if c.reader else c.field for c in columns}


def notes(headings: str, *rows: str) -> dict[str, str | None]:
    columns = assign(headings.split(","), *(row.split(",") for row in rows))
    return {c.heading: c.note for c in columns}


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_columns_of_a_system_are_recognised(name: str) -> None:
    system = SYSTEMS[name]
    headings, *rows = csv.reader(system["lines"], delimiter=system["delimiter"])
    expected = system["columns"]
    for column in assign(headings, *rows):
        field = expected.get(column.heading, f"custom.{column.heading}")
        if field == "-":
            assert column.field is None
        else:
            reader = f":{column.reader}" if column.reader else ""
            assert f"{column.field}{reader}" == field, column
    assert set(expected) <= {heading.strip() for heading in headings}


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("firstName", "first_name"),
        ("FIRST_NAME", "first_name"),
        (" First   name: ", "first_name"),
        ("Email *", "email"),
        ("Email (primary)", "email"),
        ("E-Mail-Adresse", "email"),
        ("ＥＭＡＩＬ", "email"),
        ("Correo electronico", "email"),
        ("Adres e-mail", "email"),
        ("Иmя", None),
        ("国 (自宅)/地域", "shipping_address.country"),
        ("Can market to buyer", "accepts_marketing"),
        ("Billing - City", "billing_address.city"),
        ("billing_postcode", "billing_address.zip"),
        ("shippingAddress.postalCode", "shipping_address.zip"),
        ("Ship To: Street Address", "shipping_address.line1"),
        ("Ciudad de facturación", "billing_address.city"),
        ("Código postal de envío", "shipping_address.zip"),
        ("Ville de livraison", "shipping_address.city"),
        ("Rechnungsadresse: PLZ", "billing_address.zip"),
        ("Liefer-PLZ", "shipping_address.zip"),
        ("Città di spedizione", "shipping_address.city"),
        ("Ciudad de la dirección de envío", "shipping_address.city"),
        ("Cidade do endereço de entrega", "shipping_address.city"),
        ("Estado o provincia de correspondencia", "shipping_address.state"),
        ("Dirección de facturación 2", "billing_address.line2"),
        ("Recipient's Postcode", "shipping_address.zip"),
        ("Street & number", "shipping_address.line1"),
        ("Straße & Nr.", "shipping_address.line1"),
        ("Miejscowość odbiorcy", "shipping_address.city"),
        ("Imię i nazwisko kupującego", "name"),
        ("PLZ des Empfängers", "shipping_address.zip"),
        ("E-Mail des Käufers", "email"),
        ("Ville du destinataire", "shipping_address.city"),
        ("Email dell'acquirente", "email"),
        ("Telefoon koper", "phone"),
        ("Teslimat İlçesi", "shipping_address.area"),
        ("Müşteri Telefonu", "phone"),
        ("المدينة للشحن", "shipping_address.city"),
        ("البريد الإلكتروني للمشتري", "email"),
        ("Заказчик: телефон", "phone"),
        ("付款人邮编", "billing_address.zip"),
        ("お客様のメールアドレス", "email"),
        ("ご請求先郵便番号", "billing_address.zip"),
        ("お受取人郵便番号", "shipping_address.zip"),
        ("氏名（姓）", "last_name"),
        ("Name (First)", "first_name"),
        ("(First)", "first_name"),
        ("2", None),
        ("()", None),
        ("Phone (last)", "phone"),
        ("받으실 분 우편번호", "shipping_address.zip"),
        ("Cidade de cobrança", "billing_address.city"),
        ("Miasto dostawy", "shipping_address.city"),
        ("Teslimat şehri", "shipping_address.city"),
        ("Fatura adresi posta kodu", "billing_address.zip"),
        ("Factuuradres plaats", "billing_address.city"),
        ("مدينة الشحن", "shipping_address.city"),
        ("Город доставки", "shipping_address.city"),
        ("账单城市", "billing_address.city"),
        ("配送先郵便番号", "shipping_address.zip"),
        ("배송지 우편번호", "shipping_address.zip"),
        ("addresses.0.postcode", "shipping_address.zip"),
        ("default_address.address1", "shipping_address.line1"),
        ("defaultEmailAddress.emailAddress", "email"),
        ("emailMarketingConsent.marketingState", "accepts_marketing"),
        ("Address 1 - Postal Code", "shipping_address.zip"),
        ("City - 1", "shipping_address.city"),
        ("Zip/Postcode - 1", "shipping_address.zip"),
        ("Customer Email", "email"),
        ("contact.phone", "phone"),
        ("Customer ID", "external_id"),
        ("_id", "external_id"),
        ("id", "external_id"),
        ("custom.Email", "custom.Email"),
        ("import: Email", "custom.import: Email"),
        ("regulars_problem", "-"),
        ("Company Name", None),
        ("username", None),
        ("First Name (phonetic)", None),
        ("E-mail 3 Address", None),
        ("state_id/id", None),
        ("country_id/id", None),
        ("Homepage", None),
        ("Card Issue Country", None),
        ("To Email Address", None),
        ("Para o endereço de e-mail", None),
        ("Correo electrónico del remitente", "email"),
        ("E-Mail-Kampagnen", "accepts_marketing"),
        ("Athugasemdir", "notes"),
        ("Gade (arbejde)", "shipping_address.line1"),
        ("Stradă birou", "shipping_address.line1"),
        ("Email Domain", None),
        ("Last contact", None),
        ("Ship via", None),
        ("IP Address", None),
        ("Signup IP", None),
        ("Shipping method", None),
        ("Emergency contact phone", None),
        ("Lieu de naissance", None),
        ("Notas (customer.metafields.custom.notas)", None),
        ("Accepts SMS Marketing", None),
        ("", None),
    ],
)
def test_a_heading_is_recognised(heading: str, field: str | None) -> None:
    assert recognised(heading) == field


@pytest.mark.parametrize(
    ("headings", "expected"),
    [
        ("email,Name", "name"),
        ("email,Prénom,Nom", "last_name"),
        ("email,Nombre,Apellidos", "first_name"),
        ("email,Imię i nazwisko", "name"),
        ("email,姓名", "name"),
        ("email,Display Name,Name", "name"),
    ],
)
def test_the_field_of_a_name_depends_on_the_other_columns(headings: str, expected: str) -> None:
    assert expected in fields(headings).values()


def test_a_full_name_is_used_without_first_and_last_names() -> None:
    headings = "email,First name,Last name,Full name"
    assert fields(headings, "a@x.test,Ana,Lo,Ana Lo")["Full name"] == "custom.Full name"
    by_empty = fields(headings, "a@x.test,,,Ana Lo")
    assert by_empty["Full name"] == "name"


def test_of_two_columns_of_a_field_the_fuller_one_is_used() -> None:
    rows = ("a@x.test,1,2", "b@x.test,,3")
    assert fields("email,Phone,Mobile", *rows)["Mobile"] == "phone"
    note = notes("email,Phone,Mobile", *rows)["Phone"]
    assert note == (
        "'Phone' is not used as a field of the customer, because 'Mobile' has more values."
    )
    # With equally many, the heading that the dictionary lists first.
    assert fields("email,Mobile,Phone", "a@x.test,1,2")["Phone"] == "phone"
    # A group is no tag while there are tags.
    rows = ("a@x.test,VIP,Retail", "b@x.test,,Retail")
    assert fields("email,Tags,Customer Group", *rows)["Tags"] == "tags"


def test_equal_headings_are_numbered() -> None:
    assert numbered(["Phone", "Phone ", "Phone 2", "", "Phone", ""]) == [
        "Phone",
        "Phone 3",
        "Phone 2",
        "",
        "Phone 4",
        "",
    ]
    headings = "Email,Phone,Phone"
    assert fields(headings) == {"Email": "email", "Phone": "phone", "Phone 2": "custom.Phone 2"}
    assert fields(headings, mapped={"Phone 2": "phone"})["Phone"] == "custom.Phone"
    with pytest.raises(BadOption, match="columns 2 and 3 are both mapped to phone"):
        fields(headings, mapped={"Phone": "phone", "Phone 2": "phone"})


def test_all_parts_of_an_address_are_of_one_group() -> None:
    headings = "email,Home Street,Home City,Business Street,Business City,Business Zip"
    by_home = fields(headings, "a@x.test,1 A,Lyon,,,", "b@x.test,1 A,Lyon,2 B,Nice,1")
    assert by_home["Home City"] == "shipping_address.city"
    assert by_home["Business Zip"] == "custom.Business Zip"
    by_work = fields(headings, "a@x.test,,,2 B,Nice,1")
    assert by_work["Business Street"] == "shipping_address.line1"
    assert by_work["Home Street"] == "custom.Home Street"


def test_an_address_without_a_kind_is_the_billing_address_if_a_shipping_address_exists() -> None:
    columns = fields("email,Street,City,Ship To Street,Ship To City")
    assert columns["Ship To Street"] == "shipping_address.line1"
    assert columns["Street"] == "billing_address.line1"
    by_empty = fields("email,Street,City,Ship To Street,Ship To City", "a@x.test,1 A,NY,,")
    assert by_empty["Street"] == "shipping_address.line1"


@pytest.mark.parametrize(
    ("headings", "kind"),
    [
        ("email,Billing Address,City,Zip,Country", "billing_address"),
        ("email,Lieferadresse,PLZ,Ort", "shipping_address"),
        ("email,Street 1,Ship City,Ship Zip", "shipping_address"),
        ("email,Billing Street,Billing City,Country", "billing_address"),
        ("email,Country", "shipping_address"),
    ],
)
def test_parts_without_a_group_are_of_the_address_that_lacks_them(headings: str, kind: str) -> None:
    addresses = {str(field) for field in fields(headings).values() if field != "email"}
    assert {field.partition(".")[0] for field in addresses} == {kind}


@pytest.mark.parametrize(
    ("headings", "expected"),
    [
        # Billing and shipping of WooCommerce, Shopify, and in several languages.
        (
            "email,billing_company,billing_city,shipping_company,shipping_city",
            {
                "billing_company": "billing_address.company",
                "shipping_company": "shipping_address.company",
            },
        ),
        ("email,Company Name,City", {"Company Name": "shipping_address.company"}),
        ("email,Firma,Billing City", {"Firma": "billing_address.company"}),
        ("email,会社名,住所", {"会社名": "shipping_address.company"}),
        ("email,Empresa de facturación,Ciudad", {"Ciudad": "shipping_address.city"}),
        ("email,Name / Company,City", {"Name / Company": "name"}),
        # A company of no address is of the first one.
        (
            "email,Company,Billing City,Shipping City",
            {"Company": "shipping_address.company"},
        ),
        # A company alone, and one next to the address of a home, are no part of an address.
        ("email,Company", {"Company": "custom.Company"}),
        ("email,billing_company,City", {"billing_company": "custom.billing_company"}),
        ("email,Company,Home Street,Home City", {"Company": "custom.Company"}),
        ("email,Company,Business Street", {"Company": "shipping_address.company"}),
    ],
)
def test_a_company_is_a_part_of_an_address_with_others(
    headings: str, expected: dict[str, str]
) -> None:
    columns = fields(headings)
    assert {heading: columns[heading] for heading in expected} == expected


def test_a_column_of_companies_is_no_address_without_the_others() -> None:
    """The company has more values than the columns of the address, which is still used."""
    rows = [f"{n}@x.test,Acme,," for n in range(9)]
    columns = fields("email,Company,Street,City", *rows, "a@x.test,Acme,1 A,Lyon")
    assert columns["Street"] == "shipping_address.line1"
    assert columns["Company"] == "shipping_address.company"


def test_a_district_is_a_state_in_portugal_alone() -> None:
    headings = "email,Morada,Distrito,Concelho"
    found = fields(headings, "a@x.test,Rua 8,Viana do Castelo,Caminha", "b@x.test,Rua 9,Évora,Mora")
    assert found["Distrito"] == "shipping_address.state"
    found = fields("email,Dirección,Distrito", "a@x.test,Av. 1,Miraflores", "b@x.test,Av. 2,Lince")
    assert found["Distrito"] == "shipping_address.area"
    found = fields("email,Rua,Distrito,Estado", "a@x.test,Rua 8,Porto,SP")
    assert found["Distrito"] == "shipping_address.area"


def test_a_code_of_a_country_is_preferred_to_its_name() -> None:
    headings = "email,City,Country,Country Code"
    full = fields(headings, "a@x.test,NY,United States,US")
    assert full["Country Code"] == "shipping_address.country"
    by_name = fields(headings, "a@x.test,NY,United States,US", "b@x.test,NY,France,")
    assert by_name["Country"] == "shipping_address.country"


def test_a_state_is_a_status_or_a_part_of_an_address() -> None:
    assert fields("email,State,City", "a@x.test,NY,New York")["State"] == "shipping_address.state"
    assert fields("email,state,city", "a@x.test,disabled,Nice")["state"] == "custom.state"
    assert fields("email,State", "a@x.test,NY")["State"] == "custom.State"
    consent = fields("email,State", "a@x.test,Subscribed", "b@x.test,Active")
    assert consent["State"] == "accepts_marketing"
    assert fields("email,Status", "a@x.test,Active")["Status"] == "custom.Status"
    assert fields("email,Status", "a@x.test,shipped")["Status"] == "custom.Status"


def test_columns_of_consent_have_readers() -> None:
    assert fields("email,Email Opt Out")["Email Opt Out"] == "accepts_marketing:opt_out"
    headings = "email,OPTIN_TIME,CONFIRM_TIME,UNSUB_TIME"
    times = fields(headings, "a@x.test,2020-01-02 03:04:05,2020-01-02 03:05:05,")
    assert times == {
        "email": "email",
        "OPTIN_TIME": "created_at:subscribed_at",
        "CONFIRM_TIME": "accepts_marketing:subscribed_at",
        "UNSUB_TIME": "accepts_marketing:unsubscribed_at",
    }
    columns = fields("email,Created,OPTIN_TIME", "a@x.test,2020-01-02,2020-01-02")
    assert columns["OPTIN_TIME"] == "accepts_marketing:subscribed_at"
    # Values decide between a flag and a time.
    for heading, value, reader in (
        ("Unsubscribed", "yes", "accepts_marketing:opt_out"),
        ("Unsubscribed", "2020-01-02", "accepts_marketing:unsubscribed_at"),
        ("Newsletter", "ja", "accepts_marketing"),
        ("Newsletter", "02.01.2020", "created_at:subscribed_at"),
    ):
        assert fields(f"email,{heading}", f"a@x.test,{value}")[heading] == reader


def test_other_columns_and_values_decide_about_a_column() -> None:
    # Of two columns of a region, the one of names; the number of a house next to its street.
    headings = "email,Region (ID),Region (name),Address_Billing_Street,Address_Billing_Number"
    assert fields(headings, "a@x.test,27,Texas,Dam,12 B") == {
        "email": "email",
        "Region (ID)": "custom.Region (ID)",
        "Region (name)": "billing_address.state",
        "Address_Billing_Street": "billing_address.line1",
        "Address_Billing_Number": "billing_address.house_number",
    }
    # The addresses of an order, next to the places of one of them.
    columns = fields("E-posta,Teslimat Adresi,Fatura Adresi,İl", "a@x.test,Cad. 1,Cad. 2,Muğla")
    assert columns["Teslimat Adresi"] == "shipping_address.line1"
    assert columns["İl"] == "shipping_address.city"
    assert columns["Fatura Adresi"] == "billing_address.line1"
    # A mobile phone in Turkish, and a postal code in Portuguese.
    assert fields("email,Cep", "a@x.test,0532 123 45 67")["Cep"] == "phone"
    assert fields("email,CEP", "a@x.test,01305-000")["CEP"] == "shipping_address.zip"
    # The state of a subscriber, and that of anybody.
    assert fields("Subscriber ID,Email,Status", "1,a@x.test,active")["Status"] == (
        "accepts_marketing"
    )
    assert fields("ID,Email,Status", "1,a@x.test,active")["Status"] == "custom.Status"


@pytest.mark.parametrize(
    ("heading", "value", "field"),
    [
        ("Ne pas envoyer d'e-mails SVP", "oui", "accepts_marketing:opt_out"),
        ("Email not wanted", "no", "accepts_marketing:opt_out"),
        ("Email not verified", "no", "custom.Email not verified"),
        ("Has no email", "no", "custom.Has no email"),
        ("不要发邮件", "是", "accepts_marketing:opt_out"),
        ("E-posta pazarlaması kabul", "evet", "accepts_marketing"),
        ("Text Marketing", "Opted Out", "custom.Text Marketing"),
        ("E-Mail Werbung (neu)", "ja", "accepts_marketing"),
    ],
)
def test_the_words_of_a_heading_say_what_is_permitted(heading: str, value: str, field: str) -> None:
    assert fields(f"email,{heading}", f"a@x.test,{value}")[heading] == field


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Sí, acepto", True),
        ("Subscribed (double opt-in)", True),
        ("abonné(e)", True),
        ("是，同意", True),
        ("hayır, istemiyorum", False),
        ("Unsubscribed - spam", False),
        ("登録しない", False),
        ("yes/no", None),
        ("subscribed, unsubscribed", None),
        ("E/mail", None),
        ("1, 2", None),
    ],
)
def test_an_answer_may_have_an_explanation(text: str, answer: bool | None) -> None:
    assert read_consent(text) is answer


@pytest.mark.parametrize("text", ["subscribed", "Unsubscribed", "désabonné", "已订阅", "CLEANED"])
def test_words_of_consent_are_recognised(text: str) -> None:
    assert is_subscription_state(text)
    assert not is_subscription_state(f"{text} shipped")


@pytest.mark.parametrize(
    "heading",
    [
        *("Password *", "password_hash", "rp_token", "userPass", "API key", "Access Token", "PIN"),
        *("Credit Card Number", "CVV", "IBAN", "Bank Account Number", "SSN", "Passport No."),
        *("Contraseña", "Mot de passe", "Passwort", "Senha", "Wachtwoord", "Hasło", "Şifre"),
        *(
            "Пароль",
            "كلمة المرور",
            "密码",
            "登录密码",
            "パスワード",
            "비밀번호",
            "DNI",
            "CPF",
            "PESEL",
        ),
        *(
            "Codice fiscale",
            "Sozialversicherungsnummer",
            "身份证号",
            "マイナンバー",
            "TC Kimlik No",
        ),
    ],
)
def test_secrets_are_left_out_unless_they_are_mapped(heading: str) -> None:
    email, secret = assign(["email", heading], ["a@x.test", "1"])
    assert (email.field, secret.field) == ("email", None)
    assert secret.note is not None
    assert "--map" in secret.note
    custom = f"custom.{heading}"
    (_, kept) = assign(["email", heading], mapped={heading: custom})
    assert kept.field == custom


@pytest.mark.parametrize(
    "heading",
    [
        *("Pinterest", "Company", "Accepts Terms", "taxvat", "Token of appreciation", "Pin code"),
        *("Loyalty card number", "Gift Card Number", "Last password change", "Shipping", "Opinion"),
        *("Card Brand", "Card Last4", "Partita IVA", "Nie wysyłać", "Passenger", "Compass"),
    ],
)
def test_other_columns_are_no_secrets(heading: str) -> None:
    assert fields(f"email,{heading}")[heading] is not None


def test_the_email_of_an_address_is_the_customers() -> None:
    assert fields("name,Shipping Email") == {"name": "name", "Shipping Email": "email"}


def test_the_email_is_found_by_its_values() -> None:
    columns = assign(["Kontaktweg", "Wohnort"], ["a@x.test", "Bonn"], ["b@x.test", "Ulm"])
    assert columns[0].field == "email"
    assert columns[0].note == (
        "'Kontaktweg' is used as the email, because most of its values are email addresses."
    )
    # A column with the heading and without emails is not it.
    columns = assign(["Mail", "Konto"], ["yes", "a@x.test"], ["no", "b@x.test"])
    assert [c.field for c in columns] == ["custom.Mail", "email"]
    assert fields("Billing Email,Billing City")["Billing Email"] == "email"


def test_a_file_without_an_email_is_refused_with_candidates() -> None:
    with pytest.raises(BadOption, match=r"It may be 'Mailadr'.*--map 'Mailadr=email'"):
        fields("name,Mailadr", "Ana,?", "Ben,!")
    with pytest.raises(BadOption, match="It may be 'Info'"):
        fields("name,Info", "Ana,a@x.test", "Ben,none", "Eve,none")
    with pytest.raises(BadOption, match="--no-header"):
        fields("ana@x.test,Ana", "ben@x.test,Ben")


def test_only_our_own_exports_have_our_ids() -> None:
    csv_headings = (
        "_id email first_name last_name phone accepts_marketing tags notes "
        + " ".join(
            f"{kind}_address.{part}"
            for kind in ("shipping", "billing")
            for part in (
                "line1 line2 city area country first_name last_name zip state email phone".split()
            )
        )
        + " custom created_at updated_at"
    ).split()
    assert is_own_export(csv_headings)
    assert is_own_export(["regulars_problem", *csv_headings])
    assert is_own_export(["email", "regulars_id"])
    assert is_own_export([*DEFAULT_COLUMNS["jsonl"]])
    assert not is_own_export(["_id", "email", "first_name"])
    assert not is_own_export(csv_headings[1:])
    own = assign_columns(csv_headings, [], {}, "custom")
    assert [c.field for c in own] == csv_headings
    assert fields("regulars_id,email,expenses") == {
        "regulars_id": "_id",
        "email": "email",
        "expenses": None,
    }
    assert fields("id,_id,email")["id"] == "external_id"
    by_id = assign_columns(["_id", "email"], [], {}, "custom", match="_id")
    assert [c.field for c in by_id] == ["_id", "email"]


def test_the_phone_and_name_of_an_address_are_the_customers() -> None:
    columns = fields("email,billing_first_name,billing_phone,billing_city")
    assert columns["billing_phone"] == "billing_address.phone:and_customer"
    assert columns["billing_first_name"] == "billing_address.first_name:and_customer"
    columns = fields("email,name,phone,billing_phone,billing_first_name")
    assert columns["billing_phone"] == "billing_address.phone"
    assert columns["billing_first_name"] == "billing_address.first_name"


def test_unknown_columns_are_kept_dropped_or_refused() -> None:
    headings = ["email", "Shoe size", "", "custom.Shoe size"]
    profiles = profiles_of([["a@x.test", "38", "x", "39"]], 4)
    kept = assign_columns(headings, profiles, {}, "custom")
    assert [c.field for c in kept] == [
        "email",
        "custom.Shoe size 2",
        "custom.Column 3",
        "custom.Shoe size",
    ]
    dropped = assign_columns(headings, profiles, {}, "drop")
    assert [c.field for c in dropped] == ["email", None, None, "custom.Shoe size"]
    with pytest.raises(BadOption, match="No field fits the column 'Shoe size'"):
        assign_columns(headings, profiles, {}, "refuse")


def test_a_mapping_takes_precedence() -> None:
    mapped = mapping(["Contact=email", "Email=custom.old", "City=-"])
    assert fields("Email,Contact,City", mapped=mapped) == {
        "Email": "custom.old",
        "Contact": "email",
        "City": None,
    }
    assert preview_columns(["Contact", "City"], mapped) == [("Contact", "email"), ("City", None)]
    with pytest.raises(BadOption, match="no column 'Kontakt'"):
        fields("Email", mapped={"Kontakt": "email"})


@given(st.lists(_HEADINGS, min_size=1, max_size=6), st.data())
@settings(max_examples=example_count(100), deadline=None)
def test_no_column_is_lost_and_no_field_has_two(headings: list[str], data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(
            st.lists(st.text(max_size=4), min_size=len(headings), max_size=len(headings)),
            max_size=2,
        )
    )
    names = ["email", *headings]
    profiles = profiles_of([["a@x.test", *row] for row in rows], len(names))
    has_lists = data.draw(st.booleans())
    columns = assign_columns(names, profiles, {}, "custom", has_lists=has_lists)
    assert [c.position for c in columns] == list(range(len(names)))
    plain = [c.field for c in columns if c.field and c.reader is None and c.field not in KIND_OF]
    assert len(set(plain)) == len(plain)
    for column, name, profile in zip(columns, names, profiles, strict=True):
        left_out = is_secret(column.heading) or name.strip() == "regulars_problem"
        left_out = left_out or column.reader == "continued"
        assert column.field is not None or left_out or not profile.filled or not name.strip()


def blocks_of(headings: Sequence[str]) -> list[list[int]]:
    """Return the positions of columns that belong together: a bare `Número` is the house number of
    the street in the column before it, and `電話番号2` is the next part of `電話番号1`."""
    blocks: list[list[int]] = []
    for position, heading in enumerate(headings):
        is_next = heading[-1:] in ("2", "3") and heading[:-1] == headings[position - 1][:-1]
        if blocks and (is_next or is_number_heading(heading)):
            blocks[-1].append(position)
        else:
            blocks.append([position])
    return blocks


@given(st.sampled_from(sorted(SYSTEMS)), st.data())
@settings(max_examples=example_count(100), deadline=None)
def test_the_order_of_columns_does_not_matter(name: str, data: st.DataObject) -> None:
    system = SYSTEMS[name]
    headings, *rows = csv.reader(system["lines"], delimiter=system["delimiter"])
    blocks = blocks_of(headings)
    # A column of row numbers stays first: after a street, it would have house numbers.
    first = blocks[:1] if is_number_heading(headings[0]) else []
    blocks = [*first, *data.draw(st.permutations(blocks[len(first) :]))]
    order = [n for block in blocks for n in block]
    straight = assign(headings, *rows)
    turned = assign([headings[n] for n in order], *([row[n] for n in order] for row in rows))
    assert {c.heading: (c.field, c.reader) for c in straight} == {
        c.heading: (c.field, c.reader) for c in turned
    }


@given(st.text(max_size=60))
@settings(max_examples=example_count(400), deadline=None)
def test_case_spaces_and_punctuation_do_not_matter(heading: str) -> None:
    key = comparable(heading)
    assert comparable(key) == key or "ال" in key
    assert comparable(f" {heading} * ") == key


def test_the_dictionary_has_no_heading_of_two_fields() -> None:
    from regulars.transfer import headings as module

    path = Path(module.__file__).with_name("headings.toml")
    data = tomllib.loads(path.read_text("utf-8"))
    owners: dict[str, str] = {}
    for table in ("fields", "weak", "parts"):
        for field, listed in data[table].items():
            if field != "status":
                for heading in listed:
                    assert comparable(heading), heading
                    assert owners.setdefault(comparable(heading), field) == field, heading


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("Nome/Empresa (razão)", "name"),
        ("Cidade / UF", "city"),
        ("Postcode or ZIP", "zip"),
        ("Rue (bureau) 2", "line2"),
        ("Voornaam & achternaam", "full_name"),
        ("Ulica, broj", "line1"),
        ("Apt/Unit", "line2"),
        ("郵便番号（〒）", "zip"),
        ("Quận/Huyện", "suburb"),
        ("Email/Phone", None),
        ("state_id/id", None),
        ("Name/Email", None),
    ],
)
def test_a_heading_of_several_names_is_recognised(heading: str, field: str | None) -> None:
    match = match_heading(heading)
    assert (match.field if match else None) == field


@pytest.mark.parametrize(
    ("heading", "names", "reader"),
    [
        ("Cognome e Nome", ("Rossi Giulia", "De Santis Niccolò"), "family_first"),
        ("Cognome e Nome", ("Giulia Rossi", "Chiara Ferri"), None),
        ("Név", ("Szűcs Zoltán", "Kőszegi Győző"), "family_first"),
        ("Achternaam en voornaam", ("Qq Ww",), "family_first"),
        ("Name", ("Müller Jürgen", "Weiß Käthe", "Özdemir Uwe"), "family_first"),
        ("Name", ("Müller Jürgen", "Käthe Weiß", "Uwe Özdemir"), None),
        ("Name", ("Müller Jürgen",), None),
        ("Name", ("James Martin", "Paul Simon"), None),
        ("Nombre y apellidos", ("Ana Pérez Soto",), "two_last_names"),
    ],
)
def test_the_order_of_names_is_decided_for_a_column(
    heading: str, names: tuple[str, ...], reader: str | None
) -> None:
    rows = [(f"{n}@x.test", name) for n, name in enumerate(names)]
    assert assign(["Email", heading], *rows)[1].reader == reader


@pytest.mark.parametrize(
    ("heading", "values", "field"),
    [
        ("Chci odebírat novinky e-shopu", ("ano", "ne"), "accepts_marketing"),
        ("Vill du ha vårt nyhetsbrev", ("Ja", "Nej"), "accepts_marketing"),
        ("Ben de reklam almak istiyorum", ("Evet", "Hayır"), "accepts_marketing"),
        ("Nhận khuyến mãi qua thư", ("Có", "Không"), "accepts_marketing"),
        ("SMS marketing", ("yes", "no"), None),
        ("Newsletter nicht mehr gewollt", ("ja", "nein"), None),
        ("Kein Newsletter bitte", ("ja", "nein"), None),
        ("Newsletters sent", ("1", "0"), None),
        ("Best newsletter", ("Spring", "Autumn"), None),
        ("Kunden registreret i systemet", ("18-03-2021", "31-12-2019"), "created_at"),
        ("Siste ordre registrert", ("18.03.2021",), None),
        ("Last registration", ("2021-03-18",), None),
        ("Registered phone", ("2021",), None),
        ("Ihre Mobilnummer bitte", ("0171 2345678", "+49 30 901820"), "phone"),
        ("Faxnummer Telefonzentrale", ("0171 2345678",), None),
        ("Phone model", ("iPhone",), None),
        ("Land des Wohnsitzes", ("Deutschland", "Österreich"), "shipping_address.country"),
        ("Landing page", ("home",), None),
        ("Notizen der Beraterin", ("ruft zurück",), "notes"),
        ("Bewertung Note", ("1", "2"), None),
    ],
)
def test_an_unknown_heading_is_recognised_if_its_values_agree(
    heading: str, values: tuple[str, ...], field: str | None
) -> None:
    rows = [(f"{n}@x.test", value) for n, value in enumerate(values)]
    column = assign(["Email", heading], *rows)[1]
    assert column.field == (field or f"custom.{heading}")


def test_a_state_of_a_subscription_is_consent_under_any_heading_of_a_state() -> None:
    headings = "Correo,Estado del suscriptor,Fecha de suscripción,SMS status"
    rows = ("a@x.test,Activo,2021-03-18,Activo", "b@x.test,Baja,2022-11-05,Baja")
    assert fields(headings, *rows) == {
        "Correo": "email",
        "Estado del suscriptor": "accepts_marketing",
        "Fecha de suscripción": "created_at:subscribed_at",
        "SMS status": "custom.SMS status",
    }


def test_the_order_of_the_name_of_an_address_is_that_of_the_customer() -> None:
    headings = "E-mail,Számlázási név,Számlázási város"
    columns = fields(headings, "a@x.test,Szűcs Zoltán,Pécs", "b@x.test,Nagy Anna,Győr")
    assert columns["Számlázási név"] == "billing_address.name:and_customer family_first"


def test_a_part_of_a_residence_joins_the_address_without_it() -> None:
    columns = fields("Email,Rue,Ville,Pays de résidence", "a@x.test,1 rue X,Lyon,France")
    assert columns["Pays de résidence"] == "shipping_address.country"


def test_a_first_name_of_several_words_is_a_whole_name() -> None:
    rows = ("a@x.test,Nguyễn Văn An", "b@x.test,Trần Thị Hoa")
    assert fields("Email,Tên người mua", *rows)["Tên người mua"] == "name"
    assert fields("Email,Tên", "a@x.test,An", "b@x.test,Hoa")["Tên"] == "first_name"
    assert fields("Email,First name", "a@x.test,Ana María")["First name"] == "first_name"


def test_circles_and_crosses_are_yes_and_no() -> None:
    rows = ("a@x.test,O", "b@x.test,X")
    assert (
        fields("이메일,뉴스레터 구독 여부", *rows)["뉴스레터 구독 여부"]
        == "accepts_marketing:circles"
    )
    assert fields("Email,Newsletter", "a@x.test,x")["Newsletter"] == "accepts_marketing"


def test_a_city_with_a_postal_code_is_divided() -> None:
    rows = ("a@x.test,1 A,80331 München", "b@x.test,2 B,10117 Berlin")
    assert fields("Email,Straße,Ort", *rows)["Ort"] == "shipping_address.zip_city"
    rows = ("a@x.test,1 A,80331 München,80331", "b@x.test,2 B,10117 Berlin,10117")
    assert fields("Email,Straße,Ort,PLZ", *rows)["Ort"] == "shipping_address.city"


def test_many_columns_take_bounded_time() -> None:
    headings = [None, *(f"customer shipping address home {n}" * 3 for n in range(200))]
    choices = Chooser(headings, ["", *map(str, headings[1:])], (), ()).choose()
    assert len(choices) == 201
    assert match_heading("home" * 1_000_000) is None


@pytest.mark.slow
def test_the_dictionary_is_loaded_when_it_is_needed() -> None:
    code = (
        "import regulars.transfer.column_assignment, regulars.transfer.heading_dictionary as headings;"
        "assert headings.dictionary.cache_info().currsize == 0"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("heading", "value"),
    [
        ("Status", "active"),
        ("Active", "1"),
        ("Wants email receipts", "yes"),
        ("Email reminders consent", "yes"),
        ("Email verified", "yes"),
        ("SMS opt out", "no"),
        ("Opt out of sale", "no"),
        ("Do you have a phone?", "yes"),
        ("Đăng ký SMS không?", "có"),
        ("ST", "Main Street"),
        ("Kod", "SAVE10"),
        ("Code", "10115"),
        ("sent", "2024-03-18 14:20:37"),
        ("Date", "2024-03-18"),
        ("spouse_first_name", "Ann"),
    ],
)
def test_a_heading_alone_says_too_little(heading: str, value: str) -> None:
    assert fields(f"email,{heading}", f"a@x.test,{value}")[heading] == f"custom.{heading}"


@pytest.mark.parametrize(
    ("headings", "row", "heading", "field"),
    [
        ("email,is_opt_out", "a@x.test,true", "is_opt_out", "accepts_marketing:opt_out"),
        ("email,Subscribes to email", "a@x.test,True", "Subscribes to email", "accepts_marketing"),
        ("email,ST", "a@x.test,OH", "ST", "shipping_address.state"),
        ("email,Kod", "a@x.test,00-950", "Kod", "shipping_address.zip"),
        ("email,Mailing addr", "a@x.test,1 A", "Mailing addr", "shipping_address.line1"),
        ("email,Date,Form Name", "a@x.test,2024-03-18,Contact", "Date", "created_at"),
        ("u_email,u_city,u_zip,u_tel", "a@x.test,Rome,00100,1", "u_city", "shipping_address.city"),
    ],
)
def test_values_and_other_headings_complete_a_heading(
    headings: str, row: str, heading: str, field: str
) -> None:
    assert fields(headings, row)[heading] == field


@pytest.mark.parametrize(
    ("heading", "values"),
    [
        *(("status", ("active", "inactive")), ("Estado", ("active", "inactive"))),
        *(("Active", ("active", "inactive")), ("Active", ("true", "false")), ("Aktiv", ("1", "0"))),
    ],
)
def test_inactive_subscribers_with_a_time_of_subscription_do_not_subscribe(
    heading: str, values: tuple[str, str]
) -> None:
    columns = assign(
        ["email", heading, "subscribed_at"],
        *(["a@x.test", value, "2024-03-18"] for value in values),
    )
    assert [column.fallback for column in columns] == [None, "accepts_marketing", None]
    # Without such a time, a status says nothing of consent.
    columns = assign(["email", heading], ["a@x.test", "active"], ["b@x.test", "inactive"])
    assert [column.fallback for column in columns] == [None, None]
