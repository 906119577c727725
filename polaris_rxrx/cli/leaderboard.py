"""`polaris-rxrx leaderboard [PREDS...]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli.options import FILE, Bar, json_option, metric_option, task_option, wide_option

if TYPE_CHECKING:
    from polaris_rxrx.leaderboard.board import Board, Local, PublishedBlock
    from polaris_rxrx.task import Task


@click.command()
@click.argument("preds", type=FILE, nargs=-1)
@task_option
@click.option(
    "--submissions",
    type=FILE,
    metavar="DIR",
    default=Path("submissions"),
    show_default=True,
    help="Where each folder with a submission.toml is a row.",
)
@metric_option("ranks the local rows")
@click.option("--local", "only_local", is_flag=True, help="Show the local rows alone.")
@click.option("--published", "only_published", is_flag=True, help="Show the published rows alone.")
@json_option
@wide_option
@click.pass_context
def command(
    ctx: click.Context,
    preds: tuple[Path, ...],
    task: Path,
    submissions: Path,
    metric: str,
    only_local: bool,
    only_published: bool,
    as_json: bool,
) -> None:
    """Show local submissions and published figures, one block per protocol.

    Local rows are the folders under submissions/ whose predictions fit the task, and PREDS, each scored here;
    a rank counts the rows that are better beyond noise. Published rows keep what was printed. Blocks are
    never ranked against each other.
    """
    if only_local and only_published:
        raise click.UsageError("--local and --published exclude each other; without both, all is shown")
    if only_published and preds:
        raise click.UsageError("--published shows no local rows, so it takes no predictions")
    from polaris_rxrx.cli._inputs import read_given
    from polaris_rxrx.errors import DataError
    from polaris_rxrx.leaderboard.board import Board, assemble, blocks
    from polaris_rxrx.present.terminal import json_text, line

    def absent(path: Path, loaded: Task) -> None:
        read_given(path, loaded, task)  # a file that is not there may be one command away

    if only_published:
        board = Board(None, (), blocks(), ())
    else:
        named = {
            name
            for name in ("task", "submissions")
            if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
        }
        with Bar("leaderboard") as bar:
            board = assemble(
                task,
                submissions,
                preds,
                metric,
                named=named,
                alone=only_local,
                absent=absent,
                progress=bar.step,
            )
        if only_local and board.local is None:
            told = "".join(f"\n  {line(left.name)}: {line(left.reason)}" for left in board.left_out)
            raise DataError(f"{'; '.join(board.notes)}{':' if told else ''}{told}")
    click.echo(json_text(board.to_dict()) if as_json else _as_text(board))


def _as_text(board: Board) -> str:
    from polaris_rxrx.present.terminal import notes, wrapped

    parts = []
    if board.local is not None:
        parts.append(_local_text(board.local))
    if board.left_out:
        lines = ["Left out of the local rows"]
        for left in board.left_out:
            lines += wrapped(f"{left.name}: {left.reason}", indent=2, hang=2)
        parts.append("\n".join(lines))
    parts += [_block_text(block) for block in board.published]
    end = notes(board.notes)
    if (board.local is not None) + len(board.published) > 1:
        end += wrapped(board.closing)
    return "\n\n".join([*parts, "\n".join(end)]).rstrip()


def _local_text(local: Local) -> str:
    from polaris_rxrx.metrics import METRICS
    from polaris_rxrx.present.numbers import number, percent
    from polaris_rxrx.present.terminal import labelled, table, wrapped

    task, others = local.task, [metric for key, metric in METRICS.items() if key != local.metric]
    rows = [
        [
            number(row.rank, "d"),
            row.name,
            _words(row.of("supervision"), "not stated"),
            row.grade,
            number(row.value),
            "-" if row.interval is None else " to ".join(map(number, row.interval)),
            *(number(row.means[metric.key]) for metric in others),
            _words(row.of("sent"), "-"),
        ]
        for row in local.rows
    ]
    header = ["rank", "name", "supervision", "grade", METRICS[local.metric].short]
    header += [f"{percent(local.level)} interval", *(metric.short for metric in others), "sent"]
    source = f" ({task.source})" if task.source != task.name else ""
    lines = [*wrapped(f"Local: {task.name}{source}"), *wrapped(f"{local.protocol}; computed here"), ""]
    lines += table(header, rows, left=4, names=2)
    told = ([] if local.rule is None else [("Rank", local.rule)]) + [("Note", n) for n in local.notes]
    return "\n".join([*lines, *([""] if told else []), *labelled(told)])


def _block_text(block: PublishedBlock) -> str:
    from polaris_rxrx.present.numbers import number
    from polaris_rxrx.present.terminal import table, wrapped

    rows = []
    for of in block.lists:
        what = of.quantity.replace("_", " ").replace("auroc", "AUROC") + (f" {of.at}" if of.at else "")
        for row in of.rows:
            spread = "-" if row.spread is None else f"{number(row.spread, '.3f')} {row.spread_kind}"
            cells = [row.grade, number(row.value, ".3f"), spread, number(row.z, ".4g")]
            rows.append([what, row.model, row.supervision, *cells])
    header = ["figure", "model", "supervision", "grade", "value", "spread", "z"]
    while all(cells[-1] == "-" for cells in rows):  # nothing of it was printed
        header, rows = header[:-1], [cells[:-1] for cells in rows]
    lines = wrapped(f"Published: {block.source}: {block.title}")
    lines += [*wrapped(f"{block.grade}; {block.protocol}"), "", *table(header, rows, left=4, names=2)]
    return "\n".join(lines)


def _words(values: Sequence[str | None], none: str) -> str:
    return " / ".join(none if v is None else v for v in values)
