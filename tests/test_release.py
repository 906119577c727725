"""A release: what it refuses, what it says, and what its workflow may do."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from polaris_rxrx._version import __version__
from tests.conftest import ROOT
from tests.test_packaging import MINORS, PROJECT


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = _loaded()
CHANGELOG = """# Changelog

The first is 1.2.0.

## [Unreleased]

## [1.2.3] - 2026-11-30

### Fixed

- A thing that was
  wrong, `--a`.
- Another.

## [1.2.0] - 2026-10-01

### Added

- All.
"""


def tree(folder: Path, version: str = "1.2.3", changelog: str = CHANGELOG, day: str = "2026-11-30") -> Path:
    (folder / "polaris_rxrx").mkdir(parents=True)
    (folder / "polaris_rxrx" / "_version.py").write_text(f'"""It."""\n\n__version__ = "{version}"\n')
    (folder / "CHANGELOG.md").write_text(changelog)
    (folder / "CITATION.cff").write_text(
        f"cff-version: 1.2.0\nversion: {version}\ndate-released: {day!r}\nreferences:\n  - version: 9\n"
    )
    return folder


def test_a_tree_that_agrees_may_be_released(tmp_path: Path) -> None:
    assert release.faults(tree(tmp_path), "v1.2.3") == []


def test_ours_may_be_once_its_section_has_a_day(tmp_path: Path) -> None:
    """Not as it is, and told why: what is written down for the next version has none."""
    ours = (ROOT / "CHANGELOG.md").read_text("utf-8")
    said = " ".join(release.faults(tree(tmp_path / "now", "98.7.6", ours), "v98.7.6"))
    assert "no section `## [98.7.6] - YYYY-MM-DD`" in said
    text = ours.replace(", and unreleased", "")
    text = re.sub(r"^## \[Unreleased\]\n", "## [Unreleased]\n\n## [98.7.6] - 2026-11-30\n", text, flags=re.M)
    folder = tree(tmp_path / "then", "98.7.6", text)
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    citation = re.sub(r"^date-released: .*\n", "", citation, flags=re.M)
    citation = citation.replace(
        f"\nversion: {__version__}\n", "\nversion: 98.7.6\ndate-released: 2026-11-30\n"
    )
    (folder / "CITATION.cff").write_text(citation)
    assert release.faults(folder, "v98.7.6") == []
    notes = release.notes(folder)
    assert notes.startswith("### Added\n\n- `prepare`: ") and "\n  " not in notes


@pytest.mark.parametrize(
    ("tag", "given", "fault"),
    [
        ("v1.2.4", {}, "the tag is v1.2.4, but _version.py says 1.2.3: expected the tag v1.2.3"),
        ("1.2.3", {}, "the tag is 1.2.3, but _version.py says 1.2.3: expected the tag v1.2.3"),
        ("v1.2.3.dev1", {"version": "1.2.3.dev1"}, "_version.py says 1.2.3.dev1, which is no version to"),
        ("v1.02.3", {"version": "1.02.3"}, "_version.py says 1.02.3, which is no version to release"),
        ("v1.3.0", {"version": "1.3.0"}, "CHANGELOG.md has no section `## [1.3.0] - YYYY-MM-DD`; there are"),
        ("v1.2.0", {"version": "1.2.0"}, "CHANGELOG.md has 1.2.0 below [1.2.3] - 2026-11-30: the version"),
        (
            "v1.2.3",
            {"changelog": CHANGELOG.replace("2026-11-30", "2026-11-31"), "day": "2026-11-31"},
            "CHANGELOG.md dates 1.2.3 on 2026-11-31, which is no day: expected YYYY-MM-DD",
        ),
        (
            "v1.2.3",
            {"changelog": re.sub(r"### Fixed\n.*?(?=## \[1.2.0)", "", CHANGELOG, flags=re.S)},
            "CHANGELOG.md says nothing of 1.2.3",
        ),
        (
            "v1.2.3",
            {"changelog": CHANGELOG.replace("d]\n", "d]\n\n### Added\n\n- More.\n")},
            "CHANGELOG.md has entries under [Unreleased]: what 1.2.3 holds belongs into its section",
        ),
        (
            "v1.2.3",
            {"changelog": CHANGELOG.replace("The first is 1.2.0", "1.2.3 is unreleased")},
            "the head of CHANGELOG.md still says that the version is unreleased",
        ),
        ("v1.2.3", {"day": "2026-11-29"}, "CITATION.cff has date-released 2026-11-29: expected 2026-11-30"),
    ],
)
def test_each_fault_is_told(tag: str, given: dict[str, str], fault: str, tmp_path: Path) -> None:
    said = release.faults(tree(tmp_path, **given), tag)
    assert any(line.startswith(fault) for line in said), said


def test_several_versions_are_none(tmp_path: Path) -> None:
    folder = tree(tmp_path)
    path = folder / "polaris_rxrx" / "_version.py"
    path.write_text(path.read_text() * 2)
    with pytest.raises(ValueError, match=r"expected one line __version__ = .*, found 2"):
        release.faults(folder, "v1.2.3")


def test_the_notes_are_the_section_an_entry_a_line(tmp_path: Path) -> None:
    assert release.notes(tree(tmp_path)) == "### Fixed\n\n- A thing that was wrong, `--a`.\n- Another.\n"
    with pytest.raises(ValueError, match=re.escape("no section `## [2.0.0]")):
        release.notes(tree(tmp_path / "two", "2.0.0"))


def wheel(path: Path, files: dict[str, str], day: int) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, day, 0, 0, 0)), text)
    return path


def test_wheels_are_compared_by_their_files_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = wheel(tmp_path / "one.whl", {"a.py": "1", "b.py": "2"}, 1)
    same = wheel(tmp_path / "same.whl", {"b.py": "2", "a.py": "1"}, 9)
    other = wheel(tmp_path / "other.whl", {"a.py": "1 ", "c.py": "2"}, 1)
    assert release.main(["same", str(one), str(same)]) == 0
    assert release.main(["same", str(one), str(other)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "Error: b.py is in one.whl alone",
        "Error: c.py is in other.whl alone",
        "Error: a.py differs",
    ]
    (tmp_path / "no.whl").write_text("no archive")
    assert release.main(["same", str(one), str(tmp_path / "no.whl")]) == 1
    assert "not a zip file" in capsys.readouterr().err


def test_hashes_are_as_sha256sum_reads_them(tmp_path: Path, capfdbinary: Any) -> None:
    (tmp_path / "b.whl").write_bytes(b"b")
    (tmp_path / "a.tar.gz").write_bytes(b"a")
    assert release.main(["sums", str(tmp_path)]) == 0
    a, b = (hashlib.sha256(c).hexdigest() for c in (b"a", b"b"))
    assert capfdbinary.readouterr().out.decode() == f"{a}  a.tar.gz\n{b}  b.whl\n"
    (tmp_path / "none").mkdir()
    assert release.main(["sums", str(tmp_path / "none")]) == 1


WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text("utf-8"))
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
JOBS = WORKFLOWS["release"]["jobs"]


def lines(job: str) -> str:
    return "\n".join(step.get("run", "") for step in JOBS[job]["steps"])


def before(job: str) -> set[str]:
    """The jobs that have to succeed first."""
    needs = JOBS[job].get("needs", [])
    needs = [needs] if isinstance(needs, str) else needs
    return set(needs).union(*map(before, needs))


def test_only_a_tag_releases_and_the_first_thing_is_to_check_it() -> None:
    assert WORKFLOWS["release"][True] == {"push": {"tags": ["v*"]}}  # YAML reads `on` as a truth
    checks = [step for step in JOBS["build"]["steps"] if "run" in step]
    assert checks[0]["run"] == 'python tools/release.py check "$GITHUB_REF_NAME"'
    assert "tools/release.py same" in lines("build") and "twine check --strict" in lines("build")
    assert all("build" in before(job) for job in JOBS if job != "build")


def test_what_is_published_was_tested_on_every_python_and_system() -> None:
    assert before("publish") == {"build", "test", "demo", "container"} < before("page")
    matrix = JOBS["test"]["strategy"]["matrix"]
    assert matrix["python"] == [f"3.{minor}" for minor in MINORS] and matrix["os"] == ["ubuntu-latest"]
    assert {each["os"] for each in matrix["include"]} == {"macos-latest", "windows-latest"}
    tested = lines("test")
    assert "rm -r tree/polaris_rxrx" in tested and '"${wheel}[test]"' in tested
    assert not any("checkout" in step.get("uses", "") for step in JOBS["test"]["steps"])
    assert "build" not in lines("publish"), "files are built once"


def test_rights_are_the_least_and_no_secret_is_kept() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    assert WORKFLOWS["release"]["permissions"] == {"contents": "read"} and "secrets." not in text
    given = {job: JOBS[job]["permissions"] for job in JOBS if "permissions" in JOBS[job]}
    assert given == {"publish": {"id-token": "write"}, "page": {"contents": "write"}}
    assert JOBS["publish"]["environment"] == "pypi"
    used = [step["uses"] for job in JOBS.values() for step in job["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", each) for each in used)


def test_every_job_has_an_end() -> None:
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {"contents": "read"}, name
        assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values()), name


def test_the_citation_has_the_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == __version__ and citation["license"] == PROJECT["license"]
    (paper,) = citation["references"]
    assert paper["url"] == PROJECT["urls"]["Paper"] == "https://arxiv.org/abs/2503.20158"


def test_issues_ask_what_doctor_says() -> None:
    forms = [p for p in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if p.stem != "config"]
    assert len(forms) == 2
    for path in forms:
        form = yaml.safe_load(path.read_text("utf-8"))
        assert form["name"] and form["description"]
        fields = {part["id"]: part for part in form["body"] if part["type"] == "textarea"}
        assert fields["doctor"]["attributes"]["label"] == "`polaris-rxrx doctor --json`"
        assert "never" in fields["doctor"]["attributes"]["description"]
    bug = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text("utf-8"))
    assert [part["id"] for part in bug["body"] if part.get("validations")][-1] == "doctor"
