"""Rows of the buffer that a model is being trained on, drawn for an extra term of its loss."""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictReplayBuffer, DictRolloutBuffer, ReplayBuffer, RolloutBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.spaces import Array, Observation


def buffered_states(
    model: BaseAlgorithm, count: int, generator: np.random.Generator
) -> tuple[PyTorchObs, Tensor]:
    """Observations drawn from the model's buffer, as its networks see them, and what was done there.

    Args:
        model: an SB3 model in the middle of ``train()``.
        count: how many; fewer where the buffer holds fewer.
        generator: draws them, with replacement.

    Returns:
        ``float32[state, …]``, per key for dict observations; and the actions ``[state, dimension]`` as the
        buffer has them.
    """
    buffer = _buffer(model)
    # An on-policy buffer that is being trained on is flat; a replay buffer is [position, env, ...].
    flat = isinstance(buffer, RolloutBuffer) and buffer.generator_ready
    total = buffer.size() * buffer.n_envs
    chosen = generator.integers(total, size=min(count, total))

    def pick(array: Array) -> Array:
        return array[chosen] if flat else array[chosen // buffer.n_envs, chosen % buffer.n_envs]

    picked: Observation
    if isinstance(buffer, DictReplayBuffer | DictRolloutBuffer):
        picked = {key: pick(value) for key, value in buffer.observations.items()}
    else:
        picked = pick(buffer.observations)
    env = model.get_vec_normalize_env()
    if env is not None and not flat:
        picked = env.normalize_obs(picked)
    # An image space was transposed on the way in; obs_to_tensor leaves channels-first as it is.
    tensors, _ = model.policy.obs_to_tensor(picked)
    return tensors, torch.as_tensor(pick(buffer.actions), device=model.device)


def _buffer(model: BaseAlgorithm) -> RolloutBuffer | ReplayBuffer:
    if isinstance(model, OnPolicyAlgorithm):
        return model.rollout_buffer
    if isinstance(model, OffPolicyAlgorithm) and model.replay_buffer is not None:
        return model.replay_buffer
    raise TransferError(f"a {type(model).__name__} keeps no buffer to draw states from", key="strategy")
