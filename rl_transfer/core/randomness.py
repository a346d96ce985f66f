"""Work on seeded global generators without leaving a trace in them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch


def generator_states() -> dict[str, object]:
    """The states of the global generators: Python's, NumPy's, and torch's on every device in use.

    Returns:
        Plain data for :func:`set_generator_states`.
    """
    numpy_state: object = np.random.get_state(legacy=False)  # noqa: NPY002 - see isolated
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call, unused-ignore]
    cuda = torch.cuda.get_rng_state_all() if in_use else []
    return {"python": random.getstate(), "numpy": numpy_state, "torch": torch.get_rng_state(), "cuda": cuda}


def set_generator_states(states: Mapping[str, object]) -> None:
    """Put the global generators back to where they were.

    Args:
        states: what :func:`generator_states` gave.

    Raises:
        ValueError: they are no such states; so do KeyError, TypeError and RuntimeError say.
    """
    random.setstate(states["python"])  # type: ignore[arg-type]
    np.random.set_state(states["numpy"])  # type: ignore[arg-type]  # noqa: NPY002
    torch.set_rng_state(states["torch"])  # type: ignore[arg-type]
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])  # type: ignore[arg-type]


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
