"""The score report: against scikit-learn's loop, and against the client's rules written out in full."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import config_context
from sklearn.metrics import average_precision_score, roc_auc_score

from polaris_rxrx.errors import DataError
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.scoring import SCHEMA_VERSION, Score, score
from polaris_rxrx.task import MetricSpec, Task

MakeTask = Callable[..., Task]
METRICS: dict[str, Callable[..., float]] = {"pr_auc": average_precision_score, "roc_auc": roc_auc_score}
NAN = float("nan")
IGNORED = "of the groups by treatment; the client leaves them out, and so does this"


def predictions(values: Any) -> Predictions:
    return Predictions(np.asarray(values, dtype=np.float64), "preds.csv", "0" * 64)


def defined(label: str, y: Any) -> bool:
    """Whether the client's function gives a number for these labels."""
    return 1 in y if label == "pr_auc" else {0, 1} <= set(y.tolist())


def client(spec: MetricSpec, task: Task, values: Any) -> float:
    """polaris-lib's rules for one metric, group by group, with scikit-learn 1.5's AUROC (which raises)."""
    assert task.active is not None
    keys = np.array(task.inputs[spec.group_by] if spec.group_by else ["all"] * len(task), dtype=object)
    found = []
    for key in sorted(set(keys)):
        keep = (keys == key) & ~np.isnan(task.active)
        y, s = task.active[keep], np.asarray(values)[keep]
        if defined(spec.label, y):
            found.append(METRICS[spec.label](y, s))
        elif spec.on_error == "default":
            found.append(spec.default)
    return float(np.mean(found) if spec.aggregation == "mean" else np.median(found))


@pytest.fixture(scope="module")
def real_sized(make_task: MakeTask) -> tuple[Task, Any]:
    """17,500 pairs of 779 treatments: ties, missing labels, of one class, one pair, no label."""
    random = np.random.default_rng(7)
    treatments = [f"compound {i}" for i in (*range(779), *random.integers(0, 700, 17_500 - 779))]
    labels = random.choice([0, 1, None], size=17_500, p=[0.9, 0.08, 0.02])
    genes = [f"G{i}" for i in random.integers(0, 351, 17_500)]
    order = random.permutation(17_500)
    scores = np.where(random.random(17_500) < 0.3, random.integers(0, 4, 17_500), random.normal(size=17_500))
    return make_task([(treatments[i], genes[i], labels[i]) for i in order]), scores


@pytest.fixture(scope="module")
def real_score(real_sized: tuple[Task, Any]) -> Score:
    task, values = real_sized
    return score(task, predictions(values))


# --- the numbers -------------------------------------------------------------------------------------------


def slowly(label: str, y: Any, s: Any) -> float:
    """A metric from its definition: over pairs of labels, or down the thresholds; equal scores are one."""
    if label == "roc_auc":
        return float(np.mean(np.sign(s[y == 1][:, None] - s[y == 0]) / 2 + 0.5))
    precision = [y[s >= threshold].mean() for threshold in s[y == 1]]
    return float(np.mean(precision))


def test_equals_the_loop_over_scikit_learn(real_sized: tuple[Task, Any], real_score: Score) -> None:
    """scikit-learn takes milliseconds a treatment: every sixth is its, and is what the definition says."""
    task, values = real_sized
    assert task.active is not None
    found: dict[str, dict[str, float]] = {"pr_auc": {}, "roc_auc": {}}
    names = np.array(task.treatment)
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for i, name in enumerate(real_score.treatments):
            keep = (names == name) & ~np.isnan(task.active)
            y, s = task.active[keep], values[keep]
            for label, metric in METRICS.items():
                if defined(label, y):
                    found[label][name] = slowly(label, y, s)
                    if i % 6 == 0:
                        assert metric(y, s) == pytest.approx(found[label][name], abs=1e-12)
    for label, mean, median, counted in (
        ("pr_auc", real_score.pr_auc, real_score.pr_auc_median, real_score.n_scored_pr_auc),
        ("roc_auc", real_score.roc_auc, real_score.roc_auc_median, real_score.n_scored_roc_auc),
    ):
        expected = np.array(list(found[label].values()))
        assert mean == pytest.approx(expected.mean(), abs=1e-12)
        assert median == pytest.approx(np.median(expected), abs=1e-12)
        assert real_score.official[label] == mean
        assert counted == len(expected)
    table = real_score.columns()
    for column, label in (("average_precision", "pr_auc"), ("auroc", "roc_auc")):
        for name, value in zip(table["treatment"], table[column], strict=True):
            assert value == pytest.approx(found[label].get(name, NAN), abs=1e-12, nan_ok=True)
    left_out = {(g.treatment, metric) for g in real_score.left_out for metric in g.metrics}
    assert left_out == {(t, m) for m in METRICS for t in real_score.treatments if t not in found[m]}
    assert real_score.n_pairs == 17_500 and real_score.n_treatments == len(set(task.treatment)) == 779


