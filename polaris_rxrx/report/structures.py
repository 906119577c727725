"""Structures of compounds as pictures: SMILES to a data URI.

Conventions
    A picture is an SVG with no background, for a light ground in any theme. What RDKit cannot parse or draw
    has none; the same SMILES gives the same bytes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any

SIZE = (260, 190)  # pixels
# What RDKit writes out though it is the default, and the atoms' numbers: more than half of the bytes.
_IDLE = re.compile(
    " class='[^']*'|"
    ";?(?:fill-rule:evenodd|stroke-linecap:butt|stroke-linejoin:miter|stroke-opacity:1)(?=[;'])"
)


def draw_structures(smiles: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """A data URI for each of `names` that has a SMILES which can be drawn."""
    wanted = {name: smiles[name] for name in names if smiles.get(name)}
    if not wanted:
        return {}
    import datamol as dm

    with dm.without_rdkit_log():
        drawn = {name: draw_svg(text) for name, text in wanted.items()}
    return {
        name: f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
        for name, svg in drawn.items()
        if svg
    }


def draw_svg(smiles: str) -> str:
    """The structure as SVG text; empty if it cannot be parsed or drawn."""
    import datamol as dm
    from rdkit.Chem.Draw import rdMolDraw2D

    from polaris_rxrx.wells.smiles import strip_extension

    mol = dm.to_mol(strip_extension(smiles))
    if mol is None or mol.GetNumAtoms() == 0:
        return ""
    drawer = rdMolDraw2D.MolDraw2DSVG(*SIZE)
    options: Any = drawer.drawOptions()  # the stubs take its settings for objects of its own kind
    options.clearBackground = False
    options.padding = 0.06
    try:
        rdMolDraw2D.PrepareAndDrawMolecule(drawer, mol)
    except (ValueError, RuntimeError):  # RDKit refuses some structures it has parsed
        return ""
    drawer.FinishDrawing()
    return _IDLE.sub("", drawer.GetDrawingText())
