"""`python -m tests.explore.picture OUT.png`: the picture of the page that stands in the README.

It shows the views `VIEWS` (fragments of the page's address) of the demo's synthetic data, which the page says
itself, beside each other, in `COLORS` colors and less than `MOST` bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from polaris_rxrx.cli import run
from tests.report.browser import started, visit

LIST = (
    "BRAF,RAF1,MAP2K1,MAP2K2,EGFR,ERBB2,CDK4,CDK6,HDAC1,HDAC2,HDAC3,BRD2,BRD3,BRD4,MTOR,AKT1,AKT2,Trametinib"
)
VIEWS = ("#map", "#compound/Trametinib", f"#list/{LIST}")
SIZE = {"width": 960, "height": 1200}
SCALE, GAP, GROUND = 0.55, 12, "#8a8f98"
COLORS, MOST = 255, 150_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.explore.picture", description=__doc__)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small = beside(taken(Path(folder)))
    if len(small) > MOST:
        raise SystemExit(f"the picture has {len(small):,} bytes; at most {MOST:,} were expected")
    asked.out.write_bytes(small)
    print(f"{asked.out}: {len(small):,} bytes", file=sys.stderr)


def taken(scratch: Path) -> list[bytes]:
    """A picture of each view of the demo's page, as the browser gives it."""
    demo, page = scratch / "demo", scratch / "map.html"
    words = ["explore", "--model", "openphenom", "--data", str(demo / "data"), "--out", str(page)]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if run(["demo", str(demo)]) or run(words):
            raise SystemExit("the demo's page could not be made")
    found = []
    with started(scratch) as browser:
        for fragment in VIEWS:
            with visit(browser, page, viewport=SIZE) as here:
                here.page.evaluate("fragment => { location.hash = fragment; }", fragment)
                here.page.wait_for_timeout(1_500)  # what is drawn is drawn
                found.append(here.page.screenshot())
    return found


def beside(pictures: list[bytes]) -> bytes:
    """Pictures in a row, made smaller, in few colors: a PNG."""
    from PIL import Image

    opened: list[Any] = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    width, height = (round(SIZE[side] * SCALE) for side in ("width", "height"))
    whole = Image.new("RGB", (len(opened) * (width + GAP) + GAP, height + 2 * GAP), GROUND)
    for k, image in enumerate(opened):
        small = image.resize((width, height), Image.Resampling.LANCZOS)
        whole.paste(small, (GAP + k * (width + GAP), GAP))
    out = io.BytesIO()
    whole.quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        out, "PNG", optimize=True
    )
    return out.getvalue()


if __name__ == "__main__":
    main()
