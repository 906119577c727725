"""The synthetic sandbox: its schema, its labels, and that the baselines order on it as published.

The scorer here is the paper's protocol written slowly with pandas and scikit-learn, apart from our own.
"""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score

from polaris_rxrx.dataset import sandbox as sb
from polaris_rxrx.dataset.registry import locate
from polaris_rxrx.dataset.sandbox_names import COMPOUNDS, FAMILIES
from polaris_rxrx.errors import UsageError

MODELS = ("cellprofiler", "openphenom", "phenom1")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> sb.Sandbox:
    return sb.write_sandbox(tmp_path_factory.mktemp("sandbox"))


@pytest.fixture(scope="module")
def metadata(sandbox: sb.Sandbox) -> pd.DataFrame:
    table = pd.read_csv(sandbox.metadata, dtype=str, keep_default_na=False)
    table["dose"] = pd.to_numeric(table.concentration)
    return table


@pytest.fixture(scope="module")
def affinities(sandbox: sb.Sandbox) -> pd.DataFrame:
    return pd.read_csv(sandbox.interactions, keep_default_na=False)


# --- the metadata ------------------------------------------------------------------------------------------


def test_columns_are_the_published_ones(sandbox: sb.Sandbox) -> None:
    header = sandbox.metadata.read_text(encoding="utf-8").splitlines()[0]
    assert header == (
        "well_id,experiment_name,plate,address,gene,treatment,SMILES,concentration,perturbation_type,cell_type"
    )


def test_counts_are_what_the_files_hold(
    sandbox: sb.Sandbox, metadata: pd.DataFrame, affinities: pd.DataFrame
) -> None:
    control = metadata.treatment.str.endswith("_control")
    crispr = metadata.perturbation_type == "CRISPR"
    assert sandbox.wells == len(metadata)
    assert sandbox.control_wells == (metadata.treatment == "EMPTY_control").sum()
    assert sandbox.experiments == metadata.experiment_name.nunique()
    assert sandbox.genes == metadata.gene[crispr & ~control].nunique()
    assert sandbox.compounds == metadata.treatment[~crispr & ~control].nunique()
    assert sandbox.affinities == len(affinities)
    assert sandbox.actives == (affinities.nM_value <= 1000).sum()
    assert 3000 <= sandbox.wells <= 5000


def test_wells_are_unique_and_named_after_their_place(metadata: pd.DataFrame) -> None:
    assert metadata.well_id.is_unique
    assert (
        metadata.well_id == metadata.experiment_name + "_" + metadata.plate + "_" + metadata.address
    ).all()
    assert metadata.address.str.fullmatch(r"(?:[A-Z]|A[A-F])(?:0[1-9]|[1-3]\d|4[0-8])").all()
    crispr = metadata.perturbation_type == "CRISPR"
    plates = metadata.plate.astype(int)
    assert plates[crispr].between(1, 9).all() and plates[~crispr].between(1, 48).all()
    assert (metadata.experiment_name.str.startswith("gene-") == crispr).all()
    assert (metadata.cell_type == "HUVEC").all()


def test_crispr_rows(metadata: pd.DataFrame) -> None:
    crispr = metadata[metadata.perturbation_type == "CRISPR"]
    assert (crispr.SMILES == "").all() and (crispr.concentration == "").all()
    control = crispr.treatment == "EMPTY_control"
    assert (crispr.gene[control] == "EMPTY_control").all()
    rest = crispr[~control]
    assert (rest.treatment.str.replace(r"_guide_[1-6]$", "", regex=True) == rest.gene).all()
    assert (rest.groupby("gene").treatment.nunique() == 6).all()
    assert (rest.groupby("gene").experiment_name.nunique() == 2).all()
    assert "CRISPR_control" not in set(crispr.treatment)


