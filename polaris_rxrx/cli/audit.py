"""`polaris-rxrx audit PREDS`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from polaris_rxrx.cli import options
from polaris_rxrx.cli.options import FILE, Bar, note
from polaris_rxrx.errors import DataError, MissingError

if TYPE_CHECKING:
    from polaris_rxrx.audit.result import Audit, AuditFigures
    from polaris_rxrx.audit.shortcuts import Needs


@click.command(no_args_is_help=True)
@click.argument("preds", type=FILE)
@options.task_option
@options.data_option
@click.option(
    "--map",
    "map_path",
    type=FILE,
    metavar="FILE",
    help="A saved map: audit against the norms of its rows, too.",
)
@click.option(
    "--nuclei",
    type=FILE,
    metavar="FILE",
    help="A table of well_id and a nuclei count per well (CSV or parquet).",
)
@click.option(
    "--smiles", type=FILE, metavar="FILE", help="A table of treatment and SMILES, instead of the metadata's."
)
@click.option("--strict", is_flag=True, help="Exit with 1 if a check fails.")
@click.option("--json", "as_json", is_flag=True, help="Print the audit as JSON and nothing else.")
@options.resampling_options(clusters=False)
@options.fill_option
@options.wide_option
@click.pass_context
def command(
    ctx: click.Context,
    preds: Path,
    task: Path,
    data: Path,
    map_path: Path | None,
    nuclei: Path | None,
    smiles: Path | None,
    strict: bool,
    as_json: bool,
    resampling: dict[str, Any],
    fill: float | None,
) -> None:
    """Tell whether a submission's score comes from biology, from a shortcut, or from leaked labels.

    PREDS is a predictions file as for `score`. Shortcuts (popular genes, numbers of wells, places on the
    plate, strength of a phenotype, nuclei counts, ...) are scored as submissions are; those that need the
    metadata are left out, and named, where the default data folder has none.
    """
    from polaris_rxrx.audit import audit
    from polaris_rxrx.audit.structures import read_table_of_smiles
    from polaris_rxrx.cli._inputs import read_given, read_map
    from polaris_rxrx.present.terminal import json_text
    from polaris_rxrx.suites.inputs import MADE_UP
    from polaris_rxrx.task import load_task

    given = ctx.get_parameter_source("data") is ParameterSource.COMMANDLINE
    loaded = load_task(task)
    predictions = read_given(preds, loaded, task, fill=fill)
    metadata, absent = _metadata(data, given=given, needed=nuclei is not None)
    source = None if map_path is None else read_map(map_path)
    if source is not None and source.made_up:
        note(MADE_UP)
    structures = None if smiles is None else read_table_of_smiles(smiles)
    with Bar("audit") as bar:
        found = audit(
            loaded,
            predictions,
            metadata=metadata,
            map_=None if source is None else source.map_,
            nuclei=nuclei,
            structures=structures,
            absent=absent,
            # Metadata that nobody asked for and that is broken is as good as none.
            spare_metadata=not given and nuclei is None,
            **resampling,
            progress=bar.step,
        )
    click.echo(json_text(found.to_dict()) if as_json else as_text(found))
    if strict and found.failed:
        raise DataError(
            f"{preds}: {len(found.failed)} of {len(found.checks)} checks FAILED: "
            f"{', '.join(c.name for c in found.failed)}"
        )


def _metadata(data: Path, *, given: bool, needed: bool) -> tuple[Path | None, dict[Needs, str]]:
    """The metadata, or why there is none; where it was asked for, that is an error."""
    from polaris_rxrx.dataset.registry import locate

    try:
        return locate("metadata", data), {"map": "no --map given"}
    except MissingError as error:
        if given:
            raise
        if needed:
            raise MissingError(f"--nuclei needs the wells: {error}", error.command) from None
        words = f"{error}; --data DIR names another folder"
        return None, {"metadata": words, "map": "no --map given"}


def as_text(found: Audit) -> str:
    """An audit for reading."""
    from polaris_rxrx.present.numbers import number, percent
    from polaris_rxrx.present.terminal import cut, labelled, notes, table, wrapped

    header = ["", "AP", f"{percent(found.level)} interval", "AUROC", "ahead by", "p"]
    header += ["pooled AP", "pooled AUROC", "rank correlation", "explained"]
    rows = [_row("this submission", found.figures, ["", ""], ["", ""])]
    for result in found.shortcuts:
        ahead = [number(result.difference, "+.4f"), number(result.p_value)]
        alike = [number(result.correlation, "+.2f"), number(result.explained, ".0%")]
        rows.append(_row(result.shortcut.kind.title, result.figures, ahead, alike))
    kinds = [result.shortcut.kind for result in found.shortcuts]
    chance = f"Chance (random scores): AP {found.chance:.4f}, AUROC 0.5. Shortcuts, by what they know:"
    lines = [
        *wrapped(f"{found.score.predictions.source} on {found.score.task.name}"),
        "",
        *table(header, rows),
        "",
        *wrapped(chance),
        *labelled([(kind.title, f"{kind.knows}; {kind.direction}") for kind in kinds], indent=2),
        "",
        *labelled([(f"{c.verdict.upper():11}", c.title, cut(c.words)) for c in found.checks]),
    ]
    return "\n".join([*lines, "", *notes(found.notes)])


def _row(title: str, of: AuditFigures, ahead: list[str], alike: list[str]) -> list[str]:
    from polaris_rxrx.present.numbers import number, span

    own = [number(of.pr_auc), span(of.interval), number(of.roc_auc)]
    return [title, *own, *ahead, number(of.pooled_pr_auc), number(of.pooled_roc_auc), *alike]
