"""What may be resampled, checked once for everything that is."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pytest

from polaris_rxrx.errors import UsageError
from polaris_rxrx.stats.resampling import DEFAULT, Resampled, Resampling


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("level", level) for level in (0, 0.49, 1, -0.5, 95, math.nan)),
        *(("resamples", n) for n in (-1, 0, 99)),
        ("seed", -1),
        ("clusters", "genes"),
    ],
)
def test_what_is_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{name} is "):
        Resampling(**{name: value})


def test_a_result_has_the_fields_as_its_own() -> None:
    class Result(Resampled):
        resampling = Resampling(200, 3, 0.9, "gene")

    assert {name: getattr(Result(), name) for name in asdict(DEFAULT)} == asdict(Result.resampling)
