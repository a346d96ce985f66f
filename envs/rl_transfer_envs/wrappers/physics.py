"""The wrapper that applies physics parameters to ``env.unwrapped``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from rl_transfer_envs.aliases import (
    Action,
    Entry,
    Env,
    Info,
    Options,
    Simulator,
    Space,
    Start,
    Transition,
    Value,
)
from rl_transfer_envs.errors import (
    IncompatiblePerturbationError,
    PerturbedAfterConstructionError,
    UnknownParameterError,
    did_you_mean,
    key_prefix,
)
from rl_transfer_envs.registry.parameters import Parameter, parameters
from rl_transfer_envs.registry.wrapping import Guarded, Stream, layers
from rl_transfer_envs.values import drift
from rl_transfer_envs.values.distributions import draw, extremes, is_distribution, is_relative
from rl_transfer_envs.values.drift import is_drift
from rl_transfer_envs.values.quantity import resolve


class Physics(Guarded, RecordConstructorArgs):
    """Writes physics parameters to one environment instance and recomputes derived values.

    Args:
        env: an environment made by Gymnasium, never reset.
        perturb: physics entries ``[{name: value}, …]``, applied in this order.

    Raises:
        PerturbedAfterConstructionError: ``env`` was reset before.
    """

    def __init__(self, env: Env, perturb: Sequence[Entry]) -> None:
        RecordConstructorArgs.__init__(self, perturb=[dict(entry) for entry in perturb])
        super().__init__(env)
        if any(isinstance(layer, gym.wrappers.OrderEnforcing) and layer.has_reset for layer in layers(env)):
            raise PerturbedAfterConstructionError(
                "the environment was reset already; perturb a freshly made one."
            )
        self._entries = []
        for i, entry in enumerate(perturb):
            with key_prefix(f"perturb.{i}"):
                self._entries.append(_Entry(env.unwrapped, dict(entry)))
        self._stream = Stream(env, Physics)
        self._random = any(entry.random for entry in self._entries)
        self._drifting = any(entry.drifting for entry in self._entries)
        self._steps = 0
        if self._drifting:
            self._check_limit()
        self._options: dict[str, Value] = {}
        self._context: Info = {}
        self._unite_spaces()
        self._sealed = True

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Draw the per-episode parameters, apply them, and reset the environment."""
        self._stream.reseed(seed)
        self._steps = 0
        if self._random or self._drifting:
            self._context = {e.name: e.draw(self._stream) for e in self._entries if e.random}
            drifted = self._drifted()
            values = {**self._context, **drifted}
            self._write([values.get(e.name, e.extremes[0]) for e in self._entries])
            self._context.update({e.name: e.in_effect() for e in self._entries if e.random and e.moved})
            self._note(drifted)
        merged = {**self._options, **(options or {})}
        observation, info = self.env.reset(seed=seed, options=merged or None)
        return observation, self._with_context(info)

    def step(self, action: Action) -> Transition:
        """One step; ``info["context"]`` holds the parameters that are drawn or drift, if any are."""
        if self._drifting:
            moved = self._drifted()
            # Not from the context: it says of masses what longer links made of them.
            pairs = zip(self._entries, self._written, strict=True)
            values = [moved.get(entry.name, written) for entry, written in pairs]
            if values != self._written:
                self._write(values)
                self._note(moved)
            self._steps += 1
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, self._with_context(info)

    @property
    def drifting(self) -> bool:
        """Whether a parameter moves within an episode."""
        return self._drifting

    def _drifted(self) -> dict[str, object]:
        """Parameter → its value at the coming step."""
        if not self._drifting:
            return {}
        limit = self._limit()
        return {e.name: e.at(self._steps, limit) for e in self._entries if e.drifting}

    def _note(self, drifted: dict[str, object]) -> None:
        """Put what drifts into the context, as it is in effect."""
        shown = {e.name: e.in_effect() for e in self._entries if e.drifting and e.moved}
        self._context |= {**drifted, **shown}

    def _limit(self) -> int | None:
        """The time limit of the coming episode, in steps."""
        timers = [each for each in layers(self.env) if isinstance(each, gym.wrappers.TimeLimit)]
        return min((timer._max_episode_steps for timer in timers), default=None)

    def _check_limit(self) -> None:
        for i, entry in enumerate(self._entries):
            if entry.drifting and not entry.timed and self._limit() is None:
                raise IncompatiblePerturbationError(
                    f"{entry.name} drifts over the whole episode, and the environment has no time limit; "
                    "give the steps, such as {drift: [x1, x2, 200]}.",
                    key=f"perturb.{i}.{entry.name}",
                )

    def _with_context(self, info: Info) -> Info:
        if not (self._random or self._drifting):
            return info
        context = {n: dict(v) if isinstance(v, Mapping) else v for n, v in self._context.items()}
        return {**info, "context": {**info.get("context", {}), **context}}

    def _write(self, values: list[Value]) -> None:
        env, self._written = self.env.unwrapped, values
        for entry, value in zip(self._entries, values, strict=True):
            if entry.parameter.note_multiples is not None:
                entry.parameter.note_multiples(env, entry.multiples)
            if entry.parameter.set is not None:
                entry.parameter.set(env, value)
            if entry.parameter.reset_options is not None:
                self._options.update(entry.parameter.reset_options(value))
        hooks = dict.fromkeys(e.parameter.derive for e in self._entries if e.parameter.derive)
        for derive in hooks:
            derive(env)

    def level(self, name: str) -> object:
        """The present value of a parameter that is perturbed.

        Args:
            name: of the parameter.

        Returns:
            The value in its unit; keyed: element → value, or multiple of its default where the
            parameter's range is one of multiples. None where the parameter is not perturbed.
        """
        for entry, value in zip(self._entries, self._written, strict=True):
            if entry.name == name:
                return entry.level(value)
        return None

    def _unite_spaces(self) -> None:
        """Apply the values; where they are drawn or drift, fix spaces that hold for all of them."""
        if not (self._random or self._drifting):
            self._write([entry.extremes[0] for entry in self._entries])
            return
        seen = []
        for side in (0, 1):
            self._write([entry.extremes[side] for entry in self._entries])
            seen.append((self.env.observation_space, self.env.action_space))
        (low_obs, low_act), (high_obs, high_act) = seen
        self.observation_space = _union(low_obs, high_obs)
        self.action_space = _union(low_act, high_act)


