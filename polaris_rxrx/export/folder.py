"""What a framework's folder of a task holds, and writing it.

Conventions
    prepared/public/    train.csv, test_features.csv, sample_submission.csv (as in a prepared folder) and
                        description.md: all that whoever is to be graded may see
    prepared/private/   answers.csv: id, active (nothing where there is no label), the names of the pair, and
                        the code of the group that the main metric is averaged over
    description.md      the task in words, where the framework looks for it
    grade.py            see `polaris_rxrx.export.grader`
    prepare.py          what the framework calls to have the data: copies prepared/ where it is told
    config.yaml, leaderboard.csv   what the framework must have beside them to know the task and to grade
    export.json         what this was made from, and the SHA-256 of every file; says that the folder is ours

    The framework's id of the task is its Hub id in lower case with hyphens. The leaderboard holds no model:
    published scores are of other pairs and protocols. Its two rows, perfect and constant predictions, are
    computed, since both frameworks refuse to grade without one.

Source
    As read in science-machine/biomlbench (September 2025) and openai/mle-bench: `registry.py` (config.yaml, a
    module path for grader and preparer), `grade.py` and `grade_helpers.py` (`grade(submission, answers)` is a
    float, rounded to five decimals; `InvalidSubmissionError`) and `data.py` (`prepare(raw, public, private)`,
    description.md beside the public files, no grading without a leaderboard).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx._version import __version__
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.export.description import describe, in_words
from polaris_rxrx.export.grader import grader
from polaris_rxrx.files import sha256, write_text
from polaris_rxrx.metrics import METRICS
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.scoring import score
from polaris_rxrx.tables import read_table, to_csv
from polaris_rxrx.task import FEATURES, MetricSpec, Task

MARKER = "export.json"


@dataclass(frozen=True)
class Framework:
    """Where a framework keeps its tasks: its package, the folder in it, and what stands before an id."""

    name: str
    package: str
    tasks: str
    prefix: str = ""

    def id(self, slug: str) -> str:
        return f"{self.prefix}{slug}"

    def module(self, slug: str, name: str) -> str:
        return ".".join([self.package, *self.tasks.split("/"), slug, name])


FRAMEWORKS = {
    "biomlbench": Framework("biomlbench", "biomlbench", "tasks/manual", "manual/"),
    "mle-bench": Framework("mle-bench", "mlebench", "competitions"),
}

_PREPARE = '''\
"""Put the prepared files where the framework wants them; there is nothing to download."""

from pathlib import Path
from shutil import copyfile


def prepare(raw: Path, public: Path, private: Path) -> None:
    for name, target in (("public", public), ("private", private)):
        target.mkdir(parents=True, exist_ok=True)
        for source in sorted((Path(__file__).resolve().parent / "prepared" / name).iterdir()):
            copyfile(source, target / source.name)
'''


def write_export(task: Task, framework: str, folder: Path) -> str:
    """Write a task for a framework into `folder` (made by the caller, empty); the framework's id of the task.

    Raises:
        UsageError: No such framework.
        DataError: The task has no local labels, or its main metric has no value here.

    >>> Path("exported").mkdir()
    >>> write_export(pr.load_task("task"), "mle-bench", Path("exported"))
    'local-compound-gene-activity-seed-0'
    >>> sorted(path.name for path in Path("exported").iterdir())[:2]
    ['config.yaml', 'description.md']
    """
    if framework not in FRAMEWORKS:
        raise UsageError(f"no framework {framework!r}; {' or '.join(FRAMEWORKS)} was expected")
    if task.active is None:
        raise DataError(
            f"{task.name} is a competition: its labels stay on the Hub, so there are no answers to grade with"
        )
    spec = next(m for m in task.metrics if m.name == task.main_metric)
    texts = _texts(task, FRAMEWORKS[framework], spec, _references(task))
    for name, text in texts.items():
        write_text(folder / name, text)
    document: dict[str, Any] = {
        "schema_version": 1,
        "framework": framework,
        "id": FRAMEWORKS[framework].id(slug(task)),
        "task": task.name,
        "artifact_version": task.artifact_version,
        "source": task.source,
        "metric": spec.model_dump(),
        "counts": task.counts(),
        "protocol": task.protocol,
        "versions": {**task.versions, "polaris_rxrx": __version__},
        "files": {name: sha256(folder / name) for name in texts},
    }
    write_text(folder / MARKER, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return str(document["id"])


def slug(task: Task) -> str:
    """A name that folders, module paths and the frameworks' ids allow.

    >>> slug(pr.load_task("task"))
    'local-compound-gene-activity-seed-0'
    """
    return re.sub(r"[^a-z0-9_-]+", "-", task.name.lower()).strip("-_") or "compound-gene-activity"


def _references(task: Task) -> dict[str, float]:
    """The main metric of predictions that know all and that know nothing."""
    assert task.active is not None
    found = {}
    for name, values in (
        ("perfect predictions", np.nan_to_num(task.active)),
        ("constant predictions (sample_submission.csv)", np.zeros(len(task))),
    ):
        value = score(task, Predictions(values, name)).main_value
        if value is None:
            raise DataError(f"{task.name}: its main metric {task.main_metric} has no value here to grade by")
        found[name] = value
    return found


def _texts(
    task: Task, framework: Framework, spec: MetricSpec, references: dict[str, float]
) -> dict[str, str]:
    """Every file but `export.json`: name -> text."""
    group = "group"
    while group in task.inputs:
        group += "_"
    codes = [0] * len(task) if spec.group_by is None else task.groups(spec.group_by)[0].tolist()
    public = task.public_tables(_structures(task))
    description = describe(task, spec, references)
    answers = {"id": list(range(len(task))), "active": task.label_texts(), **task.inputs, group: codes}
    return {
        **{f"prepared/public/{name}": text for name, text in public.items()},
        "prepared/public/description.md": description,
        "prepared/private/answers.csv": to_csv(answers),
        "description.md": description,
        "grade.py": grader(
            package=framework.package,
            group=group,
            inputs=list(task.inputs),
            metric=METRICS[spec.label].field,
            aggregation=spec.aggregation,
            default=spec.default if spec.on_error == "default" else None,
        ),
        "prepare.py": _PREPARE,
        "config.yaml": _config(task, framework, in_words(spec)),
        "leaderboard.csv": to_csv({"teamName": list(references), "score": list(references.values())}),
    }


def _structures(task: Task) -> list[str] | None:
    """The SMILES that `prepare --smiles` wrote; None if there are none, or they are an input."""
    if task.folder is None or "SMILES" in task.inputs:
        return None
    return read_table(task.folder / FEATURES).columns.get("SMILES")


def _config(task: Task, framework: Framework, words: str) -> str:
    """`config.yaml`. A JSON text is a YAML scalar, whatever stands in it."""
    name = slug(task)
    place, id_ = f"{framework.package}/{framework.tasks}/{name}", framework.id(name)
    rows = [
        f"id: {id_}",
        f"name: {json.dumps(task.name, ensure_ascii=False)}",
        "awards_medals: false",
        "prizes: null",
        f"description: {place}/description.md",
        "",
        "dataset:",
        f"  answers: {id_}/prepared/private/answers.csv",
        f"  sample_submission: {id_}/prepared/public/sample_submission.csv",
        "",
        "grader:",
        f"  name: {json.dumps(words, ensure_ascii=False)}",
        f"  grade_fn: {framework.module(name, 'grade')}:grade",
        "",
        f"preparer: {framework.module(name, 'prepare')}:prepare",
        "",
    ]
    if framework.name == "biomlbench":
        rows += ["task_type: drug_discovery", "domain: phenomics", "data_source:", "  type: manual"]
    else:
        rows += ["competition_type: simple"]
    return "\n".join(rows) + "\n"
