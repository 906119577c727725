"""The reference of the command line, from the commands themselves.

Conventions: a section a command, in the order of `polaris_rxrx.cli.COMMANDS`, subcommands below theirs; a
link is `cli.md#dataset-check`. What `--help` says is said: usage, description, options with their help and
defaults, and what stands at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from built.docstrings import escaped
from polaris_rxrx.cli import COMMANDS, cli

_WIDE = 92  # columns of a usage line


def page(_: Path, words: str = "") -> str:
    """The whole reference, without a title."""
    return "\n\n".join(_of_all())


def _of_all() -> Iterator[str]:
    sizes = {**cli.context_settings, "terminal_width": _WIDE, "max_content_width": _WIDE}
    root = click.Context(cli, info_name="polaris-rxrx", **sizes)
    yield _options(cli, root, "These stand before a command, or alone.")
    for name, line in COMMANDS.items():
        command = cli.get_command(root, name)
        assert command is not None
        yield from _of_one(command, name, root, 2, line)


def _of_one(command: click.Command, name: str, parent: click.Context, level: int, line: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    path = context.command_path.removeprefix("polaris-rxrx ")
    yield f"{'#' * level} {path}"
    usage = command.get_usage(context).removeprefix("Usage: ")
    yield f"```text\n{usage}\n```"
    yield description(command.help or line)
    yield _options(command, context, "")
    if command.epilog:
        yield description(command.epilog)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from _of_one(found, below, context, level + 1, found.get_short_help_str(200))


def description(help_text: str) -> str:
    """Paragraphs; those that click is told to leave alone (a line `\\b` before them) stay as they are."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", help_text.partition("\f")[0].strip()):
        if paragraph.startswith("\b"):
            paragraphs.append("\n".join(["```text", paragraph.lstrip("\b\n"), "```"]))
        else:
            paragraphs.append(escaped(" ".join(paragraph.split())))
    return "\n\n".join(paragraphs)


def _options(command: click.Command, context: click.Context, head: str) -> str:
    records = [r for r in (p.get_help_record(context) for p in command.get_params(context)) if r is not None]
    told = [f"`{names}`\n: {escaped(' '.join(text.split()))}" for names, text in records if text.strip()]
    return "\n\n".join([*([head] if head else []), *told])
