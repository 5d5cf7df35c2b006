"""The source distribution and the metadata of the package."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from regulars import __version__

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of the files that git knows, built in an empty folder."""
    if not (ROOT / ".git").exists():
        pytest.skip("This is no git repository.")
    folder = tmp_path_factory.mktemp("source")
    tracked = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], input=tracked.stdout, cwd=folder, check=True)
    code = "from setuptools.build_meta import build_sdist; build_sdist('dist')"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
    (path,) = (folder / "dist").iterdir()
    return path


def read_members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as file:
        return {
            member.name.partition("/")[2]: content.read()
            for member in file
            if (content := file.extractfile(member))
        }


def read_metadata(archive: Path) -> Message:
    return Parser().parsestr(read_members(archive)["PKG-INFO"].decode())


@pytest.mark.slow
def test_a_source_distribution_is_complete(archive: Path) -> None:
    members = read_members(archive)
    listing = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "-z", "HEAD"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    )  # fmt: skip
    tracked = {name for name in listing.stdout.split("\0") if name}
    assert tracked - members.keys() == set()
    assert members["src/regulars/py.typed"] == b""


@pytest.mark.slow
def test_the_long_description_has_no_relative_links(archive: Path) -> None:
    metadata = read_metadata(archive)
    assert metadata["Description-Content-Type"] == "text/markdown"
    description = metadata.get_payload()
    assert isinstance(description, str)
    assert "self-hosted customer directory" in description
    links = re.findall(r"\]\(([^)]*)\)", description)
    assert [link for link in links if not link.startswith("https://")] == []


@pytest.mark.slow
def test_the_metadata_names_the_authors_and_the_python_versions(archive: Path) -> None:
    metadata = read_metadata(archive)
    assert metadata["Author"] == "The Regulars authors"
    assert metadata["Version"] == __version__
    assert metadata["License"] is None
    classifiers = metadata.get_all("Classifier") or []
    assert "Programming Language :: Python :: 3.11" in classifiers
    assert "Typing :: Typed" in classifiers
