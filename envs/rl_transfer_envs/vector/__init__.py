"""The classic-control environments as natively batched vector environments.

    from rl_transfer_envs import vector
    lengths = [{"id": "CartPole-v1", "perturb": [{"length": 0.25 * i}]} for i in range(1, 9)]
    envs = vector.make(lengths)                                   # eight pole lengths
    envs = vector.make({"id": "Pendulum-v1", "perturb": [{"mass": 2.0}]}, num_envs=64)

or ``gymnasium.make_vec("rl_transfer_envs:CartPoleLongPole-v1", num_envs=64)``. Everything an
instance gives is equal, bit for bit, to what :func:`rl_transfer_envs.make` of its specification
gives for the same seed and actions.
"""

from __future__ import annotations

from rl_transfer_envs.vector.batch import Batch, Step
from rl_transfer_envs.vector.environment import BatchedVectorEnv
from rl_transfer_envs.vector.registration import make, make_registered, register

register()

__all__ = ["Batch", "BatchedVectorEnv", "Step", "make", "make_registered"]
