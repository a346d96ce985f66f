"""The modules that register this package's own parameters, wrappers and probes: one line each."""

from __future__ import annotations

import importlib

MODULES = (
    "wrappers.action",
    "wrappers.observation",
    "physics_any",
    "physics_cartpole",
)


def load() -> None:
    """Import them all; none of them imports MuJoCo, Box2D or pygame."""
    for module in MODULES:
        importlib.import_module(f"rl_transfer_envs.{module}")
