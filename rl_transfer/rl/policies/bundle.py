"""Policy bundles of SB3 policies: writing one, and building the policy again from data alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from torch import nn

from rl_transfer.core import (
    Bundle,
    PartMap,
    ProgressiveTrunk,
    StoredBundle,
    described_bundle,
    isolated,
    save_bundle,
)
from rl_transfer.core.limits import Shape, no_larger_than
from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.frame import bundle_folder
from rl_transfer.results import library_versions
from rl_transfer.results.reading import fits_record
from rl_transfer.results.versions import POLICIES
from rl_transfer.rl.environments import spaces
from rl_transfer.rl.environments.evaluate import Act, count
from rl_transfer.rl.environments.spaces import Array, Observation
from rl_transfer.rl.policies.algorithms import algorithm_class, policy_kwargs
from rl_transfer.rl.policies.exploration import MeasuredNoise
from rl_transfer.rl.policies.normalization import EPSILON, FIELDS, PREFIX, Normalizer, normalizer, tensors
from rl_transfer.rl.policies.parts import policy_parts
from rl_transfer.spec import Algorithm, Environment, RLRun, parse
from rl_transfer.spec.base import Json
from rl_transfer.spec.modules import refuse_unnamed

_UNBUILDABLE = (  # what SB3 and torch are seen to raise on networks that cannot be
    AssertionError, AttributeError, ValueError, TypeError, LookupError, RuntimeError, OverflowError,
    MemoryError,
)  # fmt: skip


@dataclass(frozen=True)
class Policy:
    """A policy that can act, and what its bundle says of it."""

    module: BasePolicy
    normalizer: Normalizer | None
    algorithm: Algorithm
    described_env: Environment
    bundle: Bundle
    metadata: dict[str, Any]

    @property
    def env(self) -> Environment:
        """Where it was trained, to be built; a module that only the bundle names is refused."""
        refuse_unnamed(self.described_env.plain(), "the policy's own environment")
        return self.described_env

    @property
    def parts(self) -> PartMap:
        """The named parts of the network."""
        return policy_parts(self.algorithm.name, self.module)

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """The network's tensors, without the normalisation statistics."""
        return self.bundle.state()

    @property
    def digest(self) -> str:
        """The bundle's identity."""
        return self.bundle.digest

    def act(self, deterministic: bool = True) -> Act:
        """The policy as a function of stacked observations.

        Args:
            deterministic: the likeliest action instead of a sampled one.
        """
        return as_act(self.module, self.normalizer, deterministic)


