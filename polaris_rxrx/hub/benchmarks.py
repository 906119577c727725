"""Polaris benchmarks: from the Hub or a saved JSON to a Task, and from a Task to a saved artifact.

What opens or saves an artifact of whatever kind is here too, and hands a competition on to `competitions`.

Conventions
    The official order of the test pairs is the one `evaluate` aligns predictions with: a V1 split's indices
    as they stand, a V2 bitmap's in ascending order.
    A benchmark is read from the addresses polaris-lib itself asks for (POLARIS_HUB_URL), without a login: no
    token, password or `.env` is read, and messages never show a query string, where storage keeps signatures.
    Reading costs one request a file, in V2 one a chunk of a needed column.

A saved artifact
    benchmark.json, dataset.json and table.parquet (V1: `polaris.load_benchmark` opens it), or data.zarr,
    training.roaring and test.roaring (V2, which polaris-lib saves without its split, so it cannot open one).
    polaris-lib wants absolute paths in the JSONs; see `artifact` for how they are read.

polaris is imported only when called, inside `upstream.session`.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import md5
from pathlib import Path
from typing import Any

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, UpstreamError, UsageError, short, some
from polaris_rxrx.files import write_text
from polaris_rxrx.hub import competitions, files, upstream
from polaris_rxrx.hub.artifact import (
    GROUPED,
    ZARR,
    Artifact,
    Document,
    accepted,
    archive_reader,
    artifact_id,
    beside,
    over_archive,
    read_document,
    row_split,
    to_task,
)
from polaris_rxrx.task import ARTIFACT, MetricSpec, Task
from polaris_rxrx.types import Floats

DEFAULT_BENCHMARK = "recursion/rxrx-compound-gene-activity-benchmark"
BENCHMARK, DATASET, TABLE = "benchmark.json", "dataset.json", "table.parquet"
TRAINING, TEST = "training.roaring", "test.roaring"

logger = logging.getLogger(__name__)


def open_benchmark(reference: str) -> Artifact:
    """Open a benchmark or competition of the Hub (`owner/slug`, or its page), or a saved JSON (a path).

    Raises:
        UsageError: It is the address of something else.
        UpstreamError: The Hub cannot be reached, refuses, or has no such benchmark.
        DataError: No such file, or not a benchmark this package can work with.
    """
    path = Path(reference)
    if not path.is_file() and (found := artifact_id(reference)):
        return _from_hub(found)
    if not path.is_file() and not path.is_dir() and not path.suffix and "/" not in reference:
        raise DataError(f"{short(reference)} is neither a Hub id (owner/slug) nor a file")
    return _from_file(path)


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


def local_benchmark(task: Task) -> Artifact | None:
    """A task that `polaris_rxrx.local_task` drew as a benchmark, None where polaris-lib is not installed."""
    if not upstream.is_installed():
        return None
    return make_benchmark(
        task,
        name=task.name.partition("/")[2],
        description="Compound-gene activity pairs drawn from an affinity table as in arXiv 2503.20158",
    )


def save_artifact(artifact: Artifact, folder: Path, final: Path) -> Path:
    """Write the artifact's files into `folder`, with the paths they have once it is moved to `final`.

    Returns:
        The name of the artifact's JSON within the folder.
    """
    specification, final = artifact.specification, final.absolute()
    if artifact.kind == "competition":
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
    return artifact.client_scores(values)


def _polaris_metric(spec: MetricSpec) -> Any:
    from polaris.evaluate import Metric
    from polaris.evaluate._metric import GroupedMetricConfig

    grouped = {name: getattr(spec, name) for name in GROUPED}
    config = None if spec.group_by is None else GroupedMetricConfig(**grouped)
    return Metric(label=spec.label, config=config, name=spec.name)


# ---- from a file


def _from_file(path: Path) -> Artifact:
    said = read_document(path)
    if said.get("start_time") is not None and said.get("dataset") is None:
        return competitions.from_file(path, said)
    if not said.get("target_cols") or said.get("dataset") is None:
        raise DataError(f"{path} is not a saved Polaris benchmark: it names no dataset or no target")
    dataset = said.get("dataset")
    described = (
        Document(dataset, f"{path} (dataset)")
        if isinstance(dataset, dict)
        else read_document(beside(path, dataset))
    )
    source = f"file {path.name}"
    match said.get("version"):
        case 1:
            table = beside(path, described.need("table", str))
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
            root = beside(path, described.need("zarr_root_path", str))
            return _open_v2(said, described, training, test, files.folder_reader(root), str(root), source)
        case other:
            raise DataError(
                f"{path}: version {other!r} of a Polaris benchmark is not known; 1 or 2 was expected"
            )


def _read_bitmap(path: Path, said: Document) -> bytes:
    raw = bounded.read_file(path)
    stated = said.need("split", dict).get(path.stem, {}).get("md5_checksum")
    if stated != md5(raw).hexdigest():
        raise DataError(f"{path}: its MD5 is not the one in {said.where}; it was changed after it was saved")
    return raw


# ---- from the Hub


def _from_hub(reference: str) -> Artifact:
    with upstream.session():
        settings, verify = upstream.hub_settings()
    with files.PublicHub(settings, verify) as hub:
        data = hub.json(f"/v1/benchmark/{reference}", f"the benchmark {reference}")
        if data is not None:
            return _from_hub_v1(hub, reference, Document(data, f"{reference} on {hub.host}"))
        data = hub.json(f"/v2/benchmark/{reference}", f"the benchmark {reference}")
        if data is not None:
            return _from_hub_v2(hub, reference, Document(data, f"{reference} on {hub.host}"))
        if (found := competitions.from_hub(hub, reference)) is not None:
            return found
        raise UpstreamError(
            f"{hub.host}: there is no benchmark {reference} (404), or it is private; look for its id on the "
            "Hub's page, or set POLARIS_HUB_URL if it is on another Hub"
        )


def _from_hub_v1(hub: files.PublicHub, reference: str, said: Document) -> Artifact:
    dataset = Document(said.need("dataset", dict), said.where)
    owner = dataset.get("owner")
    owner = owner.get("slug") if isinstance(owner, dict) else owner
    # polaris-lib asks by name, the artifact id is the documented one: whichever of the two is there.
    candidates = [f"{owner}/{dataset.get('name')}", dataset.get("artifact_id")]
    described = _hub_dataset(hub, "v1", candidates, reference)
    table = hub.needed(described.need("root", str), f"the table of {described.where}")
    whole = described.get("extension") is None
    return _open_v1(said, described, table, f"the table of {described.where}", "hub", whole=whole)


def _hub_dataset(hub: files.PublicHub, version: str, candidates: Sequence[Any], benchmark: str) -> Document:
    names = [n for n in candidates if isinstance(n, str) and re.fullmatch(r"[\w-]+/[\w-]+", n)]
    for name in dict.fromkeys(names):
        data = hub.json(f"/{version}/dataset/{name}", f"the dataset {name} of {benchmark}")
        if data is not None:
            return Document(data, f"the dataset {name} on {hub.host}")
    raise UpstreamError(
        f"{hub.host}: the benchmark {benchmark} is there, but not its dataset {some(names, 1)} (404): it is "
        "private or was withdrawn; ask the benchmark's owner"
    )


def _from_hub_v2(hub: files.PublicHub, reference: str, said: Document) -> Artifact:
    urls = upstream.split_files(said.need("split", dict), said.where, metrics=bool(said.get("metrics")))
    training_url = urls.pop("training", None)
    label = said.only_test_set(urls)
    dataset = Document(said.need("dataset", dict), said.where)
    described = _hub_dataset(hub, "v2", [dataset.get("artifact_id")], reference)
    test = hub.needed(urls[label], f"the test split of {reference}")
    training = hub.needed(training_url, f"the training split of {reference}") if training_url else b""
    where = f"the archive of {described.where}"
    read = archive_reader(hub, described, where)
    return _open_v2(said, described, training, test, read, where, "hub")


# ---- V1: a table


def _open_v1(
    said: Document, described: Document, raw: bytes, where: str, source: str, *, whole: bool
) -> Artifact:
    """A V1 benchmark from its JSON, its dataset's JSON and the bytes of the table.

    If the dataset is not `whole` (it points to an archive as well), only the columns in use are kept.
    """
    target, inputs = said.target(), said.inputs()
    table = files.read_parquet(raw, where)
    missing = [c for c in (*inputs, target) if c not in table.columns]
    if missing:
        raise DataError(f"{where} has no column {some(missing)}; it has {some(list(table.columns), 12)}")
    training, test = row_split(said, len(table))
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
        with accepted(said.where):
            dataset = DatasetV1(table=table, **upstream.dataset_fields(described.data, set(table.columns)))
            specification = SingleTaskBenchmarkSpecification(**{**said.data, "dataset": dataset})
        if stated is not None:
            _check_benchmark(said, specification, stated, polaris.__version__)
        task = to_task(specification, said, columns, training, test, source)
    return Artifact(task, specification)


def _no_pointers(described: Document, columns: Iterable[str]) -> None:
    said = described.get("annotations") or {}
    pointers = [c for c in columns if (a := said.get(c)) and (a.get("isPointer") or a.get("is_pointer"))]
    if pointers:
        raise DataError(f"{described.where}: {some(pointers)} points into an archive; that is not supported")


def _check_benchmark(said: Document, specification: Any, dataset_md5: str, version: str) -> None:
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
    said: Document,
    described: Document,
    training: bytes,
    test: bytes,
    read: files.Read,
    where: str,
    source: str,
) -> Artifact:
    """A V2 benchmark from its JSON, its dataset's JSON, its bitmaps and its archive's files."""
    target, inputs = said.target(), said.inputs()
    columns = files.zarr_columns(read, (*inputs, target), target, where)
    with upstream.session():
        from polaris.benchmark import BenchmarkV2Specification
        from polaris.dataset import DatasetV2

        with accepted(said.where):
            split = upstream.v2_split(training, test)
        rows = len(columns[target])
        indices = [list(split.training.indices), list(split.test.indices)]
        if max(max(part, default=0) for part in indices) >= rows:
            raise DataError(f"{said.where}: the split names rows beyond the dataset's {rows:,}")
        labels = upstream.to_labels(columns[target], [*indices[0], *indices[1]], where)
        if columns[target].dtype.kind not in "iuf":
            columns[target] = labels

        def make(root: str) -> Any:
            fields = upstream.dataset_fields(described.data, set(columns))
            dataset = DatasetV2(**fields, zarr_root_path=root)
            return BenchmarkV2Specification(**{**said.data, "dataset": dataset, "split": split})

        specification = over_archive(columns, said, make)
        columns[target] = labels
        task = to_task(specification, said, columns, indices[0], indices[1], source)
    return Artifact(task, specification)
