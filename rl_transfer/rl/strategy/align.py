"""The verb ``align``: estimate maps between source and target from samples, and fold them into the policy.

A transfer begins as without it: the first evaluation is of the copied network before any sample of the target
was used. Then the samples are taken and charged to the budget, the maps are folded into the network, and
training (if there is any) goes on from there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from rl_transfer import core
from rl_transfer.core.alignment import AlignmentMap, Direction, fit_frobenius, fit_ridge
from rl_transfer.core.pairing import PairingCheck, check_pairing, doubts
from rl_transfer.core.structured_maps import fit_cca, fit_coral, fit_low_rank, fit_procrustes
from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.seeds import alignment_seed
from rl_transfer.rl.environments.spaces import same
from rl_transfer.rl.policies import normalization
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.rl.strategy.align_actions import (
    DECIDED,
    ActionMap,
    ActionOrder,
    match_discrete,
    match_linear,
)
from rl_transfer.rl.strategy.align_effects import match_effects
from rl_transfer.rl.strategy.align_record import actions_record, map_record
from rl_transfer.rl.strategy.align_samples import (
    BASE,
    KEY,
    AlignmentSamples,
    collect,
    refuse_unmappable,
    shuffled_samples,
    transitions,
)
from rl_transfer.rl.strategy.folding import (
    folded_readers,
    mapped_actions,
    ordered_actions,
    through_statistics,
)
from rl_transfer.rl.strategy.knobs import target_pairs
from rl_transfer.rl.strategy.readers import Reader, readers
from rl_transfer.rl.strategy.translate import expand
from rl_transfer.spec import RLRun, StrategyVerbs
from rl_transfer.spec.base import Json
from rl_transfer.wording import counted

DIRECTION: Direction = "target_to_source"
OF_ONE_WIDTH = ("procrustes", "coral", "effects")
LEAST_FORETOLD = 0.98
"""Of the target's changes of state, by the source's model behind a map from effects; below it is told of."""
LEAST_EXPLAINED = 0.1
"""Effects of which the target's actions explain a smaller share are told of."""
TRIAL_PAIRS = 4
"""So many are taken before anything is trained, to see that there are any."""
SOURCE_STEPS = 4
"""Transitions in the source's environment per one in the target: they cost nothing of the target's budget."""
LEAST_SOURCE_STEPS = 2_048