def test_the_order_of_pairs_does_not_matter(
    make_task: MakeTask, real_sized: tuple[Task, Any], real_score: Score
) -> None:
    task, values = real_sized
    assert task.active is not None
    order = np.random.default_rng(1).permutation(len(task))
    labels = [None if np.isnan(a) else a for a in task.active]
    shuffled = make_task([(task.treatment[i], task.gene_symbol[i], labels[i]) for i in order])
    again = score(shuffled, predictions(values[order]))
    assert again.to_dict() == real_score.to_dict()


def test_strictly_monotone_transforms_leave_the_report_alone(
    real_sized: tuple[Task, Any], real_score: Score
) -> None:
    task, values = real_sized
    rank = np.unique(values, return_inverse=True)[1]
    for other in (values * 2, values * 2.0**-40, rank):
        assert score(task, predictions(other)).to_dict() == real_score.to_dict()


def test_all_tied_is_prevalence_and_half(task: Task) -> None:
    found = score(task, predictions(np.zeros(6)))
    assert found.pr_auc == pytest.approx((1 / 3 + 1 / 2) / 2, abs=1e-15)
    assert (found.roc_auc, found.roc_auc_median) == (0.5, 0.5)


# --- what is left out --------------------------------------------------------------------------------------


def test_left_out_is_named_counted_and_explained(make_task: MakeTask) -> None:
    task = make_task(
        [
            *(("both", g, a) for g, a in zip("abcd", (1, 0, 0, None), strict=True)),
            *(("no active", g, 0) for g in "abc"),
            *(("all active", g, 1) for g in "ab"),
            *(("no label", g, None) for g in "ab"),
        ]
    )
    found = score(task, predictions([1, 2, 0, 9, *range(7)]))
    both = ["pr_auc", "roc_auc"]
    assert found.to_dict()["left_out"] == [
        {
            "treatment": "all active",
            "metrics": ["roc_auc"],
            "n_pairs": 2,
            "n_active": 2,
            "reason": "every pair is active",
        },
        {"treatment": "no active", "metrics": both, "n_pairs": 3, "n_active": 0, "reason": "no active pair"},
        {
            "treatment": "no label",
            "metrics": both,
            "n_pairs": 0,
            "n_active": 0,
            "reason": "no pair has a label",
        },
    ]
    assert (found.pr_auc, found.roc_auc) == ((1 / 2 + 1) / 2, 1 / 2)
    assert (found.n_scored_pr_auc, found.n_scored_roc_auc) == (2, 1)
    assert (found.n_pairs, found.n_treatments) == (11, 4)
    assert found.columns() == {
        "treatment": ["all active", "both", "no active", "no label"],
        "n_pairs": [2, 3, 3, 0],
        "n_active": [2, 1, 0, 0],
        "average_precision": pytest.approx([1, 0.5, NAN, NAN], nan_ok=True),
        "auroc": pytest.approx([NAN, 0.5, NAN, NAN], nan_ok=True),
        "chance_average_precision": pytest.approx([1, 11 / 18, NAN, NAN], nan_ok=True),
        "normalised_average_precision": pytest.approx(
            [NAN, (1 / 2 - 11 / 18) / (7 / 18), NAN, NAN], nan_ok=True
        ),
    }
    assert found.per_treatment()["treatment"].tolist() == list(found.treatments)
    assert list(found.notes) == [
        f"pr_auc is undefined for 2 {IGNORED}",
        "roc_auc is undefined for 3 of the groups by treatment; they are left out here. The client "
        "prints nan with scikit-learn 1.6 or later, and follows on_error=ignore with 1.5",
    ]


