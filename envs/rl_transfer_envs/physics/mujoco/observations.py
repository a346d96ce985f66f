"""Names of the MuJoCo robots' observations, read off the joints of their models."""

from __future__ import annotations

from rl_transfer_envs.physics.mujoco.robots import ROBOTS
from rl_transfer_envs.registry.observations import register_observation_names

_FREE, _BALL = 0, 1
_SIZES = {_FREE: (7, 6), _BALL: (4, 3)}
"""Type of a joint with several degrees of freedom → numbers in ``qpos`` and ``qvel``."""


def joint_names(env: object) -> list[str] | None:
    """``thigh_joint_position``, ``thigh_joint_velocity`` and the like, then ``cfrc_ext_0`` and so on.

    Args:
        env: ``env.unwrapped`` of a robot that says what its observations consist of.

    Returns:
        One name per entry; None for robots that observe something else than their state.
    """
    structure, model = getattr(env, "observation_structure", None), getattr(env, "model", None)
    if structure is None or model is None:
        return None
    positions: list[str] = []
    velocities: list[str] = []
    for index in range(model.njnt):
        name = model.joint(index).name
        sizes = _SIZES.get(int(model.jnt_type[index]), (1, 1))
        for found, what, size in zip((positions, velocities), ("position", "velocity"), sizes, strict=True):
            found += [f"{name}_{what}" + (f"_{i}" if size > 1 else "") for i in range(size)]
    more = [f"{key}_{i}" for key, size in structure.items() if key not in _STATE for i in range(size)]
    return [*positions[structure.get("skipped_qpos", 0) :], *velocities, *more]


_STATE = ("skipped_qpos", "qpos", "qvel")

register_observation_names([robot.env_id for robot in ROBOTS], joint_names)
