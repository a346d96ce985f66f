"""Refuse before anything is trained what would fail later, and gather facts for the manifest."""

from __future__ import annotations

import dataclasses
from contextlib import chdir
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm

import rl_transfer_envs
from rl_transfer.errors import BundleError, EnvironmentSpecError, TransferError
from rl_transfer.frame import MEMORY, Say, located, silent
from rl_transfer.frame.footprint import array_bytes, training_bytes
from rl_transfer.results import run_id
from rl_transfer.rl.environments.build import VECTORIZATION, make_env, make_vec_env
from rl_transfer.rl.environments.described import as_spec, translate
from rl_transfer.rl.environments.evaluate import Evaluator, SinglePlayers, random_act
from rl_transfer.rl.environments.spaces import in_short, same_shape
from rl_transfer.rl.policies import normalization
from rl_transfer.rl.policies.algorithms import build_model
from rl_transfer.rl.policies.bundle import Policy, as_policy
from rl_transfer.rl.sources.load import load_source
from rl_transfer.rl.strategy.align import Alignment
from rl_transfer.rl.strategy.apply import PolicyTransfer
from rl_transfer.rl.strategy.guide import check_guide, check_guide_budget
from rl_transfer.rl.training.engines import refuse_uncompiled
from rl_transfer.rl.training.rehearsal import few_samples, rehearse
from rl_transfer.spec import Environment, RLRun, RLSuite, StrategyVerbs
from rl_transfer.spec.experiment import RunConfig
from rl_transfer.spec.knobs import transfer_algorithm
from rl_transfer.spec.rl_suite import RLSource, RLTarget


def resolve(suite: RLSuite) -> RLSuite:
    """Fill in what sources that exist say of themselves, and the knobs that controls share.

    Environment, algorithm and digest are those of the policy; a control has the knobs of the strategy
    that it controls.

    Args:
        suite: as its file says it; sources that exist may lack task and digest.

    Returns:
        The suite whose runs can be planned.

    Raises:
        BundleError: such a policy cannot be read, or has another digest than the config says.
    """
    sources = dict(suite.sources)
    for name, source in suite.sources.items():
        if source.policy is None:
            continue
        with located(f"sources.{name}.policy"):
            policy = load_source(
                source.policy,
                env=source.env,
                algorithm=source.algorithm.name if source.algorithm else None,
            )
            if source.digest not in (None, policy.digest):
                raise BundleError(
                    f"{source.policy} has digest {policy.digest}, but the config says {source.digest}; "
                    "it is another policy"
                )
        known = {"env": policy.env, "digest": policy.digest, "algorithm": policy.algorithm}
        sources[name] = source.model_copy(update=known)
    return suite.model_copy(update={"sources": sources, "strategies": suite.fair_strategies()})


def preflight(suite: RLSuite, say: Say = silent) -> dict[str, Any]:
    """Build every environment, prove every perturbation, plan every transfer on fresh networks.

    Args:
        suite: as ``resolve`` gave it: every source has its task.
        say: gets a line before every comparison of the effect probe.

    Returns:
        ``{"targets": {name: {"reward_threshold": …, "effects": […], "memory": bytes}}}``, and sources.

    Raises:
        RLTransferError: with the key of the config that is at fault.
    """
    torch.set_num_threads(1)  # as in runs
    facts: dict[str, Any] = {"sources": {}, "targets": {}}
    for group, entries in (("sources", suite.sources), ("targets", suite.targets)):
        for name, entry in entries.items():
            key = f"{group}.{name}"
            if entry.env is None:
                raise TransferError("the suite was not resolved", key=key)
            with chdir("."):  # environments of the user's may change the current folder
                effects = check_environment(entry.env, f"{key}.env", say)
                facts[group][name] = {"effects": effects}
                _check_vectorization(suite, entry, key)
                if group == "targets":
                    facts[group][name]["reward_threshold"] = _threshold(entry.env)
                    _check_success(suite.targets[name], f"{key}.success")
    sources: dict[str, Policy] = {}
    for name in suite.sources:
        with chdir("."):
            sources[name], facts["sources"][name][MEMORY] = _fresh_source(suite, name)
    for index, strategy in enumerate(suite.strategies):
        for target in suite.targets:
            checked: set[str] = set()
            for name, source in sources.items():
                run = suite.target_run(target, strategy, name, "preflight", suite.all_seeds[0])
                if strategy.needs_source or run_id(run) not in checked:
                    given = (name, source) if strategy.needs_source else None
                    needs = _check_strategy(suite, index, target, run, given)
                    facts["targets"][target][MEMORY] = max(needs, facts["targets"][target].get(MEMORY, 0))
                checked.add(run_id(run))
    return facts


def check_environment(env: Environment, key: str, say: Say = silent) -> list[dict[str, Any]]:
    """Prove that every perturbation of an environment has an effect.

    Raises:
        EnvironmentSpecError: one has none, or the environment cannot be built.
    """
    try:
        reports = rl_transfer_envs.check_effect(as_spec(env), say=lambda line: say(f"{key}: {line}"))
    except rl_transfer_envs.EnvError as error:
        raise translate(error, key) from None
    return [dataclasses.asdict(report) for report in reports]


