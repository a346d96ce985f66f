"""Does a difference come from a perturbation, or from chaos?

Two environments that get the same actions are in equal states until the first bit differs. What
differs from there on within a few steps is the work of the perturbation; what differs later may be
the work of chaos, which makes any difference large. So a size is measured over the first
:data:`WINDOW` steps from equal states, and a new episode brings equal states again. Where nothing
but rounding has happened until then (a spring in a leg that is still in the air), an episode that
comes apart at once counts as well, if it happens :data:`TIMES` times.
"""

from __future__ import annotations

from rl_transfer_envs.aliases import Env
from rl_transfer_envs.check.play import Clock, Divergence, Moment, Shown, differ, divergence, play_together
from rl_transfer_envs.check.size import Scale
from rl_transfer_envs.registry.probes import ProbePolicy

WINDOW = 5
"""Steps from the first difference on over which its size is measured."""

SMALLEST = 1e-5
"""Size below which a perturbation has no effect; float32 rounds at 1e-7."""

ROUNDING = 1e-6
"""Size of a difference between states up to which they are equal but for rounding."""

SUDDEN = 1e-2
"""Size that states which are equal but for rounding must reach within a window: chaos needs longer."""

TIMES = 3
"""Episodes in which that must happen: one could be a threshold that was passed a step earlier."""


_ENDINGS = {"terminated", "truncated"}


class _Window:
    """The first steps after the first difference of an episode, and how far the two come apart in them."""

    def __init__(self) -> None:
        self.size = 0.0
        self._left: int | None = None

    @property
    def opened(self) -> bool:
        return self._left is not None

    @property
    def closed(self) -> bool:
        return self._left == 0

    def add(self, scale: Scale, first: Shown, second: Shown) -> None:
        left = WINDOW + 1 if self._left is None else self._left
        self.size, self._left = max(self.size, scale.distance(first, second)), left - 1


class _Jumps:
    """Episodes in which states that were equal but for rounding came apart at once."""

    def __init__(self) -> None:
        self.count, self._since = 0, 0

    def begin(self) -> None:
        """A new episode."""
        self._since = 0

    def add(self, scale: Scale, moment: Moment) -> float:
        """The size of the difference, where this moment is the jump of its episode; else 0."""
        if self._since > WINDOW:
            return 0.0
        apart = scale.distance(*({"state": state} for state in moment.states))
        self._since = 0 if apart <= ROUNDING else self._since + 1
        size = scale.distance(*({name: s[name] for name in s.keys() - _ENDINGS} for s in moment.shown))
        if not 0 < self._since <= WINDOW or size < SUDDEN:
            return 0.0
        self.count, self._since = self.count + 1, WINDOW + 1
        return size


def measure(
    base: Env,
    other: Env,
    probe: ProbePolicy,
    seed: int,
    steps: int,
    scale: Scale,
    clock: Clock,
    *,
    through_termination: bool = False,
) -> tuple[Divergence | None, float, int]:
    """Play until an episode shows a difference that is large enough.

    What is shown counts from where it first differs. Where that is long after the environments' own
    states first did (coarse or late sensors), these must have come apart far enough from equal states.
    Failing that, sudden differences count. The play ends early when the time is over.

    Args:
        base: the reference.
        other: the environment compared with it.
        probe: the policy.
        seed: seed of the first reset.
        steps: environment steps in all.
        scale: what differences are divided by.
        clock: the time that is left; two windows are played in any case.
        through_termination: as for :func:`~rl_transfer_envs.check.play.play_together`.

    Returns:
        The first difference of the episode that showed the largest one, its size (0 where there was no
        difference) and the steps that were played.

    Raises:
        NonFiniteError: ``other`` returned NaN or infinity where ``base`` did not.
    """
    best: tuple[Divergence | None, float] = None, 0.0
    states, sight, jumps, first, step = _Window(), _Window(), _Jumps(), None, 0
    play = play_together(base, other, probe, seed, steps, through_termination=through_termination)
    for moment in play:
        step = moment.step
        if step > 2 * WINDOW and clock.over:
            break
        if moment.begins:
            states, sight, first = _Window(), _Window(), None
            jumps.begin()
        if sight.closed or (states.closed and states.size < SMALLEST and not sight.opened):
            if (size := jumps.add(scale, moment)) and jumps.count == TIMES:
                return divergence(moment, probe.name, seed), size, step
            continue
        if not states.closed and (states.opened or differ(*moment.states)):
            states.add(scale, *({"state": state} for state in moment.states))
        first = first or divergence(moment, probe.name, seed)
        if first is None:
            continue
        sight.add(scale, *moment.shown)
        if sight.size > best[1]:
            best = first, sight.size
        ended = any(shown.get("terminated") or shown.get("truncated") for shown in moment.shown)
        if best[1] >= SMALLEST and (sight.closed or ended):
            break
    return *best, step