def charged_steps(run: RLRun) -> int:
    """What alignment costs of a run's budget: a step per pair, rounded up to what an update is made of.

    Args:
        run: trained, with or without ``align``.

    Returns:
        Environment steps; 0 without ``align``.

    Raises:
        TransferError: nothing of the budget would be left.
    """
    if run.algorithm is None or run.strategy is None or run.strategy.align is None:
        return 0
    pairs, multiple = run.strategy.align.pairs, run.algorithm.step_multiple
    charged = -(-pairs // multiple) * multiple
    if charged > run.total_steps or (run.strategy.train and charged == run.total_steps):
        raise TransferError(
            f"{pairs:,} pairs cost {charged:,} steps (updates are made of {multiple:,}), and the budget has "
            f"{run.total_steps:,}; give fewer pairs, or raise training.total_steps",
            key=f"{KEY}.pairs",
        )
    return charged


class Alignment:
    """Takes samples, estimates maps and folds them into a policy.

    Args:
        run: its strategy has ``align``.
        model: the strategy applied, but for this.
        parts: of its policy.
        source: what was copied.

    Attributes:
        charged: environment steps that the samples cost.
        readers: the layers that the map of observations is folded into.

    Raises:
        TransferError: the spaces or the network do not suit, or the budget does not.
    """

    def __init__(self, run: RLRun, model: BaseAlgorithm, parts: core.PartMap, source: Policy) -> None:
        if run.algorithm is None or run.strategy is None or run.strategy.align is None:
            raise TransferError("the strategy does not align anything", key=KEY)
        self._run, self._model, self._parts, self._source = run, model, parts, source
        self._algorithm, self._verbs, self._align = run.algorithm, run.strategy, run.strategy.align
        self._traits = traits_of(run.algorithm.name)
        self.charged = charged_steps(run)
        for who, space in (("the target", model), ("the source", source.module)):
            refuse_unmappable(who, space.observation_space, space.action_space)
        self._refuse_other_kinds()
        self.readers = aligned_readers(self._verbs, run.algorithm.name, parts, source)
        if self._align.observations and not self.readers:
            raise TransferError("nothing that reads the observations is copied", key=KEY)

    def _refuse_other_kinds(self) -> None:
        """Refuse networks and spaces that the maps cannot be folded into."""
        theirs, mine = self._source.module, self._model
        for part in ("features", "value_features"):
            if part in self._parts.names and self._parts[part].tensors:
                raise TransferError(
                    "a features extractor with weights stands in front of the layers that align folds maps "
                    "into; use input_maps, or FlattenExtractor",
                    key=KEY,
                )
        if traits_of(self._source.algorithm.name).family != self._traits.family:
            raise TransferError(
                f"the source is a {self._source.algorithm.name} policy, the target trains "
                f"{self._algorithm.name}; align needs one family of algorithms",
                key=KEY,
            )
        widths = [
            int(np.prod(space.shape or (1,)))
            for space in (self._source.module.observation_space, mine.observation_space)
        ]
        if self._align.observations and self._align.map in OF_ONE_WIDTH and len(set(widths)) > 1:
            raise TransferError(
                f"map: {self._align.map} needs as many sensors on both sides; the source has {widths[0]}, "
                f"the target {widths[1]}. A ridge map takes any, but it needs pairs",
                key=f"{KEY}.map",
            )
        if self._align.map == "effects" and not same(theirs.action_space, mine.action_space):
            raise TransferError(
                f"map: effects compares what the same actions do; the source has {theirs.action_space}, the "
                f"target {mine.action_space}",
                key=f"{KEY}.map",
            )
        if self._align.observations and (self._align.rank or 0) > min(widths):
            raise TransferError(
                f"rank is {self._align.rank}, and a map from {widths[1]} sensors to {widths[0]} has a rank "
                f"of {min(widths)} at most; give that or less, or map: ridge",
                key=f"{KEY}.rank",
            )
        if self._verbs.knobs.target_networks != "sync":
            raise TransferError(
                "align needs knobs.target_networks: sync", key="strategy.knobs.target_networks"
            )
        if self._align.actions == "none":
            return
        kind = spaces.Discrete if self._align.actions == "discrete" else spaces.Box
        for who, space in (("the target", mine.action_space), ("the source", theirs.action_space)):
            if not isinstance(space, kind):
                raise TransferError(
                    f"actions: {self._align.actions} is for {kind.__name__} actions, and {who} has {space}",
                    key=f"{KEY}.actions",
                )
        sizes = [_actions(space) for space in (theirs.action_space, mine.action_space)]
        if sizes[0] != sizes[1]:
            raise TransferError(
                f"the source has {counted(sizes[0], 'action')}, the target {sizes[1]}; align puts as many in "
                "order as there are. Declare output_maps",
                key=f"{KEY}.actions",
            )
        if self._align.actions == "discrete" and self._align.pairs <= sizes[0]:
            raise TransferError(
                f"{self._align.pairs} pairs hold {self._align.pairs - 1} transitions at most, and the order "
                f"of {sizes[0]} actions needs one of each; give more pairs, or say actions: none",
                key=f"{KEY}.pairs",
            )
        if self._align.actions == "linear":
            mapped_actions(self._source, self._parts, np.eye(sizes[0]), np.zeros(sizes[0]))

    def try_out(self) -> None:
        """Take a few samples, so that what has none is refused before anything is trained.

        Raises:
            TransferError: there are no such samples, or they do not fit the source.
        """
        self._samples(TRIAL_PAIRS)

    def _samples(self, pairs: int) -> AlignmentSamples:
        seed = alignment_seed(self._run)
        found = collect(self._align, self._run.env, self._source.env, pairs, seed)
        width = int(np.prod(self._source.module.observation_space.shape or (1,)))
        if self._align.observations and found.source.shape[1] != width:
            raise TransferError(
                f"the pairs' other side has {found.source.shape[1]} entries, and the source observes "
                f"{width}: they are not what it has seen. Use from: resets, rollouts or unpaired",
                key=f"{KEY}.from",
            )
        if not self._align.observations and found.target.shape[1] != width:
            raise TransferError(
                f"the target observes {found.target.shape[1]} entries and the source {width}; say "
                "observations: true",
                key=f"{KEY}.observations",
            )
        return found

    def carry_out(self) -> tuple[dict[str, Tensor], dict[str, Json]]:
        """Take the samples, estimate, and fold: the network is the aligned one afterwards.

        Returns:
            What was folded, under the names of the policy's tensors, and the record's ``alignment``.

        Raises:
            TransferError: too few samples, or nothing that could be folded.
        """
        samples = self._samples(self._align.pairs)
        if self._align.shuffled:
            rng = np.random.default_rng(alignment_seed(self._run))
            samples = shuffled_samples(samples, self._align.map == "effects", rng)
        found, pairing = self._observations(samples) if self._align.observations else (None, None)
        acted = self._acted(samples, found) if self._align.actions != "none" else None
        values = self._folded(samples, found, acted)
        live = core.tensors_of(self._model.policy)
        with torch.no_grad():
            for name, value in values.items():
                live[name].copy_(value)
        for online, target in target_pairs(self._model.policy, self._traits):
            target.load_state_dict(online.state_dict())
        lines = [] if found is None else doubts(found, pairing)
        if found is not None and samples.own_partners and self._run.env.id != self._source.env.id:
            lines.append(
                f"{self._run.env.id} says nothing of a {BASE}, so that each observation was its own partner: "
                f"the map is that of equal sensors, and its R² no evidence. Put what "
                f"{self._source.env.id} would observe there, or use from: resets, rollouts or unpaired"
            )
        r2 = None if found is None else found.held_out_r2
        if self._align.map == "effects" and (r2 is None or r2 < LEAST_FORETOLD):
            told = "nothing is known" if r2 is None else f"R² {r2:.2f}"
            lines.append(
                "behind the map the source foretells too little of the target's changes of state "
                f"({told}, right maps have {LEAST_FORETOLD} and more): it may be another map. Give more "
                "pairs, or use from: base_observation, resets or rollouts"
            )
        if isinstance(acted, ActionOrder) and not acted.decided:
            lines.append(
                f"the order of actions is not decided: another one fits {100 * acted.margin:.1f} % worse (t "
                f"{acted.t:.1f}, needed {DECIDED:.1f}), and a wrong order is worse than none. Give more "
                "pairs, or say actions: none"
            )
        if isinstance(acted, ActionMap) and (acted.held_out_r2 or 0) < LEAST_EXPLAINED:
            lines.append("the target's actions explain little of what happens within a step")
        record: dict[str, Json] = {
            "steps": self.charged,
            "pairs": len(samples.target),
            "from": self._align.from_,
            "shuffled": self._align.shuffled,
            "source_steps": samples.source_steps + (self._source_steps() if self._plays_at_home else 0),
            "observations": None if found is None else map_record(found, pairing),
            "actions": None if acted is None else actions_record(acted),
            "doubts": list(lines),
        }
        return values, record

    def _observations(self, samples: AlignmentSamples) -> tuple[AlignmentMap, PairingCheck | None]:
        """The map of observations, and whether its pairs are pairs."""
        x, y, shrinkage = samples.target, samples.source, self._align.shrinkage
        episodes = samples.episodes
        rank = self._align.rank or 1
        try:
            if self._align.map == "coral":
                return fit_coral(x, y, DIRECTION, 0.0 if shrinkage == "auto" else shrinkage), None
            if self._align.map == "effects":
                return self._by_effects(samples), None
            if self._align.map == "procrustes":
                found = fit_procrustes(x, y, DIRECTION, episodes)
            elif self._align.map == "cca":
                found = fit_cca(x, y, DIRECTION, rank, episodes)
            elif self._align.map == "low-rank":
                found = fit_low_rank(x, y, DIRECTION, rank, shrinkage, episodes)
            else:
                mu: float | Literal["auto"] = "auto" if self._align.map == "frobenius" else shrinkage
                found = fit_ridge(x, y, DIRECTION, mu, episodes)
            if self._align.map == "frobenius":
                share = found.penalty_share if shrinkage == "auto" else shrinkage
                found = fit_frobenius(x, y, DIRECTION, share or 1.0, episodes)
        except TransferError as error:
            error.key = error.key or f"{KEY}.map"
            raise
        rng = np.random.default_rng(alignment_seed(self._run))
        return found, check_pairing(x, y, rng, episodes)

    def _by_effects(self, samples: AlignmentSamples) -> AlignmentMap:
        seed, space = alignment_seed(self._run), self._model.action_space
        count = int(space.n) if isinstance(space, spaces.Discrete) else None
        theirs = transitions(self._source.env, self._source_steps(), seed + 1)
        return match_effects(theirs, samples.moves, count, np.random.default_rng(seed))

    @property
    def _plays_at_home(self) -> bool:
        return self._align.actions != "none" or self._align.map == "effects"

    def _source_steps(self) -> int:
        return max(LEAST_SOURCE_STEPS, SOURCE_STEPS * self._align.pairs)

    def _acted(self, samples: AlignmentSamples, found: AlignmentMap | None) -> ActionOrder | ActionMap:
        """What the target's actions are to the source, by their effects on states as the source sees them."""
        theirs = transitions(self._source.env, self._source_steps(), alignment_seed(self._run) + 1)
        moves = samples.moves
        if not len(moves.actions):
            raise TransferError("no transitions were seen; give more pairs", key=f"{KEY}.pairs")
        if found is not None:
            moves = replace(moves, before=found(moves.before), after=found(moves.after))
        if self._align.actions == "linear":
            return match_linear(theirs, moves)
        return match_discrete(theirs, moves, _actions(self._model.action_space))

    def _folded(
        self, samples: AlignmentSamples, found: AlignmentMap | None, acted: ActionOrder | ActionMap | None
    ) -> dict[str, Tensor]:
        """The tensors of the policy that the maps change."""
        values: dict[str, Tensor] = {}
        if found is not None:
            matrix, offset = found.matrix, found.offset
            if self._source.normalizer is not None and self._model.env is not None:
                normalization.set_observation_moments(self._model.env, samples.target)
                mine = normalization.current_normalizer(self._model.env, self._algorithm)
                if mine is not None:
                    matrix, offset = through_statistics(matrix, offset, self._source.normalizer, mine)
            values = folded_readers(self.readers, self._source, matrix, offset)
        if acted is None:
            return values
        if isinstance(acted, ActionOrder):
            others = ordered_actions(self._source, self._parts, acted.order)
        else:
            others = mapped_actions(self._source, self._parts, acted.matrix, acted.offset)
        if values.keys() & others.keys():
            raise TransferError(
                "the policy has no trunk: one layer reads observations and gives actions, and align folds "
                "one map into it; align observations or actions",
                key=f"{KEY}.actions",
            )
        return {**values, **others}


def aligned_readers(
    verbs: StrategyVerbs, algorithm: str, parts: core.PartMap, source: Policy
) -> list[Reader]:
    """The layers that a map of observations is folded into: those that read them and are copied.

    Args:
        verbs: of a strategy with ``align``.
        algorithm: SB3's name of the target's.
        parts: of the target's policy.
        source: what is copied.
    """
    kept = set(parts.select(expand(verbs.copy_, parts))) - set(parts.select(expand(verbs.reset, parts)))
    read = readers(algorithm, parts, source)
    return [each for each in read if each.observed and kept.intersection(each.layer.tensors)]


def noted(plan: core.TransferPlan, names: Collection[str], note: str) -> core.TransferPlan:
    """A plan whose rows say that some tensors are aligned.

    Args:
        plan: as it was applied.
        names: the tensors.
        note: what is said of them.

    Returns:
        Another plan; the tensors count as copied.
    """
    rows = (
        replace(row, action="copied", reason=note) if row.tensor in names else row for row in plan.entries
    )
    return replace(plan, entries=tuple(rows))


def _actions(space: spaces.Space[object]) -> int:
    return int(space.n) if isinstance(space, spaces.Discrete) else int(np.prod(space.shape or (1,)))
