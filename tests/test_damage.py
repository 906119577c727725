"""What spreadsheets and other programs do to tables: every reader names it, with the cure."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_rxrx import damage
from polaris_rxrx.cli import run
from polaris_rxrx.dataset.affinities import read_affinities
from polaris_rxrx.errors import DataError
from polaris_rxrx.predictions import read_predictions
from polaris_rxrx.report.breakdown import read_classes
from polaris_rxrx.suites.relations import read_relations
from polaris_rxrx.task import Task
from polaris_rxrx.wells.memory import read_wells
from polaris_rxrx.wells.metadata import read_metadata
from tests.wells_factory import small

AFFINITIES = "gene_symbol,nM_value,treatment\nBCL2,5.5,A\nMTOR,50000.5,B\nTP53,7.5,A\n"
METADATA = (
    "well_id,experiment_name,gene,treatment,concentration,perturbation_type\n"
    "a,gene-001,BCL2,BCL2_guide_1,,CRISPR\nb,gene-001,MTOR,MTOR_guide_1,,CRISPR\n"
    "c,gene-001,TP53,TP53_guide_1,,CRISPR\nd,compound-001,,A,0.25,COMPOUND\n"
)
RELATIONS = "entity1,entity2\nBCL2,MTOR\nTP53,KRAS\n"
CLASSES = "gene_symbol,target_class\nBCL2,x\nMTOR,y\nTP53,y\n"
PREDICTIONS = (
    "treatment,gene_symbol,active\nABT-199,BCL2,0.5\nABT-199,SEPT2,0\nABT-199,MARCH1,1\n"
    "Dactolisib (BEZ235,BCL2,2\nDactolisib (BEZ235,MTOR,3\nEugenol (no structure),MTOR,4\n"
)
Reader = Callable[[Path, Task], object]


def _embeddings(path: Path, task: Task) -> object:
    (path.parent / "wells").mkdir()
    metadata, _ = small(path.parent / "wells")
    return read_wells(metadata, path)


def _genes(path: Path, task: Task) -> object:
    from polaris_rxrx.suites.unexpressed import read_genes

    return read_genes(path)


READERS: dict[str, tuple[Reader, str]] = {
    "predictions": (lambda p, task: read_predictions(p, task), PREDICTIONS),
    "metadata": (lambda p, _: read_metadata(p), METADATA),
    "affinities": (lambda p, _: read_affinities(p), AFFINITIES),
    "relations": (lambda p, _: read_relations(p), RELATIONS),
    "classes": (lambda p, _: read_classes(p), CLASSES),
}


def refused(reader: Reader, path: Path, task: Task) -> str:
    with pytest.raises(DataError) as caught:
        reader(path, task)
    text = str(caught.value)
    assert text.startswith(str(path)) and len(text) < 900 + 2 * len(str(path))
    return text[len(str(path)) :]


@pytest.mark.parametrize("name", READERS)
def test_as_they_are(tmp_path: Path, task: Task, name: str) -> None:
    reader, text = READERS[name]
    (tmp_path / "t.csv").write_text(text)
    reader(tmp_path / "t.csv", task)


@pytest.mark.parametrize("name", [*READERS, "embeddings"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda t: t.replace(",", ";"),
            "separated by semicolons; commas were expected. Save it again as CSV",
        ),
        (lambda t: t.replace(",", ";").replace(".", ","), "(pandas reads it with sep=';', decimal=',')"),
        (lambda t: t.replace(",", "\t"), "separated by tabs; commas were expected"),
        (
            lambda t: "# made in 2024, by me\n" + t,
            "line 1: it begins with # ('# made in 2024, by me'); the header",
        ),
        (lambda t: "#" + t, "Leave out lines of comments, and the # before a header"),
        (lambda t: t.encode("utf-16"), " is UTF-16 text; save it as CSV UTF-8"),
        (lambda t: b"PK\x03\x04" + t.encode(), "a spreadsheet (.xlsx); save the sheet as CSV"),
        (lambda t: "<!DOCTYPE html><html>" + t, " is a web page and not a table"),
        (lambda t: '{"a": [1, 2]}', " is JSON; a CSV or parquet file was expected"),
    ],
)
def test_another_kind_of_file(
    tmp_path: Path, task: Task, name: str, change: Callable[[str], str | bytes], told: str
) -> None:
    if "tabs" in told and name in ("metadata", "embeddings"):
        pytest.skip("tables of wells may have tabs")
    reader, text = READERS.get(name, (_embeddings, "well_id,feature_0,feature_1\na,0.5,1.5\n"))
    changed = change(text)
    path = tmp_path / "t.csv"
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    assert told in refused(reader, path, task)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("date", "genes"),
    [
        ("1-Mar", " (MARCH1 or MARCHF1?)"),
        ("Mar-01", " (MARCH1 or MARCHF1?)"),
        ("2022-03-01", " (MARCH1 or MARCHF1?)"),
        ("2-Sep", " (SEPT2 or SEPTIN2?)"),
        ("9/2/2022", " (FEB9 or SEPT2 or SEPTIN2?)"),
        ("44806", " (SEPT2 or SEPTIN2?)"),
        ("44621", " (MARCH1 or MARCHF1?)"),
        ("01.12.2023", " (DEC1?)"),
    ],
)
def test_genes_that_became_dates(tmp_path: Path, task: Task, name: str, date: str, genes: str) -> None:
    reader, text = READERS[name]
    path = tmp_path / "t.csv"
    path.write_text(text.replace("BCL2,", f"{date},").replace(",BCL2", f",{date}"))
    said = refused(reader, path, task)
    what = "the serial number of a date" if date.isdigit() else "a date"
    assert (
        f"'{date}'" in said
        and f"that a spreadsheet turned into {what}{genes}: import that column as text" in said
    )


def test_dates_of_parquet_and_lists(tmp_path: Path, task: Task) -> None:
    rows = {"treatment": ["ABT-199"], "active": [1.0]}
    for value in (datetime.date(2022, 9, 2), datetime.datetime(2022, 9, 2), 44806):
        pq.write_table(pa.table({**rows, "gene_symbol": [value]}), tmp_path / "p.parquet")
        assert "(SEPT2 or SEPTIN2?)" in refused(READERS["predictions"][0], tmp_path / "p.parquet", task)
    for text, told in (
        ("TP53\n1-Mar\n", ", line 2: a gene is '1-Mar'; it looks like a gene name (MARCH1"),
        ("TP53\n\nKRAS\n44806\n", ", line 4: a gene is '44806'"),
        ("TP53,KRAS\n", ", line 1: 'TP53,KRAS'; one gene on each line was expected, and nothing else"),
    ):
        (tmp_path / "g.txt").write_text(text)
        said = refused(_genes, tmp_path / "g.txt", task)
        assert said.startswith(told.replace(" (MARCH1", "")) or "(MARCH1 or MARCHF1?)" in said


@pytest.mark.parametrize(
    "name",
    [
        "MARCH1",
        "SEPT2",
        "DEC1",
        "OCT-4",
        "Oct-4",
        "SEP15",
        "1060P11.3",
        "5S_rRNA",
        "7SK",
        "A1-BG",
        "2-5A",
        "",
    ],
)
def test_names_of_genes_are_no_dates(name: str) -> None:
    assert damage.as_date(name) is None and damage.date_hint(name) == ""


def test_ids_of_genes_are_no_dates() -> None:
    damage.refuse_dates(["44806", "2064", "7157", "672"], "gene", str)
    with pytest.raises(DataError, match=r"^1: gene is '44806'"):
        damage.refuse_dates(["TP53", "44806", "KRAS"], "gene", str)


@given(
    st.one_of(st.text(max_size=12), st.integers(), st.floats(), st.none(), st.binary(max_size=9), st.dates())
)
def test_anything_may_be_asked(value: object) -> None:
    damage.date_hint(value)
    damage.number_hint(value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "id,active\n0,0,5\n",
            ", line 2: 3 fields where the header has 2 (id,active); are there decimal commas (write points)",
        ),
        (
            'id,active\n0,"0,5"\n',
            ", line 2: active is '0,5'; a finite number was expected; it has a decimal comma: w",
        ),
        ('id,active\n0,"1,234.5"\n', "it has commas between the digits: leave them out"),
        (
            "id,active\n5,0,5\n",
            ", line 2: 3 fields where the header has 2 (id,active); are there decimal commas? W",
        ),
        ("id,active\n0,x,0.5\n", "; is the first an index? If so, write it without its index"),
        (
            "id,active\n1,0,5\n",
            "or is the first an index? If so, write it without its index (pandas: index=False",
        ),
        ("id,active\n# rest\n", ", line 2: 1 fields where the header has 2 (id,active); is it a comment?"),
        ("id,active\nx,y,z\n", "is a comma in a name unquoted?"),
    ],
)
def test_hints_at_a_row(tmp_path: Path, task: Task, text: str, told: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    assert told in refused(READERS["predictions"][0], tmp_path / "p.csv", task).replace(", active", ",active")


def test_decimal_commas_elsewhere(tmp_path: Path, task: Task) -> None:
    path = tmp_path / "t.csv"
    path.write_text(AFFINITIES.replace("5.5,", '"5,5",'))
    assert "nM_value is '5,5'; an affinity in nM was expected; it has a decimal comma" in refused(
        READERS["affinities"][0], path, task
    )
    path.write_text(METADATA.replace("0.25", '"0,25"'))
    assert "a number of uM or nothing was expected; it has a decimal comma: write 0.25" in refused(
        READERS["metadata"][0], path, task
    )
    head = ",".join(f"feature_{i}" for i in range(4))
    path.write_text(f"well_id,{head}\na" + ',"0,5"' * 4 + "\n")
    assert "'feature_0', 'feature_1', 'feature_2', 'feature_3' has decimal commas" in refused(
        _embeddings, path, task
    )


@pytest.mark.parametrize("index", ["", "Unnamed: 0", "index", "level_0"])
def test_a_saved_index_in_predictions_is_left_out_and_said(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], index: str
) -> None:
    path = tmp_path / "p.csv"
    head, *rows = PREDICTIONS.splitlines()
    path.write_text("\n".join([f"{index},{head}", *(f"{i},{row}" for i, row in enumerate(rows))]) + "\n")
    assert run(["score", str(path), "--task", str(prepared), "--json"]) == 0
    out, err = capsys.readouterr()
    shown = repr(index) if index else "a column without a name"
    assert f"{path}: {shown} was taken for a saved index and left out\n" in err
    assert f'"columns_left_out": [\n    "{index}"\n  ]' in out


@pytest.mark.parametrize("index", ["", "Unnamed: 0"])
def test_an_index_among_relations_is_no_partner(tmp_path: Path, task: Task, index: str) -> None:
    path = tmp_path / "r.txt"
    head, *rows = RELATIONS.splitlines()
    path.write_text("\n".join([f"{index},{head}", *(f"{i},{row}" for i, row in enumerate(rows))]) + "\n")
    assert "index, write it without" in refused(READERS["relations"][0], path, task).replace(
        "is an index, but the first two columns are partners; write", "index, write"
    )


def test_names_of_columns_that_nearly_fit(tmp_path: Path, task: Task) -> None:
    (tmp_path / "a.csv").write_text("Gene_Symbol,nM_value,treatment\nA,1,B\n")
    assert "no column 'gene_symbol' ('Gene_Symbol' differs by blanks or case)" in refused(
        READERS["affinities"][0], tmp_path / "a.csv", task
    )


@pytest.mark.parametrize("name", READERS)
def test_no_whole_file_is_echoed(tmp_path: Path, task: Task, name: str) -> None:
    path = tmp_path / "t.csv"
    for text in (
        "x" * 100_000 + ",y\n1,2\n",
        '"' + "x\n" * 50_000 + '",' * 3 + "y\n",
        ",".join(map(str, range(20_000))),
    ):
        path.write_text(text)
        if name != "relations" or '"' in text:  # else they are partners with long names
            refused(READERS[name][0], path, task)
    reader, text = READERS[name]
    for old in ("BCL2", "5.5", "0.25", "0.5", "ABT-199"):
        path.write_text(text.replace(old, old + "9" * 100_000))
        try:
            reader(path, task)
        except DataError as error:
            assert len(str(error)) < 900 + 2 * len(str(path))
