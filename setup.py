"""Adds the commit to a build; everything else is in pyproject.toml."""

import os
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithCommit(build_py):
    """Writes the commit that is built to regulars/commit.txt: REGULARS_COMMIT, or that of the git
    checkout. An editable installation asks git when it runs."""

    def run(self) -> None:
        super().run()
        commit = os.environ.get("REGULARS_COMMIT", "") or _commit_of_checkout()
        if commit and not self.editable_mode:
            Path(self.build_lib, "regulars", "commit.txt").write_text(f"{commit}\n")


def _commit_of_checkout() -> str:
    if not Path(".git").exists():
        return ""
    try:
        command = ["git", "rev-parse", "HEAD"]
        return subprocess.run(  # noqa: S603  # git from PATH, without a shell
            command, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


setup(cmdclass={"build_py": BuildWithCommit})
