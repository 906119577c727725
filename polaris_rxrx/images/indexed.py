"""Images of wells, indexed but not read: an `ImageSet` over any store of bytes.

Conventions
    An index is arrays, ordered by well, site and channel: some 30 bytes an image, whatever the names are.
    The size and the depth of a set are those of most of `LOOKED_AT` images, spread evenly over it (the
    earlier of equally frequent ones); every other image is a fault. They are settled once, when the set is
    opened, and the same for all of its parts.
    The key of wells is made of each image's well, site, channel and BLAKE2 hash of its stored bytes, and of
    how the set is read (channels, size, depth, white, micrometers); so it is the same for other shards, other
    names of files, and other parts. `read` hashes what it reads, and `key` reads only what was not read
    before in this process: asked after `read` it costs nothing, before it one more reading of the bytes,
    without decoding.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.images.decode import Bad, decode
from polaris_rxrx.images.names import Place
from polaris_rxrx.images.sites import Fault, ImageSet, Site, WellImages
from polaris_rxrx.images.stores import Store
from polaris_rxrx.types import Bools, Ints, Matrix

LOOKED_AT = 9
_TRIED = 60  # for as many good ones
_DIGEST = 16


@dataclass(frozen=True)
class Kind:
    """What every image of a set has to be: its height and width in pixels, its bits."""

    size: tuple[int, int]
    bits: int


@dataclass(eq=False)
class Indexed:
    """Images of wells, which `open_images` makes: see `ImageSet`.

    `starts` (wells + 1,) are positions in `site`, `channel` and `store`, (images,) each.
    """

    wells: tuple[str, ...]
    places: tuple[Place, ...]
    starts: Ints
    sites: tuple[str, ...]
    site: Ints
    channels: tuple[str, ...]
    channel: Ints
    store: Store
    kind: Kind
    white: float
    pixel_size: float | None
    provenance: dict[str, Any]
    notes: tuple[str, ...] = ()
    _digests: Matrix | None = field(default=None, repr=False)
    _known: Bools | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.wells)

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "_digests": None, "_known": None}
        state.pop("_at", None)
        return state

    @cached_property
    def _at(self) -> dict[str, int]:
        return {well: i for i, well in enumerate(self.wells)}

    def _number(self, well: str) -> int:
        if (found := self._at.get(well)) is None:
            raise UsageError(
                f"no images of well {well!r}; there are {len(self.wells):,} wells, {some(self.wells, 3)}"
            )
        return found

    def _images(self, well: int) -> Ints:
        found: Ints = np.arange(self.starts[well], self.starts[well + 1])
        return found

    def plate(self, well: str) -> str:
        return self.places[self._number(well)].plate_name

    def metadata(self, well: str) -> dict[str, str]:
        return self.places[self._number(well)].to_dict()

    def part(self, wells: Sequence[str]) -> Indexed:
        """The same set with these wells alone, in the set's order whatever theirs is.

        Raises:
            UsageError: A well that is not in the set.
        """
        kept = sorted({self._number(well) for well in wells})
        images = np.concatenate([self._images(i) for i in kept]) if kept else np.zeros(0, dtype=np.int64)
        counts = np.diff(self.starts)[np.array(kept, dtype=np.int64)]
        return replace(
            self,
            wells=tuple(self.wells[i] for i in kept),
            places=tuple(self.places[i] for i in kept),
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            site=self.site[images],
            channel=self.channel[images],
            store=self.store.take(images),
            _digests=None,
            _known=None,
        )

    # ---- reading

    def read(self, wells: Sequence[str]) -> Iterator[WellImages]:
        numbers = [self._number(well) for well in wells]
        return self._read(numbers)

    def _read(self, numbers: Sequence[int]) -> Iterator[WellImages]:
        images = [self._images(number) for number in numbers]
        for number, raws in zip(numbers, self.store.fetch(images), strict=True):
            for image, raw in raws.items():
                self._note(image, raw)
            yield self._well(number, raws)

    def _well(self, number: int, raws: dict[int, bytes | Bad]) -> WellImages:
        well, images = self.wells[number], self._images(number)
        sites: list[Site] = []
        damaged: list[Site] = []
        faults: list[Fault] = []
        for code in dict.fromkeys(self.site[images].tolist()):
            name = self.sites[code]
            pixels = np.zeros((len(self.channels), *self.kind.size), dtype=f"u{self.kind.bits // 8}")
            found = {int(self.channel[i]): int(i) for i in images[self.site[images] == code]}
            wrong: list[Fault] = []
            for channel, called in enumerate(self.channels):
                if channel not in found:
                    wrong.append(Fault(well, name, called, "", "no such image"))
                    continue
                image = found[channel]
                try:
                    pixels[channel] = self._pixels(raws[image])
                except Bad as problem:
                    wrong.append(Fault(well, name, called, self.store.file(image), str(problem)))
            faults += wrong
            (damaged if wrong else sites).append(Site(well, name, pixels))
        return WellImages(well, tuple(sites), tuple(faults), tuple(damaged))

    def _pixels(self, raw: bytes | Bad) -> Matrix:
        if isinstance(raw, Bad):
            raise raw
        pixels = decode(raw, self.kind.size, self.kind.bits)
        most = int(pixels.max())
        if most > self.white:
            raise Bad(f"above the scale: a value of {most:,}, where {self.white:,g} stands for white")
        if most == 0:
            raise Bad("all black")
        return pixels

    # ---- hashes

    def key(self, wells: Sequence[str]) -> str:
        numbers = [self._number(well) for well in wells]
        unknown = [number for number in numbers if not self._is_known(number)]
        for raws in self.store.fetch([self._images(number) for number in unknown]):
            for image, raw in raws.items():
                self._note(image, raw)
        assert self._digests is not None or not numbers
        micrometers = None if self.pixel_size is None else float(self.pixel_size)
        kind = (self.kind.size, self.kind.bits, float(self.white), micrometers, self.channels)
        whole = hashlib.blake2b(repr(kind).encode(), digest_size=32)
        for number in numbers:
            whole.update(f"\n{self.wells[number]!r}".encode())
            for image in self._images(number):
                assert self._digests is not None
                name = (self.sites[self.site[image]], self.channels[self.channel[image]])
                whole.update(repr(name).encode() + self._digests[image].tobytes())
        return whole.hexdigest()

    def _is_known(self, number: int) -> bool:
        return self._known is not None and bool(self._known[self._images(number)].all())

    def _note(self, image: int, raw: bytes | Bad) -> None:
        """Keep an image's hash: of its bytes, or of what is wrong with it."""
        if self._digests is None or self._known is None:
            self._digests = np.zeros((len(self.site), _DIGEST), dtype=np.uint8)
            self._known = np.zeros(len(self.site), dtype=np.bool_)
        if not self._known[image]:
            said = raw if isinstance(raw, bytes) else f"\x00{raw}".encode()
            digest = hashlib.blake2b(said, digest_size=_DIGEST, usedforsecurity=False).digest()
            self._digests[image] = np.frombuffer(digest, dtype=np.uint8)
            self._known[image] = True