def test_compound_rows(metadata: pd.DataFrame) -> None:
    compound = metadata[metadata.perturbation_type == "COMPOUND"]
    assert (compound.gene == "").all()
    control = compound.treatment.str.endswith("_control")
    assert set(compound.treatment[control]) == {"EMPTY_control", "CRISPR_control"}
    assert (compound.SMILES[control] == "").all() and (compound.concentration[control] == "").all()
    assert set(compound.dose[~control]) == {0.0025, 0.01, 0.025, 0.1, 0.25, 1, 2.5, 10}
    doses = compound[~control].groupby("treatment").dose.nunique()
    assert doses.max() == 8 and doses.min() < 8  # as published, some compounds lack a few


def test_every_experiment_has_its_controls_and_all_together_fill_a_pca(metadata: pd.DataFrame) -> None:
    empty = metadata[metadata.treatment == "EMPTY_control"].groupby("experiment_name").size()
    assert list(empty.index) == sorted(metadata.experiment_name.unique())
    assert empty.min() >= 100
    assert empty.sum() > 1024 + len(empty)
    crispr_control = metadata[metadata.treatment == "CRISPR_control"].groupby("experiment_name").size()
    assert list(crispr_control.index) == ["compound-001", "compound-002"]


def test_awkward_names_and_structures_occur(metadata: pd.DataFrame) -> None:
    names = set(metadata.treatment)
    assert {"Dactolisib (BEZ235", "Dihydrotestosterone(DHT)", "Lorlatinib?(PF-6463922)"} <= names
    drugs = metadata[metadata.dose.notna()].groupby("treatment").SMILES.first()
    assert drugs.str.contains(r" \|.*\|$").sum() >= 3
    assert drugs.str.contains(r" \|.*,.*\|$").any()  # a comma: the CSV must quote it
    assert (drugs == "").sum() >= 2


def test_structures_parse() -> None:
    import datamol

    for compound in COMPOUNDS:
        if compound.smiles:
            assert datamol.to_mol(compound.smiles.split(" |")[0]) is not None, compound.name


def test_names_are_consistent() -> None:
    genes = [g for family in FAMILIES for g in family]
    assert len(genes) == len(set(genes))
    assert len(COMPOUNDS) == len({c.name for c in COMPOUNDS})
    assert {g for c in COMPOUNDS for g in c.targets} < set(genes)  # a few genes are in no row of the table


# --- the affinity table ------------------------------------------------------------------------------------


def test_affinities_leave_room_for_the_negatives(affinities: pd.DataFrame, metadata: pd.DataFrame) -> None:
    assert list(affinities.columns) == [
        "gene_symbol",
        "nM_value",
        "measurement_type",
        "database",
        "treatment",
    ]
    assert not affinities.duplicated(["gene_symbol", "treatment"]).any()
    assert set(affinities.treatment) <= set(metadata.treatment)
    assert set(affinities.gene_symbol) <= set(metadata.gene)
    genes = affinities.gene_symbol.nunique()
    assert genes >= 60
    for compound in COMPOUNDS:
        rows = affinities[affinities.treatment == compound.name]
        active = rows[rows.nM_value <= 1000]
        assert set(active.gene_symbol) == set(compound.targets)
        assert len(active) <= 5
        close = rows[rows.nM_value <= 10_000]
        assert genes - len(close) >= max(2 * len(active), 20)
    assert ((affinities.nM_value > 1000) & (affinities.nM_value <= 10_000)).sum() >= 20
    assert (affinities.nM_value > 10_000).sum() >= 20
    assert (affinities.nM_value == 1000).any()  # active to the letter


# --- the relations and the list of genes -------------------------------------------------------------------


def relations(sandbox: sb.Sandbox) -> dict[str, pd.DataFrame]:
    return {p.stem: pd.read_csv(p, keep_default_na=False) for p in sorted(sandbox.relations.iterdir())}


def test_relations_have_the_published_files_shape(sandbox: sb.Sandbox, metadata: pd.DataFrame) -> None:
    tables = relations(sandbox)
    assert set(tables) == {"CORUM", "HuMAP", "Reactome", "SIGNOR", "StringDB"}
    assert sandbox.related == sum(map(len, tables.values()))
    assert locate("relations", sandbox.folder) == sandbox.relations
    for table in tables.values():
        assert list(table.columns) == ["entity1", "entity2", "database"]
        assert {*table.entity1, *table.entity2} <= set(metadata.gene) - {"EMPTY_control", ""}
        assert (table.entity1 != table.entity2).all()
        assert not table.duplicated(["entity1", "entity2"]).any()
        once = {frozenset(pair) for pair in zip(table.entity1, table.entity2, strict=True)}
        assert 50 <= len(once) < len(table)  # some pairs stand there both ways


