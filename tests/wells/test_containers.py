"""One small table in everything that it may come in, with ids as people write them: the same predictions."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.baselines import predict
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.task import Task
from polaris_rxrx.wells.containers import of_frame, open_embeddings
from polaris_rxrx.wells.memory import Wells, read_wells
from tests.conftest import MakeTask
from tests.wells_factory import make_embeddings, make_metadata

WIDTH = 6
FEATURES = [f"feature_{i}" for i in range(WIDTH)]


def _metadata() -> pd.DataFrame:
    """Addresses as RxRx3-core writes them, `A01`, with two digits."""
    table = make_metadata()
    place = np.arange(len(table))
    table["plate"] = (place % 9 + 1).astype(str)
    rows = [chr(65 + i) if i < 26 else f"A{chr(65 + i - 26)}" for i in range(32)]
    table["address"] = [f"{rows[i % 32]}{i // 32 + 1:02d}" for i in place]
    table["well_id"] = table.experiment_name + "_" + table.plate + "_" + table.address
    return table


METADATA = _metadata()
# Values that a half holds exactly, so that every type holds the same numbers.
FRAME = make_embeddings(METADATA, WIDTH, dtype=np.float16).astype(dict.fromkeys(FEATURES, np.float32))
PLACE = METADATA.set_index("well_id").loc[FRAME.well_id].reset_index()
IDS = FRAME.well_id.to_numpy(dtype=str)
X = FRAME[FEATURES].to_numpy()
Given = tuple[Any, dict[str, Any]]


@pytest.fixture(scope="module")
def task(make_task: MakeTask) -> Task:
    compounds = ["aspirin", "TWIN", "Dactolisib (BEZ235", 'odd, "name" ä ']
    return make_task(
        [(c, g, i % 2) for i, c in enumerate(compounds) for g in ("TP53", "BRCA1", "NA", "ONCE")]
    )


def predictions(wells: Wells, task: Task) -> Any:
    return predict(task, build_map(wells, "pca-cs")).values


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("metadata") / "metadata.csv"
    METADATA.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def expected(metadata: Path, task: Task) -> Any:
    pq.write_table(pa.Table.from_pandas(FRAME, preserve_index=False), metadata.parent / "embeddings.parquet")
    values = predictions(read_wells(metadata, metadata.parent / "embeddings.parquet"), task)
    assert np.isfinite(values).sum() > 8 and len(np.unique(values)) > 8
    return values


# ---- containers


def _saved(name: str, write: Callable[[Path], object], **options: Any) -> Callable[[Path], Given]:
    def make(folder: Path) -> Given:
        write(folder / name)
        return folder / name, options

    return make


def _lists(kind: pa.DataType) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        pq.write_table(pa.table({"well_id": IDS, "embedding": pa.array(X.tolist(), kind)}), path)

    return write


def _stream(path: Path) -> None:
    table = pa.Table.from_pandas(FRAME, preserve_index=False)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _npy(folder: Path) -> Given:
    np.save(folder / "e.npy", X)
    (folder / "ids.txt").write_text("\n".join(IDS))
    return folder / "e.npy", {"ids": folder / "ids.txt"}


def _hdf5(path: Path, x: Any = X) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["embeddings"] = x
        file["well_id"] = np.array(IDS, dtype="S")


def _h5ad(path: Path, layer: str | None = None) -> None:
    import anndata

    table = anndata.AnnData(
        X=X if layer is None else 0 * X, obs=pd.DataFrame(index=IDS), var=pd.DataFrame(index=FEATURES)
    )
    if layer is not None:
        table.layers[layer] = X
    table.write_h5ad(path)


def _by_plate(folder: Path) -> None:
    """RxRx3's own tree, with what some programs leave beside it."""
    for (experiment, plate), rows in FRAME.groupby([PLACE.experiment_name, PLACE.plate]):
        place = folder / "tree" / experiment / f"Plate{plate}"
        place.mkdir(parents=True)
        rows.to_parquet(place / "embeddings.parquet", index=False)
    (folder / "tree" / "_SUCCESS").write_text("")
    (folder / "tree" / ".DS_Store").write_text("x")


def _tree(folder: Path) -> Given:
    _by_plate(folder)
    return folder / "tree", {}


def _glob(folder: Path) -> Given:
    _by_plate(folder)
    (folder / "tree" / "notes.txt").write_text("not a table")
    return f"{folder}/tree/*/Plate*/embeddings.parquet", {}


