"""The effect probe: does every perturbation change something, and how much?

Base and perturbed environment get the same seeds and the same actions; they must come apart in
observation, reward, terminated or truncated. The list is compared with itself less each entry, less
each two entries (of a list of up to five: less any of them), and less all of them. What moves nothing
is refused, with what was tried and the likely reason; so is an environment that does not even repeat
itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gymnasium import spaces

from rl_transfer_envs.aliases import Entry, Env, Given, Space, Spec, Value
from rl_transfer_envs.build.make import build
from rl_transfer_envs.build.specification import canonical_with_positions
from rl_transfer_envs.check.bounds import fits
from rl_transfer_envs.check.measure import SMALLEST, WINDOW, measure
from rl_transfer_envs.check.play import Clock, Divergence, divergence, play_together, quiet
from rl_transfer_envs.check.refusals import Tried, inert, irreproducible, outside_space, shown
from rl_transfer_envs.check.size import Scale, smaller
from rl_transfer_envs.errors import (
    EnvError,
    InertPerturbationError,
    IrreproducibleError,
    NonFiniteError,
    OutsideSpaceError,
)
from rl_transfer_envs.registry.parameters import parameters
from rl_transfer_envs.registry.perturbations import perturbations
from rl_transfer_envs.registry.probes import ProbePolicy, probes
from rl_transfer_envs.registry.wrapping import time_limit
from rl_transfer_envs.values.drift import held

SECONDS = 10.0
"""Time that the probe of one specification takes at most."""

SEEDS = (0, 1, 2)
STEPS = 1000
"""Steps of one play; a changed time limit is played to its end, and so is a long one if time is left."""

_WHOLLY = 5  # entries of a list whose every part is compared: 31 comparisons
_REPEATED = 1000  # steps of all policies together in which an environment is compared with itself
_DRIVEN = 400  # steps of each policy instead, where an attribute may invalidate the declared space

Say = Callable[[str], None]


@dataclass(frozen=True)
class EffectReport:
    """The proven effect of one perturbation.

    Attributes:
        index: position in the specification's ``perturb`` list.
        name: parameter or wrapper.
        value: its canonical value.
        first: first difference to the environment without this perturbation, but with the others.
        size: how far the two come apart within five steps from there: largest difference of a reading or
            the reward, as a share of its largest magnitude; 1 for a changed ending or space.
        whole_size: the same for all perturbations together, against the base environment.
    """

    index: int
    name: str
    value: Value
    first: Divergence
    size: float
    whole_size: float


@dataclass(frozen=True)
class _Play:
    """One attempt to see a difference."""

    probe: ProbePolicy
    seed: int
    steps: int
    through_termination: bool = False


def check_effect(
    spec: Given, *, seconds: float = SECONDS, say: Say = lambda _line: None
) -> list[EffectReport]:
    """Prove that every perturbation of ``spec`` has an effect, and that no two and not all undo each other.

    In a list of up to five, no three or four of them either.
    A perturbation that works only together with another one is accepted.

    Args:
        spec: a specification; without perturbations the list is empty.
        seconds: time for the whole probe; the first steps of every comparison are played in any case.
        say: gets a line before every comparison.

    Returns:
        One report per perturbation, in the order of the specification.

    Raises:
        InertPerturbationError: a perturbation changed nothing, or too little; the message names it, the
            policies, steps and seeds that were tried, and the likely reason.
        IrreproducibleError: the environment, or the perturbed one, differs from itself under the same
            seed and actions, so that no difference would prove anything.
        OutsideSpaceError: the perturbed environment left its declared observation space, which the
            base environment keeps to.
        NonFiniteError: the perturbed environment returned NaN or infinity.
        EnvError: the specification is wrong.
    """
    full, positions = canonical_with_positions(spec)
    if not full["perturb"]:
        return []
    with quiet():
        probe = _Probe(full, positions, Clock(seconds), say)
        for i, entry in enumerate(full["perturb"]):
            if held(entry) != entry:
                probe.prove_drift(i)
        found = {left_out: probe.prove(left_out) for left_out in _left_out(len(positions))}
    whole = found[tuple(range(len(positions)))][1]
    reports = []
    for i, index in enumerate(positions):
        ((name, value),) = full["perturb"][i].items()
        reports.append(EffectReport(index, name, value, *found[i,], whole))
    return sorted(reports, key=lambda report: report.index)


def _left_out(count: int) -> Iterator[tuple[int, ...]]:
    """What is left out: each entry, each two, all; of a short list every number of them."""
    sizes = range(1, count + 1) if count <= _WHOLLY else (1, 2, count)
    for size in sizes:
        yield from itertools.combinations(range(count), size)


class _Probe:
    """The comparisons for one specification, within one span of time."""

    def __init__(self, spec: Spec, positions: Sequence[int], clock: Clock, say: Say) -> None:
        self._spec, self._positions, self._clock, self._say = spec, positions, clock, say
        say(f"{spec['id']}: comparing it with itself")
        base, wild = self._repeat([], "id")
        full, outside = self._repeat(spec["perturb"], "perturb")
        attributes = [i for i, entry in enumerate(spec["perturb"]) if _is_attribute(spec["id"], entry)]
        if attributes and outside and not wild:
            message = f"{shown(spec['perturb'])} on {spec['id']}: {outside}"
            raise OutsideSpaceError(message, key=self._key((attributes[0],)))
        self._scale = smaller(base, full)

    def _repeat(self, perturb: list[Entry], key: str) -> tuple[Scale, str]:
        """The largest that the environment shows, while two of it show the same, bit for bit.

        And what it shows first outside its space, in words; an attribute may move far states only.
        """
        spec, scale, clock, outside = self._with(perturb), Scale(), Clock(self._clock.seconds / 8), ""
        far = any(_is_attribute(spec["id"], entry) for entry in self._spec["perturb"])
        with _built(spec, spec) as (env, twin):
            tried = probes(spec["id"], env.action_space)
            for probe in tried:
                steps = _DRIVEN if far else max(_REPEATED // len(tried), 5 * WINDOW)
                for moment in play_together(env, twin, probe, SEEDS[0], steps):
                    if first := divergence(moment, probe.name, SEEDS[0]):
                        raise IrreproducibleError(irreproducible(spec["id"], perturb, first), key=key)
                    scale.note({**moment.shown[0], "state": moment.states[0]})
                    seen = moment.shown[0]["observation"]
                    if far and not (outside or fits(seen, env.observation_space)):
                        outside = outside_space(spec["id"], env.observation_space, moment, probe.name)
                    if moment.step > 2 * WINDOW and clock.over:
                        return scale, outside
        return scale, outside

    def prove(self, left_out: tuple[int, ...]) -> tuple[Divergence, float]:
        """The difference that some of the entries make, and its size.

        Args:
            left_out: their positions in the canonical list.

        Returns:
            The two.

        Raises:
            InertPerturbationError: they make none, or one that is too small.
            NonFiniteError: the environment with them returned NaN or infinity.
        """
        entries = self._spec["perturb"]
        names = [name for i in left_out for name in entries[i]]
        self._say(f"{self._spec['id']}: with and without {' and '.join(names)}")
        rest = [entry for i, entry in enumerate(entries) if i not in left_out]
        if rest and (reason := self._unbuildable(rest)):
            return Divergence("none needed", SEEDS[0], 0, "perturb", reason, "built"), 1.0
        try:
            with _built(self._with(rest), self._spec) as (base, other):
                if found := _space_difference(base, other):
                    return found, 1.0
                return self._compare(base, other, left_out, rest)
        except NonFiniteError as error:
            raise NonFiniteError(
                f"{shown([entries[i] for i in left_out])}: {error.message}", key=self._key(left_out)
            ) from error

    def _unbuildable(self, rest: list[Entry]) -> str:
        """Why the rest of the list makes no environment: its entries need what was left out."""
        try:
            with _built(self._with(rest)):
                return ""
        except EnvError as error:
            return error.message

    def prove_drift(self, index: int) -> None:
        """That a drift is no constant: its environment reads the parameter within an episode.

        Args:
            index: the entry's position in the canonical list.

        Raises:
            InertPerturbationError: it plays as if it stayed at its first value.
            NonFiniteError: the environment with it returned NaN or infinity.
        """
        entries = self._spec["perturb"]
        (name,) = entries[index]
        self._say(f"{self._spec['id']}: with {name} drifting and at its first value")
        stays = [held(entry) if i == index else entry for i, entry in enumerate(entries)]
        with _built(self._with(stays), self._spec) as (base, other):
            try:
                self._compare(base, other, (index,), stays)
            except InertPerturbationError as error:
                raise InertPerturbationError(
                    f"{shown([entries[index]])} on {self._spec['id']} plays as if it stayed at its first "
                    "value: the environment does not read it within an episode, or the drift is too slow to "
                    "be one; give a value, or a distribution that is drawn at every reset.",
                    key=error.key,
                ) from error

    def _compare(
        self, base: Env, other: Env, left_out: tuple[int, ...], rest: list[Entry]
    ) -> tuple[Divergence, float]:
        names = [name for i in left_out for name in self._spec["perturb"][i]]
        tried = Tried()
        for play in _plays(self._spec["id"], names, base, other):
            if tried.steps and self._clock.over:
                tried.ended = self._clock.seconds
                break
            try:
                first, size, steps = self._measure(base, other, play)
            except NonFiniteError:
                raise
            except Exception:
                if not play.through_termination:
                    raise
                continue  # an environment may refuse to be played on after its end
            if first is not None and size >= SMALLEST:
                return first, size
            tried.add(steps, play.seed, play.probe.name, size)
        entries = [self._spec["perturb"][i] for i in left_out]
        raise InertPerturbationError(inert(self._spec["id"], entries, rest, tried), key=self._key(left_out))

    def _measure(self, base: Env, other: Env, play: _Play) -> tuple[Divergence | None, float, int]:
        return measure(
            base,
            other,
            play.probe,
            play.seed,
            play.steps,
            self._scale,
            self._clock,
            through_termination=play.through_termination,
        )

    def _key(self, left_out: tuple[int, ...]) -> str:
        """The key of the last of these entries; of the list, where all are meant."""
        if 1 < len(left_out) == len(self._positions):
            return "perturb"
        last = max(left_out, key=self._positions.__getitem__)
        (name,) = self._spec["perturb"][last]
        return f"perturb.{self._positions[last]}.{name}"

    def _with(self, perturb: list[Entry]) -> Spec:
        return {**self._spec, "perturb": perturb}


@contextmanager
def _built(*specs: Spec) -> Iterator[list[Env]]:
    """Environments that are closed in the end."""
    envs: list[Env] = []
    try:
        for spec in specs:
            envs.append(build(spec))
        yield envs
    finally:
        for env in envs:
            env.close()


def _plays(env_id: str, names: Sequence[str], base: Env, other: Env) -> Iterator[_Play]:
    """The attempts, from those that most often show something to the longest ones."""
    tried = probes(env_id, other.action_space, _preferred(env_id, names))
    limits = [limit for limit in map(time_limit, (base, other)) if limit is not None]
    wrappers = perturbations()
    if limits and any(name in wrappers and wrappers[name].through_termination for name in names):
        yield _Play(tried[0], SEEDS[0], min(limits) + 1, through_termination=True)
    for seed in SEEDS:
        for probe in tried:
            yield _Play(probe, seed, STEPS)
    longest = max(limits, default=0) + 1
    if longest > STEPS:
        for probe in tried:
            yield _Play(probe, SEEDS[0], longest)


def _preferred(env_id: str, names: Sequence[str]) -> tuple[str, ...]:
    known = [parameters(env_id).get(name) or perturbations().get(name) for name in names]
    return tuple(probe for each in known if each is not None for probe in each.probes)


def _is_attribute(env_id: str, entry: Entry) -> bool:
    return any(name in parameters(env_id) and parameters(env_id)[name].free_elements for name in entry)


def _space_difference(base: Env, other: Env) -> Divergence | None:
    """A changed number of actions or changed shape; moved bounds alone prove nothing."""
    for quantity in ("action_space", "observation_space"):
        first, second = getattr(base, quantity), getattr(other, quantity)
        if _form(first) != _form(second):
            return Divergence("none needed", SEEDS[0], 0, quantity, str(first), str(second))
    return None


def _form(space: Space) -> object:
    """Kind and shape of a space, part by part."""
    if isinstance(space, spaces.Dict):
        return {name: _form(part) for name, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return [_form(part) for part in space]
    return type(space), space.shape, int(space.n) if isinstance(space, spaces.Discrete) else None
