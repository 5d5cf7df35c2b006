"""The fields of a customer in the commands: their options, their input, and their selection."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from regulars.cli.contact_lists import add_option
from regulars.cli.errors import UsageError
from regulars.cli.output import print_json
from regulars.cli.values import print_record, read_json_object, wants_json
from regulars.core.fields import (
    Address,
    Addresses,
    ContactPoints,
    ExternalIds,
    Flag,
    Json,
    Tags,
    names_of,
)
from regulars.customers.addresses import PARTS
from regulars.customers.contact_points import KINDS
from regulars.customers.fields import FIELDS, WRITABLE

_ADDRESS = f"{{ {' '.join(PARTS)} toString }}"
_ENTRY = f"{{ id label default_shipping default_billing address {_ADDRESS} }}"
OBJECT_FIELDS = {"shipping_address": _ADDRESS, "billing_address": _ADDRESS}
_SELECTIONS = {
    **OBJECT_FIELDS,
    **dict.fromkeys(names_of(FIELDS, Addresses), _ENTRY),
    **dict.fromkeys(names_of(FIELDS, ExternalIds), "{ source id }"),
    "emails": '{ id email label default verified_at(format: "ISO") }',
    "phones": "{ id phone label default e164 country valid }",
}
_TIMES = {"created_at", "updated_at"}


def select_customer() -> str:
    """Return the GraphQL selection of every field of a customer, with times in ISO format."""
    names = ["id", "_id"]
    for field in FIELDS:
        if not field.in_api:
            continue
        time_format = '(format: "ISO")' if field.name in _TIMES else ""
        names.append(f"{field.name}{time_format} {_SELECTIONS.get(field.name, '')}")
    return " ".join([*names, "summary { visits }"])


def with_field_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each field that a client can write, and --input."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter(field.name, keyword, default=default, annotation=annotation)
        for field in WRITABLE
        if (annotated := _option_of(field)) is not None
        for annotation, default in [annotated]
    ]
    source = Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="JSON",
            help="All fields as a JSON object, addresses included; @FILE reads a file and - "
            "standard input. The other options take precedence.",
        ),
    ]
    added.append(inspect.Parameter("source", keyword, default=None, annotation=source))
    added += [
        inspect.Parameter(f"add_{kind.name}", keyword, default=None, annotation=add_option(kind))
        for kind in KINDS.values()
    ]
    own = inspect.signature(command, eval_str=True).parameters.values()
    kept = [parameter for parameter in own if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    command.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]  # PEP 362
    return command


def _option_of(field: Any) -> tuple[Any, Any] | None:
    """Return the type of a field's option and its default; None for a field that only --input
    sets."""
    flag = "--" + field.name.replace("_", "-")
    label = field.name.replace("_", " ")
    if isinstance(field, Address | Addresses | ContactPoints):
        return None
    if isinstance(field, Flag):
        option = typer.Option(f"{flag}/--no-{flag[2:]}", help=f"Whether the customer {label}.")
        return Annotated[bool | None, option], None
    if isinstance(field, Tags):
        option = typer.Option(
            f"--{field.key}",
            metavar="TEXT",
            help="A tag; repeat it for several. Replaces all tags.",
        )
        return Annotated[list[str] | None, option], None
    if isinstance(field, ExternalIds):
        option = typer.Option(
            "--external-id",
            metavar="SOURCE:ID",
            help="An id in another system; repeat it for several. Replaces all external ids.",
        )
        return Annotated[list[str] | None, option], None
    if isinstance(field, Json):
        option = typer.Option(
            flag, metavar="KEY=TEXT", help="A custom field; repeat it for several."
        )
        return Annotated[list[str] | None, option], None
    return Annotated[
        str | None, typer.Option(flag, metavar="TEXT", help=f"The customer's {label}.")
    ], None


def input_node(values: Mapping[str, Any], source: str | None) -> dict[str, Any]:
    """Return the input object of a mutation: --input, with the values of the options. Raises
    UsageError."""
    node = read_json_object(source, "--input") if source is not None else {}
    for field in WRITABLE:
        value = values.get(field.name)
        if value is None or value == []:
            continue
        if isinstance(field, Json):
            pairs = [item.partition("=") for item in value]
            if any(not key or not sign for key, sign, _ in pairs):
                raise UsageError(f"--{field.name} takes KEY=TEXT, as in --{field.name} size=M.")
            value = {**node.get(field.name, {}), **{key: text for key, _, text in pairs}}
        if isinstance(field, ExternalIds):
            value = list(map(external_id, value))
        node[field.name] = value
    return node


# The argument of a mutation that saves nothing. Others do not send it: older servers lack it.
DRY_RUN = ", dryRun: true"


def print_dry_run(dry_run: bool) -> None:
    """Say that a dry run saved nothing."""
    if dry_run:
        print("Dry run: nothing was saved.", file=sys.stderr)


def print_customer(
    customer: Mapping[str, Any], as_json: bool | None, dry_run: bool = False
) -> None:
    """Print a customer as it is, or would be in a dry run."""
    print_dry_run(dry_run)
    if wants_json(as_json):
        print_json(customer)
        return
    shown = {
        **customer,
        **{
            name: address and address["toString"]
            for name, address in customer.items()
            if name in OBJECT_FIELDS
        },
        **{
            kind.name: ", ".join(
                f"{entry['label']} <{entry[kind.noun]}>" if entry["label"] else entry[kind.noun]
                for entry in customer[kind.name]
            )
            for kind in KINDS.values()
        },
        "addresses": "; ".join(map(_entry_text, customer["addresses"])),
        "external_ids": ", ".join(f"{e['source']}:{e['id']}" for e in customer["external_ids"]),
        "summary": None,
        "visits": customer["summary"]["visits"],
        "avatar": None,
        "id": None,
    }
    print_record({"_id": shown.pop("_id"), **shown, "global_id": customer["id"]})


def _entry_text(entry: Mapping[str, Any]) -> str:
    """Return an entry of the address book on one line."""
    address = entry["address"]["toString"]
    return f"{entry['label']}: {address}" if entry["label"] else str(address)


def external_id(text: str) -> dict[str, str]:
    """Return the input of an external id that is written as SOURCE:ID. Raises UsageError."""
    source, colon, id_ = text.partition(":")
    if not colon:
        raise UsageError(
            f"An external id is written SOURCE:ID, as in stripe:cus_1, not {text[:100]!r}."
        )
    return {"source": source, "id": id_}
