"""The bundle: what it holds, that any change of it is found, that an archive can do no harm."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polaris_rxrx._version import __version__
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.hub import upstream
from polaris_rxrx.hub.card import SUMS
from polaris_rxrx.predictions import read_predictions
from polaris_rxrx.scoring import score
from polaris_rxrx.submission import unpack
from polaris_rxrx.submission.bundle import archive, environment, write_bundle
from polaris_rxrx.submission.receipt import finish, hash_values, start
from polaris_rxrx.submission.unpack import unpacked
from polaris_rxrx.submission.verify import verify
from polaris_rxrx.task import Task, load_task

CARD = 'name = "my-model"\nowner = "some-lab"\nsupervision = "zero-shot"\n'
PREDS = "id,active\n0,3\n1,2\n2,1\n3,0\n4,0\n5,0\n"
NAMES = [
    "SHA256SUMS",
    "environment.json",
    "predictions.csv",
    "receipt.json",
    "report.json",
    "submission.toml",
    "task.json",
]


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make(
    folder: Path,
    prepared: Path,
    *,
    text: str = PREDS,
    fill: float | None = None,
    name: str = "predictions.csv",
) -> Path:
    """A submission's folder with card, predictions, a receipt that was sent, and its bundle."""
    folder.mkdir(exist_ok=True)
    card, preds = folder / "submission.toml", folder / name
    card.write_text(CARD)
    preds.write_text(text)
    task = load_task(prepared)
    predictions = read_predictions(preds, task, fill=fill)
    report: dict[str, Any] = {"schema_version": 1, "task": task.name}
    scores: dict[str, Any] = {}
    if task.active is not None:
        report = score(task, predictions).to_dict()
        report["client"] = {"pr_auc": report["official"]["pr_auc"] + 1e-10, "roc_auc": None}
        scores = {"ours": report["official"], "client": report["client"]}
    receipt, _ = start(
        folder,
        name="my-model",
        owner="some-lab",
        hub="https://polarishub.io/",
        kind="v1" if task.active is not None else "competition",
        task=task.artifact_id,
        task_sha256=sha(prepared / "task.json"),
        predictions_sha256=sha(preds),
        values_sha256=hash_values(predictions.values),
        payload_sha256="0" * 64,
        scores=scores,
    )
    finish(receipt, "sent", url="https://polarishub.io/r/1")
    return write_bundle(
        folder, predictions=preds, card=card, report=report, task_folder=prepared, receipt=receipt
    )


@pytest.fixture
def loaded(prepared: Path) -> Task:
    return load_task(prepared)


@pytest.fixture
def bundle(tmp_path: Path, prepared: Path) -> Path:
    return make(tmp_path / "my-model", prepared)


def failures(bundle: Path, task: Task | None) -> dict[str, str]:
    return {c.name: c.detail for c in verify(bundle, task).failed}


def resign(bundle: Path) -> None:
    """Write SHA256SUMS anew, as somebody who tampers would."""
    lines = [f"{sha(p)}  {p.name}\n" for p in sorted(bundle.iterdir()) if p.name != SUMS]
    (bundle / SUMS).write_text("".join(lines))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


# What it holds


def test_a_bundle_holds(bundle: Path, loaded: Task, prepared: Path, tmp_path: Path) -> None:
    assert sorted(p.name for p in bundle.iterdir()) == NAMES
    assert (bundle / "predictions.csv").read_text() == PREDS
    assert (bundle / "task.json").read_bytes() == (prepared / "task.json").read_bytes()
    assert json.loads((bundle / "report.json").read_text())["predictions"] == "predictions.csv"
    found = verify(bundle, loaded)
    assert found.ok and found.rescored and not found.competition
    assert [c.name for c in found.checks if c.ok] == [
        "files",
        *(f"sha256 {n}" for n in NAMES[1:]),
        *(f"reads {n}" for n in ("submission.toml", "task.json", "report.json", "receipt.json")),
        "reads environment.json",
        "predictions",
        "task",
        "pairs",
        "receipt",
        "scores",
        "client's scores",
    ]
    assert {c.name: c.detail for c in found.checks}["scores"] == "pr_auc = 0.750000, as reported"
    json.dumps(found.to_dict(), allow_nan=False)


