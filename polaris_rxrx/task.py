"""A Task: the benchmark's test pairs in official order, and the folder it is kept in.

Conventions
    A pair is a compound (`treatment`) and a gene (`gene_symbol`); `id` is its place in the official order,
    0..n-1. `active` is 1, 0 or NaN (no label). A competition has no local labels: `active` is None.

A prepared folder
    train.csv              the inputs and `active`; the header alone if the benchmark is zero-shot
    test_features.csv      id and every input
    sample_submission.csv  id, active: the shape of a predictions file, all zeros
    private/answers.csv    id, active: for scoring, apart so that nobody trains on it by accident
    task.json              what it is, its metrics, versions, row counts and the SHA-256 of the files above
    polaris/               the saved Polaris artifact, for `score --official`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from polaris_rxrx import validation
from polaris_rxrx._version import __version__
from polaris_rxrx.errors import DataError, MissingError, UsageError, some
from polaris_rxrx.files import sha256, write_text
from polaris_rxrx.tables import Table, read_table, to_csv
from polaris_rxrx.types import Floats, Ints

MANIFEST = "task.json"
TRAIN = "train.csv"
FEATURES = "test_features.csv"
SAMPLE = "sample_submission.csv"
ANSWERS = "private/answers.csv"
ARTIFACT = "polaris"
KEYS = ("treatment", "gene_symbol")


class MetricSpec(BaseModel):
    """One metric of a benchmark, as Polaris specifies it.

    >>> spec = MetricSpec(name="pr_auc", label="pr_auc", group_by="treatment")
    >>> spec.aggregation, spec.on_error
    ('mean', 'raise')
    """

    model_config = ConfigDict(frozen=True)

    name: str
    label: str
    group_by: str | None = None
    aggregation: Literal["mean", "median"] = "mean"
    on_error: Literal["ignore", "raise", "default"] = "raise"
    default: float | None = None


class Manifest(BaseModel):
    """`task.json`."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    artifact_id: str | None
    artifact_type: Literal["benchmark", "competition"] = "benchmark"
    artifact_version: int
    source: str
    inputs: tuple[str, ...]
    target: str = "active"
    main_metric: str
    metrics: tuple[MetricSpec, ...]
    counts: dict[str, int]
    protocol: dict[str, Any] = {}
    versions: dict[str, str]
    files: dict[str, str] = {}


