"""The JSON schemas of documents and of what `--json` prints, from the package's types.

Conventions: a section a schema, which folds out and can be copied; files first, then commands, by name.
"""

from __future__ import annotations

import json
from pathlib import Path

from built.docstrings import escaped
from polaris_rxrx import schemas


def page(_: Path, words: str = "") -> str:
    """All schemas, without a title."""
    return "\n\n".join(_section(name, about) for name, about in schemas.names().items())


def _section(name: str, about: str) -> str:
    text = json.dumps(schemas.schema_of(name), indent=2, ensure_ascii=False)
    folded = f"<details><summary>The schema</summary>\n\n```json\n{text}\n```\n\n</details>"
    return f"## {name}\n\n{escaped(about)}\n\n{folded}"
