"""Nothing is written over what is read: every command, every output, every input."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from polaris_rxrx.cli import COMMANDS, cli, run
from polaris_rxrx.cli.options import CardName, MaybeFile
from polaris_rxrx.cli.outputs import Command, NewFile, NewFolder
from polaris_rxrx.task import Task

CARD = 'name = "mine"\ntitle = "Mine"\n[source]\nfile = "mine.parquet"\n'


def commands() -> dict[str, click.Command]:
    context = cli.make_context("polaris-rxrx", ["--version"], resilient_parsing=True)
    found = {name: cli.get_command(context, name) for name in COMMANDS}
    return {name: command for name, command in found.items() if command is not None}


def is_output(p: click.Parameter) -> bool:
    return isinstance(p.type, NewFile | NewFolder)


def is_input(p: click.Parameter) -> bool:
    return isinstance(p.type, click.Path | MaybeFile) and not is_output(p)


def every_two() -> Iterator[tuple[str, str, str]]:
    for name, command in commands().items():
        for out in filter(is_output, command.params):
            for given in filter(is_input, command.params):
                yield name, out.name or "", given.name or ""


def words(command: click.Command, values: dict[str, str]) -> list[str]:
    """A command line with these parameters; what else is needed gets what it needs."""
    line: list[str] = []
    for p in command.params:
        value = values.get(p.name or "")
        if isinstance(p, click.Option):
            value = "other.csv" if value is None and p.required else value
            line += [] if value is None else [p.opts[0], value]
        elif value is not None:
            line.append(value)
        elif p.required and is_input(p):
            line.append("openphenom" if isinstance(p.type, CardName) else "other.csv")
        elif isinstance(p.type, click.Choice) and p.required:
            line.append(str(p.type.choices[0]))
        elif p.required:
            line.append("a name")
    return line


@pytest.mark.parametrize(("name", "out", "given"), list(every_two()))
def test_an_output_that_is_an_input_is_misuse(
    name: str,
    out: str,
    given: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    command = commands()[name]
    kinds = {p.name: p.type for p in command.params}
    folder = Path("results")
    folder.mkdir()
    inside = isinstance(kinds[out], NewFolder)
    place = folder / ("pairs.svg" if out == "figures" else "pairs.csv") if inside else Path("pairs.parquet")
    if isinstance(kinds[given], CardName):
        place = place.with_suffix(".toml")
    if given == "task":
        place = folder / "task.json"
    if given == "data":
        place = folder / "metadata_rxrx3_core.csv"
    place.write_text(CARD)
    value = str(folder) if given in ("task", "data") else str(place)
    target = str(folder if inside else place)
    if inside and kinds[out].names and not any(Path(place.name).match(n) for n in kinds[out].names):
        pytest.skip("this folder's files have other names than this input")
    assert run([name, *words(command, {given: value, out: target})]) == 2
    said = capsys.readouterr()
    assert "would be written over" in said.err, said.err
    assert target in said.err
    assert place.read_text() == CARD
    assert list(folder.iterdir()) == ([place] if place.parent == folder else [])


@pytest.mark.parametrize("how", ["spelled otherwise", "symbolic link", "hard link", "to a link"])
def test_one_file_under_two_names(how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preds = tmp_path / "preds.csv"
    preds.write_text("treatment,gene_symbol,active\n")
    out = tmp_path / "out.html"
    if how == "spelled otherwise":
        (tmp_path / "folder").mkdir()
        out = tmp_path / "folder" / ".." / "preds.csv"
    elif how == "symbolic link":
        out.symlink_to(preds)
    elif how == "hard link":
        out.hardlink_to(preds)
    else:
        out, preds = preds, out
        preds.symlink_to(out)
    assert run(["report", str(preds), "--out", str(out)]) == 2
    assert "would be written over" in capsys.readouterr().err
    assert (tmp_path / "preds.csv").read_text() == "treatment,gene_symbol,active\n"


def test_the_name_a_baseline_chooses_is_guarded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`baseline openphenom --embeddings openphenom.csv` wrote its predictions over the embeddings."""
    monkeypatch.chdir(tmp_path)
    table = Path("openphenom.csv")
    table.write_text("well_id,feature_0\n")
    assert run(["baseline", "openphenom", "--embeddings", "openphenom.csv"]) == 2
    error = capsys.readouterr().err
    assert "--out openphenom.csv would be written over openphenom.csv, which --embeddings reads" in error
    assert table.read_text() == "well_id,feature_0\n"


def test_the_table_that_a_card_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = tmp_path / "mine.toml"
    card.write_text(CARD)
    table = tmp_path / "mine.parquet"
    table.write_bytes(b"precious")
    assert run(["baseline", str(card), "--data", str(tmp_path), "--save-map", str(table)]) == 2
    assert "the table of NAME" in capsys.readouterr().err
    assert table.read_bytes() == b"precious"


def test_a_file_of_the_task(task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "task"
    task.save(folder)
    sample = folder / "sample_submission.csv"
    before = sample.read_bytes()
    assert run(["baseline", "random", "--task", str(folder), "--out", str(sample)]) == 2
    assert "which --task reads" in capsys.readouterr().err
    assert sample.read_bytes() == before
    mine = folder / "mine.csv"  # what the task does not hold is nobody's input
    assert run(["baseline", "random", "--task", str(folder), "--out", str(mine)]) == 0
    assert run(["baseline", "random", "--task", str(folder), "--out", str(mine)]) == 0


def test_two_outputs_are_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(tmp_path / "map.parquet")
    assert run(["baseline", "openphenom", "--out", name, "--save-map", name]) == 2
    assert "--out and --save-map are both" in capsys.readouterr().err


def test_a_folder_named_like_a_card_is_no_input(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    task.save(Path("task"))
    Path("random").mkdir()
    assert run(["baseline", "random", "--out", "random/random.csv"]) == 0
    assert run(["baseline", "random", "--out", "random/random.csv"]) == 0


def test_the_demo_asks_before_it_replaces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "openphenom.csv"
    mine.write_text("mine\n")
    assert run(["demo", str(tmp_path)]) == 2
    assert "openphenom.csv is there already" in capsys.readouterr().err
    assert mine.read_text() == "mine\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["openphenom.csv"]


def test_what_writes_is_guarded() -> None:
    """An option that says it writes has the type of an output, and its command is one that guards."""
    found = 0
    for name, command in commands().items():
        for p in command.params:
            if isinstance(p.type, click.Path) and re.search(
                r"\b([Ww]rite|Keep)\b", getattr(p, "help", None) or ""
            ):
                assert is_output(p), f"{name} --{p.name}"
        if any(map(is_output, command.params)):
            assert isinstance(command, Command), name
            found += 1
    assert found >= 8
