"""Ids of wells, experiments and plates as files have them: text, in one of Arrow's shapes.

Conventions
    Ids stand without blanks at their ends; a blank too many would make one batch two. Names of genes and
    compounds are data and never pass through here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polaris_rxrx.errors import DataError


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
