"""Polaris benchmarks: from the Hub or a saved JSON to a Task, and from a Task to a saved artifact.

Competitions come and go the same way; what is theirs alone is in `competitions`.

Conventions
    The official order of the test pairs is the one `evaluate` aligns predictions with: a V1 split's indices
    as they stand, a V2 bitmap's in ascending order. Inputs are `treatment`, `gene_symbol`, then the others by
    name; metrics are the main one, then the others by name. The target is called `active` here, whatever the
    benchmark calls it.
    A benchmark is read from the addresses polaris-lib itself asks for (POLARIS_HUB_URL), without a login: no
    token, password or `.env` is read, and messages never show a query string, where storage keeps signatures.
    Reading costs one request a file, in V2 one a chunk of a needed column.

A saved artifact
    benchmark.json, dataset.json and table.parquet (V1: `polaris.load_benchmark` opens it), or data.zarr,
    training.roaring and test.roaring (V2, which polaris-lib saves without its split, so it cannot open one).
    polaris-lib wants absolute paths in the JSONs; here what lies beside a JSON goes first, so a moved or
    copied folder opens too, with its own files.

polaris is imported only when called, inside `upstream.session`.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import md5
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, UpstreamError, UsageError, short, some
from polaris_rxrx.files import write_text
from polaris_rxrx.hub import files, references, upstream
from polaris_rxrx.task import ARTIFACT, KEYS, MetricSpec, Task
from polaris_rxrx.types import Floats

DEFAULT_BENCHMARK = "recursion/rxrx-compound-gene-activity-benchmark"
BENCHMARK, DATASET, TABLE, ZARR = "benchmark.json", "dataset.json", "table.parquet", "data.zarr"
TRAINING, TEST = "training.roaring", "test.roaring"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Artifact:
    """A Polaris benchmark or competition and the Task read from it.

    `specification` is polaris's own object; of its dataset a V2 one holds only the columns that are used.
    """

    task: Task
    specification: Any

    @property
    def kind(self) -> Literal["v1", "v2", "competition"]:
        if self.task.active is None:
            return "competition"
        return "v1" if self.specification.version == 1 else "v2"


def open_benchmark(reference: str) -> Artifact:
    """Open a benchmark or competition of the Hub (`owner/slug`, or its page), or a saved JSON (a path).

    Raises:
        UsageError: It is the address of something else.
        UpstreamError: The Hub cannot be reached, refuses, or has no such benchmark.
        DataError: No such file, or not a benchmark this package can work with.
    """
    path = Path(reference)
    if not path.is_file() and (found := references.artifact_id(reference)):
        return _from_hub(found)
    if not path.is_file() and not path.is_dir() and not path.suffix and "/" not in reference:
        raise DataError(f"{short(reference)} is neither a Hub id (owner/slug) nor a file")
    return _from_file(path)


def open_competition(reference: str) -> Artifact:
    """Open a competition of the Hub (`owner/slug`); its Task has no labels.

    Raises:
        UpstreamError: The Hub cannot be reached, refuses, or has no such competition.
        DataError: It is not one this package can work with.
    """
    from polaris_rxrx.hub import competitions

    return competitions.open_competition(reference)


def make_benchmark(task: Task, *, name: str, description: str) -> Artifact:
    """A zero-shot V1 benchmark from a Task built here; its owner is `local`.

    Raises:
        UsageError: The name is not one Polaris accepts.
        DataError: The task has no labels.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{4,64}", name) or len(name.strip("_-")) < 4:
        raise UsageError(f"{name!r} is no Polaris name: 4 to 64 letters, digits, - or _ were expected")
    if task.active is None:
        raise DataError(f"{task.name} has no local labels, so no benchmark can be made of it")
    with upstream.session() as polaris:
        import pandas as pd
        from polaris.benchmark import SingleTaskBenchmarkSpecification
        from polaris.dataset import DatasetV1

        columns = {column: pd.Series(values, dtype=object) for column, values in task.inputs.items()}
        dataset = DatasetV1(
            table=pd.DataFrame({**columns, "active": task.active}), name=f"{name[:59]}-data", owner="local"
        )
        specification = SingleTaskBenchmarkSpecification(
            dataset=dataset,
            name=name,
            description=description,
            owner="local",
            split=([], {"test": list(range(len(task)))}),
            input_cols=list(task.inputs),
            target_cols=["active"],
            target_types={"active": "classification"},
            metrics=[_polaris_metric(spec) for spec in task.metrics],
            main_metric=task.main_metric,
            artifact_version=task.artifact_version,
        )
        made = replace(
            task,
            artifact_id=specification.artifact_id,
            artifact_version=specification.artifact_version,
            versions={**task.versions, "polaris_lib": polaris.__version__},
        )
    return Artifact(made, specification)


