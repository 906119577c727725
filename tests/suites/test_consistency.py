"""Consistency against a slow twin, and copairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.suites.consistency import consistency
from polaris_rxrx.wells.metadata import Perturbations
from tests.conftest import copairs_map

LABELS = {
    "a": ["G0", "G1", "G2", "G3"],
    "b": ["G3", "G4", "G5", "FAR"],
    "c": ["G6", "G7"],
    "alone": ["G8", "FAR"],
}


def made(of: str = "CRISPR") -> Map:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(10, 6))
    x[:4] += 1
    x = x.astype(np.float32).astype(np.float64)
    names = [f"G{i}" for i in range(10)]
    return Map(Perturbations([of] * 10, names, np.full(10, np.nan)), x, np.ones(10, dtype=np.int64), {})


def test_it_is_its_twin() -> None:
    map_ = made()
    result = consistency(map_, LABELS, null_size=100)
    units = map_.x / np.linalg.norm(map_.x, axis=1)[:, None]
    shares = {i: {k for k, own in LABELS.items() if k != "alone" and f"G{i}" in own} for i in range(10)}
    annotated = [i for i in shares if shares[i]]
    assert result.tables["annotations"]["annotation"] == ["a", "b", "c"]
    rows = result.tables["queries"]
    k = 0
    for label, members in (("a", [0, 1, 2, 3]), ("b", [3, 4, 5]), ("c", [6, 7])):
        values = []
        for i in members:
            positives = [j for j in members if j != i]
            negatives = [j for j in annotated if j != i and not shares[i] & shares[j]]
            y = [1] * len(positives) + [0] * len(negatives)
            values.append(average_precision_score(y, units[positives + negatives] @ units[i]))
            assert rows["annotation"][k] == label and rows["perturbation"][k] == f"G{i}"
            assert rows["average_precision"][k] == pytest.approx(values[-1])
            assert rows["n_total"][k] == len(y)
            k += 1
        at = ["a", "b", "c"].index(label)
        assert result.tables["annotations"]["mean_average_precision"][at] == pytest.approx(np.mean(values))
    assert result.notes == ("1 of 4 annotations have fewer than two perturbations in the map",)


def test_it_is_copairs(tmp_path: Path) -> None:
    copairs = copairs_map()
    import pandas as pd
    from copairs.map import multilabel

    map_ = made()
    labels = {i: [k for k, own in LABELS.items() if f"G{i}" in own] for i in range(8)}
    meta = pd.DataFrame({"gene": list(labels), "label": list(labels.values())})
    feats = map_.x[:8].astype(np.float32)
    ap = multilabel.average_precision(meta, feats, ["label"], [], [], ["label"], "label", progress_bar=False)
    grouped = copairs.mean_average_precision(
        ap, ["label"], null_size=300, threshold=0.05, seed=2, cache_dir=tmp_path, progress_bar=False
    ).set_index("label")
    ours = consistency(map_, LABELS, positives_first=True, null_size=300, seed=2).tables["annotations"]
    for k, label in enumerate(ours["annotation"]):
        theirs = grouped.loc[label]
        assert ours["mean_average_precision"][k] == pytest.approx(theirs.mean_average_precision, rel=1e-6)
        assert ours["normalized"][k] == pytest.approx(theirs.mean_normalized_average_precision, rel=1e-5)
        assert ours["p_value"][k] == theirs.p_value
        assert ours["p_adjusted"][k] == pytest.approx(theirs.corrected_p_value)


def test_a_compound_stands_at_its_highest_dose() -> None:
    names, doses = ["x", "x", "y", "z", "w"], np.array([0.1, 1.0, 1.0, 1.0, 1.0])
    x = np.array([[-1.0, 0], [1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    map_ = Map(Perturbations(["COMPOUND"] * 5, names, doses), x, np.ones(5, dtype=np.int64), {})
    found = consistency(map_, {"t": ["x", "y"], "u": ["z", "w"]}, of="COMPOUND", null_size=10)
    assert found.tables["annotations"]["mean_average_precision"] == [1.0, 1.0]


def test_what_cannot_be_asked() -> None:
    with pytest.raises(DataError, match="none of the 1 annotations has two"):
        consistency(made(), {"a": ["G1"]})
    with pytest.raises(DataError, match="none is a negative"):
        consistency(made(), {"a": ["G1", "G2"]})
    with pytest.raises(UsageError, match="null_size is 0"):
        consistency(made(), LABELS, null_size=0)
