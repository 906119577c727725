"""Sets of genes from a file: complexes, pathways, any list with a name.

Conventions
    A line is a set: its name, a tab, its genes. Genes are parted by blanks where the line has two fields
    (CORUM's clusters), by tabs where it has more; then the second field is a description, as in GMT. A gene
    that stands twice in a set counts once; sets of one name are an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from polaris_rxrx import bounded
from polaris_rxrx.damage import refuse_dates, refuse_other_kind
from polaris_rxrx.errors import DataError, short
from polaris_rxrx.files import open_binary


@dataclass(frozen=True)
class GeneSets:
    """Name -> genes in the file's order, of a file with these bytes.

    >>> sets = GeneSets(Path("mine.gmt"), "0" * 64, {"raptor complex": ("MTOR", "RPTOR", "MLST8")})
    >>> list(sets.genes)
    ['raptor complex']
    """

    path: Path
    sha256: str
    genes: dict[str, tuple[str, ...]]

    def within(self, known: Collection[str], least: int = 1) -> dict[str, list[str]]:
        """The genes of each set that are known, of sets with at least so many.

        >>> sets = GeneSets(Path("mine.gmt"), "0" * 64, {"one": ("A", "B"), "two": ("B", "C")})
        >>> sets.within({"A", "B"}, least=2)
        {'one': ['A', 'B']}
        """
        there = set(known)
        kept = {name: [g for g in genes if g in there] for name, genes in self.genes.items()}
        return {name: genes for name, genes in kept.items() if len(genes) >= least}


def read_gene_sets(path: Path | str) -> GeneSets:
    """Read a GMT file or a table of clusters (plain or gzip).

    Raises:
        DataError: Naming the file, the line and what is wrong with it.

    >>> _ = Path("sets.txt").write_text("raptor complex" + chr(9) + "MTOR RPTOR MLST8", "utf-8")
    >>> read_gene_sets("sets.txt").genes
    {'raptor complex': ('MTOR', 'RPTOR', 'MLST8')}
    """
    path = Path(path)
    with open_binary(path) as handle:
        raw = bounded.read_all(handle, path, bounded.OBJECT)
    digest = hashlib.sha256(raw).hexdigest()
    if raw.startswith(b"\x1f\x8b"):
        raw = bounded.gunzip(raw, path)
    refuse_other_kind(path, raw)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text; a name, a tab and genes a line were expected") from None
    found: dict[str, tuple[str, ...]] = {}
    line_of: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path}, line {number}"
        name, *fields = line.split("\t")
        genes = fields[0].split() if len(fields) == 1 else [g.strip() for g in fields[1:] if g.strip()]
        if not name.strip() or not genes:
            raise DataError(f"{where}: {short(line)}; a name, a tab and genes were expected")
        if name in found:
            raise DataError(f"{where}: {short(name)} stands in line {line_of[name]}, too; one line a set")
        refuse_dates(genes, "a gene", lambda i, at=where: at)  # type: ignore[misc]
        found[name], line_of[name] = tuple(dict.fromkeys(genes)), number
    if not found:
        raise DataError(f"{path} holds no sets of genes; a name, a tab and genes a line were expected")
    return GeneSets(path, digest, found)
