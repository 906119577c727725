"""A map as one HTML page that needs nothing beside it: no network, no other file.

Conventions
    Names are text, escaped by the template and set by the script as text; they are never markup, and the JSON
    holds none of <, > and & as itself. The policy in the page's head allows its own script alone (by its
    hash), pictures within the page, and no connection. The same payload gives the same bytes.
    The template is `templates/page.html.j2`; the style is every .css file of that folder, the script every
    .js file, in the order of their names.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path

from polaris_rxrx._version import __version__
from polaris_rxrx.explore.payload import Payload
from polaris_rxrx.files import write_text
from polaris_rxrx.present.html import json_block


def write_page(path: Path, payload: Payload) -> int:
    """Write the page; a file that is there is replaced. How many bytes it has."""
    text = render(payload)
    write_text(path, text)
    return len(text.encode("utf-8"))


def render(payload: Payload) -> str:
    """The page as text."""
    import jinja2

    here = resources.files("polaris_rxrx.explore") / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (here / name).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    files = sorted(file.name for file in here.iterdir())
    style, script = (
        "".join((here / name).read_text("utf-8") for name in files if name.endswith(suffix))
        for suffix in (".css", ".js")
    )
    page = environment.get_template("page.html.j2").render(
        title=payload.document["title"],
        version=__version__,
        made_up=payload.document["made_up"],
        document=payload.document,
        data=json_block(payload.document),
        blocks={name: block.text for name, block in payload.blocks.items()},
        style=style,
        script=script,
        policy=_policy(script),
    )
    # A name may hold half a character, which no file can.
    return page.encode("utf-8", "replace").decode("utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
