"""Whether test pairs are new and test compounds independent: one function per check.

Conventions are those of `polaris_rxrx.audit.leaks`. These two are about the task, not the submission: who
trained on train.csv, or on labels of one compound of a group, knows labels of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polaris_rxrx.audit.structures import SameCompounds
from polaris_rxrx.errors import some
from polaris_rxrx.present.numbers import count
from polaris_rxrx.quick import NAMED, Check
from polaris_rxrx.task import Task

Pair = tuple[str, str]


def train_pairs(task: Task, groups: SameCompounds | None) -> Check:
    """Test pairs that stand in train.csv, under their own name or another of the same structure."""
    title = "overlap with the training set"
    twice = len(task) - len(task.by_key)
    names, genes = task.train.get("treatment", []), task.train.get("gene_symbol", [])
    if not names or len(names) != len(genes):
        words = "train.csv has no rows: the benchmark is zero-shot"
        return Check("train", title, "not checked", _twice(words, twice), {"pairs_that_stand_twice": twice})
    one = _one_name(groups)
    test: dict[Pair, Pair] = {}
    for pair in zip(task.treatment, task.gene_symbol, strict=True):
        test.setdefault(pair, pair)
        test.setdefault((one.get(pair[0], pair[0]), pair[1]), pair)
    trained = dict.fromkeys(zip(names, genes, strict=True))
    same = [pair for pair in trained if pair in task.by_key]
    renamed = [
        {"train": list(pair), "test": list(test[key])}
        for pair in trained
        if pair not in task.by_key and (key := (one.get(pair[0], pair[0]), pair[1])) in test
    ]
    of_test = set(task.treatment)
    shared = sorted(set(names) & of_test)
    evidence: dict[str, Any] = {
        "train_pairs": len(trained),
        "repeated_pairs": [list(pair) for pair in same],
        "repeated_under_another_name": renamed,
        "shared_compounds": shared,
        "structures_compared": groups is not None,
        "pairs_that_stand_twice": twice,
    }
    if same or renamed:
        shown = [f"{t} / {g}" for t, g in same] + [" / ".join(r["test"]) for r in renamed]
        words = f"{count(len(shown), 'test pair')} stand in train.csv"
        if renamed:
            words += f", {len(renamed):,} of them with another name of the same compound"
        return Check("train", title, "fail", _twice(f"{words}: {some(shown, NAMED)}", twice), evidence)
    if shared:
        words = (
            f"no pair is repeated, but {count(len(shared), 'compound')} stand in both: {some(shared, NAMED)}"
        )
        return Check("train", title, "warn", _twice(words, twice), evidence)
    words = f"none of {count(len(trained), 'training pair')} is a test pair, and no compound stands in both"
    return Check("train", title, "ok", _twice(words, twice), evidence)


def _twice(words: str, twice: int) -> str:
    return f"{words}; {count(twice, 'row')} of the test set repeat an earlier pair" if twice else words


def _one_name(groups: SameCompounds | None) -> dict[str, str]:
    """Of every compound that has several names, one for all."""
    if groups is None:
        return {}
    return {name: names[0] for names in groups.identical for name in names}


def duplicates(task: Task, groups: SameCompounds | None, source: str) -> Check:
    """Compounds that are one compound; `source` says where structures are from, or why there are none."""
    title = "one compound under several names"
    if groups is None:
        return Check("duplicates", title, "not checked", source)
    in_test, in_train = set(task.treatment), set(task.train.get("treatment", []))
    labels = _labels(task)
    identical = [_describe(names, in_test, in_train, labels) for names in groups.identical]
    alike = [_describe(names, in_test, in_train, labels) for names in groups.alike]
    without = sorted((in_test | in_train) - set(groups.names))
    evidence: dict[str, Any] = {
        "structures_from": source,
        "compounds_read": groups.read,
        "not_parsed": groups.unread,
        "identical": identical,
        "alike": alike,
        "without_structure": without,
    }
    if not groups.read:
        return Check("duplicates", title, "not checked", f"no structure of {source} can be parsed", evidence)
    words = []
    for found, what in (
        (identical, "of one structure (InChIKey)"),
        (alike, "alike but for salt, protons, isotopes or stereochemistry"),
    ):
        if found:
            shown = some([" = ".join(g["names"]) for g in found], NAMED)
            words.append(f"{count(len(found), 'group')} of compounds {what}: {shown}")
        across = sum(g["train"] > 0 and g["test"] > 0 for g in found)
        if across:
            words.append(f"{across:,} of these across train and test")
    checked = f"{count(groups.read, 'structure')} compared"
    if not words:
        return Check("duplicates", title, "ok", f"{checked}, no two alike", evidence)
    shared = sum(g["shared_genes"] for g in identical)
    agree = sum(g["labels_agree"] for g in identical)
    if shared:
        words.append(f"of {count(shared, 'gene')} that identical ones share, {agree:,} have the same label")
    words.append("they are not independent: intervals are a little too narrow")
    return Check("duplicates", title, "warn", f"{checked}; {'; '.join(words)}", evidence)


def _labels(task: Task) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    if task.active is not None:
        for treatment, gene, label in zip(
            task.treatment, task.gene_symbol, task.active.tolist(), strict=True
        ):
            if label == label:
                found.setdefault(treatment, {})[gene] = label
    return found


def _describe(
    names: list[str], in_test: set[str], in_train: set[str], labels: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """A group: who is in it, and on how many genes its test compounds agree (each two of them)."""
    shared = agree = 0
    of = [labels[n] for n in names if n in labels]
    for i, first in enumerate(of):
        for second in of[i + 1 :]:
            both = first.keys() & second.keys()
            shared += len(both)
            agree += sum(first[g] == second[g] for g in both)
    return {
        "names": names,
        "test": sum(n in in_test for n in names),
        "train": sum(n in in_train for n in names),
        "shared_genes": shared,
        "labels_agree": agree,
    }
