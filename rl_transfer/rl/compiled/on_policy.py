"""PPO and A2C of SB3 with the engine's rollouts and updates."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Protocol, cast, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv

from rl_transfer.core import Anchor
from rl_transfer.engine import acting, gae, network, ppo
from rl_transfer.errors import TransferError
from rl_transfer.rl import sb3_seams
from rl_transfer.rl.compiled.actor_critic import ActorCritic
from rl_transfer.rl.compiled.worlds import Worlds, worlds_of

SIGN_SECONDS = 0.5
"""Callbacks are asked in the middle of a rollout no more often than this."""


@runtime_checkable
class _Clipped(Protocol):
    """What several epochs over one rollout need; without them there is one, over all of it."""

    n_epochs: int
    batch_size: int
    clip_range: Callable[[float], float]
    clip_range_vf: Callable[[float], float] | None
    target_kl: float | None


class _Normalizing(Protocol):
    normalize_advantage: bool


class CompiledOnPolicy:
    """Replaces ``collect_rollouts`` and ``train`` of a PPO or A2C model.

    Args:
        model: with dense networks.
        key: of the engine's generators.
        anchors: what the parameters are held to.
    """

    def __init__(self, model: OnPolicyAlgorithm, key: int, anchors: Sequence[Anchor]) -> None:
        self._model, self._key = model, key
        self._net = ActorCritic(model.policy)
        for anchor in anchors:
            self._net.pull_to(anchor.springs())
        self._worlds: Worlds | None = None
        steps, count = model.n_steps, model.n_envs
        self._transitions = steps * count
        self._clipped = model if isinstance(model, _Clipped) else None
        self._batch = self._clipped.batch_size if self._clipped else self._transitions
        net = self._net
        self._observations = np.zeros((steps, count, net.inputs), dtype=np.float32)
        self._actions = np.zeros((steps, count, net.dimensions), dtype=np.float32)
        names = ("rewards", "starts", "values", "log_probabilities", "advantages", "returns")
        self._numbers = {name: np.zeros((steps, count), dtype=np.float32) for name in names}
        self._last_values, self._last_dones = np.zeros(count, np.float32), np.zeros(count, np.float32)
        self._order = np.arange(self._transitions)
        self._rows_memory = np.zeros((3, max(self._batch, count)), dtype=np.float32)
        self._chosen_actions = np.zeros((self._batch, net.dimensions), dtype=np.float32)
        self._statistics = np.zeros(10)
        self._rooms()

    def attach(self) -> None:
        """Let the model use it."""
        self._model.collect_rollouts = self.collect  # type: ignore[method-assign]
        self._model.train = self.train  # type: ignore[method-assign]

    def _rooms(self) -> None:
        """Workspaces, whose size changes with what is constant."""
        net = self._net
        self._acting = network.Workspace(self._model.n_envs, net.row_size)
        self._learning = network.Workspace(self._batch, net.row_size)
        self._still = np.zeros(self._transitions * net.still_size, dtype=np.float32)
        self._still_before = np.zeros_like(self._still)

    def collect(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """As SB3's; the rollout is kept in arrays of its own.

        Args:
            env: the training environments.
            callback: called at both ends, and now and then in between.
            rollout_buffer: not used.
            n_rollout_steps: steps of the vector environment.

        Returns:
            Whether training goes on.
        """
        model, numbers = self._model, self._numbers
        callback.on_rollout_start()
        if self._net.bind():
            self._rooms()
        net, room, key = self._net, self._acting, self._key
        if self._worlds is None:
            self._worlds = worlds_of(model)
        worlds = self._worlds
        worlds.begin()
        bounds = model.action_space if isinstance(model.action_space, spaces.Box) else None
        entropy = self._rows_memory[1]
        signed = time.monotonic()
        starts = numbers["starts"][0]
        starts[:] = worlds.dones
        for step in range(n_rollout_steps):
            here = self._observations[step]
            here[:] = worlds.observations
            actions = self._actions[step]
            acting.act(
                net.layers,
                net.shape,
                net.sizes,
                net.parameters,
                room.values,
                room.before,
                here,
                key,
                model.num_timesteps,
                actions,
                numbers["values"][step],
                numbers["log_probabilities"][step],
                entropy,
            )
            worlds.step(self._for_environments(actions, bounds))
            model.num_timesteps += model.n_envs
            rewards = numbers["rewards"][step]
            rewards[:] = worlds.rewards
            if worlds.any_truncated:
                self._bootstrap(worlds, rewards)
            following = numbers["starts"][step + 1] if step + 1 < n_rollout_steps else self._last_dones
            following[:] = worlds.dones
            if time.monotonic() - signed >= SIGN_SECONDS:
                signed = time.monotonic()
                callback.update_locals({"new_obs": worlds.observations, "rewards": worlds.rewards})
                if not callback.on_step():
                    worlds.finish()
                    return False
        acting.value(
            net.layers,
            int(net.shape[1]),
            net.parameters,
            room.values,
            room.before,
            worlds.observations,
            self._last_values,
        )
        gae.advantages(
            numbers["rewards"],
            numbers["values"],
            numbers["starts"],
            self._last_values,
            self._last_dones,
            model.gamma,
            model.gae_lambda,
            numbers["advantages"],
            numbers["returns"],
        )
        worlds.finish()
        callback.update_locals({"new_obs": worlds.observations, "rewards": worlds.rewards})
        callback.on_rollout_end()
        return True

    def _for_environments(
        self, actions: NDArray[np.float32], bounds: spaces.Box | None
    ) -> NDArray[np.generic]:
        """Sampled actions as the environments take them."""
        if bounds is not None:
            shaped = actions.reshape(len(actions), *bounds.shape)
            return np.minimum(np.maximum(shaped, bounds.low), bounds.high)
        whole = actions.astype(np.int64)
        return whole if isinstance(self._model.action_space, spaces.MultiDiscrete) else whole[:, 0]

    def _bootstrap(self, worlds: Worlds, rewards: NDArray[np.float32]) -> None:
        """Add γ V(s′) where an episode was cut off by its time limit."""
        net, room = self._net, self._acting
        values = np.zeros(len(rewards), dtype=np.float32)
        acting.value(
            net.layers,
            int(net.shape[1]),
            net.parameters,
            room.values,
            room.before,
            worlds.terminal_observations,
            values,
        )
        rewards[worlds.truncated] += np.float32(self._model.gamma) * values[worlds.truncated]

    def train(self) -> None:
        """One update: all epochs over the rollout."""
        model, net, statistics = self._model, self._net, self._statistics
        sb3_seams.update_learning_rate(model, model.policy.optimizer)
        net.moments.read_rates()
        progress = sb3_seams.progress_remaining(model)
        clipped = self._clipped
        epochs = clipped.n_epochs if clipped else 1
        settings = np.array(
            [
                clipped.clip_range(progress) if clipped else math.inf,
                self._clip_value(progress),
                cast(_Normalizing, model).normalize_advantage,
                model.ent_coef,
                model.vf_coef,
                model.max_grad_norm,
                -1.0 if clipped is None or clipped.target_kl is None else clipped.target_kl,
            ]
        )
        flat = {name: each.reshape(-1) for name, each in self._numbers.items()}
        done = sb3_seams.updates(model)
        ppo.update(
            net.layers,
            net.shape,
            net.sizes,
            net.gathered,
            net.parameters,
            net.gradient,
            net.moments.first,
            net.moments.second,
            net.spans,
            net.moments.rates,
            net.moments.steps,
            net.moments.kind,
            net.moments.constants,
            net.moments.anchor,
            net.moments.stiffness,
            self._learning.values,
            self._learning.before,
            self._learning.deltas,
            self._learning.spare,
            self._still,
            self._still_before,
            self._observations.reshape(self._transitions, -1),
            self._actions.reshape(self._transitions, -1),
            flat["values"],
            flat["log_probabilities"],
            flat["advantages"],
            flat["returns"],
            settings,
            epochs,
            self._batch,
            self._order,
            clipped is not None,
            self._key,
            done,
            self._chosen_actions,
            self._rows_memory,
            statistics,
        )
        net.moments.write_steps()
        sb3_seams.set_updates(model, done + int(statistics[ppo.EPOCHS] + statistics[ppo.STOPPED]))
        self._log(settings)

    def _clip_value(self, progress: float) -> float:
        """The clip range of values; negative for none."""
        given = self._clipped.clip_range_vf if self._clipped else None
        return -1.0 if given is None else float(given(progress))

    def _log(self, settings: NDArray[np.float64]) -> None:
        """Record what SB3 records, and refuse what is no number."""
        model, found, logger = self._model, self._statistics, self._model.logger
        if not (math.isfinite(found[ppo.LOSS]) and math.isfinite(found[ppo.NORM])):
            raise TransferError(
                f"training diverged: the loss of the update at step {model.num_timesteps:,} is "
                f"{found[ppo.LOSS]}, the norm of its gradient {found[ppo.NORM]}; lower the learning rate"
            )
        count = max(found[ppo.MINIBATCHES], 1.0)
        logger.record("train/entropy_loss", found[ppo.ENTROPY_LOSS] / count)
        logger.record(
            "train/policy_gradient_loss" if self._clipped else "train/policy_loss",
            found[ppo.POLICY_LOSS] / count,
        )
        logger.record("train/value_loss", found[ppo.VALUE_LOSS] / count)
        values, returns = self._numbers["values"].reshape(-1), self._numbers["returns"].reshape(-1)
        logger.record("train/explained_variance", explained_variance(values, returns))
        if self._clipped:
            logger.record("train/approx_kl", found[ppo.KL])
            logger.record("train/clip_fraction", found[ppo.CLIPPED] / count)
            logger.record("train/loss", found[ppo.LOSS])
            logger.record("train/clip_range", settings[ppo.CLIP])
            if self._clipped.clip_range_vf is not None:
                logger.record("train/clip_range_vf", settings[ppo.CLIP_VALUE])
        start, length = int(self._net.shape[2]), int(self._net.shape[3])
        if length:
            log_std = self._net.parameters[start : start + length]
            logger.record("train/std", float(np.exp(log_std).mean()))
        logger.record("train/n_updates", sb3_seams.updates(model), exclude="tensorboard")
