"""What a suite gives.

Conventions
    A value that is not defined is None or NaN, in `summary` and in a table; in JSON null, in CSV empty.
    `protocol` holds what settles a result (thresholds, seeds, aligner, versions, hashes of the data), nothing
    of when or where it was made: the same data and protocol give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from polaris_rxrx._version import __version__
from polaris_rxrx.tables import to_csv

SCHEMA_VERSION = 1


class Versions(TypedDict):
    """The versions that a result may depend on."""

    polaris_rxrx: str
    numpy: str


@dataclass(frozen=True, eq=False)
class Result:
    """Result of a suite.

    Attributes:
        suite: drug-target, gene-gene or signal.
        protocol: Enough to tell two results apart.
        summary: The headline numbers. What stands in both is in `polaris_rxrx.suites.documents`.
        tables: Name -> columns of equal length, one row a thing measured.
        notes: What was left out and why, counted and named.

    >>> found = Result("mine", {"seed": 0}, {"mean": 0.5}, {"genes": {"gene": ["BCL2"], "value": [0.5]}}, ())
    >>> found.summary["mean"], found.tables["genes"]["gene"]
    (0.5, ['BCL2'])
    """

    suite: str
    protocol: Mapping[str, Any]
    summary: Mapping[str, Any]
    tables: dict[str, dict[str, list[Any]]]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Strict JSON without the tables: text keys, no NaN, no infinity, no numpy types.

        >>> Result("mine", {"seed": np.int64(0)}, {"mean": float("nan")}, {}, ()).to_dict()["summary"]
        {'mean': None}
        """
        whole = {
            "schema_version": SCHEMA_VERSION,
            "suite": self.suite,
            "protocol": self.protocol,
            "summary": self.summary,
            "notes": self.notes,
        }
        plain: dict[str, Any] = _plain(whole)
        return plain

    def to_json(self) -> str:
        """`to_dict` as indented text.

        >>> Result("mine", {"seed": 0}, {"mean": 0.5}, {}, ()).to_json().splitlines()[:3]
        ['{', '  "schema_version": 1,', '  "suite": "mine",']
        """
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def csv(self, table: str) -> str:
        """A table as CSV text.

        >>> table = {"gene": ["BCL2", "MTOR"], "value": [0.5, float("nan")]}
        >>> print(Result("mine", {}, {}, {"genes": table}, ()).csv("genes"), end="")
        gene,value
        BCL2,0.5
        MTOR,
        """
        columns = self.tables[table]
        return to_csv(
            {name: ["" if _absent(v) else v for v in _plain(cells)] for name, cells in columns.items()}
        )


def versions() -> Versions:
    """The versions that a result may depend on, for a protocol."""
    return {"polaris_rxrx": __version__, "numpy": np.__version__}


class Digest:
    """SHA-256 of names and arrays, for a protocol; type and shape count, memory order does not."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def names(self, names: Iterable[str]) -> Digest:
        self._digest.update(json.dumps(list(names)).encode())
        return self

    def array(self, values: NDArray[Any]) -> Digest:
        self._digest.update(f"{values.dtype.str}{values.shape}".encode())
        self._digest.update(np.ascontiguousarray(values).data)
        return self

    def hex(self) -> str:
        return self._digest.hexdigest()


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _plain(value: Any) -> Any:
    """JSON's own types; what is not finite is None.

    Raises:
        TypeError: A value that JSON has no form for.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    raise TypeError(f"{type(value).__name__} has no place in a result")
