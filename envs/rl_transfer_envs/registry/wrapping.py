"""What every wrapper of this package rests on: its layers, a random stream of its own, a guard."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import gymnasium as gym
import numpy as np

from rl_transfer_envs.aliases import Action, Env, Observation
from rl_transfer_envs.errors import PerturbedAfterConstructionError


class Stream:
    """A wrapper's own generator, seeded from ``reset(seed=…)``.

    It is independent of the environment's ``np_random``, so the base dynamics stay the same.
    The address is (wrapper class, how many of that class lie below), so adding another
    perturbation never changes the stream. Every value that is drawn per episode has a stream of
    its own beside it, addressed by its name: drawing another one as well leaves it alone.

    Args:
        env: what the wrapper wraps.
        owner: the wrapper's class.
    """

    def __init__(self, env: Env, owner: type) -> None:
        below = sum(type(layer) is owner for layer in layers(env))
        self._address = (zlib.crc32(owner.__name__.encode()), below)
        self._seed: int | None = None
        self._generators: dict[str, np.random.Generator] = {}

    def reseed(self, seed: int | None) -> None:
        """Restart the stream where a seed is given; otherwise it goes on.

        Args:
            seed: as ``reset`` got it.
        """
        if seed is not None:
            self._seed = seed
            self._generators.clear()

    def of(self, name: str = "") -> np.random.Generator:
        """A generator; seeded from the operating system if ``reset`` never got a seed.

        Args:
            name: of the value that is drawn; empty for what the wrapper draws at every step.

        Returns:
            The generator, the same one until the stream restarts.
        """
        if name not in self._generators:
            address = (*self._address, zlib.crc32(name.encode())) if name else self._address
            sequence = np.random.SeedSequence(entropy=self._seed, spawn_key=address)
            self._generators[name] = np.random.default_rng(sequence)
        return self._generators[name]


def layers(env: Env) -> Iterator[Env]:
    """``env`` and everything it wraps.

    Args:
        env: any environment.

    Yields:
        The layers, from the outside in; the last one is ``env.unwrapped``.
    """
    yield env
    while isinstance(env, gym.Wrapper):
        env = env.env
        yield env


def time_limit(env: Env) -> int | None:
    """Steps after which an environment truncates every episode, as things stand.

    Args:
        env: any environment.

    Returns:
        The least of its limits; None where it has none.
    """
    limits = [layer._max_episode_steps for layer in layers(env) if isinstance(layer, gym.wrappers.TimeLimit)]
    return min(limits, default=None)


def unchangeable(name: str) -> PerturbedAfterConstructionError:
    """The error for who writes an attribute of the physics from outside, to be raised.

    Args:
        name: of the attribute.
    """
    return PerturbedAfterConstructionError(
        f"{name!r} cannot be changed on a finished environment; "
        f"make a new one with perturb: [{{{name}: …}}] (or attribute: {{{name}: …}}).",
        key=name,
    )


class Guarded(gym.Wrapper[Observation, Action, Observation, Action]):
    """Refuses to shadow an attribute of the physics: it would change nothing and say nothing."""

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and "_sealed" in self.__dict__ and self._shadows(name):
            raise unchangeable(name)
        super().__setattr__(name, value)

    def set_wrapper_attr(self, name: str, value: object, *, force: bool = True) -> bool:
        """As in Gymnasium, but never the physics: that belongs into the specification.

        Args:
            name: of the attribute.
            value: what it becomes.
            force: set it here where no layer has it.

        Returns:
            Whether it was set.

        Raises:
            PerturbedAfterConstructionError: the physics has an attribute of that name.
        """
        if self._shadows(name):
            raise unchangeable(name)
        return super().set_wrapper_attr(name, value, force=force)

    def _shadows(self, name: str) -> bool:
        return not hasattr(type(self), name) and name not in self.__dict__ and hasattr(self.unwrapped, name)
