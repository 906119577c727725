"""`polaris-rxrx fetch`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from polaris_rxrx.cli._datasets import DEFAULT as CORE
from polaris_rxrx.cli._datasets import ScreenName
from polaris_rxrx.cli._downloads import asking, bars
from polaris_rxrx.cli.options import data_option, note, wide_option
from polaris_rxrx.dataset.registry import DEFAULT, KNOWN, FileStatus, status
from polaris_rxrx.documents import Fields
from polaris_rxrx.errors import UsageError

_COLUMNS = ("what", "file", "where", "size", "source", "licence")


@click.command(
    epilog=f"WHAT is any of {', '.join(KNOWN)}; by default {', '.join(DEFAULT)}. "
    "HF_ENDPOINT, POLARIS_RXRX_GITHUB_RAW and, for --profiles, AWS_ENDPOINT_URL_S3 name mirrors."
)
@click.argument("what", nargs=-1, metavar="[WHAT]...", type=click.Choice(list(KNOWN)))
@click.option(
    "--dataset",
    type=ScreenName(),
    metavar="NAME|FILE.toml",
    help="Fetch the tables of wells of this dataset card instead; their sizes and licence are shown first.",
)
@click.option(
    "--profiles",
    is_flag=True,
    help="With --dataset: also copy its features, a file a plate, from its bucket.",
)
@data_option
@click.option("--accept-licence", is_flag=True, help="Accept RxRx3-core's licence without being asked.")
@click.option("--force", is_flag=True, help="Fetch again what is already there.")
@click.option("--list", "show", is_flag=True, help="Say which files are where, and fetch nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the list of what was asked for as JSON.")
@wide_option
def command(
    what: tuple[str, ...],
    dataset: str | None,
    profiles: bool,
    data: Path,
    accept_licence: bool,
    force: bool,
    show: bool,
    as_json: bool,
) -> None:
    """Download RxRx3-core's tables and embeddings.

    A file that is already there is not fetched again, an interrupted one is continued, and each is checked
    before it takes its place. RxRx3-core's licence is shown and has to be accepted first.
    """
    if show and (force or accept_licence):
        raise UsageError("--list fetches nothing, so --force and --accept-licence have no meaning with it")
    if profiles and dataset in (None, CORE):
        raise UsageError(
            "--profiles belongs to a --dataset other than rxrx3-core, which has one table a model"
        )
    if dataset is not None and dataset != CORE:
        if what or show or as_json:
            raise UsageError(
                "--dataset names all that is fetched: WHAT, --list and --json mean nothing with it"
            )
        _fetch_screen(dataset, data, force, profiles)
        return
    if dataset is not None:
        what = (*what, "metadata")
    if not show:
        places = _fetch(what or DEFAULT, data, accept_licence, force)
        if not as_json:
            for place in places:
                click.echo(str(place))
    chosen = what or (tuple(KNOWN) if show else DEFAULT)
    if show or as_json:
        rows = [row for row in status(data) if row["what"] in chosen]
        click.echo(json.dumps(rows, indent=2) if as_json else _table(rows))


def _fetch(what: Sequence[str], data: Path, accept_licence: bool, force: bool) -> list[Path]:
    from polaris_rxrx.dataset.download import fetch

    with bars() as progress:
        return fetch(what, data, ask=asking(accept_licence), force=force, say=note, progress=progress)


def _fetch_screen(dataset: str, data: Path, force: bool, profiles: bool) -> None:
    from polaris_rxrx.dataset.download import fetch_screen
    from polaris_rxrx.dataset.screens import load_screen

    screen = load_screen(dataset)
    with bars() as progress:
        places = fetch_screen(screen, data, force=force, say=note, progress=progress)
        if profiles:
            from polaris_rxrx.dataset.profiles import fetch_profiles, public_bucket
            from polaris_rxrx.wells.check import profile_paths
            from polaris_rxrx.wells.screen import read_screen

            if screen.profiles is None:
                raise UsageError(f"the card {screen.name} has no profiles")
            paths = profile_paths(screen, read_screen(screen, data))
            source = public_bucket(screen.profiles)
            places += fetch_profiles(source, paths, data, say=note, progress=progress)
    for place in places:
        click.echo(str(place))


def _table(rows: Sequence[Fields[FileStatus]]) -> str:
    from polaris_rxrx.dataset.download import human
    from polaris_rxrx.present.terminal import table

    def cells(row: Fields[FileStatus]) -> tuple[str, ...]:
        where = row["path"] or "not fetched"
        where += f" ({row['problem']}; fetch it again with --force)" if row["problem"] else ""
        size = human(row["bytes"] or 0) if row["path"] else human(row["about_bytes"])
        size = size if row["path"] or row["expected_bytes"] else f"about {size}"
        return row["what"], row["file"] or "(found when fetched)", where, size, row["source"], row["licence"]

    return "\n".join(table(_COLUMNS, map(cells, rows), left=len(_COLUMNS), names=1))