def save_artifact(artifact: Artifact, folder: Path, final: Path) -> Path:
    """Write the artifact's files into `folder`, with the paths they have once it is moved to `final`.

    Returns:
        The name of the artifact's JSON within the folder.
    """
    specification, final = artifact.specification, final.absolute()
    if artifact.kind == "competition":
        from polaris_rxrx.hub import competitions

        return competitions.save(specification, folder, final)
    dataset = specification.dataset
    with upstream.session():
        data = upstream.dump(specification)
        if specification.version == 1:
            dataset.table.to_parquet(folder / TABLE)
            described = dataset.model_dump(mode="json", exclude_none=True, exclude={"table"})
            described["table"] = str(final / TABLE)
        else:
            shutil.copytree(dataset.zarr_root_path, folder / ZARR)
            for name, indices in ((TRAINING, specification.split.training), (TEST, specification.split.test)):
                (folder / name).write_bytes(indices.serialize())
            described = dataset.model_dump(mode="json", exclude_none=True, exclude={"zarr_manifest_md5sum"})
            described["zarr_root_path"] = str(final / ZARR)
    write_text(folder / DATASET, json.dumps(described))
    write_text(folder / BENCHMARK, json.dumps({**data, "dataset": str(final / DATASET)}))
    return Path(BENCHMARK)


def open_saved(task_folder: Path) -> Artifact:
    """The artifact a prepared folder keeps."""
    from polaris_rxrx.hub import competitions

    upstream.require()
    places = [Path(task_folder) / ARTIFACT / name for name in (BENCHMARK, competitions.COMPETITION)]
    for path in places:
        if path.is_file():
            return _from_file(path)
    raise DataError(
        f"{places[0]} is missing from the prepared folder (`prepare` leaves it out where polaris-lib is not "
        "installed); prepare it again with --force"
    )


def evaluate_saved(task_folder: Path, values: Floats) -> dict[str, float | None]:
    """What the client's own `evaluate(y_prob=values)` says of a prepared folder's benchmark.

    Returns:
        The value of each metric; None where the client gives NaN.
    """
    artifact = open_saved(task_folder)
    if len(values) != len(artifact.task):
        raise DataError(
            f"{len(values):,} predictions for the {len(artifact.task):,} test pairs of {task_folder}"
        )
    with upstream.session():
        return upstream.evaluate(artifact.specification, np.asarray(values, dtype=np.float64))


# ---- what a benchmark's JSON says


@dataclass(frozen=True)
class _Said:
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


def _from_file(path: Path) -> Artifact:
    said = _read_json(path)
    if said.get("start_time") is not None and said.get("dataset") is None:
        from polaris_rxrx.hub import competitions

        return competitions.from_file(path, said)
    if not said.get("target_cols") or said.get("dataset") is None:
        raise DataError(f"{path} is not a saved Polaris benchmark: it names no dataset or no target")
    dataset = said.get("dataset")
    described = (
        _Said(dataset, f"{path} (dataset)")
        if isinstance(dataset, dict)
        else _read_json(_beside(path, dataset))
    )
    source = f"file {path.name}"
    match said.get("version"):
        case 1:
            table = _beside(path, described.need("table", str))
            raw = bounded.read_file(table, bounded.OBJECT)
            return _open_v1(
                said, described, raw, str(table), source, whole=described.get("zarr_root_path") is None
            )
        case 2:
            if said.get("splits") is not None:
                raise DataError(
                    f"{upstream.newer_form(str(path))}; open it from the Hub by its id (owner/slug)"
                )
            bitmaps = {name: path.with_name(name) for name in (TRAINING, TEST)}
            if not all(p.is_file() for p in bitmaps.values()):
                raise DataError(
                    f"{path}: polaris-lib saves a V2 benchmark without its split, so it cannot be opened "
                    "again; open it from the Hub by its id (owner/slug)"
                )
            training, test = (_read_bitmap(p, said) for p in bitmaps.values())
            root = _beside(path, described.need("zarr_root_path", str))
            return _open_v2(said, described, training, test, files.folder_reader(root), str(root), source)
        case other:
            raise DataError(
                f"{path}: version {other!r} of a Polaris benchmark is not known; 1 or 2 was expected"
            )


