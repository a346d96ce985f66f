"""Everything a strategy does to a fresh model before and while it trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from rl_transfer import core
from rl_transfer.errors import FrozenTensorMoved, TransferError
from rl_transfer.frame.freezing import FreezeSchedule
from rl_transfer.frame.initial import apply_initial
from rl_transfer.rl import sb3_seams
from rl_transfer.rl.policies import normalization
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.parts import policy_parts
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.rl.strategy import cached_features
from rl_transfer.rl.strategy.adapt import with_adaptation
from rl_transfer.rl.strategy.align import Alignment, aligned_readers, noted
from rl_transfer.rl.strategy.anchors import AnchorLoss, anchor_loss
from rl_transfer.rl.strategy.architecture import add_low_rank, add_progressive, merge, optimizers
from rl_transfer.rl.strategy.fidelity import (
    other_action_bounds,
    refuse_other_features,
    refuse_other_function,
)
from rl_transfer.rl.strategy.half_maps import observation_order, refuse_half_maps
from rl_transfer.rl.strategy.hooks import HookContext, LossHook, install_losses, user_hook
from rl_transfer.rl.strategy.kickstart import KickstartLoss, check_teacher
from rl_transfer.rl.strategy.knobs import HeldTargets, apply_knobs
from rl_transfer.rl.strategy.maps import with_maps
from rl_transfer.rl.strategy.matching import match_loss
from rl_transfer.rl.strategy.readers import Reader, selector
from rl_transfer.rl.strategy.translate import core_strategy, expand
from rl_transfer.rl.strategy.trpo import refuse_optimizer_verbs, skip_frozen
from rl_transfer.spec import RLRun
from rl_transfer.spec.base import Json
from rl_transfer.spec.network import network


class PolicyTransfer:
    """Plans and applies a strategy to a model, then follows its schedules.

    The order of the steps matters: what is copied comes before what is put around it, the freeze
    before the adapters on frozen layers, and whatever adds parameters before the rates and losses.

    Args:
        run: its algorithm and strategy are followed.
        model: fresh, on the target's environments.
        env: the training environments, whose normalisation statistics may be the source's.
        source: the source policy, if there is one.
        seed: of whatever the strategy draws.

    Attributes:
        parts: the named parts of the model's policy.
        plan: what was copied, reset and skipped, and why.
        reference: the source's own values by the names of the tensors that they were copied to.
        start: every tensor of the policy as training begins, under the names from before low-rank adapters;
            empty unless the run records diagnostics or gaps.
        losses: the terms that are added to the training loss.
        loss_hook: the user's own among them, if there is one.

    Raises:
        TransferError: the strategy does not fit the algorithm, the network or the source.
    """

    def __init__(
        self, run: RLRun, model: BaseAlgorithm, env: VecEnv, source: Policy | None, seed: int
    ) -> None:
        if run.algorithm is None or run.strategy is None:
            raise TransferError("a transfer needs an algorithm and a strategy")
        self._model, self._algorithm, self._verbs = model, run.algorithm, run.strategy
        self._name, self._traits = run.algorithm.name, traits_of(run.algorithm.name)
        self._source, self._seed, self._context = source, seed, HookContext(run, source, seed)
        if self._traits.natural_gradient:
            refuse_optimizer_verbs(self._name, self._verbs)
        self.parts = policy_parts(self._name, model.policy)
        strategy = core_strategy(self._verbs, self.parts, key="strategy")
        strategy = with_maps(strategy, self._verbs, self._name, self.parts, source)
        order = None if source is None else observation_order(strategy, self._name, self.parts, source)
        if not self._verbs.copy_ and self._verbs.as_copied:  # such maps are for the statistics alone
            strategy = replace(strategy, input_maps={}, output_maps={})
        self._aligned: list[Reader] = []
        if source is not None and self._verbs.align is not None:
            self._aligned = aligned_readers(self._verbs, self._name, self.parts, source)
            lenient = [*map(selector, (each.layer for each in self._aligned)), *_target_networks(self.parts)]
            strategy = replace(strategy, reset_on_mismatch=tuple(lenient))
            differ = [each for each in self._aligned if not each.same_features()]
            order = (None,) * differ[0].features if differ else None
        own = (model.observation_space, model.action_space)
        strategy = with_adaptation(strategy, self._verbs, self._name, self.parts, own, source)
        given = (source.state, source.parts) if source is not None else None
        with self._explained():
            initial = apply_initial(model.policy, self.parts, strategy, self._verbs, given, seed)
        self.plan, self.reference = initial.plan, initial.reference
        self.plan = noted(
            self.plan,
            [name for each in self._aligned for name in each.layer.tensors],
            "aligned after the first evaluation",
        )
        if source is not None and self._verbs.copy_:
            refuse_half_maps(self.plan, strategy, self._verbs, self._name, self.parts, source)
            space, statistics = model.observation_space, self._verbs.normalization
            mapped = bool(self._verbs.input_maps)
            refuse_other_function(self.plan, run.algorithm, space, source, statistics, mapped)
            if order is not None and self._verbs.initial is None:
                refuse_other_features(self.plan, model.policy, source, order)
        self._knobs = apply_knobs(model, run.algorithm, self._verbs, source, self.plan.names("copied"))
        bounds = None if source is None else other_action_bounds(self.plan, source, model.action_space)
        if bounds is not None:
            self._knobs["action_bounds"] = bounds
        if source is not None and (self._verbs.copies or self._verbs.kickstart):
            mode = normalization.transfer(env, source.bundle.tensors, self._verbs.normalization, order)
            self._knobs["normalization"] = mode
        self._fixed = self._rebuild()
        self.start = (
            {name: each.clone() for name, each in model.policy.state_dict().items()}
            if run.evaluation.diagnostics or run.evaluation.gaps
            else {}
        )
        self._fixed_before = core.digest_model(model.policy, self._fixed)
        # The source columns of a progressive network are fixed by their architecture.
        held = replace(strategy, freeze=(), thaw=()) if self._verbs.progressive else strategy
        self._freeze = FreezeSchedule(model.policy, self.parts, held)
        self._refuse_frozen_critic(strategy)
        self._adapt()
        self._follow_rates(strategy)
        self.loss_hook = user_hook(self._verbs, "loss", self._context)
        self.losses = self._losses()
        install_losses(model, self.parts, self.losses)
        self._targets = HeldTargets(model.policy, self._traits)
        if self._traits.natural_gradient:
            skip_frozen(model, self._name)
        self._frozen_features = cached_features.install(model, self.parts, self.frozen)

    @property
    def frozen(self) -> core.FrozenParts | None:
        """What is frozen now; None if the strategy freezes nothing."""
        return self._freeze.frozen

    @property
    def anchors(self) -> list[core.Anchor]:
        """What holds parameters near the source."""
        return [each.anchor for each in self.losses if isinstance(each, AnchorLoss)]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """A refused copy says first which algorithms differ, and last which widths do."""
        try:
            yield
        except TransferError as error:
            if self._source is not None:
                theirs, mine = self._source.algorithm, self._algorithm
                if theirs.name != mine.name:
                    who = f"the source is a {theirs.name} policy, the target trains {mine.name}"
                    error.message = f"{who}: {error.message}"
                widths = [network(each)["net_arch"] for each in (theirs, mine)]
                if widths[0] != widths[1]:
                    error.message += (
                        f"\nnet_arch is {widths[0]} in the source, {widths[1]} here; leave it out of the "
                        "target's algorithm to take the source's over."
                    )
            raise

    def align(self, model: BaseAlgorithm, alignment: Alignment) -> dict[str, Json]:
        """Take the samples, estimate the maps and fold them in; the plan says so from here on.

        Args:
            model: the one that the strategy was applied to.
            alignment: of this strategy.

        Returns:
            The record's ``alignment``.

        Raises:
            TransferError: there are too few samples.
        """
        values, record = alignment.carry_out()
        targets = [name for part in _target_networks(self.parts) for name in self.parts[part].tensor_names]
        self.plan = noted(self.plan, values.keys(), "aligned")
        self.plan = noted(self.plan, targets, "as the aligned network")
        if self.start:
            self.start |= {name: each.clone() for name, each in model.policy.state_dict().items()}
        return record

    @property
    def pending_thaws(self) -> int:
        """How many thaws of the schedule have not happened."""
        return self._freeze.pending

    @property
    def taken_thaws(self) -> tuple[float, ...]:
        """The shares of the budget at which thaws happened so far, in order."""
        return self._freeze.taken

    def _rebuild(self) -> list[str]:
        """Change the architecture; returns the tensors of frozen source columns."""
        fixed: list[str] = []
        if self._verbs.progressive:
            fixed = add_progressive(self._model, self._name, self._seed)
            self.parts = policy_parts(self._name, self._model.policy)
        hook = user_hook(self._verbs, "architecture", self._context)
        if hook is not None:
            hook.build(self._model, self.parts)
            self.parts = policy_parts(self._name, self._model.policy)
        return fixed

    def _refuse_frozen_critic(self, strategy: core.Strategy) -> None:
        """A separate critic takes a gradient step at every update; something of it must be trainable."""
        if self.frozen is None or not self._traits.separate_critic:
            return
        critics = [name for part in self.parts if part.name.startswith("value") for name in part.tensor_names]
        trained = dict(self._model.policy.named_parameters())
        if critics and not any(trained[name].requires_grad for name in critics if name in trained):
            raise TransferError(
                "the critic cannot be frozen as a whole: the algorithm takes a gradient step of it at every "
                "update; leave value_head trainable",
                key=strategy.key_of("freeze"),
            )

    def _adapt(self) -> None:
        selectors = expand(self._verbs.low_rank.parts, self.parts) if self._verbs.low_rank else ()
        self.adapters = add_low_rank(self._model, self._name, self.parts, self._verbs, selectors, self._seed)
        if self.adapters is not None:
            self.parts = policy_parts(self._name, self._model.policy)

    def _follow_rates(self, strategy: core.Strategy) -> None:
        """Rescale the parts' rates each time SB3 has written one rate into all groups."""
        if not strategy.learning_rates:
            return
        key = "strategy.learning_rates"
        held = [
            core.PartLearningRates(each, self._model.policy, self.parts, strategy.learning_rates, key=key)
            for each in optimizers(self._model)
        ]

        def rescale(rate: float) -> None:
            for rates in held:
                rates.rescale(rate)

        sb3_seams.after_learning_rate_update(self._model, rescale)

    def _losses(self) -> list[LossHook]:
        """Anchor, teacher, gap and the user's own, in this order."""
        verbs, source = self._verbs, self._source
        hooks: list[LossHook | None] = []
        if source is not None:
            hooks.append(anchor_loss(verbs, self.parts, self.reference, source, self._seed))
        if source is not None and verbs.kickstart is not None:
            check_teacher(verbs, self._algorithm, source, self._model)
            hooks.append(KickstartLoss(verbs.kickstart, source, self._seed))
        if source is not None and verbs.match is not None:
            thaws = bool(self._freeze.pending)
            hooks.append(
                match_loss(verbs.match, self._name, self.parts, source, self._model, self._seed, thaws)
            )
        hooks.append(self.loss_hook)
        return [hook for hook in hooks if hook is not None]

    def progress(self, share: float) -> list[str]:
        """Follow the schedules.

        Args:
            share: of the budget that is spent, 0 to 1.

        Returns:
            The selectors of what was thawed by this call.

        Raises:
            FrozenTensorMoved: what is about to thaw changed while it was frozen.
        """
        thawed = self._freeze.progress(share)
        if thawed:
            cached_features.uninstall(self._model)
            cached_features.install(self._model, self.parts, self.frozen)
        return thawed

    def finish(self) -> dict[str, Json]:
        """Verify the freeze, fold adapters in, and describe what happened.

        Returns:
            ``knobs``, ``frozen_features``, ``frozen``, ``thaws`` and ``plan`` of the run's record.

        Raises:
            FrozenTensorMoved: something frozen changed.
        """
        self._targets.restore()
        cached_features.uninstall(self._model)
        frozen = self._verified()
        if self.adapters is not None:
            merge(self._model, self._name, self.adapters)
        return {
            "knobs": dict(self._knobs),
            "frozen_features": self._frozen_features,
            "frozen": frozen,
            "thaws": self._freeze.thaws_record(),
            "plan": list(self.plan.rows()),
        }

    def _verified(self) -> dict[str, Json] | None:
        """What is frozen at the end, with the digests that prove it."""
        if self.frozen is not None or not self._fixed:
            return self._freeze.record()
        after = core.digest_model(self._model.policy, self._fixed)
        if after != self._fixed_before:
            raise FrozenTensorMoved("the frozen source column of a progressive network changed")
        return {
            "parts": ["source columns"],
            "tensors": list(self._fixed),
            "digest_before": self._fixed_before,
            "digest_after": after,
        }


def _target_networks(parts: core.PartMap) -> list[str]:
    """The parts of target networks that have tensors."""
    return [part.name for part in parts if part.role == "auxiliary" and part.tensors]
