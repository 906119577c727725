"""Local rows and their ranks, published blocks that are never ranked, and both as JSON."""

from __future__ import annotations

import dataclasses
import json
from itertools import combinations, permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from polaris_rxrx.comparison import Difference
from polaris_rxrx.errors import UsageError
from polaris_rxrx.leaderboard.board import CLOSING, Board, Local, blocks, local, ranks
from polaris_rxrx.leaderboard.gather import Entry, UnfitEntry
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.scoring import Score, score
from polaris_rxrx.stats.paired import holm
from polaris_rxrx.suites import published
from polaris_rxrx.task import Task
from tests.conftest import MakeTask

Floats = NDArray[np.float64]
HOSTILE = "<img src=x onerror=alert(1)>"


def entry(name: str, **more: Any) -> Entry:
    return Entry(**{**dict.fromkeys(("sha256", "card", "supervision", "sent", "url")), "name": name,
                    "file": f"{name}.csv", **more})  # fmt: skip


def made(task: Task, columns: dict[str, Floats]) -> list[tuple[Entry, Score]]:
    """Scores whose average precision a treatment is what is given."""
    out = []
    for i, (name, values) in enumerate(columns.items()):
        whole = score(task, Predictions(np.arange(len(task)) + i * 0.001, name))
        groups = dataclasses.replace(whole.groups, average_precision=values)
        held = dataclasses.replace(whole, groups=groups, pr_auc=float(values.mean()))
        out.append((entry(name), held))
    return out


@pytest.fixture(scope="module")
def large(make_task: MakeTask) -> Task:
    """200 treatments, two pairs each."""
    return make_task([(f"t{i:03}", g, float(g == "A")) for i in range(200) for g in "AB"])


def pairs(found: Local) -> tuple[Difference, ...]:
    return () if found.comparison is None else found.comparison.differences


def by_name(found: Local) -> dict[str, int | None]:
    return {row.name: row.rank for row in found.rows}


def test_noise_shares_a_rank_and_random_is_below(large: Task) -> None:
    rng = np.random.default_rng(0)
    model = rng.beta(3, 3, 200)
    found = local(
        large,
        made(
            large,
            {
                "random": rng.beta(1, 4, 200),
                "a little noise": model + rng.normal(0, 0.01, 200),
                "model": model,
            },
        ),
    )
    assert by_name(found) == {"model": 1, "a little noise": 1, "random": 3}
    assert [row.name for row in found.rows][-1] == "random"
    assert [row.value for row in found.rows] == sorted([row.value for row in found.rows], reverse=True)  # type: ignore[type-var]
    tie = next(p for p in pairs(found) if 2 not in (p.first, p.second))
    assert tie.verdict == "tie" and tie.p_corrected >= 0.05
    assert [p.verdict for p in pairs(found) if p is not tie] == ["better", "better"]
    assert (
        found.to_dict()["method"]["sign_flips"] == 10_000
        and found.rule is not None
        and "all 3 pairs" in found.rule
    )


def test_ties_are_not_transitive(large: Task) -> None:
    """First and second are a tie, second and third are, first and third are not: ranks 1, 1, 2."""
    rng = np.random.default_rng(4)
    middle = rng.normal(0.5, 0.05, 200)
    step = np.full(200, 0.006)  # about 1.7 standard errors from one to the next, 3.4 over both
    one, two = (step + x - x.mean() for x in rng.normal(0, 0.05, (2, 200)))
    two = two - np.dot(two - two.mean(), one - one.mean()) / np.dot(one - one.mean(), one - one.mean()) * (
        one - one.mean()
    )
    two -= 0.9 * (one - one.mean())  # what the steps add up to varies less than either
    found = local(large, made(large, {"a": middle + one, "b": middle, "c": middle - two}))
    verdicts = {(p.first, p.second): p.verdict for p in pairs(found)}
    assert verdicts == {(0, 1): "tie", (1, 2): "tie", (0, 2): "better"}
    assert by_name(found) == {"a": 1, "b": 1, "c": 2}


