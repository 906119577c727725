"""`polaris-rxrx leaderboard [PREDS...]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli.options import FILE, Bar, metric_option, task_option, wide_option

if TYPE_CHECKING:
    from polaris_rxrx.comparison import Metric
    from polaris_rxrx.leaderboard.board import Block, Board, Local
    from polaris_rxrx.leaderboard.gather import UnfitEntry
    from polaris_rxrx.task import Task

NEXT = "polaris-rxrx submit --init NAME begins one"


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
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@wide_option
@click.pass_context
def command(
    ctx: click.Context,
    preds: tuple[Path, ...],
    task: Path,
    submissions: Path,
    metric: Metric,
    only_local: bool,
    only_published: bool,
    as_json: bool,
) -> None:
    """Show local submissions and published figures, one block per protocol.

    Local rows are the folders under submissions/ whose predictions fit the task, and PREDS, each scored here;
    a rank counts the rows that are better beyond noise. Published rows keep what was printed. Blocks are
    never ranked against each other.
    """
    from polaris_rxrx.errors import DataError
    from polaris_rxrx.leaderboard.board import Board, blocks
    from polaris_rxrx.present.terminal import json_text, line

    if only_local and only_published:
        raise click.UsageError("--local and --published exclude each other; without both, all is shown")
    if only_published and preds:
        raise click.UsageError("--published shows no local rows, so it takes no predictions")
    if only_published:
        board = Board(None, (), blocks(), ())
    else:
        named = {
            name
            for name in ("task", "submissions")
            if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
        }
        found, left_out, notes = _local(preds, task, submissions, metric, named, must=only_local)
        if only_local and found is None:
            told = "".join(f"\n  {line(left.name)}: {line(left.reason)}" for left in left_out)
            raise DataError(f"{'; '.join(notes)}{':' if told else ''}{told}")
        board = Board(found, left_out, () if only_local else blocks(), notes)
    click.echo(json_text(board.to_dict()) if as_json else _as_text(board))


def _local(
    preds: Sequence[Path], folder: Path, submissions: Path, metric: Metric, named: set[str], *, must: bool
) -> tuple[Local | None, tuple[UnfitEntry, ...], tuple[str, ...]]:
    """The local block, what does not fit in it, and notes.

    Args:
        preds: Files that were named.
        folder: The prepared task.
        submissions: Where submissions are.
        metric: What ranks them.
        named: Which of `task` and `submissions` the user gave: these must be there.
        must: Whether the user wants the local block and no other.
    """
    from polaris_rxrx.errors import DataError, MissingError
    from polaris_rxrx.leaderboard.board import local
    from polaris_rxrx.leaderboard.gather import find, gather
    from polaris_rxrx.task import load_task

    if "submissions" in named and not submissions.exists():
        raise DataError(f"{submissions}: no such folder; {NEXT} under submissions/")
    folders = find(submissions)
    if not folders and not preds:
        if "task" in named:
            load_task(folder)  # says what is wrong with it
        return None, (), (f"no local rows: {submissions}/ has no submission; {NEXT}",)
    asked = bool(preds or named or must)
    try:
        task = load_task(folder)
    except MissingError as error:
        if asked:
            raise
        words = " ".join(("polaris-rxrx", *error.command))
        return None, (), (f"no local rows: {error}; `{words}` writes it",)
    if task.active is None and not asked:
        return None, (), (f"no local rows: {task.name} is a competition, which only the Hub can score",)
    _refuse_absent(preds, task, folder)
    with Bar("leaderboard") as bar:
        scored, left_out, notes = gather(task, folders, preds, progress=bar.step)
        if not scored:
            none = f"no local rows: none of {len(folders):,} under {submissions}/ fits {task.name}"
            return None, tuple(left_out), (none, *notes)
        return local(task, scored, metric, progress=bar.step), tuple(left_out), tuple(notes)


def _refuse_absent(preds: Sequence[Path], task: Task, folder: Path) -> None:
    """A file that is not there may be one command away."""
    from polaris_rxrx.cli._inputs import read_given

    for path in preds:
        if not path.exists():
            read_given(path, task, folder)


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
    from polaris_rxrx.present.numbers import number, percent
    from polaris_rxrx.present.terminal import labelled, table, wrapped

    own, other = ("AP", "AUROC") if local.metric == "pr_auc" else ("AUROC", "AP")
    rows = [
        [
            number(row.rank, "d"),
            row.name,
            _words(row.of("supervision"), "not stated"),
            row.grade,
            number(row.value),
            "-" if row.interval is None else " to ".join(map(number, row.interval)),
            number(row.roc_auc if local.metric == "pr_auc" else row.pr_auc),
            _words(row.of("sent"), "-"),
        ]
        for row in local.rows
    ]
    header = ["rank", "name", "supervision", "grade", own, f"{percent(local.level)} interval", other, "sent"]
    source = f" ({local.source})" if local.source != local.task else ""
    lines = [*wrapped(f"Local: {local.task}{source}"), *wrapped(f"{local.protocol}; computed here"), ""]
    lines += table(header, rows, left=4, names=2)
    told = ([] if local.rule is None else [("Rank", local.rule)]) + [("Note", n) for n in local.notes]
    return "\n".join([*lines, *([""] if told else []), *labelled(told)])


def _block_text(block: Block) -> str:
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
