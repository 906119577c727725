"""Runs pages' cells where they can do no harm, and keeps temporary folders out of what they print.

Conventions
    Everything that a build writes besides its output lies in one temporary folder, which goes with it: the
    demo's data (made once), the kernels' specifications, and a folder for each page while it runs. In the
    pages a page's folder, and its home, are called `~`. Pages with cells are spread among the pages that are
    read, so that two processes (`-j 2`) both have some.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

from built import kernels

# What would make a page depend on who builds it.
_UNSET = re.compile(
    r"POLARIS|HF_|HUGGING|AWS_|.*_PROXY$|.*_proxy$|NO_COLOR|FORCE_COLOR|COLUMNS|PYTHON(PATH|DONTWRITE)"
)


def begin_build(app: Sphinx) -> None:
    """Make the folder of this build: the demo, the kernels, and an environment without anything of yours."""
    root = Path(tempfile.mkdtemp(prefix="polaris-rxrx-docs-")).resolve()
    app.connect("build-finished", lambda *_: shutil.rmtree(root, ignore_errors=True))
    (root / "pages").mkdir()
    app._root_of_pages = root  # type: ignore[attr-defined]
    for name in [name for name in os.environ if _UNSET.match(name)]:
        del os.environ[name]
    package = str(Path(app.srcdir).parent)
    os.environ.update(
        COLUMNS=str(kernels.COLUMNS),
        NO_COLOR="1",
        DOCS_DEMO=str(root / "demo"),
        HF_HUB_OFFLINE="1",
        JUPYTER_PATH=str(root / "jupyter"),
        JUPYTER_RUNTIME_DIR=str(root / "runtime"),
        IPYTHONDIR=str(root / "ipython"),
        MATPLOTLIBRC=str(Path(app.srcdir) / "matplotlibrc"),
        MPLCONFIGDIR=str(root / "matplotlib"),
        OPENBLAS_NUM_THREADS="1",
        PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        PYDEVD_DISABLE_FILE_VALIDATION="1",
        PYTHONPATH=package,
        PYTHONWARNINGS="ignore:::debugpy",
        SOURCE_DATE_EPOCH="0",
    )
    tempfile.tempdir = str(root / "pages")
    if app.config.nb_execution_mode == "off":  # a look at the text alone
        return
    kernels.install(root / "jupyter")
    words = [sys.executable, "-m", "polaris_rxrx", "demo", "polaris-rxrx-demo"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExtensionError(f"the demo, which pages run on, failed:\n{done.stderr}")
    (root / "polaris-rxrx-demo").rename(root / "demo")


def spread(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Order the pages so that each run of neighbors holds as many with cells as any other."""

    def has_cells(name: str) -> bool:
        return "file_format: mystnb" in Path(env.doc2path(name)).read_text("utf-8")[:500]

    rows = {True: [n for n in docnames if has_cells(n)], False: [n for n in docnames if not has_cells(n)]}
    places = [((i + 0.5) / len(names), name) for names in rows.values() for i, name in enumerate(names)]
    docnames[:] = [name for _, name in sorted(places)]


def mask(app: Sphinx, doctree: nodes.document) -> None:
    """Call a page's folder `~` wherever it is printed."""
    root = re.escape(str(app._root_of_pages))  # type: ignore[attr-defined]
    folder = re.compile(rf"(?:/private)?{root}/pages/\w+(?:/\.home)?")
    for node in list(doctree.findall(lambda n: isinstance(n, (nodes.Text, nodes.raw)))):
        text = node.astext()
        masked = folder.sub("~", text)
        if masked == text:
            continue
        if isinstance(node, nodes.Text):
            node.parent.replace(node, nodes.Text(masked))
        else:
            node.parent.replace(node, nodes.raw(masked, masked, **node.attributes))


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", begin_build)
    app.connect("env-before-read-docs", spread)
    app.connect("doctree-read", mask)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
