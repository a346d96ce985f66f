"""Natively batched environments as an SB3 ``VecEnv``."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from rl_transfer.errors import EnvironmentSpecError
from rl_transfer.rl import sb3_seams
from rl_transfer.rl.environments.spaces import AnyWrapper, Array
from rl_transfer.spec.base import Json
from rl_transfer_envs.vector import Batch, Step

Info = dict[str, object]
"""What an environment says of a step or a reset beside its numbers."""

AnyMonitor = Monitor[Any, Any]


class BatchedVecEnv(VecEnv):
    """Behaves as ``DummyVecEnv`` over ``Monitor`` over the single environments, number by number.

    Seeds, observations, rewards, infos (``episode``, ``terminal_observation``,
    ``TimeLimit.truncated``, ``base_observation``, ``context``) are the same; the physics is stepped
    for all instances at once. Single instances cannot be stepped or reset, nor their physics set.

    Args:
        specs: one specification per instance.
        render_mode: None or ``"rgb_array"``.

    Attributes:
        batch: the instances.
        monitors: their monitors; ``total_steps`` is written when it is asked for.
        steps: of the whole batch since it was made.

    Raises:
        EnvError: a specification is wrong or does not vectorise; ``key`` begins with the
            number of the instance.
    """

    actions: Array

    def __init__(self, specs: Sequence[Mapping[str, Json] | str], render_mode: str | None = None) -> None:
        self.batch = Batch(specs, render_mode)
        self.monitors = [Monitor(instance.env) for instance in self.batch.instances]
        self.steps = 0
        super().__init__(self.batch.num_envs, self.batch.observation_space, self.batch.action_space)
        self.metadata = self.batch.instances[0].env.metadata

    def reset(self) -> Array:
        """Begin new episodes, with the seeds and options that were set."""
        rows = list(range(self.num_envs))
        observations = self.restart(
            rows,
            sb3_seams.pending_seeds(self),
            [options or None for options in sb3_seams.pending_options(self)],
        )
        sb3_seams.forget_pending(self)
        return observations

    def step_async(self, actions: Array) -> None:
        """Keep the actions for :meth:`step_wait`.

        Args:
            actions: ``[instance, …]``.
        """
        self.actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step all instances and reset those that finished.

        Returns:
            Observations, rewards, dones and infos, ``[instance]`` each.
        """
        step = self.batch.step(self.actions)
        self.steps += 1
        for monitor, reward in zip(self.monitors, step.rewards.tolist(), strict=True):
            monitor.rewards.append(reward)
        late = (step.truncated & ~step.terminated).tolist()
        infos = [{**self._info(row), "TimeLimit.truncated": truncated} for row, truncated in enumerate(late)]
        done = step.terminated | step.truncated
        observations = self._reset_finished(step, done, infos) if done.any() else step.observations
        return observations, step.rewards.astype(np.float32), done, infos

    def _reset_finished(self, step: Step, done: NDArray[np.bool_], infos: list[Info]) -> Array:
        rows = np.flatnonzero(done).tolist()
        for row in rows:
            infos[row]["episode"] = close_episode(self.monitors[row])
            infos[row]["terminal_observation"] = step.observations[row].copy()
        observations = step.observations.copy()
        observations[rows] = self.restart(rows)
        return observations

    def restart(
        self,
        rows: list[int],
        seeds: Sequence[int | None] | None = None,
        options: Sequence[Info | None] | None = None,
    ) -> Array:
        """Begin new episodes of some instances.

        Args:
            rows: their numbers, rising.
            seeds: one per row; None goes on.
            options: one per row, as ``reset`` takes them.

        Returns:
            Their first observations, ``[row, …]``.
        """
        observations = self.batch.reset(rows, seeds, options)
        for row in rows:
            self.monitors[row].rewards, self.monitors[row].needs_reset = [], False
            self.reset_infos[row] = self._info(row)
        return observations

    def _info(self, row: int) -> Info:
        """The environment's own info of an instance; base observation and drawn parameters."""
        info: Info = {}
        if self.batch.contexts[row]:
            info["context"] = copy.deepcopy(self.batch.contexts[row])
        if self.batch.has_base_observation[row]:
            info["base_observation"] = self.batch.base_observations[row].copy()
        return info

    def close(self) -> None:
        """Close the instances."""
        self.batch.close()

    def get_images(self) -> Sequence[Array | None]:
        """One frame per instance, drawn by Gymnasium.

        Returns:
            RGB arrays; None for each instance where nothing is rendered.
        """
        if self.render_mode != "rgb_array":
            warnings.warn(f"The render mode is {self.render_mode}; images need 'rgb_array'.", stacklevel=2)
            return [None] * self.num_envs
        return self.batch.render()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[object]:
        """An attribute of the instances as of now: the physics', a wrapper's or the monitor's.

        Args:
            attr_name: its name.
            indices: None for all instances, one number, or several.

        Returns:
            One value per instance asked for.
        """
        return [monitor.get_wrapper_attr(attr_name) for monitor in self._current(indices)]

    def set_attr(self, attr_name: str, value: object, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the monitors; the physics' belong into the specification.

        Args:
            attr_name: its name.
            value: the same for every instance.
            indices: None for all instances, one number, or several.

        Raises:
            PerturbedAfterConstructionError: the physics has an attribute of that name.
        """
        self.batch.refuse_write(attr_name)
        for monitor in self._current(indices):
            setattr(monitor, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: object, indices: VecEnvIndices = None, **method_kwargs: object
    ) -> list[object]:
        """Call a method of the instances.

        Args:
            method_name: its name.
            *method_args: passed on.
            indices: None for all instances, one number, or several.
            **method_kwargs: passed on.

        Returns:
            One result per instance asked for.

        Raises:
            EnvironmentSpecError: for ``step`` and ``reset``: the batch steps and resets as a whole.
        """
        if method_name in ("step", "reset"):
            raise EnvironmentSpecError(
                f"{method_name} cannot be called on single instances of a batch; use VecEnv.{method_name}, "
                "or DummyVecEnv for instances that are driven one by one."
            )
        return [
            monitor.get_wrapper_attr(method_name)(*method_args, **method_kwargs)
            for monitor in self._current(indices)
        ]

    def env_is_wrapped(self, wrapper_class: type[AnyWrapper], indices: VecEnvIndices = None) -> list[bool]:
        """Whether the instances are wrapped; each is, in a ``Monitor``.

        Args:
            wrapper_class: by what.
            indices: None for all instances, one number, or several.

        Returns:
            One answer per instance asked for.
        """
        return [
            is_wrapped(self.monitors[row], wrapper_class) for row in sb3_seams.instance_numbers(self, indices)
        ]

    def _current(self, indices: VecEnvIndices) -> list[AnyMonitor]:
        """The monitors of some instances, with the state of the batch written back to them."""
        self.batch.export()
        monitors = [self.monitors[row] for row in sb3_seams.instance_numbers(self, indices)]
        for monitor in monitors:
            monitor.total_steps = self.steps
        return monitors


def close_episode(monitor: AnyMonitor) -> Info:
    """Write an episode down as ``Monitor.step`` does.

    Args:
        monitor: its ``rewards`` are those of the whole episode.

    Returns:
        Return ``r``, length ``l`` and the time ``t`` since the monitor was made [s].
    """
    episode_return, length = sum(monitor.rewards), len(monitor.rewards)
    seconds = time.time() - monitor.t_start
    monitor.episode_returns.append(episode_return)
    monitor.episode_lengths.append(length)
    monitor.episode_times.append(seconds)
    return {"r": round(episode_return, 6), "l": length, "t": round(seconds, 6)}
