"""DQN of SB3 with the engine's choices of actions and gradient steps; the replay buffer stays SB3's."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.type_aliases import RolloutReturn, TrainFreq
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.dqn.policies import DQNPolicy

from rl_transfer.core import Anchor
from rl_transfer.engine import dqn, network
from rl_transfer.errors import TransferError
from rl_transfer.rl import sb3_seams
from rl_transfer.rl.compiled.q_network import QNetworks
from rl_transfer.rl.compiled.worlds import Worlds, worlds_of

SIGN_SECONDS = 0.5
"""Callbacks are asked in the middle of a rollout no more often than this."""


class _QLearner(Protocol):
    exploration_rate: float
    max_grad_norm: float


class CompiledQLearning:
    """Replaces ``collect_rollouts`` and ``train`` of a DQN model.

    Args:
        model: with dense networks.
        key: of the engine's generators.
        anchors: what the parameters are held to.
    """

    def __init__(self, model: OffPolicyAlgorithm, key: int, anchors: Sequence[Anchor]) -> None:
        self._model, self._key = model, key
        self._learner = cast(_QLearner, model)
        self._net = QNetworks(cast(DQNPolicy, model.policy))
        for anchor in anchors:
            self._net.pull_to(anchor.springs())
        self._worlds: Worlds | None = None
        batch, count = model.batch_size, model.n_envs
        self._acting = network.Workspace(count, self._net.row_size)
        self._learning = network.Workspace(batch, self._net.row_size)
        self._actions = np.zeros(count, dtype=np.int64)
        self._places, self._drawn = np.zeros(batch, np.int64), np.zeros(batch, np.int64)
        self._rewards, self._dones = np.zeros(batch, np.float32), np.zeros(batch, np.float32)
        self._statistics = np.zeros(3)
        self._signed = 0.0

    def attach(self) -> None:
        """Let the model use it."""
        self._model.collect_rollouts = self.collect  # type: ignore[method-assign]
        self._model.train = self.train  # type: ignore[method-assign]

    def collect(
        self,
        env: VecEnv,
        callback: BaseCallback,
        train_freq: TrainFreq,
        replay_buffer: ReplayBuffer,
        action_noise: ActionNoise | None = None,
        learning_starts: int = 0,
        log_interval: int | None = None,
    ) -> RolloutReturn:
        """As SB3's.

        Args:
            env: the training environments.
            callback: called at both ends, and now and then in between.
            train_freq: how many steps of the vector environment.
            replay_buffer: gets the transitions.
            action_noise: not used.
            learning_starts: actions are uniform-random for so many environment steps.
            log_interval: episodes between two lines of the log.

        Returns:
            Steps, episodes, and whether training goes on.
        """
        model, net, room = self._model, self._net, self._acting
        callback.on_rollout_start()
        net.bind()
        if self._worlds is None:
            self._worlds = worlds_of(model)
        worlds, count = self._worlds, model.n_envs
        worlds.begin()
        episodes = 0
        for _ in range(train_freq.frequency):
            warm = model.num_timesteps < learning_starts
            dqn.choose(
                net.layers,
                net.node,
                net.parameters,
                room.values,
                room.before,
                worlds.observations,
                1.0 if warm else self._learner.exploration_rate,
                self._key,
                model.num_timesteps,
                self._actions,
            )
            at = replay_buffer.pos
            before = replay_buffer.observations[at]
            before[...] = worlds.originals.reshape(before.shape)
            worlds.step(self._actions)
            model.num_timesteps += count
            self._store(replay_buffer, at, worlds)
            sb3_seams.count_step(model)
            ended = len(worlds.ended)
            if ended:
                episodes += ended
                sb3_seams.log_episodes(model, ended, log_interval)
            if time.monotonic() - self._signed >= SIGN_SECONDS:
                self._signed = time.monotonic()
                callback.update_locals({"new_obs": worlds.observations, "rewards": worlds.rewards})
                if not callback.on_step():
                    worlds.finish()
                    return RolloutReturn(train_freq.frequency * count, episodes, continue_training=False)
        worlds.finish()
        callback.update_locals({"new_obs": worlds.observations, "rewards": worlds.rewards})
        callback.on_rollout_end()
        return RolloutReturn(train_freq.frequency * count, episodes, continue_training=True)

    def _store(self, buffer: ReplayBuffer, at: int, worlds: Worlds) -> None:
        """One transition per environment, as SB3's buffer keeps it."""
        after = buffer.next_observations[at]
        after[...] = worlds.next_originals.reshape(after.shape)
        buffer.actions[at] = self._actions.reshape(buffer.actions.shape[1:])
        buffer.rewards[at] = worlds.original_rewards
        buffer.dones[at] = worlds.dones
        buffer.timeouts[at] = worlds.truncated
        buffer.pos = at + 1
        if buffer.pos == buffer.buffer_size:
            buffer.full, buffer.pos = True, 0

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Gradient steps on transitions of the replay buffer.

        Args:
            gradient_steps: how many.
            batch_size: transitions of each; the model's.
        """
        model, net, room, buffer = self._model, self._net, self._learning, self._model.replay_buffer
        if buffer is None:
            raise TransferError("there is no replay buffer to learn from")
        sb3_seams.update_learning_rate(model, model.policy.optimizer)
        net.moments.read_rates()
        net.hold_target()
        mean, deviation, settings = self._normalization()
        done = sb3_seams.updates(model)
        places = buffer.buffer_size * buffer.n_envs
        space = model.observation_space
        dqn.learn(
            net.layers,
            net.node,
            net.parameters,
            net.target,
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
            room.values,
            room.before,
            room.deltas,
            room.spare,
            buffer.observations.reshape(places, -1),
            buffer.next_observations.reshape(places, -1),
            buffer.actions.reshape(places),
            buffer.rewards.reshape(places),
            buffer.dones.reshape(places),
            buffer.timeouts.reshape(places),
            mean,
            deviation,
            int(space.n) if isinstance(space, spaces.Discrete) else 0,
            buffer.buffer_size if buffer.full else buffer.pos,
            buffer.n_envs,
            settings,
            gradient_steps,
            batch_size,
            self._places,
            True,
            self._key,
            done,
            self._rewards,
            self._dones,
            self._drawn,
            self._statistics,
        )
        net.moments.write_steps()
        sb3_seams.set_updates(model, done + gradient_steps)
        loss = self._statistics[dqn.LOSS] / max(self._statistics[dqn.GRADIENT_STEPS], 1.0)
        if not (math.isfinite(loss) and math.isfinite(self._statistics[dqn.NORM])):
            raise TransferError(
                f"training diverged: the loss of the update at step {model.num_timesteps:,} is {loss}, the "
                f"norm of its gradient {self._statistics[dqn.NORM]}; lower the learning rate"
            )
        model.logger.record("train/n_updates", done + gradient_steps, exclude="tensorboard")
        model.logger.record("train/loss", loss)

    def _normalization(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation of observations, and the settings of :func:`rl_transfer.engine.dqn.learn`."""
        model, none = self._model, np.zeros(0)
        settings = np.array([model.gamma, self._learner.max_grad_norm, -1.0, 1.0, -1.0])
        normalized = model.get_vec_normalize_env()
        mean, deviation = none, none
        if normalized is not None and normalized.norm_obs:
            moments = cast(RunningMeanStd, normalized.obs_rms)
            mean = np.asarray(moments.mean, np.float64).reshape(-1)
            deviation = np.sqrt(np.asarray(moments.var).reshape(-1) + normalized.epsilon)
            settings[dqn.CLIP_OBSERVATION] = normalized.clip_obs
        if normalized is not None and normalized.norm_reward:
            settings[dqn.REWARD_SCALE] = math.sqrt(float(normalized.ret_rms.var) + normalized.epsilon)
            settings[dqn.CLIP_REWARD] = normalized.clip_reward
        return mean, deviation, settings
