"""Names of array types; all arrays of the engine are C-contiguous."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]
Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]
