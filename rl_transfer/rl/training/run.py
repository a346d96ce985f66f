"""One RL run from its config to its record: build, transfer, freeze, train, measure, bundle."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from rl_transfer import core
from rl_transfer.errors import BundleError, EnvironmentSpecError, MissingExtraError, TransferError
from rl_transfer.frame import Say
from rl_transfer.frame.checkpoint import Checkpoints
from rl_transfer.frame.diagnosis import measured
from rl_transfer.frame.events import EventWriter
from rl_transfer.frame.run import execute_run
from rl_transfer.results import RunFolder
from rl_transfer.rl.compiled import install
from rl_transfer.rl.environments import seeds, spaces
from rl_transfer.rl.environments.build import Wrapper, make_vec_env
from rl_transfer.rl.environments.evaluate import Evaluator, random_act
from rl_transfer.rl.policies import normalization
from rl_transfer.rl.policies.algorithms import build_model
from rl_transfer.rl.policies.bundle import Policy, load_policy, save_policy, versions
from rl_transfer.rl.sources.load import load_source
from rl_transfer.rl.strategy.align import Alignment
from rl_transfer.rl.strategy.align_record import aligned_in_words
from rl_transfer.rl.strategy.apply import PolicyTransfer
from rl_transfer.rl.strategy.checked_hooks import CheckedHook, HookKind
from rl_transfer.rl.strategy.guide import check_guide, check_guide_budget
from rl_transfer.rl.strategy.guided_start import Guidance
from rl_transfer.rl.strategy.hooks import HookContext, user_hook
from rl_transfer.rl.training.checkpoint import TrainingCheckpoints
from rl_transfer.rl.training.curve import TrainingCurve
from rl_transfer.rl.training.diagnosis import PolicyDiagnosis
from rl_transfer.rl.training.engines import engine_record, engine_versions, refuse_other_engine
from rl_transfer.rl.training.events import logger_of
from rl_transfer.rl.training.gaps import PolicyGaps
from rl_transfer.rl.training.measuring import act_of, evaluator_of
from rl_transfer.rl.training.rehearsal import rehearse
from rl_transfer.spec import RLRun
from rl_transfer.spec.base import Json, JsonObject
from rl_transfer.spec.engine import COMPILED
from rl_transfer.spec.knobs import replaced_values, transfer_algorithm
from rl_transfer.spec.network import network
from rl_transfer.wording import counted


def execute(run: RLRun, folder: RunFolder, source: Path | None = None, say: Say = print) -> None:
    """Execute one run and leave its finished record in ``folder``.

    Args:
        run: everything that can change the result.
        folder: the run's folder; what an interrupted attempt left there is cleared, but for a checkpoint.
        source: bundle of the source policy, if the strategy needs one.
        say: gets a line now and then.

    Raises:
        RLTransferError: anything that the run was given is wrong; nothing finished is lost.
    """

    def work(checkpoints: Checkpoints) -> dict[str, Json]:
        if run.policy == "random":
            return _random(run, folder)
        if run.policy == "given":
            return _given(run, folder)
        return _Training(run, folder, source, say).execute(checkpoints)

    refuse_other_engine(run)
    execute_run(run, folder, {**versions(), **engine_versions(run)}, work, say)


def _random(run: RLRun, folder: RunFolder) -> dict[str, Json]:
    """Measure the uniform-random policy."""
    evaluator = evaluator_of(run)
    episode_seeds = seeds.evaluation_seeds(run, 0)
    episodes = evaluator.run(random_act(evaluator.action_space, episode_seeds[0]), episode_seeds)
    evaluator.close()
    folder.append_evaluation(0, 0, episodes.returns, episodes.lengths, episodes.successes)
    return {}


def _given(run: RLRun, folder: RunFolder) -> dict[str, Json]:
    """Measure a policy that exists in its own environment and keep it as this run's bundle."""
    if run.given is None:
        raise BundleError("a run of a given policy does not say where the policy lies")
    policy = load_source(run.given, env=run.env)
    if run.source != f"digest:{policy.digest}":
        raise BundleError(f"{run.given} changed since the sweep began; start the sweep again")
    evaluator = evaluator_of(run)
    episodes = evaluator.run(policy.act(run.evaluation.deterministic), seeds.evaluation_seeds(run, 0))
    evaluator.close()
    folder.append_evaluation(0, 0, episodes.returns, episodes.lengths, episodes.successes)
    metadata = {**policy.metadata, "score": episodes.mean_return}
    core.save_bundle(folder.bundle, policy.bundle.tensors, metadata, kind="policy")
    return {"source_run": run.source, "notes": policy.metadata.get("notes", [])}


