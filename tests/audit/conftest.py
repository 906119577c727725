"""Tasks of the benchmark's shape: twenty or so pairs a treatment, few of them active."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from polaris_rxrx.predictions import Predictions
from polaris_rxrx.task import Task

Floats = NDArray[np.float64]
MakeTask = Callable[..., Task]


def benchmark(make_task: MakeTask, seed: int, treatments: int = 200) -> Task:
    """Pairs by the benchmark's rules, of a hundred genes in the order of their names."""
    rng = np.random.default_rng(seed)
    pairs: list[Any] = []
    for t in range(treatments):
        n_active = int(rng.choice([1, 2, 3, 4, 6, 9], p=[0.35, 0.2, 0.15, 0.1, 0.1, 0.1]))
        genes = rng.choice(100, n_active + max(20, 2 * n_active), replace=False)
        active = set(genes[:n_active].tolist())
        pairs += [(f"c{t:03}", f"g{g:02}", float(g in active)) for g in sorted(genes.tolist())]
    return make_task(pairs)


def predictions(values: Any) -> Predictions:
    return Predictions(np.asarray(values, dtype=np.float64), "made up", "0" * 64)


@pytest.fixture(scope="session")
def tasks(make_task: MakeTask) -> list[Task]:
    return [benchmark(make_task, seed) for seed in range(3)]
