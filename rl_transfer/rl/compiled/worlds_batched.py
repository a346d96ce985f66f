"""Environments whose physics is compiled: all of a batch in one call, perturbations over arrays on top."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rl_transfer.engine.compiling import kernel
from rl_transfer.rl.compiled.physics import CompiledPhysics
from rl_transfer.rl.compiled.worlds_stepper import Stepper, write_buffers
from rl_transfer.rl.environments.batch import AnyMonitor, BatchedVecEnv, close_episode
from rl_transfer.rl.sb3_seams import StandIn
from rl_transfer_envs.aliases import Array
from rl_transfer_envs.vector import Batch

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@kernel(exact=True)
def _record(
    observations: Array,
    rewards: Doubles,
    terminated: Flags,
    counted: bool,
    elapsed: Integers,
    limits: Integers,
    history: Doubles,
    singles: NDArray[np.float32],
    dones: Flags,
    truncated: Flags,
) -> int:
    """Write a step down: ``history[environment, step of the episode]``; how many episodes ended.

    ``counted`` says that ``elapsed`` counts this step already. −1: something is NaN or infinite, and not
    the observation at a termination, of which nothing is computed.
    """
    ended, fine = 0, True
    for row in range(rewards.size):
        if not counted:
            elapsed[row] += 1
        history[row, elapsed[row] - 1] = rewards[row]
        singles[row] = rewards[row]
        truncated[row] = elapsed[row] >= limits[row] and not terminated[row]
        dones[row] = terminated[row] or truncated[row]
        ended += dones[row]
        fine = fine and np.isfinite(rewards[row])
        if not terminated[row]:
            for k in range(observations.shape[1]):
                fine = fine and np.isfinite(observations[row, k])
    return ended if fine else -1


class BatchStepper(Stepper):
    """A batch with compiled physics.

    Args:
        env: what SB3 takes the batch for.
        batch: its environments.
        monitors: their monitors.
        restart: begins new episodes of some instances, and gives their first observations.
    """

    def __init__(
        self,
        env: VecEnv,
        batch: Batch,
        monitors: Sequence[AnyMonitor],
        restart: Callable[[list[int]], Array],
    ) -> None:
        super().__init__(env.num_envs, env.observation_space)
        self._env, self._batch, self._monitors, self._restart = env, batch, monitors, restart
        self._physics = CompiledPhysics(batch.kernel)
        self._whole = isinstance(batch.action_space, spaces.Discrete)
        if not batch.layers:
            self.observations = self._physics.observations
        self._rows = self.observations.reshape(env.num_envs, -1)
        self._stand_in = StandIn(batch, "advance", self._physics.step_anew)
        self._history: Doubles = np.zeros((env.num_envs, 512))
        self._bound = self._steps = 0

    def begin(self) -> None:
        """Take over the episodes that are under way, and the state where it lies in the environments."""
        self.infos, self._steps = [], 0
        if isinstance(self._env, DummyVecEnv):
            self._batch.adopt([len(monitor.rewards) for monitor in self._monitors])
        if self._batch.layers:
            self._stand_in.attach()
        self._make_room()
        for row, monitor in enumerate(self._monitors):
            self._history[row, : len(monitor.rewards)] = monitor.rewards

    def _make_room(self) -> None:
        """Let the history hold one more step of the longest episode."""
        self._bound = int(self._batch.elapsed.max())
        if self._bound >= self._history.shape[1]:
            before, self._history = self._history, np.zeros((len(self._monitors), 2 * self._bound))
            self._history[:, : before.shape[1]] = before

    def step(self, actions: Array) -> bool:
        """One call for the physics, one for everything that is counted."""
        batch, layers, physics = self._batch, self._batch.layers, self._physics
        if layers:
            step = batch.step(actions)
            rewards, terminated = step.rewards, step.terminated
            self.observations[...] = step.observations
        else:
            given = actions if self._whole else actions.reshape(len(actions), -1)
            physics.step(np.ascontiguousarray(given))
            rewards, terminated = physics.rewards, physics.terminated
        self._steps += 1
        self._bound += 1
        if self._bound >= self._history.shape[1]:
            self._make_room()
        ended = _record(
            self._rows, rewards, terminated, bool(layers), batch.elapsed, batch.limits, self._history,
            self.rewards, self.dones, self.truncated,
        )  # fmt: skip
        self.ended = np.flatnonzero(self.dones).tolist() if ended else []
        if ended <= 0:
            return ended == 0
        self._begin_episodes(self.ended)
        return self.is_finite()

    def _begin_episodes(self, rows: list[int]) -> None:
        self.last[rows] = self.observations[rows]
        for row in rows:
            monitor = self._monitors[row]
            monitor.rewards = self._history[row, : self._batch.elapsed[row]].tolist()
            self.infos.append({"episode": close_episode(monitor)})
        self.observations[rows] = self._restart(rows)

    def finish(self) -> None:
        """Give the monitors the episodes under way, and the environments the state."""
        self._stand_in.detach()
        for row, monitor in enumerate(self._monitors):
            monitor.rewards = self._history[row, : self._batch.elapsed[row]].tolist()
        if isinstance(self._env, BatchedVecEnv):
            self._env.steps += self._steps
        elif isinstance(self._env, DummyVecEnv):
            for monitor in self._monitors:
                monitor.total_steps += self._steps
            self._batch.export()
            write_buffers(self._env, self)


def batched(env: BatchedVecEnv | DummyVecEnv, batch: Batch, monitors: Sequence[AnyMonitor]) -> Stepper:
    """A batch behind one of SB3's vector environments.

    Args:
        env: the vector environment.
        batch: its environments.
        monitors: their monitors.

    Returns:
        What steps them.
    """

    def restart(rows: list[int]) -> Array:
        if isinstance(env, BatchedVecEnv):
            return env.restart(rows)
        first = batch.reset(rows)
        for row in rows:
            env.reset_infos[row] = {"context": batch.contexts[row]} if batch.contexts[row] else {}
        return first

    return BatchStepper(env, batch, monitors, restart)
