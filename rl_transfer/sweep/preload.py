"""Imported once by the fork server, so that no worker pays for importing and warming up torch.

One torch thread per process: on small networks more threads are slower and change the rounding.
"""

import torch

torch.set_num_threads(1)

import stable_baselines3  # noqa: E402, F401
import torch._dynamo  # noqa: E402

import rl_transfer.rl.room  # noqa: E402
from rl_transfer.rl.training.engines import compiler_problem  # noqa: E402

if compiler_problem() is None:
    import rl_transfer.rl.compiled.on_policy
    import rl_transfer.rl.compiled.players
    import rl_transfer.rl.compiled.q_learning  # noqa: F401
