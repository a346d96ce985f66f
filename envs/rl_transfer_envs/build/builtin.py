"""The modules that register this package's own parameters, wrappers and probes: one line each."""

from __future__ import annotations

import importlib

MODULES = (
    "wrappers.observation_values",
    "wrappers.observation_shape",
    "wrappers.observation_context",
    "wrappers.observation_rotation",
    "wrappers.action_values",
    "wrappers.action_choice",
    "wrappers.reward",
    "wrappers.time_limit",
    "physics.attribute",
    "physics.classic.cartpole",
    "physics.classic.acrobot",
    "physics.classic.mountain_car",
    "physics.classic.pendulum",
    "physics.mujoco.parameters",
    "physics.mujoco.observations",
    "physics.box2d.lunar_lander",
    "physics.box2d.bipedal_walker",
    "physics.pixels.pixel_catch",
)


def load() -> None:
    """Import them all; none of them imports MuJoCo, Box2D or pygame."""
    for module in MODULES:
        importlib.import_module(f"rl_transfer_envs.{module}")