def test_nothing_in_it_names_a_place_or_a_person(bundle: Path, tmp_path: Path) -> None:
    import getpass
    import platform

    text = "".join(p.read_text() for p in bundle.iterdir())
    assert str(tmp_path) not in text
    assert platform.node() not in (bundle / "environment.json").read_text()
    words = json.loads((bundle / "environment.json").read_text())
    assert set(words) == {"schema_version", "python", "implementation", "system", "machine", "versions"}
    assert getpass.getuser() not in words.values()
    assert words == environment()
    assert words["versions"]["polaris-rxrx"] == __version__
    assert {"numpy", "pandas", "scikit-learn"} <= set(words["versions"])
    assert ("polaris-lib" in words["versions"]) == upstream.is_installed()


def test_sha256sum_reads_it(bundle: Path) -> None:
    done = subprocess.run(["sha256sum", "--strict", "-c", SUMS], cwd=bundle, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count(": OK") == len(NAMES) - 1


def test_it_is_replaced_whole(bundle: Path, prepared: Path, tmp_path: Path, loaded: Task) -> None:
    make(tmp_path / "my-model", prepared, text=PREDS.replace("0,3", "0,-3"))
    assert verify(bundle, loaded).ok
    assert "0,-3" in (bundle / "predictions.csv").read_text()
    before = (bundle / SUMS).read_bytes()
    with pytest.raises(DataError, match="no such file"):
        write_bundle(
            bundle.parent,
            predictions=bundle / "predictions.csv",
            card=tmp_path / "none.toml",
            report={},
            task_folder=prepared,
            receipt=None,
        )
    assert (bundle / SUMS).read_bytes() == before
    assert [p.name for p in bundle.parent.iterdir() if p.name.endswith(".tmp")] == []


def test_somebody_elses_folder_is_not_replaced(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "my-model" / "bundle").mkdir(parents=True)
    (tmp_path / "my-model" / "bundle" / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="holds no SHA256SUMS"):
        make(tmp_path / "my-model", prepared)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"report": {"predictions_sha256": "0" * 64}}, "was changed after it was scored"),
        ({"report": {"pr_auc": float("nan")}}, "not finite"),
        ({"task_folder": Path("none")}, "no such file"),
        ({"receipt": Path("none")}, "no such file"),
        ({"predictions": Path("none.csv")}, "no such file"),
    ],
)
def test_what_cannot_be_bundled(
    change: dict[str, Any], message: str, bundle: Path, prepared: Path, tmp_path: Path
) -> None:
    given: dict[str, Any] = {
        "predictions": bundle / "predictions.csv",
        "card": bundle / "submission.toml",
        "report": {},
        "task_folder": prepared,
        "receipt": None,
    }
    with pytest.raises(DataError, match=message):
        write_bundle(tmp_path / "other", **{**given, **change})
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["report.json", "sha256sums", ".hidden", "a\nb.csv"])
def test_names_a_predictions_file_cannot_have(
    name: str, bundle: Path, prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(PREDS)
    with pytest.raises(UsageError, match="to be bundled, the file needs"):
        write_bundle(
            tmp_path / "other",
            predictions=tmp_path / name,
            card=bundle / "submission.toml",
            report={},
            task_folder=prepared,
            receipt=None,
        )


# Its task


def test_without_a_task_the_rest_is_checked(bundle: Path) -> None:
    found = verify(bundle, None)
    assert found.ok and not found.rescored
    assert found.checks[-1].ok is None and "not scored again" in found.checks[-1].detail


def test_filled_pairs_are_filled_again(prepared: Path, tmp_path: Path, loaded: Task) -> None:
    bundle = make(tmp_path / "m", prepared, text="id,active\n0,3\n1,2\n2,1\n3,0\n4,0\n", fill=-1.5)
    found = verify(bundle, loaded)
    assert found.ok
    assert "6, each predicted once, 1 of them filled with -1.5" in [c.detail for c in found.checks]
    edit(bundle / "report.json", lambda r: r["filled"].update(score="x"))
    resign(bundle)
    assert "filled.score is 'x'" in failures(bundle, loaded)["pairs"]


def test_a_task_prepared_by_another_version_is_the_same(bundle: Path, prepared: Path) -> None:
    edit(prepared / "task.json", lambda t: t["versions"].update(polaris_rxrx="99"))
    found = verify(bundle, load_task(prepared))
    assert found.ok
    assert "prepared another time" in {c.name: c.detail for c in found.checks}["task"]


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        ([("ABT-199", "BCL2", 0), ("ABT-199", "SEPT2", 1)], "counts"),
        ([("X", "BCL2", 1), ("X", "SEPT2", 0)], "counts"),
    ],
)
def test_another_task_is_found(pairs: Any, named: str, bundle: Path, make_task: Any, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    make_task(pairs).save(tmp_path / "other")
    found = failures(bundle, load_task(tmp_path / "other"))
    assert named in found["task"] and set(found) == {"task", "pairs", "scores"}


def test_other_labels_are_found(bundle: Path, make_task: Any, task: Task, tmp_path: Path) -> None:
    """The same counts, so only the answers differ."""
    other = tmp_path / "other"
    other.mkdir()
    flipped = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    rows = zip(task.treatment, task.gene_symbol, flipped, strict=True)
    make_task(list(rows)).save(other)
    found = failures(bundle, load_task(other))
    assert "private/answers.csv differ" in found["task"]
    assert "pr_auc is 0.75 in the bundle and" in found["scores"]


def test_a_competition_cannot_be_scored_again(make_task: Any, task: Task, tmp_path: Path) -> None:
    prepared = tmp_path / "task"
    prepared.mkdir()
    pairs = [(t, g, None) for t, g in zip(task.treatment, task.gene_symbol, strict=True)]
    make_task(pairs, labels=False).save(prepared)
    bundle = make(tmp_path / "m", prepared)
    for given in (load_task(prepared), None):
        found = verify(bundle, given)
        assert found.ok and found.competition and not found.rescored
        assert "labels stay on the Hub" in found.checks[-1].detail
    (bundle / "predictions.csv").write_text(PREDS.replace("0,3", "0,4"))
    resign(bundle)
    edit(bundle / "report.json", lambda r: r.update(predictions_sha256=sha(bundle / "predictions.csv")))
    resign(bundle)
    assert set(failures(bundle, load_task(prepared))) == {"receipt"}


# Tampering


@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("how", ["a byte more", "emptied", "removed", "a link", "a folder"])
def test_any_change_of_a_file_is_found(
    name: str, how: str, bundle: Path, loaded: Task, tmp_path: Path
) -> None:
    path = bundle / name
    raw = path.read_bytes()
    if how == "a byte more":
        path.write_bytes(raw + b"\n")
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()
    if how == "a link":
        (tmp_path / "elsewhere").write_bytes(raw)
        path.symlink_to(tmp_path / "elsewhere")
    elif how == "a folder":
        path.mkdir()
    found = failures(bundle, loaded)
    if how in {"a byte more", "emptied"}:
        assert "SHA256SUMS says" in found[f"sha256 {name}"]
    else:
        word = {"removed": "missing", "a link": "not a plain file", "a folder": "not a plain file"}[how]
        assert found["files"] == f"{word}: '{name}'"
    with pytest.raises(DataError, match="is not whole"):
        archive(bundle, tmp_path / "b.tar.gz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: '' is no line of it"),
        ("nonsense\n", "line 1: 'nonsense'"),
        (f"{'0' * 64}  ../../etc/passwd\n", "is no line of it"),
        (f"{'0' * 64}  ..\n", "is no line of it"),
        (f"{'0' * 64}  a\n{'1' * 64}  a\n", "line 2"),
        (f"{'0' * 64}  SHA256SUMS\n", "is no line of it"),
        (f"{'0' * 63}  a\n", "is no line of it"),
    ],
)
def test_sums_that_are_none(text: str, message: str, bundle: Path, loaded: Task) -> None:
    (bundle / SUMS).write_text(text)
    assert message in failures(bundle, loaded)["files"]


