"""Tags are renamed and merged by a job, with segments and an undo."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support import Client
from tests.test_jobs import JOB, add, customers, ended, undo
from tests.test_tag_renaming import create_segment, queries, tags_of
from tests.test_tags import counts

pytestmark = pytest.mark.both_databases

WITH_SEGMENTS = f"{JOB} segments {{ id _id name renamed }}"
RENAME = f"""mutation($names: [String!]!, $newName: String!, $segments: Boolean, $dryRun: Boolean) {{
  renameTags(names: $names, newName: $newName, segments: $segments, dryRun: $dryRun) {{ {JOB} }} }}"""


def start(client: Client, *names: str, to: str, **arguments: Any) -> dict[str, Any]:
    job: dict[str, Any] = client.data(RENAME, names=names, newName=to, **arguments)["renameTags"]
    return job


def rename(client: Client, *names: str, to: str, **arguments: Any) -> dict[str, Any]:
    return ended(client, start(client, *names, to=to, **arguments), WITH_SEGMENTS)


def segments_of(client: Client, job: dict[str, Any]) -> dict[str, bool]:
    read = ended(client, job, WITH_SEGMENTS)
    return {each["name"]: each["renamed"] for each in read["segments"]}


def test_a_tag_is_renamed_for_all_customers_and_back(client: Client, other: Client) -> None:
    other.create("other@example.com", tags=["vip"])
    before = [["a", "VIP", "b"], ["vip list"], ["vip", "Víp"], ["vip", "Top"], ["top", "vip"]]
    for index, tags in enumerate(before):
        client.create(f"p{index}@example.com", tags=tags)
    job = rename(client, "vip", to="Top")
    assert (job["kind"], job["name"], job["state"]) == ("bulk", "tags", "done")
    assert (job["total"], job["done"], job["changed"], job["rejected"]) == (4, 4, 4, 0)
    # A customer with both tags has the new one once, in its new spelling.
    assert tags_of(client) == [["a", "Top", "b"], ["vip list"], ["Top"], ["Top"], ["Top"]]
    assert counts(other) == {"vip": 1}
    assert rename(client, "vip", to="Top")["total"] == 0
    undone = undo(client, job)
    assert (undone["state"], undone["changed"]) == ("done", 4)
    assert tags_of(client) == before


def test_several_tags_become_one(client: Client) -> None:
    before = [["v.i.p.", "x", "VIP"], ["v.i.p."], ["VIP"], ["vip", "best"]]
    for index, tags in enumerate(before):
        client.create(f"p{index}@example.com", tags=tags)
    job = rename(client, "V.I.P.", "vip", "best", to="vip")
    assert (job["total"], job["changed"]) == (4, 4)
    assert tags_of(client) == [["vip", "x"], ["vip"], ["vip"], ["vip"]]
    undo(client, job)
    assert tags_of(client) == before


@pytest.mark.parametrize(
    "tag",
    ['say "hi"', "back\\slash", "'x' (y) OR z", "star*", "-minus", "a:b>=c", "a\u200bb", "ß" * 255],
)
def test_each_tag_can_be_renamed(client: Client, tag: str) -> None:
    client.create("ana@example.com", tags=["x", tag])
    client.create("bo@example.com", tags=["x"])
    assert rename(client, tag, to="new")["changed"] == 1
    assert tags_of(client) == [["x", "new"], ["x"]]
    assert rename(client, "new", to=tag)["changed"] == 1
    assert tags_of(client) == [["x", tag], ["x"]]


def test_as_many_tags_as_allowed_become_one(client: Client) -> None:
    names = [f"{'long ' * 49}{index}" for index in range(50)]
    add(client, *({"email": f"p{i}@x.test", "tags": [tag]} for i, tag in enumerate(names)))
    # At the maximum of tags, none is lost.
    full = [f"t{index}" for index in range(249)]
    client.create("full@example.com", tags=[*full, names[0]])
    assert rename(client, *names, to="one")["changed"] == 51
    assert counts(client, query="one") == {"one": 51}
    assert customers(client)[-1]["tags"] == [*full, "one"]


def test_segments_name_the_new_tag_and_the_old_one_after_the_undo(client: Client) -> None:
    add(
        client, *({"email": f"p{i}@x.test", "tags": [("old", "OLD", "x")[i % 3]]} for i in range(9))
    )
    settings = {"include": {"operator": "OR", "tags": ["old", "new tag"]}, "exclude": {"tags": []}}
    create_segment(client, name="A", query='country:FR OR (-tag:"OLD" tag:old*) tag:x')
    create_segment(client, name="B", query='"tag:old" notes:old tag:other')
    create_segment(client, name="C", settings=settings)
    create_segment(client, name="Long", query=" OR ".join(["tag:x"] * 49))
    before = queries(client)
    job = rename(client, "old", "x", to="new tag" + "g" * 100)
    assert (job["changed"], segments_of(client, job)) == (9, {"A": True, "C": True, "Long": False})
    after = queries(client)
    new = f'tag:"new tag{"g" * 100}"'
    assert after["A"] == f"country:FR OR (-{new} tag:old*) {new}"
    assert (after["B"], after["Long"]) == (before["B"], before["Long"])
    assert before["C"] != after["C"]
    undone = undo(client, job)
    assert segments_of(client, undone) == {"A": True, "C": True}
    assert queries(client) == before
    again = undo(client, undone)
    assert segments_of(client, again) == {"A": True, "C": True}
    assert queries(client) == after


def test_an_undo_keeps_segments_that_were_changed_since(client: Client) -> None:
    client.create("ana@example.com", tags=["old"])
    create_segment(client, name="Gone", query="tag:old")
    for name in ("Kept", "Back"):
        create_segment(client, name=name, query="tag:old")
    job = rename(client, "old", to="new")
    ids = {each["name"]: each["id"] for each in job["segments"]}
    update = (
        "mutation($id: ID!, $node: SegmentInput!) { updateSegment(id: $id, node: $node) { id } }"
    )
    client.data(update, id=ids["Kept"], node={"query": "tag:new country:FR"})
    client.data(update, id=ids["Back"], node={"name": "Renamed"})
    client.data("mutation($ids: [ID!]!) { deleteSegments(items: $ids) }", ids=[ids["Gone"]])
    assert segments_of(client, undo(client, job)) == {"Kept": False, "Renamed": True}
    assert queries(client) == {"Kept": "tag:new country:FR", "Renamed": "tag:old"}


def test_segments_can_stay_as_they_are(client: Client) -> None:
    client.create("ana@example.com", tags=["old"])
    create_segment(client, name="S", query="tag:old")
    job = rename(client, "old", to="new", segments=False)
    assert (job["changed"], job["segments"]) == (1, [])
    assert queries(client) == {"S": "tag:old"}


def test_a_dry_run_counts_and_shows_the_first_customers(client: Client) -> None:
    client.create("ana@example.com", tags=["old"])
    create_segment(client, name="S", query="tag:old")
    job = ended(
        client,
        start(client, "old", to="new", dryRun=True),
        f"{WITH_SEGMENTS} preview {{ fields {{ name before after }} }}",
    )
    assert (job["changed"], job["segments"]) == (1, [])
    assert job["preview"] == [
        {"fields": [{"name": "tags", "before": ["old"], "after": ["new"]}]},
    ]
    assert tags_of(client) == [["old"]]
    assert queries(client) == {"S": "tag:old"}


def test_watched_segments_follow_without_entries(client: Client) -> None:
    client.create("ana@example.com", tags=["old"])
    id_ = create_segment(client, name="W", query="tag:old", watched=True)
    members = "query($id: ID!) { node(id: $id) { ... on Segment { query statistics } } }"
    job = rename(client, "old", to="new")
    assert client.data(members, id=id_)["node"] == {"query": "tag:new", "statistics": 1}
    undo(client, job)
    assert client.data(members, id=id_)["node"] == {"query": "tag:old", "statistics": 1}


def test_customers_in_the_trash_keep_their_tags(client: Client) -> None:
    ids = add(client, *({"email": f"p{i}@x.test", "tags": ["old"]} for i in range(2)))
    delete = "mutation($ids: [ID!]!) { deleteCustomers(items: $ids) }"
    client.data(delete, ids=ids[:1])
    assert rename(client, "old", to="new")["changed"] == 1
    client.data(
        "mutation($ids: [ID!]!) { restoreCustomers(items: $ids) { customers { id } } }", ids=ids[:1]
    )
    assert tags_of(client) == [["old"], ["new"]]


def test_two_jobs_rename_one_tag(client: Client) -> None:
    """Each customer gets the tag of one job, and segments that of the first."""
    add(client, *({"email": f"p{i}@x.test", "tags": ["old"]} for i in range(40)))
    create_segment(client, name="S", query="tag:old")
    with ThreadPoolExecutor(2) as pool:
        jobs = list(pool.map(lambda new: rename(client, "old", to=new), ("one", "two")))
    assert [job["state"] for job in jobs] == ["done", "done"]
    found = counts(client)
    assert (sum(found.values()), found.get("old")) == (40, None)
    assert queries(client)["S"] in ("tag:one", "tag:two")
    for job in jobs:
        if job["can_undo"]:
            undo(client, job)
    assert counts(client) == {"old": 40}


@pytest.mark.parametrize(
    ("names", "new_name", "path"),
    [
        ([], "new", ["names"]),
        (["x"] * 51, "new", ["names"]),
        (["old", " "], "new", ["names"]),
        (["old", "\u200b"], "new", ["names"]),
        (["old", "a" * 256], "new", ["names", 0]),
        (["old"], "", ["newName"]),
        (["old"], "a" * 256, ["newName", 0]),
    ],
)
def test_invalid_arguments_are_refused(
    client: Client, names: list[str], new_name: str, path: list[str | int]
) -> None:
    client.create("ana@example.com", tags=["old"])
    (error, *_) = client.errors(RENAME, names=names, newName=new_name)
    assert error["extensions"]["key"] == "errors_invalid_input"
    assert error["extensions"]["input_path"] == path
    assert tags_of(client) == [["old"]]
