"""`polaris-rxrx compare A B [...]`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli.options import FILE, certainty_options, metric_option, task_option
from polaris_rxrx.cli.outputs import Command, per_treatment_option, write_per_treatment
from polaris_rxrx.errors import DataError, UsageError

if TYPE_CHECKING:
    from polaris_rxrx.comparison import Comparison


@click.command(cls=Command, no_args_is_help=True)
@click.argument("preds", type=FILE, nargs=-1, metavar="A B [...]")
@task_option
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON and nothing else.")
@metric_option("is compared")
@click.option("--all-pairs", is_flag=True, help="Compare every two, not A with each of the others.")
@per_treatment_option
@certainty_options
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
    p-value (random signs), Holm's correction if there are several comparisons, and the minimum detectable
    difference: the smallest that a task of this size would show.
    """
    from polaris_rxrx.cli._inputs import read_given, refuse_twice
    from polaris_rxrx.comparison import compare
    from polaris_rxrx.present.terminal import json_text
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
        write_per_treatment(per_treatment, found.columns())
    click.echo(json_text(found.to_dict()) if as_json else _as_text(found))


def _as_text(found: Comparison) -> str:
    from polaris_rxrx.comparison import POWER, p_value_method
    from polaris_rxrx.metrics import METRICS
    from polaris_rxrx.present.numbers import count, number, percent, span
    from polaris_rxrx.present.terminal import labelled, table, wrapped
    from polaris_rxrx.stats.uncertainty import interval_method

    lines = wrapped(
        f"{METRICS[found.metric].title} on {found.task.name}, {count(len(found.treatments), 'treatment')}"
    )
    means = zip(found.names, found.means, strict=True)
    lines += ["", *table(["", "mean"], [[name, number(mean)] for name, mean in means])]
    header = ["first", "second", "difference", f"{percent(found.level)} interval", "p", "p (Holm)"]
    header += ["wins", "ties", "losses", "minimum detectable difference", "first is"]
    rows = []
    for d in found.differences:
        cells = [found.names[d.first], found.names[d.second], number(d.mean, "+.4f"), span(d.interval)]
        cells += [number(d.p_value), number(d.p_corrected)]
        cells += [f"{n:,}" for n in (d.wins, d.ties, d.losses)]
        rows.append([*cells, number(d.detectable), VERDICTS[d.verdict]])
    lines += ["", *table(header, rows, left=2), ""]
    for d in found.differences:
        if apart := found.apart(d):
            lines += wrapped(f"Where {found.names[d.first]} and {found.names[d.second]} differ most")
            cut = [[treatment, number(x), number(y)] for treatment, x, y in apart]
            lines += [*table(["treatment", "first", "second"], cut, indent=2), ""]
    drawn = f"{found.resamples:,} resamples, seed {found.seed}"
    told = [
        ("Interval", f"{interval_method(found.clusters)}, {drawn}"),
        ("p", p_value_method(found.clusters)),
        ("p (Holm)", f"the same, corrected for {count(len(found.differences), 'comparison')}"),
        (
            "Note",
            "the minimum detectable difference is the true one that would be found in "
            f"{POWER:.0%} of such tasks, correction included",
        ),
    ]
    if any(d.verdict == "tie" for d in found.differences):
        told.append(("Tied", "no difference beyond noise was seen, which does not prove that there is none"))
    return "\n".join([*lines, *labelled(told)])


VERDICTS = {"better": "better", "worse": "worse", "tie": "tied"}
