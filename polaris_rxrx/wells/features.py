"""Which columns of a table of wells are features: what a model says of the image, and nothing else.

Conventions
    In this order a numeric column is no feature if
    1. it is `well_id`;
    2. it is an index somebody saved: pandas' own (as the parquet file says), a nameless column, `Unnamed: 0`,
       `index`, `level_0`, or whole numbers that number the wells without a gap;
    3. its name begins with `Metadata_` or `Image_Metadata_`;
    4. the metadata file has a column of its name (unless metadata and embeddings are one file);
    5. it is called what is about a well and not of its image: its row, column, plate, site, batch, number of
       cells, CellProfiler's object numbers and times (`KNOWN`, `_BOOKKEEPING`).
    Names of 3 to 5 are compared without regard to case, and pandas' `_x`, `_y` of a merge may follow.
    6. What is left comes in families: names that differ in numbers alone (`feature_12`, `emb_7`, `0`, `0.0`),
       and CellProfiler's compartments (`Cells_`, `Cytoplasm_`, `Nuclei_`, `Image_`). A family has at least
       `LEAST` columns and a `SHARE` of all that are left. Where families name `MOST` of them, or one whose
       numbers have no gap names more than half, the others are left out.
    Patterns decide alone: a feature is what one of them matches as a whole (`*`, `?`, `[0-9]`; case counts).
    Numbers are floating, integer, decimal and empty columns. Text, categories, dates and truth values are
    none; they are left out where families or patterns say what a feature is, and an error elsewhere.
    Features are in natural order (`f2` before `f10`), whatever that of the file, so that no bit of a score
    depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from polaris_rxrx.damage import INDEX
from polaris_rxrx.dataset.rxrx3 import COLUMNS
from polaris_rxrx.errors import DataError, some

LEAST, SHARE, MOST = 3, 0.1, 0.9
# Columns that say which well it is, as RxRx3-core names them.
NOT_FEATURES = {*COLUMNS, "well_type_label", "well_type", "site"}
# More of them, without case, blanks and punctuation.
_WORDS = """
    well row rows rownumber wellrow platerow col cols column columnnumber colnumber wellcol wellcolumn
    platecolumn plateid platenumber barcode platebarcode siteid siteindex nsites sitecount field fieldid fov
    batch batchid
    experiment experimentid replicate timepoint id rowid rownum imagenumber imageid objectnumber tablenumber
    guide dose concentrationum split fold active label
    cells cellcount cellscount ncells numcells numberofcells countcells countcell nuclei nucleicount
    nucleuscount nnuclei numnuclei numberofnuclei countnuclei countnucleus objectcount nobjects
    countcytoplasm
