"""What several commands share: where the task and the data are, and how progress is shown."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from polaris_rxrx.files import card_names, default_data
from polaris_rxrx.maps.names import AGGREGATES
from polaris_rxrx.stats.resampling import CLUSTERS, LEVEL, RESAMPLES

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)  # existence is checked where the file is read, with our own words


class Table(click.Path):
    """A table of wells: a path as `FILE`, or the address of a table elsewhere."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and "://" in value:
            from polaris_rxrx.wells.remote import remote

            if (found := remote(value)) is not None:
                return found
        return super().convert(value, param, ctx)


TABLE = Table()


def default_task() -> Path:
    """`$POLARIS_RXRX_TASK`, else `task/` in the working directory."""
    return Path(os.environ.get("POLARIS_RXRX_TASK") or "task")


task_option = click.option(
    "--task",
    type=FILE,
    default=default_task,
    show_default="$POLARIS_RXRX_TASK, else task/",
    help="The prepared folder of the task, as `prepare` writes it.",
)

data_option = click.option(
    "--data",
    type=FILE,
    default=default_data,
    show_default="$POLARIS_RXRX_DATA, else the user's data folder",
    help="The folder with RxRx3-core's files.",
)


def note(text: str) -> None:
    """Tell the user something that is not the result (stderr)."""
    click.echo(text, err=True)


def on_terminal() -> bool:
    """Whether progress should be shown: only where someone is looking."""
    return sys.stderr.isatty()


