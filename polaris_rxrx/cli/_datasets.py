"""Whose wells a command reads: `--dataset`, and what a dataset card changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from polaris_rxrx.cli.options import MaybeFile, note

if TYPE_CHECKING:
    from polaris_rxrx.suites.inputs import ModelInput
    from polaris_rxrx.wells.design import Design
    from polaris_rxrx.wells.metadata import Metadata

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT = "rxrx3-core"


class ScreenName(MaybeFile):
    """A dataset's card."""

    name, folder = "dataset", "datasets"


def dataset_option(function: F) -> F:
    return click.option(
        "--dataset",
        type=ScreenName(),
        metavar="NAME|FILE.toml",
        default=DEFAULT,
        show_default=True,
        help="Whose wells these are: the name of a dataset card, or the path of your own.",
    )(function)


def wells_of(
    dataset: str, metadata: Path | None, data: Path, design: Design, *, guides: bool = False
) -> Path | Metadata:
    """What `read_wells` takes for a dataset's wells: RxRx3-core's file, or the wells as read by a card.

    Args:
        dataset: Its name, or the path of its card.
        metadata: The table of wells, if it is not the dataset's own.
        data: The folder of the dataset's files.
        design: In which batches and with which controls; `read_wells` does the same of a file.
        guides: The perturbation of a CRISPR well is its guide.
    """
    from polaris_rxrx.dataset.registry import locate

    if dataset == DEFAULT:
        return metadata or locate("metadata", data)
    from polaris_rxrx.dataset.screens import load_screen
    from polaris_rxrx.wells.screen import read_screen

    return read_screen(load_screen(dataset), data, wells=metadata, guides=guides, design=design).metadata


def features_of(dataset: str, data: Path) -> Path | None:
    """The features that a dataset's card names, a file a plate, where they are in --data; as a glob."""
    if dataset == DEFAULT:
        return None
    from polaris_rxrx.dataset.screens import load_screen
    from polaris_rxrx.wells.check import profiles_there

    found = profiles_there(load_screen(dataset), data)
    return None if found is None else Path(found)


def provenance_of(dataset: str) -> dict[str, str]:
    """What a protocol keeps of a dataset: nothing of RxRx3-core, as ever."""
    if dataset == DEFAULT:
        return {}
    from polaris_rxrx.dataset.screens import load_screen

    return {"dataset": load_screen(dataset).name}


def dataset_card(dataset: str) -> dict[str, Any]:
    """A dataset's card with all its fields; nothing of RxRx3-core, which has none."""
    if dataset == DEFAULT:
        return {}
    from polaris_rxrx.dataset.screens import load_screen

    return {"dataset card": load_screen(dataset).model_dump(mode="json")}


def without_blinded(given: ModelInput, dataset: str) -> ModelInput:
    """The map without genes whose names nobody is told: no relation can be of them."""
    if dataset == DEFAULT or given.map_ is None:
        return given
    from fnmatch import fnmatchcase

    import numpy as np

    from polaris_rxrx.dataset.screens import load_screen

    pattern, map_ = load_screen(dataset).blinded, given.map_
    p = map_.perturbations
    blinded = np.array(
        [
            pattern is not None and t == "CRISPR" and fnmatchcase(n, pattern)
            for n, t in zip(p.name, p.type, strict=True)
        ],
        dtype=bool,
    )
    if not blinded.any():
        return given
    note(f"{int(blinded.sum()):,} genes are blinded (named like {pattern}) and were left out of the map")
    keep = np.flatnonzero(~blinded)
    protocol = {**map_.protocol, "n_blinded_left_out": int(blinded.sum())}
    taken = replace(
        map_, perturbations=p.take(keep), x=map_.x[keep], n_wells=map_.n_wells[keep], protocol=protocol
    )
    return replace(given, map_=taken)
