"""`polaris-rxrx completion SHELL`."""

from __future__ import annotations

import click


@click.command(epilog='For bash: eval "$(polaris-rxrx completion bash)" in ~/.bashrc.')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that completes commands and options in SHELL."""
    from click.shell_completion import get_completion_class

    from polaris_rxrx.cli import cli

    completer = get_completion_class(shell)
    if completer is None:
        raise click.UsageError(f"no completion for {shell}")
    script = completer(cli, {}, "polaris-rxrx", "_POLARIS_RXRX_COMPLETE").source()
    click.echo(script)
