"""`polaris-rxrx score PREDS`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli.options import FILE, certainty_options, note, task_option
from polaris_rxrx.cli.outputs import Command, per_treatment_option, write_per_treatment

if TYPE_CHECKING:
    from polaris_rxrx.quick import CheckedReport
    from polaris_rxrx.scoring import Score
    from polaris_rxrx.stats.uncertainty import Uncertainty


@click.command(cls=Command, no_args_is_help=True)
@click.argument("preds", type=FILE)
@task_option
@click.option("--json", "as_json", is_flag=True, help="Print the score report as JSON and nothing else.")
@per_treatment_option
@click.option("--official", is_flag=True, help="Also run the Polaris client's own evaluate (slow).")
@certainty_options
def command(
    preds: Path,
    task: Path,
    as_json: bool,
    per_treatment: Path | None,
    official: bool,
    resampling: dict[str, Any],
    fill: float | None,
) -> None:
    """Score predictions as the Polaris client would, before uploading, and say how sure the score is.

    PREDS is a CSV (also .gz) or parquet file with `active` (higher: more likely active), keyed by `id`, by
    `treatment` and `gene_symbol`, or by both.
    """
    from polaris_rxrx import quick
    from polaris_rxrx.cli._inputs import read_given
    from polaris_rxrx.scoring import score
    from polaris_rxrx.task import load_task

    if official:
        from polaris_rxrx.hub import upstream

        upstream.require()
    loaded = load_task(task)
    result = score(loaded, read_given(preds, loaded, task, fill=fill))
    certainty = result.uncertainty(**resampling)
    checks = quick.check(loaded, result.predictions.values)
    for line in quick.lines(checks, brief=True):
        note(line)
    report = quick.report(result, certainty, checks)
    if official:
        from polaris_rxrx.hub.benchmarks import evaluate_saved

        report["client"] = evaluate_saved(task, result.predictions.values)
    if per_treatment is not None:
        write_per_treatment(per_treatment, result.columns())
    click.echo(
        json.dumps(report, indent=2, allow_nan=False) if as_json else _as_text(result, certainty, report)
    )


def _as_text(result: Score, certainty: Uncertainty, report: CheckedReport) -> str:
    from polaris_rxrx.metrics import METRICS
    from polaris_rxrx.present.numbers import count, number, percent, span
    from polaris_rxrx.present.terminal import is_wide, labelled, table, wrapped
    from polaris_rxrx.stats.uncertainty import interval_method

    rows = []
    for key, of in certainty.metrics.items():
        cells = [number(result.means[key], ".6f"), span(of.interval), number(result.medians[key], ".6f")]
        cells += [number(value) for value in (of.chance, of.normalised, of.p_value)]
        rows.append([METRICS[key].title, *cells, f"{result.n_scored[key]:,}"])
    header = ["", "mean", f"{percent(certainty.level)} interval", "median", "chance", "normalized", "p"]
    value = result.main_value
    told = [("Main metric", f"{result.main_metric} = {'undefined' if value is None else f'{value:.6f}'}")]
    if result.about_compound == result.about_compound:
        left = f"{result.about_compound:.4f} is left without each gene's places in other treatments"
        told.append(("Above chance", f"{result.above_chance:.4f}, of which {left}: about the compound"))
    drawn = f"{certainty.resamples:,} resamples, seed {certainty.seed}"
    shared = "" if certainty.clusters == "treatment" else ", genes shared between treatments allowed for"
    told += [
        ("Scored", f"{result.n_pairs:,} pairs of {count(result.n_treatments, 'treatment')}"),
        ("Interval", f"{interval_method(certainty.clusters)}, {drawn}"),
        ("Chance", "what random scores expect (exact); normalized: 0 is chance, 1 is perfect"),
        ("p", f"of a random order within each treatment doing as well{shared}"),
    ]
    for name, theirs in report.get("client", {}).items():
        shown = "nan" if theirs is None else f"{theirs:.6f}"
        ours = result.official.get(name)
        gap = "" if ours is None or theirs is None else f" (differs by {abs(ours - theirs):.1e})"
        told.append(("Client", f"{name} = {shown}{gap}"))
    if result.left_out:
        most = len(result.left_out) if is_wide() else 10
        told.append(("Left out", f"{count(len(result.left_out), 'treatment')}:"))
        told += [("", f"{g.treatment}: {g.reason} ({', '.join(g.metrics)})") for g in result.left_out[:most]]
        if len(result.left_out) > most:
            told.append(("", f"and {len(result.left_out) - most:,} more; --wide shows all"))
    told += [("Note", n) for n in result.notes]
    lines = [*wrapped(f"{result.predictions.source} on {result.task.name}"), ""]
    return "\n".join([*lines, *table([*header, "treatments"], rows), "", *labelled(told)])
