"""JSON schemas of what is read and written: cards, task, report, receipt, and what `--json` prints.

Conventions
    Draft 2020-12. Every schema is made of the very type that the code reads into or writes from: a model, a
    TypedDict or a dataclass. A description is the type's docstring, a key's the text below it.
    What is written names all of its keys, and no others. Of what is read, a key with a default may be absent;
    a schema says less than a model where a rule is about several keys at once.
    A schema's `$id` is `urn:polaris-rxrx:schema:NAME:VERSION`; the version rises when a document that was
    valid is not any more. `DOCUMENTS` are what files hold, `COMMANDS` what the commands of these words print
    with `--json`, their words joined by `-`.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from polaris_rxrx.errors import UsageError

DRAFT = "https://json-schema.org/draft/2020-12/schema"
VERSION = 1


def _baseline_card() -> Any:
    from polaris_rxrx.cards import Card

    return Card


def _dataset_card() -> Any:
    from polaris_rxrx.dataset.screens import Screen

    return Screen


def _submission_card() -> Any:
    from polaris_rxrx.hub.card import SubmissionCard

    return SubmissionCard


def _task() -> Any:
    from polaris_rxrx.task import Manifest

    return Manifest


def _report() -> Any:
    from polaris_rxrx.scoring import ScoreReport
    from polaris_rxrx.submission.submit import UnscoredReport

    return ScoreReport | UnscoredReport


def _receipt() -> Any:
    from polaris_rxrx.submission.receipt import Receipt

    return Receipt


def _environment() -> Any:
    from polaris_rxrx.submission.bundle import Environment

    return Environment


def _features() -> Any:
    from polaris_rxrx.wells.parts import BegunDocument, FinishedDocument

    return FinishedDocument | BegunDocument


def _result() -> Any:
    from polaris_rxrx.suites import documents as d

    return (
        d.DrugTargetDocument
        | d.GeneGeneDocument
        | d.SignalDocument
        | d.ReplicatesDocument
        | d.ClustersDocument
        | d.ConsistencyDocument
        | d.ActivityDocument
        | d.NeighborsDocument
        | d.EnrichmentDocument
    )


def _audit() -> Any:
    from polaris_rxrx.audit.result import AuditDocument

    return AuditDocument


def _compare() -> Any:
    from polaris_rxrx.comparison import ComparisonDocument

    return ComparisonDocument


def _dataset_check() -> Any:
    from polaris_rxrx.documents import Fields
    from polaris_rxrx.wells.check import Understood

    return Fields[Understood]


def _dataset_list() -> Any:
    from polaris_rxrx.dataset.screens import Screens

    return Screens


def _doctor() -> Any:
    from polaris_rxrx.doctor.findings import Diagnosis
    from polaris_rxrx.documents import Fields

    return Fields[Diagnosis]


def _enrichment() -> Any:
    from polaris_rxrx.suites.documents import EnrichmentDocument

    return EnrichmentDocument


def _evaluate() -> Any:
    from polaris_rxrx.suites.documents import Evaluation

    return Evaluation


def _featurize() -> Any:
    from polaris_rxrx.featurize.check import TrialDocument

    return TrialDocument


def _fetch() -> Any:
    from polaris_rxrx.dataset.registry import FileStatus
    from polaris_rxrx.documents import Fields

    return list[Fields[FileStatus]]


def _leaderboard() -> Any:
    from polaris_rxrx.leaderboard.board import BoardDocument

    return BoardDocument


def _neighbors() -> Any:
    from polaris_rxrx.suites.documents import NeighborsDocument

    return NeighborsDocument


def _reproduce() -> Any:
    from polaris_rxrx.suites.reproduce import ReproductionDocument

    return ReproductionDocument


def _runs() -> Any:
    from polaris_rxrx.runs.board import RunsDocument

    return RunsDocument


def _score() -> Any:
    from polaris_rxrx.quick import CheckedReport

    return CheckedReport


def _submit() -> Any:
    from polaris_rxrx.submission.submit import DryRun, Sent

    return DryRun | Sent


def _targets() -> Any:
    from polaris_rxrx.dataset.affinities import TargetsDocument

    return TargetsDocument


def _verify() -> Any:
    from polaris_rxrx.submission.verify import VerificationDocument

    return VerificationDocument


def _whoami() -> Any:
    from polaris_rxrx.hub.account import AccountDocument

    return AccountDocument


# Name -> what it is of, and the type, which is imported when it is asked for.
DOCUMENTS: dict[str, tuple[str, Callable[[], Any]]] = {
    "baseline-card": ("A baseline card, as TOML or JSON.", _baseline_card),
    "dataset-card": ("A dataset card, as TOML or JSON.", _dataset_card),
    "submission-card": ("A submission card, submission.toml.", _submission_card),
    "task": ("task.json of a prepared folder and of a bundle.", _task),
    "report": ("The score report of a bundle, report.json.", _report),
    "receipt": ("A receipt of a submission.", _receipt),
    "environment": ("environment.json of a bundle.", _environment),
    "features-manifest": ("manifest.json of a folder of features.", _features),
    "result": ("A result of a suite, as `--out` writes it.", _result),
}
COMMANDS: dict[str, Callable[[], Any]] = {
    "audit": _audit,
    "compare": _compare,
    "dataset-check": _dataset_check,
    "dataset-list": _dataset_list,
    "doctor": _doctor,
    "enrichment": _enrichment,
    "evaluate": _evaluate,
    "featurize": _featurize,
    "fetch": _fetch,
    "leaderboard": _leaderboard,
    "neighbors": _neighbors,
    "reproduce": _reproduce,
    "runs": _runs,
    "score": _score,
    "submit": _submit,
    "targets": _targets,
    "verify": _verify,
    "whoami": _whoami,
}


def names() -> dict[str, str]:
    """Every schema's name, and what it is of."""
    printed = {name: f"What `{name.replace('-', ' ')} --json` prints." for name in COMMANDS}
    return {name: told for name, (told, _) in DOCUMENTS.items()} | printed


