"""What the Box2D environments share: parameters that are constants or literals of Gymnasium's modules."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from rl_transfer_envs.aliases import Simulator
from rl_transfer_envs.registry.parameters import Parameter, attribute_parameter


def literal_parameter(world: str, file: str, name: str, literal: str, **more: Any) -> Parameter:
    """A parameter that is an attribute of a class in ``equations`` and a constant in Gymnasium.

    Args:
        world: name of the class.
        file: Gymnasium's file.
        name: of the parameter and of the attribute.
        literal: what it is in Gymnasium's file.
        more: further fields of the parameter.

    Returns:
        The parameter, to be registered.
    """
    return attribute_parameter(
        name,
        source=f"{file}: {literal}",
        entry_point=f"rl_transfer_envs.physics.box2d.equations:{world}",
        **more,
    )


def derive_render_fps(env: Simulator) -> None:
    """Play frames back at the speed at which they were simulated.

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    env.metadata = {**env.metadata, "render_fps": round(1 / env.timestep)}


def read_at_every_step(names: Collection[str], found: Iterable[Parameter]) -> Iterator[Parameter]:
    """The parameters of a world that is built at resets: those of these names may drift, the others may not.

    Args:
        names: parameters that the environment reads at every step.
        found: all its parameters.

    Yields:
        All of them.
    """
    for parameter in found:
        yield dataclasses.replace(parameter, drifts=parameter.name in names)
