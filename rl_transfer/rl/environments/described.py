"""Between an environment's config and ``rl_transfer_envs``: data and errors. Nothing heavy is imported."""

from __future__ import annotations

import rl_transfer_envs
from rl_transfer.errors import EnvironmentSpecError, MissingExtraError, RLTransferError
from rl_transfer.spec import Environment
from rl_transfer.spec.base import Json


def as_spec(config: Environment) -> dict[str, Json]:
    """The config as the plain mapping that ``rl_transfer_envs`` reads.

    Args:
        config: the environment and its perturbations.
    """
    return {name: value for name, value in config.plain().items() if value}


def translate(error: rl_transfer_envs.EnvError, key: str | None) -> RLTransferError:
    """An error of the environment package, under the key path of the config it came from.

    Args:
        error: as raised, its key relative to the environment.
        key: where the environment's config stands in the user's file.

    Returns:
        The error to raise instead.
    """
    path = ".".join(part for part in (key, error.key) if part) or None
    if isinstance(error, rl_transfer_envs.MissingExtraError):
        return MissingExtraError(error.message, key=path)
    return EnvironmentSpecError(error.message, key=path)