class _Training:
    """The stages of one training run, in order."""

    def __init__(self, run: RLRun, folder: RunFolder, source: Path | None, say: Say) -> None:
        if run.algorithm is None or run.training is None or run.strategy is None:
            raise TransferError("a trained run needs an algorithm, a budget and a strategy")
        self.run, self.folder, self.say = run, folder, say
        self.algorithm, self.training, self.strategy = run.algorithm, run.training, run.strategy
        if self.strategy.needs_source and source is None:
            raise BundleError("the strategy copies from a source policy, but none was given")
        self.source: Policy | None = load_policy(source) if source is not None else None

    def execute(self, checkpoints: Checkpoints) -> dict[str, Any]:
        """Run the stages, from the current checkpoint if there is one; returns the record's content."""
        rehearse(self.run, self.source)
        evaluator = evaluator_of(self.run)
        events = self._events(checkpoints)
        logger = logger_of(self.folder, events)
        env = None
        try:
            zero_shot = self._zero_shot(evaluator)
            guidance, behaviour = self._behaviour(evaluator, zero_shot)
            wrappers: list[Wrapper] = [each.wrap for each in (guidance, behaviour) if each is not None]
            algorithm = transfer_algorithm(self.algorithm, self.strategy)
            copies = make_vec_env(
                self.run.env, algorithm.n_envs, wrappers, vectorization=self.training.vectorization
            )
            env = normalization.wrap(copies, algorithm)
            model = build_model(algorithm, env, seeds.network_seed(self.run))
            model.set_logger(logger)
            if guidance is not None:
                guidance.lead(model)
            transfer = PolicyTransfer(self.run, model, env, self.source, seeds.transfer_seed(self.run))
            if self.source is not None:
                self.say(transfer.plan.table())
            parameters = core.count_parameters(model.policy)
            seeds.seed_model(model, seeds.training_seed(self.run))
            if self.training.engine == COMPILED and self.strategy.train:
                install(model, seeds.training_seed(self.run), transfer.anchors)
            unseen = guidance.unseen if guidance is not None else None
            curriculum = guidance.curriculum if guidance is not None else None
            kept = TrainingCheckpoints(
                self.run, checkpoints, transfer, curriculum, self.say, behaviour, self._hook
            )
            curve = TrainingCurve(self.run, self.folder, evaluator, transfer, unseen, events, self.say, kept)
            curve.begin(model)
            aligned = self._align(model, transfer, curve)
            diagnosis = (
                PolicyDiagnosis(self.run, self.algorithm, model, transfer)
                if self.run.evaluation.diagnostics
                else None
            )
            gaps = (
                PolicyGaps(self.run, self.algorithm, model, transfer.start, self.source)
                if self.run.evaluation.gaps
                else None
            )
            if self.strategy.train:
                model.learn(self.training.total_steps, callback=curve)
                curve.close()
            else:
                curve.measure_only()
            if curve.best is not None:
                curve.best[1].restore(model)
            result = {**self._record(model, curve, transfer, zero_shot), **aligned}
            if diagnosis is not None:  # last of all, so that nothing can rest on it
                result["diagnostics"] = measured(partial(diagnosis.record, model, events), self.say)
            if gaps is not None:
                result["gaps"] = measured(
                    partial(gaps.record, model), self.say, "the gap between source and target"
                )
            guided = guidance.record() if guidance is not None else {"guide_steps": None}
            return {**result, "parameters": parameters, **guided}
        finally:
            logger.close()
            events.close()
            evaluator.close()
            if env is not None:
                env.close()

    def _align(
        self, model: BaseAlgorithm, transfer: PolicyTransfer, curve: TrainingCurve
    ) -> dict[str, JsonObject]:
        """Estimate maps from samples of the target, measure the policy behind them; a part of the record.

        Its own episodes have the seeds of the first evaluation, so that the two differ by the maps alone.
        """
        if self.source is None or self.strategy.align is None:
            return {}
        alignment = Alignment(self.run, model, transfer.parts, self.source)
        curve.charge(alignment.charged)
        record = transfer.align(model, alignment)
        normalize = None if model.env is None else normalization.current_normalizer(model.env, self.algorithm)
        act = act_of(self.run, model.policy, normalize)
        episodes = curve.evaluator.run(act, seeds.evaluation_seeds(self.run, 0))
        self.say(aligned_in_words(record, episodes.mean_return))
        return {"alignment": {**record, "returns": episodes.returns}}

    def _events(self, checkpoints: Checkpoints) -> EventWriter:
        """Where events go; those of after the checkpoint, which never came to be, are taken back."""
        found = checkpoints.current
        return EventWriter(self.folder, None if found is None else found.step + 1)

    def _behaviour(
        self, evaluator: Evaluator, zero_shot: dict[str, Any] | None
    ) -> tuple[Guidance | None, CheckedHook | None]:
        """What changes how training data are collected: a guide policy, a user's hook."""
        guidance = None
        if self.strategy.guide is not None and self.source is not None:
            check_guide(self.source, evaluator)
            check_guide_budget(self.run)
            lengths = zero_shot["lengths"] if zero_shot else self._guides_lengths(self.source, evaluator)
            guidance = Guidance(self.run, self.strategy.guide, self.source, lengths)
        return guidance, self._hook("behaviour")

    def _hook(self, kind: HookKind) -> CheckedHook | None:
        """The user's of this kind, built anew."""
        context = HookContext(self.run, self.source, seeds.transfer_seed(self.run))
        return user_hook(self.strategy, kind, context)

    def _zero_shot(self, evaluator: Evaluator) -> dict[str, Any] | None:
        """The source policy as it is in the target environment, where the spaces allow it; and at home.

        Both play episodes of the same seeds, so that the gap between them is the environment's.
        """
        if self.source is None or not self._spaces_agree(evaluator):
            return None
        act = act_of(self.run, self.source.module, self.source.normalizer)
        episode_seeds = seeds.evaluation_seeds(self.run, 0)
        episodes = evaluator.run(act, episode_seeds)
        found: dict[str, Any] = {"returns": episodes.returns, "lengths": episodes.lengths}
        if episodes.successes is not None:
            found["successes"] = episodes.successes
        home = self._home(self.source, "the zero-shot gap")
        if home is not None:
            found["source_returns"] = home.run(act, episode_seeds).returns
            home.close()
        return found

    def _home(self, source: Policy, what: str) -> Evaluator | None:
        """What measures in the source's environment; None where it cannot be built."""
        try:
            return evaluator_of(self.run, source.env)
        except (BundleError, EnvironmentSpecError, MissingExtraError) as error:
            self.say(f"{what} is not measured: {error.message}")
            return None

    def _guides_lengths(self, guide: Policy, evaluator: Evaluator) -> list[int]:
        """Lengths of the guide's own episodes where other number types forbid a zero-shot score."""
        return evaluator.run(guide.act(deterministic=True), seeds.evaluation_seeds(self.run, 0)).lengths

    def _retention(self, model: BaseAlgorithm) -> dict[str, Any] | None:
        """The final and the source policy in the source environment, on the same episodes."""
        if self.source is None or model.env is None:
            return None
        home = self._home(self.source, "retention")
        if home is None:
            return None
        try:
            fits = spaces.same(home.observation_space, model.observation_space)
            if not (fits and spaces.same(home.action_space, model.action_space)):
                return None
            episode_seeds = seeds.retention_seeds(self.run, self.source.env)
            normalize = normalization.current_normalizer(model.env, self.algorithm)
            after = home.run(act_of(self.run, model.policy, normalize), episode_seeds)
            source = act_of(self.run, self.source.module, self.source.normalizer)
            before = home.run(source, episode_seeds)
        finally:
            home.close()
        return {"returns": after.returns, "source_returns": before.returns}

    def _record(
        self,
        model: BaseAlgorithm,
        curve: TrainingCurve,
        transfer: PolicyTransfer,
        zero_shot: dict[str, Any] | None,
    ) -> dict[str, Any]:
        transferred = transfer.finish()
        if transfer.pending_thaws:
            thaws = counted(transfer.pending_thaws, "thaw")
            self.say(
                f"{thaws} of the schedule never came: training ended before the rollout that they wait for"
            )
        score = curve.best[0] if curve.best is not None else curve.points[-1][1].mean_return
        extra: dict[str, Json] = {
            "run": self.folder.path.name,
            "score": score,
            "strategy": self.strategy.plain(),
            "source": self.run.source,
            "freeze": transferred["frozen"],
        }
        retention = self._retention(model)
        save_policy(self.folder.bundle, model, self.run, extra)
        metadata = self.source.metadata if self.source else {}
        return {
            **transferred,
            "source_run": self.run.source,
            "source_steps": metadata.get("training", {}).get("total_steps"),
            "source_score": metadata.get("score"),
            "replaced": replaced_values(self.algorithm, self.strategy),
            "architecture": {
                "source": network(self.source.algorithm) if self.source else None,
                "target": network(self.algorithm),
            },
            "engine": engine_record(self.run),
            "zero_shot": zero_shot,
            "retention": retention,
            "weights_digest": core.digest_model(model.policy),
        }

    def _spaces_agree(self, evaluator: Evaluator) -> bool:
        source = self.source
        if source is None:
            return False
        module = source.module
        return spaces.same(module.observation_space, evaluator.observation_space) and spaces.same(
            module.action_space, evaluator.action_space
        )