@pytest.mark.parametrize("seed", range(4))
def test_ranks_and_corrected_p_values_are_recomputed_from_the_pairs(large: Task, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = {f"m{i}": rng.normal(0.3 + 0.004 * i, 0.02 + 0.1 * (i % 3), 200) for i in range(7)}
    found = local(large, made(large, columns), seed=seed)
    assert len(pairs(found)) == 21
    names = [row.name for row in found.rows]
    for p in pairs(found):
        d = columns[names[p.first]] - columns[names[p.second]]
        assert p.mean == pytest.approx(d.mean())
        assert (p.verdict == "tie") == (p.p_corrected >= 0.05)
        assert p.verdict == "tie" or (p.verdict == "better") == (d.mean() > 0)
    assert [p.p_corrected for p in pairs(found)] == holm([p.p_value for p in pairs(found)])
    for i, row in enumerate(found.rows):
        better = sum(
            (p.second == i and p.verdict == "better") or (p.first == i and p.verdict == "worse")
            for p in pairs(found)
        )
        assert row.rank == 1 + better
    assert set(by_name(found).values()) != {1}


@given(st.integers(1, 7), st.data())
def test_ranks_against_the_rule_read_aloud(n: int, data: st.DataObject) -> None:
    found, beats = [], set()
    for a, b in combinations(range(n), 2):
        verdict = data.draw(st.sampled_from(["better", "worse", "tie"]), label=f"{a} against {b}")
        found.append(SimpleNamespace(first=a, second=b, verdict=verdict))
        beats |= {"better": {(a, b)}, "worse": {(b, a)}, "tie": set()}[verdict]
    expected = []
    for row in range(n):
        better = 0
        for other in range(n):
            if (other, row) in beats:
                better += 1
        expected.append(1 + better)
    assert ranks(n, found) == expected  # type: ignore[arg-type]


def test_the_order_given_does_not_matter(large: Task) -> None:
    rng = np.random.default_rng(5)
    columns = made(large, {f"m{i}": rng.normal(0.3 + 0.02 * i, 0.1, 200) for i in range(4)})
    every = [local(large, order).to_dict() for order in permutations(columns)]
    assert len(every) == 24 and all(found == every[0] for found in every)


def test_a_row_is_what_score_says(large: Task) -> None:
    scores = [
        score(large, Predictions(np.random.default_rng(i).random(len(large)), str(i))) for i in range(2)
    ]
    for metric, other in (("pr_auc", "roc_auc"), ("roc_auc", "pr_auc")):
        found = local(large, [(entry(str(i)), s) for i, s in enumerate(scores)], metric)  # type: ignore[arg-type]
        assert found.n_pairs == 400 and found.n_treatments == 200
        for row in found.rows:
            own = scores[int(row.name)]
            ends = own.uncertainty().__getitem__(metric).interval
            assert row.interval == (ends.low, ends.high)
            assert row.value == pytest.approx(getattr(own, metric), abs=1e-12)
            assert getattr(row, metric) == getattr(own, metric) and getattr(row, other) == getattr(own, other)
            assert row.grade == "computed here"


def test_the_very_same_scores_are_one_row(large: Task) -> None:
    values = np.random.default_rng(0).integers(-1, 2, len(large)).astype(float)
    held = [
        (entry("b", supervision="targets"), score(large, Predictions(values, "b"))),
        (
            entry("a", supervision="zero-shot"),
            score(large, Predictions(values * np.where(values, 1, -1), "a")),
        ),
        (entry("c"), score(large, Predictions(-values, "c"))),
    ]
    found = local(large, held)
    folded = next(row for row in found.rows if len(row.entries) == 2)
    assert folded.name == "a = b" and folded.of("supervision") == ["zero-shot", "targets"]
    assert len(found.rows) == 2 and len(pairs(found)) == 1
    assert found.notes == ("a = b: the very same scores, so one row",)
    alone = local(large, held[:2])
    assert by_name(alone) == {"a = b": 1} and pairs(alone) == () and alone.rule is None
    assert alone.notes[0] == "one row: rank 1 without a test"


def test_too_few_treatments(make_task: MakeTask) -> None:
    task = make_task(
        [("a", "G", 1), ("a", "H", 0), ("b", "G", 0), ("b", "H", 0), ("c", "G", 1), ("c", "H", 1)]
    )

    def rows(metric: Any) -> Local:
        given = [Predictions(np.arange(6.0) * sign, str(sign)) for sign in (1, -1)]
        return local(task, [(entry(p.source), score(task, p)) for p in given], metric)

    two = rows("pr_auc")
    assert two.n_treatments == 2 and by_name(two) == {"1": 1, "-1": 1}
    assert two.notes == ("2 treatments are too few to tell any of 1 differences from noise",)
    one = rows("roc_auc")
    assert one.n_treatments == 1 and set(by_name(one).values()) == {None} and pairs(one) == ()
    assert one.notes[0].startswith("no ranks: AUROC is defined for 1 of the treatments; at least 2 are")
    assert [row.interval for row in one.rows] == [None, None] and one.rows[0].value == 1.0
    actives = make_task([("a", "G", 1), ("b", "G", 1)])
    none = local(actives, [(entry("x"), score(actives, Predictions(np.arange(2.0), "x")))], "roc_auc")
    assert (none.rows[0].rank, none.rows[0].value, none.n_treatments) == (None, None, 0)
    assert none.notes[0].startswith("no ranks")


def test_misuse(task: Task) -> None:
    with pytest.raises(UsageError, match="no submissions were given"):
        local(task, [])
    scored = [(entry("x"), score(task, Predictions(np.arange(6.0), "x")))]
    with pytest.raises(UsageError, match="metric is 'f1'; expected pr_auc or roc_auc"):
        local(task, scored, "f1")  # type: ignore[arg-type]


def keys(document: Any) -> set[str]:
    if isinstance(document, dict):
        return set(document).union(*map(keys, document.values()))
    return set().union(*map(keys, document)) if isinstance(document, list) else set()


def test_no_published_row_has_a_rank_and_every_figure_is_there(task: Task) -> None:
    document = Board(None, (), blocks(), ()).to_dict()
    assert not {"rank", "ranks", "place"} & keys(json.loads(json.dumps(document)))
    assert document["closing"] == CLOSING and "cannot be ranked" in CLOSING
    shown = {}
    for block in blocks():
        assert block.protocol and block.source and block.grade
        for of in block.lists:
            values = [row.value for row in of.rows]
            assert values == sorted(values, reverse=True)
            for row in of.rows:
                shown[block.table, row.model, of.quantity, of.at] = (row.value, row.spread)
                if row.z is not None:
                    shown[block.table, row.model, f"{of.quantity}_z", of.at] = (row.z, None)
                assert row.grade == block.grade
    assert shown == {
        (name, f.model, f.quantity, f.at): (f.value, f.spread)
        for name in published.ALL
        for f in published.load(name).figures()
    }


@given(st.integers(0, 1000))
def test_the_order_of_blocks_has_nothing_to_do_with_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tables = []
    for name in published.ALL:
        raw = published.load(name).model_dump(mode="python", exclude_none=True)
        for group in raw["groups"]:
            for figure in group["figures"]:
                figure["value"] = float(rng.random())
        tables.append(published.Published.model_validate(raw))

    def order(of: Any) -> list[Any]:
        return [(b.table, b.suite, [(f.quantity, f.at) for f in b.lists]) for b in of]

    assert order(blocks(tables)) == order(blocks())
    assert list(dict.fromkeys(b.table for b in blocks())) == list(published.ALL)


def test_second_hand_is_said_and_supervision_kept() -> None:
    held = {block.table: block for block in blocks()}
    assert held["arxiv-2411.02572"].grade == "transcribed, second-hand"
    assert "Not known in detail" in held["arxiv-2411.02572"].protocol and held["arxiv-2411.02572"].known == {}
    assert held["table4"].grade == "author-reported"
    (cwa,) = held["arxiv-2509.19896"].lists
    assert (cwa.rows[0].model, cwa.rows[0].supervision) == ("CWA-MSN", "perturbation-labels")


def test_the_whole_as_json(large: Task) -> None:
    rng = np.random.default_rng(0)
    found = local(large, made(large, {HOSTILE: rng.random(200), 'a,"b"\n': rng.random(200)}))
    board = Board(found, (UnfitEntry("NA", "NA/submission.toml", "broken"),), blocks(), ("a note",))
    document = board.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False))["schema_version"] == 1
    assert {document["local"]["comparisons"][0][k] for k in ("first", "second")} == {HOSTILE, 'a,"b"\n'}
    assert document["local"]["method"]["n_comparisons"] == 1 and document["notes"] == ["a note"]
    assert document["left_out"] == [{"name": "NA", "file": "NA/submission.toml", "reason": "broken"}]
    assert document["local"]["rows"][0]["entries"][0]["name"] in (HOSTILE, 'a,"b"\n')
