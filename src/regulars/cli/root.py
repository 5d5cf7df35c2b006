"""The command `regulars`: finds a command by its name, and turns errors into exit codes."""

from __future__ import annotations

import difflib
import errno
import functools
import importlib
import os
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from typer._click.exceptions import NoArgsIsHelpError
from typer.core import TyperGroup
from typer.main import get_group

from regulars.cli.errors import INTERRUPTED, REFUSED, USAGE, error_message, exit_code
from regulars.cli.groups import ENTRIES, GROUPS, CommandEntry
from regulars.cli.parameters import adapt_parameters

# Of a full disk, a closed pipe or a file that grows too large.
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)
_BY_NAME = {entry.name: entry for entry in ENTRIES}


class CommandGroup(TyperGroup):
    """A group of commands that imports the module of a command when the command is used. `prefix`
    is the first word of their names."""

    def __init__(self, *, prefix: str = "", **details: Any) -> None:
        super().__init__(**details)
        self._prefix = prefix
        adapt_parameters(self)

    def _entries(self) -> Iterable[tuple[str, CommandEntry]]:
        """Returns the visible commands by the last word of their names."""
        for entry in ENTRIES:
            prefix, _, name = entry.name.rpartition(" ")
            if prefix == self._prefix and not entry.is_hidden:
                yield name, entry

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # of the base
        return [name for name, _ in self._entries()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # of the base
        entry = _BY_NAME.get(f"{self._prefix} {cmd_name}".strip())
        return load(entry) if entry else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        is_known = name.startswith("-") or f"{self._prefix} {name}".strip() in _BY_NAME
        if is_known or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        names = [own for own, _ in self._entries()]
        if not self._prefix:
            names += [entry.name for entry in ENTRIES if " " in entry.name and not entry.is_hidden]
        return ctx.fail(f"No such command {name!r}.{did_you_mean(name, names)}")

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # of the base
        for group in GROUPS:
            rows = [
                (name, entry.summary) for name, entry in self._entries() if entry.group == group
            ]
            if rows:
                with formatter.section("Commands" if self._prefix else group):
                    formatter.write_dl(rows)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Returns the commands and options that begin with a text, without importing commands."""
        from typer._click.shell_completion import CompletionItem  # it has no public name

        commands = [
            CompletionItem(name, help=entry.summary)
            for name, entry in self._entries()
            if name.startswith(incomplete)
        ]
        return [*commands, *super(TyperGroup, self).shell_complete(ctx, incomplete)]


@functools.cache
def load(entry: CommandEntry) -> Any:
    """Returns the command of an entry, or the group."""
    if not entry.module:
        return CommandGroup(
            name=entry.name,
            prefix=entry.name,
            help=entry.summary,
            no_args_is_help=True,
            rich_markup_mode=None,
        )
    module, _, attribute = entry.module.partition(":")
    registered = getattr(importlib.import_module(f"regulars.cli.{module}"), attribute or "app")
    registered.rich_markup_mode = None
    commands = get_group(registered).commands
    name = entry.name.rpartition(" ")[2]
    command: Any = commands[entry.name] if entry.name in commands else commands[name]
    command.name = name
    adapt_parameters(command)
    return command


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Returns a question with the closest of some words, or an empty string."""
    closest = difflib.get_close_matches(word, list(candidates), 1)
    return f" Did you mean {closest[0]!r}?" if closest else ""


def _print_version(is_on: bool) -> None:
    if is_on:
        from regulars.cli.about import print_version

        print_version()
        raise typer.Exit


app = typer.Typer(
    name="regulars",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)


@app.callback(
    epilog="\b\nExamples:\n"
    "  regulars serve\n"
    "  regulars help token create\n"
    "  regulars import customers.csv --dry-run"
)
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            is_eager=True,
            callback=_print_version,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """A self-hosted customer directory behind a GraphQL API.

    Settings are options of the commands, or environment variables such as REGULARS_DATABASE_URL.
    """


def run() -> int:
    """Runs the command of `sys.argv` and returns its exit code. An expected error becomes a message
    on standard error. Raises KeyboardInterrupt on Ctrl-C."""
    try:
        code = app(standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except typer.Abort as error:  # of a prompt
        if isinstance(error.__context__, EOFError):
            _print_error("The command needs an answer, but the input has ended.")
            return USAGE
        raise KeyboardInterrupt from None
    except Exception as error:
        if hasattr(error, "format_message"):  # of the parser of the command line
            return _show_parser_error(error)
        if isinstance(error, OSError) and error.errno in _OUTPUT_ERRORS and not error.filename:
            return _stop_output(error)
        expected = exit_code(error)
        if expected is None:
            raise
        _print_error(error_message(error))
        return expected
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _stop_output(error: OSError) -> int:
    """Reports that standard output cannot be written, unless its reader has ended, and discards
    the rest of the output."""
    if sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno != errno.EPIPE:
        _print_error(f"The output cannot be written: {error.strerror}.")
    return REFUSED


def _show_parser_error(error: Any) -> int:
    """Prints the usage of the command, and what is wrong. A group without a command shows its
    help."""
    if isinstance(error, NoArgsIsHelpError):
        error.show()
        return int(error.exit_code)
    hint = ""
    possibilities = getattr(error, "possibilities", None)
    if possibilities:
        error.possibilities = None
        hint = did_you_mean(error.option_name, possibilities)
    context = getattr(error, "ctx", None)
    if context is not None:
        print(context.get_usage(), file=sys.stderr)
        print(f"Run `{context.command_path} --help` for help.\n", file=sys.stderr)
    message = error.format_message()
    _print_error(f"{message if message[-1] in '.?' else f'{message}.'}{hint}")
    return int(error.exit_code)


def _print_error(message: str) -> None:
    print(f"regulars: {message}", file=sys.stderr)
