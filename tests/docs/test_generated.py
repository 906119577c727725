"""The pages that are written from the package hold all of it: commands, Python's names, deviations."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest
from built import commands, deviations, reference
from built.docstrings import body, entries, escaped, items, markdown, sections
from built.generated import filled

import polaris_rxrx
from polaris_rxrx import schemas
from polaris_rxrx.cli import COMMANDS, cli
from polaris_rxrx.suites.deviations import DEVIATIONS
from tests.conftest import HOME, ROOT

DOCS = ROOT / "docs"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """The root that pages are made of: where these tests are run on a wheel, their own has no package."""
    (tmp_path / "docs").symlink_to(DOCS)
    (tmp_path / "polaris_rxrx").symlink_to(HOME / "polaris_rxrx")
    return tmp_path


def all_commands() -> list[tuple[str, click.Command]]:
    context = click.Context(cli)
    found = [(name, cli.get_command(context, name)) for name in COMMANDS]
    for name, command in list(found):
        if isinstance(command, click.Group):
            found += [
                (f"{name} {below}", command.get_command(context, below))
                for below in command.list_commands(context)
            ]
    return [(name, command) for name, command in found if command is not None]


def test_every_command_and_option_is_told() -> None:
    page = filled((DOCS / "reference" / "cli.md").read_text("utf-8"), ROOT)
    told = dict(re.findall(r"^##+ ([^\n]+)\n(.*?)(?=^##|\Z)", page, re.M | re.S))
    found = all_commands()
    assert [name for name in told if " " not in name] == list(COMMANDS)
    assert len(found) > len(COMMANDS) and told.keys() == {name for name, _ in found}
    for name, command in found:
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                for option in (*parameter.opts, *parameter.secondary_opts):
                    assert re.search(rf"^`[^`\n]*{re.escape(option)}\b[^`\n]*`$", told[name], re.M), (
                        name,
                        option,
                    )
        assert "`-h, --help`" in told[name]
        if command.epilog:
            assert escaped(command.epilog.split()[0]) in told[name]


def test_help_is_taken_literally() -> None:
    """`POLARIS_` is no reference, and two hyphens are two."""
    text = commands.description("Take POLARIS_ settings *as* [they] are.\n\n\b\na   b\n\nSet `$HOME_`.")
    assert text == (
        "Take POLARIS\\_ settings \\*as\\* \\[they\\] are.\n\n```text\na   b\n```\n\nSet `$HOME_`."
    )


def test_every_public_name_is_told(whole: Path) -> None:
    shown = "\n".join(
        filled(path.read_text("utf-8"), whole) for path in (DOCS / "reference" / "python").glob("*.md")
    )
    for name in set(polaris_rxrx.__all__) - {"__version__"}:
        assert re.search(rf"^::::\{{py:(function|class)\}} {name}\b", shown, re.M), name
    for room, modules in reference.rooms(ROOT).items():
        assert f"```{{generated}} api {room}\n" in "".join(
            path.read_text("utf-8") for path in (DOCS / "reference" / "python").glob("*.md")
        ), f"docs/reference/python/ has no page for {room}"
        for module in modules:
            assert f"```{{py:module}} {module}\n" in shown


def test_a_name_that_is_gone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    (tmp_path / "docs" / "reference" / "public.toml").write_text(
        '[[room]]\ntitle = "R"\n[room.modules]\n"p.m" = ["gone"]\n', "utf-8"
    )
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "m.py").write_text('"""M."""\n', "utf-8")
    with pytest.raises(ValueError, match=r"p\.m has no function or class gone"):
        reference.page(tmp_path, "R")


def test_a_class_and_a_function(tmp_path: Path) -> None:
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    (tmp_path / "docs" / "reference" / "public.toml").write_text(
        '[[room]]\ntitle = "R"\n[room.modules]\n"p" = ["f", "C.m"]\n', "utf-8"
    )
    (tmp_path / "p.py").write_text(
        '''"""P: things.

Conventions
    Codes are 0..n-1.