@dataclass(frozen=True, eq=False)
class Task:
    """The test pairs in official order, their labels, and what is computed on them.

    `inputs` holds every input column as text, each of length n, `treatment` and `gene_symbol` among them.

    Three pairs of one compound, one of them active:

    >>> task = Task(
    ...     inputs={"treatment": ["Imatinib"] * 3, "gene_symbol": ["ABL1", "BCL2", "MTOR"]},
    ...     active=np.array([1.0, 0.0, 0.0]),
    ...     main_metric="pr_auc",
    ...     metrics=(MetricSpec(name="pr_auc", label="pr_auc", group_by="treatment"),),
    ... )
    >>> len(task), task.by_key["Imatinib", "MTOR"]
    (3, 2)
    """

    inputs: dict[str, list[str]]
    active: Floats | None
    main_metric: str
    metrics: tuple[MetricSpec, ...]
    artifact_id: str | None = None
    artifact_version: int = 1
    source: str = ""
    train: dict[str, list[str]] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def __post_init__(self) -> None:
        lengths = {len(v) for v in self.inputs.values()}
        if not {*KEYS} <= set(self.inputs):
            raise DataError(f"a task needs the inputs treatment and gene_symbol; got {list(self.inputs)}")
        if len(lengths) != 1 or (self.active is not None and {len(self.active)} != lengths):
            raise DataError("the columns of a task differ in length")
        if self.main_metric not in [m.name for m in self.metrics]:
            raise DataError(f"the main metric {self.main_metric!r} is not one of the task's metrics")
        if taken := {"id", "active"} & set(self.inputs):
            raise DataError(f"an input may not be called {some(sorted(taken))}; predictions use that name")
        if self.active is not None and not np.isin(self.active[~np.isnan(self.active)], (0, 1)).all():
            raise DataError("the labels of a task must be 1, 0 or NaN")

    def __len__(self) -> int:
        return len(self.inputs["treatment"])

    @property
    def treatment(self) -> list[str]:
        return self.inputs["treatment"]

    @property
    def gene_symbol(self) -> list[str]:
        return self.inputs["gene_symbol"]

    @property
    def name(self) -> str:
        """What to call it in a report."""
        return self.artifact_id or self.source

    @cached_property
    def by_key(self) -> dict[tuple[str, str], int]:
        """The id of each (treatment, gene_symbol); of the first, should a pair stand twice.

        >>> task = pr.load_task("task")
        >>> task.by_key[task.treatment[5], task.gene_symbol[5]]
        5
        """
        return {
            key: i for i, key in reversed(list(enumerate(zip(self.treatment, self.gene_symbol, strict=True))))
        }

    def smiles(self) -> dict[str, str]:
        """SMILES by treatment, where known: from the inputs, else those that `prepare --smiles` wrote.

        >>> pr.load_task("task").smiles()  # this task was prepared without --smiles
        {}
        """
        column = self.inputs.get("SMILES")
        if column is None and self.folder is not None:
            column = read_table(self.folder / FEATURES).columns.get("SMILES")
        return {name: s for name, s in zip(self.treatment, column or [], strict=False) if s.strip()}

    def same_pairs(self, other: Task) -> bool:
        """Whether two tasks ask for the same pairs in the same order and have the same labels.

        >>> pr.load_task("task").same_pairs(pr.load_task("task"))
        True
        """
        if self is other:
            return True
        if (self.active is None) != (other.active is None) or len(self) != len(other):
            return False
        if any(self.inputs[key] != other.inputs[key] for key in KEYS):
            return False
        return self.active is None or np.array_equal(self.active, other.active, equal_nan=True)  # type: ignore[arg-type]

    def groups(self, column: str) -> tuple[Ints, list[str]]:
        """Codes (n,), not to be written to, and sorted names of a column's values.

        >>> codes, names = pr.load_task("task").groups("treatment")
        >>> codes.shape, len(names), names == sorted(names)
        ((997,), 44, True)
        """
        if column not in self._groups:
            cells = self.inputs[column]
            names = sorted(set(cells))
            code = {name: i for i, name in enumerate(names)}
            codes = np.fromiter(map(code.__getitem__, cells), np.int64, len(cells))
            codes.flags.writeable = False
            self._groups[column] = codes, names
        codes, names = self._groups[column]
        return codes, list(names)

    @cached_property
    def _groups(self) -> dict[str, tuple[Ints, list[str]]]:
        """What `groups` has made: half a dozen steps of a score ask for the same."""
        return {}

    def gene_codes(self) -> Ints | None:
        """Codes (n,) of the genes, -1 where a pair has no name of one; None if none has."""
        codes, names = self.groups("gene_symbol")
        unnamed = np.array([not name.strip() for name in names])
        return None if unnamed.all() else np.where(unnamed[codes], -1, codes)

    def counts(self) -> dict[str, int]:
        """How many there are of what.

        >>> counts = pr.load_task("task").counts()
        >>> counts["pairs"], counts["active"], counts["unlabelled"]
        (997, 117, 0)
        """
        counts = {
            "pairs": len(self),
            "treatments": len(set(self.treatment)),
            "genes": len(set(self.gene_symbol)),
            "train": len(next(iter(self.train.values()), [])),
        }
        if self.active is not None:
            counts["active"] = int(np.sum(self.active == 1))
            counts["unlabelled"] = int(np.sum(np.isnan(self.active)))
        return counts

    def public_tables(self, smiles: Sequence[str] | None = None) -> dict[str, str]:
        """The texts of the files that hold no labels of the test pairs: name -> CSV."""
        ids: list[object] = list(range(len(self)))
        features: dict[str, Sequence[object]] = {"id": ids, **self.inputs}
        if smiles is not None:
            if "SMILES" in self.inputs:
                raise UsageError("SMILES are an input of this benchmark already; do without --smiles")
            features["SMILES"] = smiles
        return {
            TRAIN: to_csv(self.train or {**{name: [] for name in self.inputs}, "active": []}),
            FEATURES: to_csv(features),
            SAMPLE: to_csv({"id": ids, "active": [0.0] * len(self)}),
        }

    def label_texts(self) -> list[str]:
        """The labels as they are written: `1`, `0`, nothing where there is none.

        Raises:
            DataError: The task is a competition.

        >>> texts = pr.load_task("task").label_texts()
        >>> texts.count("1"), texts.count("0"), texts.count("")
        (117, 880, 0)
        """
        if self.active is None:
            raise DataError(f"{self.name} is a competition: its labels stay on the Hub")
        return ["" if a != a else "1" if a else "0" for a in self.active.tolist()]

    def save(self, folder: Path, *, smiles: Sequence[str] | None = None) -> Manifest:
        """Write the prepared folder's own files into `folder` (made by the caller, empty).

        >>> Path("saved").mkdir()
        >>> manifest = pr.load_task("task").save(Path("saved"))
        >>> sorted(manifest.files)
        ['private/answers.csv', 'sample_submission.csv', 'test_features.csv', 'train.csv']
        """
        texts = self.public_tables(smiles)
        if self.active is not None:
            texts[ANSWERS] = to_csv({"id": list(range(len(self))), "active": self.label_texts()})
        for name, text in texts.items():
            write_text(folder / name, text)
        manifest = Manifest(
            artifact_id=self.artifact_id,
            artifact_type="benchmark" if self.active is not None else "competition",
            artifact_version=self.artifact_version,
            source=self.source,
            inputs=tuple(self.inputs),
            main_metric=self.main_metric,
            metrics=self.metrics,
            counts=self.counts(),
            protocol=self.protocol,
            versions={"polaris_rxrx": __version__, **self.versions},
            files={name: sha256(folder / name) for name in texts},
        )
        write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
        return manifest


