"""Arrays as text: what is written is read again, and is what the page's script is told it is."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from polaris_rxrx.explore import blocks

KINDS = ("i1", "u1", "i2", "u2", "u4", "f4")


@given(st.sampled_from(KINDS).flatmap(lambda kind: hn.arrays(kind, hn.array_shapes(max_dims=2, min_side=0))))
def test_an_array_comes_back_to_the_bit(values: np.ndarray) -> None:
    block = blocks.write(values)
    found = blocks.read(block.text, block.entry)
    assert found.dtype == values.dtype.newbyteorder("<") and found.shape == values.shape
    assert found.tobytes() == values.astype(found.dtype).tobytes()


@given(st.sampled_from(["u1", "u2", "u4"]).flatmap(lambda kind: hn.arrays(kind, st.integers(0, 9))))
def test_differences_wrap_around(values: np.ndarray) -> None:
    block = blocks.write(values, delta=True)
    assert blocks.read(block.text, block.entry).tolist() == values.tolist()


def test_the_text_is_base_85_as_it_is_described() -> None:
    """Written from the definition: five letters for four bytes, the highest first; planes; deflate."""
    values = np.array([258, 1, 65535], dtype=np.uint16)
    block = blocks.write(values)
    assert block.entry == {"dtype": "u2", "shape": [3], "planes": True, "delta": False, "deflate": False}
    raw = bytes([2, 1, 255, 1, 0, 255])
    padded = raw + b"\0\0"
    text = ""
    for i in (0, 4):
        number = int.from_bytes(padded[i : i + 4], "big")
        text += "".join(blocks.ALPHABET[number // 85**k % 85] for k in (4, 3, 2, 1, 0))
    assert block.text == text[:-2]
    even = blocks.write(np.zeros(1_000, dtype=np.int8))
    assert even.entry["deflate"] and len(even.text) < 30


def test_no_letter_means_anything_to_html() -> None:
    assert len(set(blocks.ALPHABET)) == 85
    assert not set(blocks.ALPHABET) & set("<>&\"'`\\\n ")


def test_json_comes_back_whatever_its_letters() -> None:
    value = [["</script>", 1.5], ["é\u2028", None]]
    block = blocks.write_json(value * 50)
    assert block.entry == {"dtype": "json", "deflate": True}
    assert blocks.read(block.text, block.entry) == value * 50


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot hold float64"):
        blocks.write(np.zeros(2))
    with pytest.raises(TypeError, match="cannot hold int8 as differences"):
        blocks.write(np.zeros(2, dtype=np.int8), delta=True)


def test_an_index_leaves_its_highest_value_for_none() -> None:
    assert [blocks.index_type(n) for n in (0, 65_534, 65_535)] == ["u2", "u2", "u4"]


def test_deflate_is_raw() -> None:
    block = blocks.write_json(["a" * 100])
    import base64

    plain = block.text.translate(str.maketrans(blocks.ALPHABET, blocks._PYTHONS.decode()))
    assert zlib.decompress(base64.b85decode(plain), -15) == b'["' + b"a" * 100 + b'"]'
