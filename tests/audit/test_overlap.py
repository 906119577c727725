"""One compound under several names, and test pairs that stand in train.csv."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from polaris_rxrx.audit.overlap import duplicates, train_pairs
from polaris_rxrx.audit.structures import SameCompounds, find, group, read_table_of_smiles
from polaris_rxrx.errors import DataError
from polaris_rxrx.task import Task, load_task
from tests.wells_factory import make_metadata

MakeTask = Callable[..., Task]

SMILES = {
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "Advil, <b>": "OC(=O)C(C)c1ccc(CC(C)C)cc1 |c:4,t:9|",  # written another way, with a CXSMILES suffix
    "ibuprofen sodium": "CC(C)Cc1ccc(cc1)C(C)C(=O)[O-].[Na+]",
    "(S)-ibuprofen": "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "broken": "C1CC(",
    "NA": "CCO |c:1,13,t:16|",  # of a molecule that has no such bonds
    "blank": " |c:1|",
}


def test_names_of_one_structure_are_found() -> None:
    found = group(SMILES)
    assert found.identical == [["Advil, <b>", "ibuprofen"]]
    assert found.alike == [["(S)-ibuprofen", "Advil, <b>", "ibuprofen", "ibuprofen sodium"]]
    assert found.unread == ["blank", "broken"]
    assert found.names == sorted(set(SMILES) - {"blank", "broken"}) and found.read == 6


def test_identical_ones_are_not_listed_twice() -> None:
    two = {n: SMILES[n] for n in ("ibuprofen", "Advil, <b>", "aspirin")}
    assert (group(two).identical, group(two).alike) == ([["Advil, <b>", "ibuprofen"]], [])
    assert group({}) == SameCompounds([], [], [], [])


def test_a_cxsmiles_suffix_is_no_structure() -> None:
    assert group({"a": "CCO", "b": "CCO |^1:0|", "c": "CCO |$R1;;$|"}).identical == [["a", "b", "c"]]


def small(make_task: MakeTask, **more: object) -> Task:
    return make_task(
        [
            ("ibuprofen", "PTGS1", 1),
            ("ibuprofen", "PTGS2", 1),
            ("ibuprofen", "MTOR", None),
            ("Advil, <b>", "PTGS1", 0),
            ("Advil, <b>", "PTGS2", 1),
            ("Advil, <b>", "MTOR", 0),
            ("aspirin", "MTOR", 0),
        ],
        **more,
    )


def test_a_group_tells_how_its_labels_agree(make_task: MakeTask) -> None:
    task = small(make_task)
    found = duplicates(task, group({n: SMILES[n] for n in set(task.treatment) - {"aspirin"}}), "the test")
    assert found.verdict == "warn"
    assert found.evidence["identical"] == [
        {"names": ["Advil, <b>", "ibuprofen"], "test": 2, "train": 0, "shared_genes": 2, "labels_agree": 1}
    ]
    assert (
        "'Advil, <b> = ibuprofen'" in found.words
        and "of 2 genes that identical ones share, 1 " in found.words
    )
    assert found.evidence["without_structure"] == ["aspirin"]


def test_salts_and_stereochemistry_are_a_lesser_matter(make_task: MakeTask) -> None:
    task = make_task([("ibuprofen sodium", "g", 1), ("(S)-ibuprofen", "g", 0)])
    found = duplicates(task, group({n: SMILES[n] for n in task.treatment}), "the test")
    assert found.verdict == "warn" and found.evidence["identical"] == []
    assert "alike but for salt" in found.words and "InChIKey" not in found.words


def test_no_two_alike(make_task: MakeTask) -> None:
    task = make_task([("aspirin", "g", 1), ("NA", "g", 0)])
    found = duplicates(task, group({n: SMILES[n] for n in task.treatment}), "the test")
    assert (found.verdict, found.words) == ("ok", "2 structures compared, no two alike")


def test_without_structures_nothing_is_checked(make_task: MakeTask) -> None:
    task = small(make_task)
    assert duplicates(task, None, "no metadata").verdict == "not checked"
    assert duplicates(task, None, "no metadata").words == "no metadata"
    assert duplicates(task, group({"aspirin": "C1("}), "the test").verdict == "not checked"


def train(*pairs: tuple[str, str]) -> dict[str, list[str]]:
    return {
        "treatment": [t for t, _ in pairs],
        "gene_symbol": [g for _, g in pairs],
        "active": ["1"] * len(pairs),
    }


def test_zero_shot_has_nothing_to_overlap_with(make_task: MakeTask) -> None:
    for of in ({}, train()):
        found = train_pairs(small(make_task, train=of), None)
        assert found.verdict == "not checked" and "zero-shot" in found.words


def test_a_pair_of_the_training_set_fails(make_task: MakeTask) -> None:
    task = small(make_task, train=train(("aspirin", "MTOR"), ("aspirin", "new")))
    found = train_pairs(task, None)
    assert found.verdict == "fail" and "'aspirin / MTOR'" in found.words
    assert found.evidence["repeated_pairs"] == [["aspirin", "MTOR"]]


def test_so_does_one_under_another_name(make_task: MakeTask) -> None:
    task = small(make_task, train=train(("Nurofen", "PTGS1"), ("Nurofen", "new")))
    assert train_pairs(task, None).verdict == "ok"  # by name alone nothing is seen
    found = train_pairs(task, group({**SMILES, "Nurofen": SMILES["ibuprofen"]}))
    assert found.verdict == "fail" and "another name of the same compound" in found.words
    assert [r["train"] for r in found.evidence["repeated_under_another_name"]] == [["Nurofen", "PTGS1"]]
    across = duplicates(task, group({**SMILES, "Nurofen": SMILES["ibuprofen"]}), "the test")
    assert "across train and test" in across.words


def test_whichever_of_the_names_comes_first(make_task: MakeTask) -> None:
    groups = group(SMILES)
    for of_test, of_train in (("ibuprofen", "Advil, <b>"), ("Advil, <b>", "ibuprofen")):
        task = make_task([(of_test, "g", 1)], train=train((of_train, "g")))
        assert train_pairs(task, groups).verdict == "fail"


def test_a_compound_in_both_is_warned_of(make_task: MakeTask) -> None:
    found = train_pairs(small(make_task, train=train(("aspirin", "new"))), None)
    assert found.verdict == "warn" and "'aspirin'" in found.words
    assert train_pairs(small(make_task, train=train(("new", "MTOR"))), None).verdict == "ok"


def test_a_test_pair_that_stands_twice_is_told(make_task: MakeTask) -> None:
    task = make_task([("A", "g", 1), ("A", "g", 0)])
    assert "1 row of the test set repeat" in train_pairs(task, None).words


# --- where structures are from -----------------------------------------------------------------------------


def test_structures_of_an_input_come_first(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(
        [("A", "g", 1), ("B", "g", 0)],
        more={"SMILES": ["CCO", ""]},
        train={**train(("T", "g")), "SMILES": ["CC"]},
    )
    assert find(task, None) == ({"A": "CCO", "T": "CC"}, "the task's SMILES")


def test_structures_of_the_prepared_folder(make_task: MakeTask, tmp_path: Path) -> None:
    make_task([("A", "g", 1), ("B", "g", 0)]).save(tmp_path, smiles=["CCO", ""])
    assert find(load_task(tmp_path), None) == ({"A": "CCO"}, "the task's SMILES")


def test_structures_of_the_metadata(make_task: MakeTask, tmp_path: Path) -> None:
    path = tmp_path / "metadata.csv"
    metadata = make_metadata()
    metadata.to_csv(path, index=False)
    task = make_task([("aspirin", "g", 1), ("TP53", "g", 0)])
    assert find(task, path) == ({"aspirin": "CCO |c:1|"}, str(path))
    assert (
        find(make_task([("x", "g", 1)]), path)[1]
        == f"no structures: {path} has no SMILES of the task's compounds"
    )
    metadata.drop(columns="SMILES").to_csv(path, index=False)
    assert find(task, path)[0] == {}
    assert "no metadata" in find(task, None)[1]


def test_a_table_of_structures(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text('treatment,SMILES\nNA,CCO\n"a,b",\nNA,CCO\n')
    assert read_table_of_smiles(path) == {"NA": "CCO", "a,b": ""}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("treatment,smiles\nA,CCO\n", "no column 'SMILES'"),
        ("treatment,SMILES\nA,CCO\nA,CC\n", "line 3: SMILES of 'A' is 'CC', and 'CCO' further up"),
    ],
)
def test_a_bad_table_of_structures(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"s\.csv") as error:
        read_table_of_smiles(path)
    assert said in str(error.value)
