"""`polaris-rxrx login`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli.options import FILE

if TYPE_CHECKING:
    from polaris_rxrx.hub.account import Account


env_file_option = click.option(
    "--env-file",
    type=FILE,
    metavar="FILE",
    help="Take POLARIS_ settings that the environment lacks from this file.",
)


@click.command()
@env_file_option
@click.option("--overwrite", is_flag=True, help="Log in again even if a login is there and works.")
@click.option("--no-browser", is_flag=True, help="Show the page's address, and open no browser.")
def command(env_file: Path | None, overwrite: bool, no_browser: bool) -> None:
    """Log in to the Polaris Hub.

    With POLARIS_USERNAME and POLARIS_PASSWORD set nothing is asked; otherwise a page is opened in your
    browser, which shows a code to paste here. POLARIS_HUB_URL names another Hub. The login is kept in a
    file that only you can read, and goes to no other Hub; a .env file is read only with --env-file.
    """
    from polaris_rxrx.hub.account import login

    asked = _ask if sys.stdin.isatty() and sys.stderr.isatty() else None
    account = login(env_file=env_file, overwrite=overwrite, open_browser=not no_browser, ask=asked)
    click.echo(described(account))


def described(account: Account) -> str:
    """One line: where, who, how and until when."""
    name = "" if account.name is None else f" as {account.name}"
    until = "" if account.expires is None else f", until {account.expires:%Y-%m-%d %H:%M} UTC"
    return f"Logged in to {account.hub}{name} (by {account.how}){until}"


def _ask(text: str) -> str:
    return str(click.prompt(text, err=True))
