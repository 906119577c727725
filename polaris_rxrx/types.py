"""Types that every room uses: arrays by what is in them, and who is told how far work is.

Conventions
    `Matrix` holds floats of a width that its maker chooses; the others are of one width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Matrix = NDArray[Any]

Progress = Callable[[str, int, int], None]
"""Called with a word for the work, how much is done, out of how much."""
