"""Figures to files, and into a page.

Conventions
    The same figure gives the same bytes. Text stays text, so that it can be searched, copied and read aloud.
    In a page (`inline_svg`) colors are the page's: `var(--ink, #1a1a1a)` and its like, so one page can be
    light and dark; the background is the page's, the font too, and ids start with the figure's name.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from polaris_rxrx.files import new_file
from polaris_rxrx.present.style import PALETTE, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 200
_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_VARIABLES = {value: f"var({name}, {value})" for name, value in PALETTE.items()}
_COLOR = re.compile("|".join(_VARIABLES))
_FONT = re.compile(r"font: (?:(\w+) )?([\d.]+)px [^;]*")
_FAMILY = re.compile(r"font-family: [^;]*")
_URL = re.compile(r"url\(#([^)]+)\)")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_BARE = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def write(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write NAME.png and NAME.svg of each figure into `folder`, which is made if it is not there."""
    for name, figure in figures.items():
        with drawing():
            with new_file(folder / f"{name}.png") as temporary:
                figure.savefig(
                    temporary, format="png", dpi=DPI, facecolor="white", metadata={"Software": None}
                )
            with new_file(folder / f"{name}.svg") as temporary:
                figure.savefig(temporary, format="svg", facecolor="white", metadata=_BARE)


def inline_svg(figure: Figure) -> str:
    """An `<svg>` element to stand in an HTML page, as wide as there is room for."""
    raw = io.BytesIO()
    with drawing():
        figure.savefig(raw, format="svg", facecolor="none", metadata=_BARE)
    root = ElementTree.fromstring(raw.getvalue())
    prefix = f"{figure.get_label()}-"
    named = _named(root)
    for parent in list(root.iter()):
        # Rules for `*` would reach out into the page; the two that matter stand on the root below.
        for child in [c for c in parent if c.tag in (f"{_SVG}style", f"{_SVG}metadata")]:
            parent.remove(child)
    for element in root.iter():
        _restyle(element, prefix, named)
    _drop_empty(root)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt; font-family: inherit; width: 100%")
    title = ElementTree.Element("title")
    suptitle = " ".join(figure.get_suptitle().split())
    title.text = suptitle
    root.insert(0, title)
    root.set("aria-label", suptitle)
    root.set("xmlns", _SVG.strip("{}"))
    return ElementTree.tostring(root, encoding="unicode")


def _named(root: ElementTree.Element) -> set[str]:
    """The ids that something refers to; no other needs one."""
    found = set()
    for element in root.iter():
        for value in element.attrib.values():
            found.update(_URL.findall(value))
        reference = element.get(f"{_XLINK}href", "")
        if reference.startswith("#"):
            found.add(reference[1:])
    return found


def _restyle(element: ElementTree.Element, prefix: str, named: set[str]) -> None:
    """Local names without a namespace, prefixed ids, the page's colors and font."""
    element.tag = element.tag.removeprefix(_SVG)
    own = element.attrib.pop("id", None)
    if own in named:
        element.set("id", prefix + str(own))
    if reference := element.attrib.pop(f"{_XLINK}href", None):
        own_part = reference.startswith(
            "#"
        )  # else it is what it holds: a picture, `data:image/png;base64,...`
        element.set("href", f"#{prefix}{reference[1:]}" if own_part else "".join(reference.split()))
    for name, value in element.attrib.items():
        element.set(name, _URL.sub(lambda m: f"url(#{prefix}{m[1]})", value))
    if style := element.get("style"):
        style = _COLOR.sub(lambda m: _VARIABLES[m[0]], style)
        style = _FONT.sub(
            lambda m: f"font-size: {m[2]}px" + (f"; font-weight: {m[1]}" if m[1] else ""), style
        )
        element.set("style", _FAMILY.sub("font-family: inherit", style))
    for name in ("d", "x", "y"):
        if name in element.attrib:  # a hundredth of a point is a sixtieth of a pixel
            value = _NUMBER.sub(lambda m: f"{float(m[0]):.2f}", element.attrib[name])
            element.set(name, " ".join(value.split()))
    if element.text is not None and element.tag not in ("text", "tspan", "title"):
        element.text = None
    element.tail = None


def _drop_empty(root: ElementTree.Element) -> None:
    """Groups and definitions that hold nothing."""
    for child in list(root):
        _drop_empty(child)
        if child.tag in ("g", "defs") and not len(child):
            root.remove(child)
