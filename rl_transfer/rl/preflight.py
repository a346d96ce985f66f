"""Refuse before anything is trained what would fail later, and gather facts for the manifest."""

from __future__ import annotations

import dataclasses
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

import rl_transfer_envs
from rl_transfer import core
from rl_transfer.errors import RLTransferError
from rl_transfer.rl import normalization
from rl_transfer.rl.algorithms import build_model
from rl_transfer.rl.environments import as_spec, make_vec_env, translate
from rl_transfer.rl.parts import policy_parts
from rl_transfer.rl.strategies import core_strategy
from rl_transfer.spec import Algorithm, Environment, RLSuite


def preflight(suite: RLSuite) -> dict[str, Any]:
    """Build every environment, prove every perturbation, plan every transfer on fresh networks.

    Returns:
        ``{"targets": {name: {"reward_threshold": …, "effects": […]}}}``.

    Raises:
        RLTransferError: with the key of the config that is at fault.
    """
    models: dict[str, BaseAlgorithm] = {}
    facts: dict[str, Any] = {"sources": {}, "targets": {}}
    for group, entries in (("sources", suite.sources), ("targets", suite.targets)):
        for name, entry in entries.items():
            key = f"{group}.{name}"
            effects = check_environment(entry.env, f"{key}.env")
            algorithm = getattr(entry, "algorithm", None) or suite.algorithm
            models[key] = _model(entry.env, algorithm, key)
            facts[group][name] = {"effects": effects}
            if group == "targets":
                facts[group][name]["reward_threshold"] = _threshold(models[key])
    for index, strategy in enumerate(suite.strategies):
        for target in suite.targets:
            origins = suite.sources if strategy.needs_source else [None]
            for source in origins:
                _check_strategy(suite, index, models[f"targets.{target}"], models.get(f"sources.{source}"))
    for model in models.values():
        if model.env is not None:
            model.env.close()
    return facts


def check_environment(env: Environment, key: str) -> list[dict[str, Any]]:
    """Prove that every perturbation of an environment has an effect.

    Raises:
        EnvironmentSpecError: one has none, or the environment cannot be built.
    """
    try:
        reports = rl_transfer_envs.check_effect(as_spec(env))
    except rl_transfer_envs.EnvError as error:
        raise translate(error, key) from None
    return [dataclasses.asdict(report) for report in reports]


def _model(env: Environment, algorithm: Algorithm, key: str) -> BaseAlgorithm:
    vec = normalization.wrap(make_vec_env(env, algorithm.n_envs), algorithm)
    return build_model(algorithm, vec, seed=0)


def _threshold(model: BaseAlgorithm) -> float | None:
    spec = model.env.get_attr("spec")[0] if model.env is not None else None
    threshold = getattr(spec, "reward_threshold", None)
    return None if threshold is None else float(threshold)


def _check_strategy(suite: RLSuite, index: int, target: BaseAlgorithm, source: BaseAlgorithm | None) -> None:
    """Plan and freeze on a fresh target network; all effects are undone."""
    verbs = suite.strategies[index]
    name = suite.algorithm.name
    strategy = core_strategy(verbs, verbs.name, key=f"strategies.{index}")
    parts = policy_parts(name, target.policy)
    try:
        core.plan(
            source.policy.state_dict() if source is not None else None,
            target.policy,
            parts,
            strategy,
            source_parts=policy_parts(_name_of(source), source.policy) if source is not None else None,
        )
        if strategy.freeze:
            core.freeze(
                target.policy, parts, strategy.freeze, norm=strategy.norm, key=strategy.key_of("freeze")
            ).unfreeze()
    except RLTransferError as error:
        error.message = f"strategy {verbs.name!r}: {error.message}"
        raise


def _name_of(model: BaseAlgorithm) -> str:
    return type(model).__name__
