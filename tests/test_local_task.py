"""A task of one's own is what the affinities draw, pair by pair, and says by which rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from polaris_rxrx.dataset import affinities as of
from polaris_rxrx.local_task import draw_task
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.scoring import score


@pytest.mark.parametrize("seed", [0, 3])
def test_it_is_what_is_drawn(demo: Path, seed: int) -> None:
    affinities = of.read_affinities(demo / "data" / "compound_gene_interactions.csv")
    task, drawn = draw_task(affinities, seed), of.draw(affinities, seed)
    assert task.name == f"local/compound-gene-activity-seed-{seed}"
    assert (list(task.treatment), list(task.gene_symbol)) == (list(drawn.treatment), list(drawn.gene_symbol))
    assert task.active is not None and task.active.tolist() == list(drawn.active)
    assert task.protocol["annotations_sha256"] == affinities.sha256 and task.protocol["seed"] == seed
    assert task.protocol["made_up"] is True  # the demo's affinities are synthetic
    perfect = score(task, Predictions(task.active, "labels"))
    assert perfect.pr_auc == perfect.roc_auc == 1


def test_another_seed_is_another_task(demo: Path) -> None:
    affinities = of.read_affinities(demo / "data" / "compound_gene_interactions.csv")
    one, other = (draw_task(affinities, seed) for seed in (0, 1))
    assert not one.same_pairs(other) and one.same_pairs(draw_task(affinities, 0))
