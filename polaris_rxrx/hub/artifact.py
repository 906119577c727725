"""What a Polaris artifact is: its id, its documents, and the Task read from it.

Benchmarks and competitions both stand on this; what is one's alone is in `benchmarks` and `competitions`.

Conventions
    An id is owner/slug, small letters, digits and dashes, as the Hub makes them of names (`card.slug`).
    People give its page's address too, or underscores; what was understood otherwise than it stands is told
    once, as a warning.
    A document is JSON of the Hub (camelCase) or of a saved artifact (snake_case). The official order of the
    test pairs is that of the split. Inputs are `treatment`, `gene_symbol`, then the others by name; metrics
    are the main one, then the others by name. The target is called `active` here, whatever it is there.
    Files that a saved document names are looked for beside it first, so a moved or copied folder opens too.

polaris is imported only when called, inside `upstream.session`.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, UsageError, one_line, short, some
from polaris_rxrx.hub import files, upstream
from polaris_rxrx.task import KEYS, MetricSpec, Task
from polaris_rxrx.types import Floats
from polaris_rxrx.validation import complaints

ZARR = "data.zarr"
Kind = Literal["v1", "v2", "competition"]
Rows = Sequence[int]
GROUPED = ("group_by", "aggregation", "on_error", "default")  # what a metric over groups has besides
HOST = "polarishub.io"
_ID = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+")
_PAGE = re.compile(r"(?:.*/)?(benchmark|competition|dataset|model|result)s?/(?:v\d+/)?([^/]+/[^/]+)(/.*)?")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Artifact:
    """A Polaris benchmark or competition and the Task read from it.

    `specification` is polaris's own object; of its dataset a V2 one holds only the columns that are used.
    """

    task: Task
    specification: Any

    @property
    def kind(self) -> Kind:
        if self.task.active is None:
            return "competition"
        return "v1" if self.specification.version == 1 else "v2"

    def client_scores(self, values: Floats) -> dict[str, float | None]:
        """What the client's own `evaluate(y_prob=values)` says: by metric, None where it gives NaN."""
        with upstream.session():
            return upstream.evaluate(self.specification, np.asarray(values, dtype=np.float64))


# ---- ids


@dataclass(frozen=True)
class HubId:
    """`id`: owner/slug. `kind`: what its address says it is (`benchmark`), "" if it says nothing."""

    id: str
    kind: str = ""


def understand(text: str) -> HubId | None:
    """The id that a text means; None if it means none.

    Raises:
        UsageError: It is an address of another Hub, or none of a benchmark or model.
    """
    bare = text.strip()
    kind = ""
    address = re.match(r"https?:/*|//", bare, re.I)
    known_host = re.match(r"(www\.)?polarishub\.io/", bare, re.I)
    if address or known_host:
        try:
            parts = urlsplit(f"https://{bare[address.end() if address else 0 :]}")
            host = (parts.hostname or "").removeprefix("www.")
        except ValueError:
            raise UsageError(f"{short(text)} is no address; a Hub id (owner/slug) was expected") from None
        if host != hub_host():
            raise UsageError(
                f"{short(text)} is an address of {host or 'no host'}, but the Hub here is {hub_host()}; "
                "POLARIS_HUB_URL names another"
            )
        bare = unquote(parts.path)
        page = _PAGE.fullmatch(bare)
        if page is None:
            raise UsageError(
                f"{short(text)} is not the page of a benchmark; https://{HOST}/benchmarks/owner/slug "
                "was expected"
            )
        kind, bare = page[1], page[2]
    elif page := re.fullmatch(r"/?(benchmark|competition|model)s/([^/]+/[^/]+)", bare.rstrip("/")):
        kind, bare = page[1], page[2]
    bare = bare.strip("/").removeprefix("@")
    if not _ID.fullmatch(bare):
        return None
    owner, name = (part.lower().replace("_", "-").strip("-") for part in bare.split("/"))
    return HubId(f"{owner}/{name}", kind) if owner and name else None


def artifact_id(text: str) -> str | None:
    """The id of a benchmark or competition that a text means; None if it means none.

    Raises:
        UsageError: It is the address of something else.
    """
    found = understand(text)
    if found is None:
        return None
    if found.kind in ("dataset", "model", "result"):
        raise UsageError(f"{short(text)} is the address of a {found.kind}; a benchmark's was expected")
    if found.id != text:
        logger.warning("%s is taken for the Hub's %s", short(text, 200), found.id)
    return found.id


def hub_host() -> str:
    """The Hub that is asked."""
    given = os.environ.get("POLARIS_HUB_URL") or f"https://{HOST}"
    try:
        return (urlsplit(given).hostname or HOST).removeprefix("www.")
    except ValueError:
        return HOST


# ---- documents


