"""Ids of wells, experiments and plates as files have them: text, in one of Arrow's shapes.

Conventions
    Ids stand without blanks at their ends; a blank too many would make one batch two. Names of genes and
    compounds are data and never pass through here.
    RxRx3-core's own form of an id is experiment_plate_address; others are read only where an id as it stands
    is in no metadata. Where there is no `well_id`, the columns of one line of `TOGETHER` make one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polaris_rxrx.errors import DataError

# Columns that together say which well a row is, without regard to case; the first line that is there counts.
TOGETHER = (
    ("experiment_name", "plate", "address"),
    ("experiment_name", "plate", "well"),
    ("experiment", "plate", "address"),
    ("experiment", "plate", "well"),
    ("metadata_experiment", "metadata_plate", "metadata_well"),
    ("metadata_plate", "metadata_well"),
    ("image_metadata_plate", "image_metadata_well"),
    ("plate", "well"),
)


def as_ids(path: Path, name: str, column: Any) -> tuple[Any, list[str]]:
    """Ids as one pyarrow array of strings without blanks at their ends, and what to tell of it.

    Raises:
        DataError: The column holds no text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not is_text(column.type) and not (len(column) == 0 and pa.types.is_null(column.type)):
        raise DataError(f"{path}: {name} holds {column.type}; names like gene-001_1_A01 were expected")
    ids = column.cast(pa.string())
    ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    bare = pc.utf8_trim_whitespace(ids)
    changed = pc.fill_null(pc.not_equal(ids, bare), False)
    n = pc.sum(changed).as_py() or 0
    if not n:
        return ids, []
    example = ids[pc.index(changed, True).as_py()].as_py()
    return bare, [f"{path}: {n:,} {name} had blanks at their ends, which were taken off: {example!r}"]


def is_text(kind: Any) -> bool:
    """Whether a pyarrow type is text, as it is or as categories."""
    import pyarrow.types as t

    if t.is_dictionary(kind):
        kind = kind.value_type
    view = getattr(t, "is_string_view", None)  # pyarrow 16 has it
    return bool(t.is_string(kind) or t.is_large_string(kind) or (view is not None and view(kind)))


_SITES = r"([_/][A-Za-z]{1,2}\d{1,2})_s\d+(_\d+)?$"  # behind an address: `_s07` alone is one
# Ways of writing an id beside RxRx3-core's own, `compound-004_1_AA04`: what finds one, what it becomes.
_WAYS = (
    ("folders", "/", "_"),
    ("sites", _SITES, r"\1"),
    ("Plate", r"_[Pp]late_?(\d+)_([A-Za-z]{1,2}\d{1,2})$", r"_\1_\2"),
    ("plates padded", r"_0+(\d+)_([A-Za-z]{1,2}\d{1,2})$", r"_\1_\2"),
    ("lower case", r"_([a-z]{1,2})(\d{1,2})$", ""),
    ("columns without a zero", r"_([A-Z]{1,2})(\d)$", r"_\10\2"),  # RE2 reads \10 as \1 and a 0
)
_PADDED = r"_[A-Z]{1,2}0\d$"
_FORM = r"^.+_[A-Z]{1,2}\d\d$"


@dataclass(frozen=True)
class Reading:
    """What was made of ids: how many of which way of writing became RxRx3-core's own."""

    changed: dict[str, int]
    example: tuple[str, str] | None

    def told(self, path: Path) -> list[str]:
        """For a user; nothing where nothing was changed."""
        if self.example is None:
            return []
        ways = ", ".join(f"{n:,} with {way}" for way, n in self.changed.items())
        return [f"{path}: well_id read as {self.example[1]!r} of {self.example[0]!r} ({ways})"]


def as_core_ids(path: Path, ids: Any) -> tuple[Any, Reading]:
    """Ids as RxRx3-core writes them, experiment_plate_address: `compound-004_1_AA04`.

    Understood are parts of a path (`compound-004/Plate1/AA04_s1_3`), `Plate1` for `1`, a site and a channel
    behind the address, padded numbers of plates, lower case, and `A1` for `A01`. What is none of these
    stays as it is.

    Args:
        path: For messages.
        ids: Strings, a pyarrow array, from `as_ids`.

    Returns:
        As many strings, and what was changed.

    Raises:
        DataError: Some addresses are padded (A01) and some are not (A1), so a well could be two.
    """
    import pyarrow.compute as pc

    changed: dict[str, int] = {}
    found = ids
    for way, pattern, becomes in _WAYS:
        hits = pc.match_substring_regex(found, pattern)
        n = pc.sum(hits).as_py() or 0
        if not n:
            continue
        if way == "columns without a zero" and pc.any(pc.match_substring_regex(found, _PADDED)).as_py():
            one = found[pc.index(hits, True).as_py()].as_py()
            other = found[pc.index(pc.match_substring_regex(found, _PADDED), True).as_py()].as_py()
            raise DataError(
                f"{path}: {one!r} and {other!r} write addresses in two ways, with and without a zero; "
                "one was expected"
            )
        if way == "lower case":
            parts = pc.extract_regex(found, r"^(?P<before>.*_)(?P<address>[a-z]{1,2}\d{1,2})$")
            upper = pc.binary_join_element_wise(
                pc.struct_field(parts, "before"), pc.utf8_upper(pc.struct_field(parts, "address")), ""
            )
            new = pc.if_else(hits, upper, found)
        else:
            new = pc.replace_substring_regex(found, pattern, becomes)
        found, changed[way] = new, n
    whole = pc.fill_null(pc.match_substring_regex(found, _FORM), False)
    kept = pc.if_else(whole, found, ids)  # what did not become an id is no other way of writing one
    different = pc.fill_null(pc.not_equal(kept, ids), False)
    if not pc.any(different).as_py():
        return ids, Reading({}, None)
    at = pc.index(different, True).as_py()
    return kept, Reading(changed, (ids[at].as_py(), kept[at].as_py()))


def refuse_two_ways(path: Path, ids: Any, core: Any) -> None:
    """Raise `DataError` if two ids that differ by more than a site were read as one.

    Args:
        path: For the message.
        ids: As they stand.
        core: What `as_core_ids` made of them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    bare = pc.replace_substring_regex(ids, _SITES, r"\1")
    written = pa.table({"core": core, "bare": bare}).group_by("core").aggregate([("bare", "count_distinct")])
    if pc.max(written.column("bare_count_distinct")).as_py() < 2:
        return
    at = pc.index(pc.greater(written.column("bare_count_distinct"), 1), True).as_py()
    well = written.column("core")[at]
    one, other = bare.filter(pc.equal(core, well)).unique().to_pylist()[:2]
    raise DataError(
        f"{path}: {one!r} and {other!r} are both read as {well.as_py()!r}, so one well is written in two "
        "ways; one was expected"
    )


def together(names: Sequence[str]) -> list[str]:
    """The columns among these that together say which well a row is, as they are written, or none."""
    at: dict[str, str] = {}
    for name in names:
        at.setdefault(name.casefold(), name)
    for parts in TOGETHER:
        if all(part in at for part in parts):
            return [at[part] for part in parts]
    return []


def put_together(columns: list[Any]) -> Any:
    """Ids of the cells of some columns with `_` between; null where a cell is empty.

    Args:
        columns: Text or numbers, pyarrow's; a whole number stands without a decimal point.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def as_text(column: Any) -> Any:
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
        text = pc.replace_substring_regex(text, r"^(\d+)\.0*$", r"\1")
        return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)

    return pc.binary_join_element_wise(*map(as_text, columns), "_")