def test_related_genes_look_alike_more_than_others_do(sandbox: sb.Sandbox, metadata: pd.DataFrame) -> None:
    """Recall by hand: PCA-CS, mean vectors, the outer tenth of all cosines."""
    x = pd.read_parquet(sandbox.openphenom).set_index("well_id").astype(float)
    rows = metadata.set_index("well_id").loc[x.index]
    empty = (rows.treatment == "EMPTY_control").to_numpy()
    y = PCA().fit(x[empty]).transform(x)
    for experiment in rows.experiment_name.unique():
        here = (rows.experiment_name == experiment).to_numpy()
        y[here] = (y[here] - y[here & empty].mean(axis=0)) / y[here & empty].std(axis=0)
    crispr = (rows.perturbation_type == "CRISPR").to_numpy() & ~empty
    genes = pd.DataFrame(y[crispr]).groupby(rows.gene[crispr].to_numpy()).mean()
    units = genes.div(np.linalg.norm(genes, axis=1), axis=0)
    cosine = units @ units.T
    low, high = np.quantile(cosine.to_numpy()[np.triu_indices(len(cosine), 1)], [0.05, 0.95])
    recall = {}
    for name, table in relations(sandbox).items():
        once = {tuple(sorted(pair)) for pair in zip(table.entity1, table.entity2, strict=True)}
        values = np.array([cosine.loc[a, b] for a, b in once])
        recall[name] = ((values <= low) | (values >= high)).mean()
    assert recall["CORUM"] > 0.2 and np.mean(list(recall.values())) > 0.13
    assert max(recall.values()) < 0.6


def test_the_list_of_genes_names_some_that_are_there(sandbox: sb.Sandbox, metadata: pd.DataFrame) -> None:
    _, *genes = sandbox.unexpressed.read_text(encoding="utf-8").splitlines()
    assert len(genes) == len(set(genes)) >= 5
    assert set(genes) < set(metadata.gene)


# --- labels ------------------------------------------------------------------------------------------------


def test_every_file_says_it_is_made_up(sandbox: sb.Sandbox, affinities: pd.DataFrame) -> None:
    text = sandbox.readme.read_text(encoding="utf-8")
    assert text.startswith("THIS DATA IS MADE UP")
    assert (affinities.database == "made up").all()
    for model in MODELS:
        schema = pq.read_schema(getattr(sandbox, model))
        assert schema.metadata[b"polaris_rxrx"].startswith(b"made up")
    files = {path.name for path in sandbox.folder.rglob("*")}
    assert {name for name in files if name != "README.txt" and name not in text} == set()
    for path in sandbox.relations.iterdir():
        assert set(pd.read_csv(path).database) == {"made up"}
    assert sandbox.unexpressed.read_text(encoding="utf-8").startswith("# made up: ")


# --- the embeddings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "width"), [("openphenom", 384), ("phenom1", 1024)])
def test_model_embeddings(sandbox: sb.Sandbox, metadata: pd.DataFrame, model: str, width: int) -> None:
    table = pd.read_parquet(getattr(sandbox, model))
    assert list(table.columns) == ["well_id", *(f"feature_{i}" for i in range(width))]
    assert list(table.well_id) == sorted(metadata.well_id)
    assert list(table.well_id) != list(metadata.well_id)
    assert (table.dtypes.iloc[1:] == np.float32).all()
    assert np.isfinite(table.iloc[:, 1:].to_numpy()).all()


