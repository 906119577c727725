"""Random embeddings of drug-target give the same scores wherever they are drawn; few are drawn here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx.parallel import Here, Processes
from polaris_rxrx.suites import random_scores
from polaris_rxrx.suites.drug_target import Protocol, evaluate_drug_target
from polaris_rxrx.suites.random_scores import Kept, Seeds, score_random
from polaris_rxrx.suites.sampled import EqualDraws

N_SEEDS, DOSES, ROWS, COLUMNS = 7, 3, 9, 20


class Backward(Here):
    """The last seed first, each done twice, as where a worker died."""

    def run(self, function: Any, items: Any) -> Iterator[tuple[int, Any]]:
        for i in reversed(range(len(items))):
            function(items[i])
            yield i, function(items[i])


class Nobody(Here):
    def run(self, function: Any, items: Any) -> Iterator[tuple[int, Any]]:
        raise AssertionError("nobody was to be asked")


def seeds(*, by_compound: bool = True, largest: bool = True, known: bool = False) -> Seeds:
    """Rows with 2 of 6 or 1 of 4 pairs active; a third of the similarities unknown, unless all are known."""
    rng = np.random.default_rng(3)
    rows = rng.permutation(ROWS)
    groups = [
        EqualDraws(
            np.sort(own),
            a,
            np.array([[rng.choice(COLUMNS, k, replace=False) for _ in range(N_SEEDS)] for _ in own]),
        )
        for own, a, k in ((rows[:5], 2, 6), (rows[5:], 1, 4))
    ]
    unknown = rng.random((DOSES, ROWS, COLUMNS)) < (0 if known else 0.3)
    return Seeds(groups, unknown, largest, N_SEEDS, 16, by_compound, absolute=True, random_seed=5)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("by_compound", [True, False])
def test_workers_give_the_bits_of_one_process(
    by_compound: bool, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = seeds(by_compound=by_compound, known=known)
    expected = score_random(given)
    assert expected.auroc.shape == (DOSES + 1, ROWS, N_SEEDS)
    assert (~np.isnan(expected.average_precision)).mean() > 0.5
    monkeypatch.setattr(random_scores, "FEW", 0)
    for who in (Backward(), *([Processes(2)] if by_compound and not known else [])):
        found = score_random(given, who=who)
        np.testing.assert_array_equal(found.average_precision, expected.average_precision)
        np.testing.assert_array_equal(found.auroc, expected.auroc)


def test_the_largest_over_doses_is_a_rule_of_its_own() -> None:
    """Without it, the others are what they were; with one dose known alone, it is that dose's."""
    with_it, without = score_random(seeds()), score_random(seeds(largest=False))
    np.testing.assert_array_equal(with_it.average_precision[:-1], without.average_precision)
    one = seeds()
    one.unknown[1:] = True
    found = score_random(one)
    np.testing.assert_array_equal(found.auroc[-1], found.auroc[0])
    assert np.isnan(found.auroc[1:-1]).all() and not np.isnan(found.auroc[0]).all()


def test_few_cosines_are_drawn_here(monkeypatch: pytest.MonkeyPatch) -> None:
    given = seeds()
    pairs = 5 * 6 + 4 * 4
    assert given.n_cosines == N_SEEDS * DOSES * pairs
    said: list[tuple[str, int, int]] = []
    score_random(given, who=Nobody(), progress=lambda *words: said.append(words))
    assert said == [("random", i + 1, N_SEEDS) for i in range(N_SEEDS)]
    monkeypatch.setattr(random_scores, "FEW", given.n_cosines)
    with pytest.raises(AssertionError, match="nobody was to be asked"):
        score_random(given, who=Nobody())


def test_the_suite_gives_them_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The whole result, by gene and by compound, is the same to the byte."""
    from tests.suites.test_drug_target import gaussian, make_map, make_table

    genes = [f"G{i}" for i in range(30)]
    rows = [(g, 5.0, f"C{c}") for c in range(6) for g in genes[c : c + 3]]
    rows += [(g, 5e4, f"C{c}") for c in range(6) for g in genes[c + 3 :]]
    table = make_table(tmp_path / "affinities.csv", rows)
    keys = [("CRISPR", g, -1.0) for g in genes] + [("COMPOUND", f"C{c}", 1.0) for c in range(6)]
    map_ = make_map(keys, gaussian(keys, width=40))
    monkeypatch.setattr(random_scores, "FEW", 0)
    for by, who in (("compound", Backward()), ("gene", Processes(2))):
        chosen = Protocol(seeds=4, concentrations=(1.0,), min_negatives=6, by=by)  # type: ignore[arg-type]
        one, two = (evaluate_drug_target(map_, table, chosen, who=doer) for doer in (Here(), who))
        assert one.to_json() == two.to_json() and one.tables == two.tables
        assert one.summary["max"]["average_precision_random"] > 0


def test_what_was_scored_is_kept_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The very same pairs are scored once; whatever differs is scored anew, and gives what it gives alone."""
    scored: list[Seeds] = []
    plain = score_random

    def spy(given: Seeds, **how: Any) -> Any:
        scored.append(given)
        return plain(given, **how)

    monkeypatch.setattr(random_scores, "score_random", spy)
    kept, first = Kept(), seeds()
    expected = plain(first)
    for _ in range(2):
        found = kept.score(seeds())
        np.testing.assert_array_equal(found.average_precision, expected.average_precision)
        np.testing.assert_array_equal(found.auroc, expected.auroc)
    assert len(scored) == 1
    said: list[tuple[str, int, int]] = []
    kept.score(first, progress=lambda *words: said.append(words))
    assert said == [("random", N_SEEDS, N_SEEDS)]
    with pytest.raises(ValueError, match="read-only"):
        found.auroc[0] = 1
    (one, *rest), unknown = first.groups, first.unknown.copy()
    unknown[0, 0, 0] ^= True
    columns = one.columns.copy()
    columns[0, 0, 0] = (columns[0, 0, 0] + 1) % COLUMNS
    others = [
        replace(first, width=17),
        replace(first, random_seed=6),
        replace(first, n_seeds=N_SEEDS - 1),
        replace(first, largest=False),
        replace(first, absolute=False),
        replace(first, by_compound=False),
        replace(first, unknown=unknown),
        replace(first, groups=[replace(one, columns=columns), *rest]),
        replace(first, groups=[replace(one, a=3), *rest]),
    ]
    for n, other in enumerate(others, 2):
        found = kept.score(other)
        assert len(scored) == n
        np.testing.assert_array_equal(found.auroc, plain(other).auroc)
    kept.score(first)
    assert len(scored) == len(others) + 2, "so many others came between that it was let go"
    kept.score(others[-1])
    assert len(scored) == len(others) + 2


def test_draws_are_kept_by_their_key() -> None:
    kept, made = Kept(), list[str]()

    def draw(key: str) -> Any:
        return kept.draw(key, lambda: made.append(key) or np.full(3, ord(key)))  # type: ignore[func-returns-value]

    for key in "aabcab":
        assert draw(key).tolist() == [ord(key)] * 3
    assert made == list("abc")
    for key in "defg":
        draw(key)
    assert draw("a").tolist() == [97] * 3 and made == list("abcdefga")
