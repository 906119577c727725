"""`python -m tests.calibration [scores|wells|maps|corrections ...]`: tables of the docs, as CSV on stdout.

With --figure FILE.svg also the figure of the score's worlds.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.calibration import corrections, maps, scores, wells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["scores", "wells", "maps", "corrections"])
    parser.add_argument("--draws", type=int, default=1_000)
    parser.add_argument("--annotations", type=Path, help="the affinities; else a drawn design")
    parser.add_argument("--treatments", type=int, nargs="+", default=[40, 487])
    parser.add_argument("--features", type=int, default=384, help="of the wells' worlds")
    parser.add_argument(
        "--relations", type=Path, nargs="+", default=[], help="of the maps, beside drawn ones"
    )
    parser.add_argument("--metadata", type=Path, help="parquet: in which experiments the genes' wells lie")
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    if options.relations and options.metadata is None:
        parser.error("--relations also wants --metadata")
    found: list[scores.Found] = []
    if "scores" in options.what:
        for n in options.treatments:
            task = scores.design(n, options.annotations)
            for world in scores.WORLDS:
                start = time.perf_counter()
                for of in scores.run(task, world, options.draws):
                    found.append(of)
                    say(asdict(of), start)
    if "wells" in options.what:
        for name, world in wells.WORLDS.items():
            start = time.perf_counter()
            repeats = max(1, options.draws // (world.experiments * world.genes))
            tested = [
                wells.run(replace(world, features=options.features), seed, n_random=1_000)
                for seed in range(repeats)
            ]
            row: dict[str, Any] = {"world": name}
            for statistic in ("energy", "cosine"):
                p = np.concatenate([getattr(t, f"{statistic}_p") for t in tested])
                row |= {f"{statistic}_n": len(p)}
                row |= {f"{statistic}_{level:g}": float(np.mean(p <= level)) for level in (0.05, 0.01)}
            say(row, start)
    if "maps" in options.what:
        published = [maps.of_files(path, options.metadata) for path in options.relations]
        for of in (None, *published):
            for world_name in maps.WORLDS:
                start = time.perf_counter()
                say(asdict(maps.run(world_name, options.draws, of=of)), start)
    if "corrections" in options.what:
        for name, plan in corrections.WORLDS.items():
            for way in corrections.WAYS:
                start = time.perf_counter()
                recall = [corrections.run(plan, way, seed) for seed in range(max(2, options.draws // 100))]
                row = {"planted": name, "corrections": " and ".join(way) or "none"}
                say(row | {"recall": float(np.mean(recall)), "sd": float(np.std(recall, ddof=1))}, start)
    if options.figure is not None and found:
        draw(found, options.figure)


_last: list[str] = []


def say(row: dict[str, Any], start: float) -> None:
    """A row; a header first where the columns change."""
    if list(row) != _last:
        _last[:] = list(row)
        print(",".join([*row, "seconds"]), flush=True)
    cells = [f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()]
    print(",".join([*cells, f"{time.perf_counter() - start:.0f}"]), flush=True)


def draw(found: list[scores.Found], path: Path) -> None:
    """How often the 95% interval of average precision holds the truth, by world, before and now."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "noise"
    import matplotlib.pyplot as plt

    sizes = sorted({f.n_treatments for f in found})
    fig, axes = plt.subplots(1, len(sizes), figsize=(8, 3), sharey=True, squeeze=False)
    for ax, n in zip(axes[0], sizes, strict=True):
        rows = [f for f in found if f.n_treatments == n and f.metric == "pr_auc"][::-1]
        places = range(len(rows))
        ax.axvspan(0.92, 0.97, color="0.9")
        ax.axvline(0.95, color="0.4", lw=0.8)
        ax.plot([f.covers_95_before for f in rows], places, "o", color="#b35806", label="compounds alone")
        ax.plot([f.covers_95 for f in rows], places, "o", color="#1f6f8b", label="compounds and genes")
        ax.set_yticks(list(places), [f.world for f in rows])
        ax.set_xlim(0.7, 1)
        ax.set_xlabel(f"95% intervals that hold the truth, {n} compounds", fontsize=8)
        ax.tick_params(labelsize=8)
    axes[0][0].legend(fontsize=7, loc="lower left", frameon=False)
    fig.tight_layout()
    fig.savefig(path, metadata={"Date": None})
    print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
