"""What an examination finds: plain records, and what of their text is nobody else's business.

Conventions
    Sizes are bytes. None is what is not known or was not looked at.
    A `Fault` has one line of advice. One that `stops` is in the way of the main job, which is from the files
    to a score on this machine: then the command's exit code is 1.
    The records become text that people paste into an issue: `private` has written the home folder as `~`, the
    user's name elsewhere in a path as `USER`, and taken out what looks like a password or a token.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from polaris_rxrx.documents import Fields, fields_of
from polaris_rxrx.errors import without_secrets

T = TypeVar("T")
SCHEMA = 1


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be.

    Attributes:
        about: A package, a folder, a host.
        told: What is wrong with it.
        advice: What helps, in one line.
        stops: Whether the main job cannot be done.
    """

    about: str
    told: str
    advice: str
    stops: bool


@dataclass(frozen=True)
class Python:
    """The interpreter. `kind` is what it belongs to: a virtual environment, conda, or the system."""

    version: str
    implementation: str
    bits: int
    executable: str
    kind: Literal["venv", "conda", "system"]
    supported: bool


@dataclass(frozen=True)
class System:
    """The operating system, and how text leaves and enters a program."""

    name: str
    release: str
    machine: str
    terminal: bool
    output_encoding: str
    files_encoding: str


@dataclass(frozen=True)
class Machine:
    """What the machine has to spare.

    Attributes:
        free: Memory that may be taken.
        bound: Memory that a control group (a container, a batch job) or `ulimit` allows in all.
        allowed: Memory that a command takes if `--max-memory` says nothing.
        wells: Number of features -> of how many wells they are held in memory, about.
        processors: That this process may use.
    """

    free: int | None
    bound: int | None
    allowed: int | None
    wells: dict[str, int]
    processors: int


@dataclass(frozen=True)
class Package:
    """A package that the installation wants.

    Attributes:
        wanted: Versions, as pip writes them; empty for any.
        installed: Its version, None where it is not there.
        extra: Which extra wants it; None for all installations.
        imported: Whether it could be; None where that was not tried.
        error: Why not.
    """

    name: str
    wanted: str
    installed: str | None
    extra: str | None
    imported: bool | None = None
    error: str | None = None


@dataclass(frozen=True)
class Extra:
    """An extra: what it adds, its packages that are absent or of another version, and the line for pip."""

    name: str
    adds: str
    complete: bool
    missing: list[str]
    install: str


@dataclass(frozen=True)
class File:
    """A file in a folder of ours; `problem` is what is wrong with it.

    Attributes:
        hashed: Whether its bytes were held against the known SHA-256; None where none is known.
    """

    name: str
    bytes: int | None
    problem: str | None = None
    hashed: bool | None = None


@dataclass(frozen=True)
class Folder:
    """A folder that commands use; `writable` also of one that is not there yet, and `free` of its disk."""

    what: str
    path: str
    there: bool
    writable: bool
    count: int
    bytes: int
    free: int | None
    files: list[File] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    note: str | None = None


@dataclass(frozen=True)
class Host:
    """A service; `reached` is None where it was not asked."""

    what: str
    host: str
    reached: bool | None
    told: str


@dataclass(frozen=True)
class Login:
    """Whether somebody is logged in at the Hub, how and until when; never who, and never the token."""

    hub: str
    logged_in: bool
    how: Literal["password", "browser", "settings"] | None
    expires: str | None


@dataclass(frozen=True)
class Diagnosis:
    """All of an examination. `ok`: nothing is in the way of the main job."""

    schema_version: int
    version: str
    ok: bool
    faults: list[Fault]
    python: Python | None
    system: System | None
    machine: Machine | None
    packages: list[Package]
    extras: list[Extra]
    folders: list[Folder]
    hosts: list[Host]
    login: Login | None

    def to_dict(self) -> Fields[Diagnosis]:
        """The document that `--json` prints."""
        return fields_of(self)


def private(value: T) -> T:
    """The same record with nothing private in its text."""
    found: Any = value
    if isinstance(value, str):
        found = _private_text(value)
    elif isinstance(value, list):
        found = [private(each) for each in value]
    elif is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: private(getattr(value, f.name)) for f in fields(value)}
        found = replace(value, **changed)
    return found  # type: ignore[no-any-return]


def _private_text(text: str) -> str:
    text = without_secrets(text)
    try:
        home = Path.home()
    except RuntimeError:  # nobody knows where it is
        return text
    for written in {str(home), home.as_posix(), os.path.realpath(home)}:
        if len(Path(written).parts) > 1:
            text = re.sub(rf"(?<![\w.-]){re.escape(written)}(?![\w.-])", "~", text)
    if len(home.parts) > 2:  # /home/ada, not /root
        text = re.sub(rf"(?<=[/\\]){re.escape(home.name)}(?=[/\\]|$)", "USER", text)
    return text
