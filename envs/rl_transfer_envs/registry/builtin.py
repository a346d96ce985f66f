"""The modules that register this package's own parameters, wrappers and probes: one line each."""

from __future__ import annotations

import importlib

MODULES = (
    "wrappers.observation_values",
    "wrappers.observation_shape",
    "wrappers.action_values",
    "wrappers.action_choice",
    "wrappers.reward",
    "wrappers.time_limit",
    "physics_any",
    "physics_cartpole",
    "physics_acrobot",
    "physics_mountain_car",
    "physics_pendulum",
    "physics_mujoco",
    "physics_box2d_lander",
    "physics_box2d_walker",
    "pixels",
)


def load() -> None:
    """Import them all; none of them imports MuJoCo, Box2D or pygame."""
    for module in MODULES:
        importlib.import_module(f"rl_transfer_envs.{module}")
