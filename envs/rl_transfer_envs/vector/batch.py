"""Many instances of one classic-control environment, stepped together: the core of this package.

It knows nothing of Gymnasium's or SB3's vector interfaces; both are thin views of it. It does not
reset by itself: who drives it decides when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from rl_transfer_envs.aliases import Array, Env, Given, Info, Options
from rl_transfer_envs.errors import (
    IncompatiblePerturbationError,
    InvalidSpecError,
    InvalidValueError,
    key_prefix,
)
from rl_transfer_envs.registry.wrapping import unchangeable
from rl_transfer_envs.vector.instances import Instance, build, take_apart
from rl_transfer_envs.vector.kernels import KERNELS
from rl_transfer_envs.vector.layers import ALL, Rows, builder, stack_layers
from rl_transfer_envs.vector.spaces import common_space
from rl_transfer_envs.wrappers.observation import ObservationPerturbation

RENDER_MODES = (None, "rgb_array")


@dataclass(frozen=True)
class Step:
    """What one step gave, for the k-th of the instances that were stepped; all newly made.

    Attributes:
        observations: ``observations[k, dimension]``, as the agent sees them.
        rewards: ``rewards[k]``, float64.
        terminated: ``terminated[k]``.
        truncated: ``truncated[k]``; both may be true.
    """

    observations: Array
    rewards: Array
    terminated: Array
    truncated: Array


class Batch:
    """Instances with parameters, seeds and perturbations of their own, stepped together.

    Args:
        specs: one specification per instance.
        render_mode: None or ``"rgb_array"``.

    Attributes:
        num_envs: how many instances.
        instances: the environments; their state is current after :meth:`export`.
        observation_space: of one instance; it holds every instance's observations.
        action_space: of one instance; it holds every instance's actions.
        contexts: ``contexts[instance]``, the values drawn for the present episode.
        has_base_observation: mask of the instances whose observation is perturbed.
        base_observations: ``[instance, dimension]``, the unperturbed observations of these.
        kernel: state and parameters of the physics.
        layers: the perturbations between agent and environment, from the inside out.
        elapsed: ``elapsed[instance]``, steps of the present episode.
        limits: ``limits[instance]``, steps after which it is truncated.

    Raises:
        IncompatiblePerturbationError: something does not vectorise, or instances do not fit
            into one batch; ``key`` begins with the instance's number.
        EnvError: a specification is wrong.
    """

    def __init__(self, specs: Sequence[Given], render_mode: str | None = None) -> None:
        if not specs:
            raise InvalidSpecError("a batch needs at least one environment.")
        if render_mode not in RENDER_MODES:
            raise InvalidSpecError(f"render_mode must be 'rgb_array' or None, not {render_mode!r}.")
        instances: list[Instance] = []
        try:
            for number, spec in enumerate(specs):
                with key_prefix(str(number)):
                    instances.append(_batchable(build(spec, render_mode)))
            self._assemble(instances)
        except Exception:
            for instance in instances:
                instance.env.close()
            raise

    @classmethod
    def around(cls, envs: Sequence[Env]) -> Batch:
        """A batch of environments that exist; :meth:`adopt` and :meth:`export` move their state.

        Args:
            envs: as :func:`rl_transfer_envs.make` returns them; they are not changed.

        Returns:
            The batch.

        Raises:
            IncompatiblePerturbationError: something does not vectorise, or they do not fit into one batch.
        """
        batch = cls.__new__(cls)
        batch._assemble([_batchable(take_apart(env)) for env in envs])
        return batch

    def _assemble(self, instances: list[Instance]) -> None:
        self.num_envs, self.instances = len(instances), instances
        kernels = {KERNELS[type(instance.base)] for instance in self.instances}
        if len(kernels) > 1:
            names = ", ".join(sorted(kernel.environment for kernel in kernels))
            raise IncompatiblePerturbationError(f"one batch holds one kind of environment, not {names}.")
        self.layers = stack_layers(self.instances)
        envs = [instance.env for instance in self.instances]
        self.observation_space = common_space([env.observation_space for env in envs], "observation")
        self.action_space = common_space([env.action_space for env in envs], "action")
        self.kernel = kernels.pop()(self.num_envs)
        self.elapsed, self.limits = (np.zeros(self.num_envs, dtype=np.int64) for _ in range(2))
        for row in range(self.num_envs):
            self._load(row)
        self._running = np.zeros(self.num_envs, dtype=bool)
        self.contexts: list[Info] = [{} for _ in self.instances]
        self.has_base_observation = np.array(
            [any(isinstance(w, ObservationPerturbation) for w in i.wrappers) for i in self.instances]
        )
        inner = self.instances[0].inner.observation_space
        self.base_observations: Array = np.zeros((self.num_envs, *(inner.shape or ())), dtype=inner.dtype)

    def reset(
        self,
        rows: Sequence[int],
        seeds: Sequence[int | None] | None = None,
        options: Sequence[Options] | None = None,
    ) -> Array:
        """Begin new episodes.

        Args:
            rows: numbers of the instances, rising.
            seeds: ``seeds[k]`` as in the single environment's ``reset``; None goes on.
            options: ``options[k]`` as in the single environment's ``reset``.

        Returns:
            ``observations[k, dimension]`` of the k-th of ``rows``.
        """
        observations = np.stack(
            [
                self._restart(row, seeds[k] if seeds else None, options[k] if options else None)
                for k, row in enumerate(rows)
            ]
        )
        numbers = np.asarray(rows, dtype=np.intp)
        self.elapsed[numbers], self._running[numbers] = 0, True
        self.base_observations[numbers] = observations
        for layer in self.layers:
            for k, row in enumerate(rows):
                layer.begin(row, observations[k])
            observations = layer.observation(numbers, observations)
        return observations

    def adopt(self, elapsed: Sequence[int]) -> None:
        """Take over the state that the environments are in; the opposite of :meth:`export`.

        What perturbations between agent and environment remember is not taken over.

        Args:
            elapsed: per instance the steps of the present episode; each was reset at some time.
        """
        for row, instance in enumerate(self.instances):
            self._load(row)
            self.kernel.start(row, instance.base)
        self.elapsed[:], self._running[:] = elapsed, True

    def _load(self, row: int) -> None:
        """Read what an instance's specification, or the draw of its episode, set."""
        self.kernel.load(row, self.instances[row].base)
        self.limits[row] = self.instances[row].limit()

    def _restart(self, row: int, seed: int | None, options: Options) -> Array:
        instance = self.instances[row]
        for wrapper in instance.wrappers:
            wrapper.begin_episode(seed)
        observation, info = instance.inner.reset(seed=seed, options=options)
        if "context" in info:
            self._load(row)
        self.kernel.start(row, instance.base)
        for wrapper in instance.wrappers:
            wrapper.add_context(info)
        self.contexts[row] = info.get("context", {})
        return np.asarray(observation)

    def step(self, actions: ArrayLike, rows: Rows = ALL) -> Step:
        """One step of the instances ``rows``; it does not reset the finished ones.

        Args:
            actions: ``actions[instance]`` or ``actions[instance, dimension]`` for **all**
                instances; those of the instances that are left out do not matter.
            rows: numbers of the instances to step, rising.

        Returns:
            What the step gave.

        Raises:
            InvalidValueError: actions of the wrong shape or outside the space, or NaN.
            gymnasium.error.ResetNeeded: an instance was never reset.
        """
        if not self._running[rows].all():
            raise gym.error.ResetNeeded("call reset before step")
        inner = self._checked(actions, rows)
        for layer in reversed(self.layers):
            inner = layer.action(rows, inner)
        active = None
        if not isinstance(rows, slice):
            active = np.zeros(self.num_envs, dtype=bool)
            active[rows] = True
            placed = np.zeros((self.num_envs, *inner.shape[1:]), dtype=inner.dtype)
            placed[rows] = inner
            inner = placed
        observations, rewards, terminated = self.advance(inner, active)
        if active is not None:
            observations, rewards, terminated = observations[rows], rewards[rows], terminated[rows]
        self.elapsed[rows] += 1
        truncated = self.elapsed[rows] >= self.limits[rows]
        return self._perturbed(rows, observations, rewards, terminated, truncated)

    def advance(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """One step of the bare physics; who has a faster one for the same kernel may put it here.

        Args:
            actions: as they reach the physics, of all instances.
            active: mask of the instances that count, None for all.

        Returns:
            Observations, rewards and terminated, newly made.
        """
        return self.kernel.step(actions, active)

    def _perturbed(
        self, rows: Rows, observations: Array, rewards: Array, terminated: Array, truncated: Array
    ) -> Step:
        if self.layers:
            self.base_observations[rows] = observations
            done = terminated | truncated
            for layer in self.layers:
                rewards = layer.reward(rows, rewards, observations, terminated, done)
                observations = layer.observation(rows, observations)
        return Step(observations, rewards, terminated, truncated)

    def _checked(self, actions: ArrayLike, rows: Rows) -> Array:
        """The actions of ``rows`` as a new array in the space's precision."""
        space = self.action_space
        given = np.asarray(actions)
        if given.shape != (self.num_envs, *(space.shape or ())):
            raise InvalidValueError(
                f"actions have shape {given.shape}; {self.num_envs} instances with the action space {space} "
                f"need {(self.num_envs, *(space.shape or ()))}."
            )
        if isinstance(space, spaces.Discrete):
            if not np.issubdtype(given.dtype, np.integer):
                raise InvalidValueError(f"actions of {space} are whole numbers, not {given.dtype}.")
            chosen = np.array(given[rows], dtype=np.int64)
            bad = (chosen < space.start) | (chosen >= space.start + space.n)
        else:
            chosen = np.array(given[rows], dtype=space.dtype)
            bad = np.isnan(chosen).any(axis=-1)
        if bad.any():
            k = int(np.flatnonzero(bad)[0])
            row = int(np.arange(self.num_envs)[rows][k])
            raise InvalidValueError(f"action {chosen[k]} of instance {row} is not in {space}.")
        return chosen

    def export(self) -> None:
        """Write the state of all instances back to their environments, for reading and rendering."""
        for row, instance in enumerate(self.instances):
            if self._running[row]:
                self.kernel.export(row, instance.base)
                instance.elapse(int(self.elapsed[row]))

    def read(self, name: str, rows: Sequence[int] | None = None) -> list[Any]:
        """An attribute of the instances, as of now; looked up through their wrappers.

        Args:
            name: of the attribute.
            rows: numbers of the instances; all if not given.

        Returns:
            ``values[k]`` of the k-th of ``rows``.

        Raises:
            AttributeError: there is none.
        """
        self.export()
        chosen = range(self.num_envs) if rows is None else rows
        return [self.instances[row].env.get_wrapper_attr(name) for row in chosen]

    def refuse_write(self, name: str) -> None:
        """Refuse to set an attribute that the physics has: only a specification changes physics.

        Args:
            name: of the attribute.

        Raises:
            PerturbedAfterConstructionError: always, if the instances have the attribute.
        """
        if any(hasattr(instance.base, name) for instance in self.instances):
            raise unchangeable(name)

    def render(self) -> list[Any]:
        """The frames of all instances, drawn by Gymnasium."""
        self.export()
        return [instance.env.render() for instance in self.instances]

    def close(self) -> None:
        """Close the instances."""
        for instance in self.instances:
            instance.env.close()


def _batchable(instance: Instance) -> Instance:
    """The instance, if all of its perturbations have a layer."""
    for wrapper in instance.wrappers:
        builder(type(wrapper))
    return instance