@dataclass(frozen=True)
class Document:
    """A JSON document of the Hub (camelCase) or of a saved artifact (snake_case), and what to call it."""

    data: dict[str, Any]
    where: str

    def get(self, name: str, default: Any = None) -> Any:
        head, *rest = name.split("_")
        camel = head + "".join(word.capitalize() for word in rest)
        return self.data.get(name, self.data.get(camel, default))

    def need(self, name: str, kind: type) -> Any:
        value = self.get(name)
        if not isinstance(value, kind):
            raise DataError(f"{self.where} is not a Polaris artifact: no usable `{name}` in its JSON")
        return value

    def names(self, name: str) -> list[str]:
        value = self.get(name)
        return [value] if isinstance(value, str) else sorted(map(str, self.need(name, list)))

    def target(self) -> str:
        targets = self.names("target_cols")
        if len(targets) != 1:
            raise DataError(f"{self.where} has several targets ({some(targets)}); that is not supported")
        return targets[0]

    def inputs(self) -> list[str]:
        """The input columns and those metrics group by, in our order."""
        names = set(self.names("input_cols"))
        if not {*KEYS} <= names:
            raise DataError(
                f"{self.where}: the inputs treatment and gene_symbol are expected; "
                f"it has {some(sorted(names), 12)}"
            )
        for metric in self.need("metrics", list):
            config = metric.get("config") if isinstance(metric, dict) else None
            if isinstance(config, dict) and isinstance(config.get("group_by"), str):
                names.add(config["group_by"])
        if clash := names & {"id", "active"}:
            raise DataError(f"{self.where}: an input called {some(sorted(clash))} is not supported")
        return [*KEYS, *sorted(names - {*KEYS})]

    def only_test_set(self, labels: Iterable[str]) -> str:
        found = sorted(labels)
        if len(found) != 1:
            raise DataError(f"{self.where}: {len(found)} test sets ({some(found)}); exactly one is supported")
        return found[0]


def read_document(path: Path) -> Document:
    """The JSON of a saved artifact."""
    raw = bounded.read_file(path)
    try:
        data = bounded.json_loads(raw)
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); a saved Polaris benchmark was expected") from None
    if not isinstance(data, dict):
        raise DataError(f"{path}: not a saved Polaris benchmark")
    return Document(data, str(path))


def beside(json_path: Path, said: Any) -> Path:
    """The file a saved JSON names: the one beside it, else at the path it gives."""
    if not isinstance(said, str):
        raise DataError(f"{json_path} is not a saved Polaris benchmark: it names no dataset")
    near = json_path.with_name(re.split(r"[\\/]", said.rstrip("\\/"))[-1] or "dataset")
    return near if near.exists() or not Path(said).exists() else Path(said)


def row_split(said: Document, rows: int) -> tuple[list[int], list[int]]:
    """The training and the test rows of a document that lists them, for a dataset of so many rows."""
    split = said.need("split", list)
    if len(split) != 2 or not isinstance(split[0], list):
        raise DataError(f"{said.where}: the split is not a training and a test part")
    training, tests = split
    tests = tests if isinstance(tests, dict) else {"test": tests}
    test = tests[said.only_test_set(tests)]
    for index in (*training, *(test if isinstance(test, list) else [test])):
        if not isinstance(index, int) or not 0 <= index < rows:
            raise DataError(f"{said.where}: the split names row {index!r} of a dataset of {rows:,} rows")
    return training, test


# ---- to a Task


def to_task(
    specification: Any, said: Document, columns: files.Columns, training: Rows, test: Rows, source: str
) -> Task:
    """The Task of a specification, whose columns are at hand with their labels as 1, 0 and NaN.

    Args:
        specification: polaris's own object.
        said: Its document.
        columns: Every input and the target, by name.
        training: Rows of the training pairs.
        test: Rows of the test pairs, in official order.
        source: Where it was read from, in a few words.
    """
    import polaris

    inputs, target = said.inputs(), said.target()
    labels = np.asarray(columns[target][list(test)], dtype=np.float64)
    metrics = sorted(specification.metrics, key=lambda m: (m.name != specification.main_metric.name, m.name))
    train: dict[str, list[str]] = {}
    if training:
        train = {name: _text(columns[name], training, name) for name in inputs}
        train["active"] = ["" if np.isnan(a) else str(int(a)) for a in columns[target][list(training)]]
    task = Task(
        inputs={name: _text(columns[name], test, name) for name in inputs},
        active=None if hasattr(specification, "start_time") else labels,  # a competition has none here
        main_metric=specification.main_metric.name,
        metrics=tuple(_metric_spec(m) for m in metrics),
        artifact_id=specification.artifact_id,
        artifact_version=specification.artifact_version,
        source=source,
        train=train,
        versions={"polaris_lib": polaris.__version__},
    )
    for column in sorted({m.group_by for m in task.metrics if m.group_by}):
        if any(files.is_missing(v) for v in columns[column][list(test)].tolist()):
            logger.warning("%s has no value in some test pairs; the client may group these otherwise", column)
    return task


def _text(values: NDArray[Any], rows: Rows, name: str) -> list[str]:
    return [files.cell(v, name) for v in values[list(rows)].astype(object).tolist()]


def _metric_spec(metric: Any) -> MetricSpec:
    grouped = {} if metric.config is None else {name: getattr(metric.config, name) for name in GROUPED}
    return MetricSpec(name=metric.name, label=metric.label, **grouped)


def over_archive(columns: files.Columns, said: Document, make: Callable[[str], Any]) -> Any:
    """A specification made over a temporary archive of these columns, which stays as long as it does."""
    root = Path(tempfile.mkdtemp(prefix="polaris_rxrx."))
    try:
        files.write_zarr(root / ZARR, columns)
        with accepted(said.where):
            specification = make(str(root / ZARR))
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    weakref.finalize(specification, shutil.rmtree, root, ignore_errors=True)
    return specification


def archive_reader(hub: files.PublicHub, described: Document, where: str) -> files.Read:
    """What reads a key of the archive that a document of the Hub names."""
    root = str(described.need("root", str)).rstrip("/")
    return lambda key: hub.get(f"{root}/{quote(key)}", where)


@contextmanager
def accepted(where: str) -> Iterator[None]:
    """What polaris's models say against a benchmark becomes a `DataError`."""
    try:
        yield
    except ValidationError as error:
        told = "; ".join(map(str, complaints(error)[:3]))
        raise DataError(f"{where}: polaris-lib does not accept it ({told})") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise DataError(f"{where}: polaris-lib does not accept it ({one_line(error)})") from None
