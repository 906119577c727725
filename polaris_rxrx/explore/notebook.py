"""What a map shows in a notebook: neighbors, a heat map, a dose curve; and the map as AnnData.

Conventions
    Each function gives a `View`: its figure and table are shown where a notebook shows HTML, `figure` is
    matplotlib's, `svg` and `save` write it, and `table` holds the numbers (columns of equal length). A figure
    never says more than its table. Cosines are float64 of the map itself; opposites are shown as such, so the
    color of a cosine is the same on both sides of 0.
    Neighbors are those of `polaris_rxrx.suites.neighbors`; the order of a heat map is that of an average
    linkage by cosine (`polaris_rxrx.explore.order`). A compound without a concentration stands at its
    highest, unless all are asked for.
    Names are drawn and written as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.explore.order import linkage_order
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.similarity import cosine, unit_rows
from polaris_rxrx.present import style
from polaris_rxrx.present.html import element, fixed
from polaris_rxrx.present.html import table as html_table
from polaris_rxrx.present.numbers import number, percent, typeset
from polaris_rxrx.present.svg import inline_svg, write
from polaris_rxrx.suites.neighbors import neighbors as find_neighbors
from polaris_rxrx.suites.neighbors import row_of
from polaris_rxrx.suites.relations import Relations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from polaris_rxrx.wells.source import WellSource

TOP = 10
MOST = 200  # rows of a heat map: more have no room for their names
NAMED = 60  # rows of a heat map whose table is shown in whole
_BAR, _TITLE = 1.1, 0.3  # inches of the scale of colors, and of the title
OPPOSITE, ALIKE = style.COLORS[1], style.COLORS[0]


@dataclass(frozen=True, eq=False)
class View:
    """Something to look at: a title, a figure, a table, and what a reader should be told.

    Attributes:
        title: One line.
        figure: Matplotlib's.
        table: Column -> cells, one row a line.
        notes: Sentences.

    >>> found = pr.heatmap(pr.load_map("map.parquet"), ["MTOR", "BCL2"])
    >>> found
    <Cosines of 2 perturbations: 1 rows>
    >>> len(found.table["cosine"]), found.figure.get_label()
    (1, 'heatmap')
    """

    title: str
    figure: Figure
    table: Mapping[str, list[Any]]
    notes: tuple[str, ...] = ()
    _most: int = field(default=NAMED, repr=False)

    @cached_property
    def svg(self) -> str:
        """The figure as an `<svg>` element."""
        return inline_svg(self.figure)

    def save(self, folder: Path | str) -> None:
        """Write the figure's NAME.png and NAME.svg into a folder."""
        write({str(self.figure.get_label()): self.figure}, Path(folder))

    def to_frame(self) -> Any:
        """The table as pandas has it.

        >>> pr.heatmap(pr.load_map("map.parquet"), ["MTOR", "BCL2"]).to_frame().columns.tolist()
        ['first', 'second', 'cosine', 'known']
        """
        import pandas as pd

        return pd.DataFrame(dict(self.table))

    def _repr_html_(self) -> str:
        rows = list(zip(*self.table.values(), strict=True))
        shown = [
            [_cell(name, v) for name, v in zip(self.table, row, strict=True)] for row in rows[: self._most]
        ]
        numbers = [not all(isinstance(v, str) for v in column) for column in self.table.values()]
        left = numbers.index(True) if True in numbers else len(numbers)
        parts = [
            element("p", element("b", self.title)),
            element("div", Markup(self.svg), style="max-width:640px"),
        ]
        parts.append(html_table([name.replace("_", " ") for name in self.table], shown, left=left))
        if len(rows) > self._most:
            parts.append(element("p", f"The first {self._most:,} of {len(rows):,} rows"))
        parts += [element("p", note) for note in self.notes]
        return str(element("div", *parts))

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<{self.title}: {len(next(iter(self.table.values()), [])):,} rows>"


def _cell(column: str, value: Any) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return str(value)
    if column == "concentration":
        return typeset(number(value, "g"))
    if column == "beyond":
        return typeset(number(value, ".2%"))
    return f"{value:,}" if isinstance(value, int) else fixed(value)


