"""The fields of a customer, in the order of its type in the schema.

A new field is one line here and a migration: see "Add a field" in docs/explanation/architecture.md.
"""

from __future__ import annotations

from dataclasses import fields as options_of
from typing import Any

from regulars.core.fields import (
    Address,
    Addresses,
    Avatar,
    Count,
    Email,
    Emails,
    ExternalIds,
    Field,
    Flag,
    FullName,
    Json,
    Location,
    LongText,
    Money,
    OptionalTimestamp,
    Phone,
    Phones,
    Tags,
    Text,
    Timestamp,
)

FIELDS: tuple[Field, ...] = (
    Timestamp(
        "created_at",
        description="When the customer was created.",
        sort=True,
        search=True,
        in_history=False,
        in_list=False,
        headings="created_at created created_utc sign_up date_registered user_registered "
        "registered optin_time date_created",
    ),
    Timestamp(
        "updated_at",
        description="When the customer last changed. A write that changes nothing does not "
        "change it.",
        sort=True,
        search=True,
        in_history=False,
        headings="updated_at last_changed",
    ),
    Email(
        "email",
        description="Email address. Unique in the account, compared case-insensitively. Returned "
        "as sent, with the domain in lower case. Empty for a customer without one; see the setting "
        "`identify_by` of the account.",
        sort=True,
        search=True,
        headings="email email_address e_mail e_mail_address customer_email mail user_email",
    ),
    Phone(
        "phone",
        description="Phone number as entered. Empty if unknown.",
        search=True,
        in_list=False,
        headings="phone phone_number telephone mobile tel",
    ),
    Text(
        "first_name",
        description="First name. Empty if unknown.",
        sort=True,
        search=True,
        headings="first_name firstname given_name fname first",
    ),
    Text(
        "last_name",
        description="Last name. Empty if unknown.",
        sort=True,
        search=True,
        headings="last_name lastname surname family_name lname last",
    ),
    FullName(
        "full_name",
        sources=("first_name", "last_name"),
        sort=True,
        search=True,
        description="First name and last name, separated by one space. No space at either end.",
    ),
    Location(
        "location",
        sources=("shipping_address", "billing_address"),
        description="`country, city` of the shipping address, or of the billing address if the "
        "shipping address has neither. Unknown parts are omitted. Empty if both are unknown.",
    ),
    Avatar(
        "avatar",
        sources=("email",),
        description="`//www.gravatar.com/avatar/` and the MD5 hash of the trimmed, lower-case "
        "email.",
    ),
    Flag(
        "accepts_marketing",
        description="Whether the customer accepts marketing. False without an email.",
        search=True,
        in_list=False,
        headings="accepts_marketing accepts_email_marketing marketing_opt_in subscribed",
    ),
    LongText(
        "notes",
        description="Notes about the customer. Null if there are none.",
        search=True,
        headings="notes note description customer_note",
    ),
    Address(
        "shipping_address",
        description="Shipping address. Null if there is none.",
        search=True,
    ),
    Address(
        "billing_address",
        description="Billing address. Null if there is none.",
        search=True,
    ),
    Money(
        "expenses",
        sort=True,
        search=True,
        synonyms="total_spent",
        description="The total that the customer has paid, minus refunds.",
    ),
    Count(
        "orders_count",
        description="Number of orders that are neither cancelled nor tests.",
        sort=True,
        search=True,
    ),
    OptionalTimestamp(
        "last_order_at", sort=True, search=True, in_api=False, in_history=False, in_list=False
    ),
    Count("visits", in_api=False),
    Json("custom", description="Custom fields. Null until they are set.", search=True),
    Tags(
        "tags",
        description="Tags in the order in which they were set. Empty if there are none.",
        search=True,
        headings="tags tag",
    ),
    Count(
        "version",
        start=1,
        in_history=False,
        in_list=False,
        description="Number of changes of the customer, starting at 1. Pass it as `ifVersion` to "
        "update only the version that you have read.",
    ),
    ExternalIds(
        "external_ids",
        description="Ids of the customer in other systems. Ordered by source, then in the order in "
        "which they were added.",
        search=True,
        in_list=False,
    ),
    Emails(
        "emails",
        default="email",
        description="Email addresses of the customer: the default first, then in the order of the "
        "list. The default is `email`.",
        search=True,
        in_list=False,
    ),
    Phones(
        "phones",
        default="phone",
        description="Phone numbers of the customer: the default first, then in the order of the "
        "list. The default is `phone`.",
        search=True,
        in_list=False,
    ),
    Addresses(
        "addresses",
        description="Address book: the default shipping address, the default billing address, then "
        "the order of the list. Equal addresses are one entry.",
        search=True,
        in_list=False,
    ),
)

STORED = tuple(field for field in FIELDS if field.is_stored)
WRITABLE = tuple(field for field in FIELDS if field.is_writable)


def described() -> list[dict[str, Any]]:
    """Return the declarations as JSON values: for each field its `kind`, `is_writable`, and its
    options. The pages make their columns, forms and formats from it."""
    return [
        {
            "kind": type(field).__name__,
            "is_writable": field.is_writable,
            **{
                option.name: list(value) if isinstance(value, tuple) else value
                for option in options_of(field)
                if option.name != "headings" and (value := getattr(field, option.name)) is not None
            },
        }
        for field in FIELDS
    ]