def test_what_is_there_besides_is_found(bundle: Path, loaded: Task) -> None:
    (bundle / "notes.txt").write_text("")
    (bundle / ".DS_Store").write_text("")
    assert failures(bundle, loaded) == {"files": "not listed: '.DS_Store', 'notes.txt'"}


@pytest.mark.parametrize("name", ["submission.toml", "report.json", "task.json", "environment.json"])
def test_a_file_left_out_of_the_sums_too_is_missing(name: str, bundle: Path, loaded: Task) -> None:
    (bundle / name).unlink()
    resign(bundle)
    assert failures(bundle, loaded)["files"] == f"missing: '{name}'"


def set_(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for part in path[:-1]:
            data = data[part]
        data[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("name", "change", "check", "message"),
    [
        (
            "report.json",
            set_("pr_auc", value=0.75 + 1e-11),
            "scores",
            "pr_auc is 0.75000000001 in the bundle",
        ),
        (
            "report.json",
            set_("official", "pr_auc", value=0.9),
            "scores",
            "official.pr_auc is 0.9 in the bundle",
        ),
        ("report.json", set_("main_value", value=None), "scores", "main_value is null in the bundle"),
        ("report.json", set_("main_value", value="0.75"), "scores", 'main_value is "0.75" in the bundle'),
        ("report.json", set_("n_pairs", value=True), "scores", "n_pairs is true"),
        ("report.json", set_("n_treatments", value=7), "scores", "n_treatments is 7"),
        ("report.json", set_("left_out", value=[]), "scores", "left_out is [] in the bundle and [{"),
        ("report.json", lambda r: r.pop("roc_auc"), "scores", "roc_auc is missing from report.json"),
        ("report.json", set_("official", "x", value=1), "scores", "official.x is only in one of them"),
        ("report.json", set_("client", "pr_auc", value=0.7501), "client's scores", "pr_auc is 0.7501"),
        ("report.json", set_("predictions", value="other.csv"), "predictions", "names 'other.csv'"),
        ("report.json", set_("predictions", value="../x/predictions.csv"), "predictions", "without folders"),
        ("report.json", set_("predictions", value="task.json"), "predictions", "another name than"),
        ("report.json", set_("predictions", value=None), "predictions", "names None"),
        (
            "report.json",
            set_("predictions_sha256", value="0" * 64),
            "predictions",
            "not the file that was scored",
        ),
        ("task.json", set_("artifact_version", value=2), "task", "artifact_version differ"),
        ("task.json", set_("artifact_type", value="competition"), "task", "artifact_type differ"),
        ("task.json", set_("files", "train.csv", value="0" * 64), "task", "train.csv differ"),
        (
            "task.json",
            set_("main_metric", value="roc_auc"),
            "receipt",
            "task_sha256 is not that of task.json",
        ),
        (
            "task.json",
            set_("schema_version", value=2),
            "reads task.json",
            "schema_version: Input should be 1",
        ),
        ("receipt.json", set_("name", value="other"), "receipt", "name is 'other', the card's is 'my-model'"),
        (
            "receipt.json",
            set_("task", value="a/b"),
            "receipt",
            "task is 'a/b', the manifest's is 'someone/small'",
        ),
        ("receipt.json", set_("values_sha256", value="0" * 64), "receipt", "values_sha256 is not that"),
        ("receipt.json", set_("predictions_sha256", value="0" * 64), "receipt", "that of predictions.csv"),
        ("receipt.json", set_("scores", "ours", "pr_auc", value=0.8), "receipt", "scores.ours.pr_auc is 0.8"),
        ("receipt.json", set_("state", value="maybe"), "reads receipt.json", "receipt.json is not a receipt"),
    ],
)
def test_files_that_contradict_one_another(
    name: str, change: Any, check: str, message: str, bundle: Path, loaded: Task
) -> None:
    """Somebody changed a file and its hash."""
    edit(bundle / name, change)
    resign(bundle)
    found = failures(bundle, loaded)
    assert message in found[check]
    assert not any(c.startswith("sha256") for c in found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PREDS.replace("0,3", "0,nan"), "predictions.csv, line 2: active is 'nan'"),
        (PREDS.replace("5,0\n", ""), "1 of 6 test pairs have no prediction"),
        ("", "predictions.csv is empty"),
    ],
)
def test_predictions_that_do_not_fit(text: str, message: str, bundle: Path, loaded: Task) -> None:
    (bundle / "predictions.csv").write_text(text)
    edit(bundle / "report.json", lambda r: r.update(predictions_sha256=sha(bundle / "predictions.csv")))
    resign(bundle)
    found = failures(bundle, loaded)
    assert message in found["pairs"] and str(bundle) not in found["pairs"]
    assert {"pairs", "receipt", "scores"} == set(found)


