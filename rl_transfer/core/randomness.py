"""Work on seeded global generators without leaving a trace in them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Run the body on global generators seeded with ``seed``; afterwards they are as they were.

    Python's, NumPy's and torch's: networks initialise themselves from torch's, and third-party
    code (SB3's distributions, image transforms) may know only the global ones.

    Args:
        seed: 0 ≤ seed < 2**32.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - see above
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
