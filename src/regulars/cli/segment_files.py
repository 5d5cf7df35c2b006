"""`regulars segments export` and `load`: the definitions of segments as a JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regulars.cli.connection import Connection, with_connection
from regulars.cli.errors import UsageError
from regulars.cli.options import examples
from regulars.cli.output import print_json
from regulars.cli.segments import load_segments
from regulars.cli.values import STDIN, read_text, wants_json
from regulars.core.counts import count_of

if TYPE_CHECKING:
    from regulars.cli.client import Client
    from regulars.segments.definitions import Definitions

app = typer.Typer()

_FIELDS = {"name": str, "description": str, "query": str, "settings": dict, "watched": bool}
_CREATE = "mutation($node: SegmentInput!) { createSegment(node: $node) { id } }"
_UPDATE = """mutation($node: SegmentInput!, $id: ID!) {
  updateSegment(node: $node, id: $id) { id updated_at(format: "ISO") } }"""

Segment = dict[str, Any]


@app.command("segments export", epilog=examples("regulars segments export segments.json"))
@with_connection
def export(
    target: Annotated[
        str, typer.Argument(metavar="FILE", help="The JSON file; - is standard output.")
    ],
    *,
    connection: Connection,
    as_json: bool | None,  # noqa: ARG001  # the file is JSON
) -> None:
    """Export the definitions of all segments to a file.

    Queries name other segments by their names, so that another account can load the file.
    """
    segments = connection.run(_exported)
    text = json.dumps(segments, ensure_ascii=False, indent=2) + "\n"
    if target == STDIN:
        print(text, end="")
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The file {target!r} cannot be written: {error.strerror}.") from None
    print(f"Exported {count_of(len(segments), 'segment')} to {target}.")


async def _exported(client: Client) -> list[Segment]:
    from regulars.segments.expansion import rename

    segments = await load_segments(client)
    definitions = _definitions(segments)

    def name_of(value: str) -> str | None:
        found = definitions.find(value)
        return found.name if found else None

    return [
        {
            "name": segment["name"],
            "description": segment["description"],
            **(
                {"settings": segment["settings"]}
                if any(part["tags"] for part in segment["settings"].values())
                else {"query": rename(segment["query"], name_of)}
            ),
            "watched": segment["watched"],
        }
        for segment in segments
    ]


@app.command("segments load", epilog=examples("regulars segments load segments.json"))
@with_connection
def load(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="A JSON file; - is standard input.")
    ],
    *,
    connection: Connection,
    as_json: bool | None,
) -> None:
    """Create or update segments from a file of `segments export`.

    Segments are matched by name. Others stay as they are. The order in the file does not matter.
    """
    loaded = _parse(read_text(source, "FILE"))
    counts = connection.run(lambda client: _load(client, loaded))
    if wants_json(as_json):
        print_json(counts)
        return
    print(
        f"Created {counts['created']:,}, updated {counts['updated']:,}, unchanged "
        f"{counts['unchanged']:,}."
    )


def _parse(text: str) -> list[Segment]:
    """Return the segments in a file. Raises UsageError."""
    from regulars.segments.definitions import name_key
    from regulars.segments.problems import MAX_SEGMENTS

    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, list) or not all(isinstance(each, dict) for each in parsed):
        raise UsageError("FILE is not a JSON array of segments, as `segments export` writes it.")
    if len(parsed) > MAX_SEGMENTS:
        raise UsageError(f"FILE has {len(parsed):,} segments; the maximum is {MAX_SEGMENTS}.")
    keys = set()
    for index, segment in enumerate(parsed):
        for name, value in segment.items():
            if name not in _FIELDS or not isinstance(value, _FIELDS[name]):
                raise UsageError(
                    f"Segment {index + 1} of FILE has an invalid {name!r}. Supported: "
                    f"{', '.join(_FIELDS)}."
                )
        if "name" not in segment:
            raise UsageError(f"Segment {index + 1} of FILE has no name.")
        key = name_key(segment["name"])
        if key in keys:
            raise UsageError(f"FILE has two segments with the name {segment['name']!r}.")
        keys.add(key)
    return parsed


async def _load(client: Client, loaded: Sequence[Segment]) -> Mapping[str, int]:
    """Write segments, each after those that its query uses."""
    from regulars.cli.client import fetch_data
    from regulars.segments.definitions import name_key

    stored = {name_key(each["name"]): each for each in await load_segments(client)}
    counts = dict.fromkeys(("created", "updated", "unchanged"), 0)
    for segment in _in_order(loaded):
        before = stored.get(name_key(segment["name"]))
        if before is None:
            await fetch_data(client, _CREATE, node=segment)
            counts["created"] += 1
            continue
        data = await fetch_data(client, _UPDATE, node=segment, id=before["id"])
        is_equal = data["updateSegment"]["updated_at"] == before["updated_at"]
        counts["unchanged" if is_equal else "updated"] += 1
    return counts


def _in_order(segments: Sequence[Segment]) -> Iterable[Segment]:
    """Yield segments so that each comes after those of the list that its query names."""
    from regulars.segments.definitions import name_key
    from regulars.segments.expansion import references

    waiting = {name_key(each["name"]): each for each in segments}

    def take(key: str) -> Iterable[Segment]:
        segment = waiting.pop(key, None)
        if segment is not None:
            for reference in references(segment.get("query") or ""):
                yield from take(name_key(reference.value))
            yield segment

    for key in list(waiting):
        yield from take(key)


def _definitions(segments: Sequence[Segment]) -> Definitions:
    from regulars.segments.definitions import Definition, Definitions

    return Definitions(Definition(each["_id"], each["name"], each["query"]) for each in segments)
