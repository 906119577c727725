"""Submissions made to leak, and honest ones: what the audit says of each, over several seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from polaris_rxrx.audit import Audit, Check, audit
from polaris_rxrx.audit.leaks import Labeled, above_published
from polaris_rxrx.audit.order import one_order, repeated_pairs
from polaris_rxrx.audit.result import AuditFigures
from polaris_rxrx.dataset.affinities import draw, read_affinities
from polaris_rxrx.quick import holds_labels
from polaris_rxrx.stats.intervals import Interval
from polaris_rxrx.task import Task
from tests.audit.conftest import predictions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Make = Callable[[Floats, Ints, np.random.Generator], Floats]
SEEDS = range(3)


def audited(task: Task, make: Make, seed: int) -> Audit:
    assert task.active is not None
    group, _ = task.groups("treatment")
    values = make(task.active, group, np.random.default_rng(seed + 100))
    return audit(task, predictions(values), resamples=400)


def treatments(share: float, group: Ints, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Marks the pairs of a share of the treatments."""
    return (rng.random(int(group.max()) + 1) < share)[group]


def noise(y: Floats, g: Ints, rng: np.random.Generator) -> Floats:
    return rng.normal(size=len(y))


def good(effect: float, spread: float = 0.0) -> Make:
    """An honest model: actives higher by so much, more in some treatments than in others."""

    def make(y: Floats, g: Ints, rng: np.random.Generator) -> Floats:
        return y * rng.normal(effect, spread, int(g.max()) + 1)[g] + rng.normal(size=len(y))

    return make


def leak(share: float, base: Make, how: Callable[[Floats, Floats], Floats]) -> Make:
    """Labels in a share of the treatments, `base` elsewhere."""

    def make(y: Floats, g: Ints, rng: np.random.Generator) -> Floats:
        honest = base(y, g, rng)
        return np.where(treatments(share, g, rng), how(y, honest), honest)

    return make


def exact(y: Floats, s: Floats) -> Floats:
    return y


def on_top(y: Floats, s: Floats) -> Floats:
    return 50 * y + s


FAILS: dict[str, tuple[Make, str]] = {
    "labels": (lambda y, g, r: y, "labels"),
    "labels on another scale": (lambda y, g, r: 3 + 1e-9 * y, "labels"),
    "labels upside down": (lambda y, g, r: 1 - 2 * y, "labels"),
    "labels, each treatment on its own scale": (
        lambda y, g, r: y * r.uniform(1, 2, g.max() + 1)[g] + g,
        "labels",
    ),
    "labels and a little noise": (lambda y, g, r: y + 0.05 * noise(y, g, r), "separation"),
    "labels in a fifth": (leak(0.2, noise, exact), "labels"),
    "labels on top in a fifth": (leak(0.2, noise, on_top), "separation"),
    "labels on top in a fifth of a good model": (leak(0.25, good(0.7, 0.7), on_top), "separation"),
    "labels and noise": (lambda y, g, r: 0.7 * y + r.random(len(y)), "published"),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FAILS)
def test_leaked_labels_are_caught(tasks: list[Task], name: str, seed: int) -> None:
    make, check = FAILS[name]
    found = audited(tasks[seed], make, seed)
    assert found.check(check).verdict == "fail", found.check(check)
    assert check in [c.name for c in found.failed]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("make", "check"),
    [
        (lambda y, g, r: 0.7 * y + noise(y, g, r) * 0.7, "published"),
        (leak(0.1, noise, on_top), "separation"),
    ],
)
def test_weaker_leaks_are_warned_of(tasks: list[Task], make: Make, check: str, seed: int) -> None:
    assert audited(tasks[seed], make, seed).check(check).verdict in ("warn", "fail")


