"""The spelling list is in order, and what is looked through is prose; `just docs` has the dictionary."""

from __future__ import annotations

from pathlib import Path

from built import spelling

from tests.conftest import ROOT

# What the dictionary of `just docs` would flag, were it not for the list.
TEXT = """---
file_format: mystnb
---

# The kinase's mean

A `mispelt` word, [shown](mispelt.md) at https://mispelt.org, $mispelt^2$ of RxRx3-core's AUROC.

```sh
mispelt
```

Not-so colour of a wrongg word.
"""


def test_the_list_is_sorted_and_used() -> None:
    own = spelling.own_words(ROOT)
    assert own == sorted(set(own)) and all(word == word.lower() for word in own)
    used = {word for path in spelling.files(ROOT) for _, word in spelling.words(path.read_text("utf-8"))}
    assert set(own) <= used, "take out of docs/spelling.txt what no page says any more"


def test_prose_keeps_its_lines_and_leaves_code_out() -> None:
    found = list(spelling.words(TEXT))
    assert [number for number, _ in found] == [5] * 3 + [7] * 4 + [13] * 6
    assert [word for _, word in found][:3] == ["the", "kinase", "mean"]
    assert "mispelt" not in {word for _, word in found}


def test_faults_name_file_line_and_word(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "spelling.txt").write_text("kinase\n", "utf-8")
    (tmp_path / "docs" / "page.md").write_text(TEXT, "utf-8")
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        (tmp_path / name).write_text("# The word\n", "utf-8")
    known = {"a", "at", "core", "mean", "not", "of", "shown", "so", "the", "word"}
    told = list(spelling.faults(tmp_path, known, {"colour": "color"}))
    page = tmp_path / "docs" / "page.md"
    assert told == [
        (page, 13, "colour is spelled color here"),
        (page, 13, "wrongg: a slip, or a word for docs/spelling.txt?"),
    ]
