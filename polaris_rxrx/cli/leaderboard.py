"""`polaris-rxrx leaderboard [PREDS...]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli.options import FILE, Bar, metric_option, task_option

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
@metric_option("Which mean over treatments ranks the local rows.")
@click.option("--local", "only_local", is_flag=True, help="Show the local rows alone.")
@click.option("--published", "only_published", is_flag=True, help="Show the published rows alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
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
    """Show local submissions and published figures, a block a protocol.

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
            told = "".join(f"\n  {_line(left.name)}: {_line(left.reason)}" for left in board.left_out)
            raise DataError(f"{'; '.join(board.notes)}{':' if told else ''}{told}")
    if as_json:
        from polaris_rxrx.cli._tables import json_text

        click.echo(json_text(board.to_dict()))
    else:
        click.echo(_as_text(board))


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
    from polaris_rxrx.metrics import METRICS

    interval = f"{100 * local.level:g}% interval"
    task, others = local.task, [metric for key, metric in METRICS.items() if key != local.metric]
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
                *(number(row.means[metric.key]) for metric in others),
                _words(row.of("sent"), "-"),
            ]
        )
    header = ["rank", "name", "supervision", "grade", METRICS[local.metric].short, interval]
    header += [*(metric.short for metric in others), "sent"]
    lines = [
        f"Local: {_line(task.name)}" + (f" ({_line(task.source)})" if task.source != task.name else ""),
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


def _block_text(block: PublishedBlock) -> str:
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
