"""Suites run on a model's wells, read once, or on a map; several commands do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from polaris_rxrx.cli._datasets import without_blinded
from polaris_rxrx.cli.options import Bar
from polaris_rxrx.suites.run import WELLS

if TYPE_CHECKING:
    from polaris_rxrx.cli._source import Source
    from polaris_rxrx.suites.result import Result
    from polaris_rxrx.suites.run import Job

    Keep = Callable[[str, Mapping[str, Result]], None]


def run(
    todo: Mapping[str, Job], source: Source, by: str | None, write: Keep | None
) -> dict[str, dict[str, Result]]:
    """Run suites on wells read once; each is written as soon as it is done."""
    done: dict[str, dict[str, Result]] = {}
    with Bar(source.title) as bar:
        given = source.read(
            bar,
            mapped=bool(set(todo) - set(WELLS)),
            need_wells=bool(set(todo) & set(WELLS)),
            guides=by == "guide",
        )
        given = without_blinded(given, source.dataset)
        for suite, job in todo.items():
            done[suite] = {result.suite: given.stamp(result) for result in job(given, bar.step)}
            if write is not None:
                write(suite, done[suite])
    return done
