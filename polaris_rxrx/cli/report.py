"""`polaris-rxrx report PREDS`, and of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli._inputs import annotations_option, relations_option
from polaris_rxrx.cli._source import OF_EFFORT, OF_WELLS, Source, refuse_given, source_options
from polaris_rxrx.cli.options import FILE, Bar, certainty_options, note, task_option
from polaris_rxrx.cli.outputs import NEW_FILE, Command, NewFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from polaris_rxrx.report.material import Material
    from polaris_rxrx.report.model import ModelMaterial
    from polaris_rxrx.task import Task

# What predictions, and what a model, has no use for.
OF_MODELS: tuple[str, ...] = ("embeddings", *OF_WELLS, *OF_EFFORT, "max_memory", "align", "aggregate")
OF_MODELS += ("components", "correct", "gene_arms", "arms_unexpressed", "relations")
OF_PREDICTIONS = ("task", "map_path", "classes", "resamples", "level", "clusters", "fill")


@click.command(cls=Command, no_args_is_help=True)
@click.argument("preds", type=FILE, required=False)
@task_option
@click.option(
    "--against",
    type=FILE,
    multiple=True,
    metavar="FILE",
    help="Other predictions to compare with or, beside --model, another card or folder of results; may be "
    "repeated.",
)
@source_options(
    model="Report a model instead: a folder that `evaluate --out` wrote, or a card's name or path, whose "
    "suites are run now.",
    saved="Beside PREDS, a saved map, for similarity by concentration.",
)
@annotations_option
@relations_option
@click.option("--classes", type=FILE, metavar="CSV", help="gene_symbol,target_class.  [default: our own]")
@click.option(
    "--out", type=NEW_FILE, default=Path("report.html"), show_default=True, help="The page to write."
)
@click.option(
    "--figures", type=NewFolder("*.png", "*.svg"), metavar="DIR", help="Also write each figure as PNG, SVG."
)
@click.option("--title", help="The page's title.  [default: the names of PREDS and task, or the model]")
@certainty_options
@click.pass_context
def command(
    context: click.Context,
    /,
    preds: Path | None,
    task: Path,
    against: tuple[Path, ...],
    source: Source,
    annotations: Path | None,
    relations: tuple[Path, ...],
    classes: Path | None,
    out: Path,
    figures: Path | None,
    title: str | None,
    resampling: dict[str, Any],
    fill: float | None,
) -> None:
    """Write one HTML page about a score, or a model, for reading offline and for a paper's supplement.

    PREDS and each --against are predictions as `score` takes them. Structures are drawn if `prepare --smiles`
    wrote them or --data holds the metadata. What is not at hand is left out, and the page says how to get it.

    With --model the page is about a model: drug-target by concentration, recall, signal, replicates and
    activity, beside published rows of the same protocol. Of a folder of results nothing is computed again.
    """
    if (preds is None) is (source.model is None):
        raise click.UsageError("give either PREDS or --model")
    if preds is None:
        refuse_given(context, OF_PREDICTIONS, "a model (--model)")
        _about_model(
            context,
            source,
            against,
            out,
            figures,
            title,
            annotations=annotations,
            relations=relations,
            seed=resampling["seed"],
        )
        return
    refuse_given(context, OF_MODELS, "predictions (PREDS)")
    _about_score(
        context, preds, task, against, source, annotations, classes, out, figures, title, resampling, fill
    )


def _about_model(
    context: click.Context,
    source: Source,
    against: Sequence[Path],
    out: Path,
    figures: Path | None,
    title: str | None,
    **options: Any,
) -> None:
    """Read or compute results, and write the page about them."""
    from polaris_rxrx.cli._inputs import refuse_twice
    from polaris_rxrx.cli._models import folder_of, read_models
    from polaris_rxrx.report import model_figures
    from polaris_rxrx.report.model import gather_model
    from polaris_rxrx.report.model_page import write_model_page

    given = [Path(str(source.model)), *against]
    refuse_twice(given)
    for name in given:
        folder = folder_of(str(name))
        for path in (out, *([figures] if figures is not None else [])):
            if folder is not None and path.exists() and path.resolve().is_relative_to(folder.resolve()):
                raise click.UsageError(f"{path} is among the results in {folder}; choose another name")
    own, *others = read_models(context, source, against, **options)
    with Bar("report") as bar:
        bar.step("computing", 0, 1)
        material = gather_model(own, others, title=title)
        bar.step("computing", 1, 1)
        bar.step("drawing", 0, 2)
        plots = model_figures.draw(material)
        bar.step("drawing", 1, 2)
        write_model_page(out, material, plots)
        _write_figures(plots, figures)
        bar.step("drawing", 2, 2)
    click.echo(_told_of_model(out, material))
    if figures is not None:
        note(f"Wrote {len(plots):,} figures into {figures}")
    known = {fault for model in (own, *others) for fault in model.faults}
    for line in material.warnings:
        if not any(line.endswith(fault) for fault in known):  # told when it was read
            note(f"Note: {line}")
    for line in material.notes:
        note(f"Note: {line}")


def _told_of_model(out: Path, material: ModelMaterial) -> str:
    """The page's main figures."""
    from polaris_rxrx.present.terminal import wrapped

    told = "; ".join(f"{s.key[0]} {s.key[1]}" for s in material.sections)
    return "\n".join(wrapped(f"{out}: {material.names[0]}: {told}"))


