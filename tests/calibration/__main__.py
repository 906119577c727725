"""`python -m tests.calibration [WHAT ...]`: the tables of docs/noise.md."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path

from tests.calibration import scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1_000)
    parser.add_argument(
        "--annotations", type=Path, help="compound_gene_interactions.csv; else a drawn design"
    )
    parser.add_argument("--treatments", type=int, nargs="+", default=[40, 487])
    parser.add_argument("--worlds", nargs="+", default=scores.WORLDS, choices=scores.WORLDS)
    options = parser.parse_args()
    first = True
    for n in options.treatments:
        task = scores.design(n, options.annotations)
        for world in options.worlds:
            start = time.perf_counter()
            for found in scores.run(task, world, options.draws):
                row = asdict(found)
                if first:
                    print(",".join([*row, "seconds"]), flush=True)
                    first = False
                cells = [f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()]
                print(",".join([*cells, f"{time.perf_counter() - start:.0f}"]), flush=True)


if __name__ == "__main__":
    main()