class _Entry:
    """One physics entry, bound to an environment's own defaults."""

    def __init__(self, env: Simulator, entry: Entry) -> None:
        ((self.name, value),) = entry.items()
        self._key, self._env = self.name, env
        self.parameter = _parameter(env, self.name)
        self._value = value
        self._default = self.parameter.get(env)
        self._shared = False
        self.multiples: set[str] = set()
        if self.parameter.keyed:
            self._value = self._by_element(value)
            # Attributes are read on demand; multiples of what an earlier episode wrote would drift away.
            self._default = {name: self._default[name] for name in self._value}
            self.multiples = {name for name, each in self._value.items() if is_relative(each)}
        self.random = is_distribution(value) or (
            isinstance(self._value, Mapping) and any(map(is_distribution, self._value.values()))
        )
        each = [*self._value.values()] if self.parameter.keyed else [value]
        moving = [value for value in each if is_drift(value)]
        self.drifting, self.timed = bool(moving), all(len(value["drift"]) > 2 for value in moving)
        if self.drifting and self.random:
            raise IncompatiblePerturbationError(
                f"{self.name}: some elements are drawn and others drift; let all do the same.", key=self._key
            )
        ends = self._each(lambda v, d, key: extremes(self.parameter, v, d, key))
        self.extremes = tuple(
            {n: pair[side] for n, pair in ends.items()} if self.parameter.keyed else ends[side]
            for side in (0, 1)
        )

    def draw(self, stream: Stream) -> Value:
        """Absolute value(s) for one episode; elements under one distribution share the draw."""
        shared = stream.of(self.name)
        state = shared.bit_generator.state

        def one(value: Value, default: Value, key: str) -> Value:
            if not is_distribution(value):
                return resolve(self.parameter, value, default, key)
            if self._shared:
                shared.bit_generator.state = state
            return draw(self.parameter, value, default, shared if self._shared else stream.of(key), key)

        return self._each(one)

    def level(self, value: object) -> object:
        """A value as :meth:`Physics.level` gives it."""
        if not (isinstance(value, Mapping) and self.parameter.factors):
            return value
        return {name: each / self._default[name] for name, each in value.items()}

    def at(self, step: int, limit: int | None) -> object:
        """Absolute value(s) at a step of an episode with a time limit."""

        def one(value: object, default: object, key: str) -> object:
            if not is_drift(value):
                return resolve(self.parameter, value, default, key)
            first, last = drift.ends(self.parameter, value, default, key)
            return first + (last - first) * drift.share(value, step, limit)

        return self._each(one)

    @property
    def moved(self) -> bool:
        """Whether multiples are of what other parameters make of the default."""
        return self.parameter.note_multiples is not None and bool(self.multiples)

    def in_effect(self) -> dict[str, object]:
        """Element → present value, after everything was written."""
        present = self.parameter.get(self._env)
        return {name: present[name] for name in self._value}

    def _each(self, function: Callable[[Value, Value, str], Value]) -> Value:
        if not self.parameter.keyed:
            return function(self._value, self._default, self._key)
        return {
            name: function(value, self._default[name], f"{self._key}.{name}")
            for name, value in self._value.items()
        }

    def _by_element(self, value: Value) -> dict[str, Value]:
        """Element → value; a single value stands for all elements (zero defaults left out)."""
        self._shared = not isinstance(value, Mapping) or is_distribution(value) or is_drift(value)
        if not self._shared:
            unknown = [] if self.parameter.free_elements else [n for n in value if n not in self._default]
            if unknown:
                raise UnknownParameterError(
                    f"{self.name} has no element {unknown[0]!r}; it has {', '.join(self._default)}."
                    f"{did_you_mean(unknown[0], self._default)}",
                    key=f"{self._key}.{unknown[0]}",
                )
            return dict(value)
        return {
            name: value
            for name, default in self._default.items()
            if not (is_relative(value) and default == 0)
        }


def _parameter(env: Simulator, name: str) -> Parameter:
    env_id = env.spec.id if env.spec else type(env).__name__
    known = parameters(env_id)
    if name not in known:
        raise UnknownParameterError(
            f"{env_id} has no physics parameter {name!r}.{did_you_mean(name, known)}", key=name
        )
    return known[name]


def _union(first: Space, second: Space) -> Space:
    """The smallest space that holds both (boxes of one shape, or equal spaces)."""
    if first == second:
        return second
    if isinstance(first, spaces.Box) and isinstance(second, spaces.Box) and first.shape == second.shape:
        low, high = np.minimum(first.low, second.low), np.maximum(first.high, second.high)
        return spaces.Box(low, high, dtype=first.dtype.type)
    raise IncompatiblePerturbationError(
        f"the drawn parameters change the space from {first} to {second}; "
        "per-episode values may only move bounds."
    )
