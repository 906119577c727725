"""Builds the documentation: `just docs`, or `sphinx-build -W --keep-going -E -j 2 docs docs/_build/html`
(with `-D nb_execution_mode=off` the text alone, in seconds).

How a page is written
    Markdown (MyST), one level-one heading, lines up to 110 wide, American spelling (`docs/spelling.txt` has
    the words that a dictionary lacks). Links go to files as on GitHub, `[the card](../baselines/README.md)`;
    headings are anchors, `[seeds](noise.md#seeds)`. `tests/docs/test_links.py` follows them all. A page whose
    cells run begins with

        ---
        file_format: mystnb
        kernelspec:
          name: shell
        ---

    (`python3` in place of `shell` for Python) and has cells like this, a short one each 1 to 3 seconds:

        ```{code-cell}
        cd polaris-rxrx-demo && export POLARIS_RXRX_DATA=data
        polaris-rxrx score openphenom.csv
        ```

    A page has a kernel of its own, and begins in an empty folder of its own, in which `polaris-rxrx-demo/`
    stands as `polaris-rxrx demo` writes it (a copy: change what you like). The shell's folder and exports
    last from cell to cell. A cell that fails fails the build; one that is to fail has `:tags:
    [raises-exception]` as its first line, and `[remove-input]`, `[remove-output]`, `[remove-cell]` and
    `[hide-output]` show less. Output is 100 columns wide, without color or bars; temporary paths read `~`;
    `show FILE.png` puts a picture below a cell. In Python, figures come out as SVG, drawn by
    `docs/matplotlibrc` in gray on nothing, for light and dark pages: keep text gray, draw data in C0 to C5.
    What cannot run here (Hub, GPU, downloads) stands in a plain ```sh block, and is run by a test or named in
    `tests/docs/not_run.py` with the reason.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))
sys.path.insert(0, str(HERE.parent))

from polaris_rxrx._version import __version__  # noqa: E402

project = "polaris_rxrx"
author = "The polaris_rxrx developers"
copyright = "The polaris_rxrx developers"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx_copybutton",
    "built.executed",
    "built.generated",
    "built.links",
    "built.spelling",
]
exclude_patterns = ["_build", "_ext"]
suppress_warnings = ["config.cache"]

# Pages.
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
python_maximum_signature_line_length = 88
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 600  # seconds a cell: a busy machine is no error
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

# How they look.
smartquotes = False  # options have two hyphens
html_theme = "furo"
html_title = f"polaris_rxrx {__version__}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "default"
pygments_dark_style = "github-dark"
# A button on what one types, not on what is printed.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_selector = "div:not(.output):not(.highlight-text) > div.highlight > pre"
