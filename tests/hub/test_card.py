"""The card: what is refused and with which words, what is taken as it stands, what is sent of it.

That nothing is let pass which the client would refuse or repair is checked against pydantic's own URL type
and polaris-lib's own patterns.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import HttpUrl, TypeAdapter, ValidationError

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.hub.card import (
    RESERVED,
    Model,
    SubmissionCard,
    attributes,
    check_for,
    read_card,
    slug,
    template,
)

ROOT = Path(__file__).resolve().parents[2]
GOOD = 'name = "my-model"\nowner = "some-lab"\nsupervision = "zero-shot"\n'
FULL = """\
name = "My_Model-2"
owner = "some-lab"
description = '''
Two lines,
	a tab and β.'''
contributors = ["ada-l", "Grace_H"]
tags = ["zero-shot", "cell painting"]
code_url = "https://github.com/some-lab/model?x=1#y"
paper_url = "HTTP://arxiv.org:80/abs/2503.20158"
report_url = "https://example.org/r%20s"
supervision = "perturbation-labels"
compute = "1 GPU, 2 hours"
predictions = "scores v2.csv.gz"

[user_attributes]
"embedding width" = "384"
model = "vit"

[model]
artifact = "some-lab/my-model"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "submission.toml"


def refused(path: Path, text: str | bytes) -> str:
    """What reading the text as a card says, without the file's name."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError) as error:
        read_card(path)
    message = str(error.value)
    assert message.startswith(str(path))
    return message[len(str(path)) :]


def with_field(field: str) -> str:
    """The good card with one line put in, or put for the one of the same name."""
    name = field.partition(" =")[0]
    return (
        field + "\n" + "".join(f"{line}\n" for line in GOOD.splitlines() if not line.startswith(f"{name} ="))
    )


def test_a_short_card_has_defaults(path: Path) -> None:
    path.write_text(GOOD)
    card = read_card(path)
    assert card == SubmissionCard(name="my-model", owner="some-lab", supervision="zero-shot")
    assert (card.predictions, card.description, card.tags, card.model) == ("predictions.csv", "", (), None)
    with pytest.raises(ValidationError):
        card.name = "other"  # type: ignore[misc]


def test_a_full_card_is_taken_as_it_stands(path: Path) -> None:
    path.write_text(FULL)
    card = read_card(path)
    assert card.description == "Two lines,\n\ta tab and β."
    assert card.contributors == ("ada-l", "Grace_H")
    assert card.paper_url == "HTTP://arxiv.org:80/abs/2503.20158"
    assert card.predictions == "scores v2.csv.gz"
    assert card.model == Model(artifact="some-lab/my-model")
    assert card.user_attributes == {"embedding width": "384", "model": "vit"}


def test_windows_line_ends_are_toml(path: Path) -> None:
    path.write_bytes(FULL.replace("\n", "\r\n").encode())
    assert read_card(path).description == "Two lines,\n\ta tab and β."


NAME = "expected 4 to 64 letters (a-z, A-Z), digits, - and _"
USER = "expected a Hub user name: 4 to 64 letters (a-z, A-Z), digits, - and _"
OWNER = "expected a Hub user's or organisation's slug: 4 to 64 of a-z, 0-9 and -"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ('name = "abc"', f"name is 'abc'; {NAME}"),
        (f'name = "{"a" * 65}"', NAME),
        ('name = ""', f"name is ''; {NAME}"),
        ('name = "my model"', NAME),
        ('name = "modèle"', NAME),
        ('name = "model\\n"', NAME),  # a `$` alone would take it
        ('name = "____"', "the Hub drops them from the address, which would be ''"),
        ('name = "ab__"', "the Hub drops them from the address, which would be 'ab'"),
        ('name = "_model-"', "no - or _ at the ends"),
        ("name = 2024", "name is 2024 (a number); expected 4 to 64 letters, digits, - and _"),
        ("name = true", "name is True (true or false)"),
        ("name = 2024-01-01", "(a date or time)"),
        ('name = ["a"]', "(a list)"),
        ('owner = "Some-Lab"', f"owner is 'Some-Lab'; {OWNER}; did you mean 'some-lab'?"),
        ('owner = "some_lab"', "did you mean 'some-lab'?"),
        ('owner = "lab"', f"owner is 'lab'; {OWNER}"),
        ('contributors = ["ab"]', f"contributors[1] is 'ab'; {USER}"),
        ('contributors = ["ada-l", "Ada L"]', f"contributors[2] is 'Ada L'; {USER}"),
        ('contributors = "ada-l"', "contributors is 'ada-l' (text); expected a list of Hub user names"),
        ('contributors = ["ada-l", "ada-l"]', "each of them once; 'ada-l' stands twice"),
        ('contributors = ["ada-l", "Ada_L"]', "'ada-l' and 'Ada_L' are one to the Hub"),
        ("contributors = [5]", "contributors[1] is 5 (a number); expected text in quotes"),
        ('tags = ["a", "A"]', "each of them once; 'a' and 'A' are one to the Hub"),
        ('tags = ["a", "a"]', "'a' stands twice"),
        ('tags = [""]', "tags[1] is ''; expected a word or two"),
        ('tags = ["a, b"]', "without commas"),
        ('tags = [" a"]', "without blanks at the ends"),
        (f'tags = ["{"a" * 65}"]', "at most 64 characters; it has 65"),
        ('description = "a\\u0000b"', "no control or invisible characters; character 2 is U+0000"),
        ('description = "a\\u202eb"', "character 2 is U+202E"),
        ('description = "\\ufeffb"', "character 1 is U+FEFF"),
        ('description = "a\\rb"', "character 2 is U+000D"),
        (f'description = "{"a" * 10_001}"', "at most 10,000 characters; it has 10,001"),
        ("description = 1.5", "description is 1.5 (a number); expected text: what made these predictions"),
        ('compute = "two\\nlines"', "character 4 is U+000A"),
        ('supervision = "zeroshot"', "did you mean 'zero-shot'?"),
        ('supervision = "none"', 'expected "zero-shot", "perturbation-labels" or "targets"'),
        ('predictions = "../p.csv"', "expected the name of a file beside this card, without folders"),
        ('predictions = "/tmp/p.csv"', "without folders"),
        ('predictions = "a\\\\p.csv"', "without folders"),
        ('predictions = ""', "the name of a file"),
        ('predictions = ".."', "the name of a file"),
        ('predictions = ".hidden"', "the name of a file"),
        ('predictions = "Report.json"', "another name than those of the submission's own files"),
        (
            "user_attributes = {width = 384}",
            "user_attributes.width is 384 (a number); expected text in quotes",
        ),
        (
            'user_attributes = {a.b = "c"}',
            "user_attributes.a is {'b': 'c'} (a table); expected text in quotes",
        ),
        ('user_attributes = {supervision = "x"}', "supervision is a field of the card and not an attribute"),
        ('user_attributes = {Compute = "x"}', "Compute is a field of the card and not an attribute"),
        ('user_attributes = {code_url = "x"}', "it belongs above the first [table]"),
        ('user_attributes = {" a" = "x"}', "needs a name without blanks at the ends"),
        ('user_attributes = {"" = "x"}', "needs a name"),
        (f'user_attributes = {{a = "{"x" * 501}"}}', "user_attributes.a is 'xxx"),
        ('user_attributes = ["a"]', "expected a table [user_attributes] of names with text in quotes"),
        ('model = "some-lab/model"', "model is 'some-lab/model' (text); expected a table [model]"),
        ("model = {}", "[model]: artifact (a model the Hub has) or name (of one to create) was expected"),
        (
            'model = {artifact = "some-lab/model", name = "model", readme = "x"}',
            "[model]: artifact names a model the Hub has, which is used as it is; remove name, readme",
        ),
        (
            'model = {artifact = "model"}',
            "model.artifact is 'model'; expected the Hub's id of a model, owner/slug",
        ),
        ('model = {artifact = "Some-lab/model"}', "owner/slug"),
        ('model = {artifact = "some-lab/model/2"}', "owner/slug"),
        ('model = {artifact = "https://polarishub.io/models/a/b"}', "owner/slug"),
        ('model = {name = "m__"}', f"model.name is 'm__'; {NAME}"),
        ('model = {name = "model", code_url = "x"}', "model.code_url is 'x'; expected a URL"),
        (
            'model = {name = "model", tags = ["a", "a"]}',
            "model.tags is ['a', 'a']; expected each of them once",
        ),
        (
            'model = {name = "model", code = "x"}',
            "model.code is not a field of [model]; did you mean code_url?",
        ),
        (
            'model = {name = "model", owner = "x"}',
            "owner is not a field of [model]; it belongs above the first",
        ),
        ('nmae = "x"', "nmae is not a field of a card; did you mean name?"),
        ('Owner = "x"', "Owner is not a field of a card; did you mean owner?"),
        ('github_url = "x"', "github_url is not a field of a card; did you mean code_url?"),
        ('authors = ["x"]', "did you mean contributors?"),
        ('readme = "x"', "readme is not a field of a card; it belongs into the table [model]"),
        ('zzz = "x"', "zzz is not a field of a card; it has 'code_url', 'compute'"),
        ('name = "TODO"', "name is 'TODO': not filled in yet; expected 4 to 64 letters"),
        ('tags = ["TODO"]', "tags[1] is 'TODO': not filled in yet"),
        ('user_attributes = {a = "TODO: b"}', "user_attributes.a is 'TODO: b': not filled in yet"),
        ('model = {artifact = "your-name/model"}', "model.artifact is 'your-name/model': not filled in yet"),
    ],
)
def test_refused(field: str, message: str, path: Path) -> None:
    found = refused(path, with_field(field))
    assert message in found
    assert "\n" not in found  # one thing is wrong, one is told
    assert len(found) < 600


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("", "begins with https:// or http:// and a host"),
        ("github.com/a/b", "begins with https://"),
        ("ftp://github.com/a", "begins with https://"),
        ("https:github.com", "begins with https://"),
        ("https:///github.com", "begins with https://"),
        ("https:\\\\github.com", "begins with https://"),
        ("https://github.com\\a", "with / and not \\"),
        (" https://github.com", "without blanks or line ends"),
        ("https://github.com/a b", "without blanks or line ends"),
        ("https://github.com/a\n", "without blanks or line ends"),
        ("https://git\thub.com", "without blanks or line ends"),
        ("https://github.com/\x01", "without control characters"),
        ("https://exämple.org", "letters beyond ASCII"),
        ("https://github.com/ü", "letters beyond ASCII"),
        ("https://", "and a host"),
        ("https://?a", "a public host name"),
        ("https://localhost/a", "a public host name"),
        ("https://1", "a public host name"),
        ("https://127.0.0.1/a", "a public host name"),
        ("https://[::1]/a", "a public host name"),
        ("https://[::1/a", "a URL (Invalid IPv6 URL)"),
        ("https://github..com", "a public host name"),
        ("https://-a-.com", "a public host name"),
        ("https://xn--a.com", "a URL (Input should be a valid URL, invalid international domain name"),
        ("https://github.com:99999", "a URL (Port out of range"),
        ("https://github.com:0", "1 to 65535"),
        ("https://github.com:", "1 to 65535"),
        ("https://github.com:x", "a URL (Port could not be cast"),
        ("https://github.com/" + "a" * 2083, "at most 2,083 characters; it has 2,102"),
    ],
)
@pytest.mark.parametrize("field", ["code_url", "paper_url", "report_url"])
def test_urls_refused(url: str, rule: str, field: str, path: Path) -> None:
    text = url.encode("unicode_escape").decode().replace("\\x", "\\u00")
    found = refused(path, with_field(f'{field} = "{text}"'))
    assert found.startswith(f": {field} is ")
    assert rule in found.partition("; expected ")[2]


def test_a_password_in_a_url_is_refused_and_not_repeated(path: Path) -> None:
    found = refused(path, with_field('code_url = "https://me:hunter2@github.com/a"'))
    assert "without user name or password" in found
    assert "hunter2" not in found and "https://***@github.com/a" in found


@given(
    st.from_regex(r"(?i:https?):[/\\]{0,3}[ \w.@:/\\?#%\t-]{0,20}", fullmatch=True)
    | st.from_regex(
        r"https?://[a-z0-9_-]{1,5}(\.[a-z0-9]{1,3}){0,3}(:[0-9]{1,6})?(/[!-~]{0,9})?", fullmatch=True
    )
)
def test_a_url_we_take_the_client_takes_without_repair(url: str) -> None:
    try:
        SubmissionCard(name="my-model", owner="some-lab", supervision="zero-shot", code_url=url)
    except ValidationError:
        return
    theirs = TypeAdapter(HttpUrl).validate_python(url)
    scheme, rest = url.split("://")
    host = rest.replace("?", "/").replace("#", "/").split("/")[0].split(":")[0]
    assert (theirs.scheme, theirs.host) == (scheme.lower(), host.lower())


@given(st.from_regex(r"[A-Za-z0-9_-]{1,66}", fullmatch=True))
def test_a_name_we_take_has_a_slug_the_client_takes(name: str) -> None:
    try:
        SubmissionCard(name=name, owner="some-lab", supervision="zero-shot")
    except ValidationError:
        assert not 4 <= len(name) <= 64 or name.strip("-_") != name
    else:
        assert re.fullmatch(r"[a-z0-9-]{4,64}", slug(name))
        assert len(slug(name)) == len(name)  # nothing was dropped


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\xef\xbb\xbf" + GOOD.encode(), " begins with a byte-order mark; save it as UTF-8 without one"),
        (GOOD.encode("utf-16"), " begins with a byte-order mark"),
        (GOOD.encode() + b'description = "\xe9"\n', ", line 4: not UTF-8 text"),
        (b"name = my-model\n", ": not TOML ("),
        (b'name = "a"\nname = "b"\n', ": not TOML ("),
        (b"x = " + b"[" * 5000, ": not "),
        (b"", ": 3 fields are not right\n  name is missing; expected 4 to 64"),
    ],
)
def test_files_that_are_no_card(raw: bytes, message: str, path: Path) -> None:
    assert refused(path, raw).startswith(message)


def test_a_card_that_is_not_there(path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file; polaris-rxrx submit --init NAME writes a card"):
        read_card(path)
    path.mkdir()
    with pytest.raises(DataError, match="is a folder"):
        read_card(path)


def test_everything_wrong_is_told_at_once(path: Path) -> None:
    found = refused(path, 'name = "a"\ntags = "b"\n[model]\nsupervision = "targets"\n')
    assert found.splitlines() == [
        ": 5 fields are not right",
        f"  name is 'a'; {NAME}",
        "  owner is missing; expected the slug of the Hub user or organisation it is sent for: 4 to 64 of "
        "a-z, 0-9 and -",
        '  tags is \'b\' (text); expected a list of words, as in ["zero-shot", "openphenom"]',
        "  model.supervision is not a field of [model]; it belongs above the first [table]",
        '  supervision is missing; expected "zero-shot", "perturbation-labels" or "targets"',
    ]


def test_the_template_is_refused_naming_what_to_fill_in(path: Path) -> None:
    found = refused(path, template("my-model"))
    assert found.splitlines()[0] == ": 3 fields are not right"
    assert [line.split()[0] for line in found.splitlines()[1:]] == ["owner", "description", "supervision"]
    assert found.count("not filled in yet") == 3
    assert "owner" not in refused(path, template("my-model", "some-lab"))


FILLED = [("description", "What it is"), ("supervision", "targets")]


def test_the_template_filled_in_reads(path: Path) -> None:
    text = template("my-model", "some-lab")
    for field, value in FILLED:
        text = text.replace(f'{field} = "TODO"', f'{field} = "{value}"', 1)
    path.write_text(text)
    card = read_card(path)
    assert (card.name, card.owner, *(getattr(card, f) for f, _ in FILLED)) == (
        "my-model",
        "some-lab",
        *(v for _, v in FILLED),
    )


@pytest.mark.parametrize("first", [True, False])
def test_every_line_of_the_template_is_one_of_a_card(first: bool, path: Path) -> None:
    """Uncommented, the optional lines hold fields of the card, in their place, each still to fill in."""
    text = template("my-model", "some-lab")
    for field, value in FILLED:
        text = text.replace(f'{field} = "TODO"', f'{field} = "{value}"', 1)
    existing, create = "# [model]\n# artifact", "# [model]\n# name"
    assert existing in text and create in text
    unwanted = create if first else existing
    before, _, after = text.partition(unwanted)
    block, _, rest = after.partition("\n\n" if first else "\n# or")
    text = re.sub(r"^# (?=[a-z_]+ =|\[)", "", before + "\n\n# " + rest, flags=re.M)
    found = refused(path, text)
    lines = found.splitlines()[1:]
    assert all("not filled in yet" in line for line in lines)
    filled = {line.split()[0].partition("[")[0] for line in lines}
    model = {"model.artifact"} if first else {f"model.{f}" for f in Model.model_fields if f != "artifact"}
    simple = {"compute", "contributors", "tags", "code_url", "paper_url", "report_url"}
    assert filled == simple | model | {"user_attributes.embedding_width"}
    assert block


@pytest.mark.parametrize(
    ("name", "owner"), [("abc", "some-lab"), ('a"b-c', "some-lab"), ("my-model", "Lab!")]
)
def test_a_template_of_no_name(name: str, owner: str) -> None:
    with pytest.raises(UsageError, match=r"(name|owner) is .*; expected"):
        template(name, owner)


def make(**fields: Any) -> SubmissionCard:
    return SubmissionCard.model_validate(
        {"name": "my-model", "owner": "some-lab", "supervision": "zero-shot", **fields}
    )


URL, OTHER = "https://example.org/a", "https://example.org/b"
MODEL = {"artifact": "some-lab/model"}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("v1", {}),
        ("v1", {"code_url": URL, "paper_url": OTHER}),
        ("v1", {"paper_url": URL, "report_url": URL}),
        ("v2", {"model": MODEL}),
        ("v2", {"model": {"name": "model", "code_url": URL, "report_url": OTHER}}),
        ("competition", {"report_url": URL}),
        ("competition", {"report_url": URL, "code_url": OTHER, "paper_url": URL}),
    ],
)
def test_cards_that_fit(kind: Any, fields: dict[str, Any]) -> None:
    check_for(make(**fields), kind=kind)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("v1", {"model": MODEL}, "[model] was given; results of a V1 benchmark carry no model"),
        ("v1", {"report_url": URL}, f"report_url is '{URL}'; V1 benchmarks take one such link, as paper_url"),
        ("v1", {"report_url": URL, "paper_url": OTHER}, "report_url is"),
        ("v2", {}, "[model] is missing; a V2 benchmark's results name a model"),
        (
            "v2",
            {"model": MODEL, "code_url": URL},
            f"code_url is '{URL}'; results of a V2 benchmark carry no links",
        ),
        ("v2", {"model": MODEL, "paper_url": URL}, "paper_url is"),
        ("v2", {"model": MODEL, "report_url": URL}, "move it into [model]"),
        ("competition", {}, "report_url is missing; a competition's predictions are only taken with the URL"),
        ("competition", {"paper_url": URL}, "report_url is missing"),
        (
            "competition",
            {"report_url": URL, "paper_url": OTHER},
            "competitions take one such link, as report_url",
        ),
        ("competition", {"report_url": URL, "model": MODEL}, "results of a competition carry no model"),
    ],
)
def test_cards_that_do_not_fit(kind: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        check_for(make(**fields), kind=kind)
    assert message in str(error.value)


def test_attributes_are_text_and_carry_supervision_and_compute() -> None:
    assert attributes(make()) == {"supervision": "zero-shot"}
    sent = attributes(make(user_attributes={"dose": "max"}, compute="1 GPU"))
    assert sent == {"dose": "max", "supervision": "zero-shot", "compute": "1 GPU"}


@pytest.mark.parametrize("name", RESERVED)
def test_predictions_cannot_take_a_name_of_the_bundle(name: str) -> None:
    with pytest.raises(ValidationError):
        make(predictions=name.upper())


def test_the_example_reads() -> None:
    card = read_card(ROOT / "submissions" / "example" / "submission.toml")
    check_for(card, kind="v1")
    assert card.supervision == "zero-shot"
    assert "openphenom" in card.tags


def test_the_example_is_tracked_and_nothing_else_is() -> None:
    lines = (ROOT / "submissions" / ".gitignore").read_text().splitlines()
    assert lines == ["*", "!.gitignore", "!README.md", "!example/", "!example/submission.toml"]