def files_of(folder: Path) -> list[Path]:
    """The files of a prepared folder that are there."""
    named = [folder / name for name in (MANIFEST, TRAIN, FEATURES, SAMPLE, ANSWERS)]
    return [path for path in (*named, *(folder / ARTIFACT).rglob("*")) if path.is_file()]


def load_task(folder: Path | str = "task") -> Task:
    """Read a prepared folder, checking every file against the hash written when it was prepared.

    Raises:
        MissingError: There is no prepared folder.
        DataError: A file is missing, was edited since, or is not what `prepare` writes.

    >>> task = pr.load_task("task")
    >>> len(task), len(set(task.treatment)), len(set(task.gene_symbol))
    (997, 44, 77)
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    for name in (TRAIN, FEATURES, SAMPLE, *([ANSWERS] if manifest.artifact_type == "benchmark" else [])):
        if name not in manifest.files:
            raise DataError(
                f"{folder / MANIFEST} has no SHA-256 of {name}; prepare the folder again with --force"
            )
    for name, expected in manifest.files.items():
        if name not in (TRAIN, FEATURES, SAMPLE, ANSWERS):
            raise DataError(f"{folder / MANIFEST} names a file that `prepare` does not write: {name!r}")
        if not (folder / name).is_file():
            raise DataError(
                f"{folder / name} is missing from the prepared folder; prepare it again with --force"
            )
        if sha256(folder / name) != expected:
            raise DataError(
                f"{folder / name} was changed after `prepare` (its SHA-256 is not the one in {MANIFEST}); "
                "scores on it would not be official. Prepare it again with --force"
            )
    features = read_table(folder / FEATURES)
    features.need("id", *manifest.inputs)
    _check_ids(features)
    active = None
    if ANSWERS in manifest.files:
        answers = read_table(folder / ANSWERS)
        answers.need("id", manifest.target)
        _check_ids(answers)
        active = _labels(answers, manifest.target)
    train = read_table(folder / TRAIN)
    return Task(
        inputs={name: features.columns[name] for name in manifest.inputs},
        active=active,
        main_metric=manifest.main_metric,
        metrics=manifest.metrics,
        artifact_id=manifest.artifact_id,
        artifact_version=manifest.artifact_version,
        source=manifest.source,
        train=dict(train.columns),
        protocol=manifest.protocol,
        versions=manifest.versions,
        folder=folder,
    )


def read_manifest(folder: Path) -> Manifest:
    """Read a prepared folder's `task.json`.

    Raises:
        MissingError: There is no prepared folder.
        DataError: It is not what `prepare` writes.
    """
    path = folder / MANIFEST
    if not path.is_file():
        command = ["prepare"] + ([] if str(folder) == "task" else ["--out", str(folder)])
        raise MissingError(f"no prepared task in {folder} (there is no {path})", command)
    try:
        return validation.read_json(Manifest, path)
    except ValueError as error:
        raise DataError(
            f"{path} is not what `prepare` writes ({validation.told(error)}); prepare it again with --force"
        ) from None


def _check_ids(table: Table) -> None:
    ids = table.wholes("id")
    if ids is not None and np.array_equal(ids, np.arange(len(table))):
        return
    if table.columns["id"] != [str(i) for i in range(len(table))]:
        raise DataError(f"{table.path}: the ids are not 0..{len(table) - 1} in order")


def _labels(table: Table, column: str) -> Floats:
    known = {"1": 1.0, "0": 0.0, "": np.nan}
    cells = table.columns[column]
    if not known.keys() >= set(cells):
        row, text = next((row, text) for row, text in enumerate(cells) if text not in known)
        raise DataError(f"{table.at(row)}: {column} is {text!r}; 1, 0 or nothing was expected")
    return np.fromiter(map(known.__getitem__, cells), np.float64, len(cells))
