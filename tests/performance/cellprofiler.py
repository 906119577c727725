"""CellProfiler's measurements of a site: cp_measure called plainly, one by one, against `measure`.

Seconds are CPU time of one thread, the median of the runs: a machine that others use, too, stretches a clock.
Both sides measure the same columns (neighbors are left out: cp_measure's bulk calls have none) of 512 x 512
pixels, six channels and three compartments. The note of a row has the largest difference, relative to each
feature's scale, the share of each part of ours, and the hours for all of RxRx3-core's 222,601 wells of one
site on one such thread, by multiplication.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from tests.performance.common import Row, Settings, Side, apart

CHANNELS = ("Hoechst", "ConA", "Phalloidin", "Syto14", "MitoTracker", "WGA")
CASES = tuple((count, cover) for count in (64, 256) for cover in (0.25, 0.5, 0.95))
WELLS = 222_601


def _median(work: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    seconds, value = [], None
    for _ in range(repeat):
        start = process_time()
        value = work()
        seconds.append(process_time() - start)
    return median(seconds), value


def ours(count: int, cover: float, repeat: int, path: str) -> Side:
    """Ours; the value is the share of each family's time."""
    from polaris_rxrx.featurize.measure import Options, measure
    from tests.featurize.plain import field

    pixels, labels = field(count, cover)
    options = Options(neighbors=())
    measure(pixels[:, :64, :64], {name: image[:64, :64] for name, image in labels.items()}, CHANNELS, options)
    seconds, table = _median(lambda: measure(pixels, labels, CHANNELS, options), repeat)
    np.savez(path, **table)
    return Side(seconds, _shares(lambda: measure(pixels, labels, CHANNELS, options)))


def theirs(count: int, cover: float, repeat: int, path: str) -> Side:
    """Plain calls; the value is the seconds of each measurement."""
    from tests.featurize.plain import field, plain

    pixels, labels = field(count, cover)
    spent: Counter[str] = Counter()
    plain(pixels[:, :64, :64], {name: image[:64, :64] for name, image in labels.items()}, CHANNELS)
    seconds, table = _median(lambda: plain(pixels, labels, CHANNELS, seconds=spent), repeat)
    np.savez(path, **table)
    return Side(seconds, {name: value / repeat for name, value in spent.items()})


def _shares(work: Callable[[], Any]) -> dict[str, float]:
    """Family -> its share of the time, as a profiler sees it."""
    import cProfile
    import pstats

    profile = cProfile.Profile(process_time)
    profile.runcall(work)
    spent: Counter[str] = Counter()
    whole = 0.0
    parts = {
        ("granularity", "__init__"),
        ("granularity", "measure"),
        ("radial", "__init__"),
        ("radial", "measure"),
        ("radial", "zernikes"),
        *((name, name) for name in ("correlation", "intensity", "shape", "texture")),
    }
    stats: dict[tuple[str, int, str], Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, _, function), (_, _, _, cumulative, _) in stats.items():
        if Path(file).parent.name == "families" and (Path(file).stem, function) in parts:
            spent[Path(file).stem] += cumulative
        if Path(file).name == "measure.py" and function == "measure":
            whole = cumulative
    return {name: value / whole for name, value in spent.items()}


def run(settings: Settings) -> list[Row]:
    from tests.featurize.plain import differences

    os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    rows = []
    for count, cover in CASES[:: 5 if settings.quick else 1]:
        paths = [settings.scratch / f"{side}.npz" for side in ("ours", "theirs")]
        given = {"count": count, "cover": cover, "repeat": settings.repeat}
        mine = apart(ours, **given, path=paths[0])
        plainly = apart(theirs, **given, path=paths[1])
        with np.load(paths[0]) as first, np.load(paths[1]) as second:
            largest = next(iter(differences(first, second).items()))
        if largest[1] > 1e-10:
            raise RuntimeError(f"{largest[0]} differs by {largest[1]:.0e} of its scale")
        shares = ", ".join(f"{name} {share:.0%}" for name, share in Counter(mine.value).most_common())
        hours = [side.seconds * WELLS / 3600 for side in (plainly, mine)]
        rows.append(
            Row(
                f"CellProfiler's measurements of a site, {count} objects, cells cover {cover:.0%}",
                plainly,
                mine,
                "2 times",
                f"equal to {largest[1]:.0e} of the scale; all {WELLS:,} wells, a site each:"
                f" {hours[0]:,.0f} h -> {hours[1]:,.0f} h of one thread; of ours {shares}",
            )
        )
    return rows
