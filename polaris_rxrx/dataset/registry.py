"""The files this package works on: what each is called, where it comes from, and whether it is here.

Conventions: a `what` is a word of `polaris-rxrx fetch` (`metadata`, `openphenom`, ...) and stands for one
file or, for `relations`, a folder of them. Sizes are bytes. A size or hash is given only where the upstream
bytes are known; `about` is a round figure for people. Nothing here goes online.

What was fetched is written down beside the files, in `fetched.json` of the data folder: the licence that was
accepted, and each file's size, hash and revision. Files put there by hand work as well; they are just not in
it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polaris_rxrx import bounded
from polaris_rxrx.documents import Fields, fields_of
from polaris_rxrx.errors import DataError, MissingError
from polaris_rxrx.files import write_text

HUGGING_FACE = "recursionpharma/rxrx3-core"
GITHUB = "recursionpharma/EFAAR_benchmarking"
RECORD = "fetched.json"
LICENCE_FILE = "LICENSE"  # upstream, in the Hugging Face repository
LICENCE_COPY = "RxRx3-core-LICENSE.txt"
MADE_UP_README = "README.txt"  # of a folder that `polaris-rxrx demo` wrote
_MADE_UP_START = "THIS DATA IS MADE UP"

_ANNOTATIONS = "efaar_benchmarking/benchmark_annotations"
# Bytes, SHA-256 and licence of each source of relations.
_RELATIONS = {
    "CORUM": (928_150, "edaafc77a184ef452996d211e9fe1699615315a36e1efc9d602042c06168a695", "CC BY-NC 4.0"),
    "HuMAP": (1_452_420, "6d08074df77f1a7274e754bc6e5e29aa438004bec0a13cbfb934c2c81328f3c4", "CC BY 4.0"),
    "Reactome": (267_969, "ed3cd0fc32d2fe3510f167e9df39668bc9637348d78787615d3f970b2b862e70", "CC0 1.0"),
    "SIGNOR": (141_437, "00525d3a90198378b54c5c3093374d5c9ee0550bbd799f06b443512a465bcad3", "CC BY-NC 4.0"),
    "StringDB": (1_412_650, "7955c846a551530c07b1eb508404cf15ef0b77ea39ad2368ed40c5c099dedb8c", "CC BY 4.0"),
}
_EULA = "Recursion's RxRx3-core licence (EULA): shown and accepted first, no redistribution"


@dataclass(frozen=True)
class Remote:
    """One file: its place upstream and its place in the data folder.

    Attributes:
        path: Where it is in the repository; empty when only its width is known (`Known.width`).
        name: Where it is put, relative to the data folder.
        licence: A line for people; the licence itself is upstream.
        size, sha256: Of the upstream bytes, where known for certain.
        about: Roughly how many bytes, where `size` is not known.
        columns: The header a CSV must have, where no hash can vouch for it.
    """

    path: str
    name: str
    licence: str
    repository: str = HUGGING_FACE
    revision: str = "main"
    size: int | None = None
    sha256: str | None = None
    about: int = 0
    columns: tuple[str, ...] = ()

    @property
    def on_hugging_face(self) -> bool:
        return self.repository == HUGGING_FACE

    @property
    def page(self) -> str:
        """The repository's web page."""
        site = "huggingface.co/datasets" if self.on_hugging_face else "github.com"
        return f"https://{site}/{self.repository}"


@dataclass(frozen=True)
class Known:
    """Something `fetch` can get: one file, or a folder of them.

    Attributes:
        folder: The folder the files share, relative to the data folder; empty for a single file.
        width: Embedding columns, which settle the file where its name is not known.
        pattern: What such a file's name looks like.
    """

    what: str
    title: str
    files: tuple[Remote, ...]
    folder: str = ""
    width: int | None = None
    pattern: str = ""

    @property
    def gated(self) -> bool:
        """Whether RxRx3-core's licence has to be accepted first."""
        return self.files[0].on_hugging_face


def _phenom(number: int, width: int, about: int) -> Known:
    return Known(
        f"phenom-{number}",
        f"Phenom-{number} embeddings, {width:,} wide",
        (Remote("", "", _EULA, about=about),),
        width=width,
        pattern=rf"phenom[-_ ]?{number}(?!\d)",
    )