def test_cellprofiler_table_has_the_usual_faults(sandbox: sb.Sandbox, metadata: pd.DataFrame) -> None:
    table = pd.read_parquet(sandbox.cellprofiler)
    features = table.iloc[:, 1:]
    assert list(features.columns) == sb.cellprofiler_features()
    assert features.columns.is_unique and 150 <= features.shape[1] <= 250
    assert {"Cells_AreaShape_Area", "Nuclei_Texture_Entropy_DNA_3_01_256"} <= set(features.columns)
    assert list(table.well_id) == sorted(table.well_id)
    missing = set(metadata.well_id) - set(table.well_id)
    assert set(table.well_id) < set(metadata.well_id) and 1 <= len(missing) < 20
    gaps = features.isna().mean()
    assert ((gaps > 0) & (gaps < 0.05)).sum() >= 5
    assert (gaps > 0.8).sum() == 1
    assert (features.nunique() == 1).sum() == 2
    tails = (features.max() - features.median()) / features.std()
    assert (tails > 20).sum() >= 2


def test_files_are_small(sandbox: sb.Sandbox) -> None:
    assert sum(path.stat().st_size for path in sandbox.folder.rglob("*")) < 30e6


# --- planted biology ---------------------------------------------------------------------------------------


def cleaned(table: pd.DataFrame) -> pd.DataFrame:
    """Drop the useless features, fill the gaps, clip the tails."""
    x = table.drop(columns="well_id").to_numpy(float)
    x = x[:, np.isnan(x).mean(axis=0) < 0.5]
    x = x[:, np.nanmax(x, axis=0) > np.nanmin(x, axis=0)]
    gaps = np.isnan(x).any(axis=0)
    x[:, gaps] = np.where(np.isnan(x[:, gaps]), np.nanmedian(x[:, gaps], axis=0), x[:, gaps])
    z = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    return pd.DataFrame(z.clip(-5, 5), index=table.well_id)


def cosines(x: pd.DataFrame, metadata: pd.DataFrame) -> dict[tuple[str, float, str], float]:
    """PCA-CS, means over wells, then |cosine| of every compound at every dose with every gene."""
    rows = metadata.set_index("well_id").loc[x.index]
    empty = (rows.treatment == "EMPTY_control").to_numpy()
    # By their covariance, which is quicker than their singular values: there are more controls than features.
    y = PCA(svd_solver="covariance_eigh").fit(x[empty]).transform(x)
    for experiment in rows.experiment_name.unique():
        here = (rows.experiment_name == experiment).to_numpy()
        controls = y[here & empty]
        y[here] = (y[here] - controls.mean(axis=0)) / controls.std(axis=0)
    frame = pd.DataFrame(y, index=rows.index)
    crispr = (rows.perturbation_type == "CRISPR").to_numpy() & ~empty
    compound = rows.dose.notna().to_numpy()
    genes = frame[crispr].groupby(rows.gene[crispr]).mean()
    drugs = frame[compound].groupby([rows.treatment[compound], rows.dose[compound]]).mean()
    a, b = (x.div(np.linalg.norm(x, axis=1), axis=0).to_numpy() for x in (drugs, genes))
    found = np.abs(a @ b.T)
    return {
        (name, dose, gene): found[i, j]
        for i, (name, dose) in enumerate(drugs.index)
        for j, gene in enumerate(genes.index)
    }


def pairs(affinities: pd.DataFrame, seed: int) -> list[tuple[str, list[str], list[int]]]:
    """The benchmark's draw: every active, and max(2 x actives, 20) genes that are neither active nor grey."""
    rng = np.random.default_rng(seed)
    annotated = sorted(affinities.gene_symbol.unique())
    out = []
    for name, rows in affinities.groupby("treatment"):
        actives = sorted(rows.gene_symbol[rows.nM_value <= 1000])
        if actives:
            close = set(rows.gene_symbol[rows.nM_value <= 10_000])
            pool = [g for g in annotated if g not in close]
            drawn = list(rng.choice(pool, size=max(2 * len(actives), 20), replace=False))
            out.append((str(name), actives + drawn, [1] * len(actives) + [0] * len(drawn)))
    return out


def best(table: dict[tuple[str, float, str], float]) -> dict[tuple[str, str], float]:
    out: dict[tuple[str, str], float] = {}
    for (name, _, gene), value in table.items():
        out[name, gene] = max(value, out.get((name, gene), 0.0))
    return out


