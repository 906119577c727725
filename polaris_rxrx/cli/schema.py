"""`polaris-rxrx schema [NAME]`."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from polaris_rxrx.errors import UsageError


class SchemaName(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """The name of a schema."""

    name = "schema"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from polaris_rxrx.schemas import type_of

        try:
            type_of(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from polaris_rxrx.schemas import names

        return [CompletionItem(n, help=told) for n, told in names().items() if n.startswith(incomplete)]


@click.command(
    epilog="For an editor that checks and completes TOML: `polaris-rxrx schema submission-card > "
    "card.schema.json`, and `#:schema ./card.schema.json` as the first line of submission.toml."
)
@click.argument("name", type=SchemaName(), required=False)
def command(name: str | None) -> None:
    """Print the JSON schema of a card, of a file, or of what a command's --json prints.

    Without NAME, list the schemas that there are.
    """
    from polaris_rxrx.present.terminal import json_text, labelled
    from polaris_rxrx.schemas import names, schema_of

    click.echo("\n".join(labelled(list(names().items()))) if name is None else json_text(schema_of(name)))
