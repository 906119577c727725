"""What `evaluate --out DIR` has finished, so that `--resume` does not do it again.

Conventions
    A suite is finished with what it was asked: every option that it understands, as it was typed or by
    default; the SHA-256 of every file that it reads, of many that of their list; the cards with all their
    fields; and the versions of the packages that figures may depend on. Results are kept if all of that is
    the same to the letter and their files are byte for byte as they were written. Who does the work
    (`--workers`, `--scheduler`, `--max-memory`) and how it is shown belong to no suite.
    `FINISHED` in the folder of results holds it, a JSON document; one that cannot be read is as good as none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx._version import __version__
from polaris_rxrx.cli._inputs import result_files, write_folder
from polaris_rxrx.files import sha256
from polaris_rxrx.suites.run import BELONGS, BY

if TYPE_CHECKING:
    from polaris_rxrx.cli._source import Source
    from polaris_rxrx.suites.result import Result

FINISHED = "polaris-rxrx-finished.json"
SCHEMA_VERSION = 1
_NO_PART = {"suite", "out", "as_json", "resume", "workers", "scheduler", "max_memory"}
_FILES = ("against", "unexpressed", "sets", "aliases", "gene_arms", "arms_unexpressed", "ids")
_PACKAGES = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow")

Asked = dict[str, Any]


def asked(context: click.Context, suites: Sequence[str], source: Source) -> dict[str, Asked]:
    """Suite -> what it is asked, as JSON's own types; its files are hashed now.

    Raises:
        PolarisRxrxError: A file is not there.
    """
    shared = source.fingerprint()
    return {suite: _asked(context, suite, source.data, shared) for suite in suites}


def _asked(context: click.Context, suite: str, data: Path, shared: Mapping[str, Any]) -> Asked:
    options = {name: value for name, value in context.params.items() if _concerns(name, suite)}
    files = {name: sha256(options[name]) for name in _FILES if options.get(name) is not None}
    if _reads_affinities(suite, options):
        from polaris_rxrx.dataset.registry import locate

        files["annotations"] = sha256(options["annotations"] or locate("annotations", data))
    if suite == "gene-gene":
        from polaris_rxrx.dataset.registry import locate
        from polaris_rxrx.suites.relations import relation_files

        found = relation_files(options["relations"] or [locate("relations", data)])
        files |= {f"relations {path.name}": sha256(path) for path in found}
    return {
        "options": {name: _plain(value) for name, value in sorted(options.items())},
        "files": dict(sorted(files.items())),
        "source": dict(shared),
        "versions": {"polaris_rxrx": __version__, **{name: _version(name) for name in _PACKAGES}},
    }


def _concerns(name: str, suite: str) -> bool:
    """Whether a suite's result may depend on an option."""
    if name in _NO_PART:
        return False
    if name == "by":
        return suite in BY
    return suite in BELONGS.get(name, (suite,))


def _reads_affinities(suite: str, options: Mapping[str, Any]) -> bool:
    return suite == "drug-target" or (suite == "consistency" and options["of"] == "compound")


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Kept:
    """Results of a suite that are as they were: the names of its results, and their documents."""

    results: dict[str, Any]


class Finished:
    """What a folder of results says is finished."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._held: dict[str, Any] = {}
        try:
            read = json.loads((out / FINISHED).read_text("utf-8"))
            if read["schema_version"] == SCHEMA_VERSION:
                self._held = {str(suite): dict(entry) for suite, entry in read["suites"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass

    def find(self, suite: str, wanted: Asked) -> Kept | str:
        """The suite's results if they are what is wanted, else why they are not, in words."""
        entry = self._held.get(suite)
        if entry is None:
            return "it is not finished there"
        try:
            if (changed := _changed(entry["asked"], wanted)) is not None:
                return changed
            for name, digest in entry["files"].items():
                if not (self.out / name).is_file() or sha256(self.out / name) != digest:
                    return f"{name} is not as it was written"
            documents = {r: json.loads((self.out / f"{r}.json").read_text("utf-8")) for r in entry["results"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return f"{FINISHED} is damaged"
        return Kept(documents)

    def write(self, suite: str, wanted: Asked, results: Mapping[str, Result]) -> None:
        """Write a suite's results into the folder, and that it is finished."""
        from hashlib import sha256 as digest_of

        files, replaced = result_files(results)
        digests = {name: digest_of(text.encode("utf-8")).hexdigest() for name, text in files.items()}
        # Whoever else wrote one of these files before is finished no more: their digests tell.
        self._held[suite] = {"asked": wanted, "results": list(results), "files": digests}
        document = {"schema_version": SCHEMA_VERSION, "suites": self._held}
        record = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        write_folder(self.out, {**files, FINISHED: record}, replaced)


def _changed(before: Asked, now: Asked) -> str | None:
    """What is not the same, in words; None where all is."""
    now = json.loads(json.dumps(now))
    words = {
        "options": "--{}",
        "files": "the file of {}",
        "source": "the {}",
        "versions": "the version of {}",
    }
    for part, word in words.items():
        old, new = before[part], now[part]
        for name in sorted({*old, *new}):
            if name not in old or name not in new or old[name] != new[name]:
                told = name.replace("_", "-") if part == "options" else name
                return f"{word.format(told)} is another"
    return None if before == now else "it was asked otherwise"
