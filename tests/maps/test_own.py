"""Maps made elsewhere: a table of names and features, and what is not one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from polaris_rxrx.errors import DataError
from polaris_rxrx.files import sha256
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.maps.store import load_map, save_map
from polaris_rxrx.wells.memory import read_wells
from tests.wells_factory import small

X = np.random.default_rng(0).normal(size=(4, 5))
KINDS = ["parquet", "csv", "csv.gz", "tsv", "tsv.gz", "txt", "feather", "h5ad"]
pytestmark = pytest.mark.filterwarnings("ignore:anndata will no longer support zarr v2")
FEATURES = {f"emb_{i}": X[:, i] for i in range(5)}


def written(folder: Path, columns: dict[str, object], kind: str) -> Path:
    path = folder / f"own.{kind}"
    frame = pd.DataFrame({**columns, **FEATURES})
    if kind == "parquet":
        frame.to_parquet(path, index=False)
    elif kind == "feather":
        feather.write_feather(pa.Table.from_pandas(frame, preserve_index=False), path)
    elif kind == "h5ad":
        import anndata

        obs = frame[[*columns]].astype({n: object for n in columns if frame[n].dtype == "str"})
        obs.index = obs.index.astype(str)
        var = pd.DataFrame(index=[*FEATURES])
        anndata.AnnData(X=frame[[*FEATURES]].to_numpy(), obs=obs, var=var).write_h5ad(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if "tsv" in kind or "txt" in kind else ",")
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", ["gene", "gene_symbol", "Metadata_Symbol"])
def test_genes(tmp_path: Path, kind: str, column: str) -> None:
    names = ["TP53", "NA", "nan", "HLA-A"]
    path = written(tmp_path, {column: names, "Metadata_Plate": "p1"}, kind)
    map_ = load_map(path)
    assert map_.perturbations.type == ["CRISPR"] * 4 and map_.perturbations.name == names
    assert np.isnan(map_.perturbations.concentration).all() and map_.n_wells.tolist() == [0] * 4
    np.testing.assert_array_equal(map_.x, X)
    assert map_.protocol["protocol"] == "unknown" and map_.protocol["file_sha256"] == sha256(path)
    assert map_.protocol["n_features"] == 5
    # What .h5ad's obs say beside names is no column of its features.
    assert ("Metadata_Plate" in str(map_.protocol["left_out"])) == (kind != "h5ad")


@pytest.mark.parametrize("kind", KINDS)
def test_compounds_at_concentrations_and_genes(tmp_path: Path, kind: str) -> None:
    columns = {
        "gene": ["TP53", "", "", "KRAS"],
        "compound": ["", "aspirin", "aspirin", ""],
        "concentration": [np.nan, 0.25, 10, 3],
        "n_wells": [5, 6, 7, 8],
    }
    map_ = load_map(written(tmp_path, columns, kind))
    assert map_.perturbations.type == ["CRISPR", "COMPOUND", "COMPOUND", "CRISPR"]
    assert map_.perturbations.name == ["TP53", "aspirin", "aspirin", "KRAS"]
    np.testing.assert_array_equal(map_.perturbations.concentration, [np.nan, 0.25, 10, np.nan])
    assert map_.n_wells.tolist() == [5, 6, 7, 8]


def test_a_saved_map_that_lost_its_protocol(tmp_path: Path) -> None:
    whole = build_map(read_wells(*small(tmp_path)))
    save_map(whole, tmp_path / "map.parquet")
    table = pq.read_table(tmp_path / "map.parquet")
    pq.write_table(table.replace_schema_metadata(None), tmp_path / "map.parquet")
    found = load_map(tmp_path / "map.parquet")
    np.testing.assert_array_equal(found.x, whole.x)
    np.testing.assert_array_equal(found.perturbations.concentration, whole.perturbations.concentration)
    assert found.perturbations.name == whole.perturbations.name
    assert found.perturbations.type == whole.perturbations.type
    assert found.n_wells.tolist() == whole.n_wells.tolist()


def test_an_h5ad_that_lost_its_protocol(tmp_path: Path) -> None:
    import anndata

    whole = build_map(read_wells(*small(tmp_path)))
    save_map(whole, tmp_path / "map.h5ad")
    data = anndata.read_h5ad(tmp_path / "map.h5ad")
    del data.uns["protocol"]
    data.write_h5ad(tmp_path / "map.h5ad")
    found = load_map(tmp_path / "map.h5ad")
    np.testing.assert_array_equal(found.x, whole.x)
    np.testing.assert_array_equal(found.perturbations.concentration, whole.perturbations.concentration)
    assert found.perturbations.name == whole.perturbations.name
    assert found.n_wells.tolist() == whole.n_wells.tolist() and found.protocol["protocol"] == "unknown"


def test_the_index_of_an_h5ad_may_name_genes(tmp_path: Path) -> None:
    """By its own name; categories and what is absent are as in a table."""
    import anndata

    obs = pd.DataFrame({"n_wells": [1, 2, 3, 4]}, index=pd.Index(["A", "NA", "nan", "B"], name="gene_symbol"))
    anndata.AnnData(X=X.astype(np.float32), obs=obs).write_h5ad(tmp_path / "own.h5ad")
    found = load_map(tmp_path / "own.h5ad")
    assert found.perturbations.name == ["A", "NA", "nan", "B"] and found.n_wells.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(found.x, X.astype(np.float32))
    obs = pd.DataFrame({"gene": pd.Categorical(["A", None, "A", "B"]), "compound": ["", "x", None, ""]})
    obs.index = obs.index.astype(str)
    anndata.AnnData(X=X, obs=obs).write_h5ad(tmp_path / "own.h5ad")
    found = load_map(tmp_path / "own.h5ad")
    assert found.perturbations.name == ["A", "x", "A", "B"]
    assert found.perturbations.type == ["CRISPR", "COMPOUND", "CRISPR", "CRISPR"]
    obs["gene"] = pd.Categorical(["A", None, None, "B"])
    anndata.AnnData(X=X, obs=obs).write_h5ad(tmp_path / "own.h5ad")
    with pytest.raises(DataError, match="gene and compound empty"):
        load_map(tmp_path / "own.h5ad")


def test_a_list_in_one_column(tmp_path: Path) -> None:
    table = pa.table({"gene": list("ABCD"), "embedding": pa.array(X.tolist(), pa.list_(pa.float64()))})
    pq.write_table(table, tmp_path / "own.parquet")
    np.testing.assert_array_equal(load_map(tmp_path / "own.parquet").x, X)


def test_the_demos_word_is_kept(tmp_path: Path) -> None:
    table = pa.table({"gene": ["A", "B", "C", "D"], **FEATURES})
    pq.write_table(table.replace_schema_metadata({"polaris_rxrx": "made up"}), tmp_path / "own.parquet")
    assert load_map(tmp_path / "own.parquet").protocol["made_up"] is True


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "h5ad"])
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"what": list("abcd")}, "is not a map: it has no protocol, and no column names genes"),
        ({"well_id": list("abcd"), "gene": list("abcd")}, "its rows are wells"),
        ({"gene": ["A", "", "C", "D"]}, "2: gene empty|3: gene empty|1: gene empty"),
        ({"gene": [1.5, 2, 3, 4]}, "column 'gene' holds numbers; names were expected"),
        ({"gene": list("abcd"), "concentration": list("abcd")}, "column 'concentration' holds text"),
        (
            {"perturbation_type": ["siRNA"] * 4, "perturbation": list("abcd")},
            "something other than COMPOUND and CRISPR",
        ),
    ],
)
def test_what_is_no_map_is_named(tmp_path: Path, kind: str, columns: dict[str, object], message: str) -> None:
    path = written(tmp_path, columns, kind)
    with pytest.raises(DataError, match=message) as caught:
        load_map(path)
    assert str(path) in str(caught.value)


def test_a_table_of_names_alone(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("gene\nTP53\n")
    with pytest.raises(DataError, match="has no feature columns"):
        load_map(tmp_path / "own.csv")