def neighbors(
    map_: Map,
    name: str,
    *,
    concentration: float | None = None,
    top: int = TOP,
    known: Mapping[str, Relations] | None = None,
    seed: int = 0,
) -> View:
    """What is most like a gene or a compound, and most opposite.

    Args:
        map_: The map.
        name: A gene or a compound; a compound without `concentration` is taken at its highest.
        concentration: In uM.
        top: So many of the most similar, and of the most opposite, genes and compounds.
        known: Source -> related genes (`polaris_rxrx.suites.relations`), which are marked.
        seed: Of the null, where it is drawn.

    Returns:
        A row a neighbor: type, name, concentration (uM), cosine, rank, of how many, `beyond` (the share of
        the null that is as extreme), and the sources that know the pair.

    Raises:
        UsageError: `top` is below 1.
        DataError: The map has no such row, or it has no vector.

    >>> found = pr.neighbors(pr.load_map("map.parquet"), "MTOR", top=3)
    >>> found.table["rank"][:6], found.table["of"][0]  # the three most similar genes, the three most opposite
    ([1, 2, 3, 77, 78, 79], 79)
    """
    pairs = {source: _pairs(of, name) for source, of in (known or {}).items()}
    result = find_neighbors(map_, name, concentration=concentration, top=top, known=pairs, seed=seed)
    table = result.tables["neighbors"]
    dose = result.protocol["concentration"]
    title = f"Neighbors of {name}" + ("" if dose is None else f" at {dose:g} uM")
    with style.drawing():
        figure = _ladder(title, table)
    note = "beyond: the share of all pairs of these types whose cosine is as extreme, or more so"
    return View(title, figure, table, (note, *result.notes), _most=4 * top)


def _pairs(known: Relations, name: str) -> frozenset[frozenset[str]]:
    """The pairs of a source that `name` is one of."""
    named = (
        frozenset((known.names[a], known.names[b]))
        for a, b in zip(known.first.tolist(), known.second.tolist(), strict=True)
    )
    return frozenset(pair for pair in named if name in pair)


def _ladder(title: str, table: Mapping[str, list[Any]]) -> Figure:
    """A bar for each neighbor, genes and compounds side by side."""
    kinds = [kind for kind in ("CRISPR", "COMPOUND") if kind in table["type"]]
    most = max((table["type"].count(kind) for kind in kinds), default=1)
    figure = style.new_figure("neighbors", style.literal(title, 80), 0.9 + 0.19 * most)
    axes = figure.subplots(1, max(1, len(kinds)), squeeze=False)[0]
    for ax, kind in zip(axes, kinds, strict=False):
        own = [i for i, t in enumerate(table["type"]) if t == kind]
        values = [table["cosine"][i] for i in own]
        labels = [_label(table["name"][i], table["concentration"][i]) for i in own]
        style.rows(ax, labels)
        ax.barh(range(len(own)), values, color=[ALIKE if v >= 0 else OPPOSITE for v in values], height=0.7)
        ax.axvline(0, color=style.MUTED, lw=0.8)
        ax.set_title({"CRISPR": "genes", "COMPOUND": "compounds"}[kind])
        ax.set_xlabel("cosine")
    return figure


def _label(name: str, dose: float) -> str:
    return style.literal(name if np.isnan(dose) else f"{name} {dose:g} uM", 28)


def heatmap(
    map_: Map, names: Sequence[str], *, known: Mapping[str, Relations] | None = None, doses: bool = False
) -> View:
    """Cosines of some genes and compounds with each other, the like together.

    Args:
        map_: The map.
        names: Genes and compounds, each once; compounds at their highest concentration.
        known: Source -> related genes, which are outlined.
        doses: Show compounds at all their concentrations.

    Returns:
        A row a pair, in the order drawn: first, second (with concentrations), cosine, and the sources that
        know the pair.

    Raises:
        UsageError: Fewer than two names, more than `MOST` rows, or one twice.
        DataError: The map has no such row, or it has no vector.

    >>> found = pr.heatmap(pr.load_map("map.parquet"), ["MTOR", "BCL2", "ABT-199"])
    >>> len(found.table["cosine"])  # pairs of three rows
    3
    """
    if isinstance(names, str) or len(names) < 2:
        raise UsageError("names are two or more genes or compounds, in a list")
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise UsageError(f"{twice[0]!r} stands twice in the names; each once was expected")
    rows = np.array(
        [row for name in names for row in (_all_rows(map_, name) if doses else [row_of(map_, name)])]
    )
    if len(rows) > MOST:
        raise UsageError(f"these are {len(rows):,} rows of the map; at most {MOST} have room in a heat map")
    rows = rows[linkage_order(unit_rows(map_.x[rows]))]
    values = cosine(map_.x[rows], map_.x[rows])
    p = map_.perturbations
    own = [p.name[i] for i in rows.tolist()]
    labels = [_label(p.name[i], p.concentration[i]) for i in rows.tolist()]
    pairs = {source: _all_pairs(of) for source, of in (known or {}).items()}
    table: dict[str, list[Any]] = {"first": [], "second": [], "cosine": [], "known": []}
    outlined = []
    for a in range(len(rows)):
        for b in range(a + 1, len(rows)):
            sources = [s for s, of in pairs.items() if frozenset((own[a], own[b])) in of]
            for column, cell in zip(
                table.values(), (labels[a], labels[b], float(values[a, b]), " ".join(sources)), strict=True
            ):
                column.append(cell)
            if sources:
                outlined.append((a, b))
    title = f"Cosines of {len(rows):,} perturbations"
    with style.drawing():
        figure = _matrix(title, labels, values, outlined)
    notes = ("Outlined: pairs that a source of known relations has",) if outlined else ()
    return View(title, figure, table, notes)


