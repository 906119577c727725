"""What programs do to tables on their way: recognised, and told with the cure.

Conventions
    Nothing is repaired here: a table that was damaged is refused, and the message says by what and how to get
    a whole one. Names are data: a name is damaged only if no gene can be called so, or if the caller knows
    that it is none of those expected. Lines are counted as an editor does.
"""

from __future__ import annotations

import datetime
import re
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from polaris_rxrx.errors import DataError, short

# Names of columns that are an index somebody saved: pandas' own, and one without a name.
INDEX = re.compile(r"(unnamed: ?\d+(\.\d+)*|index|level_\d+|__index_level_\d+__|)", re.I)
NO_INDEX = "write it without its index (pandas: index=False, R: row.names = FALSE)"
START = 1 << 16  # bytes from which a file's kind is told

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# What a spreadsheet makes of the names of genes: month -> the families it takes for that month.
_FAMILIES = {
    2: ("FEB",),
    3: ("MARCH", "MARCHF"),
    4: ("APR",),
    9: ("SEPT", "SEPTIN"),
    10: ("OCT",),
    12: ("DEC",),
}
_MONTH = "|".join(_MONTHS)
# Patterns as text: `re` keeps what it has compiled, and most commands need none of them.
_DATES = (
    rf"(?P<day>\d{{1,2}})[-./ ](?P<month>{_MONTH})[a-z]*\.?([-./ ]\d{{2,4}})?",
    rf"(?P<month>{_MONTH})[a-z]*\.?[-./ ](?P<day>\d{{1,2}})(,? ?\d{{4}})?",
    r"(?P<year>\d{4})[-/.](?P<month>\d\d?)[-/.](?P<day>\d\d?)([T ].*)?",
    r"(?P<day>\d{1,2})[/.](?P<month>\d{1,2})[/.]\d{2,4}",
)
_MAYBE_DATE = rf"\s*(\d|{_MONTH})"
_ALIAS = r"[A-Z]{3,}[-. /]\d{1,2}|[A-Za-z]{3,}-\d"  # OCT-4; a spreadsheet writes 4-Oct or Oct-04
_SERIAL = r"[2-5]\d{4}(\.0+)?"  # days since 1899-12-30: 1954 to 2064
_DECIMAL_COMMA = r"[+-]?\d{1,12},\d+([eE][+-]?\d+)?"
# The first bytes of files that are no table we read, and what to do.
_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xfe", "UTF-16 text; save it as CSV UTF-8"),
    (b"\xfe\xff", "UTF-16 text; save it as CSV UTF-8"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet (.xlsx); save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet (.xls); save the sheet as CSV"),
    (b"ARROW1", "a Feather file; write it as parquet"),
    (b"FEA1", "a Feather file of the first version; write it as parquet"),
    (b"\x89HDF", "an HDF5 file; write its table as parquet"),
    (b"BZh", "packed by bzip2; unpack it, or pack it with gzip"),
    (b"\xfd7zXZ", "packed by xz; unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd; unpack it, or pack it with gzip"),
    (b"version https://git-lfs", "a pointer of Git LFS and not the file itself; `git lfs pull` brings that"),
)


def as_date(value: object) -> str | None:
    """Genes that a spreadsheet may have made this date of (`SEPT2 or SEPTIN2`, or ""); None if it is none."""
    if isinstance(value, datetime.date):
        return _genes((value.month, value.day))
    if not isinstance(value, str) or len(value) > 40:
        return None
    text = value.strip()
    if not (text[:1].isdigit() or text[:3].lower() in _MONTHS) or re.fullmatch(_ALIAS, text):
        return None
    for pattern in _DATES:
        if found := re.fullmatch(pattern, text, re.I):
            month, day = found["month"].lower(), int(found["day"])
            if month[:3] in _MONTHS:
                return _genes((_MONTHS.index(month[:3]) + 1, day))
            swapped = [(day, int(month))] if pattern is _DATES[-1] else []
            return _genes((int(month), day), *swapped)
    return None