"""

def f(x: int, *, y: str = "a") -> bool:
    """Whether `x_` is *odd*.

    Args:
        x: A number,
            whole.

    Raises:
        ValueError: Never.

    Example:
        >>> f(1)
        True
    """

class C:
    """A C."""

    size: int = 0  # bytes
    _hidden: int = 1

    @property
    def name(self) -> str:
        """Its name."""

    def m(self, other: C) -> None:
        """Do."""

    def not_listed(self) -> None:
        """Do not."""
''',
        "utf-8",
    )
    told = reference.page(tmp_path, "R")
    assert "::::{py:function} f(x: int, *, y: str='a') -> bool\n\nWhether `x_` is \\*odd\\*." in told
    assert ":param x: A number, whole.\n:raises ValueError: Never.\n\n```pycon\n>>> f(1)\nTrue\n```" in told
    assert ":::{py:attribute} size\n:type: int\n\nbytes\n:::" in told
    assert ":::{py:property} name\n:type: str\n\nIts name.\n:::" in told
    assert ":::{py:method} m(other: C) -> None\n\nDo.\n:::" in told
    assert "hidden" not in told and "not_listed" not in told
    assert "<summary>Conventions</summary>\n\nCodes are 0..n-1." in told


def test_every_numbered_deviation_is_told(whole: Path) -> None:
    """Read from the modules' lines: each numbered one below a heading of deviations."""
    page = filled((DOCS / "reference" / "deviations.md").read_text("utf-8"), whole)
    count = 0
    for path in sorted((whole / "polaris_rxrx").rglob("*.py")):
        below = ""
        for line in path.read_text("utf-8").split('"""')[1].splitlines()[1:]:
            if line and not line[0].isspace():
                below = line
            numbered = re.match(r"    (?:\d+\.|\[\d+\]) +(\S.{20,})", line)
            if numbered and re.search(r"Deviation|deviates|Workarounds", below):
                assert f". {escaped(numbered[1])}" in page, (path.name, line)
                count += 1
    assert count > 50
    assert "`polaris_rxrx.network`: Deviations from httpx.\n\n1. `socks://`" in page


def test_the_suites_deviations_are_all_there_under_their_numbers(whole: Path) -> None:
    modules = {
        "drug-target": "drug_target",
        "gene-gene": "gene_gene",
        "signal": "signal",
        "replicate-consistency": "replicates",
    }
    assert modules.keys() == DEVIATIONS.keys()
    found = {each.module: each.items for each in deviations.gathered(whole)}
    for suite, module in modules.items():
        listed = found[f"polaris_rxrx.suites.{module}"]
        assert len(listed) == len(DEVIATIONS[suite])
        for item, deviation in zip(listed, DEVIATIONS[suite], strict=True):
            assert item.lower().startswith(deviation.what.lower())


def test_a_heading_without_numbers_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "polaris_rxrx").mkdir()
    (tmp_path / "polaris_rxrx" / "m.py").write_text(
        '"""M.\n\nDeviations\n    None to speak of.\n"""\n', "utf-8"
    )
    with pytest.raises(ValueError, match=r"polaris_rxrx\.m: 'Deviations' has no numbered deviation"):
        deviations.gathered(tmp_path)


def test_docstrings_become_markdown() -> None:
    how = "    a    first\n         more\n    bc   second\n\n    1. Do\n       it.\n    2. Do not."
    doc = f"One.\n\nHow\n{how}\n\nEnd."
    assert [heading for heading, _ in sections(doc)] == ["", "How", ""]
    assert markdown(doc) == (
        "One.\n\n**How**\n\n- **a**: first more\n- **bc**: second\n\n1. Do it.\n2. Do not.\n\nEnd."
    )
    assert items("1. Do\n   it.\n2. Do not.\nNo item.") == ["Do it.", "Do not."]
    assert entries("a: one\n    two\nb, c: three") == [("a", "one two"), ("b, c", "three")]
    assert escaped("a_b `c_d` $e$ [f]") == "a\\_b `c_d` \\$e\\$ \\[f\\]"
    assert body("One\ntwo.\n\nThree.") == "One two.\n\nThree."


def test_every_schema_is_told() -> None:
    page = filled((DOCS / "reference" / "schemas.md").read_text("utf-8"), ROOT)
    told = dict(re.findall(r"^## (\S+)\n.*?^```json\n(.*?)^```", page, re.M | re.S))
    assert list(told) == list(schemas.names()) and len(told) > 20
    assert {name: json.loads(text)["title"] for name, text in told.items()} == {name: name for name in told}