HONEST: dict[str, Make] = {
    "random": noise,
    "weak": good(0.2),
    "good": good(0.7),
    "uneven": good(0.7, 0.7),
    "strong": good(1.0, 0.5),
    "rounded": lambda y, g, r: good(0.7)(y, g, r).round(1),
    "one hit": lambda y, g, r: (good(1.0)(y, g, r) > 1.8).astype(float),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", HONEST)
def test_honest_submissions_do_not_fail(tasks: list[Task], name: str, seed: int) -> None:
    found = audited(tasks[seed], HONEST[name], seed)
    assert found.failed == []
    assert found.check("labels").verdict == found.check("separation").verdict == "ok"


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_that_rank_nothing(tasks: list[Task], seed: int) -> None:
    task = tasks[seed]
    gene, _ = task.groups("gene_symbol")
    flat = audited(task, lambda y, g, r: g.astype(float), seed)
    assert flat.check("constant").verdict == "fail" and "ranks nothing" in flat.check("constant").words
    some = audited(task, lambda y, g, r: np.where(g < 5, 1e9, noise(y, g, r)), seed)
    assert some.check("constant").verdict == "warn"
    assert some.check("constant").evidence["names"] == [f"c{t:03}" for t in range(5)]
    assert "'c000', 'c001', 'c002', 'c003' and 1 more" in some.check("constant").words
    tied = audited(task, lambda y, g, r: r.integers(0, 4, len(y)).astype(float), seed)
    assert tied.check("ties").verdict == "warn" and "4 different scores" in tied.check("ties").words

    per_gene = np.random.default_rng(seed).normal(size=100)
    blind = audited(task, lambda y, g, r: np.exp(per_gene[gene]) * (1 + g), seed)  # a scale a treatment
    assert blind.check("compound-blind").verdict == "fail"
    assert blind.check("compound-blind").evidence["one_order"] is True
    nearly = audited(task, lambda y, g, r: per_gene[gene] + 0.2 * noise(y, g, r), seed)
    assert nearly.check("compound-blind").verdict == "warn"
    half = [s for s in nearly.shortcuts if s.shortcut.kind.name == "compound-blind"]
    assert half[0].correlation > 0.9

    rows = audited(task, lambda y, g, r: -np.arange(len(y)) / 7, seed)
    assert rows.check("row-order").verdict == "fail"
    back = audited(task, lambda y, g, r: np.arange(len(y)) + 400 * noise(y, g, r) * 0.02, seed)
    assert (
        back.check("row-order").verdict in ("fail", "warn")
        and back.check("row-order").evidence["correlation"] < 0
    )


def test_rows_that_tell_the_labels(make_task: Callable[..., Task]) -> None:
    pairs = [(f"c{t}", f"g{(3 * t + i) % 50}", float(i < 2)) for t in range(60) for i in range(22)]
    found = audited(make_task(pairs), noise, 0).check("row-order")
    assert found.verdict == "warn" and "tells the labels" in found.words


@pytest.mark.parametrize("seed", SEEDS)
def test_some_liking_for_genes_is_no_fault(tasks: list[Task], seed: int) -> None:
    gene, _ = tasks[seed].groups("gene_symbol")
    liked = np.random.default_rng(seed).normal(size=100)[gene]
    found = audited(tasks[seed], lambda y, g, r: 0.8 * liked + good(0.7)(y, g, r), seed)
    check = found.check("compound-blind")
    assert check.verdict == "ok" and 0.2 < check.evidence["correlation"] < 0.6


def test_a_shortcut_is_beaten_only_beyond_chance(tasks: list[Task]) -> None:
    ahead_by_chance = 0
    for seed in SEEDS:
        found = audited(tasks[seed], good(0.1), seed)
        check = found.check("shortcuts")
        expected = {s.shortcut.kind.name for s in found.shortcuts if s.difference <= 0 or s.p_value >= 0.05}
        assert set(check.evidence["not_beaten"]) == expected and check.verdict == "warn"
        ahead_by_chance += sum(s.difference > 0 and s.p_value >= 0.05 for s in found.shortcuts)
    assert ahead_by_chance


@pytest.mark.parametrize(
    ("low", "verdict"),
    [(0.30, "ok"), (0.32, "warn"), (0.64, "warn"), (0.67, "fail"), (np.nan, "not checked")],
)
def test_the_whole_interval_has_to_be_above(low: float, verdict: str) -> None:
    found = above_published(AuditFigures(0.7, Interval(low, 0.8), 0.5, 0.5, 0.5))
    assert found.verdict == verdict and found.evidence["highest_published"] == 0.309


# --- the pieces --------------------------------------------------------------------------------------------


def labeled(active: list[int], score: list[float], group: list[int]) -> Labeled:
    names = [f"<img {i}>" for i in range(max(group) + 1)]
    n = len(group)
    return Labeled(
        np.array(active, float), np.array(score, float), np.array(group), names, np.arange(n), np.zeros(n)
    )


def matches(x: Check) -> int:
    n: int = x.evidence["treatments_that_match"]
    return n


def test_two_values_that_are_the_labels() -> None:
    y = [1, 0, 0]
    assert matches(holds_labels(labeled(y, [5, 2, 2], [0, 0, 0]))) == 1
    assert matches(holds_labels(labeled(y, [2, 5, 5], [0, 0, 0]))) == 1
    assert matches(holds_labels(labeled(y, [5, 2, 2.5], [0, 0, 0]))) == 0  # three values
    assert matches(holds_labels(labeled(y, [5, 5, 2], [0, 0, 0]))) == 0
    assert matches(holds_labels(labeled([1, 1, 1], [5, 5, 2], [0, 0, 0]))) == 0  # one class
    assert matches(holds_labels(labeled(y, [4, 4, 4], [0, 0, 0]))) == 0


def test_few_pairs_prove_nothing_but_all_of_them_warn() -> None:
    some = holds_labels(labeled([1, 0, 0, 1, 0], [5, 2, 2, 1, 3], [0, 0, 0, 1, 1]))
    assert some.verdict == "warn"  # [1, 3] is upside down: two values always are the labels, or not
    assert holds_labels(labeled([1, 0, 0, 1, 0, 0], [5, 2, 2, 1, 3, 4], [0] * 3 + [1] * 3)).verdict == "ok"
    assert "'<img 0>'" in some.words


@given(st.integers(0, 10_000), st.integers(1, 3), st.booleans())
def test_one_order_is_found_if_there_is_one(seed: int, levels: int, spoilt: bool) -> None:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(6), 5)
    gene = np.concatenate([rng.choice(9, 5, replace=False) for _ in range(6)])
    rank = rng.integers(0, 3 * levels, 9).astype(float)
    score = rank[gene] * (1 + group) + group
    if spoilt:
        score = rng.integers(0, 4, len(gene)).astype(float)
    assert one_order(gene, score, group) == acyclic(gene, score, group)
    assert spoilt or one_order(gene, score, group)


