"""What a page of `explore` holds, read from its text as its script would read it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.explore import blocks

_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.S)
_BLOCK = re.compile(r'<script type="text/plain" id="block-([^"]+)">(.*?)</script>', re.S)


@dataclass(frozen=True)
class Held:
    """The document and the blocks of a page, and what is often asked of them."""

    document: dict[str, Any]
    blocks: dict[str, Any]

    @property
    def names(self) -> list[str]:
        names: list[str] = self.document["rows"]["names"]
        return names

    def rows(self) -> list[tuple[str, str, float | None]]:
        """Type, name and concentration of every row."""
        rows = self.document["rows"]
        dose = [None, *rows["doses"]]
        own = zip(*(self.blocks[f"row_{n}"].tolist() for n in ("type", "name", "dose")), strict=True)
        return [(rows["types"][t], self.names[n], dose[d]) for t, n, d in own]

    def cosines(self) -> NDArray[np.float64]:
        """Of all rows with all, as the page computes them; NaN without a vector."""
        whole, scale = self.blocks["vectors"].astype(np.int64), self.blocks["row_scale"].astype(np.float64)
        found = (whole @ whole.T) * scale[:, None] * scale
        found[scale == 0], found[:, scale == 0] = np.nan, np.nan
        return found


def held(text: str) -> Held:
    """What is in the text of a page."""
    (data,) = _DATA.findall(text)
    document = json.loads(data)
    found = dict(_BLOCK.findall(text))
    assert list(found) == list(document["blocks"])
    return Held(document, {n: blocks.read(t, document["blocks"][n]) for n, t in found.items()})
