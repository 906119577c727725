"""Results at any depth of folders: found, read, and the figures that a table shows of each.

Conventions
    A result is a JSON file that this package wrote: of a suite (`evaluate --out`, `evaluate --json`, or
    `Result.to_json`), of a score (`score --json`), or the receipt of a submission. Other JSON files are
    counted; hidden files and folders are not looked at, and links to folders not followed.
    A run is a folder (of a file with several results, the file): its path tells runs of one name apart.
    A protocol is what a figure depends on beside the model: a suite's choices, the hashes of the truth, and
    how much was measured (compounds, pairs, genes). How the map was made, versions, and what the main figure
    does not rest on (`ASIDE`) are no part of it. It is called by the first digits of its SHA-256.
    Times are those of the files, in UTC: results hold none.
    Figures are those of `FIGURES`; the first is the main one, and of each more is better.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, PolarisRxrxError

DIGITS = 8  # of a hash that is shown
# What the main figures do not depend on, or only through the model.
ASIDE = {
    "inputs",
    "map",
    "map_sha256",
    "wells_sha256",
    "versions",
    "deviations",
    "n_directions_dropped",
    "n_controls",
    "max_controls",
    "variance_kept",
    "renamed",
    "against",
    "layout",
    "more",
}
_OURS = {"polaris-rxrx-finished.json"}  # in folders of results, and no result


@dataclass(frozen=True)
class Figure:
    """A figure and its interval; what is not defined is None."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """One result: whose, of what protocol, and what it found.

    Attributes:
        run: The folder, or the file where it holds several results.
        model: The card's name, the submission's, or what was scored.
        suite: Such as drug-target; `score` and `receipt`.
        protocol: Short name, the digits of a hash.
        words: The protocol in words.
        figures: The main one first.
        time: Of the file, ISO 8601 in UTC.
        sha256: Of the file.
        path: The file.
        synthetic: Whether anything is the demo's.
    """

    run: str
    model: str
    suite: str
    protocol: str
    words: str
    figures: tuple[Figure, ...]
    time: str
    sha256: str
    path: str
    synthetic: bool = False


@dataclass(frozen=True)
class Damaged:
    """A file that should hold results and does not, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What folders hold; `n_others` JSON files are no results."""

    rows: tuple[Row, ...] = ()
    damaged: tuple[Damaged, ...] = ()
    n_others: int = 0


@dataclass
class Reader:
    """Reads folders again and again; what has not changed since is not read twice.

    >>> result = pr.evaluate("map.parquet", "gene-gene", data="data")["gene-gene"]
    >>> Path("results").mkdir()
    >>> _ = Path("results/gene-gene.json").write_text(result.to_json(), "utf-8")
    >>> found = Reader().read([Path("results")])
    >>> [(row.run, row.suite, row.synthetic) for row in found.rows]
    [('results', 'gene-gene', True)]
    """

    _held: dict[Path, tuple[tuple[int, int], list[Row] | Damaged | None]] = field(default_factory=dict)

    def read(self, places: Sequence[Path]) -> Found:
        """All results below folders, or in files, in the order of their paths.

        Raises:
            DataError: There is no such place.
        """
        rows, damaged, others = list[Row](), list[Damaged](), 0
        for path in files(places):
            found = self._file(path)
            if isinstance(found, Damaged):
                damaged.append(found)
            elif found is None:
                others += 1
            else:
                rows += found
        return Found(tuple(rows), tuple(damaged), others)

    def _file(self, path: Path) -> list[Row] | Damaged | None:
        try:
            stat = path.stat()
            state = (stat.st_mtime_ns, stat.st_size)
            held = self._held.get(path)
            if held is None or held[0] != state:
                held = self._held[path] = (state, read_file(path, stat.st_mtime))
            return held[1]
        except (PolarisRxrxError, OSError) as error:
            return Damaged(_text(path), _text(getattr(error, "strerror", None) or error))


def files(places: Sequence[Path]) -> list[Path]:
    """The JSON files below folders, and files that were named; each once.

    Raises:
        DataError: There is no such place.
    """
    found: dict[Path, Path] = {}
    for place in places:
        if not place.exists():
            raise DataError(f"{place}: no such folder or file")
        every = [place] if place.is_file() else sorted(_below(place))
        for path in every:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*.json"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and path.name not in _OURS:
            yield path


def read_file(path: Path, modified: float) -> list[Row] | None:
    """The results in a file; None where it is no file of ours.

    Args:
        path: The file.
        modified: Its time, in seconds since 1970.

    Raises:
        DataError: It is no JSON, or a result without what a result has.
    """
    raw = bounded.read_file(path)
    try:
        document = bounded.json_loads(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON ({str(error).splitlines()[0]}); is it half a file?") from None
    if not isinstance(document, dict):
        return None
    each = list(document.values())
    together = bool(each) and all(isinstance(v, dict) and _kind(v) is not None for v in each)
    documents = each if together else [document]
    if not together and _kind(document) is None:
        return None
    when = datetime.datetime.fromtimestamp(modified, datetime.timezone.utc).isoformat(timespec="seconds")
    sha256 = hashlib.sha256(raw).hexdigest()
    run = _text(path if together or _kind(document) == "score" else path.parent)
    try:
        return [
            row
            for d in documents
            if (row := _row(d, path=_text(path), run=run, time=when, sha256=sha256)) is not None
        ]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"it looks like a result, but is none: {what}") from None


def _kind(document: Mapping[str, Any]) -> str | None:
    """suite, score or receipt, by what they alone have; None of anything else."""
    for kind, keys in (
        ("suite", {"suite", "protocol", "summary"}),
        ("score", {"task", "predictions_sha256", "main_metric", "official"}),
        ("receipt", {"predictions_sha256", "payload_sha256", "state"}),
    ):
        if keys <= document.keys():
            return kind
    return None


def _row(document: Mapping[str, Any], **about: Any) -> Row | None:
    """The row of a result; None of one that has no main figure, such as neighbors."""
    kind = _kind(document)
    if kind == "score":
        return _score(document, **about)
    if kind == "receipt":
        return _receipt(document, **about)
    suite = document["suite"]
    if suite not in FIGURES:
        return None
    protocol, summary = document["protocol"], document["summary"]
    inputs = protocol.get("inputs", {})
    figures, counts, words = FIGURES[suite]
    key = {name: value for name, value in protocol.items() if name not in ASIDE}
    measured = {name: summary[name] for name in counts}
    made_up = bool(inputs.get("made_up")) or any(key.get(f"{t}_made_up") for t in ("affinities", "relations"))
    return Row(
        model=str(inputs.get("card") or "a map"),
        suite=suite,
        protocol=_short([suite, key, measured]),
        words=words(protocol, summary),
        figures=tuple(_checked(f) for f in figures(summary)),
        synthetic=made_up,
        **about,
    )


def _checked(figure: Figure) -> Figure:
    for value in (figure.value, figure.low, figure.high):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise TypeError(f"{figure.name} is {value!r}; a number was expected")
    return figure


def _short(what: Any) -> str:
    """The first digits of the hash of anything in JSON."""
    text = json.dumps(what, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _score(document: Mapping[str, Any], **about: Any) -> Row:
    metric = document["main_metric"]
    low, high = document.get("uncertainty", {}).get(metric, {}).get("interval", (None, None))
    others = [name for name in document["official"] if name != metric]
    figures = [Figure(metric, document["main_value"], low, high)]
    figures += [Figure(name, document["official"][name]) for name in others]
    n_pairs, n_treatments = int(document["n_pairs"]), int(document["n_treatments"])
    key = [document["task"], metric, n_pairs, n_treatments, document.get("filled", {}).get("score")]
    return Row(
        model=Path(document["predictions"]).stem,
        suite="score",
        protocol=_short(["score", *key]),
        words=f"{document['task']}; {metric}, {n_pairs:,} pairs, {n_treatments:,} treatments",
        figures=tuple(_checked(f) for f in figures),
        **about,
    )


def _receipt(document: Mapping[str, Any], **about: Any) -> Row | None:
    """What was computed here before a submission was sent; a competition has no scores."""
    ours = (document.get("scores") or {}).get("ours")
    if not ours:
        return None
    return Row(
        model=str(document["name"]),
        suite="receipt",
        protocol=_short(["receipt", document["task"], document["task_sha256"], sorted(ours)]),
        words=f"{document['task']}, as it was submitted",
        figures=tuple(_checked(Figure(name, value)) for name, value in ours.items()),
        **about,
    )


Summary = Mapping[str, Any]


def _drug_target(s: Summary) -> Iterator[Figure]:
    for name, shown in (("average_precision", "AP of max"), ("auroc", "AUROC of max")):
        yield Figure(shown, s["max"][name], *s["interval_max"][name])


def _gene_gene(s: Summary) -> Iterator[Figure]:
    for source, of in s["sources"].items():
        yield Figure(f"recall {source}", of["recall"], of["recall_low_end"], of["recall_high_end"])


def _mean(*names: tuple[str, str]) -> Callable[[Summary], Iterator[Figure]]:
    def figures(s: Summary) -> Iterator[Figure]:
        for key, shown in names:
            yield Figure(shown, s.get(key))

    return figures


def _clusters(s: Summary) -> Iterator[Figure]:
    n = s["n_complexes"]
    yield Figure("complexes more alike", s["n_higher"] / n if n else None)


def _by(p: Mapping[str, Any], s: Summary) -> str:
    legacy = ", legacy" if p.get("legacy") else ""
    return f"by {p['by']}, {p['align']}, {s['n_perturbations']:,} perturbations, seed {p['seed']}{legacy}"


def _dt_words(p: Mapping[str, Any], s: Summary) -> str:
    legacy = ", legacy" if p["legacy"] else ""
    return (
        f"seeds {p['seeds']:,}, active at most {p['active_nM']:g} nM, negatives beyond {p['inactive_nM']:g} "
        f"nM; {s['n_rows']:,} {p['by']}s, {s['n_pairs_a_seed']:,} pairs per seed{legacy}"
    )


def _gg_words(p: Mapping[str, Any], s: Summary) -> str:
    return f"at or below quantile {p['low']:g} or at or above {p['high']:g} of {s['n_genes']:,} genes' pairs"


def _c_words(p: Mapping[str, Any], s: Summary) -> str:
    return f"{s['n_genes']:,} genes, {s['n_complexes']:,} complexes of {p['min_genes']} genes or more"


def _co_words(p: Mapping[str, Any], s: Summary) -> str:
    of = {"CRISPR": "genes", "COMPOUND": "compounds"}[p["of"]]
    return f"{s['n_perturbations']:,} {of}, {s['n_annotations']:,} annotations; ties {p['ties']}"


_SHARES = (("share_p_0.01", "p <= 0.01"), ("share_p_0.05", "p <= 0.05"))
# Suite -> its figures, what is counted, and its protocol in words.
FIGURES: dict[str, tuple[Callable[[Summary], Iterator[Figure]], tuple[str, ...], Callable[..., str]]] = {
    "drug-target": (_drug_target, ("n_rows", "n_pairs_a_seed"), _dt_words),
    "gene-gene": (_gene_gene, ("n_genes", "n_pairs"), _gg_words),
    "signal": (_mean(("z", "z against random"), ("mean", "energy"), *_SHARES), ("n_perturbations",), _by),
    "replicate-consistency": (_mean(("mean", "mean cosine"), *_SHARES), ("n_perturbations",), _by),
    "clusters": (_clusters, ("n_genes", "n_complexes"), _c_words),
    "consistency": (
        _mean(("mean", "mean AP"), ("mean_normalized", "normalized")),
        ("n_perturbations", "n_annotations"),
        _co_words,
    ),
    "activity": (
        _mean(("mean", "mean AP"), ("mean_normalized", "normalized"), ("share_active", "q <= 0.05")),
        ("n_perturbations",),
        _by,
    ),
}


def _text(value: object) -> str:
    """What can be written as UTF-8: a file's name may hold bytes that are not text."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
