"""Our bundles as Stable-Baselines3's own files: a zip for ``PPO.load`` …, statistics for ``VecNormalize``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import gymnasium as gym
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.utils import LinearSchedule as SB3LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from rl_transfer.core import isolated
from rl_transfer.errors import BundleError
from rl_transfer.frame import write_finished
from rl_transfer.rl import sb3_seams
from rl_transfer.rl.environments.spaces import Space
from rl_transfer.rl.policies.algorithms import build_model
from rl_transfer.rl.policies.bundle import Policy, load_policy, log_entropy_coefficient
from rl_transfer.rl.policies.normalization import PREFIX, wrap
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.spec import Algorithm, LinearSchedule

STATISTICS_NAME = "vecnormalize.pkl"


class _Placeholder(gym.Env[object, object]):
    """Has spaces and nothing else; SB3 asks for an environment to build a model."""

    def __init__(self, observation_space: Space, action_space: Space) -> None:
        self.observation_space, self.action_space = observation_space, action_space


def export_sb3(bundle: Path, destination: Path) -> None:
    """Write a policy so that plain Stable-Baselines3 loads it: ``PPO.load(destination)``.

    The zip needs nothing of this package: spaces, network, hyperparameters and weights are SB3's own
    (a custom features extractor still needs its module). The optimizer is fresh. Where the
    policy normalises observations or rewards, ``vecnormalize.pkl`` is written beside the zip, for
    ``VecNormalize.load``; SB3 policies do not act on raw observations then.

    Args:
        bundle: a bundle folder, a run folder, or an output folder with one run.
        destination: the zip to write, ending in ``.zip``; it and the statistics beside it must not exist.

    Raises:
        BundleError: the bundle cannot be read, has an architecture that SB3 does not know, or a file
            exists or cannot be written.
    """
    with isolated(seed=0):
        policy = load_policy(bundle)
    if policy.metadata.get("progressive"):
        raise BundleError(
            f"{bundle} has a progressive column, which Stable-Baselines3 does not know; it cannot be exported"
        )
    has_statistics = any(name.startswith(PREFIX) for name in policy.bundle.tensors)
    files = {"policy.zip": destination}
    if has_statistics:
        files[STATISTICS_NAME] = destination.parent / STATISTICS_NAME
    _refuse(destination, files)
    with (
        tempfile.TemporaryDirectory() as scratch,
        isolated(seed=0),
    ):
        model = _model(policy)
        model.save(Path(scratch, "policy.zip"))
        if isinstance(model.env, VecNormalize):
            model.env.save(str(Path(scratch, STATISTICS_NAME)))
        for name, path in files.items():
            with Path(scratch, name).open("rb") as content:
                write_finished(content, path)


def _refuse(destination: Path, files: dict[str, Path]) -> None:
    if destination.suffix != ".zip":
        raise BundleError(f"{destination} must end in .zip, which is what Stable-Baselines3 reads")
    for path in files.values():
        if path.exists() or path.is_symlink():
            raise BundleError(f"{path} exists already and is not overwritten; choose another folder")


def _model(policy: Policy) -> BaseAlgorithm:
    """An SB3 model with the policy's weights and statistics, on an environment that is only spaces."""
    algorithm = policy.algorithm
    pair = policy.module.observation_space, policy.module.action_space
    venv = DummyVecEnv([lambda: _Placeholder(*pair)])
    env = _with_statistics(wrap(venv, algorithm), policy)
    model = build_model(_buildable(algorithm), env, seed=0)
    model.policy.load_state_dict(policy.state)
    model.policy.set_training_mode(False)
    model.seed = None
    model.num_timesteps = int(policy.metadata.get("training", {}).get("total_steps", 0))
    for name, value in _unbuilt(algorithm).items():
        setattr(model, name, value)
    sb3_seams.renew_learning_rate_schedule(model)
    entropy, parameter = policy.metadata.get("log_ent_coef"), log_entropy_coefficient(model)
    if entropy is not None and parameter is not None:
        with torch.no_grad():
            parameter.fill_(entropy)
    return model


def _with_statistics(env: VecEnv, policy: Policy) -> VecEnv:
    if not isinstance(env, VecNormalize):
        return env
    arrays = policy.bundle.normalization()

    def moments(name: str) -> RunningMeanStd:
        found = RunningMeanStd(shape=arrays[f"{name}/mean"].shape)
        found.mean, found.var = arrays[f"{name}/mean"], arrays[f"{name}/var"]
        found.count = float(arrays[f"{name}/count"])
        return found

    if env.norm_obs and isinstance(env.observation_space, spaces.Dict):
        env.norm_obs_keys = [key for key in env.observation_space if f"observation/{key}/mean" in arrays]
        env.obs_rms = {key: moments(f"observation/{key}") for key in env.norm_obs_keys}
    elif env.norm_obs:
        env.obs_rms = moments("observation/")  # type: ignore[assignment] # SB3 annotates the dict alone
    if env.norm_reward:
        env.ret_rms = moments("reward/")
    env.training = False
    return env


def _buildable(algorithm: Algorithm) -> Algorithm:
    """The config without what would cost memory or tie the zip to this package."""
    changes: dict[str, object] = {
        name: value.linear for name in type(algorithm).model_fields
        if isinstance(value := getattr(algorithm, name), LinearSchedule)
    }  # fmt: skip
    changes |= {"buffer_size": 1} if traits_of(algorithm.name).off_policy else {"n_steps": 2}
    if "n_steps" in changes and hasattr(algorithm, "batch_size"):
        changes["batch_size"] = 2
    changed: Algorithm = algorithm.model_copy(update=changes)
    return changed


def _unbuilt(algorithm: Algorithm) -> dict[str, object]:
    """What :func:`_buildable` left out, as SB3 has it."""
    found: dict[str, object] = {}
    for name in type(algorithm).model_fields:
        value = getattr(algorithm, name)
        if isinstance(value, LinearSchedule):
            schedule = SB3LinearSchedule(value.linear, value.final, 1.0)
            found[name] = schedule if name == "learning_rate" else FloatSchedule(schedule)
        elif name in ("buffer_size", "n_steps", "batch_size", "n_envs"):
            found[name] = value
    return found
