"""`polaris-rxrx score PREDS`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli.options import FILE, fill_option, note, task_option

if TYPE_CHECKING:
    from polaris_rxrx.scoring import Score


@click.command(no_args_is_help=True)
@click.argument("preds", type=FILE)
@task_option
@click.option("--json", "as_json", is_flag=True, help="Print the score report as JSON and nothing else.")
@click.option("--per-treatment", type=FILE, metavar="FILE", help="Also write one CSV row a treatment.")
@click.option("--official", is_flag=True, help="Also run the Polaris client's own evaluate (slow).")
@fill_option
def command(
    preds: Path, task: Path, as_json: bool, per_treatment: Path | None, official: bool, fill: float | None
) -> None:
    """Score predictions as the Polaris client would, before uploading.

    PREDS is a CSV (also .gz) or parquet file with `active` (higher: more likely active), keyed by `id`, by
    `treatment` and `gene_symbol`, or by both.
    """
    from polaris_rxrx.cli._inputs import read_given
    from polaris_rxrx.scoring import score
    from polaris_rxrx.task import load_task

    loaded = load_task(task)
    result = score(loaded, read_given(preds, loaded, task, fill=fill))
    report = result.to_dict()
    if official:
        from polaris_rxrx.hub.benchmarks import evaluate_saved

        report["client"] = evaluate_saved(task, result.predictions.values)
    if per_treatment is not None:
        from polaris_rxrx.files import write_text
        from polaris_rxrx.tables import to_csv

        cells = {name: ["" if v != v else v for v in column] for name, column in result.columns().items()}
        write_text(per_treatment, to_csv(cells))  # NaN: an empty cell
        note(f"Wrote {per_treatment}")
    click.echo(json.dumps(report, indent=2, allow_nan=False) if as_json else _as_text(result, report))


def _as_text(result: Score, report: dict[str, object]) -> str:
    lines = [
        f"{result.predictions.source} on {result.task}",
        "",
        f"{'':26}{'mean':>10}{'median':>10}{'treatments':>12}",
        f"{'average precision':26}{result.pr_auc:>10.6f}{result.pr_auc_median:>10.6f}"
        f"{result.n_scored_pr_auc:>12,}",
        f"{'AUROC':26}{result.roc_auc:>10.6f}{result.roc_auc_median:>10.6f}{result.n_scored_roc_auc:>12,}",
        "",
    ]
    value = result.main_value
    lines.append(f"Main metric  {result.main_metric} = {'undefined' if value is None else f'{value:.6f}'}")
    lines.append(f"Scored       {result.n_pairs:,} pairs of {result.n_treatments:,} treatments")
    client = report.get("client")
    if isinstance(client, dict):
        for name, theirs in client.items():
            shown = "nan" if theirs is None else f"{theirs:.6f}"
            ours = result.official.get(name)
            gap = "" if ours is None or theirs is None else f" (differs by {abs(ours - theirs):.1e})"
            lines.append(f"Client       {name} = {shown}{gap}")
    if result.left_out:
        lines.append(f"Left out     {len(result.left_out):,} treatments:")
        lines += [f"  {g.treatment}: {g.reason} ({', '.join(g.metrics)})" for g in result.left_out[:10]]
        if len(result.left_out) > 10:
            lines.append(f"  and {len(result.left_out) - 10:,} more; --json names all")
    lines += [f"Note         {n}" for n in result.notes]
    return "\n".join(lines)
