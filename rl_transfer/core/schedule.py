"""When frozen parts become trainable: schedules by share of the training budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rl_transfer.core.freeze import FrozenParts
from rl_transfer.core.parts import PartMap
from rl_transfer.core.strategy import Strategy, ThawStep
from rl_transfer.errors import TransferError
from rl_transfer.wording import listing


class ThawSchedule:
    """Thaws a freeze step by step as training proceeds.

    Args:
        frozen: what is frozen at the start.
        steps: in any order; steps of equal share act together.
        key: config path of the steps, for errors.

    Raises:
        TransferError: a step selects nothing that is still frozen when its turn comes.
    """

    def __init__(self, frozen: FrozenParts, steps: Iterable[ThawStep], *, key: str | None = None) -> None:
        self._frozen = frozen
        given = list(steps)
        self.steps = tuple(sorted(given, key=lambda step: step.share))
        self._done = 0
        left = set(frozen.layers)
        for step in self.steps:
            step_key = None if key is None else f"{key}.{given.index(step)}"
            layers = set(frozen.part_map.layers(step.selectors, key=step_key))
            if not layers & left:
                raise TransferError(
                    f"the thaw of {listing(step.selectors)} at share {step.share} changes nothing: none "
                    f"of it is frozen by then; frozen at first: {listing(frozen.selectors) or 'nothing'}",
                    key=step_key,
                )
            left -= layers

    def update(self, progress: float) -> tuple[ThawStep, ...]:
        """Thaw everything that is due at ``progress``, the share of the budget spent (0 to 1).

        Call it as often as convenient, also after a resume: steps that were missed are made
        up for, steps that were taken are not repeated.

        Args:
            progress: share of the budget spent, 0 to 1.

        Returns:
            The steps taken by this call.
        """
        due = self.steps[self._done :]
        due = tuple(step for step in due if step.share <= progress)
        for step in due:
            self._frozen.unfreeze(step.selectors)
        self._done += len(due)
        return due


def gradual_unfreezing(
    part_map: PartMap, stages: Sequence[Sequence[str]], *, start: float, end: float
) -> tuple[ThawStep, ...]:
    """Thaw one layer at a time from the output down to the input (Howard & Ruder 2018, ULMFiT).

    The shares are evenly spaced from ``start`` (last layer) to ``end`` (first layer). The paper
    adds one layer per epoch; the even spacing is that rule for a budget counted in steps.

    Args:
        part_map: tells how many layers the selectors have.
        stages: selectors from input to output, those of one stage side by side:
            ``[["features"], ["policy_trunk", "value_trunk"]]`` thaws the two trunks' last
            layers together and the features extractor last.
        start: share of the budget at which the last layer thaws, > 0.
        end: share at which the first layer thaws, ≥ ``start`` and < 1.

    Returns:
        The steps in the order of their shares.

    Raises:
        TransferError: not 0 < start ≤ end < 1, or the stages name no part.
    """
    if not 0 < start <= end < 1:
        raise TransferError(f"gradual unfreezing from share {start} to {end}: give 0 < start ≤ end < 1")
    groups: list[list[str]] = []
    for stage in reversed(stages):
        towers: dict[str, list[str]] = {}
        for layer in part_map.layers(stage):
            towers.setdefault(layer.part, []).insert(0, f"{layer.part}.{layer.index}")
        depth = max(map(len, towers.values()), default=0)
        groups += [[tower[i] for tower in towers.values() if i < len(tower)] for i in range(depth)]
    if not groups:
        raise TransferError("gradual unfreezing names no part")
    spacing = (end - start) / max(len(groups) - 1, 1)
    return tuple(ThawStep(start + i * spacing, tuple(group)) for i, group in enumerate(groups))


def critic_warmup(part_map: PartMap, strategy: Strategy, policy: Sequence[str], *, share: float) -> Strategy:
    """``strategy`` with the policy frozen until the fresh critic has caught up.

    A fresh critic's first gradients drag a good actor down; so the actor waits. Layers that the
    strategy freezes anyway keep their own schedule.

    Args:
        part_map: of the target.
        strategy: what to extend.
        policy: selectors of everything that the action depends on; where actor and critic share
            a features extractor, it belongs to them.
        share: share of the budget after which the policy trains.

    Returns:
        The extended strategy; the given one is not changed.

    Raises:
        TransferError: the strategy freezes the whole policy already.
    """
    already = set(part_map.layers(strategy.freeze))
    waiting = [layer for layer in part_map.layers(policy) if layer not in already]
    if not waiting:
        raise TransferError(
            f"critic warm-up: {listing(policy)} is frozen by {strategy.called} already",
            key=strategy.key_of("freeze"),
        )
    selectors = tuple(f"{layer.part}.{layer.index}" for layer in waiting)
    return replace(
        strategy,
        freeze=(*strategy.freeze, *selectors),
        thaw=(*strategy.thaw, ThawStep(share, selectors)),
    )