def _write_figures(plots: Mapping[str, Figure], folder: Path | None) -> None:
    """Write the figures beside the page, where asked."""
    from polaris_rxrx.present.svg import write

    if folder is not None:
        write(plots, folder)


def _about_score(
    context: click.Context,
    preds: Path,
    task: Path,
    against: Sequence[Path],
    source: Source,
    annotations: Path | None,
    classes: Path | None,
    out: Path,
    figures: Path | None,
    title: str | None,
    resampling: dict[str, Any],
    fill: float | None,
) -> None:
    """Score predictions, and write the page about them."""
    from polaris_rxrx.cli._inputs import read_given, refuse_twice
    from polaris_rxrx.dataset.affinities import read_affinities
    from polaris_rxrx.maps.store import load_map
    from polaris_rxrx.report.breakdown import read_classes
    from polaris_rxrx.report.material import gather
    from polaris_rxrx.scoring import score
    from polaris_rxrx.task import load_task

    data, map_path = source.data, source.map_path
    explicit = context.get_parameter_source("data") is click.core.ParameterSource.COMMANDLINE
    refuse_twice([preds, *against])
    loaded = load_task(task)
    mine, *others = (score(loaded, read_given(path, loaded, task, fill=fill)) for path in (preds, *against))
    own_classes = None if classes is None else read_classes(classes)
    annotations = annotations or _located("annotations", data, explicit)
    with Bar("report") as bar:
        bar.step("reading", 0, 3)
        affinities = None if annotations is None else read_affinities(annotations)
        bar.step("reading", 1, 3)
        map_ = None if map_path is None else load_map(map_path)
        bar.step("reading", 2, 3)
        smiles = _smiles(loaded, data, explicit)
        bar.step("reading", 3, 3)
        bar.step("computing", 0, 1)
        material = gather(
            loaded,
            mine,
            against=others,
            names=_names([preds, *against]),
            map_=map_,
            affinities=affinities,
            classes=own_classes,
            smiles=smiles,
            title=title,
            **resampling,
        )
        bar.step("computing", 1, 1)
        n_plots = _write(out, figures, material, bar)
    click.echo(_told(out, material))
    if figures is not None:
        note(f"Wrote {n_plots:,} figures into {figures}")
    for line in material.notes:
        note(f"Note: {line}")


def _write(out: Path, figures: Path | None, material: Material, bar: Bar) -> int:
    """Draw the figures, write the page and, where asked, the figures beside it; how many there are."""
    from polaris_rxrx.report import figures as drawing
    from polaris_rxrx.report.page import write_page

    bar.step("drawing", 0, 2)
    plots = drawing.draw(material)
    bar.step("drawing", 1, 2)
    write_page(out, material, plots)
    _write_figures(plots, figures)
    bar.step("drawing", 2, 2)
    return len(plots)


def _told(out: Path, material: Material) -> str:
    """The page's main figure."""
    from polaris_rxrx.present.numbers import count, number, percent, span
    from polaris_rxrx.present.terminal import wrapped

    found, level = material.uncertainty.pr_auc, percent(material.uncertainty.level)
    told = (
        f"{out}: average precision {number(found.value)} ({level} interval {span(found.interval)}), "
        f"mean over {count(material.score.n_scored_pr_auc, 'treatment')}"
    )
    return "\n".join(wrapped(told))


def _names(paths: Sequence[Path]) -> list[str]:
    """File names if they tell the submissions apart, else with as many of the folders above as do."""
    names: list[str] = []
    for n in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-n:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _located(what: str, data: Path, explicit: bool) -> Path | None:
    """A file of the data folder; only a folder that was named must have it."""
    from polaris_rxrx.dataset.registry import locate
    from polaris_rxrx.errors import MissingError

    try:
        return locate(what, data)
    except MissingError:
        if explicit:
            raise
        return None


def _smiles(task: Task, data: Path, explicit: bool) -> dict[str, str] | None:
    """SMILES of the treatments: the task's own, else those of the metadata."""
    if own := task.smiles():
        return own
    metadata = _located("metadata", data, explicit)
    if metadata is None:
        return None
    from polaris_rxrx.errors import DataError
    from polaris_rxrx.wells.smiles import read_smiles, strip_extension

    try:
        found = read_smiles(metadata, task.treatment)
    except DataError:
        if explicit:
            raise
        return None
    return {name: strip_extension(smiles) for name, smiles in found.items()}
