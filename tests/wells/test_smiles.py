"""SMILES from the metadata: suffixes cut, each compound once, what cannot be parsed left blank and listed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.wells.smiles import read_structures, strip_extension

ROWS = [
    ("ethanol", "OCC"),
    ("ethanol", "CCCO"),  # the first one counts
    ("suffixed", "C/C=C/C |c:1,13,t:16|"),
    ("salt", "CC(=O)[O-].[Na+]"),
    ("broken", "C1CC("),
    ("valence", "C(C)(C)(C)(C)C"),
    ("none", ""),
    ("late", ""),
    ("late", "c1ccccc1"),
    ("NA", "C"),
    ("", "N"),
    ("not asked for", "O"),
]
ASKED = ["valence", "salt", "ethanol", "ethanol", "suffixed", "broken", "none", "late", "NA", "unknown"]


@pytest.fixture(params=["csv", "parquet"])
def metadata(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"metadata.{request.param}"
    frame = pd.DataFrame(ROWS, columns=["treatment", "SMILES"]).assign(gene="", plate=1)
    if request.param == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.replace("", None).to_parquet(path, index=False)
    return path


def test_structures(metadata: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = read_structures(metadata, ASKED)
    assert found.smiles == {
        "ethanol": "CCO",
        "suffixed": "C/C=C/C",
        "salt": "CC(=O)[O-].[Na+]",
        "late": "c1ccccc1",
        "NA": "C",
        "broken": "",
        "valence": "",
        "none": "",
        "unknown": "",
    }
    assert found.absent == ["none", "unknown"]
    assert found.unparsable == ["broken", "valence"]
    assert capfd.readouterr() == ("", "")  # RDKit's own complaints stay out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CCO |c:1|", "CCO"),
        ("CCO", "CCO"),
        ("C/C=C/C |c:1,13,t:16|", "C/C=C/C"),
        (" CCO ", "CCO"),
        ("CC |o1:1,r|", "CC"),
        ("", ""),
    ],
)
def test_strip_extension(text: str, expected: str) -> None:
    assert strip_extension(text) == expected


def test_no_smiles_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text("well_id,treatment\na,b\n")
    with pytest.raises(DataError, match="SMILES need the columns treatment and SMILES; it has treatment"):
        read_structures(path, ["b"])


def test_every_annotated_compound_has_a_structure(shared_data: Path) -> None:
    # The real table: of 779 annotated compounds, all are in the metadata.
    known = pd.read_csv(shared_data / "compound_gene_interactions.csv", keep_default_na=False)
    names = sorted(set(known.treatment))[:40]
    found = read_structures(shared_data / "metadata_rxrx3_trimmed.parquet", names)
    assert found.unparsable == []
    assert sorted(found.smiles) == names
    assert all(("|" not in s and bool(s)) or n in found.absent for n, s in found.smiles.items())