def test_baselines_order_as_published(
    sandbox: sb.Sandbox, metadata: pd.DataFrame, affinities: pd.DataFrame
) -> None:
    tables = {m: best(cosines(cleaned(pd.read_parquet(getattr(sandbox, m))), metadata)) for m in MODELS}
    scores = []
    for seed in range(4):
        draw = pairs(affinities, seed)
        rng = np.random.default_rng([seed, 1])
        noise = np.mean([average_precision_score(active, rng.random(len(active))) for _, _, active in draw])
        row = {"random": noise}
        for model, table in tables.items():
            row[model] = np.mean(
                [average_precision_score(active, [table[n, g] for g in genes]) for n, genes, active in draw]
            )
        scores.append(row)
    mean = pd.DataFrame(scores)
    assert mean.random.mean() == pytest.approx(0.22, abs=0.03)
    assert (mean.cellprofiler > mean.random + 0.03).all()
    assert (mean.openphenom > mean.cellprofiler + 0.02).all()
    assert (mean.phenom1 > mean.openphenom + 0.03).all()
    assert mean.phenom1.max() < 0.6


def test_the_effect_grows_with_the_dose(sandbox: sb.Sandbox, metadata: pd.DataFrame) -> None:
    """Replicate wells of a compound agree more at 10 uM, and not at all at the lowest dose."""
    x = pd.read_parquet(sandbox.openphenom).set_index("well_id").loc[metadata.well_id].to_numpy(dtype=float)
    agreement: dict[float, list[float]] = {0.0025: [], 10.0: []}
    for experiment in ("compound-001", "compound-002"):
        here = (metadata.experiment_name == experiment).to_numpy()
        controls = x[here & (metadata.treatment == "EMPTY_control").to_numpy()]
        for dose, found in agreement.items():
            for name in metadata.treatment[here & (metadata.dose == dose)].unique():
                rows = here & (metadata.dose == dose).to_numpy() & (metadata.treatment == name).to_numpy()
                z = (x[rows] - controls.mean(axis=0)) / controls.std(axis=0)
                z /= np.linalg.norm(z, axis=1, keepdims=True)
                found.append((z @ z.T)[np.triu_indices(len(z), 1)].mean())
    assert np.mean(agreement[10.0]) > np.mean(agreement[0.0025]) + 0.03


# --- reproducibility ---------------------------------------------------------------------------------------

DIGEST = """
import hashlib, sys
from pathlib import Path
from polaris_rxrx.dataset.sandbox import write_sandbox
folder = Path(sys.argv[1])
write_sandbox(folder)
for path in sorted(p for p in folder.rglob("*") if p.is_file()):
    print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_one_seed_one_data_set_whatever_the_hash_seed(sandbox: sb.Sandbox, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIGEST, str(tmp_path)],
        env=os.environ | {"PYTHONHASHSEED": "4321", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    every = [p for p in sandbox.folder.rglob("*") if p.is_file()]
    here = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in every}
    assert dict(line.split() for line in done.stdout.splitlines()) == here


def test_another_seed_is_another_data_set(sandbox: sb.Sandbox, tmp_path: Path) -> None:
    other = sb.write_sandbox(tmp_path, seed=1)
    assert other.wells == sandbox.wells
    assert other.metadata.read_bytes() != sandbox.metadata.read_bytes()
    assert other.interactions.read_bytes() != sandbox.interactions.read_bytes()
    corum = "CORUM.txt"
    assert (other.relations / corum).read_bytes() != (sandbox.relations / corum).read_bytes()
    assert "seed 1" in other.readme.read_text(encoding="utf-8")


def test_writing_needs_a_folder_and_a_seed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        sb.write_sandbox(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="seed -1"):
        sb.write_sandbox(tmp_path, seed=-1)
    assert not list(tmp_path.iterdir())


def test_csv_round_trips(sandbox: sb.Sandbox) -> None:
    with sandbox.metadata.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    structures = {c.name: c.smiles for c in COMPOUNDS}
    assert {r["treatment"]: r["SMILES"] for r in rows if r["concentration"]} == structures
