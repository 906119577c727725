"""Cosines of random embeddings against embeddings drawn whole: the same in distribution, together."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import beta, kstest

from polaris_rxrx.suites.energy import energy_distance
from polaris_rxrx.suites.random_embedding import pairs_by_compound, random_cosines
from tests.loops import times

Floats = np.ndarray[Any, np.dtype[np.float64]]
DOSES = 2
# Each compound's genes; two compounds share two genes, one is asked about a single gene.
GENES_OF = ([0, 1, 2], [1, 2], [3], [2, 0, 1])
COMPOUND = np.repeat(np.arange(len(GENES_OF)), [len(genes) for genes in GENES_OF])
GENE = np.concatenate(GENES_OF)
PAIRS = pairs_by_compound(COMPOUND)
# Rows that are whole and rows that are not: fewer and more genes than the width, few and many for a compound.
SHAPES = [(4, 8), (4, 5), (9, 7), (6, 3), (4, 4), (4, 2), (4, 1), (5, 40)]


def whole(n_genes: int, width: int, rng: np.random.Generator) -> Floats:
    """Every row of an embedding, and the cosine of each pair by its definition."""
    genes = rng.normal(size=(n_genes, width))
    compounds = rng.normal(size=(len(GENES_OF), DOSES, width))
    out = np.empty((DOSES, len(GENE)))
    for dose in range(DOSES):
        for i, (c, g) in enumerate(zip(COMPOUND, GENE, strict=True)):
            x, y = compounds[c, dose], genes[g]
            out[dose, i] = x @ y / np.sqrt((x @ x) * (y @ y))
    return out


def ours(n_genes: int, width: int, rng: np.random.Generator) -> Floats:
    return random_cosines(COMPOUND, GENE, n_genes, width, DOSES, rng, pairs=PAIRS)


@cache
def many(n_genes: int, width: int) -> Floats:
    """So many embeddings that the tests of them look at that they are drawn once. For reading only."""
    return drawn(ours, times(4000, short=1000), n_genes, width, 0)


def drawn(make: Any, n: int, n_genes: int, width: int, seed: int) -> Floats:
    return np.stack([make(n_genes, width, np.random.default_rng([seed, i])) for i in range(n)])


@pytest.mark.slow
@pytest.mark.parametrize(("n_genes", "width"), SHAPES)
def test_moments_are_those_of_gaussian_rows(n_genes: int, width: int) -> None:
    """Mean 0, variance 1 / width; two compounds know of each other by way of the genes they share alone."""
    x = many(n_genes, width)
    n = len(x)
    near = 5 / np.sqrt(n)
    flat = x.reshape(n, -1)
    assert np.abs(flat.mean(axis=0)).max() < near
    scatter = flat.T @ flat / n * width
    np.testing.assert_allclose(scatter, np.eye(flat.shape[1]), atol=3 * near)
    # E (u.a)(u.b)(v.a)(v.b) = E (a.b)^2 / width^2 = 1 / width^3 for rows u, v and genes a, b.
    for u, v in (([1, 2], [3, 4]), ([0, 2], [6, 7]), ([3, 4], [6, 8])):  # pairs of the same two genes
        for dose in range(DOSES):
            product = x[:, dose, u].prod(axis=1) * x[:, 1 - dose, v].prod(axis=1)
            assert abs(product.mean() - 1 / width**3) < 5 * product.std() / np.sqrt(n) + 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(("n_genes", "width"), [shape for shape in SHAPES if shape[1] > 1])
def test_a_cosine_s_distribution(n_genes: int, width: int) -> None:
    """(1 + cosine) / 2 is Beta((width - 1) / 2, (width - 1) / 2)."""
    x = many(n_genes, width)
    exact = beta((width - 1) / 2, (width - 1) / 2)
    for pair in range(len(GENE)):
        assert kstest((1 + x[:, 0, pair]) / 2, exact.cdf).pvalue > 1e-4


@pytest.mark.parametrize(("n_genes", "width"), SHAPES)
def test_all_pairs_together(n_genes: int, width: int) -> None:
    """No nearer to, nor farther from, whole embeddings than two halves of whole ones are, shuffled."""
    n = times(400, short=200)
    a, b = (drawn(make, n, n_genes, width, seed) for make, seed in ((ours, 2), (whole, 3)))
    # Products of two cosines of one gene and of one compound tell dependence that cosines alone do not.
    i, j = np.triu_indices(len(GENE), k=1)
    both = np.concatenate([a, b])
    parts = [both.reshape(2 * n, -1), np.abs(both[:, 0, i]) - np.abs(both[:, 0, j])]
    rows = np.hstack([*parts, both[:, 0, i] * both[:, 0, j]])
    rows /= rows.std(axis=0) + 1e-9
    # The energy distance of halves is -w D w for distances D and weights w of 1 / n and of -1 / n.
    weight = np.repeat([1 / n, -1 / n], n)
    weights = np.stack([weight, *(np.random.default_rng(4).permuted(np.tile(weight, (60, 1)), axis=1))])
    found, *null = -np.einsum("ij,ij->i", weights @ cdist(rows, rows), weights)
    assert found == pytest.approx(energy_distance(rows[:n], rows[n:]), rel=1e-6)
    assert found < np.mean(null) + 5 * np.std(null)


@pytest.mark.parametrize(("n_genes", "width"), [(7, 3), (7, 2), (5, 4), (9, 1)])
def test_the_rank_of_an_embedding(n_genes: int, width: int) -> None:
    """All compounds against all genes: a matrix of the embedding's rank once rows have their lengths."""
    compound = np.repeat(np.arange(8), n_genes)
    gene = np.tile(np.arange(n_genes), 8)
    x = random_cosines(compound, gene, n_genes, width, 1, np.random.default_rng(0)).reshape(8, n_genes)
    assert np.linalg.matrix_rank(x, tol=1e-9) == min(width, n_genes)


