"""`polaris-rxrx score` as a whole process: against importing polaris and evaluating, and pandas alone."""

from __future__ import annotations

import json
import re
import sys

import numpy as np

from tests.performance.common import ROOT, Row, Settings, Side, process
from tests.performance.score_kernel import GENES, TREATMENTS, pairs

CLIENT = """
import warnings; warnings.simplefilter("ignore")
import pandas as pd
from tests.performance.score_kernel import client_benchmark
benchmark = client_benchmark({treatments})
print(benchmark.evaluate(y_prob=pd.read_csv({path!r}).active.to_numpy()).results.Score.tolist())
"""
FLOOR = "import pandas; pandas.read_csv({path!r})"


def run(settings: Settings) -> list[Row]:
    from polaris_rxrx.predictions import write_predictions
    from polaris_rxrx.task import MetricSpec, Task

    treatments = TREATMENTS // 10 if settings.quick else TREATMENTS
    names, genes, active, scores = pairs(treatments)
    folder, path = settings.scratch / "task", settings.scratch / "preds.csv"
    folder.mkdir()
    metrics = tuple(
        MetricSpec(name=n, label=n, group_by="treatment", on_error="ignore") for n in ("pr_auc", "roc_auc")
    )
    task = Task({"treatment": names, "gene_symbol": genes}, active, "pr_auc", metrics, source="speed")
    task.save(folder)
    write_predictions(path, task, scores)

    command = [sys.executable, "-m", "polaris_rxrx", "score", str(path), "--task", str(folder), "--json"]
    mine = process(command, settings.repeat, ROOT)
    client = CLIENT.format(treatments=treatments, path=str(path))
    theirs = process([sys.executable, "-c", client], 1, ROOT)
    floor = process([sys.executable, "-c", FLOOR.format(path=str(path))], settings.repeat, ROOT)
    _same(theirs, mine)
    work = f"`score` of {treatments * GENES:,} pairs, whole process"
    bound = f"{mine.seconds / floor.seconds:.2f} of that time"
    return [
        Row(work, theirs, mine, "", "public way: import polaris, build the benchmark, evaluate"),
        Row(f"{work}, against `import pandas` and a read", floor, mine, "within 1.5 times that", bound),
    ]


def _same(theirs: Side, mine: Side) -> None:
    printed = [float(v) for v in re.findall(r"0\.\d+", theirs.value.splitlines()[-1])]
    report = json.loads(mine.value)
    ours = sorted(report["official"].values() if "official" in report else [])
    if len(ours) != 2 or not np.allclose(sorted(printed), ours, rtol=0, atol=1e-12):
        raise RuntimeError(f"the scores differ: {printed}, {ours}")
