"""`description.md`: the task in words, for whoever is to be graded. Nothing in it tells a label."""

from __future__ import annotations

from collections.abc import Mapping

from polaris_rxrx.metrics import METRICS
from polaris_rxrx.task import MetricSpec, Task

_TEXT = """\
# Which gene does a compound act on?

Task: {name}
{warning}
## The task

RxRx3-core holds Cell Painting images of human cells, and embeddings of them, in which a gene was knocked out
or a compound was added. For every pair of a compound (`treatment`) and a gene (`gene_symbol`), say how likely
it is that the compound acts on the gene's product. There are {pairs:,} pairs of {treatments:,} treatments and
{genes:,} genes.

Images and embeddings are not part of this folder: they are Recursion's (Hugging Face,
`recursionpharma/rxrx3-core`), under a licence of its own.

## Files

- `train.csv`: {train}.
- `test_features.csv`: `id`, the place of a pair (0 to {last}), and what the pair is: {inputs}.
- `sample_submission.csv`: a submission that scores every pair 0.

Names are text, and some look like something else (`NA`, a date, a number, a name with commas or quotes). Read
them as they are: `pandas.read_csv(path, dtype=str, keep_default_na=False)`.

## Submission

A CSV of two columns, `id` and `active`: every id of `test_features.csv` once, in any order, and a finite
number that is higher where the compound is more likely to act on the gene. Only the order of the numbers
counts.

```
id,active
0,0.31
1,-0.2
```

The pair's names may stand beside them, and must then agree with the id. Any other column, a missing, repeated
or unknown id, and a score that is no finite number are refused.

## Evaluation

{metric}; {direction} is better. Equal scores are one threshold, so the order of rows does not matter.
{undefined}Pairs without a label do not count.

{references}
"""


def in_words(spec: MetricSpec) -> str:
    """A metric in words, as in `average precision, mean over treatment`."""
    over = "over all pairs" if spec.group_by is None else f"{spec.aggregation} over {spec.group_by}"
    return f"{METRICS[spec.label].title}, {over}"


def describe(task: Task, spec: MetricSpec, references: Mapping[str, float]) -> str:
    """The text; `references` are the scores of predictions that know all, and nothing."""
    counts = task.counts()
    undefined = ""
    if spec.group_by is not None and spec.on_error == "default" and spec.default is not None:
        undefined = f"A {spec.group_by} without a value counts as {spec.default:g}.\n"
    elif spec.group_by is not None:
        undefined = f"A {spec.group_by} that lacks the labels it takes for a value is left out.\n"
    none = "the header alone: the benchmark is zero-shot, and there are no labelled pairs to train on"
    words = in_words(spec)
    return _TEXT.format(
        name=" ".join(task.name.split()),
        warning=(
            "\n**The labels are synthetic (`polaris-rxrx demo`): scores say nothing about any model.**\n"
            if task.protocol.get("made_up")
            else ""
        ),
        pairs=counts["pairs"],
        treatments=counts["treatments"],
        genes=counts["genes"],
        train=f"{counts['train']:,} labelled pairs" if counts["train"] else none,
        last=counts["pairs"] - 1,
        inputs=", ".join(f"`{name}`" for name in task.inputs),
        metric=words[0].upper() + words[1:],
        direction="higher" if METRICS[spec.label].direction > 0 else "lower",
        undefined=undefined,
        references="\n".join(f"- {name}: {value:.4f}" for name, value in references.items()),
    )
