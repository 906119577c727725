"""`polaris-rxrx leaderboard [PREDS...]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli.options import FILE, Bar, task_option

if TYPE_CHECKING:
    from polaris_rxrx.comparison import Metric
    from polaris_rxrx.leaderboard.board import Block, Board, Local
    from polaris_rxrx.leaderboard.gather import LeftOut
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
@click.option(
    "--metric",
    type=click.Choice(["pr_auc", "roc_auc"]),
    default="pr_auc",
    show_default=True,
    help="Which mean over treatments ranks the local rows.",
)
@click.option("--local", "only_local", is_flag=True, help="Show the local rows alone.")
@click.option("--published", "only_published", is_flag=True, help="Show the published rows alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
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
    """Show local submissions and published figures, a block a protocol.

    Local rows are the folders under submissions/ whose predictions fit the task, and PREDS, each scored here;
    a rank counts the rows that are better beyond noise. Published rows keep what was printed. Blocks are
    never ranked against each other.
    """
    from polaris_rxrx.errors import DataError
    from polaris_rxrx.leaderboard.board import Board, blocks

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
            told = "".join(f"\n  {_line(left.name)}: {_line(left.reason)}" for left in left_out)
            raise DataError(f"{'; '.join(notes)}{':' if told else ''}{told}")
        board = Board(found, left_out, () if only_local else blocks(), notes)
    if as_json:
        from polaris_rxrx.cli._tables import json_text

        click.echo(json_text(board.to_dict()))
    else:
        click.echo(_as_text(board))


def _local(
    preds: Sequence[Path], folder: Path, submissions: Path, metric: Metric, named: set[str], *, must: bool
) -> tuple[Local | None, tuple[LeftOut, ...], tuple[str, ...]]:
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
    parts = []
    if board.local is not None:
        parts.append(_local_text(board.local))
    if board.left_out:
        parts.append("Left out of the local rows")
        for left in board.left_out:
            parts[-1] += "\n" + "\n".join(_wrapped("", f"{left.name}: {left.reason}", indent=2))
    parts += [_block_text(block) for block in board.published]
    end = [line for text in board.notes for line in _wrapped("Note", text)]
    if (board.local is not None) + len(board.published) > 1:
        end += _wrapped("", board.closing)
    return "\n\n".join([*parts, "\n".join(end)]).rstrip()


def _local_text(local: Local) -> str:
    from polaris_rxrx.cli._tables import number, table

    interval = f"{100 * local.level:g}% interval"
    own, other = ("AP", "AUROC") if local.metric == "pr_auc" else ("AUROC", "AP")
    rows = []
    for row in local.rows:
        ends = "-" if row.interval is None else "{:.4f} to {:.4f}".format(*row.interval)
        rows.append(
            [
                number(row.rank, "d"),
                _line(row.name),
                _words(row.of("supervision"), "not stated"),
                row.grade,
                number(row.value),
                ends,
                number(row.roc_auc if local.metric == "pr_auc" else row.pr_auc),
                _words(row.of("sent"), "-"),
            ]
        )
    header = ["rank", "name", "supervision", "grade", own, interval, other, "sent"]
    lines = [
        f"Local: {_line(local.task)}" + (f" ({_line(local.source)})" if local.source != local.task else ""),
        f"{local.protocol}; computed here",
        "",
        *table(header, rows, left=4),
    ]
    said = ([] if local.rule is None else [("Rank", local.rule)]) + [("Note", n) for n in local.notes]
    if said:
        lines.append("")
    for word, text in said:
        lines += _wrapped(word, text)
    return "\n".join(lines)


def _block_text(block: Block) -> str:
    from polaris_rxrx.cli._tables import number, table

    rows = []
    for of in block.lists:
        what = of.quantity.replace("_", " ").replace("auroc", "AUROC") + (f" {of.at}" if of.at else "")
        for row in of.rows:
            spread = "-" if row.spread is None else f"{row.spread:.3f} {row.spread_kind}"
            cells = [row.grade, number(row.value, ".3f"), spread, number(row.z, ".4g")]
            rows.append([what, row.model, row.supervision, *cells])
    header = ["figure", "model", "supervision", "grade", "value", "spread", "z"]
    while all(cells[-1] == "-" for cells in rows):  # nothing of it was printed
        header, rows = header[:-1], [cells[:-1] for cells in rows]
    return "\n".join(
        [
            f"Published: {block.source}: {block.title}",
            *_wrapped("", f"{block.grade}; {block.protocol}"),
            "",
            *table(header, rows, left=4),
        ]
    )


def _words(values: Sequence[str | None], none: str) -> str:
    return " / ".join(none if v is None else v for v in values)


def _wrapped(word: str, text: str, indent: int = 0) -> list[str]:
    """A sentence on lines of a width to read, behind a word."""
    import textwrap

    head = f"{word:6}" if word else " " * indent
    hanging = " " * (len(head) + indent)
    return textwrap.wrap(
        head + _line(text), 100, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )


def _line(text: str) -> str:
    """On one line (a message's own lines one after another), and nothing in it that a terminal would obey."""
    text = "; ".join(part.strip() for part in text.split("\n  "))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