def test_nothing_is_left_out_where_everything_is_defined(make_task: MakeTask) -> None:
    found = score(make_task([("A", "a", 1), ("A", "b", 0)]), predictions([2, 1]))
    assert (found.left_out, found.notes) == ((), ())


def test_no_auroc_at_all(make_task: MakeTask) -> None:
    report = score(make_task([("A", "a", 1), ("A", "b", 1)]), predictions([2, 1])).to_dict()
    assert (report["pr_auc"], report["roc_auc"], report["roc_auc_median"]) == (1, None, None)
    assert report["official"] == {"pr_auc": 1, "roc_auc": None}


# --- the benchmark's own metrics ---------------------------------------------------------------------------

GROUPED = [
    MetricSpec(name="m", label=label, group_by=group_by, aggregation=aggregation, on_error="ignore")
    for label in METRICS
    for group_by in ("treatment", "gene_symbol", None)
    for aggregation in ("mean", "median")
]


@pytest.mark.parametrize("spec", GROUPED, ids=lambda s: f"{s.label}-{s.group_by}-{s.aggregation}")
@pytest.mark.parametrize("handling", [("ignore", None), ("raise", None), ("default", 0.25), ("default", 0.0)])
def test_official_metrics_follow_the_specification(
    make_task: MakeTask, spec: MetricSpec, handling: tuple[Any, float | None]
) -> None:
    spec = spec.model_copy(update={"on_error": handling[0], "default": handling[1]})
    random = np.random.default_rng(3)
    pairs = [(f"T{t}", f"G{g}", random.choice([1, 0, None])) for t in range(9) for g in range(4)]
    pairs += [("none", "G1", 0), ("none", "G2", 0), ("unlabelled", "H", None), ("all", "G1", 1)]
    task = make_task(pairs, metrics=[spec])
    values = random.integers(0, 5, len(pairs)).astype(float)
    found = score(task, predictions(values))
    assert found.main_value == found.official["m"]
    assert found.main_value == pytest.approx(client(spec, task, values), abs=1e-12)
    # Whatever the benchmark's own metrics are, these two are the means over treatments.
    for label, mean in (("pr_auc", found.pr_auc), ("roc_auc", found.roc_auc)):
        plain = MetricSpec(name="m", label=label, group_by="treatment", on_error="ignore")
        assert mean == pytest.approx(client(plain, task, values), abs=1e-12)


@pytest.mark.parametrize(
    ("spec", "note"),
    [
        ({"label": "pr_auc", "on_error": "ignore"}, "the client leaves them out, and so does this"),
        ({"label": "pr_auc", "on_error": "raise"}, "they are left out here, the client stops with an error"),
        (
            {"label": "pr_auc", "on_error": "default", "default": 0.5},
            "each counts as 0.5, as in the client",
        ),
        (
            {"label": "roc_auc", "on_error": "raise"},
            "they are left out here. The client prints nan with scikit-learn 1.6 or later, and follows "
            "on_error=raise with 1.5",
        ),
        (
            {"label": "roc_auc", "on_error": "default", "default": 0.5},
            "each counts as 0.5 here. The client prints nan with scikit-learn 1.6 or later, and follows "
            "on_error=default with 1.5",
        ),
    ],
)
def test_a_note_says_what_the_client_makes_of_undefined_groups(
    make_task: MakeTask, spec: dict[str, Any], note: str
) -> None:
    metric = MetricSpec(name="mine", group_by="treatment", **spec)
    task = make_task([("A", "a", 1), ("A", "b", 0), ("B", "a", 0)], metrics=[metric])
    assert score(task, predictions([3, 2, 1])).notes == (
        f"mine is undefined for 1 of the groups by treatment; {note}",
    )


