"""The official path at sixty times its size: `prepare --annotations`, `baseline random`, `score`.

A table of affinities is drawn, of 50,000 compounds and 4,000 genes; the benchmark made of it has 1.15 million
pairs. There is no public way at this size, so each row says what stands in its place: a floor, the same read
row by row, or ten times what a tenth of the pairs takes (above 1: less than linear).
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.performance.common import ROOT, Row, Settings, Side, apart, process

COMPOUNDS, GENES = 50_000, 4_000
CLIENT = "import polaris" if importlib.util.find_spec("polaris") else "import pandas"
FLOOR = "import pandas; pandas.read_csv({features!r}).assign(active=0.5).to_csv({out!r}, index=False)"


def drawn(path: str, compounds: int) -> Side:
    """Write the affinities: one to eight actives for each compound, and two that are none."""
    rng = np.random.default_rng(0)
    actives = np.minimum(1 + rng.poisson(2.0, compounds), 8)
    with Path(path).open("w") as out:
        out.write("gene_symbol,nM_value,treatment\n")
        for i, n in enumerate(actives.tolist()):
            genes = rng.choice(GENES, size=n + 2, replace=False).tolist()
            values = 10 ** np.r_[rng.uniform(0, 3, n), rng.uniform(3.01, 5, 2)]
            out.writelines(
                f"GENE{g},{v:.4g},compound {i:05d}\n" for g, v in zip(genes, values.tolist(), strict=True)
            )
    return Side(0.0)


def scored(folder: str, predictions: str, by_row: bool, resampled: bool) -> Side:
    """What `score` does but resampling and jackknives; these are in the value, each with its seconds."""
    from polaris_rxrx import arrow, quick
    from polaris_rxrx.predictions import read_predictions
    from polaris_rxrx.scoring import score
    from polaris_rxrx.task import load_task

    if by_row:
        arrow.BIG = sys.maxsize
    start = time.perf_counter()
    task = load_task(folder)
    result = score(task, read_predictions(predictions, task))
    report = json.dumps(
        {**result.to_dict(), "checks": [c.words for c in quick.check(task, result.predictions.values)]}
    )
    seconds = [time.perf_counter() - start]
    if resampled:
        for step in (lambda: result.deleted, result.uncertainty):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
    return Side(seconds[0], {"report": report, "pairs": len(task), "after": seconds[1:]})


def paths(settings: Settings, compounds: int) -> tuple[Path, Path, Path]:
    """Where the affinities, the prepared folder and the predictions of so many compounds are."""
    names = (f"{compounds}.affinities.csv", f"{compounds}.task", f"{compounds}.csv")
    return tuple(settings.scratch / name for name in names)  # type: ignore[return-value]


def made(settings: Settings, compounds: int) -> tuple[Side, Side]:
    """`prepare` and `baseline random` as whole processes."""
    affinities, folder, predictions = paths(settings, compounds)
    apart(drawn, path=affinities, compounds=compounds)
    ours = [sys.executable, "-m", "polaris_rxrx"]
    prepare = [*ours, "prepare", "--annotations", str(affinities), "--out", str(folder)]
    random = [*ours, "baseline", "random", "--task", str(folder), "--out", str(predictions)]
    return process(prepare, 1, ROOT), process(random, 1, ROOT)


def times(side: Side, factor: float, seconds: float | None = None) -> Side:
    return Side(factor * (side.seconds if seconds is None else seconds), None, side.peak)


def run(settings: Settings) -> list[Row]:
    compounds = COMPOUNDS // 10 if settings.quick else COMPOUNDS
    made(settings, compounds // 10)
    prepare, random = made(settings, compounds)
    folder = paths(settings, compounds)[1]
    client = process([sys.executable, "-c", CLIENT], 1, ROOT)
    out = str(settings.scratch / "floor.csv")
    floor = FLOOR.format(features=str(folder / "test_features.csv"), out=out)
    pandas = process([sys.executable, "-c", floor], 1, ROOT)

    def scores(of: int, **how: Any) -> Side:
        _, folder, predictions = paths(settings, of)
        return apart(scored, folder=folder, predictions=predictions, **how)

    by_row = scores(compounds, by_row=True, resampled=False)
    tenth = scores(compounds // 10, by_row=False, resampled=True)
    whole = scores(compounds, by_row=False, resampled=True)
    if by_row.value["report"] != whole.value["report"]:
        raise RuntimeError("read row by row, the predictions have another score")
    factor = whole.value["pairs"] / tenth.value["pairs"]
    pairs = f"{whole.value['pairs']:,} pairs"
    grown = f"in the place of a public way: {factor:.1f} times what {tenth.value['pairs']:,} pairs take"
    rows = [
        Row(
            f"`prepare --annotations` of {pairs}, whole process",
            client,
            prepare,
            "6 s, 0.8 GB",
            f"against `{CLIENT}`",
        ),
        Row(
            f"`baseline random` of {pairs}, whole process",
            pandas,
            random,
            "2 s",
            "against pandas reading the pairs and writing a score for each",
        ),
        Row(
            f"`score` of {pairs} but the next two rows",
            by_row,
            whole,
            "7 s",
            "against the same read row by row; the reports equal",
        ),
        Row(f"`score` of {pairs} but the next two rows", times(tenth, factor), whole, "linear", grown),
    ]
    for work, a, b in zip(
        ("its jackknives", "its resampling"), tenth.value["after"], whole.value["after"], strict=True
    ):
        rows.append(Row(f"{work}, {pairs}", times(tenth, factor, a), times(whole, 1, b), "linear", grown))
    return rows