def test_other_predictions_score_otherwise(bundle: Path, loaded: Task) -> None:
    (bundle / "predictions.csv").write_text(PREDS.replace("0,3", "0,-3"))
    edit(bundle / "report.json", lambda r: r.update(predictions_sha256=sha(bundle / "predictions.csv")))
    resign(bundle)
    found = failures(bundle, loaded)
    assert "pr_auc is 0.75 in the bundle and 0.4166666666" in found["scores"]
    assert "values_sha256" in found["receipt"]


def test_a_broken_card_is_named_without_its_place(bundle: Path, loaded: Task) -> None:
    (bundle / "submission.toml").write_text(CARD.replace("my-model", "m"))
    resign(bundle)
    (message,) = failures(bundle, loaded).values()
    assert message.startswith("submission.toml: name is 'm'")


def test_what_is_no_bundle(tmp_path: Path, loaded: Task) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    for name, message in (
        ("empty", "holds no SHA256SUMS"),
        ("text", "a .tar.gz or a .zip"),
        ("no", "no such"),
    ):
        with pytest.raises(DataError, match=message):
            verify(tmp_path / name, loaded)


# Archives


def packed(how: str, bundle: Path, folder: Path) -> Path:
    """The bundle as our own archive, or as the zip of another tool."""
    if how == "tar.gz":
        return archive(bundle, folder / "b.tar.gz")
    return Path(shutil.make_archive(str(folder / "b"), how, bundle.parent, "bundle"))


