"""Genes that go by two symbols: what relations and sets call otherwise than a map does.

Conventions
    Symbols are HGNC's. An alias says that a previous symbol and a symbol are one gene. The map's names stay
    as they are: where relations or sets name a gene that the map has not, but has by its other symbol, they
    are read as if they named that one. Nothing that the map has by its name is renamed, and nothing where two
    of the map's genes could be meant.
    `KNOWN` are those of RxRx3's genes; a table of more has the columns `previous` and `symbol`, as HGNC's
    downloads give them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from polaris_rxrx.errors import DataError
from polaris_rxrx.present.numbers import count
from polaris_rxrx.suites.gene_sets import GeneSets
from polaris_rxrx.suites.relations import Relations
from polaris_rxrx.tables import read_table

KNOWN = {"C7orf26": "INTS15", "MPP5": "PALS1"}


def read_aliases(path: Path | str | None) -> dict[str, str]:
    """Previous symbol -> symbol: `KNOWN`, and those of a CSV or parquet table.

    Raises:
        DataError: A column is absent, a cell is empty, or a previous symbol stands for two.

    >>> read_aliases(None)  # those that the package knows
    {'C7orf26': 'INTS15', 'MPP5': 'PALS1'}
    """
    aliases = dict(KNOWN)
    if path is None:
        return aliases
    table = read_table(Path(path))
    table.need("previous", "symbol")
    own: dict[str, str] = {}
    rows = zip(table.columns["previous"], table.columns["symbol"], strict=True)
    for row, (previous, symbol) in enumerate(rows):
        if not previous or not symbol:
            raise DataError(
                f"{table.at(row)}: previous {previous!r}, symbol {symbol!r}; two gene symbols were expected"
            )
        if own.setdefault(previous, symbol) != symbol:
            raise DataError(
                f"{table.at(row)}: {previous!r} is {symbol!r} here and {own[previous]!r} above; one symbol "
                "was expected"
            )
    return aliases | own


def renaming(names: Iterable[str], there: Collection[str], aliases: Mapping[str, str]) -> dict[str, str]:
    """Name -> the map's name of the same gene, for names that are not `there` by themselves.

    >>> renaming(["MPP5", "MTOR"], there=["PALS1", "MTOR"], aliases=read_aliases(None))
    {'MPP5': 'PALS1'}
    """
    known = set(there)
    held: dict[str, list[str]] = {}
    for name in sorted(known):
        held.setdefault(aliases.get(name, name), []).append(name)
    found = {}
    for name in names:
        same = held.get(aliases.get(name, name), []) if name not in known else []
        if len(same) == 1:
            found[name] = same[0]
    return found


def rename_relations(known: Relations, found: Mapping[str, str]) -> Relations:
    """Relations with some names replaced."""
    return replace(known, names=[found.get(name, name) for name in known.names])


def rename_sets(sets: GeneSets, found: Mapping[str, str]) -> GeneSets:
    """Sets with some names replaced; a gene stands once in each."""
    renamed = {s: tuple(dict.fromkeys(found.get(g, g) for g in genes)) for s, genes in sets.genes.items()}
    return replace(sets, genes=renamed)


def told(source: str, found: Mapping[str, str]) -> list[str]:
    """What was renamed, as a note: counted and named."""
    if not found:
        return []
    pairs = ", ".join(f"{name} is {own}" for name, own in sorted(found.items()))
    return [f"{source}: {count(len(found), 'gene has', 'genes have')} another symbol in the map: {pairs}"]
