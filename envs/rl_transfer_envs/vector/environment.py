"""The batch as a Gymnasium vector environment."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from rl_transfer_envs.aliases import Array, Given, Info, Options
from rl_transfer_envs.errors import InvalidSpecError
from rl_transfer_envs.vector.batch import Batch, Step
from rl_transfer_envs.vector.spaces import batched_space

Result = tuple[Array, Array, Array, Array, Info]


class BatchedVectorEnv(VectorEnv[Array, Array, Array]):
    """Equal to ``SyncVectorEnv`` over the same environments in every number, but stepped together.

    ``single_observation_space`` and ``single_action_space`` hold all instances where their bounds
    differ; ``observation_space`` and ``action_space`` keep each instance's own bounds.

    Args:
        specs: one specification per instance.
        autoreset_mode: as for ``SyncVectorEnv``: next step (default), same step or disabled.
        render_mode: None or ``"rgb_array"``.

    Raises:
        EnvError: as :class:`~rl_transfer_envs.vector.batch.Batch`.
    """

    def __init__(
        self,
        specs: Sequence[Given],
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.batch = Batch(specs, render_mode)
        self.num_envs = self.batch.num_envs
        self.render_mode = render_mode
        each = self.batch.instances
        self.metadata = {**each[0].env.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = self.batch.observation_space
        self.single_action_space = self.batch.action_space
        self.observation_space = batched_space([instance.env.observation_space for instance in each])
        self.action_space = batched_space([instance.env.action_space for instance in each])
        self._observations: Array = np.zeros(
            (self.num_envs, *(self.single_observation_space.shape or ())),
            dtype=self.single_observation_space.dtype,
        )
        self._done = np.zeros(self.num_envs, dtype=bool)
        self._everyone = np.ones(self.num_envs, dtype=bool)
        self._contexts: Info = {}
        self._shows_base = bool(self.batch.has_base_observation.any())

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Array, Info]:
        """Begin new episodes, as ``SyncVectorEnv.reset``.

        Args:
            seed: None, one seed (instance i gets ``seed + i``), or one per instance.
            options: for every instance's ``reset``; ``reset_mask`` (a boolean array) names the
                instances to reset, all without it.
        """
        seeds = self._seeds(seed)
        given = dict(options or {})
        mask = self._mask(given.pop("reset_mask", None))
        rows = np.flatnonzero(mask).tolist()
        each = [given or None] * len(rows)
        self._observations[mask] = self._reset(rows, [seeds[row] for row in rows], each)
        self._done[mask] = False
        return self._observations.copy(), self._info(mask)

    def step(self, actions: Array) -> Result:
        """Advance every instance by one step, or reset it, as the autoreset mode says."""
        if self.autoreset_mode is AutoresetMode.NEXT_STEP and self._done.any():
            result = self._step_or_reset(actions)
        else:
            result = self._step_all(actions)
        observations, _, terminated, truncated, _ = result
        self._observations[:] = observations
        self._done = terminated | truncated
        return result

    def _step_or_reset(self, actions: Array) -> Result:
        """Next-step autoreset: finished instances ignore their action and begin a new episode."""
        going, over = np.flatnonzero(~self._done), np.flatnonzero(self._done)
        observations = np.empty_like(self._observations)
        rewards = np.zeros(self.num_envs)
        terminated, truncated = (np.zeros(self.num_envs, dtype=bool) for _ in range(2))
        if going.size:
            step = self.batch.step(actions, going)
            observations[going], rewards[going] = step.observations, step.rewards
            terminated[going], truncated[going] = step.terminated, step.truncated
        observations[over] = self._reset(over.tolist())
        return observations, rewards, terminated, truncated, self._info(self._everyone)

    def _step_all(self, actions: Array) -> Result:
        """A step of all instances, none of which is finished; same-step autoreset follows."""
        if self.autoreset_mode is AutoresetMode.DISABLED and self._done.any():
            raise gym.error.ResetNeeded(
                f"instances {np.flatnonzero(self._done).tolist()} are finished; "
                "reset them with options={'reset_mask': …}."
            )
        step = self.batch.step(actions)
        observations, final = step.observations, Info()
        if self.autoreset_mode is AutoresetMode.SAME_STEP and (step.terminated | step.truncated).any():
            observations, final = self._reset_finished(step)
        info = {**final, **self._info(self._everyone)}
        return observations, step.rewards, step.terminated, step.truncated, info

    def _reset_finished(self, step: Step) -> tuple[Array, Info]:
        """The observations that follow a same-step autoreset, and the final ones as infos."""
        done = step.terminated | step.truncated
        rows = np.flatnonzero(done).tolist()
        final = np.full(self.num_envs, None, dtype=object)
        for row in rows:
            final[row] = step.observations[row].copy()
        info = {
            "final_obs": final,
            "_final_obs": done.copy(),
            "final_info": self._info(done),
            "_final_info": done,
        }
        observations = step.observations.copy()
        observations[rows] = self._reset(rows)
        return observations, info

    def _reset(
        self,
        rows: list[int],
        seeds: Sequence[int | None] | None = None,
        options: Sequence[Options] | None = None,
    ) -> Array:
        observations = self.batch.reset(rows, seeds, options)
        for row in rows:
            if self.batch.contexts[row]:
                self._contexts = self._add_info(self._contexts, {"context": self.batch.contexts[row]}, row)
        return observations

    def _info(self, mask: Array) -> Info:
        """The instances' infos as arrays with masks, those outside ``mask`` left out."""
        info: Info = {}
        if self._contexts:
            if mask.all():
                info = copy.deepcopy(self._contexts)
            else:
                for row in np.flatnonzero(mask):
                    if self.batch.contexts[row]:
                        info = self._add_info(info, {"context": self.batch.contexts[row]}, int(row))
        if self._shows_base and (shown := self.batch.has_base_observation & mask).any():
            base = np.zeros_like(self.batch.base_observations)
            base[shown] = self.batch.base_observations[shown]
            info |= {"base_observation": base, "_base_observation": shown}
        return info

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + row for row in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"{self.num_envs} instances need {self.num_envs} seeds, not {len(seed)}.")
        return list(seed)

    def _mask(self, mask: object) -> Array:
        if mask is None:
            return np.ones(self.num_envs, dtype=bool)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError(f"options['reset_mask'] must be a boolean NumPy array, not {mask!r}.")
        if mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must name some of {self.num_envs} instances, not {mask}."
            )
        return mask

    @property  # type: ignore[misc]  # as in SyncVectorEnv: one generator per instance, read-only
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generators of the instances."""
        return tuple(instance.base.np_random for instance in self.batch.instances)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds that the instances were last reset with."""
        return tuple(instance.base.np_random_seed for instance in self.batch.instances)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of every instance, as of now.

        Args:
            name: such as ``"state"`` or ``"length"``.
        """
        return tuple(self.batch.read(name))

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What a method (or attribute) of every instance gives; it cannot step or reset them.

        Args:
            name: of the method.
            args: handed to it.
            kwargs: handed to it.

        Returns:
            ``values[instance]``.

        Raises:
            InvalidSpecError: ``"step"`` or ``"reset"``.
        """
        if name in ("step", "reset"):
            raise InvalidSpecError(f"{name} cannot be called on single instances; {name} the whole batch.")
        found = self.batch.read(name)
        return tuple(value(*args, **kwargs) if callable(value) else value for value in found)

    def set_attr(self, name: str, values: object) -> None:
        """As ``SyncVectorEnv.set_attr``, but never the physics: that belongs into the specification.

        Args:
            name: of the attribute.
            values: one for all instances, or a list or tuple with one for each.

        Raises:
            PerturbedAfterConstructionError: the physics has an attribute of that name.
        """
        self.batch.refuse_write(name)
        each: Iterable[object] = values if isinstance(values, list | tuple) else [values] * self.num_envs
        for instance, value in zip(self.batch.instances, each, strict=True):
            instance.env.set_wrapper_attr(name, value)

    def render(self) -> tuple[Any, ...] | None:
        """One frame per instance, drawn by Gymnasium."""
        return tuple(self.batch.render())

    def close_extras(self, **kwargs: Any) -> None:
        """Close the instances, if the constructor got as far as making them.

        Args:
            kwargs: none are used.
        """
        if hasattr(self, "batch"):
            self.batch.close()