def acyclic(gene: Ints, score: Floats, group: Ints) -> bool:
    """Whether "higher somewhere", closed transitively, ever leads from a gene to itself."""
    above = np.zeros((9, 9), dtype=bool)
    for i in range(len(gene)):
        for j in range(len(gene)):
            if group[i] == group[j] and score[i] > score[j]:
                above[gene[i], gene[j]] = True
    for k in range(9):
        above |= above[:, [k]] & above[[k], :]
    return not above.diagonal().any()


def test_repeated_pairs_are_counted() -> None:
    gene, group = np.array([0, 1, 2, 1, 2, 0, 2, 3]), np.array([0, 0, 0, 1, 1, 2, 2, 2])
    assert repeated_pairs(gene, group, 3) == 2  # 1-2 and 0-2
    assert repeated_pairs(gene, group, 3, most=3) == 1  # stops once it has seen enough
    assert repeated_pairs(np.arange(5), np.arange(5), 5) == 0


def test_little_overlap_is_not_checked(make_task: Callable[..., Task]) -> None:
    task = make_task([(f"c{t}", f"g{t}-{i}", float(i == 0)) for t in range(30) for i in range(5)])
    found = audit(task, predictions(np.arange(150)), resamples=100).check("compound-blind")
    assert found.verdict == "not checked" and "20 are needed" in found.words


def test_the_real_annotations(shared_data: Path, make_task: Callable[..., Task]) -> None:
    """On the benchmark's own pairs: leaks fail, an honest model does not; popular genes are a shortcut."""
    drawn = draw(read_affinities(shared_data / "compound_gene_interactions.csv"), seed=0)
    task = make_task(list(zip(drawn.treatment, drawn.gene_symbol, drawn.active, strict=True)))
    honest = audited(task, good(0.5, 0.5), 0)
    assert honest.failed == []
    popular = {s.shortcut.kind.name: s for s in honest.shortcuts}["gene-popularity"]
    assert popular.figures.pr_auc == pytest.approx(0.347, abs=5e-4)  # as docs/guides/beat-openphenom.md says
    assert honest.chance == pytest.approx(0.222, abs=5e-4) and popular.figures.roc_auc > 0.6
    assert audited(task, leak(0.2, good(0.2), on_top), 0).check("separation").verdict == "fail"
    assert audited(task, leak(0.2, noise, exact), 0).check("labels").verdict == "fail"