def test_a_group_without_labels_raises_in_every_client(make_task: MakeTask) -> None:
    metric = MetricSpec(name="roc_auc", label="roc_auc", group_by="treatment", on_error="ignore")
    task = make_task([("A", "a", 1), ("A", "b", 0), ("B", "a", None)], metrics=[metric])
    assert score(task, predictions([3, 2, 1])).notes == (f"roc_auc is undefined for 1 {IGNORED}",)


@pytest.mark.parametrize(
    ("spec", "note"),
    [
        ({"label": "f1"}, "mine is not computed here; `score --official` asks the client for it"),
        ({"label": "pr_auc", "group_by": "dose"}, "mine is not computed here;"),
        ({"label": "roc_auc"}, "mine is undefined: the labels are of one class"),
    ],
)
def test_a_metric_without_a_value(make_task: MakeTask, spec: dict[str, Any], note: str) -> None:
    metrics = [
        MetricSpec(name="mine", **spec),
        MetricSpec(name="pr_auc", label="pr_auc", group_by="treatment"),
    ]
    found = score(make_task([("A", "a", 1), ("B", "b", 1)], metrics=metrics), predictions([1, 2]))
    assert found.main_metric == "mine" and found.main_value is None
    assert found.official == {"mine": None, "pr_auc": 1}
    assert len(found.notes) == 1 and found.notes[0].startswith(note)


# --- what cannot be scored, and the report -----------------------------------------------------------------


def test_a_competition_says_so(make_task: MakeTask) -> None:
    with pytest.raises(DataError, match=r"^someone/small is a competition: its labels stay on the Hub"):
        score(make_task([("A", "a", None)], labels=False), predictions([1]))


@pytest.mark.parametrize("labels", [[0, 0], [None, None], [0, None], []])
def test_no_active_at_all(make_task: MakeTask, labels: list[int | None]) -> None:
    task = make_task([("A", f"G{i}", label) for i, label in enumerate(labels)])
    with pytest.raises(DataError, match="no treatment has an active pair, so nothing can be scored"):
        score(task, predictions([1.0] * len(labels)))


def test_the_json_report(task: Task) -> None:
    filled = Predictions(np.array([3.0, 2, 1, 0, 0, 0]), "a/preds.csv", "f" * 64, filled=3, fill=-0.5)
    report = score(task, filled).to_dict()
    assert json.loads(json.dumps(report, allow_nan=False)) == {
        "schema_version": SCHEMA_VERSION,
        "task": "someone/small",
        "predictions": "a/preds.csv",
        "predictions_sha256": "f" * 64,
        "matched_by": [],
        "columns_left_out": [],
        "filled": {"n_pairs": 3, "score": -0.5},
        "main_metric": "pr_auc",
        "main_value": 0.75,
        "official": {"pr_auc": 0.75, "roc_auc": 0.75},
        "pr_auc": 0.75,
        "roc_auc": 0.75,
        "pr_auc_median": 0.75,
        "roc_auc_median": 0.75,
        "pr_auc_above_chance": pytest.approx(0.75 - 0.5 * (19 / 36 + 5 / 6), abs=1e-12),
        "pr_auc_about_compound": pytest.approx(0.75 - 0.5 * (19 / 36 + 5 / 6), abs=1e-12),
        "n_pairs": 6,
        "n_treatments": 3,
        "n_scored_pr_auc": 2,
        "n_scored_roc_auc": 2,
        "left_out": [
            {
                "treatment": "Eugenol (no structure)",
                "metrics": ["pr_auc", "roc_auc"],
                "n_pairs": 1,
                "n_active": 0,
                "reason": "no active pair",
            }
        ],
        "notes": [
            f"pr_auc is undefined for 1 {IGNORED}",
            "roc_auc is undefined for 1 of the groups by treatment; they are left out here. The client "
            "prints nan with scikit-learn 1.6 or later, and follows on_error=ignore with 1.5",
            "3 absent pairs were scored -0.5",
        ],
    }