class _Fill(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """`fill=0`: spelled out, so that nobody fills by accident."""

    name = "fill=NUMBER"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        word, _, number = str(value).partition("=")
        try:
            filled = float(number)
        except ValueError:
            filled = float("nan")
        if word != "fill" or not math.isfinite(filled):
            self.fail(f"{value!r}: expected fill= and a finite number, as in fill=0", param, ctx)
        return filled


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")

fill_option = click.option(
    "--missing", "fill", type=_Fill(), help="Give absent pairs this score instead of stopping."
)

features_option = click.option(
    "--features",
    metavar="PATTERN",
    multiple=True,
    help="Take columns named like 'emb_*' as features; may be repeated.  [default: told by their names]",
)


def together(
    into: str, names: Sequence[str], options: Sequence[Callable[[F], F]], make: Callable[..., Any] = dict
) -> Callable[[F], F]:
    """Options whose values, by these names, a command takes as one thing, `into`, made by `make`."""

    def decorate(function: F) -> F:
        @wraps(function)
        def command(*args: Any, **given: Any) -> Any:
            return function(*args, **{into: make(**{name: given.pop(name) for name in names})}, **given)

        found: Any = command
        for option in reversed(options):
            found = option(found)
        return cast(F, found)

    return decorate


# How a table of wells is read: fields of `polaris_rxrx.wells.reading.Choices`.
reading_options = together(
    "reading",
    ("sites", "ids", "layer"),
    [
        click.option(
            "--sites",
            type=click.Choice(["mean", "median"]),
            default="mean",
            show_default=True,
            help="What several rows of a well (sites, crops, cells) become, feature by feature.",
        ),
        click.option(
            "--ids",
            type=FILE,
            metavar="FILE",
            help="The ids of an .npy file's rows, one well_id on each line or an .npy of text; for "
            "DeepProfiler's files their index (Metadata_Plate, Metadata_Well, Metadata_Site).  [default: ids "
            "stand in the table, or in DeepProfiler's paths]",
        ),
        click.option("--layer", metavar="NAME", help="A layer of an AnnData file (.h5ad).  [default: its X]"),
    ],
)


def _size(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    from polaris_rxrx.limits import parse_size

    return parse_size(value)


def _effort(**given: Any) -> Any:
    from polaris_rxrx.parallel import Effort

    return Effort(**given)


# What a command may use of the machine, or of others: fields of `polaris_rxrx.parallel.Effort`.
effort_options = together(
    "effort",
    ("max_memory", "workers", "scheduler"),
    [
        click.option(
            "--max-memory",
            metavar="SIZE",
            callback=_size,
            help="How much memory all processes may take together, such as 500MB or 4GB; what does not fit "
            "is summarized as it is read, or kept on disk in $TMPDIR.  [default: half of what is free]",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            metavar="N",
            help="How many processes read the table and sum its wells, no more than there are files, or row "
            "groups of one; for signal and activity, how many hold perturbations against control wells, and "
            "for drug-target draw random embeddings, where they are many.",
        ),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Let the workers of a Dask cluster do it: its scheduler's address, such as "
            "tcp://host:8786, or local for --workers of one's own (extra distributed).",
        ),
    ],
    _effort,
)


def wide_option(function: F) -> F:
    """`--wide`: print whatever is shown without regard to the terminal's width."""

    def widen(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            from polaris_rxrx.present.terminal import wide

            ctx.with_resource(wide())

    return click.option(
        "--wide",
        is_flag=True,
        expose_value=False,
        callback=widen,
        help="Show all of every name and note, wider than the terminal.  [default: fit its width, or 100]",
    )(function)


def resampling_options(*, clusters: bool = True) -> Callable[[F], F]:
    """`--resamples`, `--seed`, `--level` and, unless there is but one choice, `--clusters`.

    The command takes them as one dict, `resampling`: the keywords that public functions take them by.
    """
    options = [
        click.option(
            "--resamples",
            default=RESAMPLES,
            show_default=True,
            type=int,
            help="How many random draws each interval and each p-value rests on: 100 or more.",
        ),
        click.option(
            "--seed",
            default=0,
            show_default=True,
            type=int,
            help="Where random draws begin: a whole number; the same seed gives the same figures.",
        ),
        click.option(
            "--level",
            default=LEVEL,
            show_default=True,
            type=float,
            help="How sure each interval is to hold the true value: a share, from 0.5 to below 1.",
        ),
    ]
    if clusters:
        options.append(
            click.option(
                "--clusters",
                type=click.Choice(list(CLUSTERS)),
                default="both",
                show_default=True,
                help="Which pairs count as related, in intervals and p-values: of a treatment, of a gene, "
                "or both.",
            )
        )
    return together("resampling", ("resamples", "seed", "level", "clusters")[: len(options)], options)


class _MetricKey(click.Choice):  # type: ignore[type-arg]  # generic from click 8.4 on
    """The key of a metric; which there are is asked when somebody wants to know, for that imports numpy."""

    def __init__(self) -> None:
        self.case_sensitive = True

    @cached_property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        from polaris_rxrx.metrics import METRICS

        return tuple(METRICS)


def certainty_options(function: F) -> F:
    """What scores are read and shown with: how intervals are drawn, what is absent, how wide tables are."""
    return resampling_options()(fill_option(wide_option(function)))


def seed_option(told: str) -> Callable[[F], F]:
    """`--seed` of a command that draws without resampling; `told` says what."""
    return click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help=told)


def metric_option(what: str) -> Callable[[F], F]:
    """`--metric`: a key of `polaris_rxrx.metrics.METRICS`; `what` is done with it."""
    return click.option(
        "--metric",
        type=_MetricKey(),
        metavar="pr_auc|roc_auc",  # said, not asked for: the help answers without numpy
        default="pr_auc",
        show_default=True,
        help=f"Which mean over treatments {what}: average precision (pr_auc) or AUROC (roc_auc).",
    )


class Bar:
    """A progress bar on stderr, drawn only on a terminal.

    `with Bar("title") as bar: work(progress=bar.step)`
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Bar:
        if on_terminal():
            from rich.console import Console
            from rich.progress import Progress

            self._progress = Progress(console=Console(stderr=True), transient=True)
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def step(self, what: str, done: int, of: int) -> None:
        """How far a part of the work has come."""
        if self._progress is None:
            return
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(f"{self.title}: {what}", total=of)
        self._progress.update(self._tasks[what], completed=done)


aggregate_option = click.option(
    "--aggregate",
    type=click.Choice(AGGREGATES),
    help="What a perturbation's row in the map is of its aligned wells, instead of the card's way.  "
    "[default: mean]",
)


def arms_options(function: F) -> F:
    """`--gene-arms` and `--arms-unexpressed`: correct the map for chromosome arms."""
    arms = click.option(
        "--gene-arms",
        type=FILE,
        metavar="CSV",
        help="Subtract from every gene of the map what is common to its chromosome arm; a table with the "
        "columns gene and arm (such as 3p).",
    )
    silent = click.option(
        "--arms-unexpressed",
        type=FILE,
        metavar="FILE",
        help="For --gene-arms: a file of unexpressed genes, one on each line, whose mean is what an arm has "
        "in common, where it has 20 of them.  [default: all genes of the arm]",
    )
    return arms(silent(function))


def offering(*words: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """For click's `shell_complete`: words that complete what may be another word, too."""

    def offered(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return offered


class MaybeFile(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """A name, or the path of a file; of cards in a folder of the package, the name is completed."""

    name = "name"
    folder: str | None = None

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        if self.folder is None:
            return super().shell_complete(ctx, param, incomplete)
        names = [CompletionItem(n) for n in card_names(self.folder) if n.startswith(incomplete)]
        return [*names, CompletionItem(incomplete, type="file")]


class CardName(MaybeFile):
    """A model's card."""

    name, folder = "card", "baselines"