def _read_json(path: Path) -> _Said:
    raw = bounded.read_file(path)
    try:
        data = bounded.json_loads(raw)
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); a saved Polaris benchmark was expected") from None
    if not isinstance(data, dict):
        raise DataError(f"{path}: not a saved Polaris benchmark")
    return _Said(data, str(path))


def _beside(json_path: Path, said: Any) -> Path:
    """The file a saved JSON names: the one beside it, else at the path it gives."""
    if not isinstance(said, str):
        raise DataError(f"{json_path} is not a saved Polaris benchmark: it names no dataset")
    beside = json_path.with_name(re.split(r"[\\/]", said.rstrip("\\/"))[-1] or "dataset")
    if beside.exists() or not Path(said).exists():
        return beside
    return Path(said)


def _read_bitmap(path: Path, said: _Said) -> bytes:
    raw = bounded.read_file(path)
    stated = said.need("split", dict).get(path.stem, {}).get("md5_checksum")
    if stated != md5(raw).hexdigest():
        raise DataError(f"{path}: its MD5 is not the one in {said.where}; it was changed after it was saved")
    return raw


# ---- from the Hub


def _from_hub(reference: str) -> Artifact:
    with upstream.session():
        settings, verify = upstream.hub_settings()
    with files.Hub(settings, verify) as hub:
        data = hub.json(f"/v1/benchmark/{reference}", f"the benchmark {reference}")
        if data is not None:
            return _from_hub_v1(hub, reference, _Said(data, f"{reference} on {hub.host}"))
        data = hub.json(f"/v2/benchmark/{reference}", f"the benchmark {reference}")
        if data is not None:
            return _from_hub_v2(hub, reference, _Said(data, f"{reference} on {hub.host}"))
        from polaris_rxrx.hub import competitions

        if (found := competitions.from_hub(hub, reference)) is not None:
            return found
        raise _absent(hub, "benchmark", reference)


def _absent(hub: files.Hub, what: str, reference: str) -> UpstreamError:
    return UpstreamError(
        f"{hub.host}: there is no {what} {reference} (404), or it is private; look for its id on the "
        "Hub's page, or set POLARIS_HUB_URL if it is on another Hub"
    )


def _from_hub_v1(hub: files.Hub, reference: str, said: _Said) -> Artifact:
    dataset = _Said(said.need("dataset", dict), said.where)
    owner = dataset.get("owner")
    owner = owner.get("slug") if isinstance(owner, dict) else owner
    # polaris-lib asks by name, the artifact id is the documented one: whichever of the two is there.
    candidates = [f"{owner}/{dataset.get('name')}", dataset.get("artifact_id")]
    described = _hub_dataset(hub, "v1", candidates, reference)
    table = hub.needed(described.need("root", str), f"the table of {described.where}")
    whole = described.get("extension") is None
    return _open_v1(said, described, table, f"the table of {described.where}", "hub", whole=whole)


def _hub_dataset(hub: files.Hub, version: str, candidates: Sequence[Any], benchmark: str) -> _Said:
    names = [n for n in candidates if isinstance(n, str) and re.fullmatch(r"[\w-]+/[\w-]+", n)]
    for name in dict.fromkeys(names):
        data = hub.json(f"/{version}/dataset/{name}", f"the dataset {name} of {benchmark}")
        if data is not None:
            return _Said(data, f"the dataset {name} on {hub.host}")
    raise UpstreamError(
        f"{hub.host}: the benchmark {benchmark} is there, but not its dataset {some(names, 1)} (404): it is "
        "private or was withdrawn; ask the benchmark's owner"
    )


