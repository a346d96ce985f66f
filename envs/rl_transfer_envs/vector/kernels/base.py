"""What all kernels share: a state and parameters as arrays, one column per instance."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator

USE_SYNC = "Use single environments, stepped in turn (sync)."


class Kernel:
    """The physics of ``count`` instances of one environment.

    Subclasses name the environment's attributes they read and implement :meth:`step`.

    Attributes:
        environment: Gymnasium's name for it, without the version.
        attributes: numbers read from every instance's ``env.unwrapped``, with the value taken
            where the environment has the number as a literal (None: it must have it).
        state_size: how many numbers Gymnasium's ``env.unwrapped.state`` holds.
        state: ``state[variable, instance]``, float64.
        parameters: attribute → ``value[instance]``, float64.

    Args:
        count: how many instances.
    """

    environment: ClassVar[str]
    attributes: ClassVar[dict[str, float | None]]
    state_size: ClassVar[int]

    def __init__(self, count: int) -> None:
        self.count = count
        self.state: Array = np.zeros((self.state_size, count))
        self.parameters: dict[str, Array] = {name: np.zeros(count) for name in self.attributes}
        self._stale = True

    def load(self, row: int, env: Simulator) -> None:
        """Read the parameters of an instance.

        Args:
            row: its number.
            env: its ``env.unwrapped``.

        Raises:
            IncompatiblePerturbationError: its equations are not those of this kernel.
        """
        for name, literal in self.attributes.items():
            value = getattr(env, name) if literal is None else getattr(env, name, literal)
            self.parameters[name][row] = value
        self._stale = True

    def start(self, row: int, env: Simulator) -> None:
        """Take over the state of an instance that was just reset.

        Args:
            row: its number.
            env: its ``env.unwrapped``.
        """
        self.state[:, row] = env.state

    def export(self, row: int, env: Simulator) -> None:
        """Write the state of an instance back, for rendering and for reading attributes.

        Args:
            row: its number.
            env: its ``env.unwrapped``.
        """
        env.state = self.state[:, row].copy()

    def step(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """Advance all instances by one step.

        Args:
            actions: ``actions[instance]`` (discrete) or ``actions[instance, dimension]``.
            active: mask of the instances that count, None for all; the others may be stepped
                too, but must not draw from their random stream.

        Returns:
            ``observations[instance, dimension]`` (float32), ``rewards[instance]`` (float64),
            ``terminated[instance]``; all newly made.
        """
        if self._stale:
            self.derive()
            self._stale = False
        return self.advance(actions, active)

    def derive(self) -> None:
        """Recompute what depends on parameters alone."""

    def advance(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """The equations.

        Args:
            actions: as in :meth:`step`.
            active: as in :meth:`step`.

        Returns:
            As :meth:`step`.
        """
        raise NotImplementedError

    def observed(self) -> Array:
        """The state as observations, ``[instance, variable]`` in single precision."""
        return np.array(self.state.T, dtype=np.float32, order="C")
