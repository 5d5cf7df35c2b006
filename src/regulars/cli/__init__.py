"""The command `regulars`."""

from regulars.cli.main import app, main

__all__ = ["app", "main"]
