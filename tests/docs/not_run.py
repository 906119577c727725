"""Which command lines on the pages nothing runs, and why; and which test runs those of a page.

Conventions: cells of the shell are run as the pages are built (`just docs`). Of all other lines in blocks
of shell, one stands on a page that a test runs (`RUN_BY`), or begins as one of `NOT_RUN` does.
`test_commands.py` holds both to the pages.
"""

# Page -> the test that runs its lines, and reads them there.
RUN_BY = {
    "CONTRIBUTING.md": "tests/test_justfile.py",
    "README.md": "tests/test_readme.py",
    "docs/clusters.md": "tests/test_slurm.py",
    "docs/guides/submit.md": "tests/test_readme.py",
    "docs/start.md": "tests/test_readme.py",
    "docs/images.md": "tests/test_images_page.py",
    "docs/any-size.md": "tests/docs/test_commands.py",
    "docs/corrections.md": "tests/docs/test_commands.py",
}

# How a line begins -> why nothing runs it.
NOT_RUN = {
    ".venv/bin/pip install": "downloads packages",
    "apptainer ": "wants Apptainer; tests/test_installs.py reads the definition",
    "conda install": "wants conda, and a channel",
    "docker ": "wants a Docker daemon; tests/test_installs.py reads the Dockerfile",
    "pip download": "downloads packages",
    "pip install": "downloads packages",
    "pipx ": "downloads packages",
    "rattler-build ": "downloads packages; tests/test_installs.py reads the recipe",
    "uv tool install": "downloads packages",
    "uvx ": "downloads packages",
    "python3 -m venv": "downloads packages; `.ci/run` does it",
    "polaris-rxrx featurize openphenom": "downloads a model; tests/cli/test_openphenom.py reads it",
    "polaris-rxrx runs runs --watch": "goes on until it is stopped; tests/cli/test_runs.py stops one",
    "pytest": "runs the tests",
    "python -m tests.performance": "takes minutes",
}