def _check_vectorization(suite: RLSuite, entry: RLSource | RLTarget, key: str) -> None:
    """Build the environments of a source or target as the suite wants them trained in."""
    training = entry.training or suite.training
    given = isinstance(entry, RLSource) and entry.policy is not None
    if training.vectorization == "sync" or given or entry.env is None:
        return
    try:
        make_vec_env(entry.env, 1, vectorization=training.vectorization).close()
    except EnvironmentSpecError as error:
        if error.key == VECTORIZATION and entry.training is not None:
            error.key = f"{key}.{VECTORIZATION}"
        raise


def _check_success(target: RLTarget, key: str) -> None:
    """Play an episode with random actions: does the environment say what ``success.info`` names?"""
    if target.success is None or target.success.info is None:
        return
    players = SinglePlayers(target.env, 1, success=target.success.info)
    evaluator = Evaluator(target.env, 1, players=players)
    with located(key):
        evaluator.run(random_act(evaluator.action_space, 0), [0])
    evaluator.close()


def _threshold(config: Environment) -> float | None:
    env = make_env(config)
    threshold = env.spec.reward_threshold if env.spec is not None else None
    env.close()
    return None if threshold is None else float(threshold)


def _fresh_source(suite: RLSuite, name: str) -> tuple[Policy, int]:
    """An untrained policy as the source will have it, or the given one; and what its training needs."""
    source = suite.sources[name]
    if source.policy is not None:
        given = load_source(
            source.policy,
            env=source.env,
            algorithm=source.algorithm.name if source.algorithm else None,
        )
        return given, 0
    run = suite.trained_run(source, StrategyVerbs(), None, suite.all_seeds[0])
    key = f"sources.{name}"
    own = {"algorithm": f"{key}.algorithm"} if source.algorithm is not None else None
    with located(key, own, shared=("algorithm", "training")):
        model = _model(run)
        refuse_uncompiled(run, model, anchored=False)
        return as_policy(model, run), needed_bytes(model, run)


def _model(run: RLRun) -> BaseAlgorithm:
    if run.algorithm is None or run.strategy is None:
        raise TransferError("a trained run needs an algorithm and a strategy")
    algorithm = transfer_algorithm(run.algorithm, run.strategy)
    return build_model(algorithm, normalization.wrap(make_vec_env(run.env, algorithm.n_envs), algorithm), 0)


def needed_bytes(model: BaseAlgorithm, run: RLRun) -> int:
    """What a run needs in memory beside what every run needs: its networks, and its buffers twice.

    A replay buffer takes memory as it fills; a checkpoint is a copy of it.

    Args:
        model: with the buffers that it trains with.
        run: what it is built for.

    Returns:
        Bytes.
    """
    replay = getattr(model, "replay_buffer", None)
    size = array_bytes([replay])
    if run.training is not None and replay is not None:
        size = min(size, size * run.training.total_steps // max(1, replay.buffer_size * replay.n_envs))
    rollout = array_bytes([getattr(model, "rollout_buffer", None)])
    return training_bytes(model.policy) + rollout + (2 if run.checkpoint_minutes else 1) * size


def _check_strategy(
    suite: RLSuite, index: int, target: str, run: RunConfig, given: tuple[str, Policy] | None
) -> int:
    """Do everything of a transfer but the training, on fresh networks; ``given``: name and policy.

    Returns what the run needs in memory, in bytes.
    """
    strategy = suite.strategies[index]
    if not isinstance(run, RLRun):
        raise TypeError(f"an RL suite has RL runs, not {type(run).__name__}")
    name, source = given or ("", None)
    origin = f" from source {name!r}" if given else ""
    key, prefix = f"strategies.{index}", f"strategy {strategy.name!r}{origin} on target {target!r}: "
    advice = _of_other_spaces(suite, name, target, source, run.env)
    with located(key, {"strategy": key}, shared=("algorithm", "training"), prefix=prefix, advice=advice):
        model = _model(run)
        if model.env is None:
            raise TransferError("the model has no environment")
        transfer = PolicyTransfer(few_samples(run), model, model.env, source, seed=0)
        refuse_uncompiled(run, model, bool(transfer.anchors))
        if source is not None and strategy.align is not None:
            Alignment(run, model, transfer.parts, source).try_out()
        rehearse(run, source)
        if strategy.guide is not None and source is not None:
            check_guide_budget(run)
            evaluator = Evaluator(run.env, 1)
            check_guide(source, evaluator)
            evaluator.close()
        model.env.close()
        return needed_bytes(model, run) + (0 if source is None else training_bytes(source.module))


def _of_other_spaces(suite: RLSuite, name: str, target: str, source: Policy | None, env: Environment) -> str:
    """The way out where a target has other spaces than the source; empty where they are the same."""
    if source is None or len(suite.targets) * len(suite.sources) == 1:
        return ""
    built = make_env(env)
    found = [
        f"{what} {in_short(has)}, not {in_short(needs)}"
        for what, has, needs in (
            ("observes", built.observation_space, source.module.observation_space),
            ("acts in", built.action_space, source.module.action_space),
        )
        if not same_shape(has, needs)
    ]
    built.close()
    if not found:
        return ""
    return (
        f"Target {target!r} {' and '.join(found)} as source {name!r} does, and every strategy of a suite "
        "runs from every source on every target. Split the suite: targets with other spaces go into one of "
        "their own, with strategies that suit them."
    )
