"""Images of any screen, opened: layouts, channels, scales, choices, and what is refused."""

from __future__ import annotations

import csv
import gzip
import itertools
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile

from polaris_rxrx.dataset.sandbox_images import Picture, pictures, write_shards
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.images.opened import open_images

Pixels = npt.NDArray[np.uint8]
STAINS = ("Hoechst", "ConA", "Phalloidin", "Syto14", "MitoTracker", "WGA")


def noise(seed: int, channels: int = 6, size: tuple[int, int] = (12, 10), most: int = 255) -> Pixels:
    drawn = np.random.default_rng(seed).integers(1, most, (channels, *size))
    return drawn.astype(np.uint8 if most < 256 else np.uint16)


# In the order in which a person walks along them: experiments, plates, rows, columns, by their numbers.
WELLS = [
    f"{experiment}_{plate}_{address}"
    for experiment in ("compound-004", "gene-002")
    for plate in (1, 2, 10)
    for address in ("B02", "H29", "AA04")
]
TRUTH = {well: noise(seed) for seed, well in enumerate(WELLS)}


@pytest.fixture(scope="module")
def images() -> list[Picture]:
    return [picture for well, pixels in TRUTH.items() for picture in pictures(well, pixels)]


@pytest.fixture(scope="module")
def core(images: list[Picture], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a download of RxRx3-core lies in its folder: shards in `data`, other parquet files beside it."""
    root = tmp_path_factory.mktemp("core")
    write_shards(root / "data", images, shard=50, row_group=7)
    pq.write_table(pa.table({"well_id": WELLS, "feature_0": [0.0] * len(WELLS)}), root / "embeddings.parquet")
    return root


def check_all(where: str | Path, wells: Sequence[str] = WELLS) -> None:
    """Every pixel, of every well in the order of places."""
    opened = open_images(where)
    assert list(opened.wells) == list(wells)
    for well, read in itertools.zip_longest(wells, opened.read(wells)):
        assert read.well == well
        assert read.faults == ()
        assert [site.name for site in read.sites] == ["1"]
        assert np.array_equal(read.sites[0].pixels, TRUTH[well])


def test_a_download_of_the_core(core: Path) -> None:
    check_all(core)
    opened = open_images(core)
    assert opened.channels == STAINS
    assert (opened.white, opened.pixel_size) == (255, 0.65)
    assert opened.plate("compound-004_10_AA04") == "compound-004/Plate10"
    assert opened.metadata("gene-002_1_H29") == {"experiment": "gene-002", "plate": "1", "address": "H29"}
    assert [f["rows"] for f in opened.provenance["files"]] == [50, 50, 8]
    assert opened.notes == (
        "'embeddings.parquet': no __key__, so no shards of images; left out",
        "a pixel is taken for 0.65 um, as RxRx3-core's are; --pixel-size states another",
    )


@pytest.mark.parametrize("where", ["data", "data/*.parquet", "*/train-*", "**/*train*.parquet"])
def test_a_folder_or_a_glob(core: Path, where: str) -> None:
    check_all(str(core / where))


@pytest.mark.parametrize(
    ("size", "note", "told"), [((512, 512), "", False), ((16, 16), "drawn", False), ((16, 16), "", True)]
)
def test_the_size_of_a_pixel_is_told_where_it_is_a_guess(
    tmp_path: Path, size: tuple[int, int], note: str, told: bool
) -> None:
    """Fields of RxRx3-core's size are taken for its, and synthetic ones are drawn so."""
    write_shards(tmp_path, pictures("gene-002_1_H29", noise(1, size=size)), note=note)
    opened = open_images(tmp_path)
    assert opened.pixel_size == 0.65
    assert any("a pixel is taken for 0.65 um" in line for line in opened.notes) == told


def test_one_shard_is_the_wells_that_stand_in_it(core: Path) -> None:
    opened = open_images(core / "data/train-00001-of-00003.parquet")
    assert opened.wells == tuple(WELLS[8:17])  # images 51 to 100 of six a well
    first, *whole, last = opened.read(opened.wells)
    assert [fault.channel for fault in first.faults] == list(STAINS[:2])
    assert [fault.channel for fault in last.faults] == list(STAINS[4:])
    assert {fault.problem for fault in (*first.faults, *last.faults)} == {"no such image"}
    assert not first.sites and not last.sites
    assert all(not read.faults for read in whole)


def test_shards_of_any_name(core: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("data/train-0.parquet", "data/test-0.parquet", "more/0000.parquet")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((core / f"data/train-0000{number}-of-00003.parquet").read_bytes())
    check_all(tmp_path)


def test_shards_that_are_missing_are_told(core: Path, tmp_path: Path) -> None:
    for number in (0, 2):
        name = f"train-0000{number}-of-00003.parquet"
        (tmp_path / name).write_bytes((core / "data" / name).read_bytes())
    assert "2 of 3 shards are here; wells of the others are not seen" in open_images(tmp_path).notes


@pytest.mark.parametrize(
    ("shard", "row_group", "shuffle"), [(1000, 1000, False), (17, 4, True), (108, 1, True)]
)
def test_another_sharding_gives_the_same(
    images: list[Picture], core: Path, tmp_path: Path, shard: int, row_group: int, shuffle: bool
) -> None:
    """Channels of a well straddle row groups and shards; rows are in any order."""
    images = list(images)
    if shuffle:
        random.Random(1).shuffle(images)
    write_shards(tmp_path, images, shard=shard, row_group=row_group, structs=shuffle)
    check_all(tmp_path)
    one, other = open_images(core), open_images(tmp_path)
    assert one.key(WELLS) == other.key(WELLS)
    assert one.key(WELLS[2:4]) == other.part(WELLS[2:4]).key(WELLS[2:4])
    assert one.key(WELLS[2:4]) != one.key(WELLS[3:5])


# ---- folders


def write_folders(root: Path, wells: Iterable[str] = WELLS, channels: int = 6, name: str = "w{}.png") -> None:
    for well in wells:
        experiment, plate, address = well.rsplit("_", 2)
        folder = root / experiment / f"Plate{plate}"
        folder.mkdir(parents=True, exist_ok=True)
        for channel, pixels in enumerate(TRUTH[well][:channels], 1):
            encode = imagecodecs.png_encode if name.endswith("png") else imagecodecs.jpeg2k_encode
            options = {} if name.endswith("png") else {"level": 0}
            (folder / f"{address}_s1_{name.format(channel)}").write_bytes(encode(pixels, **options))


@pytest.mark.parametrize("name", ["w{}.png", "{}.jp2"])
def test_folders_as_of_rxrx3(tmp_path: Path, name: str, core: Path) -> None:
    write_folders(tmp_path / "images", name=name)
    check_all(tmp_path)
    check_all(str(tmp_path / "images/*/Plate*/*_s1_*"))
    opened = open_images(tmp_path)
    assert opened.channels == STAINS
    assert (opened.white, opened.pixel_size) == (255, None)
    assert opened.plate("compound-004_10_AA04") == "compound-004/Plate10"
    assert opened.metadata("gene-002_1_H29") == {"experiment": "gene-002", "plate": "1", "address": "H29"}
    well = "compound-004_2_B02"
    assert open_images(tmp_path / "images/compound-004/Plate2").wells == tuple(WELLS[3:6])
    (tmp_path / f"images/compound-004/Plate2/B02_s1_{name.format(3)}").unlink()
    (read,) = opened.read([well])
    assert [(fault.channel, fault.problem) for fault in read.faults] == [("Phalloidin", "no such file")]
    assert read.faults[0].file == f"images/compound-004/Plate2/B02_s1_{name.format(3)}"


def test_a_working_directory_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folders(tmp_path, WELLS[:2])
    monkeypatch.chdir(tmp_path / "compound-004/Plate1")
    check_all(".", WELLS[:2])
    check_all("*.png", WELLS[:2])
    check_all(Path("../../compound-004"), WELLS[:2])
    check_all("../Plate1/*", WELLS[:2])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/compound-004").symlink_to(tmp_path / "compound-004")
    check_all(tmp_path / "elsewhere", WELLS[:2])
    (tmp_path / "compound-004/again").symlink_to(tmp_path / "elsewhere")  # leads up
    check_all(tmp_path / "elsewhere", WELLS[:2])
    opened = open_images(".")
    monkeypatch.chdir(tmp_path)
    (read,) = opened.read(WELLS[:1])
    assert not read.faults


def test_other_files_are_left_out_and_told(tmp_path: Path) -> None:
    write_folders(tmp_path, WELLS[:1])
    for name in (
        "thumbnail.png",
        "compound-004/Plate1/B02.tif",
        "compound-004/Plate1/.B02_s1_w1.png",
        "read.me",
    ):
        (tmp_path / name).write_bytes(b"")
    opened = open_images(tmp_path)
    assert opened.notes == (
        "2 files are not called as images of wells are and were left out: 'compound-004/Plate1/B02.tif', "
        "'thumbnail.png'",
    )


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    write_folders(tmp_path, WELLS[:1])
    (tmp_path / "a\udcff.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"'a\\udcff.png': the name of the file is not UTF-8"):
        open_images(tmp_path)


def test_five_channels_have_no_names_of_their_own(tmp_path: Path) -> None:
    """RxRx19a has five, of which the fifth is not MitoTracker."""
    write_folders(tmp_path, WELLS[:2], channels=5)
    opened = open_images(tmp_path)
    assert opened.channels == tuple(f"Channel{i}" for i in range(1, 6))
    assert opened.notes == ("channels 1 to 5 have no names; they are called Channel1 to Channel5",)
    named = open_images(tmp_path, channels=["Hoechst", "ConA", "Phalloidin", "Syto14", "WGA"])
    assert named.notes == ()
    (read,) = named.read(WELLS[1:2])
    assert np.array_equal(read.sites[0].pixels, TRUTH[WELLS[1]][:5])


# ---- tables


def write_table(
    path: Path, rows: Iterable[Sequence[object]], header: str = "well_id,site,channel,path"
) -> Path:
    with path.open("w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle)
        table.writerow(header.split(","))
        table.writerows(rows)
    return path


NAMES = ["NA", "nan", "Null ", "week 2_plate_10_B1", "week 2_plate_2_A10", "week 2_plate_2_A9", "1e5"]
"""A screen's own ids, two of them names that other programs take for nothing."""
IN_ORDER = ["week 2_plate_2_A9", "week 2_plate_2_A10", "week 2_plate_10_B1", "1e5", "NA", "Null", "nan"]


@pytest.fixture
def screen(tmp_path: Path) -> list[tuple[object, ...]]:
    """Three formats in a folder, and the rows of a table of them, the last channel first."""
    rows: list[tuple[object, ...]] = []
    for number, well in enumerate(NAMES):
        for channel, name in ((2, "deep, far red"), (1, "DNA")):
            pixels = noise(number, 2)[channel - 1]
            path = tmp_path / f"{number}-{channel}.{('png', 'tif', 'jp2')[number % 3]}"
            if path.suffix == ".tif":
                tifffile.imwrite(path, pixels)
            elif path.suffix == ".png":
                path.write_bytes(imagecodecs.png_encode(pixels))
            else:
                path.write_bytes(imagecodecs.jpeg2k_encode(pixels, level=0))
            rows.append((well, "f07", name, path.name if number % 2 else path))
    return rows


def test_a_table_names_images_of_any_screen(tmp_path: Path, screen: list[tuple[object, ...]]) -> None:
    opened = open_images(write_table(tmp_path / "t.csv", screen))
    assert list(opened.wells) == IN_ORDER
    assert opened.channels == ("deep, far red", "DNA")
    assert opened.notes == ("channels are in the order in which they are named: deep, far red, DNA",)
    opened = open_images(tmp_path / "t.csv", channels=["DNA", "deep, far red"], pixel_size=0.3)
    assert opened.notes == ()
    for read in opened.read(opened.wells):
        assert not read.faults
        truth = noise([name.strip() for name in NAMES].index(read.well), 2)
        assert read.sites[0].name == "f07"
        assert np.array_equal(read.sites[0].pixels, truth)
    assert opened.plate("NA") == "wells"
    assert opened.plate("week 2_plate_10_B1") == "week 2_plate/Plate10"
    assert opened.metadata("NA") == {}
    assert opened.pixel_size == 0.3
    assert opened.provenance["layout"] == "table"
    assert opened.provenance["files"][0]["rows"] == 14


def test_numbers_of_channels(tmp_path: Path, screen: list[tuple[object, ...]]) -> None:
    numbered = [(well, site, 1 if name == "DNA" else 2, path) for well, site, name, path in screen]
    table = write_table(tmp_path / "t.csv", numbered)
    assert open_images(table).channels == ("Channel1", "Channel2")
    opened = open_images(table, channels=["DNA", "RNA"])
    read = next(opened.read(["NA"]))
    assert np.array_equal(read.sites[0].pixels, noise(0, 2))
    with pytest.raises(
        UsageError, match=r"t.csv, line 2: channel 2, and 1 channels are stated, DNA; 2 names were"
    ):
        open_images(table, channels=["DNA"])
    with pytest.raises(DataError, match=r"t.csv: no image of channel 3, 'ER', of DNA, RNA, ER"):
        open_images(table, channels=["DNA", "RNA", "ER"])


def test_places_beside(tmp_path: Path, screen: list[tuple[object, ...]]) -> None:
    beside = [(*row, "week 1", "BR0011", f"a{i // 2 + 1}") for i, row in enumerate(screen)]
    header = "well_id,site,channel,path,experiment,plate,address"
    opened = open_images(write_table(tmp_path / "t.csv", beside, header))
    assert [well.strip() for well in NAMES] == list(opened.wells)  # by address
    assert opened.plate("NA") == "week 1/BR0011"
    assert opened.metadata("nan") == {"experiment": "week 1", "plate": "BR0011", "address": "a2"}
    beside[1] = (*beside[1][:-1], "a2")
    write_table(tmp_path / "t.csv", beside, header)
    with pytest.raises(
        DataError, match=r"t.csv, line 3: well 'NA' is at .*'a2'}, and at .*'a1'} in an earlier row"
    ):
        open_images(tmp_path / "t.csv")


def test_a_table_in_parquet_or_packed(tmp_path: Path, screen: list[tuple[object, ...]]) -> None:
    columns = list(zip(*screen, strict=True))
    names = ["well_id", "site", "channel", "path"]
    table = pa.table(
        {name: [str(cell) for cell in cells] for name, cells in zip(names, columns, strict=True)}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    path = write_table(tmp_path / "t.csv", screen)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    keys = {open_images(tmp_path / name).key(["NA", "nan"]) for name in ("t.parquet", "t.csv", "t.csv.gz")}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("well_id,site,channel,path", [], "t.csv: no rows below the header; images were expected"),
        (
            "well_id,site,path",
            [("A", 1, "x")],
            "t.csv: no column 'channel'; it has 'well_id', 'site', 'path'",
        ),
        (
            "well_id,site,channel,path,Plate",
            [("A", 1, 1, "x", 2)],
            "t.csv: column 'Plate' differs from 'plate' by",
        ),
        (
            "well_id,site,channel,path",
            [("A", 1, 1, "x"), ("", 1, 2, "y")],
            "t.csv, line 3: well_id is empty; every",
        ),
        (
            "well_id,site,channel,path",
            [("A", 1, 1, "")],
            "t.csv, line 2: path is empty; every image has well_id",
        ),
        ("well_id,site,channel,path", [("A", 1, " ", "x")], "t.csv, line 2: channel is empty"),
        (
            "well_id,site,channel,path",
            [("A", 1, "DNA", "x"), ("A", 1, 2, "y")],
            "t.csv, line 3: channel is the number 2, and 'DNA' in line 2; either numbers from 1 or",
        ),
        (
            "well_id,site,channel,path",
            [("A", 1, 1, "x"), ("A", 1, 2, "y"), ("B", 1, 1, "z"), ("A", 1, 1, "q")],
            "t.csv, line 5: well 'A', site 1, channel 1 stands also in t.csv, line 2; every image once was",
        ),
    ],
)
def test_tables_that_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str, rows: list[tuple[object, ...]], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        open_images(write_table(Path("t.csv"), rows, header))
    assert str(caught.value).startswith(words)


def test_an_empty_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("")
    with pytest.raises(DataError, match=r"t.csv is empty; a table with a header line was expected"):
        open_images(tmp_path / "t.csv")


def test_columns_that_are_not_used_are_told(tmp_path: Path, screen: list[tuple[object, ...]]) -> None:
    table = write_table(
        tmp_path / "t.csv", [(*row, "x") for row in screen], "well_id,site,channel,path,compound"
    )
    assert open_images(table).notes[0] == f"{table}: columns 'compound' are not used"


# ---- channels and scales


def test_a_choice_of_channels(core: Path) -> None:
    opened = open_images(core, channels=["WGA", "Hoechst"])
    assert opened.channels == ("WGA", "Hoechst")
    assert "channels ConA, Phalloidin, Syto14, MitoTracker are left out" in opened.notes
    for read in opened.read(WELLS[:4]):
        assert not read.faults
        assert np.array_equal(read.sites[0].pixels, TRUTH[read.well][[5, 0]])
    assert len(opened.site) == 2 * len(WELLS)


def test_other_names_of_channels(core: Path) -> None:
    opened = open_images(core, channels=["DNA", *STAINS[1:]])
    assert opened.channels == ("DNA", *STAINS[1:])
    assert "channels are called otherwise than RxRx3's: Hoechst DNA" in opened.notes
    with pytest.raises(
        UsageError, match=r"channel 6, and 2 channels are stated, Hoechst, Con A; 6 names, or a choice"
    ):
        open_images(core, channels=["Hoechst", "Con A"])


def test_names_that_a_table_does_not_have(tmp_path: Path, screen: list[tuple[object, ...]]) -> None:
    table = write_table(tmp_path / "t.csv", screen)
    with pytest.raises(
        UsageError, match=r"no channel 'DNAs' \(is it 'DNA'\?\); there are deep, far red, DNA"
    ):
        open_images(table, channels=["DNAs", "deep, far red"])


def write_deep(path: Path, largest: int) -> Path:
    rows = []
    for well in ("A", "B"):
        pixels = noise(ord(well), 1, most=largest)[0].astype(np.uint16)
        pixels[0, 0] = largest
        tifffile.imwrite(path.parent / f"{well}.tif", pixels)
        rows.append((well, 1, 1, f"{well}.tif"))
    return write_table(path, rows)


@pytest.mark.parametrize(("largest", "hint"), [(3_901, 4095), (65_535, 65535), (200, 255)])
def test_sixteen_bits_need_a_scale(tmp_path: Path, largest: int, hint: int) -> None:
    table = write_deep(tmp_path / "t.csv", largest)
    with pytest.raises(UsageError) as caught:
        open_images(table)
    assert f"The largest value seen in a few of them is {largest:,}" in str(caught.value)
    assert str(caught.value).endswith(f"--scale {hint}")
    opened = open_images(table, white=hint)
    assert opened.white == hint
    assert all(not read.faults for read in opened.read(["A", "B"]))


def test_a_scale_below_what_is_seen(tmp_path: Path) -> None:
    opened = open_images(write_deep(tmp_path / "t.csv", 5_000), white=4095)
    assert "a value of 5,000 was seen, above the scale of 4095; such images are faults" in opened.notes


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"white": 4095.0}, "images of 8 bits; a scale of 4095 is beyond their 255"),
        ({"white": 0.5}, "the scale is 0.5; the value that stands for white, 1 to 65535, was expected"),
        ({"white": float("nan")}, "the scale is nan"),
        ({"pixel_size": 0.0}, "a pixel of 0 um; a positive number of micrometers was expected"),
        ({"channels": []}, "channels are ; names, each once, were expected"),
        ({"channels": ["a", "a"]}, "channels are 'a', 'a'; names, each once, were expected"),
        ({"channels": "Hoechst"}, "channels are 'Hoechst'; a list of names was expected"),
    ],
)
def test_choices_that_mean_nothing(core: Path, choice: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_images(core, **choice)
    assert words in str(caught.value)


# ---- wells


@pytest.mark.parametrize("kind", ["lines", "csv", "parquet", "one column"])
def test_some_wells(core: Path, tmp_path: Path, kind: str) -> None:
    """In the order of places, whatever the file's; who is not there is told."""
    ids = [WELLS[7], "gene-002_9_A01", WELLS[2], WELLS[7]]
    path = tmp_path / "wells"
    if kind == "lines":
        path.write_text("\r\n".join(["", *ids, ""]))
    elif kind == "one column":
        path.write_text("\n".join(["well_id", *ids]))
    elif kind == "csv":
        write_table(path, [(i, well) for i, well in enumerate(ids)], "n,well_id")
    else:
        pq.write_table(pa.table({"well_id": ids}), path)
    opened = open_images(core, wells_file=path)
    assert opened.wells == (WELLS[2], WELLS[7])
    assert opened.provenance["images"] == 12
    told = " ".join(opened.notes)
    assert f"{path}: 1 of 3 wells have no images: 'gene-002_9_A01'" in told
    assert f"{path}: 1 ids stand there more than once" in told
    assert opened.key(opened.wells) == open_images(core).key([WELLS[2], WELLS[7]])
    assert [read.well for read in opened.read(opened.wells) if not read.faults] == [WELLS[2], WELLS[7]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no ids of wells; a column well_id, or an id a line, was expected"),
        ("well_id\n", "no ids of wells"),
        ("well,n\nA,1\n", "no column 'well_id'"),
        ("well_id,n\nA,1\n,2\n", "line 3: well_id is empty"),
        ("A\nB\n", "none of 2 wells has images, 'A', 'B'; images are of 'compound-004_1_B02'"),
    ],
)
def test_lists_of_wells_that_are_refused(core: Path, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "wells.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        open_images(core, wells_file=tmp_path / "wells.csv")
    assert words in str(caught.value) and "wells.csv" in str(caught.value)


# ---- what is no images


def save(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_nothing_there(tmp_path: Path, images: list[Picture]) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such file or folder; images were expected"):
        open_images(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"train-\*: nothing has such a name; images were expected"):
        open_images(str(tmp_path / "train-*"))
    with pytest.raises(
        DataError, match=r"no shards \(parquet files with __key__ and jp2\) and no images .*; a CSV"
    ):
        open_images(tmp_path)
    save(tmp_path / "embeddings.parquet", well_id=["a"])
    (tmp_path / "affinities.csv").write_text("gene_symbol,nM_value,treatment\n")
    with pytest.raises(DataError, match=r"no shards .* below it; a CSV with well_id"):
        open_images(tmp_path)
    (tmp_path / "images.csv").write_text("well_id,site,channel,path\n")
    with pytest.raises(DataError, match=r"no shards .* below it; is it .*images.csv that names them\?"):
        open_images(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"1 images, and none is called as RxRx3's are .*there are 'a.png'. Give a CSV"
    ):
        open_images(tmp_path)
    with pytest.raises(
        DataError, match=r"files that end in .csv, .parquet, .png; parquet shards alone, or images"
    ):
        open_images(str(tmp_path / "*.*"))
    write_shards(tmp_path / "data", [])
    with pytest.raises(DataError, match=r"1 shards without a row; images were expected"):
        open_images(tmp_path)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"__key__": ["a"]}, "no column 'jp2'; it has '__key__', and a shard of images has __key__ and jp2"),
        ({"jp2": [b"a"]}, "no column '__key__'; it has 'jp2'"),
        ({"__key__": ["a"], "jp2": ["b"]}, "jp2 holds string; the bytes of images were expected"),
        (
            {"__key__": ["a"], "jp2": [{"path": "b"}]},
            "jp2 holds struct<path: string>; the bytes of images were",
        ),
        ({"__key__": [1], "jp2": [b"b"]}, "__key__ holds int64; texts were expected"),
    ],
)
def test_shards_of_another_kind(tmp_path: Path, columns: dict[str, object], words: str) -> None:
    path = save(tmp_path / "train-00000-of-00001.parquet", **columns)
    with pytest.raises(DataError) as caught:
        open_images(tmp_path)
    assert str(caught.value).startswith(f"{path}: {words}")


