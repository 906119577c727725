"""RxRx3's own tree, a file a plate of 128 features: wells and a map against pyarrow reading the files alone.

The published wells, where shared data are at hand: all experiments, or with `--quick` a tenth of those of
genes. The first row is the way to wells, the second the whole way to a map.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.performance.common import ROOT, Row, Settings, Side, apart, best

SHARED = ROOT.parent / "shared" / "data"
WIDTH = 128


def make(folder: str, share: float) -> Side:
    """The tree; in a process of its own, for a process's peak is also that of the one it came from."""
    from tests.screens_factory import make_rxrx3

    return best(lambda: len(make_rxrx3(Path(folder), SHARED, share=share)), 1)


def alone(folder: str) -> Side:
    """pyarrow, file after file, into one matrix and its ids; nothing is joined."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = sorted(Path(folder).glob("*/Plate*/embeddings.parquet"))

    def work() -> tuple[int, float]:
        table = pa.concat_tables([pq.read_table(path) for path in paths])
        x = np.stack([table.column(f"feature_{i}").to_numpy() for i in range(WIDTH)], axis=1)
        return len(x), float(x.sum(dtype=np.float64))

    return best(work, 1)


def wells(folder: str) -> Side:
    """The card's wells, and its features as `--dataset rxrx3` finds them."""
    import pandas  # noqa: F401  # pyarrow imports it at its first array

    from polaris_rxrx.dataset.screens import load_screen
    from polaris_rxrx.wells.check import profiles_there
    from polaris_rxrx.wells.memory import read_wells
    from polaris_rxrx.wells.screen import read_screen

    screen = load_screen("rxrx3")

    def work() -> tuple[int, float]:
        found = read_wells(
            read_screen(screen, Path(folder)).metadata, profiles_there(screen, Path(folder)), width=WIDTH
        )
        return len(found), float(found.x.sum(dtype=np.float64))

    return best(work, 1)


def whole(folder: str) -> Side:
    """The same, and the map by TVN, as the public code aligns RxRx3."""
    import pandas  # noqa: F401

    from polaris_rxrx.dataset.screens import load_screen
    from polaris_rxrx.maps.build import build_map
    from polaris_rxrx.wells.check import profiles_there
    from polaris_rxrx.wells.memory import read_wells
    from polaris_rxrx.wells.screen import read_screen

    screen = load_screen("rxrx3")

    def work() -> int:
        found = read_wells(read_screen(screen, Path(folder)).metadata, profiles_there(screen, Path(folder)))
        return len(build_map(found, "tvn"))

    return best(work, 1)


def run(settings: Settings) -> list[Row]:
    if not SHARED.is_dir():
        raise SystemExit(f"{SHARED} is not there: it has RxRx3's published wells")
    folder = settings.scratch / "rxrx3"
    folder.mkdir()
    made = apart(make, folder=folder, share=0.1 if settings.quick else 1.0)
    n_files = len(list(folder.glob("*/Plate*/embeddings.parquet")))
    sides: dict[str, list[Side]] = {"alone": [], "wells": [], "whole": []}
    for _ in range(settings.repeat):  # in turn, so that a busy machine hits all
        for name, function in (("alone", alone), ("wells", wells), ("whole", whole)):
            sides[name].append(apart(function, folder=folder))
    theirs, mine, all_ = (min(of, key=lambda side: side.seconds) for of in sides.values())
    if not np.allclose(theirs.value, mine.value, rtol=1e-6, atol=1):
        raise RuntimeError(f"the wells differ: {theirs.value}, {mine.value}")
    note = f"pyarrow's reading alone; {made.value:,} wells x {WIDTH}, {n_files:,} files"
    return [
        Row("wells of RxRx3's tree", theirs, mine, "half as fast", note),
        Row("wells of RxRx3's tree, and the map by TVN", theirs, all_, "", note),
    ]