def _all_rows(map_: Map, name: str) -> list[int]:
    """A gene's row, or a compound's by concentration; those without a vector are left out."""
    row_of(map_, name)  # says what is wrong
    p = map_.perturbations
    own = [i for i in range(len(map_)) if p.name[i] == name]
    own = [i for i in own if not np.isnan(unit_rows(map_.x[[i]])[0, 0])]
    return sorted(own, key=lambda i: float(np.nan_to_num(p.concentration[i], nan=-1.0)))


def _all_pairs(known: Relations) -> set[frozenset[str]]:
    both = zip(known.first.tolist(), known.second.tolist(), strict=True)
    return {frozenset((known.names[a], known.names[b])) for a, b in both}


def _matrix(title: str, labels: list[str], values: Any, outlined: Sequence[tuple[int, int]]) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    n = len(labels)
    size = 8 if n <= 30 else max(3.0, 240 / n)
    # Names stand on the left and below, so what is beside a square matrix is above and below it, too.
    figure = style.new_figure("heatmap", style.literal(title, 80), style.WIDTH - _BAR + _TITLE)
    ax = figure.subplots()
    colors = LinearSegmentedColormap.from_list("cosine", [OPPOSITE, "#f7f7f7", ALIKE])
    drawn = ax.imshow(values, cmap=colors, vmin=-1, vmax=1, interpolation="nearest")
    ax.set_xticks(range(n), labels, rotation=90, fontsize=size)
    ax.set_yticks(range(n), labels, fontsize=size)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for a, b in outlined:
        for x, y in ((a, b), (b, a)):
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=style.INK, lw=1.0))
    figure.colorbar(drawn, ax=ax, shrink=0.6, label="cosine")
    return figure


def dose_curve(
    map_: Map, compound: str, genes: str | Sequence[str], *, wells: WellSource | None = None
) -> View:
    """A compound's cosine with one gene or several, at all its concentrations.

    Args:
        map_: The map.
        compound: Its name in the map.
        genes: One, or several.
        wells: The wells that the map was made of: the middle 80% of those of the compound are shown. They
            are aligned as the map's protocol says.

    Returns:
        A row a gene and concentration: gene, concentration (uM), cosine, and of wells their number, the 10th
        and the 90th percentile.

    Raises:
        DataError: The map has no such compound or gene, or no vector of it; or the compound has no
            concentration.
        UsageError: No gene was named, or the map does not say how it was aligned.

    >>> found = pr.dose_curve(pr.load_map("map.parquet"), "ABT-199", "BCL2")
    >>> found.table["concentration"]
    [0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0]
    """
    wanted = [genes] if isinstance(genes, str) else list(dict.fromkeys(genes))
    if not wanted:
        raise UsageError("no gene was named; one or more were expected")
    p = map_.perturbations
    rows = [i for i in _all_rows(map_, compound) if p.type[i] == "COMPOUND"]
    if not rows or np.isnan(p.concentration[rows]).any():
        raise DataError(f"{compound!r} is no compound with concentrations in this map")
    of_genes = np.array([_gene(map_, gene) for gene in wanted])
    values = cosine(map_.x[rows], map_.x[of_genes])
    table: dict[str, list[Any]] = {"gene": [], "concentration": [], "cosine": []}
    for k, gene in enumerate(wanted):
        for i, row in enumerate(rows):
            for column, cell in zip(table.values(), (gene, p.concentration[row], values[i, k]), strict=True):
                column.append(cell if isinstance(cell, str) else float(cell))
    band = None if wells is None else _of_wells(map_, wells, rows, of_genes)
    notes = ("A mean of wells is nearer to anything than its wells are",) if band is not None else ()
    if band is not None:
        n, low, high = (of.T.reshape(-1) for of in band)
        table |= {"n_wells": n.astype(int).tolist(), "q0.1": low.tolist(), "q0.9": high.tolist()}
    title = f"{compound} and {', '.join(wanted)} by concentration"
    with style.drawing():
        figure = _curves(title, p.concentration[rows], wanted, values, band)
    return View(title, figure, table, notes)