def _relation(name: str, size: int, sha256: str, licence: str) -> Remote:
    revision = "2248f400630abfb711bb442be7e29a34c70d4720"
    path, place = f"{_ANNOTATIONS}/{name}.txt", f"relations/{name}.txt"
    return Remote(path, place, licence, GITHUB, revision, size, sha256)


_ALL = (
    Known(
        "metadata",
        "RxRx3-core's wells",
        (Remote("metadata_rxrx3_core.csv", "metadata_rxrx3_core.csv", _EULA, about=20_000_000),),
    ),
    Known(
        "openphenom",
        "OpenPhenom-S/16 embeddings, 384 wide",
        (
            Remote(
                "OpenPhenom_rxrx3_core_embeddings.parquet",
                "OpenPhenom_rxrx3_core_embeddings.parquet",
                _EULA,
                about=532_000_000,
            ),
        ),
    ),
    _phenom(1, 1024, 1_400_000_000),
    _phenom(2, 1664, 2_300_000_000),
    Known(
        "annotations",
        "compound-gene affinities, the drug-target ground truth",
        (
            Remote(
                f"{_ANNOTATIONS}/compound_gene_interactions.csv",
                "compound_gene_interactions.csv",
                "not stated for this file (derived from ChEMBL, BindingDB, Guide to Pharmacology, PubChem, "
                "WIPO, D3R, US patents)",
                GITHUB,
                "2935f21f84898fc26e2a9a40bdaee685c8e63fb6",
                about=133_000,
                columns=("gene_symbol", "nM_value", "measurement_type", "database", "treatment"),
            ),
        ),
    ),
    Known(
        "relations",
        "gene-gene relations: CORUM, hu.MAP, Reactome, SIGNOR, StringDB",
        tuple(_relation(name, *known) for name, known in _RELATIONS.items()),
        folder="relations",
    ),
)

KNOWN: dict[str, Known] = {known.what: known for known in _ALL}
# What the main job (prepare, baseline openphenom, score) and the paper's suites need.
DEFAULT = ("metadata", "openphenom", "annotations", "relations")


@dataclass
class Record:
    """What `fetched.json` says: the accepted licence, and the files by their name in the data folder."""

    licence: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Path) -> Record:
        path = data / RECORD
        try:
            with path.open("rb") as handle:
                held = bounded.json_loads(bounded.read_all(handle, path).decode("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return cls()
        except (ValueError, OSError) as error:
            raise DataError(f"{path} cannot be read ({error}); {_START_AFRESH}") from None
        licence, files = (held.get("licence"), held.get("files")) if isinstance(held, dict) else (None, None)
        if not (
            isinstance(licence, dict) and isinstance(files, dict) and all(map(_is_entry, files.values()))
        ):
            raise DataError(f"{path} is not a record of what was fetched; {_START_AFRESH}")
        return cls(licence, files)

    def write(self, data: Path) -> None:
        held = {"schema": 1, "licence": self.licence, "files": self.files}
        write_text(data / RECORD, json.dumps(held, indent=2) + "\n")


_START_AFRESH = "remove it (the files stay; the licence will be asked for again)"


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict) and isinstance(entry.get("what"), str) and isinstance(entry.get("size"), int)
    )


def locate(what: str, data: Path) -> Path:
    """The file (for `relations`, the folder) in `data`.

    Raises:
        MissingError: It is not there; the error's command fetches it.
        DataError: Several files could be it.

    >>> locate("relations", Path("data")).as_posix()
    'data/relations'
    """
    known = KNOWN[what]
    files = present(known, data)
    if len(files) > len(known.files):
        names = ", ".join(path.name for path in files)
        raise DataError(f"{data} holds several files that could be {what}: {names}. Keep one there.")
    if len(files) == len(known.files):
        return data / known.folder if known.folder else next(iter(files))
    looked_for = known.folder or known.files[0].name or f"a parquet file named like {what}"
    lacking = [file.name for file in known.files if file not in files.values()] if files else []
    detail = f" ({', '.join(lacking)} missing)" if lacking else ""
    raise MissingError(
        f"{known.title}: {looked_for} is not in {data}{detail}", ["fetch", what, "--data", str(data)]
    )


