"""A map as one HTML page that needs nothing beside it: no network, no other file.

Conventions
    Names are text, escaped by the template and set by the script as text; they are never markup, and the JSON
    holds none of <, > and & as itself. The policy in the page's head allows its own script alone (by its
    hash), pictures within the page, and no connection. The same payload gives the same bytes.
    The template is `templates/page.html.j2`; the style is that of all pages and every .css file of that
    folder, the script every .js file, in the order of their names.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from polaris_rxrx._version import __version__
from polaris_rxrx.explore.payload import Payload
from polaris_rxrx.files import write_text
from polaris_rxrx.present.html import json_block
from polaris_rxrx.present.page import as_file, colors, environment, policy


def write_page(path: Path, payload: Payload) -> int:
    """Write the page; a file that is there is replaced. How many bytes it has."""
    text = render(payload)
    write_text(path, text)
    return len(text.encode("utf-8"))


def render(payload: Payload) -> str:
    """The page as text."""
    here = resources.files("polaris_rxrx.explore") / "templates"
    files = sorted(file.name for file in here.iterdir())
    style, script = (
        "".join((here / name).read_text("utf-8") for name in files if name.endswith(suffix))
        for suffix in (".css", ".js")
    )
    page = (
        environment(here)
        .get_template("page.html.j2")
        .render(
            title=payload.document["title"],
            version=__version__,
            made_up=payload.document["made_up"],
            document=payload.document,
            data=json_block(payload.document),
            blocks={name: block.text for name, block in payload.blocks.items()},
            style=colors() + style,
            script=script,
            policy=policy(script, "data:", "blob:"),
        )
    )
    return as_file(page)