def test_an_archive_verifies_and_is_the_same_every_time(bundle: Path, loaded: Task, tmp_path: Path) -> None:
    out = archive(bundle, tmp_path / "b.tar.gz")
    assert out == tmp_path / "b.tar.gz"
    found = verify(out, loaded)
    assert found.ok and found.rescored and found.bundle == str(out)
    first = out.read_bytes()
    assert first[3:8] == bytes(5)  # gzip: no flags, so no name; no time
    for path in bundle.iterdir():  # other times and modes, the same bytes
        path.touch()
        path.chmod(0o600)
    (tmp_path / "again").mkdir()
    assert archive(bundle, tmp_path / "again" / "b.tar.gz").read_bytes() == first


def test_an_archive_names_no_owner(bundle: Path, tmp_path: Path) -> None:
    with tarfile.open(archive(bundle, tmp_path / "b.tar.gz")) as tar:
        assert tar.getnames() == [f"bundle/{n}" for n in NAMES]
        entries = {(e.uid, e.gid, e.uname, e.gname, e.mtime, e.mode) for e in tar}
        assert entries == {(0, 0, "", "", 0, 0o644)}


@pytest.mark.parametrize("name", ["b.tar.gz", "b.tgz", "b.zip", "B.ZIP"])
def test_an_archive_made_by_other_tools_verifies(
    name: str, bundle: Path, loaded: Task, tmp_path: Path
) -> None:
    """With an entry for the folder itself, and times and owners."""
    out = tmp_path / name
    if name.endswith("gz"):
        subprocess.run(["tar", "czf", str(out), "-C", str(bundle.parent), "bundle"], check=True)
    else:
        packed("zip", bundle, tmp_path).rename(out)
    assert verify(out, loaded).ok


