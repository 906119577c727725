"""A folder of results, read again: what `evaluate --out` wrote, without computing anything.

Conventions
    A folder of results holds SUITE.json and SUITE_TABLE.csv of each suite, as `Result` writes them, right
    within it; folders further down are other results. What is undefined is None in a summary (JSON's null)
    and an empty text in a table, whose cells stay text: `numbers` reads a column of them.
    A file that is damaged is left out and named, and the rest is read. Where the folder keeps the hashes of
    what was written (`FINISHED`), a file that is no longer so is used as it is and named, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, PolarisRxrxError, some
from polaris_rxrx.files import sha256
from polaris_rxrx.suites.result import SCHEMA_VERSION, Result
from polaris_rxrx.tables import read_table
from polaris_rxrx.types import Floats

FINISHED = "polaris-rxrx-finished.json"
SUITES = (
    "drug-target",
    "gene-gene",
    "signal",
    "replicate-consistency",
    "activity",
    "clusters",
    "consistency",
)


@dataclass(frozen=True, eq=False)
class StoredResults:
    """What a folder holds: suite -> result in the order of `SUITES`, and what is wrong with its files."""

    folder: Path
    results: dict[str, Result]
    faults: tuple[str, ...]


def holds_results(folder: Path) -> bool:
    """Whether a folder has a file named as a suite's result, whatever is in it."""
    return folder.is_dir() and any((folder / f"{suite}.json").is_file() for suite in SUITES)


def read_results(folder: Path) -> StoredResults:
    """Read every suite's result of a folder.

    Raises:
        DataError: It is no folder, holds no results, or none that can be read.

    Here a folder as `polaris-rxrx evaluate --out` writes it, of one suite:

    >>> result = pr.evaluate("map.parquet", "gene-gene", data="data")["gene-gene"]
    >>> Path("results").mkdir()
    >>> _ = Path("results/gene-gene.json").write_text(result.to_json(), "utf-8")
    >>> list(read_results(Path("results")).results)
    ['gene-gene']
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; one that `evaluate --out` wrote was expected")
    if not holds_results(folder):
        deeper = sorted(p.name for p in folder.iterdir() if holds_results(p))
        inside = f"; there are results in {some(deeper)} within" if deeper else ""
        raise DataError(
            f"{folder} holds no results: {', '.join(f'{s}.json' for s in SUITES)} were looked for{inside}"
        )
    results: dict[str, Result] = {}
    faults = list(_changed(folder))
    for suite in SUITES:
        path = folder / f"{suite}.json"
        if not path.exists():
            continue
        try:
            results[suite] = _read(path, suite, faults)
        except PolarisRxrxError as error:
            faults.append(f"{error}; left out")
    if not results:
        raise DataError("; ".join(faults))
    return StoredResults(folder, results, tuple(faults))


def _read(path: Path, suite: str, faults: list[str]) -> Result:
    """A result and its tables; tables that cannot be read are told among the faults."""
    raw = bounded.read_file(path)
    try:
        document = bounded.json_loads(raw)
    except ValueError as error:
        raise DataError(f"{path}: damaged, not a JSON document ({error})") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: damaged, a {type(document).__name__} where an object was expected")
    if document.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"{path}: schema_version is {document.get('schema_version')!r}; {SCHEMA_VERSION} was expected"
        )
    if document.get("suite") != suite:
        raise DataError(f"{path}: suite is {document.get('suite')!r}; {suite!r} was expected")
    for name, kind in (("protocol", dict), ("summary", dict), ("notes", list)):
        if not isinstance(document.get(name), kind):
            raise DataError(f"{path}: damaged, {name} is {type(document.get(name)).__name__}")
    tables: dict[str, dict[str, list[Any]]] = {}
    for table in sorted(path.parent.glob(f"{suite}_*.csv")):
        try:
            read = read_table(table)
        except PolarisRxrxError as error:
            faults.append(f"{error}; what rests on this table is left out")
            continue
        tables[table.stem.removeprefix(f"{suite}_")] = {name: list(c) for name, c in read.columns.items()}
    notes = tuple(map(str, document["notes"]))
    return Result(suite, document["protocol"], document["summary"], tables, notes)


def _changed(folder: Path) -> Iterator[str]:
    """Files that are not as they were written, where the folder knows how they were."""
    try:
        held = bounded.json_loads(bounded.read_file(folder / FINISHED))
        files = {str(n): str(d) for entry in held["suites"].values() for n, d in entry["files"].items()}
    except (PolarisRxrxError, ValueError, KeyError, TypeError, AttributeError):
        return  # nothing is known of how they were
    for name, digest in files.items():
        path = folder / Path(name).name
        if not path.is_file():
            yield f"{path} was written and is no longer there"
        elif sha256(path) != digest:
            yield f"{path} is not as it was written"


def numbers(table: Mapping[str, list[Any]], column: str) -> Floats:
    """A column as numbers (n,), NaN where it is empty or None.

    Raises:
        KeyError: There is no such column.
        ValueError: A cell is no number.
    """
    return np.array([math.nan if v in ("", None) else float(v) for v in table[column]], dtype=np.float64)
