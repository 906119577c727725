"""The submission card: `submission.toml`, which stands beside the predictions it describes.

Conventions
    Everything the Hub or polaris-lib would refuse or silently change is refused here, with the field, its
    value and the rule. A name's slug is what the Hub makes of it for its address: small letters, `_` becomes
    `-`, dashes at the ends are dropped. Lengths and characters of names, owners and URLs are the client's
    rules; the limits on free text are ours and only catch accidents.
    A template that was not filled in is refused: `TODO` and `your-name` are no values.

Source
    polaris-lib 0.13: `polaris/utils/types.py`, `_artifact.py`, `evaluate/_metadata.py`, `model/`,
    `utils/misc.py`. What it lets pass: names with a slug shorter than 4; URLs that pydantic repairs for the
    check (blanks, `https:host`, `\\` for `/`) and polaris sends unrepaired.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    HttpUrl,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.hub.artifact import Kind, understand
from polaris_rxrx.validation import Complaint, Strict, complaints, told

Supervision = Literal["zero-shot", "perturbation-labels", "targets"]

CARD = "submission.toml"
# What a bundle holds beside the predictions, and what a submission folder holds; no predictions file may
# take one of these names.
REPORT, TASK, ENVIRONMENT, RECEIPT, SUMS = (
    "report.json",
    "task.json",
    "environment.json",
    "receipt.json",
    "SHA256SUMS",
)
RESERVED = (CARD, REPORT, TASK, ENVIRONMENT, RECEIPT, SUMS, "receipts", "bundle")

_NAME = re.compile(r"[A-Za-z0-9_-]{4,64}")
_SLUG = re.compile(r"[a-z0-9-]{4,64}")
_HOST = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)+[a-z][a-z0-9-]*[a-z0-9]", re.I)
_CLIENT_URL = TypeAdapter(HttpUrl)
_URL_LENGTH = 2083  # pydantic's HttpUrl
_LINE, _TEXT, _README, _TAG = 500, 10_000, 200_000, 64
# Invisible and able to change how the rest is shown: zero-width space, byte-order mark, text direction.
_INVISIBLE = frozenset("\u200b\ufeff\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_PLACEHOLDER = re.compile(r"\bTODO\b|\byour-name\b")


def slug(name: str) -> str:
    """What the Hub makes of a name for its address."""
    return name.lower().replace("_", "-").strip("-")


def _characters(value: str, *, allowed: str = "") -> None:
    for place, c in enumerate(value, 1):
        if c not in allowed and (unicodedata.category(c) in {"Cc", "Cs"} or c in _INVISIBLE):
            raise ValueError(f"no control or invisible characters; character {place} is U+{ord(c):04X}")


def _text(most: int, *, lines: bool = False) -> Callable[[str], str]:
    def check(value: str) -> str:
        _characters(value, allowed="\n\t" if lines else "")
        if len(value) > most:
            raise ValueError(f"at most {most:,} characters; it has {len(value):,}")
        return value

    return check


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("4 to 64 letters (a-z, A-Z), digits, - and _")
    if value.strip("-_") != value:
        raise ValueError(
            f"no - or _ at the ends: the Hub drops them from the address, which would be {slug(value)!r}"
        )
    return value


def _user(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a Hub user name: 4 to 64 letters (a-z, A-Z), digits, - and _")
    return value


def _owner(value: str) -> str:
    if not _SLUG.fullmatch(value):
        hint = f"; did you mean {slug(value)!r}?" if _SLUG.fullmatch(slug(value)) else ""
        raise ValueError(f"a Hub user's or organization's slug: 4 to 64 of a-z, 0-9 and -{hint}")
    return value


def _artifact(value: str) -> str:
    owner, _, name = value.partition("/")
    if not (_SLUG.fullmatch(owner) and _SLUG.fullmatch(name)):
        try:
            meant = understand(value)
        except UsageError:
            meant = None
        raise ValueError(
            "the Hub's id of a model, owner/slug, each 4 to 64 of a-z, 0-9 and -, as its page's URL ends"
            + (f"; did you mean {meant.id!r}?" if meant is not None and meant.id != value else "")
        )
    return value


def _url(value: str) -> str:
    """An http(s) URL that needs no repair: the client checks a repaired copy and sends what was written."""
    if bad := next((c for c in value if not "!" <= c <= "~"), None):
        what = "blanks or line ends" if bad.isspace() else "control characters or letters beyond ASCII"
        raise ValueError(f"a URL without {what} (write them as %xx)")
    if not re.match(r"https?://[^/\\]", value, re.I):
        raise ValueError("a URL that begins with https:// or http:// and a host")
    if "\\" in value:
        raise ValueError("a URL with / and not \\")
    if len(value) > _URL_LENGTH:
        raise ValueError(f"at most {_URL_LENGTH:,} characters; it has {len(value):,}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"a URL ({error})") from None
    if "@" in parts.netloc:
        raise ValueError("a URL without user name or password: everybody will see it")
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("a URL whose port, if it has one, is 1 to 65535")
    if not _HOST.fullmatch(parts.hostname or ""):
        raise ValueError("a URL with a public host name, such as github.com")
    try:
        _CLIENT_URL.validate_python(value)  # what is left: punycode that is none
    except ValidationError as error:
        raise ValueError(f"a URL ({told(error)})") from None
    return value


def _tag(value: str) -> str:
    _text(_TAG)(value)
    if not value or value.strip() != value or "," in value:
        raise ValueError("a word or two, without commas and without blanks at the ends")
    return value


def plain_name(value: str) -> str:
    """Raise `ValueError` unless `value` can name the predictions file of a submission."""
    _text(128)(value)
    if not value or value.strip() != value or value.startswith(".") or re.search(r'[/\\:*?"<>|]', value):
        raise ValueError('the name of a file beside this card, without folders or any of : * ? " < > |')
    if value.lower() in (name.lower() for name in RESERVED):
        raise ValueError(f"another name than those of the submission's own files ({', '.join(RESERVED)})")
    return value


# What a schema says of them; what it cannot say, the checks do.
_named, _slugged = (Field(json_schema_extra={"pattern": f"^{p.pattern}$"}) for p in (_NAME, _SLUG))
Name = Annotated[str, AfterValidator(_name), _named]
User = Annotated[str, AfterValidator(_user), _named]
Owner = Annotated[str, AfterValidator(_owner), _slugged]
Url = Annotated[str, AfterValidator(_url)]
Line = Annotated[str, AfterValidator(_text(_LINE)), Field(json_schema_extra={"maxLength": _LINE})]
Text = Annotated[str, AfterValidator(_text(_TEXT, lines=True)), Field(json_schema_extra={"maxLength": _TEXT})]
Tags = tuple[Annotated[str, AfterValidator(_tag)], ...]


class Model(Strict):
    """What made the predictions, as V2 results name it.

    Either `artifact`, the id of a model the Hub has already, or the name and the rest of one to create. A
    model cannot be changed on the Hub once it is created, except for its readme.
    """

    artifact: Annotated[str, AfterValidator(_artifact)] | None = None
    name: Name | None = None
    description: Text = ""
    code_url: Url | None = None
    report_url: Url | None = None
    readme: Annotated[str, AfterValidator(_text(_README, lines=True))] = ""
    tags: Tags = ()

    @field_validator("tags")
    @classmethod
    def _distinct_tags(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(value, str.casefold)

    @model_validator(mode="after")
    def _one_of_two(self) -> Model:
        others = sorted(self.model_fields_set - {"artifact"})
        if self.artifact is not None and others:
            raise ValueError(
                f"artifact names a model the Hub has, which is used as it is; remove {', '.join(others)} "
                "or, to create a model, artifact"
            )
        if self.artifact is None and self.name is None:
            raise ValueError("artifact (a model the Hub has) or name (of one to create) was expected")
        return self


class SubmissionCard(Strict):
    """`submission.toml`. What each kind of benchmark needs of it, `check_for` says."""

    name: Name
    """The submission's, on the Hub."""
    description: Text = ""
    owner: Owner
    """The slug of a Hub user or organization."""
    contributors: tuple[User, ...] = ()
    """Names of Hub users."""
    tags: Tags = ()
    user_attributes: dict[str, Line] = Field(default_factory=dict)
    """Further facts, a text each."""
    code_url: Url | None = None
    paper_url: Url | None = None
    report_url: Url | None = None
    model: Model | None = None
    supervision: Supervision
    """What the model has seen of targets: nothing, which wells have one perturbation, or targets."""
    compute: Line = ""
    predictions: Annotated[str, AfterValidator(plain_name)] = "predictions.csv"
    """The file beside this card."""

    @field_validator("contributors")
    @classmethod
    def _distinct_users(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(value, slug)

    @field_validator("tags")
    @classmethod
    def _distinct_tags(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(value, str.casefold)

    @field_validator("user_attributes")
    @classmethod
    def _attribute_names(cls, value: dict[str, str]) -> dict[str, str]:
        for key in value:
            _text(_TAG)(key)
            if not key or key.strip() != key:
                raise ValueError(f"the attribute {key!r} needs a name without blanks at the ends")
            if key.lower() in set(cls.model_fields) - {"model"}:  # which, as text, can only be meant as one
                raise ValueError(
                    f"{key} is a field of the card and not an attribute; it belongs above the first [table]"
                )
        return value


def _distinct(values: tuple[str, ...], key: Callable[[str], str]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for value in values:
        if (same := first.get(key(value))) is not None:
            twice = (
                f"{value!r} stands twice" if same == value else f"{same!r} and {value!r} are one to the Hub"
            )
            raise ValueError(f"each of them once; {twice}")
        first[key(value)] = value
    return values


def read_card(path: Path) -> SubmissionCard:
    """Read a card.

    Raises:
        DataError: Naming the file and, for everything that is wrong, field, value and rule.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; polaris-rxrx submit --init NAME writes a card to fill in")
    return parse_card(path, bounded.read_file(path, bounded.CARD))


def parse_card(path: Path, raw: bytes) -> SubmissionCard:
    """`read_card` of bytes that were read already; `path` is what messages call them."""
    data = _toml(path, raw)
    wrong = {place: _unfilled(place, value) for place, value in _placeholders(data)}
    card = None
    try:
        card = SubmissionCard.model_validate(data)
    except ValidationError as error:
        for found in complaints(error):
            # One thing said of a field is enough, and what an unfilled field breaks is no news.
            if not any(found.place[: len(p)] == p for p in wrong):
                wrong[found.place] = _told(found)
    if wrong or card is None:
        lines = list(wrong.values())
        if len(lines) == 1:
            raise DataError(f"{path}: {lines[0]}")
        raise DataError("\n  ".join([f"{path}: {len(lines)} fields are not right", *lines]))
    return card


def _toml(path: Path, raw: bytes) -> dict[str, Any]:
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path} begins with a byte-order mark; save it as UTF-8 without one")
    try:
        data: dict[str, Any] = bounded.toml_loads(raw.decode("utf-8"))
        return data
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text ({error.reason})") from None
    except ValueError as error:
        raise DataError(f"{path}: not TOML ({error})") from None


def _placeholders(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Where the template's words still stand."""
    if isinstance(data, str):
        if _PLACEHOLDER.search(data):
            yield place, data
        return
    items: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(data, Mapping):
        items = iter(data.items())
    elif isinstance(data, list):
        items = iter(enumerate(data))
    for key, value in items:
        yield from _placeholders(value, (*place, key))


def _unfilled(place: tuple[Any, ...], value: str) -> str:
    return f"{_field(place)} is {_shown(value)}: not filled in yet; expected {_rule(place)}"


# What each field holds, for one that is missing, unfilled or of another type.
_RULES = {
    "name": "4 to 64 letters, digits, - and _",
    "description": "text: what made these predictions",
    "owner": "the slug of the Hub user or organization it is sent for: 4 to 64 of a-z, 0-9 and -",
    "contributors": 'a list of Hub user names, as in ["ada-l", "grace_h"]',
    "tags": 'a list of words, as in ["zero-shot", "openphenom"]',
    "user_attributes": "a table [user_attributes] of names with text in quotes",
    "code_url": "the URL of the code",
    "paper_url": "the URL of the paper",
    "report_url": "the URL of a report",
    "model": "a table [model]",
    "supervision": '"zero-shot", "perturbation-labels" or "targets"',
    "compute": 'text, as in "1 GPU, 2 hours"',
    "predictions": "the name of the predictions file beside this card",
    "artifact": "the Hub's id of a model, owner/slug",
    "readme": "text: what the model is",
}
_SYNONYMS = {
    "github_url": "code_url",
    "repository": "code_url",
    "arxiv": "paper_url",
    "paper": "paper_url",
    "author": "contributors",
    "authors": "contributors",
    "attributes": "user_attributes",
    "title": "name",
    "username": "owner",
    "user": "owner",
    "file": "predictions",
    "model_artifact_id": "artifact",
}


def _rule(place: Sequence[Any]) -> str:
    names = [p for p in place if isinstance(p, str)]
    if names[0] == "user_attributes" and len(names) > 1:
        return "text in quotes"
    rule = _RULES.get(names[-1], "")
    return "text in quotes" if place[-1] != names[-1] else rule or "text in quotes"


def _field(place: Sequence[Any]) -> str:
    """`model.tags[1]`, counted from 1 as people do."""
    text = ""
    for part in place:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _shown(value: Any) -> str:
    """A value for a message: cut if long, a password in a URL hidden."""
    if isinstance(value, str):
        value = re.sub(r"//[^/\s]*@", "//***@", value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]}...{text[-1]}"


_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a table",
    str: "text",
}


def _told(found: Complaint) -> str:
    """A complaint in the card's own words: field, value, rule."""
    place, value, kind = found.place, found.value, found.kind
    field = _field(place)
    if kind == "missing":
        return f"{field} is missing; expected {_rule(place)}"
    if kind == "extra_forbidden":
        return _unknown(place)
    if kind == "value_error":
        if isinstance(value, dict):  # of a whole table: its values were shown to nobody's use
            return f"[{field}]: {found.rule}"
        return f"{field} is {_shown(value)}; expected {found.rule}"
    if kind == "literal_error":
        close = difflib.get_close_matches(str(value), ["zero-shot", "perturbation-labels", "targets"], n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{field} is {_shown(value)}; expected {_rule(place)}{hint}"
    what = _KINDS.get(type(value), "a date or time")
    return f"{field} is {_shown(value)} ({what}); expected {_rule(place)}"


def _unknown(place: Sequence[Any]) -> str:
    """A field the card does not have: misspelt, or in the wrong table."""
    name, table = str(place[-1]), "model" if len(place) > 1 else ""
    fields, elsewhere = set(SubmissionCard.model_fields), set(Model.model_fields)
    if table:
        fields, elsewhere = elsewhere, fields
    what = f"{_field(place)} is not a field of {'[model]' if table else 'a card'}"
    if name in elsewhere:
        there = "it belongs above the first [table]" if table else "it belongs into the table [model]"
        return f"{what}; {there}"
    synonym = _SYNONYMS.get(name.lower().replace("-", "_"))
    close = [synonym] if synonym in fields else difflib.get_close_matches(name.lower(), sorted(fields), n=1)
    return f"{what}; did you mean {close[0]}?" if close else f"{what}; it has {some(sorted(fields), 20)}"


def attributes(card: SubmissionCard) -> dict[str, str]:
    """The user attributes as they are sent: the card's own, then `supervision` and `compute`.

    The Hub has no field for these two. A card's own attributes never use their names.
    """
    extra = {"supervision": card.supervision, "compute": card.compute}
    return {**card.user_attributes, **{key: value for key, value in extra.items() if value}}


def check_for(card: SubmissionCard, *, kind: Kind) -> None:
    """Raise `DataError` if a kind of benchmark needs what the card lacks, or cannot carry what it has."""
    if problem := _misfit(card, kind):
        raise DataError(problem)


def _misfit(card: SubmissionCard, kind: Kind) -> str | None:
    if kind == "v2":
        if card.model is None:
            return (
                "[model] is missing; a V2 benchmark's results name a model: artifact = the id of one the Hub "
                "has, or the name of one to create"
            )
        for field in ("code_url", "paper_url", "report_url"):
            if value := getattr(card, field):
                return (
                    f"{field} is {value!r}; results of a V2 benchmark carry no links, they belong to its "
                    "model: move it into [model] (code_url, report_url)"
                )
        return None
    if card.model is not None:
        what = "a V1 benchmark" if kind == "v1" else "a competition"
        return f"[model] was given; results of {what} carry no model, only links. Remove [model]"
    # Both links are one field of the Hub's, which a V1 result calls the paper and a competition the report.
    needed, other = ("report_url", "paper_url") if kind == "competition" else ("paper_url", "report_url")
    theirs, ours = getattr(card, other), getattr(card, needed)
    if kind == "competition" and ours is None:
        return "report_url is missing; a competition's predictions are only taken with the URL of a report"
    if theirs is not None and theirs != ours:
        what = "competitions" if kind == "competition" else "V1 benchmarks"
        return f"{other} is {theirs!r}; {what} take one such link, as {needed}: move it there"
    return None


def template(name: str, owner: str = "your-name") -> str:
    """A card to fill in, as TOML with comments.

    Raises:
        UsageError: The name or the owner is none the Hub would take.
    """
    for what, value, check in (("name", name, _name), ("owner", owner, _owner)):
        try:
            check(value)
        except ValueError as error:
            raise UsageError(f"{what} is {_shown(value)}; expected {error}") from None
    return _TEMPLATE.replace("{name}", name).replace("{owner}", owner)


_TEMPLATE = """\
# What the Polaris Hub is told beside the predictions. Fill in every TODO and your-name; take the # away where
# a line is wanted. Then: polaris-rxrx submit submissions/{name} --dry-run

# 4 to 64 letters, digits, - and _.
name = "{name}"

# The slug of the Hub user or organization it is sent for: 4 to 64 of a-z, 0-9 and -.
owner = "{owner}"

# A sentence or two: what made these predictions.
description = "TODO"

# What the model had seen:
#   "zero-shot"            neither labels of perturbations nor targets of compounds
#   "perturbation-labels"  which perturbation a well had (weakly supervised training, for example)
#   "targets"              known targets of compounds
supervision = "TODO"

# The file beside this card (CSV, also .gz, or parquet).
predictions = "predictions.csv"

# compute = "TODO: 1 GPU, 2 hours"
# contributors = ["your-name"]  # Hub user names
# tags = ["TODO"]

# A V1 benchmark's results carry these two links.
# code_url = "TODO: https://github.com/..."
# paper_url = "TODO: https://arxiv.org/..."

# A competition takes predictions only with a report (and, if you like, code_url).
# report_url = "TODO: https://..."

# A V2 benchmark's results name a model instead: one the Hub has,
# [model]
# artifact = "your-name/TODO"
# or one to create (on the Hub it cannot be changed later, except for the readme):
# [model]
# name = "TODO"
# description = "TODO"
# code_url = "TODO: https://github.com/..."
# report_url = "TODO: https://arxiv.org/..."
# readme = "TODO"
# tags = ["TODO"]

# Anything else worth telling, as text.
# [user_attributes]
# embedding_width = "TODO"
"""