def type_of(name: str) -> Any:
    """The type whose schema has this name.

    Raises:
        UsageError: There is none of this name.
    """
    if name in DOCUMENTS:
        return DOCUMENTS[name][1]()
    if name in COMMANDS:
        return COMMANDS[name]()
    raise UsageError(f"no schema {name!r}; there are {', '.join(names())}")


def schema_of(name: str) -> dict[str, Any]:
    """The JSON schema of this name, one of `names()`.

    Raises:
        UsageError: There is none of this name.
    """
    made = TypeAdapter(type_of(name)).json_schema(schema_generator=_Closed)
    head = {"$schema": DRAFT, "$id": f"urn:polaris-rxrx:schema:{name}:{VERSION}", "title": name}
    told = {} if "description" in made else {"description": names()[name]}
    return {**head, **told, **{key: value for key, value in made.items() if key != "title"}}


class _Closed(GenerateJsonSchema):
    """TypedDicts and dataclasses have the keys they name, all of them, and keys their descriptions."""

    def typed_dict_schema(self, schema: Any) -> JsonSchemaValue:
        return _told(schema["cls"], {**super().typed_dict_schema(schema), "additionalProperties": False})

    def dataclass_schema(self, schema: Any) -> JsonSchemaValue:
        made = _told(schema["cls"], {**super().dataclass_schema(schema), "additionalProperties": False})
        for held in made["properties"].values():
            held.pop("default", None)  # of what is written, every key is there
        return made

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        return _told(schema["cls"], super().model_schema(schema))

    def field_is_required(self, field: Any, total: bool) -> bool:
        return field["type"] == "dataclass-field" or super().field_is_required(field, total)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # a key is its own title


def _told(of: type, made: JsonSchemaValue) -> JsonSchemaValue:
    """A schema with the type's docstring for its description, and the keys' own."""
    below, (told, listed) = _below(of), _docstring(of)
    about = {**listed, **below}
    properties = {
        name: {**held, "description": about[name]} if name in about else dict(held)
        for name, held in made.get("properties", {}).items()
    }
    made = {**made, "properties": properties}
    if told:
        made["description"] = told
    return made


def _docstring(of: type) -> tuple[str, dict[str, str]]:
    """What a type's docstring says of it, on one line a paragraph, and of its attributes."""
    if of.__doc__ is None or of.__doc__.startswith("dict("):
        return "", {}
    told, _, rest = inspect.cleandoc(of.__doc__).partition("\n\nAttributes:\n")
    told = told.partition("\n\nRaises:\n")[0].partition("\n\nArgs:\n")[0]
    paragraphs = (" ".join(p.split()) for p in told.split("\n\n") if not p.startswith(">>>"))
    listed = re.findall(r"^    (\w+): (.+(?:\n     +.+)*)", rest.partition("\n\n")[0], re.M)
    return "\n\n".join(paragraphs), {name: " ".join(text.split()) for name, text in listed}


@cache
def _below(of: type) -> dict[str, str]:
    """Key -> the text below it, of a type and of those it stands on."""
    found: dict[str, str] = {}
    for base in getattr(of, "__orig_bases__", of.__bases__):
        if getattr(base, "__module__", "").startswith("polaris_rxrx"):
            found |= _below(base)
    return found | _texts(of.__module__).get(of.__qualname__, {})


@cache
def _texts(module: str) -> dict[str, dict[str, str]]:
    """Class -> key -> the text below it, of the classes of a module."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for key, below in zip(node.body, node.body[1:], strict=False):
            if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name):
                match below:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found.setdefault(node.name, {})[key.target.id] = " ".join(text.split())
    return found