def _folders(folder: Path) -> Given:
    _by_plate(folder)
    return f"{folder}/tree/*-00?", {}


def _mixed(folder: Path) -> Given:
    half = len(FRAME) // 2
    FRAME[:half].to_csv(folder / "a.csv", index=False)
    FRAME[half:][["well_id", *reversed(FEATURES)]].to_parquet(folder / "b.parquet", index=False)
    return f"{folder}/[ab].*", {}


CELLS = np.arange(len(FRAME)) % 4 + 1  # how many cells a site has


def _profile(path: Path, i: int, site: int) -> None:
    """Some cells of a site whose mean over all sites is the well's row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sign = 1 if site % 2 else -1
    cells = X[[i] * CELLS[i]] + np.float32(sign) * np.arange(WIDTH, dtype=np.float32)
    np.savez(path, features=cells, metadata=np.array({"pickled": 1}, dtype=object))


def _deepprofiler(layout: str) -> Callable[[Path], Given]:
    def make(folder: Path) -> Given:
        for i, row in enumerate(PLACE.itertuples()):
            for site in (1, 2):
                name = layout.format(e=row.experiment_name, p=row.plate, w=row.address, s=site)
                _profile(folder / "tree" / name, i, site)
        return folder / "tree", {}

    return make


def _deepprofiler_index(folder: Path) -> Given:
    lines = ["Metadata_Plate,Metadata_Well,Metadata_Site,DNA"]
    for i, row in enumerate(PLACE.itertuples()):
        for site in (1, 2):
            plate = f"{row.experiment_name}_{row.plate}"
            lines.append(f"{plate},{row.address},field {site},x.png")
            _profile(folder / "tree" / plate / row.address / f"field {site}.npz", i, site)
    (folder / "index.csv").write_text("\n".join(lines))
    return folder / "tree", {"ids": folder / "index.csv"}


def _sites(x: Any) -> Any:
    """(N, 3, D) with the mean and the median x."""
    return np.stack([x - 1, x, x + 1], axis=1)


CONTAINERS: dict[str, Callable[[Path], Given]] = {
    "parquet": _saved("e.parquet", lambda p: FRAME.to_parquet(p, index=False)),
    "float16 parquet": _saved(
        "e.parquet", lambda p: FRAME.astype(dict.fromkeys(FEATURES, np.float16)).to_parquet(p, index=False)
    ),
    "CSV": _saved("e.csv", lambda p: FRAME.to_csv(p, index=False)),
    "TSV": _saved("e.tsv", lambda p: FRAME.to_csv(p, index=False, sep="\t")),
    "TSV, gzip": _saved(
        "e.tsv.gz", lambda p: p.write_bytes(gzip.compress(FRAME.to_csv(index=False, sep="\t").encode()))
    ),
    "Feather": _saved("e.feather", FRAME.to_feather),
    "Feather, zstd": _saved("e.any", lambda p: FRAME.to_feather(p, compression="zstd")),
    "Feather, plain": _saved("e.any", lambda p: FRAME.to_feather(p, compression="uncompressed")),
    "Arrow stream": _saved("e.arrows", _stream),
    "lists": _saved("e.parquet", _lists(pa.list_(pa.float32()))),
    "large lists": _saved("e.parquet", _lists(pa.large_list(pa.float64()))),
    "fixed-size lists": _saved("e.parquet", _lists(pa.list_(pa.float32(), WIDTH))),
    "npz": _saved("e.npz", lambda p: np.savez(p, embeddings=X, well_id=IDS)),
    "npz, float16": _saved("e.npz", lambda p: np.savez(p, embeddings=X.astype(np.float16), well_id=IDS)),
    "npz, sites": _saved("e.npz", lambda p: np.savez(p, embeddings=_sites(X), well_id=IDS)),
    "npy": _npy,
    "HDF5": _saved("e.h5", _hdf5),
    "HDF5, sites": _saved("e.h5", lambda p: _hdf5(p, _sites(X)), sites="median"),
    "AnnData": _saved("e.h5ad", _h5ad),
    "AnnData, a layer": _saved("e.h5ad", lambda p: _h5ad(p, "raw"), layer="raw"),
    "a tree": _tree,
    "a glob": _glob,
    "a glob of folders": _folders,
    "files of two kinds": _mixed,
    "PLATE/WELL_SITE": _deepprofiler("{e}_{p}/{w}_{s}.npz"),
    "PLATE/WELL/SITE": _deepprofiler("{e}/Plate{p}/{w}/s{s}.npz"),
    "PLATE_WELL_SITE": _deepprofiler("{e}_{p}_{w}_s{s}.npz"),
    "an index": _deepprofiler_index,
    "pandas": lambda _: (FRAME, {}),
    "pandas, its index": lambda _: (FRAME.set_index("well_id"), {}),
    "pandas, a nameless index": lambda _: (pd.DataFrame(X, index=IDS), {}),
    "pyarrow": lambda _: (pa.Table.from_pandas(FRAME), {}),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_same_predictions_from_every_container(
    tmp_path: Path, metadata: Path, task: Task, expected: Any, container: str
) -> None:
    embeddings, options = CONTAINERS[container](tmp_path)
    wells = read_wells(metadata, embeddings, width=WIDTH, **options)
    assert len(wells) == len(FRAME) and wells.missing == 0
    assert np.abs(predictions(wells, task) - expected)[np.isfinite(expected)].max() < 1e-6
    assert np.array_equal(np.isnan(predictions(wells, task)), np.isnan(expected))


def test_a_table_of_polars(metadata: Path, task: Task, expected: Any) -> None:
    import polars

    wells = read_wells(metadata, polars.from_pandas(FRAME))
    np.testing.assert_allclose(predictions(wells, task), expected, atol=1e-6)


# ---- ids


def _ids(write: Callable[[Any], str]) -> Callable[[], pd.DataFrame]:
    return lambda: FRAME.assign(well_id=[write(row) for row in PLACE.itertuples()])


def _parts(**columns: Any) -> Callable[[], pd.DataFrame]:
    return lambda: FRAME.drop(columns="well_id").assign(**columns)


def _without_zero(address: str) -> str:
    return re.sub(r"0(\d)$", r"\1", address)


ID_FORMS: dict[str, Callable[[], pd.DataFrame]] = {
    "as they are": lambda: FRAME,
    "folders": _ids(lambda r: f"{r.experiment_name}/Plate{r.plate}/{r.address}"),
    "images": _ids(lambda r: f"{r.experiment_name}/Plate{r.plate}/{r.address}_s1_3"),
    "Plate": _ids(lambda r: f"{r.experiment_name}_Plate{r.plate}_{r.address}"),
    "padded plates": _ids(lambda r: f"{r.experiment_name}_{int(r.plate):03d}_{r.address}"),
    "A1": _ids(lambda r: f"{r.experiment_name}_{r.plate}_{_without_zero(r.address)}"),
    "a01": _ids(lambda r: f"{r.experiment_name}_{r.plate}_{r.address.lower()}"),
    "columns": _parts(experiment_name=PLACE.experiment_name, plate=PLACE.plate, address=PLACE.address),
    "columns of numbers": _parts(
        Experiment=PLACE.experiment_name,
        Plate=PLACE.plate.astype(float),
        Well=PLACE.address.map(_without_zero),
    ),
    "Metadata_": _parts(
        Metadata_Plate=PLACE.experiment_name + "_" + PLACE.plate, Metadata_Well=PLACE.address, Metadata_Site=1
    ),
    "single cells": _parts(
        Image_Metadata_Plate=PLACE.experiment_name + "/Plate" + PLACE.plate,
        Image_Metadata_Well=PLACE.address,
        Image_Metadata_Site=2,
        ImageNumber=7,
    ),
}


@pytest.mark.parametrize("as_csv", [False, True])
@pytest.mark.parametrize("form", ID_FORMS)
def test_the_same_predictions_from_every_form_of_id(
    tmp_path: Path, metadata: Path, task: Task, expected: Any, form: str, as_csv: bool
) -> None:
    frame = ID_FORMS[form]()
    path = tmp_path / "e"
    frame.to_csv(path, index=False) if as_csv else frame.to_parquet(path, index=False)
    wells = read_wells(metadata, path, width=WIDTH)
    np.testing.assert_allclose(predictions(wells, task), expected, atol=1e-6)
    told = [note for note in wells.notes if "well_id" in note]
    assert (told == []) == (form == "as they are")
    assert len(wells.provenance["reading"]["ids"]) == len(told)


OBS: dict[str, Callable[[], pd.DataFrame]] = {
    "experiment, plate, address": lambda: PLACE[["experiment_name", "plate", "address"]],
    "Metadata_": lambda: ID_FORMS["Metadata_"]()[["Metadata_Plate", "Metadata_Well"]],
    "plate, well": lambda: pd.DataFrame(
        {"plate": PLACE.experiment_name + "/Plate" + PLACE.plate, "well": PLACE.address.map(_without_zero)}
    ),
    "categories and numbers": lambda: pd.DataFrame(
        {
            "Experiment": PLACE.experiment_name.astype("category"),
            "Plate": PLACE.plate.astype(int),
            "Well": PLACE.address.astype("category"),
        }
    ),
}


@pytest.mark.parametrize("numbered", [str, "{}-0".format])
@pytest.mark.parametrize("obs", OBS)
def test_ids_of_anndata_from_columns_of_obs(
    tmp_path: Path, metadata: Path, task: Task, expected: Any, obs: str, numbered: Callable[[int], str]
) -> None:
    import anndata

    rows = OBS[obs]().set_axis([numbered(i) for i in range(len(FRAME))])
    anndata.AnnData(X=X, obs=rows, var=pd.DataFrame(index=FEATURES)).write_h5ad(tmp_path / "e.h5ad")
    wells = read_wells(metadata, tmp_path / "e.h5ad", width=WIDTH)
    np.testing.assert_allclose(predictions(wells, task), expected, atol=1e-6)
    (told,) = [note for note in wells.notes if "put together" in note]
    assert f"well_id put together of {', '.join(rows.columns)}, such as " in told
    assert any("e.h5ad: well_id put together of" in line for line in wells.provenance["reading"]["ids"])


def test_names_of_anndata_that_are_no_numbers_are_its_ids(
    tmp_path: Path, metadata: Path, task: Task, expected: Any
) -> None:
    import anndata

    wrong = pd.DataFrame({"plate": "p", "well": "A01"}, index=IDS)
    anndata.AnnData(X=X, obs=wrong, var=pd.DataFrame(index=FEATURES)).write_h5ad(tmp_path / "e.h5ad")
    np.testing.assert_allclose(
        predictions(read_wells(metadata, tmp_path / "e.h5ad"), task), expected, atol=1e-6
    )
    numbers = pd.DataFrame({"batch": "p"}, index=[str(i) for i in range(len(IDS))])
    anndata.AnnData(X=X, obs=numbers, var=pd.DataFrame(index=FEATURES)).write_h5ad(tmp_path / "e.h5ad")
    with pytest.raises(DataError, match=r"194 of 194 wells .*'0', '1'.* of which 0 are in the table"):
        read_wells(metadata, tmp_path / "e.h5ad")


def test_a_tree_of_arrays(tmp_path: Path, metadata: Path, task: Task, expected: Any) -> None:
    halves = np.arange(len(IDS)) < 90
    np.savez(tmp_path / "a.npz", embeddings=X[halves], well_id=IDS[halves])
    FRAME[~halves].to_parquet(tmp_path / "b.parquet", index=False)
    wells = read_wells(metadata, f"{tmp_path}/[ab].*")
    np.testing.assert_allclose(predictions(wells, task), expected, atol=1e-6)


def test_a_column_beside_the_lists_is_a_feature_where_it_is_asked_for(tmp_path: Path, metadata: Path) -> None:
    table = pa.table({"well_id": IDS, "embedding": pa.array(X.tolist()), "size": np.arange(len(IDS))})
    pq.write_table(table, tmp_path / "e.parquet")
    wells = read_wells(metadata, tmp_path / "e.parquet", features=["size", "feature_1"])
    assert wells.features == ["feature_1", "size"]
    assert np.array_equal(wells.x[np.argsort(wells.x[:, 1]), 0], X[:, 1])


def test_both_sides_are_read_the_same_way(tmp_path: Path, task: Task, expected: Any) -> None:
    as_images = METADATA.assign(
        well_id=METADATA.experiment_name + "/Plate" + METADATA.plate + "/" + METADATA.address
    )
    as_images.to_csv(tmp_path / "metadata.csv", index=False)
    wells = read_wells(tmp_path / "metadata.csv", ID_FORMS["padded plates"]())
    np.testing.assert_allclose(predictions(wells, task), expected, atol=1e-6)
    assert sum("well_id read as" in note for note in wells.notes) == 2


def test_cells_are_averaged_and_counted(tmp_path: Path, metadata: Path, task: Task, expected: Any) -> None:
    rows = np.repeat(np.arange(len(FRAME)), 3)
    cells = ID_FORMS["single cells"]().iloc[rows].reset_index(drop=True)
    cells[FEATURES] += np.tile([[-0.5], [0.0], [0.5]], (len(FRAME), 1)).astype(np.float32)
    cells["ObjectNumber"] = np.tile([1, 2, 3], len(FRAME))
    cells.sample(frac=1, random_state=0).to_parquet(tmp_path / "cells.parquet")
    for sites in ("mean", "median"):
        wells = read_wells(metadata, tmp_path / "cells.parquet", sites=sites)
        np.testing.assert_allclose(predictions(wells, task), expected, atol=1e-6)
        (note,) = [n for n in wells.notes if " a well" in n]
        assert f"{len(cells):,} rows of {len(FRAME):,} wells, 3 a well; the {sites} was taken" in note
        assert wells.provenance["reading"]["rows"] == {
            "n": len(cells),
            "n_wells": len(FRAME),
            "n_wells_with_several": len(FRAME),
            "least": 3,
            "most": 3,
            "sites": sites,
        }


def test_sites_of_images_are_averaged(metadata: Path, task: Task, expected: Any) -> None:
    frame = ID_FORMS["folders"]()
    sites = pd.concat([frame.assign(well_id=frame.well_id + f"_s{i}") for i in range(1, 5)])
    wells = read_wells(metadata, sites.sample(frac=1, random_state=0))
    np.testing.assert_allclose(predictions(wells, task), expected, atol=1e-6)
    assert any(f"{len(sites):,} rows of {len(FRAME):,} wells, 4 a well" in note for note in wells.notes)


# ---- wells of others


def test_rows_of_other_wells_are_counted_and_left_out(metadata: Path, task: Task, expected: Any) -> None:
    others = pd.concat([FRAME.assign(well_id=f"other-{i}_" + FRAME.well_id) for i in range(9)])
    wells = read_wells(metadata, pd.concat([others, FRAME]))
    np.testing.assert_allclose(predictions(wells, task), expected, atol=1e-6)
    n = len(others)
    (note,) = [note for note in wells.notes if "left out" in note and "not in" in note]
    assert f"{n:,} wells ({n:,} rows) are not in {metadata} and were left out: 'other-0_" in note
    assert wells.provenance["reading"]["left_out"]["n_wells"] == n


def test_wells_of_one_side_go_with_the_metadata_of_both(metadata: Path) -> None:
    side = FRAME[FRAME.well_id.str.startswith("gene")]
    with pytest.raises(DataError, match=r"wells in .* have no embedding.*--allow-missing-wells"):
        read_wells(metadata, side)
    assert len(read_wells(metadata, side, allow_missing=True)) == len(side)


def test_nothing_is_added_to_a_protocol_where_nothing_was_done(metadata: Path) -> None:
    reading = read_wells(metadata, FRAME).provenance["reading"]
    assert set(reading) == {"features", "ids", "values"} and reading["ids"] == []


# ---- refusals


def _half_known() -> pd.DataFrame:
    return FRAME.assign(well_id=[f"x_{w}" if i % 5 < 3 else w for i, w in enumerate(FRAME.well_id)])


def _two_readings() -> pd.DataFrame:
    padded = ID_FORMS["folders"]().well_id
    return FRAME.assign(
        well_id=[_without_zero(w) if i % 2 else w for i, w in enumerate(padded)],
    )


def _one_well_twice() -> pd.DataFrame:
    table = ID_FORMS["folders"]()
    table.loc[1, "well_id"] = table.well_id[0].replace("/", "_")
    return table


REFUSED: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "half known": (_half_known, r"117 of 194 wells are not in .*'x_.*such as '[a-z].*belong together\?"),
    "no id known": (_ids(lambda r: f"q{r.Index}"), r"194 of 194 wells .*'q0', 'q1'.* of which 0 are in the"),
    "two readings": (_two_readings, "write addresses in two ways, with and without a zero"),
    "one well twice": (_one_well_twice, "are both read as .* one well is written in two ways"),
    "an empty part": (_parts(plate="", well="A01"), "194 rows have no well_id"),
    "uint16": (
        lambda: FRAME.assign(**FRAME[FEATURES].abs().astype(np.uint16)),
        "every feature is uint16, which is what bfloat16 comes as; save them as float32",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(tmp_path: Path, metadata: Path, case: str) -> None:
    make, message = REFUSED[case]
    make().to_parquet(tmp_path / "e.parquet", index=False)
    with pytest.raises(DataError, match=message) as caught:
        read_wells(metadata, tmp_path / "e.parquet")
    assert str(caught.value).startswith(str(tmp_path / "e.parquet"))


def test_two_wells_of_the_metadata_that_are_read_as_one(tmp_path: Path) -> None:
    table = METADATA.copy()
    table.loc[1, "well_id"] = table.well_id[0].replace("_", "/", 1)
    table.to_csv(tmp_path / "metadata.csv", index=False)
    with pytest.raises(DataError, match=r"metadata.csv: .* and .* are both read as .*one row per well"):
        read_wells(tmp_path / "metadata.csv", ID_FORMS["folders"]())


def test_bfloat16_and_objects(tmp_path: Path, metadata: Path) -> None:
    half = np.ascontiguousarray(X).view(np.uint16)[:, 1::2]
    np.savez(tmp_path / "e.npz", embeddings=half.copy().view("V2"), well_id=IDS)
    with pytest.raises(DataError, match=r"embeddings is .V2, which is what bfloat16 comes as"):
        read_wells(metadata, tmp_path / "e.npz")
    np.savez(tmp_path / "e.npz", embeddings=X, well_id=IDS.astype(object))
    with pytest.raises(DataError, match="'well_id' holds Python objects, which are never loaded"):
        read_wells(metadata, tmp_path / "e.npz")
    raw = pa.array([b"ab"] * len(IDS), pa.binary(2))
    pq.write_table(pa.table({"well_id": IDS, "feature_0": raw}), tmp_path / "e.parquet")
    with pytest.raises(DataError, match=r"fixed_size_binary\[2\], which is what bfloat16 comes as"):
        read_wells(metadata, tmp_path / "e.parquet")


def test_options_that_mean_nothing(tmp_path: Path, metadata: Path) -> None:
    FRAME.to_parquet(tmp_path / "e.parquet")
    _by_plate(tmp_path)
    for embeddings in (FRAME, tmp_path / "e.parquet", tmp_path / "tree"):
        with pytest.raises(UsageError, match="its ids stand in it"):
            read_wells(metadata, embeddings, ids=tmp_path / "e.parquet")
        with pytest.raises(UsageError, match="is no AnnData file"):
            read_wells(metadata, embeddings, layer="raw")
    with pytest.raises(UsageError, match="sites is 'max'; mean or median was expected"):
        read_wells(metadata, FRAME, sites="max")  # type: ignore[arg-type]
    with pytest.raises(
        UsageError, match="embeddings are dict; a path or a table of pandas, polars or pyarrow"
    ):
        read_wells(metadata, {"well_id": IDS})


def test_frames_that_are_no_table() -> None:
    with pytest.raises(DataError, match="the table in memory: "):
        of_frame(pd.DataFrame({"well_id": ["a", "b"], "feature_0": [1, "x"]}))
    assert of_frame(FRAME).files == ()


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_embeddings(tmp_path / "gone.parquet")
    with pytest.raises(DataError, match=r"gone\*: no such file"):
        open_embeddings(f"{tmp_path}/gone*")
    with pytest.raises(
        DataError, match="is a folder; a file was expected, or a folder of tables, and it holds"
    ):
        open_embeddings(tmp_path)


def test_a_feather_file_of_which_half_is_gone(tmp_path: Path) -> None:
    feather.write_feather(FRAME, tmp_path / "e.feather")
    raw = (tmp_path / "e.feather").read_bytes()
    (tmp_path / "e.feather").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match=r"e\.feather: "):
        open_embeddings(tmp_path / "e.feather")


def test_a_column_of_lists_beside_features_is_left_out(tmp_path: Path, metadata: Path) -> None:
    table = pa.Table.from_pandas(FRAME, preserve_index=False)
    boxes = pa.array([[1.0, 2.0]] * len(FRAME))
    pq.write_table(table.append_column("box", boxes), tmp_path / "e.parquet")
    wells = read_wells(metadata, tmp_path / "e.parquet")
    assert wells.features == FEATURES
    assert wells.provenance["reading"]["features"]["left_out"] == {"not numeric": ["box"]}