def _gene(map_: Map, name: str) -> int:
    """The row of a gene, which a compound's name may be, too."""
    p = map_.perturbations
    for i in map_.rows("CRISPR").tolist():
        if p.name[i] == name and not np.isnan(unit_rows(map_.x[[i]])[0, 0]):
            return int(i)
    row_of(map_, name)  # says what is wrong where there is nothing of the name
    raise DataError(f"the map has no gene {name!r} with a vector")


def _of_wells(map_: Map, wells: WellSource, rows: Sequence[int], genes: Any) -> tuple[Any, Any, Any]:
    """Number (n_doses, n_genes) and percentiles of the cosines of single wells with genes' rows."""
    from polaris_rxrx.explore.rows import Rows
    from polaris_rxrx.explore.wells import aligned_blocks, rows_of
    from polaris_rxrx.maps.align import Alignment

    said = map_.protocol.get("align")
    if said is None:
        raise UsageError("this map does not say how it was aligned, so its wells cannot be; leave out wells")
    kept = map_.protocol.get("components")
    at = rows_of(Rows(map_, len(map_)), wells.perturbations)
    found: dict[int, list[Any]] = {row: [] for row in rows}
    for aligned in aligned_blocks(wells, said if kept is None else Alignment(said, kept)):
        block = aligned.block
        row = np.where(block.control, -1, at[block.perturbation])
        for one in rows:
            if (row == one).any():
                found[one].append(cosine(aligned.x[row == one], map_.x[genes]))
    n, low, high = (np.full((len(rows), len(genes)), np.nan) for _ in range(3))
    for i, one in enumerate(rows):
        every = np.concatenate([np.empty((0, len(genes))), *found[one]])
        every = every[~np.isnan(every).any(axis=1)]
        n[i] = len(every)
        if len(every):
            low[i], high[i] = np.quantile(every, (0.1, 0.9), axis=0)
    return n, low, high


def _curves(title: str, doses: Any, genes: Sequence[str], values: Any, band: Any) -> Figure:
    figure = style.new_figure("dose-curve", style.literal(title, 80), 3.0)
    ax = figure.subplots()
    for k, gene in enumerate(genes):
        look = style.look(k)
        ax.plot(
            doses,
            values[:, k],
            color=look.color,
            marker=look.marker,
            linestyle=look.dashes,
            label=style.literal(gene),
        )
        if band is not None:
            ax.fill_between(doses, band[1][:, k], band[2][:, k], color=look.color, alpha=0.15, lw=0)
    ax.axhline(0, color=style.MUTED, lw=0.8)
    ax.set_xscale("log")
    ax.set_xticks(doses, [f"{dose:g}" for dose in doses])
    ax.minorticks_off()
    wells = "" if band is None else f"; shaded: the middle {percent(0.8)} of the compound's single wells"
    ax.set_xlabel(f"concentration, uM{wells}")
    ax.set_ylabel("cosine")
    style.legend_below(figure, ax)
    return figure


def to_anndata(map_: Map) -> Any:
    """The map as AnnData: X is the map, `obs` its perturbations, `uns["protocol"]` how it was made (JSON).

    `obs` has perturbation_type, perturbation, concentration (uM, NaN for genes) and n_wells; the file that
    `save_map` writes as .h5ad is the same.

    Raises:
        UsageError: AnnData is not installed (extra `h5ad`).

    >>> data = pr.to_anndata(pr.load_map("map.parquet"))
    >>> data.shape, data.obs.columns.tolist()
    ((432, 384), ['perturbation_type', 'perturbation', 'concentration', 'n_wells'])
    """
    from polaris_rxrx.maps.store import as_anndata

    return as_anndata(map_)