def as_act(policy: BasePolicy, normalize: Normalizer | None, deterministic: bool) -> Act:
    """An SB3 policy as a function of stacked observations.

    Args:
        policy: ``model.policy``.
        normalize: what it expects its observations to have gone through; None: nothing.
        deterministic: the likeliest action instead of one sampled from torch's global generator.

    Returns:
        Observations ``[episode, …]`` as the environment gives them → actions ``[episode, …]``.
    """
    noise = MeasuredNoise(policy)

    def act(observations: Observation) -> Array:
        seen = normalize(observations) if normalize else observations
        if deterministic:
            return policy.predict(seen, deterministic=True)[0]
        with noise.playing(count(seen)):
            return policy.predict(seen, deterministic=False)[0]

    return act


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that can change a result."""
    return library_versions(POLICIES)


def save_policy(folder: Path, model: BaseAlgorithm, run: RLRun, extra: Mapping[str, Json]) -> None:
    """Write the bundle of a trained model.

    Args:
        folder: must not exist.
        model: its policy and, through its environments, its normalisation statistics are kept.
        run: what it was trained by.
        extra: further metadata (run id, score, freeze plan …).
    """
    state, metadata = _content(model, run, extra)
    save_bundle(folder, state, metadata, kind="policy")


def as_policy(model: BaseAlgorithm, run: RLRun) -> Policy:
    """A model in memory as the policy that its bundle would give.

    Args:
        model: its network is shared with the result, its tensors are copied into the bundle.
        run: what it was built for.

    Returns:
        The policy, with a bundle that has no digest yet.

    Raises:
        BundleError: the run has no algorithm, or the model no environments.
    """
    state, metadata = _content(model, run, {})
    if run.algorithm is None:
        raise BundleError("only a trained policy can be bundled")
    bundle = Bundle({name: value.clone() for name, value in state.items()}, metadata, "policy", {}, "")
    return Policy(
        model.policy, normalizer(bundle.tensors, run.algorithm), run.algorithm, run.env, bundle, metadata
    )


def _content(
    model: BaseAlgorithm, run: RLRun, extra: Mapping[str, Json]
) -> tuple[dict[str, torch.Tensor], dict[str, Json]]:
    """Tensors and metadata of a model's bundle."""
    if run.algorithm is None or run.training is None or model.env is None:
        raise BundleError("only a trained policy can be bundled")
    state = {**model.policy.state_dict(), **tensors(model.env)}
    entropy = log_entropy_coefficient(model)
    progressive = run.strategy is not None and run.strategy.progressive
    metadata: dict[str, Json] = {
        "algorithm": run.algorithm.plain(),
        "architecture": str(model.policy),
        "observation_space": spaces.to_json(model.observation_space),
        "action_space": spaces.to_json(model.action_space),
        "env": run.env.plain(),
        "training": run.identity()["training"],
        "seeds": {"root_seed": run.root_seed, "seed": run.seed},
        "versions": dict(versions()),
        "progressive": progressive,
        "log_ent_coef": None if entropy is None else float(entropy.item()),
        **extra,
    }
    hook = run.strategy.hooks.get("architecture") if run.strategy is not None else None
    if hook is not None and _is_rebuilt(model, run.algorithm, progressive):
        metadata["rebuilt_by"] = hook
    return state, metadata


def _is_rebuilt(model: BaseAlgorithm, algorithm: Algorithm, progressive: bool) -> bool:
    """Whether a network has other layers than its description gives."""
    with isolated(0):
        described = build_policy(algorithm, model.observation_space, model.action_space)
        if progressive:
            widen(described)
    return str(described) != str(model.policy)


def log_entropy_coefficient(model: BaseAlgorithm) -> torch.Tensor | None:
    """The logarithm of a learned entropy coefficient; it lies outside the policy.

    Args:
        model: any SB3 model.

    Returns:
        The trained tensor itself, ``float32[1]``; None where the coefficient is fixed or absent.
    """
    found = getattr(model, "log_ent_coef", None)
    return found if isinstance(found, torch.Tensor) else None


def load_policy(path: Path) -> Policy:
    """Build the policy in a bundle; nothing is unpickled and no code of the bundle is run.

    Args:
        path: a bundle folder, a run folder, or an output folder with one run.

    Returns:
        The policy, in evaluation mode.

    Raises:
        BundleError: it is missing, damaged, or not a policy.
    """
    stored = described_bundle(bundle_folder(path))
    metadata = dict(stored.metadata)
    if stored.kind != "policy":
        raise BundleError(f"{path} is a bundle of kind {stored.kind!r}, not an RL policy")
    try:
        algorithm: Algorithm = parse(Algorithm, metadata["algorithm"])
        env: Environment = parse(Environment, metadata["env"])
        observation_space = spaces.from_json(metadata["observation_space"])
        action_space = spaces.from_json(metadata["action_space"])
    except (KeyError, ConfigError) as error:
        raise BundleError(f"{path}: bundle.json does not describe an RL policy: {error}") from None
    if metadata.get("rebuilt_by"):
        raise BundleError(
            f"{path}: the architecture hook {metadata['rebuilt_by']} gave this network layers that "
            "bundle.json does not describe, so that nothing can build it from there"
        )
    _refuse_odd(metadata, path)
    refuse_unnamed(algorithm.policy_kwargs.plain(), f"{path}: its features extractor")
    _refuse_statistics(stored, observation_space, path)

    def build() -> BasePolicy:
        policy = build_policy(algorithm, observation_space, action_space)
        if metadata.get("progressive"):
            widen(policy)
        return policy

    try:
        stored = stored.verify(build)
        with no_larger_than(stored.shapes):
            module = build()
        bundle = stored.fill(module)
    except _UNBUILDABLE as error:
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        raise BundleError(f"{path}: the tensors do not fit the described network: {reason}") from None
    _refuse_impossible(bundle, path)
    module.set_training_mode(False)
    try:
        found = normalizer(bundle.tensors, algorithm)
    except KeyError as error:
        raise BundleError(f"{path}: the statistics {error} are missing") from None
    return Policy(module, found, algorithm, env, bundle, metadata)


