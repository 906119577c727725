"""`polaris-rxrx view WELL... --images WHERE --out FILE.png`."""

from __future__ import annotations

from pathlib import Path

import click

from polaris_rxrx.cli._images import Images, image_options
from polaris_rxrx.cli.options import Bar, note
from polaris_rxrx.cli.outputs import NEW_FILE, Command


@click.command(cls=Command, no_args_is_help=True)
@click.argument("wells", metavar="[WELL]...", nargs=-1)
@image_options
@click.option("--out", type=NEW_FILE, required=True, metavar="FILE.png", help="The picture to write.")
@click.option(
    "--plate",
    metavar="PLATE",
    help="Show this plate as a contact sheet instead, its wells at their addresses: compound-004/Plate1, or "
    "Plate1 where one plate is called that.",
)
@click.option(
    "--channel",
    metavar="NAME",
    help="With --plate, show this channel alone.  [default: a composite of all]",
)
@click.option("--site", metavar="NAME", help="Which site of each well.  [default: the first]")
@click.option(
    "--outlines",
    is_flag=True,
    help="Draw the outlines of nuclei and cells, as featurize cellprofiler finds them.",
)
@click.option(
    "--nuclei", metavar="CHANNEL", help="For --outlines: the channel that shows nuclei.  [default: Hoechst]"
)
@click.option(
    "--cells",
    metavar="CHANNEL",
    help="For --outlines: the channel in which cells end.  [default: the mean of all but the nuclei's]",
)
def command(
    wells: tuple[str, ...],
    source: Images,
    out: Path,
    plate: str | None,
    channel: str | None,
    site: str | None,
    outlines: bool,
    nuclei: str | None,
    cells: str | None,
) -> None:
    """Show wells' images as one PNG: every channel and a composite, or a plate as a contact sheet.

    Wells that are shown together have the same contrast, channel by channel, so they can be compared.
    """
    if bool(wells) == (plate is not None):
        raise click.UsageError("give wells, or --plate for a contact sheet of one")
    if plate is None and channel is not None:
        raise click.UsageError("--channel belongs to --plate; of wells all channels are shown")
    if plate is not None and (site is not None or outlines):
        raise click.UsageError("--site and --outlines mean nothing for a contact sheet (--plate)")
    if not outlines and (nuclei is not None or cells is not None):
        raise click.UsageError("--nuclei and --cells belong to --outlines")
    if out.suffix.lower() != ".png":
        raise click.UsageError(f"--out {out}: a picture is saved as .png")
    from polaris_rxrx.images.picture import view, view_plate

    images = source.open()
    if plate is not None:
        with Bar("view") as bar:
            picture = view_plate(images, plate, channel=channel, step=bar.step)
    else:
        drawn = None
        if outlines:
            from polaris_rxrx.featurize.outlines import outlines_of
            from polaris_rxrx.featurize.segment import Segmentation

            plain = Segmentation()
            drawn = outlines_of(
                images, Segmentation(nuclei=nuclei or plain.nuclei, cells=cells or plain.cells)
            )
        picture = view(images, wells, site=site, outlines=drawn)
    for line in picture.notes:
        note(line)
    picture.save(out)
    what = f"plate {plate}" if plate is not None else f"{len(set(wells)):,} well{'s' * (len(set(wells)) > 1)}"
    click.echo(f"{out}: {what}")
