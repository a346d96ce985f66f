"""Everything a strategy does to a fresh model before and while it trains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from rl_transfer import core
from rl_transfer.errors import FrozenTensorMoved, TransferError
from rl_transfer.frame.freezing import FreezeSchedule
from rl_transfer.frame.initial import apply_initial
from rl_transfer.rl.policies import normalization
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.parts import policy_parts
from rl_transfer.rl.strategy import cached_features
from rl_transfer.rl.strategy.architecture import add_low_rank, add_progressive, merge, optimizers
from rl_transfer.rl.strategy.hooks import HookContext, install_losses, user_hook
from rl_transfer.rl.strategy.knobs import HeldTargets, apply_knobs
from rl_transfer.rl.strategy.losses import built_in_losses
from rl_transfer.rl.strategy.translate import core_strategy, expand
from rl_transfer.rl.strategy.trpo import refuse_optimizer_verbs, skip_frozen
from rl_transfer.spec import RLRun


class Transfer:
    """Plans and applies a strategy to a model, then follows its schedules.

    Attributes:
        parts: the named parts of the model's policy.
        plan: what was copied, reset and skipped, and why.
    """

    def __init__(
        self, run: RLRun, model: BaseAlgorithm, env: VecEnv, source: Policy | None, seed: int
    ) -> None:
        if run.algorithm is None or run.strategy is None:
            raise TransferError("a transfer needs an algorithm and a strategy")
        self._model, self._verbs = model, run.strategy
        name, policy = run.algorithm.name, model.policy
        if name == "TRPO":
            refuse_optimizer_verbs(self._verbs)
        self.parts = policy_parts(name, policy)
        strategy = core_strategy(self._verbs, self.parts, key="strategy")
        given = (source.state, source.parts) if source is not None else None
        initial = apply_initial(policy, self.parts, strategy, self._verbs, given, seed)
        self.plan = initial.plan
        self.record: dict[str, Any] = {"knobs": apply_knobs(model, self._verbs, source)}
        if source is not None and (self._verbs.copy_ or self._verbs.kickstart):
            mode = normalization.transfer(env, source.bundle.tensors, self._verbs.normalization)
            self.record["knobs"]["normalization"] = mode
        self._fixed = add_progressive(model, name, seed) if self._verbs.progressive else []
        if self._verbs.progressive:
            self.parts = policy_parts(name, policy)
        hook = user_hook(self._verbs, "architecture", HookContext(run, source, seed))
        if hook is not None:
            hook.build(model, self.parts)
            self.parts = policy_parts(name, policy)
        self._fixed_before = core.digest_model(policy, self._fixed)
        # The source columns of a progressive network are fixed by their architecture.
        held = replace(strategy, freeze=(), thaw=()) if self._verbs.progressive else strategy
        self._freeze = FreezeSchedule(policy, self.parts, held)
        self._refuse_frozen_critic(strategy)
        selectors = expand(self._verbs.low_rank.parts, self.parts) if self._verbs.low_rank else ()
        self.adapters = add_low_rank(model, self.parts, self._verbs, selectors, seed)
        if self.adapters is not None:
            self.parts = policy_parts(name, policy)
        self._rates = [
            core.PartLearningRates(
                each, policy, self.parts, strategy.learning_rates, key="strategy.learning_rates"
            )
            for each in optimizers(model)
            if strategy.learning_rates
        ]
        self._follow_rates()
        losses = built_in_losses(
            self._verbs, run.algorithm, model, self.parts, initial.reference, source, seed
        )
        hook = user_hook(self._verbs, "loss", HookContext(run, source, seed))
        install_losses(model, self.parts, [*losses, *([hook] if hook is not None else [])])
        self._targets = HeldTargets(policy)
        skip_frozen(model)
        self.record["frozen_features"] = cached_features.install(model, self.parts, self.frozen)

    @property
    def frozen(self) -> core.FrozenParts | None:
        """What is frozen now; None if the strategy freezes nothing."""
        return self._freeze.frozen

    def _refuse_frozen_critic(self, strategy: core.Strategy) -> None:
        """A separate critic takes a gradient step at every update; something of it must be trainable."""
        if self.frozen is None:
            return
        critics = [
            each
            for part in self.parts
            if part.name.startswith("value") and part.tensors
            for each in part.tensor_names
        ]
        trained = dict(self._model.policy.named_parameters())
        separate = hasattr(self._model.policy, "critic") or hasattr(self._model, "_compute_actor_grad")
        if (
            separate
            and critics
            and not any(trained[name].requires_grad for name in critics if name in trained)
        ):
            raise TransferError(
                "the critic cannot be frozen as a whole: the algorithm takes a gradient step of it at every "
                "update; leave value_head trainable",
                key=strategy.key_of("freeze"),
            )

    def _follow_rates(self) -> None:
        """Rescale the parts' rates each time SB3 has written one rate into all groups."""
        if not self._rates:
            return
        model: Any = self._model
        original = model._update_learning_rate

        def update(optimizers: Any) -> None:
            original(optimizers)
            for rates in self._rates:
                rates.rescale(model.lr_schedule(model._current_progress_remaining))

        model._update_learning_rate = update

    def progress(self, share: float) -> list[str]:
        """Follow the schedules to ``share`` of the budget; says what was thawed."""
        thawed = self._freeze.progress(share)
        if thawed:
            cached_features.uninstall(self._model)
            cached_features.install(self._model, self.parts, self.frozen)
        return thawed

    def finish(self) -> dict[str, Any]:
        """Verify the freeze, fold adapters in, and describe what happened for the record.

        Raises:
            FrozenTensorMoved: something frozen changed.
        """
        self._targets.restore()
        cached_features.uninstall(self._model)
        found = self._freeze.record()
        if found is None and self._fixed:
            after = core.digest_model(self._model.policy, self._fixed)
            found = {
                "parts": ["source columns"],
                "tensors": [*self._fixed],
                "digest_before": self._fixed_before,
                "digest_after": after,
            }
            if after != self._fixed_before:
                raise FrozenTensorMoved("the frozen source column of a progressive network changed")
        if self.adapters is not None:
            merge(self._model, self.adapters)
        return {**self.record, "frozen": found, "plan": self.plan.rows()}