def as_serial(value: object) -> str | None:
    """The same of a spreadsheet's serial number of a date, such as 44806."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or len(str(value)) > 12:
        return None
    text = str(value).strip()
    if not re.fullmatch(_SERIAL, text):
        return None
    day = datetime.date(1899, 12, 30) + datetime.timedelta(days=int(text[:5]))
    return _genes((day.month, day.day))


def _genes(*days: tuple[int, int]) -> str:
    return " or ".join(f"{family}{day}" for month, day in days for family in _FAMILIES.get(month, ()))


def date_hint(value: object) -> str:
    """What to add to a message where a name that is no gene may have become a date; nothing elsewhere."""
    genes, what = as_date(value), "a date"
    if genes is None:
        genes, what = as_serial(value), "the serial number of a date"
    if genes is None:
        return ""
    which = f" ({genes}?)" if genes else ""
    return (
        f"; it looks like a gene name that a spreadsheet turned into {what}{which}: import that column "
        "as text, or take the names from a file that no spreadsheet has saved"
    )


def refuse_dates(names: Sequence[object], column: str, where: Callable[[int], str]) -> None:
    """Raise `DataError` if a gene among these has become a date.

    Serial numbers count where most names are no numbers: else they may be ids of genes.

    Args:
        names: Of genes.
        column: What they are, for the message.
        where: Where the name at a place of `names` stands.
    """
    serials: list[int] = []
    maybe = re.compile(_MAYBE_DATE, re.I).match
    if set(map(type, names)) <= {str} and not any(map(maybe, set(names))):  # type: ignore[arg-type]
        return
    for i, name in enumerate(names):
        if isinstance(name, str) and not maybe(name):
            continue
        if as_date(name) is not None:
            raise DataError(f"{where(i)}: {column} is {short(name)}{date_hint(name)}")
        if as_serial(name) is not None:
            serials.append(i)
    numbers = sum(str(name).strip().isdigit() for name in names) if serials else 0
    if serials and 2 * numbers < len(names):
        raise DataError(
            f"{where(serials[0])}: {column} is {short(names[serials[0]])}{date_hint(names[serials[0]])}"
        )


def number_hint(cell: object) -> str:
    """What to add where a number was expected; nothing unless the cell shows why it is none."""
    if not isinstance(cell, str):
        return ""
    text = cell.strip()
    if re.fullmatch(_DECIMAL_COMMA, text):
        return f"; it has a decimal comma: write {text.replace(',', '.')}"
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", text):
        return "; it has commas between the digits: leave them out"
    return ""


def refuse_other_kind(path: Path, start: bytes) -> None:
    """Raise `DataError` for a file that is no CSV and no parquet, told by how it begins."""
    for first, what in _KINDS:
        if start.startswith(first):
            raise DataError(f"{path} is {what}")
    text = start.lstrip(b"\xef\xbb\xbf \r\n\t")[:200].lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DataError(
            f"{path} is a web page and not a table; was it downloaded where a login or a link to the raw "
            "file was needed?"
        )
    if re.match(rb"(\{\s*\"|\[\s*[\[{\d\"])", text):
        raise DataError(f"{path} is JSON; a CSV or parquet file was expected")


def refuse_other_csv(path: Path, text: str) -> None:
    """Raise `DataError` for a CSV whose first lines show another separator or comment lines.

    Args:
        path: For the message.
        text: The file, or its beginning, decoded.
    """
    lines = text[:START].splitlines()[:50]
    if not lines or "\0" in text or "\ufffd" in lines[0]:
        return  # no text at all; whoever reads it says so
    if lines[0].startswith("#"):
        raise DataError(
            f"{path}, line 1: it begins with # ({short(lines[0], 40)}); the header was expected there. "
            "Leave out lines of comments, and the # before a header"
        )
    bare = re.sub('"[^"]*"', "", lines[0])
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if bare.count(mark) > bare.count(","):
            raise DataError(
                f"{path}: the header is separated by {name}; commas were expected. Save it again as CSV with "
                f"commas and decimal points (pandas reads it with sep={mark!r}"
                f"{', decimal=' + repr(',') if mark == ';' else ''})"
            )
    if (
        "," not in bare
        and re.fullmatch(r'\s*("[^"]*"|\w+)( +("[^"]*"|\w+))+\s*', lines[0])
        and '"' in lines[0]
    ):
        raise DataError(
            f"{path}: the header is separated by blanks; commas were expected (from R, use write.csv with "
            "row.names = FALSE)"
        )


def start_of(path: Path, raw: bytes) -> str:
    """The beginning of a CSV file as text, as far as it can be read; unpacked if it is gzip."""
    if raw.startswith(b"\x1f\x8b"):
        try:
            raw = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(raw, START)
        except zlib.error as error:
            raise DataError(f"{path}: broken gzip file ({error})") from None
    return raw[:START].decode("utf-8-sig", errors="replace")


def width_hint(header: list[str], row: list[str], line: int) -> str:
    """Why a row may have another width than its header."""
    if row[0].startswith("#"):
        return "; is it a comment? Leave out lines that begin with #"
    extra = len(row) - len(header)
    index = extra == 1 and row[0].strip('"') in {str(line - 2), str(line - 1)}
    halves = sum(bool(re.fullmatch(r"[+-]?\d+", a) and re.fullmatch(r"\d+", b)) for a, b in pairwise(row))
    commas = 0 < extra <= halves
    if index and commas:
        return f"; are there decimal commas (write points), or is the first an index? If so, {NO_INDEX}"
    if index:
        return f"; is the first an index? If so, {NO_INDEX}"
    if commas:
        return "; are there decimal commas? Write decimal points"
    return "; is a comma in a name unquoted?"
