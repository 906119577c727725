"""Corrections against slow twins, and on an effect that was planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.correct import by_arm, read_arms
from polaris_rxrx.suites.gene_gene import evaluate_gene_gene
from polaris_rxrx.suites.relations import Relations
from polaris_rxrx.wells.metadata import Perturbations


def made(effect: float = 0.0) -> tuple[Map, dict[str, str]]:
    """200 genes on five arms, a compound, and a gene that no arm is known of."""
    names = [*(f"G{i:03d}" for i in range(200)), "NOWHERE", "drug"]
    arms = {f"G{i:03d}": f"{i % 5}p" for i in range(200)}
    x = np.random.default_rng(2).normal(size=(202, 12))
    if effect:
        x[:200] += effect * np.random.default_rng(3).normal(size=(5, 12))[np.arange(200) % 5]
    kinds = ["CRISPR"] * 201 + ["COMPOUND"]
    doses = np.r_[np.full(201, np.nan), 1.0]
    return Map(Perturbations(kinds, names, doses), x, np.ones(202, dtype=np.int64), {"align": "none"}), arms


@pytest.mark.parametrize(("n_silent", "kind"), [(0, "all"), (100, "unexpressed"), (60, "all")])
def test_it_is_its_twin(n_silent: int, kind: str) -> None:
    map_, arms = made()
    silent = {f"G{i:03d}" for i in range(n_silent)}
    found = by_arm(map_, arms, silent)
    for i, name in enumerate(map_.perturbations.name):
        on = [
            j
            for j, other in enumerate(map_.perturbations.name)
            if name in arms and arms.get(other) == arms[name]
        ]
        by = [j for j in on if map_.perturbations.name[j] in silent]
        by = by if len(by) >= 20 else on
        expected = map_.x[i] - sum(map_.x[j] for j in by) / len(by) if on else map_.x[i]
        np.testing.assert_allclose(found.x[i], expected, atol=1e-12)
    done = found.protocol["corrections"][0]
    assert done[f"arms_by_{kind}"] == ["0p", "1p", "2p", "3p", "4p"] and done["n_genes_without_arm"] == 1
    assert found.protocol["align"] == "none" and "corrections" not in map_.protocol


def test_what_was_planted_is_gone() -> None:
    """Relations across arms that are drowned by the arms' own likeness are found again."""
    map_, arms = made(effect=2.0)
    first = np.arange(0, 100)
    second = first + 101  # never the same arm
    map_.x[second] += map_.x[first] - np.array(
        [map_.x[first][first % 5 == k].mean(axis=0) for k in first % 5]
    )
    known = Relations(Path("r"), "", ("a", "b"), map_.perturbations.name, first, second)
    before, after = (
        evaluate_gene_gene(m, {"r": known}).summary["sources"]["r"]["recall"]
        for m in (map_, by_arm(map_, arms))
    )
    assert before < 0.5 < 0.8 < after


def test_small_arms_stay() -> None:
    map_, arms = made()
    arms |= {"G000": "21p"}
    found = by_arm(map_, arms)
    np.testing.assert_array_equal(found.x[0], map_.x[0])
    assert found.protocol["corrections"][0]["arms_left"] == ["21p"]


def test_what_cannot_be_corrected() -> None:
    map_, arms = made()
    with pytest.raises(UsageError, match="least is 0"):
        by_arm(map_, arms, least=0)
    with pytest.raises(DataError, match="no gene of the map"):
        by_arm(map_, {"TP53": "17p"})
    with pytest.raises(DataError, match="no chromosome arm has 99 genes"):
        by_arm(map_, arms, least=99)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene,place\nTP53,17p\n", "no column 'arm'"),
        ("gene,arm\nTP53,\n", "line 2: gene 'TP53', arm ''"),
        ("gene,arm\nTP53,17p\nTP53,3p\n", "line 3: 'TP53' is on '3p' here and on '17p' above"),
        ("gene,arm\n", "holds no genes"),
    ],
)
def test_tables_of_arms(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "arms.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_arms(path)
    path.write_text("gene,arm\nTP53,17p\nTP53,17p\nNA,1q\n")
    assert read_arms(path) == {"TP53": "17p", "NA": "1q"}
