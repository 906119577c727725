"""`polaris-rxrx whoami`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from polaris_rxrx.cli.login import described, env_file_option


@click.command()
@env_file_option
@click.option("--offline", is_flag=True, help="Look only at what is kept here, and do not ask the Hub.")
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON, and nothing else.")
def command(env_file: Path | None, offline: bool, as_json: bool) -> None:
    """Say who is logged in.

    The exit code is 1 if nobody is.
    """
    from polaris_rxrx.errors import MissingError
    from polaris_rxrx.hub.account import as_document, hub_address, whoami

    account = whoami(env_file=env_file, check=not offline)
    hub = hub_address(env_file) if account is None else account.hub
    if as_json:
        click.echo(json.dumps(as_document(account, hub), indent=2))
    elif account is not None:
        click.echo(described(account))
    if account is None:
        again = ["--env-file", str(env_file)] if env_file else []
        raise MissingError(f"{hub}: not logged in", command=["login", *again])
