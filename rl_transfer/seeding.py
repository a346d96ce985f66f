"""Named, independent random streams derived from one root seed.

A stream is addressed by its names, not by the order in which it is asked for, so
adding a stream or running in another order never changes the others:

>>> integer_seed(0, "evaluation", 3)
423880428
>>> integer_seed(0, "training", 3) == integer_seed(0, "evaluation", 3)
False
"""

from __future__ import annotations

import hashlib

import numpy as np


def seed_sequence(root_seed: int, *names: str | int) -> np.random.SeedSequence:
    """The seed sequence of one stream.

    Args:
        root_seed: the experiment's root seed, ≥ 0.
        names: the stream's address, e.g. ``("evaluation", "CartPole-v1", 3)``.

    Returns:
        The sequence, from which NumPy builds generators and states.
    """
    digest = hashlib.blake2b(repr(names).encode(), digest_size=16).digest()
    return np.random.SeedSequence([root_seed, *np.frombuffer(digest, dtype=np.uint32).tolist()])


def generator(root_seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator on one stream.

    Args:
        root_seed: the experiment's root seed, ≥ 0.
        names: the stream's address.
    """
    return np.random.default_rng(seed_sequence(root_seed, *names))


def integer_seed(root_seed: int, *names: str | int) -> int:
    """One seed in [0, 2**31), the range that Gymnasium, SB3 and torch all accept.

    Args:
        root_seed: the experiment's root seed, ≥ 0.
        names: the stream's address.
    """
    return int(seed_sequence(root_seed, *names).generate_state(1)[0] >> 1)


def integer_seeds(count: int, root_seed: int, *names: str | int) -> list[int]:
    """Several seeds in [0, 2**31) from one stream.

    Args:
        count: how many, ≥ 0.
        root_seed: the experiment's root seed, ≥ 0.
        names: the stream's address.
    """
    return [int(value >> 1) for value in seed_sequence(root_seed, *names).generate_state(count)]
