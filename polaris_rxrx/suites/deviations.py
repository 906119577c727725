"""Where the suites differ from the public code, numbered: the data in `deviations.toml`.

Conventions
    A deviation has its suite's number. The docstring of the suite's module says the same in the same words (a
    test holds it); every result's protocol keeps them, and `polaris-rxrx reproduce` prints them. `legacy`
    undoes those without a `why`. The public code is recursionpharma/EFAAR_benchmarking.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from typing_extensions import TypedDict

from polaris_rxrx import bounded


@dataclass(frozen=True)
class Deviation:
    """What is done here, and what there; `why` no switch undoes it, or None where `legacy` does."""

    what: str
    why: str | None = None


DEVIATIONS: dict[str, tuple[Deviation, ...]] = {
    suite: tuple(Deviation(**told) for told in held)
    for suite, held in bounded.read_toml(Path(__file__).with_suffix(".toml")).items()
}


class DeviationDocument(TypedDict):
    """Where a suite differs from the public code."""

    number: int
    what: str
    undone: bool
    """Whether this run took the public code's way."""
    why_not: str | None
    """Why no switch undoes it; null where `--legacy` does."""


def listed(suite: str, *, legacy: bool = False) -> list[DeviationDocument]:
    """A suite's deviations for a protocol: number, what, whether this run undid it, and why it cannot be.

    Args:
        suite: A result's suite.
        legacy: Whether the run takes the public code's way where it can.
    """
    return [
        {"number": number, "what": d.what, "undone": legacy and d.why is None, "why_not": d.why}
        for number, d in enumerate(DEVIATIONS[suite], 1)
    ]
