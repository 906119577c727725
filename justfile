# What is done here every day, a recipe each. Without `just`, type the lines.

bin := ".venv/bin"

# List the recipes.
default:
    @just --list

# Make .venv with everything in it, and lint before every commit.
setup:
    python3 -m venv .venv
    {{bin}}/pip install --quiet --editable '.[dev]'
    {{bin}}/pre-commit install

# Run the fast tests, offline; words after it go to pytest.
test *words:
    {{bin}}/pytest -n 2 --dist worksteal -m 'not slow' {{words}}

# Run every test but the thousands of mutated files (`pytest -m fuzz`).
test-all *words:
    {{bin}}/pytest -n 2 --dist worksteal {{words}}

# Check style and types.
lint:
    {{bin}}/ruff check .
    {{bin}}/ruff format --check .
    {{bin}}/mypy

# Speed and memory against the public way, a tenth of everything.
bench *words='--quick':
    {{bin}}/python -m tests.performance {{words}}

# Build the pages into docs/_build/html: every example on them is run, and no warning is let through.
docs:
    python3 -m venv .venv
    {{bin}}/pip install --quiet --editable '.[docs]'
    {{bin}}/sphinx-build -q -W --keep-going -E -j 2 docs docs/_build/html

# Run what README.md and CONTRIBUTING.md say is run, and check that what the pages name is there.
check-docs:
    {{bin}}/pytest tests/test_readme.py tests/test_contributing.py tests/test_changelog.py

# Draw the README's picture of `explore`, of synthetic data.
picture:
    {{bin}}/python -m tests.explore.picture docs/explore.png
