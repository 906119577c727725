"""The guides of a gene, and whether they agree.

Conventions
    A guide is a treatment of a gene's wells; genes with one treatment have none to compare. A guide's vector
    is the mean of its wells, aligned as the map's are (without corrections of the map itself). Agreement is
    the cosine of two guides of one gene, and of each with the mean of all wells of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.blocks import Part
from polaris_rxrx.explore.rows import Rows
from polaris_rxrx.explore.wells import labels_of
from polaris_rxrx.maps.align import AlignBy
from polaris_rxrx.maps.build import Map, build_map
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.types import Ints
from polaris_rxrx.wells.metadata import Perturbations
from polaris_rxrx.wells.source import OverWells, WellBlock, WellSource


@dataclass(frozen=True, eq=False)
class ByGuide(OverWells):
    """Wells whose perturbations are `guides`; `code` (n wells,) is each well's. Not for suites by gene."""

    guides: Perturbations
    code: Ints

    @property
    def perturbations(self) -> Perturbations:
        return self.guides

    @property
    def provenance(self) -> dict[str, object]:
        return dict(self.wells.provenance)

    def blocks(self) -> Iterator[WellBlock]:
        start = 0
        for block in self.wells.blocks():
            code = self.code[start : start + len(block.x)]
            start += len(block.x)
            order = np.argsort(code, kind="stable")
            yield replace(
                block,
                x=block.x[order],
                perturbation=code[order],
                control=block.control[order],
                plate=None,
                position=None,
            )


def guides(rows: Rows, wells: WellSource, align_by: AlignBy) -> Part:
    """Cosines among the guides of each gene of the page that has several."""
    labels = labels_of(wells)
    assert labels is not None
    genes = rows.named("CRISPR")
    if not genes:
        return Part(missing={"guides": "The map has no genes"})
    p, places = wells.perturbations, wells.places
    ours = np.array([t == "CRISPR" and n in genes for t, n in zip(p.type, p.name, strict=True)], dtype=bool)
    control = np.concatenate([np.asarray(block.control) for block in wells.blocks()])
    own = np.flatnonzero(ours[places.perturbation] & ~control)
    key = places.perturbation[own] * len(labels.treatment.names) + labels.treatment.code[own]
    pairs, code = np.unique(key, return_inverse=True)
    gene, treatment = np.divmod(pairs, len(labels.treatment.names))
    several = np.bincount(gene, minlength=len(p))[gene] > 1
    if not several.any():
        return Part(missing={"guides": "No gene has wells of more than one treatment (guide)"})
    codes = np.array(places.perturbation, dtype=np.int64)
    codes[own] = len(p) + code.reshape(-1)
    # Numbers for names: what a treatment is called must not make it a control here.
    made = Perturbations(
        [*p.type, *["CRISPR"] * len(pairs)],
        [*p.name, *(f"guide {k}" for k in range(len(pairs)))],
        np.r_[p.concentration, np.full(len(pairs), np.nan)],
    )
    means = build_map(ByGuide(wells, made, codes), align_by)
    last = len(means) - len(pairs)  # every pair has wells, and codes come in order
    chosen = np.flatnonzero(several)
    names = [p.name[g] for g in gene[chosen].tolist()]
    texts = [labels.treatment.names[t] for t in treatment[chosen].tolist()]
    return _part(rows, means, last + chosen, names, texts)


def _part(rows: Rows, means: Map, at: Ints, names: list[str], texts: list[str]) -> Part:
    """Guides (k,) at these rows of the map of means, their genes and what they are called."""
    of = np.array([rows.name_at[name] for name in names], dtype=np.int64)
    order = np.lexsort((np.array(texts, dtype=object).astype(str), of))
    of, at = of[order], at[order]
    suffix = [_suffix(names[i], texts[i]) for i in order.tolist()]
    suffixes = sorted(set(suffix))
    x, n = means.x[at], means.n_wells[at]
    other, pairs = [], []
    for first, last in _runs(of):
        units = unit_rows(x[first:last])
        pairs.append((units @ units.T)[np.triu_indices(last - first, k=1)])
        weighted = x[first:last] * n[first:last, None]
        rest = unit_rows(weighted.sum(axis=0) - weighted)
        other.append((units * rest).sum(axis=1))
    kind = blocks.index_type(len(suffixes))
    held = {
        "guide_gene": blocks.write(of.astype(rows.name_dtype), delta=True),
        "guide_suffix": blocks.write(np.searchsorted(suffixes, suffix).astype(kind)),
        "guide_wells": blocks.write(n.astype("u4" if n.max() >= 2**16 else "u2")),
        "guide_other": blocks.write(blocks.as_i2(np.concatenate(other))),
        "guide_cosine": blocks.write(blocks.as_i2(np.concatenate(pairs))),
    }
    return Part({"guides": {"suffixes": suffixes}}, held)


def _suffix(gene: str, guide: str) -> str:
    return guide[len(gene) :] if guide.startswith(gene) else f" ({guide})"


def _runs(of: Ints) -> Iterator[tuple[int, int]]:
    """From where to before where each gene's guides are."""
    start = np.flatnonzero(np.r_[True, np.diff(of) != 0])
    yield from zip(start.tolist(), [*start[1:].tolist(), len(of)], strict=True)