def _from_hub_v2(hub: files.Hub, reference: str, said: _Said) -> Artifact:
    urls = upstream.split_files(said.need("split", dict), said.where, metrics=bool(said.get("metrics")))
    training_url = urls.pop("training", None)
    label = said.only_test_set(urls)
    dataset = _Said(said.need("dataset", dict), said.where)
    described = _hub_dataset(hub, "v2", [dataset.get("artifact_id")], reference)
    test = hub.needed(urls[label], f"the test split of {reference}")
    training = hub.needed(training_url, f"the training split of {reference}") if training_url else b""
    root = str(described.need("root", str)).rstrip("/")
    where = f"the archive of {described.where}"

    def read(key: str) -> bytes | None:
        return hub.get(f"{root}/{quote(key)}", where)

    return _open_v2(said, described, training, test, read, where, "hub")


# ---- V1: a table


def _open_v1(said: _Said, described: _Said, raw: bytes, where: str, source: str, *, whole: bool) -> Artifact:
    """A V1 benchmark from its JSON, its dataset's JSON and the bytes of the table.

    If the dataset is not `whole` (it points to an archive as well), only the columns in use are kept.
    """
    target, inputs = said.target(), said.inputs()
    table = files.read_parquet(raw, where)
    missing = [c for c in (*inputs, target) if c not in table.columns]
    if missing:
        raise DataError(f"{where} has no column {some(missing)}; it has {some(list(table.columns), 12)}")
    training, test = _v1_split(said, len(table))
    with upstream.session() as polaris:
        from polaris.benchmark import SingleTaskBenchmarkSpecification
        from polaris.dataset import DatasetV1

        stated = described.get("md5Sum") or described.get("md5sum")
        if whole and stated is not None:
            computed = upstream.table_checksum(table)
            if computed != stated:
                raise DataError(
                    f"{where}: its checksum is {computed}, but {stated} was stated; it is damaged or changed"
                )
        elif not whole:
            _no_pointers(described, (*inputs, target))
            table = table[[*inputs, target]]
        columns = {c: table[c].to_numpy(dtype=object) for c in (*inputs, target)}
        columns[target] = upstream.to_labels(columns[target], [*training, *test], where)
        table = upstream.plain_table(table, target, columns[target])
        with _accepted(said.where):
            dataset = DatasetV1(table=table, **upstream.dataset_fields(described.data, set(table.columns)))
            specification = SingleTaskBenchmarkSpecification(**{**said.data, "dataset": dataset})
        if stated is not None:
            _check_benchmark(said, specification, stated, polaris.__version__)
        task = _to_task(specification, columns, inputs, target, training, test, source, polaris.__version__)
    return Artifact(task, specification)


def _v1_split(said: _Said, rows: int) -> tuple[list[int], list[int]]:
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


def _no_pointers(described: _Said, columns: Iterable[str]) -> None:
    said = described.get("annotations") or {}
    pointers = [c for c in columns if (a := said.get(c)) and (a.get("isPointer") or a.get("is_pointer"))]
    if pointers:
        raise DataError(f"{described.where}: {some(pointers)} points into an archive; that is not supported")


def _check_benchmark(said: _Said, specification: Any, dataset_md5: str, version: str) -> None:
    """Compare a V1 benchmark's checksum with the one stated.

    What it covers has changed between releases of polaris-lib, so of one made by another release than ours
    a mismatch is only told.
    """
    stated = said.get("md5Sum") or said.get("md5sum")
    if stated is None:
        return
    computed = upstream.benchmark_checksum(specification, dataset_md5)
    if computed == stated:
        return
    maker = str(said.get("polaris_version"))
    problem = f"{said.where}: the benchmark's checksum is {computed}, but {stated} was stated"
    if maker.split(".")[:2] == version.split(".")[:2]:
        raise DataError(f"{problem}; its columns, metrics or split were changed or damaged")
    logger.warning("%s (made with polaris-lib %s, which may compute it otherwise)", problem, maker)


# ---- V2: an archive


