"""Sets of genes: GMT, clusters, and what is wrong with a file."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.suites.gene_sets import read_gene_sets


def test_both_layouts_and_gzip(tmp_path: Path) -> None:
    clusters = tmp_path / "clusters.tsv"
    clusters.write_text("a complex\tTP53 BRCA1 TP53\n\nanother, one\tNA\r\n")
    assert read_gene_sets(clusters).genes == {"a complex": ("TP53", "BRCA1"), "another, one": ("NA",)}
    gmt = tmp_path / "sets.gmt.gz"
    gmt.write_bytes(gzip.compress(b"# comment\nPATHWAY\thttp://x\tTP53\tBRCA1\t\n"))
    sets = read_gene_sets(gmt)
    assert sets.genes == {"PATHWAY": ("TP53", "BRCA1")}
    assert sets.within({"BRCA1"}) == {"PATHWAY": ["BRCA1"]} and sets.within({"BRCA1"}, 2) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no sets of genes"),
        ("complex\n", "line 1: 'complex'; a name, a tab and genes"),
        ("a\tX\n\tY\n", "line 2"),
        ("a\tX\nb\tY\na\tZ\n", "line 3: 'a' stands in line 1, too"),
        ("a\tX 1-Mar\n", "1-Mar"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "sets.tsv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_gene_sets(path)


def test_real_complexes(shared_data: Path) -> None:
    sets = read_gene_sets(shared_data / "clusters" / "CORUM_clusters.tsv")
    assert len(sets.genes) == 2696 and "SNRPE" in sets.genes["(E.F.G) complex"]
