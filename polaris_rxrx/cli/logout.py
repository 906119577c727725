"""`polaris-rxrx logout`."""

from __future__ import annotations

import os

import click

from polaris_rxrx.cli.options import note


@click.command()
@click.option("--all", "every", is_flag=True, help="Forget the logins at every Hub, not at this one alone.")
def command(every: bool) -> None:
    """Forget the login.

    The login at the Hub of POLARIS_HUB_URL is removed from this computer.
    """
    from polaris_rxrx.hub.account import VARIABLES, hub_address, logout

    where = None if every else hub_address()
    if logout(every=every):
        click.echo(f"Logged out of {where or 'every Hub'}")
    else:
        click.echo(f"There was no login at {where or 'any Hub'}")
    if os.environ.get("POLARIS_USERNAME") and os.environ.get("POLARIS_PASSWORD"):
        note(f"{VARIABLES} are still set: the next command that needs a login will get one with them.")
