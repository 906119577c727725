"""What every page has that is one file: templates, colors, and a policy that lets nothing in or out.

Conventions
    Names are text, escaped by the template; they are never markup. The policy allows the page's own script
    alone (by its hash) and pictures within it. The colors, light and dark, stand in `colors.css` beside this.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Traversable

    import jinja2


def environment(folder: Traversable) -> jinja2.Environment:
    """The templates of a folder: what they are given is escaped, and what they lack is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )


def colors() -> str:
    """The style that all pages begin with."""
    return (resources.files("polaris_rxrx.present") / "colors.css").read_text("utf-8")


def policy(script: str, *pictures: str) -> str:
    """A page's Content-Security-Policy: its own script, its own style, pictures of these kinds of address."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    kinds = " ".join(["img-src", *pictures])
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; {kinds}; "
        "base-uri 'none'; form-action 'none'"
    )


def as_file(page: str) -> str:
    """A page as a file can hold it: names may have half a character, as paths that are no UTF-8 give."""
    return page.encode("utf-8", "replace").decode("utf-8")