def _refuse_odd(metadata: Mapping[str, Json], path: Path) -> None:
    """Refuse what a run or an import would never have written, before anything counts with it."""
    training, entropy, score = (metadata.get(name) for name in ("training", "log_ent_coef", "score"))
    steps = training.get("total_steps") if isinstance(training, dict) else None
    wrong = {
        "training": training is not None
        and not (isinstance(steps, int) and fits_record(steps) and steps >= 0),
        "log_ent_coef": not (entropy is None or fits_record(entropy)),
        "notes": not isinstance(metadata.get("notes"), list | None),
        "score": not (score is None or fits_record(score)),
    }
    if any(wrong.values()):
        names = ", ".join(name for name, is_wrong in wrong.items() if is_wrong)
        raise BundleError(f"{path}: bundle.json does not describe an RL policy: {names} malformed")


def _refuse_statistics(stored: StoredBundle, space: gym.Space[object], path: Path) -> None:
    """Refuse normalisation statistics that are not of the observations, or of the return."""
    members = space.spaces if isinstance(space, gym.spaces.Dict) else {"": space}
    needed: dict[str, Shape | None] = {f"{PREFIX}reward//{field}": () for field in FIELDS}
    for key, member in members.items():
        for field in FIELDS:
            needed[f"{PREFIX}observation/{key}/{field}"] = () if field == "count" else member.shape
    for name, shape in stored.shapes.items():
        dtype = stored.dtypes[name]
        if name.startswith(PREFIX) and (needed.get(name) != shape or dtype != "float64"):
            expected = f"float64 of shape {needed[name]}" if name in needed else "none of the name"
            raise BundleError(
                f"{path}: {name[:80]!r} is {dtype} of shape {shape}, the policy needs {expected}"
            )


def _refuse_impossible(bundle: Bundle, path: Path) -> None:
    """Refuse variances and counts below 0; one that stands for a smaller ε may be by as much."""
    for name, values in bundle.tensors.items():
        if name.startswith(PREFIX) and not name.endswith("/mean") and bool((values < -EPSILON).any()):
            raise BundleError(f"{path}: {name[:80]!r} is negative, which no statistics of data are")


def build_policy(
    algorithm: Algorithm, observation_space: gym.Space[object], action_space: gym.Space[object]
) -> BasePolicy:
    """A fresh policy network as the algorithm would build it, without environments.

    Args:
        algorithm: describes the network.
        observation_space: of one observation, images with the channels first.
        action_space: of one action.

    Returns:
        SB3's policy, initialised from torch's global generator.
    """
    cls = algorithm_class(algorithm.name)
    kwargs = policy_kwargs(algorithm)
    if getattr(algorithm, "use_sde", False):
        kwargs["use_sde"] = True
    policy: BasePolicy = cls.policy_aliases[algorithm.policy](
        observation_space, action_space, lambda _: 0.0, **kwargs
    )
    return policy


def widen(policy: nn.Module) -> None:
    """Replace an on-policy policy's trunks by progressive ones whose source column they become.

    Args:
        policy: changed in place; the new columns are drawn from torch's global generator.

    Raises:
        BundleError: a trunk is no plain sequence of layers.
    """
    extractor = policy.get_submodule("mlp_extractor")
    for name in ("policy_net", "value_net"):
        trunk = extractor.get_submodule(name)
        if not isinstance(trunk, nn.Sequential):
            raise BundleError(f"{name} is a {type(trunk).__name__}, which cannot have a progressive column")
        setattr(extractor, name, ProgressiveTrunk(trunk))