def test_the_spread_of_a_mean_over_compounds() -> None:
    """What z rests on: a mean of |cosine| over compounds that share genes varies as in whole embeddings."""
    n, n_compounds, n_genes, width = times(1500, short=500), 12, 5, 4
    compound = np.repeat(np.arange(n_compounds), 2)
    gene = (
        np.random.default_rng(0)
        .permuted(np.tile(np.arange(n_genes), (n_compounds, 1)), axis=1)[:, :2]
        .ravel()
    )

    def score(cosines: Floats) -> float:
        pairs = np.abs(cosines.reshape(n_compounds, 2))
        return float((pairs[:, 0] > pairs[:, 1]).mean())

    def one(seed: int) -> float:
        rng = np.random.default_rng([5, seed])
        return score(random_cosines(compound, gene, n_genes, width, 1, rng)[0])

    def twin(seed: int) -> float:
        rng = np.random.default_rng([6, seed])
        a, b = (rng.normal(size=(k, width)) for k in (n_compounds, n_genes))
        a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
        return score(np.einsum("ij,ij->i", a[compound], b[gene]))

    got, expected = (np.array([f(seed) for seed in range(n)]) for f in (one, twin))
    assert got.mean() == pytest.approx(expected.mean(), abs=5 * expected.std() / np.sqrt(n))
    assert got.std() == pytest.approx(expected.std(), rel=4.65 / np.sqrt(n))


def test_pairs_may_come_in_any_order() -> None:
    order = np.random.default_rng(1).permutation(len(GENE))
    n = times(3000, short=1000)
    x = np.stack(
        [
            random_cosines(COMPOUND[order], GENE[order], 4, 6, 1, np.random.default_rng([7, i]))[0]
            for i in range(n)
        ]
    )
    back = np.empty_like(x)
    back[:, order] = x
    product = back[:, [1, 2, 3, 4]].prod(axis=1)
    assert abs(product.mean() - 1 / 6**3) < 5 * product.std() / np.sqrt(n)
    assert (np.abs(x) <= 1).all()
