"""What a map's choices are called: a command's help lists them from here, without numpy.

What an aligner does stands in `polaris_rxrx.maps.align`, what an aggregate does in `polaris_rxrx.maps.build`,
what a correction does in `polaris_rxrx.maps.correct`.
"""

from __future__ import annotations

from typing import Literal, get_args

Aligner = Literal["pca-cs", "tvn", "center-scale", "center-scale-all", "none"]
ALIGNERS: tuple[Aligner, ...] = get_args(Aligner)

Aggregate = Literal["mean", "median"]
AGGREGATES: tuple[Aggregate, ...] = get_args(Aggregate)

Correction = Literal["well-position", "chromosome-arm"]
CORRECTIONS: tuple[Correction, ...] = get_args(Correction)