def present(known: Known, data: Path) -> Mapping[Path, Remote]:
    """The files of `known` that are in `data`, whole or not."""
    if known.width is None:
        return {data / file.name: file for file in known.files if (data / file.name).is_file()}
    fetched = [name for name, entry in Record.read(data).files.items() if entry["what"] == known.what]
    # The record knows best: upstream may have chosen a name that does not look like the model's.
    names = [name for name in fetched if (data / name).is_file()] or _named_like(known, data)
    return {data / name: known.files[0] for name in names}


def files_of(folder: Path) -> list[Path]:
    """The files of a data folder that a command may read."""
    ours = [folder / name for name in (RECORD, LICENCE_COPY) if (folder / name).is_file()]
    return [*ours, *(path for known in KNOWN.values() for path in present(known, folder))]


def is_made_up(data: Path) -> bool:
    """Whether `polaris-rxrx demo` wrote this data folder.

    >>> is_made_up(Path("data"))
    True
    """
    try:
        with (data / MADE_UP_README).open(encoding="utf-8", errors="replace") as handle:
            return handle.read(len(_MADE_UP_START)) == _MADE_UP_START
    except OSError:
        return False


def looks_like(known: Known, name: str) -> bool:
    """Whether a parquet file of this name is likely this embedding."""
    plain = name.lower()
    likely = plain.endswith(".parquet") and not plain.startswith(".") and "openphenom" not in plain
    return likely and re.search(known.pattern, plain) is not None


def _named_like(known: Known, data: Path) -> list[str]:
    if not data.is_dir():
        return []
    return sorted(path.name for path in data.iterdir() if looks_like(known, path.name) and path.is_file())


def expected_size(name: str, file: Remote, record: Record) -> int | None:
    """How many bytes a file should hold, told offline; None if that is not known."""
    size: int | None = file.size if file.size is not None else record.files.get(name, {}).get("size")
    return size


def size_problem(path: Path, expected: int | None) -> str | None:
    """What is wrong with the size of a file that is there; None if nothing is known to be."""
    size = path.stat().st_size
    if size == 0:
        return "it is empty"
    if expected is not None and size != expected:
        return f"it holds {size:,} bytes where {expected:,} were expected"
    return None


@dataclass(frozen=True)
class FileStatus:
    """A file that can be fetched, and where it is if it is here."""

    what: str
    """The word of `polaris-rxrx fetch`."""
    file: str | None
    """Its name in the data folder; null where that is known only once it is fetched."""
    path: str | None
    bytes: int | None
    expected_bytes: int | None
    about_bytes: int
    problem: str | None
    source: str
    revision: str | None
    licence: str


def status(data: Path) -> list[Fields[FileStatus]]:
    """A row a file: what it is, where it is in `data` if it is there, size, source and licence. Offline.

    >>> [row["what"] for row in status(Path("data")) if row["path"] is None]  # phenom-2 is not in the demo
    ['phenom-2']
    """
    record, made_up = Record.read(data), is_made_up(data)
    rows = list[Fields[FileStatus]]()
    for known in KNOWN.values():
        here = present(known, data)
        for file in known.files:
            paths = [path for path, held in here.items() if held is file]
            rows += [_row(known, file, path, data, record, made_up) for path in paths]
            rows += [] if paths else [_row(known, file, None, data, record)]
    return rows


def _row(
    known: Known, file: Remote, path: Path | None, data: Path, record: Record, made_up: bool = False
) -> Fields[FileStatus]:
    name = path.relative_to(data).as_posix() if path else file.name
    expected = None if made_up else expected_size(name, file, record)
    found = FileStatus(
        what=known.what,
        file=name or None,
        path=str(path) if path else None,
        bytes=path.stat().st_size if path else None,
        expected_bytes=expected,
        about_bytes=file.size or file.about,
        problem=size_problem(path, expected) if path and not made_up else None,
        source="synthetic (polaris-rxrx demo)" if made_up else file.page,
        revision=None if made_up else file.revision,
        licence="drawn numbers: say nothing about any model" if made_up else file.licence,
    )
    return fields_of(found)