def look(store: Store) -> tuple[Kind, int, list[str]]:
    """What the images of a store are, from a few of them.

    Returns:
        Their size and depth, the largest value seen, and what to tell a user.

    Raises:
        DataError: None of those looked at can be read.
    """
    n = len(store)
    tried = list(dict.fromkeys(np.linspace(0, n - 1, min(n, LOOKED_AT)).astype(np.int64).tolist()))
    more = np.linspace(0, n - 1, min(n, _TRIED)).astype(np.int64).tolist()
    kinds: list[Kind] = []
    wrong: list[tuple[int, Bad]] = []
    most = 0
    for image in dict.fromkeys([*tried, *more]):
        (found,) = store.fetch([np.array([image])])
        raw = found[image]
        try:
            if isinstance(raw, Bad):
                raise raw
            pixels = decode(raw)
        except Bad as problem:
            wrong.append((image, problem))
            continue
        kinds.append(Kind((pixels.shape[0], pixels.shape[1]), pixels.dtype.itemsize * 8))
        most = max(most, int(pixels.max()))
        if len(kinds) == LOOKED_AT:
            break
    if not kinds:
        image, first = wrong[0]
        raise DataError(
            f"none of {len(wrong):,} images that were looked at can be read; the first, {store.at(image)} "
            f"({store.file(image)}): {first}"
        )
    counts = Counter(kinds).most_common()
    kind, times = counts[0]
    told = []
    if len(counts) > 1:
        told.append(
            f"{times} of {len(kinds)} images that were looked at have {kind.size[0]} x {kind.size[1]} px of "
            f"{kind.bits} bits; images of other sizes or depths are faults"
        )
    return kind, most, told


def _check(images: Indexed) -> ImageSet:
    return images  # what mypy holds against the contract
