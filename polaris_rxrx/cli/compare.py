"""`polaris-rxrx compare A B [...]`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli.options import FILE, fill_option, metric_option, resampling_options, task_option
from polaris_rxrx.cli.outputs import NEW_FILE, Command, write_columns
from polaris_rxrx.errors import DataError, UsageError

if TYPE_CHECKING:
    from polaris_rxrx.comparison import Comparison


@click.command(cls=Command, no_args_is_help=True)
@click.argument("preds", type=FILE, nargs=-1, metavar="A B [...]")
@task_option
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON and nothing else.")
@metric_option("What of.")
@click.option("--all-pairs", is_flag=True, help="Compare every two, not A with each of the others.")
@click.option("--per-treatment", type=NEW_FILE, metavar="FILE", help="Also write one CSV row a treatment.")
@resampling_options()
@fill_option
def command(
    preds: tuple[Path, ...],
    task: Path,
    as_json: bool,
    metric: str,
    all_pairs: bool,
    per_treatment: Path | None,
    resampling: dict[str, Any],
    fill: float | None,
) -> None:
    """Tell whether predictions A are really better than B (and others), treatment by treatment.

    Each treatment gives a difference. Their mean comes with an interval (over treatments and genes), a
    p-value (random signs), Holm's correction if there are several comparisons, and the smallest difference
    that a task of this size would show.
    """
    from polaris_rxrx.cli._inputs import read_given, refuse_twice
    from polaris_rxrx.comparison import compare
    from polaris_rxrx.scoring import score
    from polaris_rxrx.task import load_task

    if len(preds) < 2:
        raise UsageError(f"{preds[0]} alone was given; two or more predictions files were expected")
    refuse_twice(preds)
    loaded = load_task(task)
    scores = []
    for path in preds:
        try:
            scores.append(score(loaded, read_given(path, loaded, task, fill=fill)))
        except DataError as error:
            raise DataError(f"{error}. All files are compared on the task in {task}") from None
    found = compare(*scores, metric=metric, all_pairs=all_pairs, **resampling)
    if per_treatment is not None:
        write_columns(per_treatment, found.columns())
    if as_json:
        from polaris_rxrx.cli._tables import json_text

        click.echo(json_text(found.to_dict()))
    else:
        click.echo(_as_text(found))


def _as_text(found: Comparison) -> str:
    from polaris_rxrx.cli._tables import number, shown, span, table
    from polaris_rxrx.comparison import POWER, p_value_method
    from polaris_rxrx.metrics import METRICS
    from polaris_rxrx.stats.uncertainty import interval_method

    lines = [f"{METRICS[found.metric].title} on {found.task.name}, {len(found.treatments):,} treatments", ""]
    lines += table(["", "mean"], [[n, number(m)] for n, m in zip(found.names, found.means, strict=True)])
    header = ["first", "second", "difference", f"{100 * found.level:g}% interval", "p", "corrected"]
    header += ["wins", "ties", "losses", "detectable", "first is"]
    rows = []
    for d in found.differences:
        cells = [found.names[d.first], found.names[d.second], number(d.mean, "+.4f"), span(d.interval)]
        cells += [number(d.p_value), number(d.p_corrected)]
        cells += [f"{n:,}" for n in (d.wins, d.ties, d.losses)]
        rows.append([*cells, number(d.detectable), VERDICTS[d.verdict]])
    lines += ["", *table(header, rows, left=2), ""]
    for d in found.differences:
        if apart := found.apart(d):
            a, b = found.names[d.first], found.names[d.second]
            lines += [f"Where {a} and {b} differ most"]
            cut = [[shown(t), number(x), number(y)] for t, x, y in apart]
            lines += [f"  {line}" for line in table(["treatment", "first", "second"], cut)]
            lines += [""]
    drawn = f"{found.resamples:,} resamples, seed {found.seed}"
    lines += [
        f"Interval    {interval_method(found.clusters)}, {drawn}",
        f"p           {p_value_method(found.clusters)}; corrected: Holm, of {len(found.differences):,}",
        f"Detectable  a true difference as large would be found in {POWER:.0%} of such tasks, correction "
        "included",
    ]
    if any(d.verdict == "tie" for d in found.differences):
        lines.append(
            "Tied        no difference beyond noise was seen, which does not prove that there is none"
        )
    return "\n".join(lines)


VERDICTS = {"better": "better", "worse": "worse", "tie": "tied"}
