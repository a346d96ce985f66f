"""The training environments of a model as the engine steps them."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm

from rl_transfer.rl import sb3_seams


class Worlds:
    def __init__(self, model: BaseAlgorithm) -> None:
        self._model = model
        self._env = model.env
        self._space = model.observation_space
        self.n_envs = model.n_envs
        size = self._space.n if isinstance(self._space, spaces.Discrete) else int(np.prod(self._space.shape))
        self.observations = np.zeros((self.n_envs, size), np.float32)
        self.terminal_observations = np.zeros((self.n_envs, size), np.float32)
        self.rewards = np.zeros(self.n_envs, np.float32)
        self.dones = np.zeros(self.n_envs, bool)
        self.truncated = np.zeros(self.n_envs, bool)
        self.any_truncated = False

    def _flat(self, observation, out):
        if isinstance(self._space, spaces.Discrete):
            out[...] = 0
            out[np.arange(len(out)), np.asarray(observation).reshape(-1)] = 1
        else:
            out[...] = np.asarray(observation).reshape(len(out), -1)

    def begin(self) -> None:
        self._flat(self._model._last_obs, self.observations)
        self.originals = np.asarray(self._model._last_obs)

    def step(self, actions: NDArray[np.generic]) -> None:
        obs, rewards, dones, infos = self._env.step(actions)
        self._raw = obs
        self._flat(obs, self.observations)
        self.rewards[:] = rewards
        self.original_rewards = rewards
        self.originals = np.asarray(obs)
        self.next_originals = np.array(obs)
        self.dones[:] = dones
        self.truncated[:] = False
        self.any_truncated = False
        if dones.any():
            sb3_seams.update_info_buffer(self._model, infos, dones)
            for i, done in enumerate(dones):
                if done:
                    self.next_originals[i] = infos[i]["terminal_observation"]
                if done and infos[i].get("TimeLimit.truncated", False):
                    self.truncated[i] = self.any_truncated = True
                    self._flat(
                        np.asarray(infos[i]["terminal_observation"])[None],
                        self.terminal_observations[i : i + 1],
                    )

    def finish(self) -> None:
        self._model._last_obs = self._raw
        self._model._last_episode_starts = self.dones.copy()


def worlds_of(model: BaseAlgorithm) -> Worlds:
    return Worlds(model)