def test_unknown_keys(tmp_path: Path, images: list[Picture]) -> None:
    keys = [picture.key for picture in images[:24]]
    keys[3:22:2] = [f"key {i}" for i in range(10)]
    keys[12] = None
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path, some in zip(paths, (keys[:12], keys[12:]), strict=True):
        save(path, __key__=pa.array(some, pa.string()), jp2=[b""] * 12)
    with pytest.raises(DataError) as caught:
        open_images(tmp_path)
    said = str(caught.value)
    assert said.startswith(
        "11 of 24 keys are not of the form EXPERIMENT/PlateN/ADDRESS_sSITE_CHANNEL (compound-004/"
    )
    assert f"{paths[0]}, row 4: 'key 0'" in said
    assert f"{paths[1]}, row 1: None" in said
    assert said.count("row ") == 10 and said.endswith("; ...")


@pytest.mark.parametrize("apart", [False, True])
def test_an_image_that_stands_twice(images: list[Picture], tmp_path: Path, apart: bool) -> None:
    write_shards(tmp_path, [*images[:8], images[3]], shard=6 if apart else 100)
    first, last = sorted(tmp_path.iterdir())[0], sorted(tmp_path.iterdir())[-1]
    with pytest.raises(DataError) as caught:
        open_images(tmp_path)
    assert str(caught.value) == (
        f"{last}, row {3 if apart else 9}: well 'compound-004_1_B02', site 1, channel 4 stands also in "
        f"{first}, row 4; every image once was expected, and 1 is there again"
    )


def test_a_truncated_shard(images: list[Picture], tmp_path: Path) -> None:
    (path,) = write_shards(tmp_path, images)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"train-00000-of-00001.parquet: broken parquet file \("):
        open_images(tmp_path)


def test_tars_are_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "gene-001").mkdir()
    (tmp_path / "gene-001/Plate1.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"; unpack Plate1.tar and its like, each below EXPERIMENT/PlateN$"):
        open_images(tmp_path)
