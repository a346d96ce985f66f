"""What an environment gives must be finite: a NaN is learned from in silence, and infinity is clipped."""

from __future__ import annotations

import numpy as np

from rl_transfer.errors import EnvironmentSpecError
from rl_transfer.rl.environments.spaces import Array, Observation


def refuse_non_finite(environment: str, observations: Observation, rewards: Array, when: str) -> None:
    """Look at one step of several environments.

    Args:
        environment: its id, for the message.
        observations: ``[environment, …]``, or a dict of such arrays.
        rewards: ``[environment]``.
        when: which step that was, for the message.

    Raises:
        EnvironmentSpecError: one of the numbers is NaN or infinite; which one is named.
    """
    if _finite(rewards) and (
        all(map(_finite, observations.values())) if isinstance(observations, dict) else _finite(observations)
    ):
        return
    named = observations if isinstance(observations, dict) else {"": observations}
    for name, values in (
        ("its reward", rewards),
        *((f"observation {key}".strip(), named[key]) for key in named),
    ):
        if not _finite(values):
            place = tuple(int(index) for index in np.argwhere(~np.isfinite(values))[0])
            entry = f", entry {', '.join(map(str, place[1:]))}," if place[1:] else ""
            raise EnvironmentSpecError(
                f"environment {environment} gave {values[place]} as {name}{entry} at {when}; expected a "
                "finite number: end the episode before, or bound what the environment computes"
            )


def _finite(values: Array) -> bool:
    return values.dtype.kind != "f" or bool(np.isfinite(values).all())
