"""Running normalisation statistics: they belong to the policy and travel with it.

Modes on a target: ``warm`` starts from the source's statistics and goes on updating them;
``frozen`` holds them; ``warm_reset_count`` keeps mean and variance but forgets how many samples
they rest on, so that they adapt quickly; ``fresh`` starts anew (the jump-start is then lost).
Where observations are mapped, so are their statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, VecTransposeImage, unwrap_vec_normalize

from rl_transfer.errors import BundleError, ConfigError, TransferError
from rl_transfer.rl.environments.spaces import Array, Observation, Space, channels_first
from rl_transfer.spec import Algorithm
from rl_transfer.wording import listing

PREFIX = "normalization/"
FIELDS = ("mean", "var", "count")
"""Of each group of statistics, under its name."""
EPSILON = 1e-8
FORGOTTEN_COUNT = 1e-4
"""SB3's initial count of a running mean: the first batch outweighs it."""


@dataclass(frozen=True)
class Normalizer:
    """Applies fixed statistics to observations, as SB3's ``VecNormalize`` does.

    ``mean`` and ``var`` map the key of a dict observation (``""`` for a plain one) to arrays of
    the observation's shape.
    """

    mean: Mapping[str, NDArray[np.float64]]
    var: Mapping[str, NDArray[np.float64]]
    clip: float

    def __call__(self, observations: Observation) -> Observation:
        """Normalised copies of stacked observations, ``float32``; keys without statistics as they are."""
        if isinstance(observations, dict):
            return {
                key: self._one(value, key) if key in self.mean else value
                for key, value in observations.items()
            }
        return self._one(observations, "")

    def _one(self, value: Array, key: str) -> NDArray[np.float32]:
        scaled = np.subtract(value, self.mean[key]) / np.sqrt(self.var[key] + EPSILON)
        return np.clip(scaled, -self.clip, self.clip).astype(np.float32)


def wrap(env: VecEnv, algorithm: Algorithm) -> VecEnv:
    """Normalise the environments where the algorithm config asks for it.

    Args:
        env: the training environments.
        algorithm: its ``normalize`` says what is normalised, its ``gamma`` how returns are discounted.

    Returns:
        The environments in a ``VecNormalize``, or as they are.

    Raises:
        ConfigError: observations are to be normalised that are no vectors of numbers.
    """
    config = algorithm.normalize
    if config is None:
        return env
    space = env.observation_space
    pixels = isinstance(space, spaces.Box) and is_image_space(space)
    if config.observation:
        _refuse_no_numbers(space, pixels and algorithm.policy == "CnnPolicy")
    numbers = pixels and config.observation  # the networks see no image then
    if not numbers and channels_first(space) != space:  # replay buffers take what VecNormalize is given
        env = VecTransposeImage(env)
    keys = None
    if isinstance(env.observation_space, spaces.Dict):
        keys = [
            key
            for key, space in env.observation_space.spaces.items()
            if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)
        ]
    return VecNormalize(
        env,
        norm_obs=config.observation,
        norm_reward=config.reward,
        clip_obs=config.clip_observation,
        clip_reward=config.clip_reward,
        gamma=algorithm.gamma,
        epsilon=EPSILON,
        norm_obs_keys=keys if config.observation else None,
    )


def _refuse_no_numbers(space: Space, images: bool) -> None:
    """Refuse observations that VecNormalize does not take, and images that a CNN would no longer know."""
    if isinstance(space, spaces.Box | spaces.Dict) and not images:
        return
    what = "images, which CnnPolicy scales itself" if images else f"{space}, which has no mean"
    raise ConfigError(
        f"the observations are {what}; set algorithm.normalize.observation: false",
        key="algorithm.normalize.observation",
    )


def tensors(env: VecEnv) -> dict[str, torch.Tensor]:
    """The statistics of the training environments as tensors for the bundle.

    Args:
        env: the training environments.

    Returns:
        ``normalization/<group>/<key>/mean``, ``var`` (of the observation's shape) and ``count`` →
        ``float64``; empty where nothing is normalised.
    """
    normalized = unwrap_vec_normalize(env)
    if normalized is None:
        return {}
    found = {}
    for name, moments in _moments(normalized).items():
        for field in FIELDS:
            array = np.asarray(getattr(moments, field), dtype=np.float64)
            found[f"{PREFIX}{name}/{field}"] = torch.from_numpy(array.copy())
    return found