def _open_v2(
    said: _Said, described: _Said, training: bytes, test: bytes, read: files.Read, where: str, source: str
) -> Artifact:
    """A V2 benchmark from its JSON, its dataset's JSON, its bitmaps and its archive's files."""
    target, inputs = said.target(), said.inputs()
    columns = files.zarr_columns(read, (*inputs, target), target, where)
    with upstream.session() as polaris:
        from polaris.benchmark import BenchmarkV2Specification
        from polaris.dataset import DatasetV2

        with _accepted(said.where):
            split = upstream.v2_split(training, test)
        rows = len(columns[target])
        indices = [list(split.training.indices), list(split.test.indices)]
        if max(max(part, default=0) for part in indices) >= rows:
            raise DataError(f"{said.where}: the split names rows beyond the dataset's {rows:,}")
        labels = upstream.to_labels(columns[target], [*indices[0], *indices[1]], where)
        if columns[target].dtype.kind not in "iuf":
            columns[target] = labels
        root = Path(tempfile.mkdtemp(prefix="polaris_rxrx."))
        finalizer = None
        try:
            files.write_zarr(root / ZARR, columns)
            with _accepted(said.where):
                fields = upstream.dataset_fields(described.data, set(columns))
                dataset = DatasetV2(**fields, zarr_root_path=str(root / ZARR))
                specification = BenchmarkV2Specification(**{**said.data, "dataset": dataset, "split": split})
            finalizer = weakref.finalize(specification, shutil.rmtree, root, ignore_errors=True)
        finally:
            if finalizer is None:
                shutil.rmtree(root, ignore_errors=True)
        columns[target] = labels
        task = _to_task(
            specification, columns, inputs, target, indices[0], indices[1], source, polaris.__version__
        )
    return Artifact(task, specification)


# ---- to and from a Task


def _to_task(
    specification: Any,
    columns: Mapping[str, NDArray[Any]],
    inputs: Sequence[str],
    target: str,
    training: Sequence[int],
    test: Sequence[int],
    source: str,
    version: str,
    *,
    labels: bool = True,
) -> Task:
    metrics = sorted(specification.metrics, key=lambda m: (m.name != specification.main_metric.name, m.name))
    train: dict[str, list[str]] = {}
    if training:
        train = {name: _text(columns[name], training, name) for name in inputs}
        train["active"] = ["" if np.isnan(a) else str(int(a)) for a in columns[target][list(training)]]
    task = Task(
        inputs={name: _text(columns[name], test, name) for name in inputs},
        active=np.asarray(columns[target][list(test)], dtype=np.float64) if labels else None,
        main_metric=specification.main_metric.name,
        metrics=tuple(_metric_spec(m) for m in metrics),
        artifact_id=specification.artifact_id,
        artifact_version=specification.artifact_version,
        source=source,
        train=train,
        versions={"polaris_lib": version},
    )
    for column in sorted({m.group_by for m in task.metrics if m.group_by}):
        if any(files.is_missing(v) for v in columns[column][list(test)].tolist()):
            logger.warning("%s has no value in some test pairs; the client may group these otherwise", column)
    return task


def _text(values: NDArray[Any], rows: Sequence[int], name: str) -> list[str]:
    return [files.cell(v, name) for v in values[list(rows)].astype(object).tolist()]


def _metric_spec(metric: Any) -> MetricSpec:
    config = metric.config
    if config is None:
        return MetricSpec(name=metric.name, label=metric.label)
    return MetricSpec(
        name=metric.name,
        label=metric.label,
        group_by=config.group_by,
        aggregation=config.aggregation,
        on_error=config.on_error,
        default=config.default,
    )


def _polaris_metric(spec: MetricSpec) -> Any:
    from polaris.evaluate import Metric
    from polaris.evaluate._metric import GroupedMetricConfig

    config = None
    if spec.group_by is not None:
        config = GroupedMetricConfig(
            group_by=spec.group_by, aggregation=spec.aggregation, on_error=spec.on_error, default=spec.default
        )
    return Metric(label=spec.label, config=config, name=spec.name)


@contextmanager
def _accepted(where: str) -> Iterator[None]:
    """What polaris's models say against a benchmark becomes a `DataError`."""
    try:
        yield
    except ValidationError as error:
        told = [f"{'.'.join(map(str, e['loc'])) or 'benchmark'}: {e['msg']}" for e in error.errors()[:3]]
        raise DataError(f"{where}: polaris-lib does not accept it ({'; '.join(told)})") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise DataError(f"{where}: polaris-lib does not accept it ({files.one_line(error)})") from None
