"""From what a foreign file says to the tensors and metadata of one of our bundles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from gymnasium import spaces as gym_spaces

from rl_transfer.errors import BundleError, ConfigError, EnvironmentSpecError, MissingExtraError
from rl_transfer.rl.environments import spaces
from rl_transfer.rl.environments.build import make_env
from rl_transfer.rl.environments.spaces import Space
from rl_transfer.rl.policies.normalization import PREFIX
from rl_transfer.rl.sources.deduce_algorithm import deduce_algorithm
from rl_transfer.rl.sources.deduce_network import deduce_network
from rl_transfer.rl.sources.fitting import fit, rename
from rl_transfer.rl.sources.hyperparameters import with_hyperparameters
from rl_transfer.rl.sources.old_names import modernize
from rl_transfer.rl.sources.printed_spaces import printed_space
from rl_transfer.rl.sources.sb3_zip import ForeignPolicy
from rl_transfer.rl.sources.vec_normalize import Statistics
from rl_transfer.spec import Algorithm, Environment, parse
from rl_transfer.spec.base import Json

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Known:
    """What is known of a foreign policy beside its file.

    Attributes:
        where: the file's name, for errors.
        env: where it was trained.
        algorithm: the user's word on the algorithm.
        named: the algorithm that the file's name says.
        name_map: the file's tensor names or prefixes → SB3's.
        policy_kwargs: the user's word on the network, as in a config.
        statistics: normalisation statistics, if there are any.
        repository: on the Hub.
        notes: what was assumed so far.
        doubtful: whether the environment is the user's word alone, to be compared with the policy.
    """

    where: str
    env: Environment
    algorithm: str | None = None
    named: str | None = None
    name_map: Mapping[str, str] | None = None
    policy_kwargs: Mapping[str, Json] = field(default_factory=dict)
    statistics: Statistics | None = None
    repository: str | None = None
    notes: tuple[str, ...] = ()
    doubtful: bool = False


def assemble(foreign: ForeignPolicy, known: Known) -> tuple[dict[str, torch.Tensor], dict[str, Json]]:
    """Tensors (normalisation statistics included) and metadata of the bundle.

    Args:
        foreign: what was read off the file.
        known: what is known beside it.

    Returns:
        State-dict name → tensor as SB3 has it, and the metadata that rebuild the network.

    Raises:
        BundleError: the file contradicts itself or what is known of it, or cannot be rebuilt.
        TransferError: the name map does not fit the file.
        EnvironmentSpecError: the spaces are not in the file and the environment cannot be built.
    """
    where, data = known.where, foreign.data
    state, modernized = modernize(rename(foreign.state, known.name_map, where))
    name = deduce_algorithm(state, data or {}, known.algorithm, known.named, where)
    pair, taken = _spaces(data or {}, known.env, where)
    if known.doubtful and not taken:
        _refuse_other_spaces(pair, known.env, where)
    try:
        network, assumed = deduce_network(name, state, data, known.policy_kwargs, pair, where)
    except (ValueError, LookupError) as error:
        raise BundleError(f"{where}: its tensors form no {name} policy: {error}") from None
    arrays, normalize, normalized = _normalization(foreign, known, pair[0])
    config, told = with_hyperparameters({"name": name, **network, **normalize}, data, pair[1])
    algorithm = _algorithm(config, where)
    tensors, converted = fit(state, algorithm, pair, where)
    metadata: dict[str, Json] = {
        "algorithm": algorithm.plain(),
        "observation_space": spaces.to_json(pair[0]),
        "action_space": spaces.to_json(pair[1]),
        "env": known.env.plain(),
        "versions": dict(foreign.versions),
        "log_ent_coef": foreign.log_ent_coef,
        "origin": {"format": foreign.format, "sha256": foreign.sha256, "repository": known.repository},
        "notes": [*known.notes, *taken, *assumed, *normalized, *modernized, *converted, *told],
    }
    steps = (data or {}).get("num_timesteps")
    if isinstance(steps, int) and steps > 0:
        metadata["training"] = {"total_steps": steps}
    return {**tensors, **arrays}, metadata


def _spaces(data: Mapping[str, Json], env: Environment, where: str) -> tuple[tuple[Space, Space], list[str]]:
    """Spaces of observations and actions: as the file prints them, else the environment's."""
    observation = printed_space(data.get("observation_space"))
    action = printed_space(data.get("action_space"), bounded=True)
    if observation is not None and action is not None:
        return (observation, action), []
    try:
        built = make_env(env)
    except EnvironmentSpecError as error:
        raise EnvironmentSpecError(
            f"{where} does not print its spaces in full, and its environment cannot be built: {error.message}"
        ) from None
    notes = []
    if observation is None:
        observation = spaces.channels_first(built.observation_space)
        notes.append(f"the observation space is the one of {env.id}")
    if action is None:
        action = built.action_space
        notes.append(f"the action space is the one of {env.id}")
    built.close()
    return (observation, action), notes


def _refuse_other_spaces(pair: tuple[Space, Space], env: Environment, where: str) -> None:
    """Refuse an environment whose spaces are not the policy's; one that cannot be built here is believed."""
    try:
        built = make_env(env)
    except (EnvironmentSpecError, MissingExtraError):
        return
    others = spaces.channels_first(built.observation_space), built.action_space
    built.close()
    for what, mine, other in zip(("observes", "acts in"), pair, others, strict=True):
        if not spaces.same(mine, other):
            raise BundleError(
                f"{where}: environment {env.id} was given, but the policy {what} {mine} and {env.id} has "
                f"{other}; give the environment that it was trained in"
            )


def _normalization(
    foreign: ForeignPolicy, known: Known, space: Space
) -> tuple[dict[str, torch.Tensor], dict[str, Json], list[str]]:
    """Statistics as tensors, the config that describes them, and what should be known of them."""
    statistics = known.statistics
    if statistics is None:
        on_policy_normalized = "gae_lambda" in (foreign.data or {}) and (foreign.data or {}).get(
            "_last_original_obs"
        )
        return {}, {}, [_LOST] if on_policy_normalized else []
    if not statistics.arrays:
        return {}, {}, []
    members = space.spaces if isinstance(space, gym_spaces.Dict) else {"": space}
    for name, values in statistics.arrays.items():
        group, _, key = name.removeprefix(PREFIX).removesuffix("/mean").partition("/")
        if group != "observation" or not name.endswith("/mean"):
            continue
        shape = members[key].shape if key in members else None
        if values.shape != shape:
            raise BundleError(
                f"{known.where}: the normalisation statistics{f' of {key}' if key else ''} have shape "
                f"{values.shape}, but the policy observes {space}; they belong to another policy"
            )
    config = {
        name: min(value, _LARGEST) if isinstance(value, float) else value
        for name, value in statistics.config.items()
    }
    kinds = [kind for kind in ("observation", "reward") if config[kind]]
    tensors = {name: torch.from_numpy(values) for name, values in statistics.arrays.items()}
    return tensors, {"normalize": config}, [f"normalisation statistics of {' and '.join(kinds)} were read"]


_LOST = (
    "the policy was trained under VecNormalize, but no statistics were found beside it; if its observations "
    "were normalised, it acts badly without them: give the VecNormalize file"
)


def _algorithm(config: dict[str, Json], where: str) -> Algorithm:
    try:
        algorithm: Algorithm = parse(Algorithm, config)
    except ConfigError as error:
        raise BundleError(f"{where}: the policy cannot be described by a config: {error.message}") from None
    return algorithm
