"""OpenPhenom: six stains to 384 numbers by Recursion's channel-agnostic masked autoencoder.

Conventions
    The model takes crops (N, 6, 256, 256) of 8 bits, 0 to 255, and normalizes them itself: each crop and
    channel to mean 0 and deviation 1. A site is cut into crops without overlap, row by row: four of the
    published 512x512 pixels, one of 256x256. Another size has to be a multiple of 256 both ways; a site
    that is none is a fault: no border is left out without a word.
    A site is the mean of its crops, a well the mean of its sites, both in float64; columns `feature_0` ...
    are float32, as in the published table.
    Images of more than 8 bits become 8 bits by `white`, the value that stands for 255; what is above it is
    255.
    Six channels are taken and no other number: the model would take from 1 to 11, but what it was trained
    and published with are six, and a mean over the tokens of fewer is another feature under the same name.
    On a GPU matrices are multiplied in bfloat16 (weights stay float32), on a CPU all is float32. A batch is
    as large as its memory takes: what is too much is halved. How crops meet in batches shows in the last
    bits.
    Source: Kraus et al., CVPR 2024 (arXiv 2404.10242), and the model's own code, see
    `polaris_rxrx.featurize.checkpoint`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, one_line
from polaris_rxrx.featurize.checkpoint import Checkpoint, checksum, load, quiet, require, versions
from polaris_rxrx.featurize.featurizer import Features
from polaris_rxrx.featurize.rows import table_of
from polaris_rxrx.images.sites import Fault, ImageSet
from polaris_rxrx.types import Matrix

CROP = 256  # pixels both ways
CHANNELS = 6
DEVICES = ("auto", "cpu", "cuda")
WELLS_A_TASK = 96
ON_CPU = 8  # crops at once: more is no faster there
ON_GPU = 512  # crops at once, at most
CROP_BYTES = 64 << 20  # of a GPU's memory for a crop, generously; what proves too much is halved


@dataclass(frozen=True)
class OpenPhenom:
    """A featurizer that runs a checkpoint of OpenPhenom's kind.

    Args:
        checkpoint: The model, whose code is trusted.
        device: `cpu` or `cuda`, on every worker.
        batch_size: Crops at once; None: what the memory takes.
        wells_a_task: How many wells a part has.
    """

    checkpoint: Checkpoint
    device: str = "cpu"
    batch_size: int | None = None
    wells_a_task: int = WELLS_A_TASK

    @classmethod
    def of(
        cls,
        folder: Path,
        *,
        name: str = "",
        revision: str = "",
        trust_remote_code: bool = False,
        device: str = "auto",
        batch_size: int | None = None,
    ) -> OpenPhenom:
        """A featurizer of a folder with a model.

        Args:
            folder: As `polaris_rxrx.dataset.models.fetch_model` leaves it, or one of your own.
            name, revision: What it is called in the protocol.
            trust_remote_code: Whether the Python files in it may be run.
            device: `auto` is `cuda` where this process has one.

        Raises:
            UsageError: The code is not trusted, the device is not there, or what has to be installed is not.
            MissingError, DataError: The folder is not a model's.
        """
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"a batch of {batch_size} crops; 1 or more was expected")
        checkpoint = Checkpoint.of(folder, name, revision)
        if not trust_remote_code:
            raise UsageError(
                f"{checkpoint.folder}: a model is made by its own Python files ({len(checkpoint.code)} "
                "there), which run as you do; read them, and add --trust-remote-code "
                "(trust_remote_code=True) if you trust them"
            )
        require()
        return cls(checkpoint, found_device(device), batch_size)

    @property
    def name(self) -> str:
        return "openphenom"

    @property
    def precision(self) -> str:
        """What matrices are multiplied in."""
        return "bfloat16" if self.device == "cuda" else "float32"

    def protocol(self) -> dict[str, Any]:
        return {
            "model": self.checkpoint.name,
            "revision": self.checkpoint.revision,
            "files": dict(self.checkpoint.files),
            "class": self.checkpoint.classes[1],
            "crop": CROP,
            "mean": "of a site's crops, then of a well's sites",
            "eight_bits": "by white",
            "precision": self.precision,
            "wells_a_task": self.wells_a_task,
            "versions": versions(),
        }

    def check(self, images: ImageSet) -> None:
        require()
        if len(images.channels) != CHANNELS:
            raise DataError(
                f"the images have {len(images.channels)} channels ({', '.join(images.channels)}); OpenPhenom "
                f"was trained and published with {CHANNELS}, and features of another number are not "
                "comparable: --channels says which six, or MODULE:FUNCTION takes any"
            )
        shapes = [site.pixels.shape[1:] for found in images.read(images.wells[:3]) for site in found.sites]
        if shapes and not any(_fits(shape) for shape in shapes):
            h, w = shapes[0]
            raise DataError(
                f"{images.wells[0]}: its images have {h} x {w} pixels; multiples of {CROP} both ways were "
                "expected, as of 512 x 512. Cut or scale them first"
            )

    def notes(self, images: ImageSet) -> tuple[str, ...]:
        """What is made of these images and by what, for the user."""
        told = [f"{self.checkpoint.name}: on {self.device}, in {self.precision}"]
        read = next((site for found in images.read(images.wells[:3]) for site in found.sites), None)
        if read is not None and not (read.pixels.dtype == np.uint8 and images.white == 255):
            told.append(
                f"images of {8 * read.pixels.dtype.itemsize} bits become 8 bits for the model: "
                f"{images.white:g} and above is 255"
            )
        return tuple(told)

    def beside(self, images: ImageSet, wells: Sequence[str]) -> Sequence[str]:
        return ()

    def features(
        self, images: ImageSet, wells: Sequence[str], step: Callable[[int], None] | None = None
    ) -> Features:
        """Run the model on all crops of some wells.

        Raises:
            DataError: The model cannot be loaded, raises, or gives what is no (N, D) of numbers.
        """
        running, taken = _running(self), Taken()
        faults = list[Fault]()
        for done, found in enumerate(images.read(wells), 1):
            faults += found.faults
            for number, site in enumerate(found.sites):
                if _fits(site.pixels.shape[1:]):
                    taken.add((found.well, number), crops(eight_bits(site.pixels, images.white)))
                else:
                    h, w = site.pixels.shape[1:]
                    problem = f"no whole crops: {h} x {w} px; multiples of {CROP} both ways expected"
                    faults.append(Fault(found.well, site.name, "", "", problem))
            taken.give(running)
            if step is not None:
                step(done)
        taken.give(running, all_of_it=True)
        means = taken.means()
        bad = {well for well, (row, _) in means.items() if not np.isfinite(row).all()}
        faults += [Fault(w, "", "", "", "the model gave no finite numbers") for w in wells if w in bad]
        kept = [well for well in wells if well in means and well not in bad]
        matrix = np.array([means[w][0] for w in kept]).reshape(len(kept), running.width)
        columns = {f"feature_{i}": column for i, column in enumerate(matrix.astype(np.float32).T)}
        table = table_of(images, kept, [means[w][1] for w in kept], columns)
        return Features(table, tuple(faults))


# ---- what the model is given


def _fits(shape: Sequence[int]) -> bool:
    return all(side > 0 and side % CROP == 0 for side in shape)


def crops(pixels: Matrix) -> Matrix:
    """A site (C, H, W) as crops (N, C, 256, 256), row by row, without overlap."""
    c, h, w = pixels.shape
    cut = pixels.reshape(c, h // CROP, CROP, w // CROP, CROP)
    found: Matrix = cut.transpose(1, 3, 0, 2, 4).reshape(-1, c, CROP, CROP)
    return found


def eight_bits(pixels: Matrix, white: float) -> Matrix:
    """Values as read as uint8, of which 255 is `white`; rounded to the nearest."""
    if pixels.dtype == np.uint8 and white == 255:
        return pixels
    scaled = np.rint(pixels.astype(np.float32) * np.float32(255 / white))
    found: Matrix = np.minimum(scaled, 255).astype(np.uint8)
    return found


@dataclass
class Taken:
    """Crops that wait for a batch, whose they are, and the sums of what the model gave for those before.

    A site is (well, number); the model's rows come in the order in which crops were added.
    """

    waiting: list[Matrix] = field(default_factory=list)
    owners: list[tuple[str, int]] = field(default_factory=list)
    sums: dict[tuple[str, int], Matrix] = field(default_factory=dict)
    counts: dict[tuple[str, int], int] = field(default_factory=dict)

    def add(self, site: tuple[str, int], cut: Matrix) -> None:
        """Crops (n, C, 256, 256) of a site wait."""
        self.waiting += list(cut)
        self.owners += [site] * len(cut)

    def give(self, running: Running, *, all_of_it: bool = False) -> None:
        """Give the model what fills whole batches, or all of it."""
        while self.waiting and (all_of_it or len(self.waiting) >= running.batch):
            n = min(running.batch, len(self.waiting))
            rows = running.embed(np.stack(self.waiting[:n]))
            for site, row in zip(self.owners[:n], rows, strict=True):
                self.sums[site] = self.sums[site] + row if site in self.sums else row
                self.counts[site] = self.counts.get(site, 0) + 1
            del self.waiting[:n], self.owners[:n]

    def means(self) -> dict[str, tuple[Matrix, int]]:
        """Well -> the mean of the means of its sites, and how many these are."""
        of: dict[str, list[Matrix]] = {}
        for site, total in self.sums.items():
            of.setdefault(site[0], []).append(total / self.counts[site])
        return {well: (np.mean(rows, axis=0), len(rows)) for well, rows in of.items()}


# ---- the model at work


def found_device(device: str) -> str:
    """`cpu` or `cuda`; `auto` is the latter where torch finds one.

    Raises:
        UsageError: There is no such device here.
    """
    if device not in DEVICES:
        raise UsageError(f"device {device!r}: {', '.join(DEVICES)} was expected")
    if device == "cpu":
        return device
    import torch

    there = bool(torch.cuda.is_available())
    if device == "cuda" and not there:
        raise UsageError(
            f"--device cuda: torch {torch.__version__} finds no GPU here; cpu or auto was expected"
        )
    return "cuda" if there else "cpu"


@dataclass
class Running:
    """A loaded model: `predict` takes crops (n, C, 256, 256) of uint8 and gives (n, D).

    Attributes:
        name: Of the model, for messages.
        batch: Crops at once; halved for good where they are too much.
        out_of_memory: What `predict` raises then.
        width: D.
    """

    name: str
    predict: Callable[[Matrix], Any]
    batch: int
    out_of_memory: type[Exception]
    width: int = 0

    def embed(self, cut: Matrix) -> Matrix:
        """Features (n, D) of crops, in float64.

        Raises:
            DataError: The model raises, gives another shape, or has no memory for a single crop.
        """
        rows, at = [], 0
        while at < len(cut):
            piece = cut[at : at + self.batch]
            try:
                given = np.asarray(self.predict(piece))
            except self.out_of_memory as error:
                if len(piece) == 1:
                    raise DataError(
                        f"{self.name}: there is no memory for one crop ({one_line(error)})"
                    ) from None
                self.batch = max(1, len(piece) // 2)
                continue
            except Exception as error:  # of code that is not ours
                raise DataError(f"{self.name}: its predict() raised {one_line(error)}") from error
            if given.ndim != 2 or len(given) != len(piece) or (self.width and given.shape[1] != self.width):
                wanted = f"({len(piece)}, {self.width or 'D'})"
                raise DataError(
                    f"{self.name} gave an array of shape {given.shape} for a batch; {wanted} was expected"
                )
            rows.append(given.astype(np.float64))
            at += len(piece)
        return np.concatenate(rows)


_loaded: dict[tuple[Checkpoint, str, int | None], Running] = {}


def _running(featurizer: OpenPhenom) -> Running:
    """The model of a featurizer, loaded once a process."""
    key = (featurizer.checkpoint, featurizer.device, featurizer.batch_size)
    if key not in _loaded:
        _loaded.clear()  # one at a time: a second one would take as much memory again
        _loaded[key] = _start(featurizer)
    return _loaded[key]


def _start(featurizer: OpenPhenom) -> Running:
    import torch

    checkpoint, device = featurizer.checkpoint, found_device(featurizer.device)
    model, wanted = load(checkpoint)
    model.to(device)
    if checksum(model.state_dict()) != wanted:
        raise DataError(f"{checkpoint.folder}: on {device} its weights are not the file's, bit by bit")

    def predict(cut: Matrix) -> Any:
        autocast = torch.autocast(device, torch.bfloat16, enabled=device == "cuda")
        with quiet(), torch.inference_mode(), autocast:
            return model.predict(torch.from_numpy(cut).to(device)).float().cpu().numpy()

    batch = featurizer.batch_size or ON_CPU
    if device == "cuda" and featurizer.batch_size is None:
        batch = max(1, min(ON_GPU, int(torch.cuda.mem_get_info()[0]) // CROP_BYTES))
    running = Running(checkpoint.name, predict, batch, torch.OutOfMemoryError)
    # Its width is known before the first image: a task without a good well has the same columns.
    running.width = running.embed(np.zeros((1, CHANNELS, CROP, CROP), np.uint8)).shape[1]
    return running
