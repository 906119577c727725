"""Tables and text at every width: figures whole, names shortened before a table is broken."""

from __future__ import annotations

import pytest

from polaris_rxrx.present.terminal import cut, labelled, table, wide, wrapped

HEAD = ["", "AP", "95% interval", "minimum detectable difference"]
ROW = ["the submission, blind to the compound", "0.2768", "0.2610 to 0.2940", "0.0123"]


def at(columns: int, monkeypatch: pytest.MonkeyPatch, **options: int) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    return table(HEAD, [ROW], **options)


def test_a_table_gives_way_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = at(200, monkeypatch)
    assert len(whole) == 2 and whole[0].endswith("AP      95% interval  minimum detectable difference")
    stacked = at(90, monkeypatch)
    assert stacked[0].split() == ["minimum"] and len(stacked) == 4 and ROW[0] in stacked[-1]
    named = at(60, monkeypatch)
    assert len(named) == 4 and max(map(len, named)) == 60
    assert named[-1].startswith("the sub") and "…" in named[-1] and named[-1].endswith("0.0123")
    broken = at(46, monkeypatch)
    assert "" in broken and max(map(len, broken)) <= 46
    assert all(cell in "\n".join(broken) for cell in ROW[1:])
    with wide():
        assert at(40, monkeypatch) == whole


def test_only_what_names_a_row_is_shortened_and_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = table(["a", "b", "c"], [["x" * 30, "y" * 30, "1" * 8]], left=2, names=1)
    assert [line.split() for line in lines] == [
        *(["a", "b"], ["xxxxxxxxxx…xxxxx", "yyyyyyyyyyyyyy…yyyyyyy"], []),
        *(["a", "c"], ["xxxxxxxxxx…xxxxx", "1" * 8]),
    ]
    assert table(["a"], []) == ["a"] and table(["a", "b"], [["", ""]])[0] == "a  b"


def test_text_goes_on_under_where_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = "one two three four five six seven eight nine ten eleven twelve thirteen"
    lines = labelled([("Note", text), ("", "more")])
    assert lines[0].startswith("Note  one") and lines[1].startswith("      ") and lines[-1] == "      more"
    assert " ".join(" ".join(lines).split()) == f"Note {text} more"
    below = labelled([("a long label of its own, with words", text)], indent=2)
    assert below[0] == "  a long label of its own, with words" and below[1].startswith("      one")
    assert wrapped("x" * 99 + " y") == ["x" * 99, "y"]
    assert wrapped("a\n  b\tc\x1b[0m") == ["a; b\\tc\\x1b[0m"]
    assert cut("word " * 100).endswith("word ...; --wide shows all") and len(cut("word " * 100)) < 330
