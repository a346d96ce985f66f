"""The base of all perturbations between agent and environment, and their registry.

A perturbation registers itself, by decorator, when its module is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from rl_transfer_envs.aliases import Action, Env, Floats, Info, Options, Space, Start, Transition, Value
from rl_transfer_envs.errors import DuplicateRegistrationError, IncompatiblePerturbationError
from rl_transfer_envs.registry.wrapping import Guarded, Stream
from rl_transfer_envs.values.distributions import draw, extremes, is_distribution
from rl_transfer_envs.values.quantity import Quantity, resolve
from rl_transfer_envs.values.reading import canonical_arguments


class Perturbation(Guarded, RecordConstructorArgs):
    """A wrapper that changes what passes between agent and environment.

    Subclasses declare ``name``, ``summary`` and ``arguments`` (the first is the one meant by
    the shorthand ``{name: value}``) and implement ``setup`` plus ``step``/``reset`` hooks.
    ``probes`` names policies the effect probe should try first; ``through_termination`` lets it
    play on after an episode's end as its last attempt (for perturbations of the clock);
    ``examples`` are the values the conformance kit tries where severities make none.

    Args:
        env: the environment to wrap.
        arguments: values in the forms of ``values``; missing ones take their default, which
            changes nothing.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    side: ClassVar[str]
    arguments: ClassVar[tuple[Quantity, ...]]
    probes: ClassVar[tuple[str, ...]] = ()
    through_termination: ClassVar[bool] = False
    examples: ClassVar[tuple[Value, ...]] = ()

    def __init__(self, env: Env, **arguments: Any) -> None:
        arguments = canonical_arguments(self.name, self.arguments, arguments, self.name)
        RecordConstructorArgs.__init__(self, **arguments)
        super().__init__(env)
        self._quantities = {quantity.name: quantity for quantity in self.arguments}
        self._given: dict[str, Value] = {
            name: arguments.get(name, q.default) for name, q in self._quantities.items()
        }
        self._drawn_names = [name for name, value in self._given.items() if is_distribution(value)]
        self._stream = Stream(env, type(self))
        self._values = {
            name: value
            if is_distribution(value)
            else resolve(q, value, self.default(name), f"{self.name}.{name}")
            for (name, value), q in zip(self._given.items(), self.arguments, strict=True)
        }
        self.setup()
        self._sealed = True

    def setup(self) -> None:
        """Check that the environment can carry the perturbation, and rebuild its spaces."""

    def value(self, name: str) -> Value:
        """The present value of an argument, drawn per episode where it is a distribution.

        Args:
            name: of one of ``arguments``.
        """
        return self._values[name]

    def extremes(self, name: str) -> tuple[Value, Value]:
        """Smallest and largest value an argument can take over all episodes, in its unit.

        Args:
            name: of one of ``arguments``.
        """
        return extremes(self._quantities[name], self._given[name], self.default(name), f"{self.name}.{name}")

    def default(self, name: str) -> Value:
        """What a relative value of an argument multiplies, in its unit.

        Args:
            name: of one of ``arguments``.
        """
        return self._quantities[name].default

    def per_dimension(self, name: str, space: spaces.Box, value: Value) -> Floats:
        """A value that is one number, or one per dimension, in the shape of a space.

        Args:
            name: the argument it is of.
            space: the observation or action space.
            value: a number, or a list as long as the space has dimensions.

        Returns:
            ``value[*space.shape]``, in the argument's unit.

        Raises:
            IncompatiblePerturbationError: a list of another length.
        """
        if not isinstance(value, list):
            return np.full(space.shape, value, dtype=np.float64)
        size = int(np.prod(space.shape))
        if len(value) != size:
            raise self.refuse(f"it has {size} dimensions, and {name} lists {len(value)}.", name)
        return np.array(value, dtype=np.float64).reshape(space.shape)

    def refuse(self, reason: str, argument: str | None = None) -> IncompatiblePerturbationError:
        """The error that says why this environment cannot carry the perturbation.

        Args:
            reason: what does not fit, as the second half of a sentence.
            argument: the argument at fault, if it is one.

        Returns:
            The error, to be raised.
        """
        env = self.env.unwrapped
        label = env.spec.id if env.spec else type(env).__name__
        key = self.name if argument is None else f"{self.name}.{argument}"
        return IncompatiblePerturbationError(f"{self.name} cannot be applied to {label}: {reason}", key=key)

    def box(self, space: Space, *, real: bool = True) -> spaces.Box:
        """The wrapped observation or action space, if it is a box of numbers.

        Args:
            space: the space.
            real: whether only real numbers will do; otherwise whole ones (images) fit too.

        Returns:
            The space.

        Raises:
            IncompatiblePerturbationError: it is no such box.
        """
        if not isinstance(space, spaces.Box) or not np.issubdtype(
            space.dtype, np.floating if real else np.number
        ):
            numbers = "real numbers" if real else "numbers"
            raise self.refuse(f"its {self.side} space is {space}, and this needs a Box of {numbers}.")
        return space

    def permutation(self, name: str, count: int, what: str) -> list[int]:
        """The argument ``name`` (identity, reverse or a list) as a permutation.

        Args:
            name: of one of ``arguments``.
            count: how many things are permuted.
            what: what they are called, for the refusal.

        Returns:
            ``permutation[new number]``: the old number.

        Raises:
            IncompatiblePerturbationError: a list that is no permutation of ``count`` things.
        """
        given = self.value(name)
        words = {"identity": list(range(count)), "reverse": list(range(count))[::-1]}
        order: list[int] = words[given] if isinstance(given, str) else given
        if sorted(order) != list(range(count)):
            raise self.refuse(f"{given} is no permutation of its {what} 0 … {count - 1}.", name)
        return order

    def within(self, name: str, numbers: list[int], count: int, what: str) -> list[int]:
        """Numbers that the argument ``name`` lists, if there are so many things to number.

        Args:
            name: of one of ``arguments``.
            numbers: what it lists.
            count: how many things there are.
            what: what one is called, for the refusal.

        Returns:
            ``numbers``.

        Raises:
            IncompatiblePerturbationError: a number below 0, or of ``count`` or more.
        """
        outside = [number for number in numbers if not 0 <= number < count]
        if outside:
            raise self.refuse(f"it has no {what} {outside[0]} (0 … {count - 1}).", name)
        return numbers

    @property
    def rng(self) -> np.random.Generator:
        """The wrapper's own random stream, for what it draws at every step."""
        return self._stream.of()

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Draw the episode's values and reset the environment."""
        self.begin_episode(seed)
        observation, info = self.env.reset(seed=seed, options=options)
        self.add_context(info)
        return observation, info

    def step(self, action: Action) -> Transition:
        """Step the environment; ``info["context"]`` holds the drawn values, if any are drawn."""
        result = self.env.step(action)
        self.add_context(result[4])
        return result

    def begin_episode(self, seed: int | None) -> None:
        """Reseed the stream where a seed is given and draw the per-episode values.

        Args:
            seed: as ``reset`` got it.
        """
        self._stream.reseed(seed)
        for name in self._drawn_names:
            quantity, distribution = self._quantities[name], self._given[name]
            self._values[name] = draw(
                quantity, distribution, self.default(name), self._stream.of(name), f"{self.name}.{name}"
            )

    def add_context(self, info: Info) -> None:
        """Write the drawn values into ``info["context"]``.

        Args:
            info: of a reset or a step; changed in place.
        """
        if self._drawn_names:
            drawn = {f"{self.name}.{name}": self._values[name] for name in self._drawn_names}
            info["context"] = {**info.get("context", {}), **drawn}


P = TypeVar("P", bound=type[Perturbation])

_perturbations: dict[str, type[Perturbation]] = {}


def register_perturbation(wrapper: P) -> P:
    """Class decorator: make a :class:`Perturbation` available under its ``name``.

    Args:
        wrapper: the class.

    Returns:
        The class itself.

    Raises:
        DuplicateRegistrationError: the name is taken.
    """
    if wrapper.name in _perturbations:
        raise DuplicateRegistrationError(f"perturbation {wrapper.name!r} is registered already.")
    _perturbations[wrapper.name] = wrapper
    return wrapper


def perturbations() -> Mapping[str, type[Perturbation]]:
    """The registered perturbations by name."""
    return MappingProxyType(_perturbations)
