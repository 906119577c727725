"""Deviations: the docstrings and the data say the same, and every result keeps them."""

from __future__ import annotations

import re

import pytest

from polaris_rxrx.suites import drug_target, gene_gene, replicates, signal
from polaris_rxrx.suites.deviations import DEVIATIONS, Deviation, listed

MODULES = {
    "drug-target": drug_target,
    "gene-gene": gene_gene,
    "signal": signal,
    "replicate-consistency": replicates,
}


def sentence(d: Deviation) -> str:
    why = "" if d.why is None else f" Not offered: {d.why}."
    return f"{d.what[0].upper()}{d.what[1:]}.{why}"


@pytest.mark.parametrize("suite", DEVIATIONS)
def test_the_docstring_says_what_the_data_says(suite: str) -> None:
    found = re.findall(
        r"^Deviations from the public code.*\n((?:    .*\n)+)", MODULES[suite].__doc__ or "", re.M
    )
    assert len(found) == 1
    numbered = re.split(r"^    (\d+)\. ", found[0], flags=re.M)[1:]
    said = [" ".join(text.split()) for text in numbered[1::2]]
    assert [int(n) for n in numbered[::2]] == list(range(1, len(said) + 1))
    assert said == [sentence(d) for d in DEVIATIONS[suite]]


def test_legacy_undoes_what_the_docstring_says() -> None:
    undone = [d["number"] for d in listed("drug-target", legacy=True) if d["undone"]]
    assert undone == [1, 2, 3]
    assert f"(`legacy` undoes 1 to {len(undone)})" in (drug_target.__doc__ or "")
    assert not any(d["undone"] for d in listed("drug-target"))
    for suite in DEVIATIONS:
        for d in listed(suite, legacy=True):
            assert d["undone"] is (d["why_not"] is None)
            assert d["undone"] is False or suite == "drug-target"


def test_no_deviation_is_there_twice() -> None:
    for suite, held in DEVIATIONS.items():
        assert len({d.what for d in held}) == len(held), suite
