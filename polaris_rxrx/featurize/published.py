"""Whether features are those that somebody has published: a few wells, compared before a day's work.

Conventions
    The table has a row a well and the featurizer's columns, as `--embeddings` takes it. Wells are taken
    evenly from all that both have, in the order of the images. Each has a cosine of the two rows; all of
    them have to be above `LEAST`.
    Features that are all alike, as untrained ones are, have high cosines with anything. So at least half of
    the wells, if there are three or more, have to be nearer to their own row than to any other's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.featurize.featurizer import Featurizer
from polaris_rxrx.images.sites import ImageSet
from polaris_rxrx.wells.containers import open_embeddings

LEAST = 0.99
WELLS = 12


@dataclass(frozen=True)
class Agreement:
    """Cosines of wells' features with the published ones, in the order of the images.

    `n_own` is how many of the wells are as near to their own row as to any.
    """

    table: Path
    cosines: dict[str, float]
    n_own: int

    @property
    def told(self) -> str:
        """In a sentence."""
        low = min(self.cosines.values())
        n = f"{len(self.cosines):,} wells" if len(self.cosines) > 1 else "1 well"
        return (
            f"{n} compared with {self.table}: the lowest cosine is {low:.4f}, above {LEAST}; {self.n_own:,} "
            f"of {len(self.cosines):,} nearest to their own row"
        )


def agreement(featurizer: Featurizer, images: ImageSet, table: Path, wells: int = WELLS) -> Agreement:
    """Compare a featurizer's features of a few wells with a published table.

    Raises:
        UsageError: The table and the images have no well in common.
        DataError: A cosine is not above `LEAST`, wells are not nearest to their own rows, or the table is of
            other features.
    """
    held = open_embeddings(table)
    ids = held.read(["well_id"]).column("well_id").to_pylist()
    row_of = {str(well): i for i, well in enumerate(ids)}
    both = [well for well in images.wells if well in row_of]
    if not both:
        raise UsageError(
            f"{table} and the images have no well in common: it has {some(ids, 2)}, "
            f"they {some(images.wells, 2)}"
        )
    at = np.unique(np.linspace(0, len(both) - 1, min(wells, len(both))).astype(int))
    chosen = [both[i] for i in at]
    found = featurizer.features(images.part(chosen), chosen).table
    names = [name for name in found.column_names if name != "well_id" and not name.startswith("Metadata_")]
    if absent := [name for name in names if name not in held.names]:
        raise DataError(
            f"{table}: it lacks {some(absent, 3)} of {len(names):,} features of {featurizer.name}; a table "
            "of the same model was expected"
        )
    if len(found) == 0:
        raise DataError(f"none of {some(chosen)} has good images, so nothing can be compared with {table}")
    done = found.column("well_id").to_pylist()
    published = held.read(names).select(names).take([row_of[well] for well in done])
    a = np.array([found.column(n).to_numpy() for n in names], float).T
    b = np.array([published.column(n).to_numpy(zero_copy_only=False) for n in names], float).T
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    every = a @ b.T  # float64: the published rows are float32, so equal ones are equal here
    cosines = dict(zip(done, np.diag(every).tolist(), strict=True))
    low = sorted((well for well in done if not cosines[well] > LEAST), key=lambda well: cosines[well])
    if low:
        worst = ", ".join(f"{well} ({cosines[well]:.4f})" for well in low[:5])
        raise DataError(
            f"{len(low):,} of {len(done):,} wells are not as in {table}: cosines above {LEAST} were "
            f"expected, and the worst are {worst}. It is another model, other weights, or other images than "
            "the table is of"
        )
    n_own = int((np.diag(every) >= every.max(axis=1) - 1e-12).sum())
    if len(done) > 2 and n_own < len(done) / 2:
        raise DataError(
            f"{len(done) - n_own:,} of {len(done):,} wells are nearer to another well's row of {table} than "
            "to their own, though all cosines are high; half of them nearest to their own was expected. It "
            "is another model, or images of other wells or channels than the table is of"
        )
    return Agreement(table, cosines, n_own)
