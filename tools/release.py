"""What a release checks, says and proves of its files; the workflow `release.yml` runs it, and so may you.

    python tools/release.py check v1.2.3          the tag, the version and the pages agree; else exit code 1
    python tools/release.py notes                 the changelog's section of the version, as a page
    python tools/release.py same A.whl B.whl      two wheels hold the same files, byte for byte
    python tools/release.py sums FOLDER           SHA-256 of its files, as `sha256sum -c` reads them

Conventions: a released version is X.Y.Z, and its tag vX.Y.Z: nothing else is released. Everything is read
from files of the tree that this one lies in, by the standard library alone, so that no package can change the
answer. Every fault is told at once, a line each.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import zipfile
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = r"(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)"


def version(root: Path) -> str:
    """What `_version.py` says, read as text: nothing of the package is imported.

    Raises:
        ValueError: There is no such line, or more than one.
    """
    path = root / "polaris_rxrx" / "_version.py"
    found = re.findall(r'^__version__ = "([^"]*)"$', path.read_text("utf-8"), re.M)
    if len(found) != 1:
        raise ValueError(f'{path}: expected one line __version__ = "X.Y.Z", found {len(found)}')
    return str(found[0])


def sections(root: Path) -> dict[str, str]:
    """The changelog's headings, without `## `, and the text below each, in its order."""
    text = (root / "CHANGELOG.md").read_text("utf-8")
    _, *parts = re.split(r"^## (?=\[)", text, flags=re.M)
    return {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}


def released(root: Path, wanted: str) -> tuple[str, str] | None:
    """The day and the text of a version's section, or None where it has none with a day."""
    for title, text in sections(root).items():
        if match := re.fullmatch(rf"\[{re.escape(wanted)}\] - (\S+)", title):
            return match[1], text
    return None


def faults(root: Path, tag: str) -> list[str]:
    """Why this tree may not be released under this tag, a sentence each; none, and it may."""
    own, said = version(root), []
    if not re.fullmatch(VERSION, own):
        said.append(f"_version.py says {own}, which is no version to release: expected X.Y.Z")
    if tag != f"v{own}":
        said.append(f"the tag is {tag}, but _version.py says {own}: expected the tag v{own}")
    headings = list(sections(root))
    found = released(root, own)
    if found is None:
        said.append(f"CHANGELOG.md has no section `## [{own}] - YYYY-MM-DD`; there are {', '.join(headings)}")
    else:
        day, text = found
        if not _is_day(day):
            said.append(f"CHANGELOG.md dates {own} on {day}, which is no day: expected YYYY-MM-DD")
        if not text:
            said.append(f"CHANGELOG.md says nothing of {own}")
        newest = next(title for title in headings if title != "[Unreleased]")
        if newest != f"[{own}] - {day}":
            said.append(f"CHANGELOG.md has {own} below {newest}: the version to release is the newest")
        said += _citation(root, own, day)
    if sections(root).get("[Unreleased]"):
        said.append(f"CHANGELOG.md has entries under [Unreleased]: what {own} holds belongs into its section")
    if "unreleased" in (root / "CHANGELOG.md").read_text("utf-8").partition("## ")[0].lower():
        said.append("the head of CHANGELOG.md still says that the version is unreleased")
    return said


def _is_day(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _citation(root: Path, own: str, day: str) -> list[str]:
    """Whether CITATION.cff names the version and the day of its release."""
    text = (root / "CITATION.cff").read_text("utf-8")
    said = []
    for key, expected in (("version", own), ("date-released", day)):
        found = re.findall(rf"^{key}: *[\"']?([^\"'\n]*)[\"']? *$", text, re.M)
        if found != [expected]:
            said.append(f"CITATION.cff has {key} {', '.join(found) or 'nowhere'}: expected {expected}")
    return said


def notes(root: Path) -> str:
    """The section of the tree's version, every entry on one line: a release's page shows each line break.

    Raises:
        ValueError: The changelog has no such section.
    """
    own = version(root)
    found = released(root, own)
    if found is None:
        raise ValueError(f"CHANGELOG.md has no section `## [{own}] - YYYY-MM-DD`")
    return re.sub(r"(?<=\S)\n +(?=\S)", " ", found[1]) + "\n"


def differences(one: Path, other: Path) -> list[str]:
    """What differs between the files of two wheels, a sentence each."""
    with zipfile.ZipFile(one) as a, zipfile.ZipFile(other) as b:
        files = [{name: archive.read(name) for name in archive.namelist()} for archive in (a, b)]
    first, second = files
    said = [f"{name} is in {one.name} alone" for name in sorted(first.keys() - second.keys())]
    said += [f"{name} is in {other.name} alone" for name in sorted(second.keys() - first.keys())]
    shared = sorted(first.keys() & second.keys())
    said += [f"{name} differs" for name in shared if first[name] != second[name]]
    if not shared:
        said.append(f"{one.name} and {other.name} have no file in common")
    return said


def sums(folder: Path) -> str:
    """SHA-256 and name of each file of a folder, in the order of their names.

    Raises:
        ValueError: There is no file.
    """
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    if not paths:
        raise ValueError(f"{folder}: there is no file to hash")
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths)


def main(words: list[str]) -> int:
    """The command line. Returns the exit code: 0, or 1 where something is wrong."""
    parser = argparse.ArgumentParser(
        description="Check a release, tell its notes, compare and hash its files."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check").add_argument("tag")
    commands.add_parser("notes")
    same = commands.add_parser("same")
    same.add_argument("wheels", type=Path, nargs=2)
    commands.add_parser("sums").add_argument("folder", type=Path)
    given = parser.parse_args(words)
    said: list[str] = []
    try:
        if given.command == "check":
            said = faults(ROOT, given.tag)
        elif given.command == "same":
            said = differences(*given.wheels)
        else:
            text = notes(ROOT) if given.command == "notes" else sums(given.folder)
            sys.stdout.buffer.write(text.encode("utf-8"))  # the same bytes on every system
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        said = [str(error)]
    for line in said:
        print(f"Error: {line}", file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