"""
KNOWN = frozenset(_WORDS.split()) | {re.sub("[^a-z0-9]", "", n.lower()) for n in NOT_FEATURES}
_BOOKKEEPING = re.compile(
    r"(image_)?(count_[a-z].*|executiontime_.*|moduleerror_.*|group_(index|number))"
    r"|.*_number_object_number|.*_parent_.*",
    re.I,
)
_COMPARTMENTS = frozenset(("cells", "cytoplasm", "nuclei", "image", "cell", "nucleus"))
_NUMBERED = re.compile(r"(.*?)([0-9]{1,18})(?:\.0+)?(['\")\]]*)", re.S)
_NUMBER_FIRST = re.compile(r"([0-9]{1,18})([^0-9].*)", re.S)


@dataclass(frozen=True)
class Choice:
    """Features in natural order, and why -> the other columns in the file's order."""

    names: list[str]
    left_out: dict[str, list[str]]
    patterns: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`384 features: feature_0 .. feature_383`."""
        n = len(self.names)
        parts = _ranges(self.names)
        return f"{n:,} feature{'' if n == 1 else 's'}: {', '.join(parts)}"

    def told(self, numeric: Collection[str]) -> str:
        """What was taken, and which of the numeric columns were not."""
        parts = []
        for why, names in self.left_out.items():
            if shown := [n for n in names if n in numeric]:
                parts.append(f"{some(shown)} ({why})")
        if not parts:
            return str(self)
        hint = "" if self.patterns else "; --features PATTERN decides otherwise"
        return f"{self}. Left out: {', '.join(parts)}{hint}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "n": len(self.names),
            "taken": ", ".join(_ranges(self.names)),
            "patterns": list(self.patterns),
            "left_out": self.left_out,
        }


def choose(
    path: Path,
    kinds: Mapping[str, str | None],
    *,
    indices: Collection[str] = (),
    metadata: Collection[str] = (),
    patterns: Sequence[str] = (),
    counts_wells: Callable[[str], bool] = lambda name: False,
) -> Choice:
    """Choose the features among the columns of a table.

    Args:
        path: The table, for messages.
        kinds: Column -> None if it holds numbers, else what it holds, in words.
        indices: Columns known to be an index.
        metadata: The columns of the metadata file.
        patterns: As of `--features`; without any the rules above decide.
        counts_wells: Whether a column numbers the wells; asked of few.

    Raises:
        DataError: Nothing is left, a pattern matches nothing, or a feature is no number.
    """
    if patterns:
        return _by_patterns(path, kinds, patterns)
    left_out: dict[str, list[str]] = {}
    theirs = {n.casefold() for n in metadata}
    rest = []
    for name in kinds:
        if name == "well_id":
            continue
        why = _why_not(name, indices, theirs)
        if why is None:
            rest.append(name)
        else:
            left_out.setdefault(why, []).append(name)
    numbers = [n for n in rest if kinds[n] is None]
    known = families(numbers)
    inside = {n for members in known.values() for n in members}
    for name in [n for n in numbers if n not in inside and counts_wells(n)]:
        left_out.setdefault("an index", []).append(name)
        rest.remove(name)
        numbers.remove(name)
    known = families(numbers)
    inside = {n for members in known.values() for n in members}
    decided = bool(known) and (
        len(inside) >= MOST * len(numbers)
        or any(2 * len(m) > len(numbers) and _without_gap(m) for m in known.values())
    )
    if decided:
        strange = [n for n in rest if n not in inside and not (kinds[n] and _family(n) in known)]
        for name in strange:
            why = "not numeric" if kinds[name] else f"not named like the other {len(inside):,}"
            left_out.setdefault(why, []).append(name)
        rest = [n for n in rest if n not in strange]
    if not rest:
        found = [f"{some(names)} ({why})" for why, names in left_out.items()]
        there = f": it has {', '.join(found)}; --features PATTERN decides otherwise" if found else ""
        raise DataError(f"{path} has no feature columns{there}")
    _refuse_others(path, kinds, rest)
    return Choice(sorted(rest, key=_natural), left_out)


def _by_patterns(path: Path, kinds: Mapping[str, str | None], patterns: Sequence[str]) -> Choice:
    names = [n for n in kinds if n != "well_id"]
    taken: set[str] = set()
    for pattern in patterns:
        found = [n for n in names if n == pattern or fnmatchcase(n, pattern)]
        if not found:
            raise DataError(f"{path}: no column matches --features {pattern!r}; it has {some(names)}")
        taken.update(found)
    _refuse_others(path, kinds, [n for n in names if n in taken])
    others = [n for n in names if n not in taken]
    left_out = {"no pattern matches": others} if others else {}
    return Choice(sorted(taken, key=_natural), left_out, tuple(patterns))


def _refuse_others(path: Path, kinds: Mapping[str, str | None], names: Sequence[str]) -> None:
    if wrong := [n for n in names if kinds[n] is not None]:
        raise DataError(
            f"{path}: column {some(wrong)} is not numeric (it holds {kinds[wrong[0]]}); well_id and one "
            "number per feature are expected, and --features PATTERN says which columns are features"
        )


def _why_not(name: str, indices: Collection[str], metadata: Collection[str]) -> str | None:
    """Why a column's name alone says that it is no feature."""
    if name in indices or INDEX.fullmatch(name):
        return "an index"
    if re.match(r"(image_)?metadata[_ .-]", name, re.I):
        return "Metadata"
    for known in (name, re.sub(r"_[xy]$", "", name)):
        if known.casefold() in metadata:
            return "in the metadata"
        if re.sub("[^a-z0-9]", "", known.lower()) in KNOWN or _BOOKKEEPING.fullmatch(known):
            return "about the well"
    return None


def families(names: Collection[str]) -> dict[str, list[str]]:
    """Names by what they have in common with enough others (rule 6)."""
    found: dict[str, list[str]] = {}
    for name in names:
        if (key := _family(name)) is not None:
            found.setdefault(key, []).append(name)
    least = max(LEAST, SHARE * len(names))
    return {key: members for key, members in found.items() if len(members) >= least}


def _family(name: str) -> str | None:
    """What a name has in common with its kind: `emb_7` -> `emb_#`."""
    head, mark, _ = name.partition("_")
    if mark and head.lower() in _COMPARTMENTS:
        return "compartments"
    if found := _NUMBERED.fullmatch(name):
        return f"{re.sub('[0-9]+', '#', found[1])}#{found[3]}"
    if found := _NUMBER_FIRST.fullmatch(name):
        return f"#{found[2]}"
    return None


def _without_gap(names: Sequence[str]) -> bool:
    """Whether the numbers in the names of a family run from 0 or 1."""
    runs: dict[str, list[int]] = {}
    for name in names:
        if found := _NUMBERED.fullmatch(name):
            runs.setdefault(found[1], []).append(int(found[2]))
        elif found := _NUMBER_FIRST.fullmatch(name):
            runs.setdefault("", []).append(int(found[1]))
        else:
            return False
    return all(
        sorted(run) in (list(range(len(run))), list(range(1, len(run) + 1))) for run in runs.values() if run
    )


def _natural(name: str) -> tuple[list[tuple[str, int]], str]:
    texts, numbers = re.split("[0-9]{1,18}", name), re.findall("[0-9]{1,18}", name)
    return list(zip(texts, [*map(int, numbers), -1], strict=True)), name


def _ranges(names: Sequence[str]) -> list[str]:
    """Features in few words: the first and the last of each family, then the others."""
    known = families(names)
    inside = {n for members in known.values() for n in members}
    parts = []
    for members in known.values():
        count = f" ({len(members):,})" if len(known) > 1 or len(inside) < len(names) else ""
        parts.append(f"{members[0]} .. {members[-1]}{count}")
    if others := [n for n in names if n not in inside]:
        parts.append(some(others))
    return parts
