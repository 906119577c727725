"""`featurize openphenom`: which model, with whose licence and code, and whether it is the published one.

Conventions: a folder is taken as it is; `OWNER/NAME` is fetched into the data folder (`$POLARIS_RXRX_DATA`),
once. Both the licence and the code have to be accepted, by an option or on a terminal: the one for what may
be done with the features, the other because the files run as the user does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from polaris_rxrx.cli._downloads import asking, bars, can_ask
from polaris_rxrx.cli.options import note
from polaris_rxrx.errors import PolarisRxrxError, UsageError, short
from polaris_rxrx.featurize.featurizer import Featurizer
from polaris_rxrx.files import default_data
from polaris_rxrx.images.sites import ImageSet

REPOSITORY = "recursionpharma/OpenPhenom"


def make(options: dict[str, Any]) -> Featurizer:
    """The featurizer that the options ask for."""
    from polaris_rxrx.featurize.checkpoint import require
    from polaris_rxrx.featurize.openphenom import OpenPhenom, found_device

    require()  # before anybody downloads 0.7 GB for nothing
    device = found_device(options["device"])
    folder, name, revision = _folder(options)
    return OpenPhenom.of(
        folder,
        name=name,
        revision=revision,
        trust_remote_code=options["trust_remote_code"] or _trusted(folder),
        device=device,
        batch_size=options["batch_size"],
    )


def look(featurizer: Featurizer, images: ImageSet, check_against: Path | None) -> None:
    """Say what is made of the images; with a table, compare first."""
    from polaris_rxrx.featurize.openphenom import OpenPhenom
    from polaris_rxrx.featurize.published import agreement

    assert isinstance(featurizer, OpenPhenom)
    featurizer.check(images)
    for line in featurizer.notes(images):
        note(line)
    if check_against is not None:
        note(agreement(featurizer, images, check_against).told)


def _folder(options: dict[str, Any]) -> tuple[Path, str, str]:
    """The model's folder, its name and its revision; the licence is accepted."""
    from polaris_rxrx.dataset.models import fetch_model, is_repository

    given, revision = options["model"] or REPOSITORY, options["revision"]
    ask = asking(options["accept_licence"])
    path = Path(given).expanduser()
    if path.is_dir():
        if revision is not None:
            raise UsageError(f"--revision belongs to a repository; {path} is a folder, and holds one")
        _accept(path, ask)
        return path, "", ""
    if not is_repository(given):
        raise UsageError(
            f"--model {short(given)}: no such folder is there, nor is it a repository's name; a folder or "
            "OWNER/NAME was expected"
        )
    with bars() as progress:
        found = fetch_model(given, revision, default_data(), ask=ask, say=note, progress=progress)
    return found.folder, found.repository, found.revision


def _accept(folder: Path, ask: Any) -> None:
    """A folder's own licence, if it has a file of it, is accepted."""
    from polaris_rxrx import bounded
    from polaris_rxrx.dataset.download import Licence
    from polaris_rxrx.dataset.models import LICENCE

    for path in sorted(p for p in folder.iterdir() if LICENCE.fullmatch(p.name) and p.is_file()):
        if ask is None:
            raise UsageError(
                f"{folder} comes under a licence, and there is no terminal to ask on. Read {path}; if you "
                "accept it, add --accept-licence."
            )
        text = bounded.read_file(path).decode("utf-8", errors="replace")
        if not ask(Licence(str(path), text, folder.name)):
            raise PolarisRxrxError("The licence was not accepted; nothing was done.")


def _trusted(folder: Path) -> bool:
    """Whether the user trusts the code of a folder; False where nobody can be asked."""
    if not can_ask():
        return False
    from polaris_rxrx.featurize.checkpoint import Checkpoint

    code = Checkpoint.of(folder).code
    note(f"{folder}: the model is made by these files, which run as you do:")
    for name, digest in code.items():
        note(f"  {name}  (SHA-256 {digest[:16]}...)")
    if not click.confirm("Do you trust them?", default=False, err=True):
        raise PolarisRxrxError("The model's code was not trusted; nothing was run.")
    return True
