"""Cosines of random embeddings: those of chosen pairs, without making the embeddings.

Conventions
    An embedding has a Gaussian row of `width` numbers for every gene, and one for every compound at every
    dose; all are independent. Only pairs that are asked for get a cosine, shape (n_doses, n_pairs).

How
    Where a Gaussian row points to says nothing of how long it is, and axes may be turned, so
    1. the directions of n genes are the rows of a lower triangle of normal numbers, the diagonal's i-th the
       root of a chi-squared number of width - i degrees of freedom (Bartlett's decomposition), made length 1;
    2. the products of a compound's row with k genes are L z, L L^T the genes' cosines, z k normal numbers;
       its squared length is |z|^2 plus a chi-squared number of width - k degrees of freedom, what is across.
    These are the cosines of embeddings in distribution, all pairs together, from k numbers a row instead of
    `width`. Where genes are many beside the width, rows are drawn whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polaris_rxrx.types import Floats, Ints


def pairs_by_compound(compound: Ints) -> list[Ints]:
    """Which pairs are of one compound: arrays (n_compounds, k), one for all compounds with k pairs."""
    order = np.argsort(compound, kind="stable")
    starts = np.flatnonzero(np.diff(compound[order], prepend=-1))
    counts = np.diff(np.r_[starts, len(order)])
    return [order[starts[counts == k, None] + np.arange(k)] for k in np.unique(counts).tolist()]


def random_cosines(
    compound: Ints,
    gene: Ints,
    n_genes: int,
    width: int,
    n_doses: int,
    rng: np.random.Generator,
    *,
    pairs: Sequence[Ints] | None = None,
) -> Floats:
    """Cosines (n_doses, n_pairs) of the pairs (compound[i], gene[i]), each given once, in one embedding.

    Args:
        compound: Its number, (n_pairs,).
        gene: Its number below `n_genes`, (n_pairs,).
        n_genes: How many genes the embedding has.
        width: How many numbers a row has.
        n_doses: How many rows a compound has.
        rng: What draws.
        pairs: `pairs_by_compound(compound)`, where many embeddings have the same compounds.
    """
    genes = _directions(n_genes, width, rng)
    cosines = (genes @ genes.T).reshape(-1)
    out = np.empty((n_doses, len(compound)))
    for alike in pairs_by_compound(compound) if pairs is None else pairs:
        of = gene[alike]
        k = of.shape[1]
        if 2 * k <= width:  # far from singular
            basis = np.linalg.cholesky(cosines.take(of[:, :, None] * n_genes + of[:, None, :]))
        else:
            basis = genes[of]
        m = basis.shape[2]
        z = rng.standard_normal((len(of), m, n_doses))
        square = np.einsum("ikd,ikd->id", z, z)
        if m < width:
            square += rng.chisquare(width - m, size=square.shape)
        out[:, alike] = (basis @ z / np.sqrt(square)[:, None]).transpose(2, 0, 1)
    return np.clip(out, -1.0, 1.0, out=out)


def _directions(n: int, width: int, rng: np.random.Generator) -> Floats:
    """Rows of length 1, (n, min(n, width)), as much alike as n Gaussian rows of `width` numbers are."""
    if width < n:
        rows = rng.standard_normal((n, width))
    else:
        rows = np.zeros((n, n))
        rows[np.tri(n, k=-1, dtype=bool)] = rng.standard_normal(n * (n - 1) // 2)
        np.fill_diagonal(rows, np.sqrt(rng.chisquare(width - np.arange(n))))
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows
