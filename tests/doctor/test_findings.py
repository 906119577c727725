"""What of a record is private: the home folder, the user's name in paths, passwords and tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from polaris_rxrx.doctor.findings import Fault, Folder, private

FOLDER = Folder("data", "", True, True, 0, 0, None)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("USERPROFILE", "/home/ada")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/ada/data", "~/data"),
        ("in /home/ada, and", "in ~, and"),
        ("/home/adam/data", "/home/adam/data"),
        ("/scratch/ada/data", "/scratch/USER/data"),
        ("/scratch/ada", "/scratch/USER"),
        (r"C:\Users\ada\venv", r"C:\Users\USER\venv"),
        ("/scratch/canada/x", "/scratch/canada/x"),
        ("by http://bob:canary-pa55@proxy:3128/", "by http://proxy:3128/"),
        ("Bearer canary-token-of-hers", "Bearer ***"),
    ],
)
@pytest.mark.usefixtures("home")
def test_text(text: str, told: str) -> None:
    assert private(text) == told


@pytest.mark.usefixtures("home")
def test_records_and_all_that_is_in_them() -> None:
    found = private([replace(FOLDER, path="/home/ada/data", missing=["metadata"])])
    assert found == [replace(FOLDER, path="~/data", missing=["metadata"])]
    assert private(Fault("data", "/home/ada/x is damaged", "", True)).told == "~/x is damaged"


@pytest.mark.parametrize("home", ["/", "/root"])
def test_a_home_that_is_no_name(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    assert private("/data/root/file") == "/data/root/file"


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", nobody)
    assert private("/data/x") == "/data/x"
