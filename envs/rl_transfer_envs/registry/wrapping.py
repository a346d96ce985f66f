"""What all perturbation wrappers share: validated arguments, an own random stream, context."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from rl_transfer_envs.errors import IncompatiblePerturbationError, PerturbedAfterConstructionError
from rl_transfer_envs.values.quantity import Quantity, draw, extremes, is_distribution, resolve

Step = tuple[Any, float, bool, bool, dict[str, Any]]


class Stream:
    """A wrapper's own generator, seeded from ``reset(seed=…)``.

    It is independent of the environment's ``np_random``, so the base dynamics stay the same.
    The address is (wrapper class, how many of that class lie below), so adding another
    perturbation never changes the stream.
    """

    def __init__(self, env: gym.Env[Any, Any], owner: type) -> None:
        below = sum(type(layer) is owner for layer in layers(env))
        self._address = (zlib.crc32(owner.__name__.encode()), below)
        self._generator: np.random.Generator | None = None

    def reseed(self, seed: int | None) -> None:
        """Restart the stream where a seed is given; otherwise it goes on."""
        if seed is not None:
            sequence = np.random.SeedSequence(entropy=seed, spawn_key=self._address)
            self._generator = np.random.default_rng(sequence)

    @property
    def generator(self) -> np.random.Generator:
        """The generator; seeded from the operating system if ``reset`` never got a seed."""
        if self._generator is None:
            self._generator = np.random.default_rng()
        return self._generator


def layers(env: gym.Env[Any, Any]) -> Iterator[gym.Env[Any, Any]]:
    """``env`` and everything it wraps, from the outside in."""
    yield env
    while isinstance(env, gym.Wrapper):
        env = env.env
        yield env


class Guarded(gym.Wrapper[Any, Any, Any, Any]):
    """Refuses to shadow an attribute of the physics: it would change nothing and say nothing."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and "_sealed" in self.__dict__ and self._shadows(name):
            self._refuse(name)
        super().__setattr__(name, value)

    def set_wrapper_attr(self, name: str, value: Any, *, force: bool = True) -> bool:
        """As in Gymnasium, but never the physics: that belongs into the specification."""
        if self._shadows(name):
            self._refuse(name)
        return super().set_wrapper_attr(name, value, force=force)

    def _shadows(self, name: str) -> bool:
        return not hasattr(type(self), name) and name not in self.__dict__ and hasattr(self.unwrapped, name)

    def _refuse(self, name: str) -> None:
        raise PerturbedAfterConstructionError(
            f"{name!r} cannot be changed on a finished environment; "
            f"make a new one with perturb: [{{{name}: …}}] (or attribute: {{{name}: …}}).",
            key=name,
        )


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
    examples: ClassVar[tuple[Any, ...]] = ()

    def __init__(self, env: gym.Env[Any, Any], **arguments: Any) -> None:
        from rl_transfer_envs.registry.perturbations import canonical_arguments

        arguments = canonical_arguments(type(self), arguments, self.name)
        RecordConstructorArgs.__init__(self, **arguments)
        super().__init__(env)
        self._quantities = {quantity.name: quantity for quantity in self.arguments}
        self._given = {name: arguments.get(name, q.default) for name, q in self._quantities.items()}
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

    def value(self, name: str) -> Any:
        """The argument's present value (drawn per episode where it is a distribution)."""
        return self._values[name]

    def extremes(self, name: str) -> tuple[Any, Any]:
        """Smallest and largest value the argument can take over all episodes."""
        return extremes(self._quantities[name], self._given[name], self.default(name), f"{self.name}.{name}")

    def default(self, name: str) -> Any:
        """What a relative value of the argument multiplies."""
        return self._quantities[name].default

    def per_dimension(self, name: str, space: spaces.Box, value: Any) -> np.ndarray[Any, Any]:
        """``value`` of the argument ``name``, one number or one per dimension, in the space's shape."""
        if not isinstance(value, list):
            return np.full(space.shape, value, dtype=np.float64)
        size = int(np.prod(space.shape))
        if len(value) != size:
            raise self.refuse(f"it has {size} dimensions, and {name} lists {len(value)}.", name)
        return np.array(value, dtype=np.float64).reshape(space.shape)

    def refuse(self, reason: str, argument: str | None = None) -> IncompatiblePerturbationError:
        """The error that says why this environment cannot carry the perturbation."""
        env = self.env.unwrapped
        label = env.spec.id if env.spec else type(env).__name__
        key = self.name if argument is None else f"{self.name}.{argument}"
        return IncompatiblePerturbationError(f"{self.name} cannot be applied to {label}: {reason}", key=key)

    @property
    def rng(self) -> np.random.Generator:
        """The wrapper's own random stream."""
        return self._stream.generator

    def begin_episode(self, seed: int | None) -> None:
        """Reseed the stream where a seed is given and draw the per-episode values."""
        self._stream.reseed(seed)
        for name in self._drawn_names:
            self._values[name] = draw(
                self._quantities[name], self._given[name], self.default(name), self.rng, f"{self.name}.{name}"
            )

    def add_context(self, info: dict[str, Any]) -> None:
        """Write the drawn values into ``info["context"]``."""
        if self._drawn_names:
            drawn = {f"{self.name}.{name}": self._values[name] for name in self._drawn_names}
            info["context"] = {**info.get("context", {}), **drawn}
