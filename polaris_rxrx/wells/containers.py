"""Whatever a table of wells comes in, opened: files of every kind, folders, globs, tables in memory.

Conventions
    A file's kind is told by its first bytes (`polaris_rxrx.wells.table`, `polaris_rxrx.wells.arrays`); of
    many files, `polaris_rxrx.wells.trees` makes one table. What comes out has a column `well_id`: the
    file's own, else one put together of the columns that say experiment, plate and address (`ids.TOGETHER`),
    else what the paths of DeepProfiler's files say. Embeddings that are lists in one column have a column for
    each number. Nothing is ever unpickled.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from polaris_rxrx import damage
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.files import open_binary
from polaris_rxrx.parallel import Workers
from polaris_rxrx.wells.arrays import no_ids, no_layer, open_array, spread_lists
from polaris_rxrx.wells.deepprofiler import is_profile
from polaris_rxrx.wells.ids import put_together, together
from polaris_rxrx.wells.remote import RemotePath, remote
from polaris_rxrx.wells.remote import files_below as files_below_prefix
from polaris_rxrx.wells.table import OpenTable, open_remote, open_table
from polaris_rxrx.wells.trees import files_below, open_profiles, open_tree

IN_MEMORY = Path("the table in memory")


def open_embeddings(
    source: Any, *, ids: Path | None = None, layer: str | None = None, who: Workers | None = None
) -> OpenTable:
    """Open a table of embeddings.

    Args:
        source: A path, a glob, an address of `polaris_rxrx.wells.remote`, or a table of pandas, polars or
            pyarrow.
        ids: For an .npy file the ids of its rows, for DeepProfiler's files their index.
        layer: For AnnData, a layer in place of X.
        who: Who opens many files; this process.

    Raises:
        DataError: Naming the file and what is wrong with it.
        UsageError: An option that this source has no use for.
    """
    if not isinstance(source, (str, Path)):
        no_ids(IN_MEMORY, ids)
        no_layer(IN_MEMORY, layer)
        return of_frame(source)
    path = remote(source) or Path(source)
    found = files_of(path)
    if found is None:
        return open_file(path, ids=ids, layer=layer)
    return _open_many(path, *found, ids, layer, who)


def files_of(path: Path) -> tuple[list[Path], Path] | None:
    """The files that a folder, a glob or one of DeepProfiler's files stands for and the folder that their
    paths count from; None of a path that is one file, there or not."""
    if isinstance(path, RemotePath):
        below = files_below_prefix(path)
        return None if below is None else ([*below], path)
    if path.is_dir():
        return files_below([path]), path
    if not path.exists() and glob.has_magic(str(path)):
        fixed = []
        for part in path.parts[:-1]:
            if glob.has_magic(part):
                break
            fixed.append(part)
        found = [Path(p) for p in glob.glob(str(path), recursive=True)]  # noqa: PTH207  # of any root
        return files_below(found), Path(*fixed)
    if is_profile(path):
        return [path], path.parent
    return None


def open_file(path: Path, *, ids: Path | None = None, layer: str | None = None) -> OpenTable:
    """Open one file."""
    if isinstance(path, RemotePath):
        no_ids(path, ids)
        no_layer(path, layer)
        return with_ids(spread_lists(open_remote(path)))
    with open_binary(path) as handle:
        start = handle.read(damage.START)
    table = open_array(path, start, ids=ids, layer=layer)
    if table is not None:
        return with_ids(table)
    no_layer(path, layer)
    return with_ids(spread_lists(open_table(path)))


def of_frame(frame: Any) -> OpenTable:
    """A table of pandas, polars or pyarrow; a pandas index named well_id, or of text, holds the ids.

    Raises:
        UsageError: It is something else.
        DataError: It holds what no table can.
    """
    import pyarrow as pa

    try:
        if isinstance(frame, pa.Table):
            table = frame
        elif hasattr(frame, "to_arrow"):  # polars
            table = frame.to_arrow()
        elif hasattr(frame, "iloc") and hasattr(frame, "columns"):
            table = _of_pandas(frame)
        else:
            raise UsageError(
                f"embeddings are {type(frame).__name__}; a path or a table of pandas, polars or pyarrow was "
                "expected"
            )
    except (pa.ArrowException, TypeError) as error:
        raise DataError(f"{IN_MEMORY}: {str(error).splitlines()[0]}") from None
    made = OpenTable(IN_MEMORY, table.schema, table.select, is_csv=False)
    made.files = ()
    return with_ids(spread_lists(made))


def _of_pandas(frame: Any) -> Any:
    import pandas as pd
    import pyarrow as pa

    if "well_id" not in frame.columns:
        index = frame.index
        if "well_id" in index.names:
            frame = frame.reset_index(level="well_id")
        elif len(index) and pd.api.types.is_string_dtype(index.dtype) and index.nlevels == 1:
            frame = frame.assign(well_id=index)
    frame = frame.set_axis([str(n) for n in frame.columns], axis="columns")
    return pa.Table.from_pandas(frame, preserve_index=False)


def with_ids(table: OpenTable) -> OpenTable:
    """The table with a column well_id, put together of others where it has none; else as it is."""
    import pyarrow as pa

    if "well_id" in table.names:
        return table
    names = together(table.names)
    if not names:
        return table
    held = [table.schema.field(n).type for n in names]
    columns = table.read(names)
    try:
        ids = put_together([columns.column(n) for n in names])
    except pa.ArrowException:
        raise DataError(
            f"{table.path}: {some(names)} hold {some(held)}; text or numbers were expected"
        ) from None
    ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    schema = table.schema.insert(0, pa.field("well_id", pa.string()))

    def read(wanted: list[str]) -> Any:
        others = table.read([n for n in wanted if n != "well_id"])
        return pa.table({n: ids if n == "well_id" else others.column(n) for n in wanted})

    made = OpenTable(table.path, schema, read, is_csv=table.is_csv, header=["well_id", *table.header])
    example = next((i for i in ids.slice(0, 100).to_pylist() if i is not None), None)
    made.told = (
        *table.told,
        f"{table.path}: well_id put together of {', '.join(names)}"
        + ("" if example is None else f", such as {example!r}"),
    )
    made.files, made.parts, made.again = table.files, table.parts, table.again
    return made


def _open_many(
    path: Path,
    paths: Sequence[Path],
    root: Path,
    ids: Path | None,
    layer: str | None,
    who: Workers | None,
) -> OpenTable:
    """A folder or a glob."""
    if not paths:
        if path.is_dir():
            raise DataError(
                f"{path} is a folder; a file was expected, or a folder of tables, and it holds none"
            )
        raise DataError(f"{path}: no such file")
    if is_profile(paths[0]):
        no_layer(path, layer)
        return open_profiles(path, paths, root, ids)
    no_ids(path, ids)
    return open_tree(path, paths, partial(open_file, layer=layer), who)
