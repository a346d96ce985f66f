"""What is perturbed in an environment, in a few words."""

from __future__ import annotations

from collections.abc import Mapping

from rl_transfer_envs.aliases import Given
from rl_transfer_envs.build.specification import canonical


def label(spec: Given) -> str:
    """The perturbations of a specification, one after the other.

    >>> label({"id": "CartPole-v1", "perturb": [{"length": "x3"}, {"action_delay": 2}]})
    'length x3.0; action_delay steps 2'
    >>> label("CartPole-v1")
    'unperturbed'

    Args:
        spec: an environment's specification or id.

    Returns:
        Names and values in the order in which they are applied.
    """
    parts = []
    for entry in canonical(spec)["perturb"]:
        ((name, value),) = entry.items()
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else value
        parts.append(f"{name} {shown}")
    return "; ".join(parts) or "unperturbed"