def normalizer(state: Mapping[str, torch.Tensor], algorithm: Algorithm) -> Normalizer | None:
    """The observation normaliser that a bundle's tensors describe.

    Args:
        state: the bundle's tensors, as :func:`tensors` names them; others are passed over.
        algorithm: whether and how observations are normalised.

    Returns:
        The normaliser; None where observations are not normalised.

    Raises:
        BundleError: they are, but the bundle has no statistics.
    """
    if algorithm.normalize is None or not algorithm.normalize.observation:
        return None
    start = f"{PREFIX}observation/"
    keys = {name[len(start) :].rpartition("/")[0] for name in state if name.startswith(start)}
    if not keys:
        raise BundleError(
            "the policy was trained on normalised observations, but the bundle has no statistics"
        )
    mean = {key: state[_name(key, "mean")].numpy() for key in keys}
    var = {key: state[_name(key, "var")].numpy() for key in keys}
    return Normalizer(mean, var, algorithm.normalize.clip_observation)


def current_normalizer(env: VecEnv, algorithm: Algorithm) -> Normalizer | None:
    """The normaliser that training uses at this moment.

    Args:
        env: the training environments.
        algorithm: what they were normalised by.
    """
    return normalizer(tensors(env), algorithm)


def transfer(
    env: VecEnv, state: Mapping[str, torch.Tensor], mode: str, order: Sequence[int | None] | None = None
) -> str:
    """Give the training environments the source's statistics.

    Args:
        env: the target's training environments.
        state: the source bundle's tensors.
        mode: ``warm``, ``frozen``, ``warm_reset_count`` or ``fresh``.
        order: per entry of the target's observation the source's, or None: that one starts as SB3
            starts it, with mean 0 and variance 1; without an order the source's own.

    Returns:
        What was done, for the record.

    Raises:
        TransferError: the mode needs statistics that are missing, have another shape or cannot be mapped;
            ``frozen`` would hold an entry that has none.
    """
    normalized = unwrap_vec_normalize(env)
    given = sorted({name.removeprefix(PREFIX).split("/")[0] for name in state if name.startswith(PREFIX)})
    if mode == "fresh":
        return "fresh"
    if "observation" in given and (normalized is None or not normalized.norm_obs):
        raise TransferError(
            "the source was trained on normalised observations, but the target does not normalise them; "
            "set algorithm.normalize as the source has it, or normalization: fresh to copy weights anyway",
            key="strategy.normalization",
        )
    if normalized is None:
        return "none"
    _refuse_lost(normalized, state, mode)
    state = {**state, **_mapped(normalized, state, order, mode)}
    for name, moments in _moments(normalized).items():
        _refuse_misfit(state.get(f"{PREFIX}{name}/mean"), name, np.shape(moments.mean), mode)
        _fill(moments, state, name)
        if mode == "warm_reset_count":
            moments.count = FORGOTTEN_COUNT
    if mode == "frozen":
        normalized.training = False
    return mode


def _mapped(
    env: VecNormalize, state: Mapping[str, torch.Tensor], order: Sequence[int | None] | None, mode: str
) -> dict[str, torch.Tensor]:
    """The source's statistics of observations in the target's order, where that is another one."""
    own = {name: value for name, value in tensors(env).items() if name.startswith(f"{PREFIX}observation/")}
    theirs = {name: state[name] for name in own if name in state}
    same = all(own[name].shape == value.shape for name, value in theirs.items())
    if order is None or not theirs or (same and list(order) == list(range(len(order)))):
        return {}
    known = {here: there for here, there in enumerate(order) if there is not None}
    mean = _name("", "mean")
    if (
        mean not in theirs
        or own[mean].numel() != len(order)
        or max(known.values(), default=0) >= theirs[mean].numel()
    ):
        raise TransferError(
            f"normalization is {mode!r}, but input_maps can map the statistics of vectors only; use "
            "normalization: fresh",
            key="strategy.normalization",
        )
    unknown = [str(here) for here in range(len(order)) if here not in known]
    if mode == "frozen" and unknown:
        raise TransferError(
            f"normalization is 'frozen', but input_maps gives entry {listing(unknown)} of the target's "
            "observation no entry of the source: it would never be normalised. Use normalization: "
            "warm_reset_count or warm",
            key="strategy.normalization",
        )
    found = {}
    for name in (mean, _name("", "var")):
        values = own[name].flatten()
        values[list(known)] = theirs[name].flatten()[list(known.values())]
        found[name] = values.reshape(own[name].shape)
    return found


