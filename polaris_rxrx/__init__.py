"""Baselines, official scores and submissions for the RxRx3-core compound-gene activity benchmark.

For a notebook: `load_task`, `read_predictions`, `score`, `compare`, `build_map`, `predict`, `evaluate`; to
look at a map `neighbors`, `heatmap`, `dose_curve`, `to_anndata`; at images `open_images`, `view`,
`view_plate`, `outlines_of`. Each is imported when first used, so `import polaris_rxrx` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polaris_rxrx._version import __version__

if TYPE_CHECKING:
    from polaris_rxrx.baselines import predict
    from polaris_rxrx.cards import load_card
    from polaris_rxrx.comparison import compare
    from polaris_rxrx.explore.notebook import dose_curve, heatmap, neighbors, to_anndata
    from polaris_rxrx.featurize.outlines import outlines_of
    from polaris_rxrx.images.opened import open_images
    from polaris_rxrx.images.picture import view, view_plate
    from polaris_rxrx.maps.build import build_map
    from polaris_rxrx.maps.store import load_map, save_map
    from polaris_rxrx.predictions import read_predictions, write_predictions
    from polaris_rxrx.scoring import score
    from polaris_rxrx.suites.run import evaluate
    from polaris_rxrx.task import load_task
    from polaris_rxrx.wells.matrix import WellOrder
    from polaris_rxrx.wells.memory import read_wells

__all__ = [
    "WellOrder",
    "__version__",
    "build_map",
    "compare",
    "dose_curve",
    "evaluate",
    "heatmap",
    "load_card",
    "load_map",
    "load_task",
    "neighbors",
    "open_images",
    "outlines_of",
    "predict",
    "read_predictions",
    "read_wells",
    "save_map",
    "score",
    "to_anndata",
    "view",
    "view_plate",
    "write_predictions",
]

_HOME = {
    "WellOrder": "wells.matrix",
    "build_map": "maps.build",
    "compare": "comparison",
    "dose_curve": "explore.notebook",
    "evaluate": "suites.run",
    "heatmap": "explore.notebook",
    "load_card": "cards",
    "load_map": "maps.store",
    "load_task": "task",
    "neighbors": "explore.notebook",
    "open_images": "images.opened",
    "outlines_of": "featurize.outlines",
    "predict": "baselines",
    "read_predictions": "predictions",
    "read_wells": "wells.memory",
    "save_map": "maps.store",
    "score": "scoring",
    "to_anndata": "explore.notebook",
    "view": "images.picture",
    "view_plate": "images.picture",
    "write_predictions": "predictions",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
