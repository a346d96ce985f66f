"""What the effect probe says when it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rl_transfer_envs.aliases import Entry, Space
from rl_transfer_envs.check.measure import SMALLEST, WINDOW
from rl_transfer_envs.check.play import Divergence, Moment
from rl_transfer_envs.registry.parameters import parameters


@dataclass
class Tried:
    """What was played in vain.

    Attributes:
        steps: environment steps in all.
        seeds: of the plays.
        policies: names of the policies, in the order of their first play.
        largest: size of the largest difference; 0 where there was none.
        ended: seconds after which the probe ended before its time; None where it did not.
    """

    steps: int = 0
    seeds: tuple[int, ...] = ()
    policies: tuple[str, ...] = ()
    largest: float = 0.0
    ended: float | None = None

    def add(self, steps: int, seed: int, policy: str, size: float) -> None:
        """Count another play.

        Args:
            steps: that it made.
            seed: of its first reset.
            policy: that it played.
            size: of the largest difference that it showed.
        """
        self.steps += steps
        self.seeds = tuple(dict.fromkeys((*self.seeds, seed)))
        self.policies = tuple(dict.fromkeys((*self.policies, policy)))
        self.largest = max(self.largest, size)

    def __str__(self) -> str:
        seeds = f"{len(self.seeds)} seed{'' if len(self.seeds) == 1 else 's'}"
        return f"{self.steps} steps over {seeds} of the policies {', '.join(self.policies)}"


def irreproducible(env_id: str, perturb: Sequence[Entry], first: Divergence) -> str:
    """Why an environment that differs from itself cannot be probed.

    Args:
        env_id: Gymnasium id.
        perturb: its perturbations.
        first: where two of it came apart.

    Returns:
        The message.
    """
    beside = f" with {shown(perturb)}" if perturb else ""
    return (
        f"{env_id}{beside} differs from itself: under the same seed and the same actions ({first.policy}) "
        f"the {first.quantity} at step {first.step} was {first.base} once and {first.perturbed} once, so no "
        "difference would prove an effect. Draw all random numbers from self.np_random (a perturbation: from "
        "self.rng), which reset(seed=…) seeds."
    )


def outside_space(env_id: str, space: Space, moment: Moment, policy: str) -> str:
    """Why a perturbed environment that leaves its declared space is refused.

    Args:
        env_id: Gymnasium id.
        space: that it declares.
        moment: at which it left.
        policy: that was played.

    Returns:
        The message, without the perturbations.
    """
    return (
        f"the observation at step {moment.step} ({policy}), {moment.shown[0]['observation']}, is outside the "
        f"observation space {space}, which agents rely on. The environment made it in its constructor; "
        f"register a parameter whose derive hook makes it anew (register_parameter){_registered(env_id)}."
    )


def inert(env_id: str, entries: Sequence[Entry], rest: Sequence[Entry], tried: Tried) -> str:
    """Why perturbations are refused.

    Args:
        env_id: Gymnasium id.
        entries: that change nothing, or too little.
        rest: the perturbations beside them.
        tried: what was played.

    Returns:
        The message.
    """
    several = len(entries) > 1
    what = f"{shown(entries)} together" if several else shown(entries)
    where = f"{env_id} beside {shown(rest)}" if rest else env_id
    if tried.largest:
        found = (
            f"{what} change{'' if several else 's'} {where} too little: within {WINDOW} steps from equal "
            f"states by {tried.largest:.1g} of the largest readings (at least {SMALLEST:g}), in {tried}."
        )
    else:
        found = (
            f"{what} {'have' if several else 'has'} no effect on {where}: {tried} gave the same "
            "observations, rewards and endings."
        )
    if tried.ended is not None:
        found += f" The probe ended after {tried.ended:g} s."
    return f"{found} Likely reason: {_likely_reason(env_id, entries, rest, tried.largest)}"


def shown(entries: Sequence[Entry]) -> str:
    """Perturbations with their values.

    Args:
        entries: at least one.
    """
    return " and ".join(f"{name} = {value!r}" for entry in entries for name, value in entry.items())


def _likely_reason(env_id: str, entries: Sequence[Entry], rest: Sequence[Entry], largest: float) -> str:
    if len(entries) > 1:
        return "they undo each other."
    ((name, value),) = entries[0].items()
    parameter = parameters(env_id).get(name)
    if largest:
        return "the value is too close to the default, or another perturbation hides nearly all of it."
    if parameter is None:
        if not value:
            return "all its arguments are at their default, which changes nothing."
        if rest:
            return "another perturbation undoes or masks it."
        return "what the wrapper changes never varies in this environment, or too little."
    if value == parameter.default or value == "x1.0":
        return f"the value equals the default ({parameter.default} {parameter.unit})."
    if parameter.free_elements:
        return (
            "the environment computed something else from this attribute in its constructor "
            "and reads that; register a parameter whose derive hook recomputes it (register_parameter)"
            f"{_registered(env_id)}."
        )
    return "the environment never reads this value on the paths that were played."


def _registered(env_id: str) -> str:
    """The registered parameters, as the end of a sentence."""
    known = ", ".join(name for name, parameter in parameters(env_id).items() if not parameter.free_elements)
    return f", or use one that does: {known}" if known else ""
