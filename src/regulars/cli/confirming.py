"""The question before a deletion."""

from __future__ import annotations

import sys

import typer

from regulars.cli.errors import REFUSED, UsageError


def confirm(question: str, yes: bool, noun: str = "customers") -> None:
    """Ask before a deletion. Exits with REFUSED if the answer is no. Raises UsageError without a
    terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"This deletes {noun}. Pass --yes to confirm it in a script.")
    if not typer.confirm(question, err=True):
        print("Nothing was deleted.", file=sys.stderr)
        raise typer.Exit(REFUSED)
