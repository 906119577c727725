"""`polaris-rxrx evaluate SUITE`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli._finished import Asked, Finished, Kept, asked
from polaris_rxrx.cli._inputs import (
    aliases_option,
    annotations_option,
    check_folder,
    read_map,
    relations_option,
)
from polaris_rxrx.cli._running import run
from polaris_rxrx.cli._source import Source, is_given, source_options
from polaris_rxrx.cli._tables import as_text
from polaris_rxrx.cli.options import FILE, note, seed_option, wide_option
from polaris_rxrx.cli.outputs import Command, results_option
from polaris_rxrx.present.terminal import json_text
from polaris_rxrx.suites.run import BELONGS, BY, PAPER, SUITES, WELLS, jobs, refuse_strangers

if TYPE_CHECKING:
    from polaris_rxrx.cli._running import Keep


def _by(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """What the suite that was named goes by."""
    # click leaves it among the words that it could not read, where an option still lacks its own.
    named = [context.params.get("suite"), *context.args]
    words = next((BY[suite] for suite in named if suite in BY), ())
    return [word for word in words if word.startswith(incomplete)]


@click.command(cls=Command, no_args_is_help=True)
@click.argument("suite", type=click.Choice([*SUITES, "all"]))
@source_options(
    metadata="The well metadata; beside --map it tells gene-gene which genes share an experiment.  [default: "
    "the one in --data; none beside --map]"
)
@annotations_option
@click.option(
    "--seeds",
    type=int,
    metavar="N",
    help="How many times negatives are drawn for drug-target, with the seeds 0 to N-1.  [default: 100]",
)
@click.option(
    "--active",
    type=float,
    metavar="NM",
    help="A pair is active at or below this affinity, in nM.  [default: 1000]",
)
@click.option(
    "--inactive",
    type=float,
    metavar="NM",
    help="A pair may be drawn as a negative beyond this affinity, in nM.  [default: 10000]",
)
@click.option(
    "--min-negatives",
    type=int,
    metavar="N",
    help="The least number of negatives drawn for a compound, or for a gene.  [default: 20]",
)
@click.option(
    "--legacy",
    is_flag=True,
    help="For drug-target, draw negatives and take standard deviations as the paper's public code does; for "
    "consistency, rank positives before what equals them, as copairs does; for activity that, too, with all "
    "controls in the alignment and as negatives.",
)
@relations_option
@click.option(
    "--low",
    type=float,
    multiple=True,
    metavar="Q",
    help="Two genes are opposite if their cosine is at or below this quantile (0 to 1) of all pairs' "
    "cosines; may be repeated, as often as --high.  [default: 0.05]",
)
@click.option(
    "--high",
    type=float,
    multiple=True,
    metavar="Q",
    help="Two genes are alike if their cosine is at or above this quantile (0 to 1) of all pairs' cosines; "
    "may be repeated, as often as --low.  [default: 0.95]",
)
@click.option(
    "--against", type=FILE, metavar="MAP", help="Another saved map, to test whether its recall is different."
)
@click.option(
    "--unexpressed",
    type=FILE,
    help="A file of genes, one on each line, which are the null of signal and are not reported themselves.",
)
@click.option(
    "--by",
    metavar="WHAT",
    shell_complete=_by,
    help="What is scored one by one: for drug-target each compound or gene; for signal and activity each "
    "gene, guide, compound or compound-concentration.  [default: compound; gene]",
)
@click.option(
    "--sets",
    type=FILE,
    metavar="FILE",
    help="Complexes or pathways, for clusters and for consistency of genes: a GMT file, or one with a name, "
    "a tab and genes on each line.",
)
@aliases_option
@click.option(
    "--min-genes",
    type=int,
    metavar="N",
    help="The least number of genes in the map that a complex is tested with.  [default: 10]",
)
@click.option(
    "--of",
    type=click.Choice(["gene", "compound"]),
    help="For consistency: genes that share a set of --sets, or compounds that share a target of "
    "--annotations, each at its highest concentration.  [default: gene]",
)
@click.option(
    "--null-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many random orders p-values of consistency and activity rest on.  [default: 10000]",
)
@seed_option(
    "The seed of every draw but that of negatives: bootstrap, controls, exchanges, random embeddings."
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON and nothing else.")
@results_option("SUITE.json, and each table")
@click.option(
    "--resume",
    is_flag=True,
    help="Keep what is finished in --out, and do not show it again, where files, options and versions are "
    "the same; run the other suites.",
)
@wide_option
@click.pass_context
def command(
    context: click.Context,
    /,
    suite: str,
    source: Source,
    as_json: bool,
    out: Path | None,
    resume: bool,
    by: str | None,
    **options: Any,
) -> None:
    """Run the paper's benchmarks (arXiv 2503.20158), and others, on a model's embeddings or on a map.

    \b
    drug-target  does a compound look like its target's knock-out?
    gene-gene    do genes known to act together look alike?
    signal       can a perturbation be told from its controls? do its wells agree?
    clusters     are the genes of a complex more alike than they are to all others?
    consistency  do genes of a set, or compounds of a target, find each other?
    activity     do a perturbation's wells find each other before control wells?
    all          the first three, on wells read once
    """
    suites = PAPER if suite == "all" else (suite,)
    refuse_strangers([name for name in BELONGS if is_given(context, name)], suites, by)
    source.check(context, wells=[s for s in suites if s in WELLS], layout="gene-gene" in suites)
    if source.gene_arms is not None and not set(suites) - set(WELLS):
        raise click.UsageError(f"--gene-arms corrects a map; {suite} looks at wells")
    if out is not None:
        check_folder(out)
    elif resume:
        raise click.UsageError("--resume keeps what is finished in --out, which was not given")
    layout_of = source.metadata if source.map_path is not None else None
    other = None if options["against"] is None else read_map(options["against"]).map_
    options |= {"layout_of": layout_of, "effort": source.effort, "against": other}
    wanted = jobs(suites, source.data, by, options)
    kept: dict[str, Kept] = {}
    write: Keep | None = None
    if out is not None:
        kept, write = _finished(out, asked(context, suites, source), resume)
    todo = {suite: job for suite, job in zip(suites, wanted, strict=True) if suite not in kept}
    done = run(todo, source, by, write) if todo else {}
    if out is not None and done:
        note(f"Wrote {', '.join(name for results in done.values() for name in results)} into {out}")
    if as_json:
        documents = {suite: found.results for suite, found in kept.items()}
        documents |= {suite: {n: r.to_dict() for n, r in results.items()} for suite, results in done.items()}
        click.echo(json_text({name: d for suite in suites for name, d in documents[suite].items()}))
    elif done:
        shown = (result for results in done.values() for result in results.values())
        click.echo("\n\n".join(as_text(result, source.title) for result in shown))


def _finished(out: Path, wanted: dict[str, Asked], resume: bool) -> tuple[dict[str, Kept], Keep]:
    """What is finished in a folder and stays, which is told, and what writes a suite that was run."""
    held, kept = Finished(out), dict[str, Kept]()
    for suite, what in wanted.items() if resume else ():
        found = held.find(suite, what)
        if isinstance(found, Kept):
            kept[suite] = found
            note(f"{suite}: finished in {out} with the same files, options and versions; kept")
        else:
            note(f"{suite} runs: {found}")
    return kept, lambda suite, results: held.write(suite, wanted[suite], results)
