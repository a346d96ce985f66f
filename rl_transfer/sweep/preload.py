"""Imported once by the fork server, so that no worker pays for importing and warming up torch, or Numba.

One torch thread per process: on small networks more threads are slower and change the rounding.
"""

import importlib

import torch

torch.set_num_threads(1)

import stable_baselines3  # noqa: E402, F401
import torch._dynamo  # noqa: E402

from rl_transfer.rl.training.engines import compiler_problem  # noqa: E402

importlib.import_module("rl_transfer.rl.room")
if compiler_problem() is None:
    for name in ("on_policy", "players", "q_learning"):
        importlib.import_module(f"rl_transfer.rl.compiled.{name}")