def test_where_an_archive_cannot_go(bundle: Path) -> None:
    with pytest.raises(UsageError, match="lies in the bundle"):
        archive(bundle, bundle / "b.tar.gz")


Entry = tuple[str, bytes | None, str]  # name, content, kind


def tar_of(path: Path, entries: list[Entry]) -> Path:
    kinds = {
        "file": tarfile.REGTYPE,
        "symlink": tarfile.SYMTYPE,
        "hardlink": tarfile.LNKTYPE,
        "fifo": tarfile.FIFOTYPE,
        "device": tarfile.CHRTYPE,
        "folder": tarfile.DIRTYPE,
    }
    with tarfile.open(path, "w:gz") as tar:
        for name, raw, kind in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size = kinds[kind], len(raw or b"") if kind == "file" else 0
            if kind.endswith("link"):
                info.linkname = "/etc/passwd" if kind == "symlink" else "bundle/SHA256SUMS"
            tar.addfile(info, io.BytesIO(raw or b""))
    return path


def zip_of(path: Path, entries: list[Entry]) -> Path:
    with zipfile.ZipFile(path, "w") as archived:
        for name, raw, kind in entries:
            info = zipfile.ZipInfo("x")
            info.filename = name  # not cleaned
            modes = {"symlink": stat.S_IFLNK, "folder": stat.S_IFDIR, "fifo": stat.S_IFIFO}
            info.external_attr = (modes.get(kind, stat.S_IFREG) | 0o644) << 16
            archived.writestr(info, raw or b"/etc/passwd")
    return path


GOOD: Entry = ("bundle/SHA256SUMS", b"x", "file")
WICKED: list[tuple[Entry, str]] = [
    (("/etc/x", b"x", "file"), "not a plain path"),
    (("../x", b"x", "file"), "not a plain path"),
    (("bundle/../../x", b"x", "file"), "not a plain path"),
    (("bundle/..", b"x", "file"), "not a plain path"),
    (("bundle/./x", b"x", "file"), "not a plain path"),
    (("bundle//x", b"x", "file"), "not a plain path"),
    (("bundle\\x", b"x", "file"), "not a plain path"),
    (("C:/x", b"x", "file"), "not a plain path"),
    (("x", b"x", "file"), "not a file of the one folder"),
    (("bundle/a/x", b"x", "file"), "not a file of the one folder"),
    (("other/x", b"x", "file"), "not a file of the one folder"),
    (("bundle/sha256sums", b"x", "file"), "there twice"),
    (("bundle/SHA256SUMS", b"y", "file"), "there twice"),
    (("bundle/x", None, "symlink"), "a link or a device"),
    (("bundle/x", None, "fifo"), "a link or a device"),
    (("../x/", None, "folder"), "not a plain path"),
    (("bundle/x/", None, "folder"), "a folder within"),
]


