"""Plan a copy of tensors from a source into a target network, then apply it whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rl_transfer.core._matching import Match, SourceParts, find_matches
from rl_transfer.core._sorting import identity
from rl_transfer.core._text import shape_text, table
from rl_transfer.core.digest import tensors_of
from rl_transfer.core.parts import PartMap
from rl_transfer.core.strategy import Strategy
from rl_transfer.errors import TransferError
from rl_transfer.wording import listing

Action = Literal["copied", "reset", "skipped"]


@dataclass(frozen=True)
class PlanRow:
    """What happens to one tensor.

    Attributes:
        tensor: canonical name in the target; the source's name where the target has none.
        part: the target's part, None where the target has no such tensor.
        source_shape, target_shape: None where that side has no such tensor.
        action: ``copied`` from the source; ``reset``: keeps the target's fresh initialisation;
            ``skipped``: auxiliary tensors that are left to the algorithm, and source tensors
            that have no place in the target.
        reason: why, in words.
        frozen: ``frozen``, ``until 60 %`` of the budget, or empty where it is trained from the start.
    """

    tensor: str
    part: str | None
    source_shape: tuple[int, ...] | None
    target_shape: tuple[int, ...] | None
    action: Action
    reason: str
    frozen: str = ""


@dataclass(frozen=True)
class TransferPlan:
    """The complete outcome of a transfer, decided before any tensor is touched.

    Attributes:
        strategy: the strategy's name; may be empty.
        entries: one row per target tensor in part order, then the unused source tensors.
        values: canonical target name → the tensor that will be copied there.
    """

    strategy: str
    entries: tuple[PlanRow, ...]
    values: Mapping[str, Tensor]

    def names(self, action: Action) -> tuple[str, ...]:
        """The tensors with this action.

        Args:
            action: ``copied``, ``reset`` or ``skipped``.
        """
        return tuple(row.tensor for row in self.entries if row.action == action)

    def rows(self) -> list[dict[str, Any]]:
        """The entries as JSON-ready objects, shapes as lists."""
        return [
            {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(row).items()}
            for row in self.entries
        ]

    def summary(self) -> str:
        """``copied 8, reset 4, skipped 0`` tensors."""
        return ", ".join(f"{a} {len(self.names(a))}" for a in ("copied", "reset", "skipped"))

    def table(self) -> str:
        """The plan for people: one line per tensor under a header.

        Returns:
            Lines without a final newline.
        """
        header = ("tensor", "part", "source", "target", "action", "frozen", "reason")
        lines = [
            (
                row.tensor,
                row.part or "–",
                shape_text(row.source_shape),
                shape_text(row.target_shape),
                row.action,
                row.frozen or "–",
                row.reason,
            )
            for row in self.entries
        ]
        name = f"{self.strategy}: " if self.strategy else ""
        return f"{table(header, lines)}\n{name}{self.summary()}"


def plan(
    source_state: Mapping[str, Tensor] | None,
    model: nn.Module,
    part_map: PartMap,
    strategy: Strategy,
    *,
    source_parts: SourceParts | None = None,
) -> TransferPlan:
    """Decide for every tensor of ``model`` whether it is copied, reset or skipped.

    A target tensor's counterpart has one of its names in the source. Where ``source_parts``
    is given, it must lie in the same part there, and a part whose names differ (another
    algorithm's) is matched layer by layer in order. Nothing is ever matched by shape alone.

    Args:
        source_state: state-dict name → tensor; None only if the strategy copies nothing.
        model: the target, built fresh for its own spaces. Not touched.
        part_map: the parts of ``model``; selectors name them.
        strategy: what it copies, resets and freezes, and its maps, are read.
        source_parts: the source's own part map, or part → tensor names as a bundle stores
            them. Without it the target's rules sort the source's names.

    Returns:
        The plan; :func:`apply` carries it out.

    Raises:
        TransferError: the strategy copies but nothing would be copied; a tensor that must be
            copied is missing, has another shape or dtype, or is not finite; the part is
            deeper in the source. All problems are reported at once, with both architectures
            side by side where shapes or depths differ.
    """
    part_map.check(model)
    if source_state is None:
        if strategy.needs_source:
            raise TransferError(
                f"{strategy.called} copies {listing(strategy.copy)}, but no source was given",
                key=strategy.key_of("copy"),
            )
        source_state = {}
    copy = part_map.select(strategy.copy, key=strategy.key_of("copy"))
    reset = part_map.select(strategy.reset, key=strategy.key_of("reset"))
    wanted = set(copy) - set(reset)
    if copy and not wanted:
        raise TransferError(
            f"{strategy.called} resets everything that it copies; nothing would be transferred",
            key=strategy.key_of("reset"),
        )
    matches = find_matches(source_state, model, part_map, strategy, source_parts)
    frozen = frozen_until(part_map, strategy)
    entries = [
        replace(_row(matches[name], name, name in set(reset), part_map), frozen=frozen.get(name, ""))
        for name in part_map.tensors
    ]
    values = {name: match.value for name, match in matches.items() if match.value is not None}
    if copy and not values:
        raise TransferError(
            f"{strategy.called} copies {listing(strategy.copy)}, but every layer of it differs "
            "from the source and would be reset; nothing would be transferred",
            key=strategy.key_of("reset_on_mismatch"),
        )
    entries += _unused(source_state, matches.values())
    return TransferPlan(strategy.name, tuple(entries), values)


def frozen_until(part_map: PartMap, strategy: Strategy) -> dict[str, str]:
    """What a strategy freezes, and until when.

    Args:
        part_map: of the target.
        strategy: its ``freeze`` and ``thaw`` are read.

    Returns:
        Canonical names of frozen tensors → ``frozen``, or ``until 60 %`` of the budget.
    """
    found = dict.fromkeys(part_map.select(strategy.freeze, key=strategy.key_of("freeze")), "frozen")
    for step in sorted(strategy.thaw, key=lambda each: each.share, reverse=True):
        thawed = part_map.select(step.selectors, key=strategy.key_of("thaw"))
        found |= dict.fromkeys(found.keys() & set(thawed), f"until {step.share:.0%}".replace("%", " %"))
    return found


def apply(plan: TransferPlan, model: nn.Module) -> None:
    """Copy the planned tensors into ``model`` in place: all of them or none.

    Parameters keep their identity, so an optimizer that holds them stays valid.

    Args:
        plan: as :func:`plan` made it for this network.
        model: changed in place.

    Raises:
        TransferError: ``model`` is not the network that the plan was made for.
    """
    live = tensors_of(model)
    for row in plan.entries:
        if row.target_shape is not None and (
            row.tensor not in live or tuple(live[row.tensor].shape) != row.target_shape
        ):
            raise TransferError(
                f"the plan was made for another network: {row.tensor} with shape "
                f"{shape_text(row.target_shape)} is not in this one; nothing was copied"
            )
    with torch.no_grad():
        before = {name: live[name].clone() for name in plan.values}
        try:
            for name, value in plan.values.items():
                live[name].copy_(value)
        except BaseException:
            for name, value in before.items():
                live[name].copy_(value)
            raise


def _row(match: Match, name: str, is_reset: bool, part_map: PartMap) -> PlanRow:
    part = part_map.part_of(name)
    action: Action = "reset"
    if match.value is not None:
        action, reason = "copied", match.note
    elif is_reset:
        reason = "the strategy resets it"
    elif match.note:
        reason = match.note
    elif part.role == "auxiliary":
        action, reason = "skipped", "auxiliary and not copied; left to the algorithm"
    else:
        reason = "the strategy does not copy it"
    target = part_map.tensors[name].shape
    return PlanRow(name, part.name, match.source_shape, target, action, reason)


def _unused(source: Mapping[str, Tensor], matches: Iterable[Match]) -> list[PlanRow]:
    """Rows of the source tensors that are nobody's counterpart, under any of their names."""
    used = {name for match in matches for name in match.source_names}
    storages = {identity(source[name]) for name in used}
    rows = []
    for name, tensor in source.items():
        if name not in used and identity(tensor) not in storages:
            shape = tuple(tensor.shape)
            rows.append(PlanRow(name, None, shape, None, "skipped", "no counterpart in the target"))
    return rows
