"""Environments that are stepped one after another: those of a ``DummyVecEnv``, and any vector environment."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rl_transfer.rl.compiled.worlds_batched import batched
from rl_transfer.rl.compiled.worlds_stepper import Stepper, note, write_buffers
from rl_transfer.rl.environments.batch import AnyMonitor, close_episode
from rl_transfer.rl.environments.spaces import Env
from rl_transfer_envs.aliases import Array
from rl_transfer_envs.errors import EnvError
from rl_transfer_envs.vector import Batch


def is_plainly_monitored(env: Env) -> bool:
    """Whether an environment is in a ``Monitor`` that keeps its lists and does nothing else.

    Args:
        env: of a ``DummyVecEnv``.
    """
    return (
        type(env) is Monitor
        and env.results_writer is None
        and not env.info_keywords
        and not env.reset_keywords
    )


class Stepped(Stepper):
    """The environments of a ``DummyVecEnv``, without the copies and dictionaries of every step.

    Args:
        env: its environments are in plain monitors.
    """

    def __init__(self, env: DummyVecEnv) -> None:
        super().__init__(env.num_envs, env.observation_space)
        self._env = env
        self._monitors: list[AnyMonitor] = [each for each in env.envs if isinstance(each, Monitor)]
        self._steps = 0
        shape = (env.num_envs, *(env.action_space.shape or ()))
        self._shape, self._dtype = shape, env.action_space.dtype

    @staticmethod
    def of(env: DummyVecEnv) -> Stepper:
        """The batch of the environments, where they have one; these stepped in turn otherwise.

        Args:
            env: its environments are in plain monitors.
        """
        monitors: list[AnyMonitor] = [each for each in env.envs if isinstance(each, Monitor)]
        if all(each.render_mode is None for each in monitors):
            try:
                batch = Batch.around([each.env for each in monitors])
            except EnvError:
                return Stepped(env)
            if not batch.layers:
                return batched(env, batch, monitors)
        return Stepped(env)

    def begin(self) -> None:
        """Count from here."""
        self._steps, self.infos = 0, []

    def step(self, actions: Array) -> bool:
        """Step the environments in turn, each to its reset if its episode ended."""
        # Environments and wrappers may keep what they are given.
        given = actions.astype(self._dtype, copy=True).reshape(self._shape)
        observations, rewards, dones, truncated = self.observations, self.rewards, self.dones, self.truncated
        self._steps += 1
        self.ended = []
        for row, monitor in enumerate(self._monitors):
            seen, reward, terminated, cut, info = monitor.env.step(given[row])
            monitor.rewards.append(float(reward))
            rewards[row], dones[row] = reward, terminated or cut
            truncated[row] = cut and not terminated
            if terminated or cut:
                self.ended.append(row)
                self.last[row] = seen
                note(self.infos, {**info, "episode": close_episode(monitor)}, True)
                seen, self._env.reset_infos[row] = monitor.reset()
            observations[row] = seen
        return self.is_finite()

    def finish(self) -> None:
        """Write the counts and buffers."""
        for monitor in self._monitors:
            monitor.total_steps += self._steps
        write_buffers(self._env, self)


class AnyVecEnv(Stepper):
    """Any vector environment, through its own step.

    Args:
        env: the environments.
    """

    def __init__(self, env: VecEnv) -> None:
        super().__init__(env.num_envs, env.observation_space)
        self._env = env

    def begin(self) -> None:
        """There is nothing to take over."""
        self.infos = []

    def step(self, actions: Array) -> bool:
        """SB3's step."""
        observations, rewards, dones, infos = self._env.step(actions.copy())
        assert isinstance(observations, np.ndarray)
        self.observations[...], self.rewards[...], self.dones[...] = observations, rewards, dones
        self.ended = np.flatnonzero(dones).tolist()
        self.truncated[...] = False
        for row, info in enumerate(infos):
            note(self.infos, info, bool(dones[row]))
        for row in self.ended:
            last = infos[row].get("terminal_observation")
            self.truncated[row] = last is not None and infos[row].get("TimeLimit.truncated", False)
            self.last[row] = self.observations[row] if last is None else last
        return self.is_finite()

    def finish(self) -> None:
        """There is nothing to give back."""