def _refuse_lost(env: VecNormalize, state: Mapping[str, torch.Tensor], mode: str) -> None:
    """Refuse statistics of members of a dict observation that are not normalised here."""
    start, end = f"{PREFIX}observation/", "/mean"
    theirs = [name[len(start) : -len(end)] for name in state if name.startswith(start) and name.endswith(end)]
    lost = [key for key in theirs if f"observation/{key}" not in _moments(env)]
    if lost:
        raise TransferError(
            f"normalization is {mode!r}, but the source normalises {listing(lost)} of the observation, and "
            "here members of floating-point numbers alone are normalised; use normalization: fresh, or let "
            "the environment give floating-point numbers there",
            key="strategy.normalization",
        )


def _refuse_misfit(found: torch.Tensor | None, name: str, needed: tuple[int, ...], mode: str) -> None:
    """Refuse a source's mean that is missing or of another shape."""
    if found is None:
        raise TransferError(
            f"normalization is {mode!r}, but the source has no statistics for {name.rstrip('/')}; "
            "use normalization: fresh, or a source trained with algorithm.normalize",
            key="strategy.normalization",
        )
    if tuple(found.shape) != needed:
        raise TransferError(
            f"normalization is {mode!r}, but the source's statistics of {name.rstrip('/')} have shape "
            f"{tuple(found.shape)} and the target needs {needed}; use normalization: fresh",
            key="strategy.normalization",
        )


def set_observation_moments(env: VecEnv, observations: Array) -> None:
    """Mean and variance of a vector observation as those of a sample; how much they weigh stays.

    Args:
        env: training environments that normalise a vector observation.
        observations: ``float[row, entry]``; a constant entry gets variance 1.
    """
    normalized = unwrap_vec_normalize(env)
    moments = _moments(normalized).get("observation/") if normalized is not None else None
    if moments is not None:
        variance = np.asarray(observations, dtype=np.float64).var(axis=0)
        moments.mean = np.asarray(observations, dtype=np.float64).mean(axis=0)
        moments.var = np.where(variance > 0, variance, 1.0)


def restore(env: VecEnv, state: Mapping[str, torch.Tensor]) -> None:
    """Set the statistics back to what they were.

    Args:
        env: the training environments.
        state: what :func:`tensors` gave earlier.
    """
    normalized = unwrap_vec_normalize(env)
    for name, moments in _moments(normalized).items() if normalized is not None else ():
        _fill(moments, state, name)


def _fill(moments: RunningMeanStd, state: Mapping[str, torch.Tensor], name: str) -> None:
    moments.mean = state[f"{PREFIX}{name}/mean"].numpy().copy()
    moments.var = state[f"{PREFIX}{name}/var"].numpy().copy()
    moments.count = float(state[f"{PREFIX}{name}/count"])


def _moments(env: VecNormalize) -> dict[str, RunningMeanStd]:
    """``observation/<key>`` and ``reward/`` → running moments, where they are in use."""
    found: dict[str, RunningMeanStd] = {}
    if env.norm_obs:
        # SB3 types it as one of the two, according to the space; it holds either.
        moments: RunningMeanStd | dict[str, RunningMeanStd] = env.obs_rms
        if isinstance(moments, RunningMeanStd):
            found["observation/"] = moments
        else:
            found |= {f"observation/{key}": each for key, each in moments.items()}
    if env.norm_reward:
        found["reward/"] = env.ret_rms
    return found


def _name(key: str, field: str) -> str:
    return f"{PREFIX}observation/{key}/{field}"
