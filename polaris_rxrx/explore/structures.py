"""Structures of compounds, drawn in as few letters as they can be, for a page with thousands of them.

Conventions
    RDKit draws, with letters as text; what it has drawn becomes one path for bonds, one for hashes, one for
    wedges, and one text a size and color, whose letters each have their own place; mitered joints are left
    out, for lines have round ends. Numbers are whole, in quarters of a pixel, those of a path the steps from
    one point to the next. The ground is light in any theme: the picture is for an <img>, where no script
    runs. What RDKit cannot parse or draw has no picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from polaris_rxrx.errors import some
from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.blocks import Part
from polaris_rxrx.explore.rows import Rows
from polaris_rxrx.present.numbers import count
from polaris_rxrx.types import Progress
from polaris_rxrx.wells.smiles import strip_extension

SIZE = (260, 190)  # pixels
_FINE = 4  # steps a pixel
_COLORS = {"N": "#2040d0", "O": "#c00000", "S": "#806000", "P": "#a05000", "B": "#a05050"} | dict.fromkeys(
    ("F", "Cl", "Br", "I"), "#107030"
)
_PATH = re.compile(r"<path class='[^']*' d='([^']*)' style='fill:([^;]*);[^']*?stroke-width:([\d.]+)px")
_TEXT = re.compile(
    r"<text x='([\d.-]+)' y='([\d.-]+)' class='atom-(\d+)' style='font-size:(\d+)px[^>]*>([^<]*)<"
)
_POINT = re.compile(r"(-?[\d.]+),(-?[\d.]+)")


def structures(rows: Rows, smiles: Mapping[str, str], progress: Progress | None = None) -> Part:
    """One picture for each compound of the map whose SMILES is known.

    Args:
        rows: Of the page.
        smiles: Compound -> SMILES, also with CXSMILES' extension.
        progress: Called with a word, how far, out of how many.
    """
    compounds = rows.named("COMPOUND")
    if not compounds:
        return Part(missing={"structures": "The map has no compounds"})
    if not any(smiles.get(name) for name in compounds):
        return Part(missing={"structures": "No SMILES are at hand (well metadata in --data, or --metadata)"})
    import datamol as dm

    drawn, failed = [], []
    with dm.without_rdkit_log():
        for done, name in enumerate(sorted(compounds), 1):
            text = strip_extension(smiles.get(name, ""))
            if picture := draw(text) if text else "":
                drawn.append([rows.name_at[name], picture])
            else:
                failed.append(name)
            if progress is not None:
                progress("structures", done, len(compounds))
    none = f"{count(len(failed), 'compound has', 'compounds have')} no structure that can be drawn"
    notes = [f"{none}: {some(failed)}"]
    document = {"structures": {"width": SIZE[0], "height": SIZE[1], "n": len(drawn)}}
    return Part(document, {"structures": blocks.write_json(drawn)}, tuple(notes if failed else ()))


def draw(smiles: str) -> str:
    """A structure as SVG; empty if it cannot be parsed or drawn."""
    import datamol as dm
    from rdkit.Chem.Draw import rdMolDraw2D

    mol = dm.to_mol(smiles)
    if mol is None or mol.GetNumAtoms() == 0:
        return ""
    drawer = rdMolDraw2D.MolDraw2DSVG(*SIZE, -1, -1, True)  # letters as text, not as outlines
    options: Any = drawer.drawOptions()
    options.clearBackground = False
    options.padding = 0.06
    options.useBWAtomPalette()
    try:
        rdMolDraw2D.PrepareAndDrawMolecule(drawer, mol)
    except (ValueError, RuntimeError):  # RDKit refuses some structures it has parsed
        return ""
    drawer.FinishDrawing()
    symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
    return _terse(drawer.GetDrawingText(), symbols)


def _terse(svg: str, symbols: list[str]) -> str:
    """What RDKit wrote, in fewer letters."""
    lines: dict[str, list[list[tuple[int, int]]]] = {}
    for places, fill, width in _PATH.findall(svg):
        kind = "solid" if fill != "none" else width
        if places.count("M") == 1:
            lines.setdefault(kind, []).append([_point(x, y) for x, y in _POINT.findall(places)])
    letters: dict[tuple[str, str], list[tuple[int, int, str]]] = {}
    for x, y, atom, size, letter in _TEXT.findall(svg):
        # Hydrogens that RDKit adds to show a stereocenter come after the others.
        color = _COLORS.get(symbols[int(atom)], "") if int(atom) < len(symbols) else ""
        letters.setdefault((size, color), []).append((*_point(x, y), letter))
    parts = [
        f'<path d="{_path(lines[kind], kind == "solid")}"'
        + (' fill="#000" stroke="none"' if kind == "solid" else f' stroke-width="{float(kind) * _FINE:g}"')
        + "/>"
        for kind in sorted(lines)
    ]
    for (size, color), own in sorted(letters.items()):
        x, y = (" ".join(str(at[axis]) for at in own) for axis in (0, 1))
        ink = f' fill="{color}"' if color else ' fill="#000"'
        text = "".join(letter for *_, letter in own)
        parts.append(
            f'<text x="{x}" y="{y}" font-size="{int(size) * _FINE}"{ink} stroke="none">{text}</text>'
        )
    width, height = (n * _FINE for n in SIZE)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" fill="none" stroke="#000" '
        f'stroke-linecap="round" font-family="sans-serif">{"".join(parts)}</svg>'
    )


def _point(x: str, y: str) -> tuple[int, int]:
    return round(float(x) * _FINE), round(float(y) * _FINE)


def _path(lines: Iterable[list[tuple[int, int]]], closed: bool) -> str:
    """Lines through these points, as the steps of a path."""
    steps = []
    x = y = 0
    for points in lines:
        for i, (to_x, to_y) in enumerate(points):
            if i or (to_x, to_y) != (x, y):
                steps.append(f"{'l' if i else 'm'}{to_x - x} {to_y - y}")
            x, y = to_x, to_y
        if closed:
            steps.append("z")
            x, y = points[0]
    return "".join(steps).replace(" -", "-")
