"""From an algorithm config to a Stable-Baselines3 model built for an environment."""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv

from rl_transfer.core.limits import of_bearable_size
from rl_transfer.errors import ConfigError, MissingExtraError, TransferError
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.spec import Algorithm, LinearSchedule
from rl_transfer.spec.moved import current_path
from rl_transfer.wording import did_you_mean, what_was_raised

_ACTIVATIONS = {
    "tanh": torch.nn.Tanh,
    "relu": torch.nn.ReLU,
    "elu": torch.nn.ELU,
    "leaky_relu": torch.nn.LeakyReLU,
    "silu": torch.nn.SiLU,
    "gelu": torch.nn.GELU,
}


@dataclass(frozen=True)
class Schedule:
    """A linear schedule over a run's own budget, never below its final value.

    SB3's ``progress_remaining`` turns negative when a budget is overshot; it is clamped at 0.
    """

    initial: float
    final: float

    def __call__(self, progress_remaining: float) -> float:
        """The value when ``progress_remaining`` of the budget (1 → 0) is left."""
        return self.final + max(progress_remaining, 0.0) * (self.initial - self.final)


def algorithm_class(name: str) -> type[BaseAlgorithm]:
    """SB3's (or sb3-contrib's) class of that name.

    Args:
        name: of the algorithm.

    Returns:
        The class, from the package that its traits name.

    Raises:
        MissingExtraError: sb3-contrib is not installed.
    """
    try:
        module = importlib.import_module(traits_of(name).package)
    except ImportError:
        raise MissingExtraError(
            f"{name} comes from sb3-contrib, which is not installed: pip install 'rl-transfer[contrib]'"
        ) from None
    found: type[BaseAlgorithm] = getattr(module, name)
    return found


def policy_kwargs(algorithm: Algorithm) -> dict[str, Any]:
    """SB3's ``policy_kwargs``; what the config leaves out is SB3's own default.

    Args:
        algorithm: the algorithm whose policy is to be built.

    Returns:
        Keyword arguments of SB3's policy class, what SB3's algorithm class would fill in included.

    Raises:
        ConfigError: the features extractor cannot be imported, or is none.
    """
    config = algorithm.policy_kwargs
    kwargs: dict[str, Any] = {}
    if config.net_arch is not None:
        arch = config.net_arch
        kwargs["net_arch"] = (
            {name: list(widths) for name, widths in arch.items()} if isinstance(arch, dict) else list(arch)
        )
    if config.activation is not None:
        kwargs["activation_fn"] = _ACTIVATIONS[config.activation]
    for name in (
        "ortho_init",
        "log_std_init",
        "share_features_extractor",
        "n_critics",
        "n_quantiles",
        "normalize_images",
    ):
        if getattr(config, name) is not None:
            kwargs[name] = getattr(config, name)
    if config.features_extractor is not None:
        key = "algorithm.policy_kwargs.features_extractor"
        extractor = import_object(config.features_extractor, key)
        # A bundle names it too: only a features extractor may be called with what a file says.
        if not (isinstance(extractor, type) and issubclass(extractor, BaseFeaturesExtractor)):
            raise ConfigError(f"{config.features_extractor} is no features extractor of SB3", key=key)
        kwargs["features_extractor_class"] = extractor
    if config.features_extractor_kwargs:
        kwargs["features_extractor_kwargs"] = dict(config.features_extractor_kwargs)
    return {**traits_of(algorithm.name).policy_defaults, **kwargs}


def import_object(path: str, key: str) -> object:
    """The object at an import path; paths of older versions are followed to today's.

    Args:
        path: ``module:name``.
        key: where it stands in the user's config, for error messages.

    Returns:
        Whatever stands there; what it must be is the caller's business.

    Raises:
        ConfigError: there is none.
    """
    module_name, colon, name = current_path(path).partition(":")
    if not (module_name and colon and name) or module_name.startswith("."):
        raise ConfigError(f"got {path!r}, expected an import path module:Name", key=key)
    try:
        with contextlib.chdir("."):
            module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"{path!r} cannot be imported: {error}", key=key) from None
    except (Exception, SystemExit) as error:  # a module is anybody's code
        raise ConfigError(f"{path!r} cannot be imported: {what_was_raised(error)}", key=key) from error
    if not hasattr(module, name):
        meant = did_you_mean(name, [each for each in vars(module) if not each.startswith("_")])
        raise ConfigError(f"module {module_name!r} has no {name!r}.{meant}", key=key)
    found: object = getattr(module, name)
    return found


def build_model(config: Algorithm, env: VecEnv, seed: int) -> BaseAlgorithm:
    """Build a fresh SB3 model for ``env``.

    Args:
        config: the algorithm and its hyperparameters.
        env: the training environments.
        seed: seeds the network's initialisation.

    Returns:
        The model, untrained, on the CPU.

    Raises:
        TransferError: the algorithm cannot act in the environment's spaces.
        ConfigError: the network cannot be built as its config says.
        MissingExtraError: sb3-contrib is not installed.
    """
    arguments: dict[str, Any] = {}
    for name in type(config).model_fields:
        if name not in ("name", "policy", "policy_kwargs", "n_envs", "normalize", "action_noise_std"):
            value = getattr(config, name)
            arguments[name] = (
                Schedule(value.linear, value.final) if isinstance(value, LinearSchedule) else value
            )
    noise = getattr(config, "action_noise_std", 0.0)
    if noise:
        shape = env.action_space.shape or ()
        arguments["action_noise"] = NormalActionNoise(np.zeros(shape), np.full(shape, noise))
    kwargs = policy_kwargs(config)
    try:
        with of_bearable_size():
            return algorithm_class(config.name)(
                config.policy, env, policy_kwargs=kwargs, seed=seed, device="cpu", **arguments
            )
    except (AssertionError, ValueError, TypeError, RuntimeError) as error:
        raise TransferError(
            f"{config.name} with {config.policy} cannot be built for observations {env.observation_space} "
            f"and actions {env.action_space}: {error}",
            key="algorithm",
        ) from None
