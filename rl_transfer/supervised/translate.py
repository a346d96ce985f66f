"""From a spec's strategy (data) to the core's strategy (verbs), for classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rl_transfer import core
from rl_transfer.core import PartMap
from rl_transfer.errors import TransferError
from rl_transfer.spec import StrategyVerbs
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.series import thaw_groups

RL_ONLY = {
    "critic_warm_up": "there is no critic",
    "guide": "nobody acts",
    "adapt": "it has no spaces of observations and actions",
    "align": "nothing is played to take pairs from",
    "as_copied": "it has no knobs of exploration",
    "progressive": "lateral connections are built for sequential trunks of linear layers",
    "hooks": "supervised runs call no hooks",
}
"""Verbs that no classifier has a use for, and why; a kind of data may refuse more."""


def core_strategy(kind: DataKind, verbs: StrategyVerbs, parts: PartMap) -> core.Strategy:
    """The core's form of a strategy.

    Gradual unfreezing goes stage by stage here, from the output down (Howard & Ruder 2018 thaw
    layer groups; a residual network's layers are of little use one at a time), and block by block
    where all stages lie in one part.

    Args:
        kind: of the data.
        verbs: as :func:`rl_transfer.supervised.series.in_series` wrote them out.
        parts: of the target's classifier.

    Returns:
        The same strategy in the core's words.

    Raises:
        TransferError: a verb makes no sense for the kind, or a schedule does not fit the parts.
    """
    for verb, reason in {**RL_ONLY, **kind.refused}.items():
        if getattr(verbs, verb):
            raise TransferError(
                f"the strategy uses {verb}, which {kind.classifier} cannot: {reason}",
                key=f"strategy.{verb}",
            )
    named = [each for given in verbs.input_maps.values() for each in given if isinstance(each, str)]
    if named:
        raise TransferError(
            f"{named[0]!r}: the inputs of {kind.classifier} have no names; give indices",
            key="strategy.input_maps",
        )
    return core.Strategy(
        name="",
        copy=verbs.copy_,
        reset=verbs.reset,
        reset_on_mismatch=verbs.reset_on_mismatch,
        input_maps={
            layer: tuple(each if isinstance(each, int) else None for each in given)
            for layer, given in verbs.input_maps.items()
        },
        input_fill=verbs.input_fill,
        output_maps=verbs.output_maps,
        freeze=verbs.freeze,
        norm=verbs.norm,
        thaw=_thaw(verbs, parts),
        learning_rates=verbs.learning_rates,
        key="strategy",
    )


def with_matching_head(
    strategy: core.Strategy,
    parts: PartMap,
    source: Sequence[str] | None,
    target: Sequence[str],
) -> core.Strategy:
    """The strategy with a head that is copied only where both heads speak of the same classes.

    Two heads of the same shape whose outputs mean different classes would be copied without a
    sound; shapes alone do not tell.

    Args:
        strategy: as written.
        parts: of the target.
        source: class names of the source's head, None if nobody knows them.
        target: class names of the target.

    Returns:
        The strategy itself, or one that resets the head.

    Raises:
        TransferError: the head is to be copied, the classes differ, and the strategy does not
            say under ``reset`` or ``reset_on_mismatch`` what then.
    """
    copied = {layer.part for layer in parts.layers(strategy.copy, key=strategy.key_of("copy"))}
    spared = {layer.part for layer in parts.layers(strategy.reset, key=strategy.key_of("reset"))}
    if "head" not in copied - spared or (source is not None and tuple(source) == tuple(target)):
        return strategy
    lenient = {layer.part for layer in parts.layers(strategy.reset_on_mismatch)}
    if "head" in lenient:
        return replace(strategy, reset=(*strategy.reset, "head"))
    raise TransferError(
        f"{strategy.called} copies the head, but the classes differ: the source's head knows "
        f"{_classes(source)}, the target has {_classes(target)}. Copy the trunk only (copy: [trunk]), "
        "or write reset_on_mismatch: [head] to start with a new head then",
        key=strategy.key_of("copy"),
    )


def _thaw(verbs: StrategyVerbs, parts: PartMap) -> tuple[core.ThawStep, ...]:
    if verbs.gradual is None:
        return tuple(core.ThawStep(step.at, step.parts) for step in verbs.thaw)
    groups = thaw_groups(parts, verbs.freeze)[::-1]
    start, end = verbs.gradual.start, verbs.gradual.end
    spacing = (end - start) / max(len(groups) - 1, 1)
    return tuple(core.ThawStep(start + i * spacing, group) for i, group in enumerate(groups))


def _classes(names: Sequence[str] | None) -> str:
    if names is None:
        return "classes that its weights do not name"
    shown = ", ".join(names[:6])
    return f"{len(names)} classes ({shown}{', …' if len(names) > 6 else ''})"
