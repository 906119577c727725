"""CHANGELOG.md is a Keep a Changelog: a heading a version, newest first, under it the kinds of change."""

from __future__ import annotations

import re

import pytest

from polaris_rxrx._version import __version__
from tests.conftest import ROOT

CHANGELOG = ROOT / "CHANGELOG.md"
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
# 1.1 lists the kinds without an order; ours is the one in which they are read.
ORDER = ["Added", "Changed", "Deprecated", "Fixed", "Removed", "Security"]
UNRELEASED = "[Unreleased]"


def faults(text: str) -> list[str]:
    """What is not as Keep a Changelog 1.1 has it, a sentence each."""
    said = []
    head, *versions = re.split(r"^## (?=\S)", text, flags=re.M)
    if not head.startswith("# Changelog\n"):
        said.append("the title is not `# Changelog`")
    if "https://keepachangelog.com/en/1.1.0/" not in head:
        said.append("the format is not linked")
    titles = [version.partition("\n")[0] for version in versions]
    if titles[:1] != [UNRELEASED]:
        said.append("the first heading is not [Unreleased]")
    released = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d{2}-\d{2})", title) for title in titles[1:]]
    said += [
        f"`{t}` is no version with its day" for t, m in zip(titles[1:], released, strict=True) if m is None
    ]
    numbers = [tuple(map(int, match.groups()[:3])) for match in released if match]
    if numbers != sorted(set(numbers), reverse=True):
        said.append("the versions are not newest first, each once")
    for title, version in zip(titles, versions, strict=True):
        before, *sections = re.split(r"^### ", version.partition("\n")[2], flags=re.M)
        if before.strip():
            said.append(f"{title}: text before the first kind")
        kinds = [section.partition("\n")[0] for section in sections]
        said += [f"{title}: {kind} is no kind of change" for kind in kinds if kind not in KINDS]
        if kinds != [kind for kind in ORDER if kind in kinds] and set(kinds) <= set(KINDS):
            said.append(f"{title}: the kinds are not {', '.join(ORDER)}, each once")
        for kind, section in zip(kinds, sections, strict=True):
            entries = section.partition("\n")[2].strip("\n").splitlines()
            if not entries:
                said.append(f"{title}: {kind} is empty")
            said += [f"{title}: `{line}` is no entry" for line in entries if not re.match(r"(- |  )\S", line)]
            said += [f"{title}: a line is over 110 wide" for line in entries if len(line) > 110]
    return said


def test_ours() -> None:
    assert faults(CHANGELOG.read_text("utf-8")) == []


def test_the_version_at_hand_is_named() -> None:
    """As a release's heading, or in the head as the one to come."""
    text = CHANGELOG.read_text("utf-8")
    assert f"## [{__version__}] - " in text or f"Version {__version__} is" in text.partition("## ")[0]


HEAD = "# Changelog\n\n[as](https://keepachangelog.com/en/1.1.0/)\n\n"
SOUND = (
    "## [Unreleased]\n\n### Added\n\n- A thing,\n  in two lines.\n\n"
    "## [0.2.0] - 2026-01-02\n\n### Fixed\n\n- B.\n"
)


def test_a_sound_one_has_no_faults() -> None:
    assert faults(HEAD + SOUND) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (SOUND, "the title is not `# Changelog`"),
        (HEAD + SOUND.replace("Unreleased", "Next"), "the first heading is not [Unreleased]"),
        (HEAD + SOUND.replace("01-02", "1"), "`[0.2.0] - 2026-1` is no version with its day"),
        (HEAD + SOUND + "## [0.10.0] - 2025-01-01\n", "the versions are not newest first, each once"),
        (HEAD + SOUND.replace("### Added", "### Bettered"), "[Unreleased]: Bettered is no kind of change"),
        (HEAD + SOUND + "### Added\n\n- C.\n", "[0.2.0] - 2026-01-02: the kinds are not"),
        (HEAD + SOUND + "### Removed\n\n", "[0.2.0] - 2026-01-02: Removed is empty"),
        (HEAD + SOUND.replace("- A", "A"), "[Unreleased]: `A thing,` is no entry"),
        (
            HEAD + SOUND.replace("### Added\n", "Much.\n### Added\n"),
            "[Unreleased]: text before the first kind",
        ),
        (HEAD + SOUND.replace("- B.", "- " + "B" * 110), "[0.2.0] - 2026-01-02: a line is over 110 wide"),
    ],
)
def test_each_fault_is_told(text: str, fault: str) -> None:
    assert any(said.startswith(fault) for said in faults(text)), faults(text)