@pytest.mark.parametrize("pack", [tar_of, zip_of])
@pytest.mark.parametrize(("entry", "message"), WICKED)
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_wicked_archives(
    pack: Any, entry: Entry, message: str, tmp_path: Path, loaded: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_wicked(pack(tmp_path / "b", [GOOD, entry]), message, tmp_path, loaded, monkeypatch)


@pytest.mark.parametrize("kind", ["hardlink", "device"])
def test_wicked_tars(kind: str, tmp_path: Path, loaded: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar_of(tmp_path / "b", [GOOD, ("bundle/x", None, kind)])
    refuse_wicked(path, "a link or a device", tmp_path, loaded, monkeypatch)


def refuse_wicked(
    path: Path, message: str, tmp_path: Path, loaded: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written outside the temporary folder, and that is gone afterwards."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=message):
        verify(path, loaded)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_archives_that_are_too_large(
    pack: Any, tmp_path: Path, loaded: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MOST_BYTES", 5 << 20)
    large = bytes(3 << 20)
    path = pack(tmp_path / "b", [GOOD, ("bundle/a", large, "file"), ("bundle/b", large, "file")])
    refuse_wicked(path, "5 MiB a bundle may hold", tmp_path, loaded, monkeypatch)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path, loaded: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MOST_BYTES", 5 << 20)
    path = tmp_path / "b.tar.gz"
    path.write_bytes(gzip.compress(bytes(50 << 20)))
    refuse_wicked(path, "more than the 5 MiB", tmp_path, loaded, monkeypatch)


def test_a_header_that_lies_about_a_size(
    tmp_path: Path, loaded: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zip entry that says 1 byte and holds 50 MiB."""
    monkeypatch.setattr(unpack, "MOST_BYTES", 5 << 20)
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archived:
        archived.writestr("bundle/a", bytes(50 << 20))
    raw = path.read_bytes()
    assert raw.count((50 << 20).to_bytes(4, "little")) == 2
    path.write_bytes(raw.replace((50 << 20).to_bytes(4, "little"), (1).to_bytes(4, "little")))
    refuse_wicked(path, "the archive cannot be read|5 MiB", tmp_path, loaded, monkeypatch)


def test_an_archive_of_many_files(tmp_path: Path, loaded: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar_of(tmp_path / "b", [(f"bundle/{i}", b"", "file") for i in range(40)])
    refuse_wicked(path, "one of more than 32", tmp_path, loaded, monkeypatch)


@pytest.mark.parametrize("how", ["tar.gz", "zip"])
@pytest.mark.parametrize("keep", [2, 30, 300, -30])
def test_an_archive_cut_off(how: str, keep: int, bundle: Path, tmp_path: Path, loaded: Task) -> None:
    out = packed(how, bundle, tmp_path)
    out.write_bytes(out.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"cannot be read|is no bundle"):
        verify(out, loaded)


@pytest.mark.parametrize("how", ["tar.gz", "zip"])
def test_a_flipped_byte_is_never_let_pass(how: str, bundle: Path, tmp_path: Path, loaded: Task) -> None:
    """Each is refused with the archive's name, or found, or changes nothing that is in the files."""
    out = packed(how, bundle, tmp_path)
    raw, files = out.read_bytes(), {p.name: p.read_bytes() for p in bundle.iterdir()}
    ends = dict.fromkeys(("refused", "found", "harmless"), 0)
    places = range(0, len(raw), 37)
    for place in places:
        out.write_bytes(raw[:place] + bytes([raw[place] ^ 0x55]) + raw[place + 1 :])
        try:
            found = verify(out, loaded)
        except DataError as error:
            assert str(error).startswith(str(out)), place
            ends["refused"] += 1
            continue
        with unpacked(out) as folder:
            same = {p.name: p.read_bytes() for p in folder.iterdir()} == files
        assert found.ok == same, place
        ends["harmless" if same else "found"] += 1
    assert sum(ends.values()) == len(places) and ends["refused"] > ends["harmless"], ends


def test_an_encrypted_zip(bundle: Path, tmp_path: Path, loaded: Task) -> None:
    out = packed("zip", bundle, tmp_path)
    raw = bytearray(out.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start_ = -1
        while (start_ := raw.find(mark, start_ + 1)) >= 0:
            raw[start_ + at] |= 1
    out.write_bytes(raw)
    with pytest.raises(DataError, match="cannot be read"):
        verify(out, loaded)
