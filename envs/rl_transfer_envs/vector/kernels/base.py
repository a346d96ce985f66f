"""What all kernels share: a state and parameters as arrays, one column per instance.

A kernel's module holds its equations as functions of no object: ``advance(constants, state, action)``
gives next state, reward and ``terminated``, ``observe(state)`` the observation. Over arrays
``[instance]`` they step a batch. They hold for the scalars of one instance as well: ``arithmetic``.
"""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator

USE_SYNC = "Use single environments, stepped in turn (sync)."

C_co = TypeVar("C_co", bound=tuple[Array, ...], covariant=True)
"""A named tuple: what the equations need of the parameters, ``[instance]`` each."""


class Kernel(Generic[C_co]):
    """The physics of ``count`` instances of one environment.

    Subclasses name the environment's attributes they read and implement :meth:`derive` and
    :meth:`advance`.

    Attributes:
        environment: Gymnasium's name for it, without the version.
        attributes: numbers read from every instance's ``env.unwrapped``, with the value taken
            where the environment has the number as a literal (None: it must have it).
        state_size: how many numbers Gymnasium's ``env.unwrapped.state`` holds.
        observation_size: how many numbers an observation has.
        state: ``state[variable, instance]``, float64.
        parameters: attribute → ``value[instance]``, float64.

    Args:
        count: how many instances.
    """

    environment: ClassVar[str]
    attributes: ClassVar[dict[str, float | None]]
    state_size: ClassVar[int]
    observation_size: ClassVar[int]

    def __init__(self, count: int) -> None:
        self.count = count
        self.state: Array = np.zeros((self.state_size, count))
        self.parameters: dict[str, Array] = {name: np.zeros(count) for name in self.attributes}
        self._constants: C_co | None = None

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
        self._constants = None

    def start(self, row: int, env: Simulator) -> None:
        """Take over the state that an instance is in.

        Args:
            row: its number.
            env: its ``env.unwrapped``, reset at some time.
        """
        self.state[:, row] = env.state

    def export(self, row: int, env: Simulator) -> None:
        """Write the state of an instance back, for rendering and for reading attributes.

        Args:
            row: its number.
            env: its ``env.unwrapped``.
        """
        env.state = self.state[:, row].copy()

    @property
    def constants(self) -> C_co:
        """What the equations need of the parameters; a new object whenever these were read anew."""
        # A checkpoint that was restored keeps the numbers of a named tuple, but not its names.
        if self._constants is None or type(self._constants) is tuple:
            self._constants = self.derive()
        return self._constants

    def derive(self) -> C_co:
        """The constants that follow from the parameters.

        Returns:
            Newly made arrays.
        """
        raise NotImplementedError

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
        raise NotImplementedError

    def observed(self) -> Array:
        """The state as observations, ``[instance, variable]`` in single precision."""
        return np.array(self.state.T, dtype=np.float32, order="C")
