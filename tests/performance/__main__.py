"""`python -m tests.performance [--quick] [--data DIR] [--only NAME] [--repeat N]`: every
benchmark, one table.

Each row measures the public way and ours in this very run, checks that both computed the same, and prints the
ratio: figures of different machines or days are never compared.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from tests.performance.common import ROOT, Row, Settings, table
from tests.performance.map import EMBEDDINGS, METADATA, make_data

BENCHMARKS = (
    "score_kernel",
    "score_process",
    "uncertainty",
    "official_path",
    "map",
    "drug_target",
    "gene_gene",
    "energy",
    "activity",
    "trees",
    "containers",
    "rxrx3",
    "cellprofiler",
    "explore",
)
ON_WELLS = {"map", "drug_target", "energy", "containers"}
MAKER = ROOT.parent / "shared" / "tools" / "make_standin.py"


def find_data(given: Path | None, scratch: Path, *, quick: bool) -> tuple[Path, str]:
    """The folder with RxRx3-core's two files, and what is in it."""
    if given is not None:
        missing = [name for name in (METADATA, EMBEDDINGS) if not (given / name).is_file()]
        if missing:
            raise SystemExit(f"{given} lacks {' and '.join(missing)}")
        return given, f"data: {given.name}"
    folder = scratch / "data"
    folder.mkdir()
    if MAKER.is_file():
        scale = "0.1" if quick else "1"
        command = [sys.executable, str(MAKER), str(folder), "--scale", scale]
        made = subprocess.run(command, check=True, capture_output=True, text=True)
        return folder, f"stand-in: {made.stdout.split(' -> ')[0].strip()}"
    wells = 22_260 if quick else 222_601
    make_data(folder, wells)
    return folder, f"drawn at random: {wells:,} wells, 384 features"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.performance", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--data", type=Path, help="the folder with the metadata and OpenPhenom's embeddings")
    parser.add_argument("--only", choices=BENCHMARKS, help="one benchmark")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="the best of N runs of each side")
    asked = parser.parse_args()
    names = [asked.only] if asked.only else list(BENCHMARKS)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        data, note = scratch, ""
        if ON_WELLS & set(names):
            data, note = find_data(asked.data, scratch, quick=asked.quick)
        settings = Settings(
            quick=asked.quick, data=data, data_note=note, scratch=scratch, repeat=asked.repeat
        )
        for name in names:
            print(f"{name} ...", file=sys.stderr)
            rows += import_module(f"tests.performance.{name}").run(settings)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores\n")
    print(table(rows))


if __name__ == "__main__":
    main()
