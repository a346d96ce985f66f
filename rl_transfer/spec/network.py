"""The network that an algorithm config describes, written out, and how a target takes over its source's."""

from __future__ import annotations

from collections.abc import Mapping

from rl_transfer.spec.algorithms import Algorithm, PolicyConfig
from rl_transfer.spec.base import Json
from rl_transfer.spec.moved import current_path

_LAYERS = "stable_baselines3.common.torch_layers"
NATURE_CNN = f"{_LAYERS}:NatureCNN"
EXTRACTORS = {
    "MlpPolicy": f"{_LAYERS}:FlattenExtractor",
    "CnnPolicy": NATURE_CNN,
    "MultiInputPolicy": f"{_LAYERS}:CombinedExtractor",
}
"""Kind of policy → the features extractor that SB3 gives it."""

_KEYS = (
    "policy", "features_extractor", "features_extractor_kwargs", "normalize_images",
    "share_features_extractor", "net_arch", "activation", "n_critics", "n_quantiles", "use_sde",
)  # fmt: skip
"""What :func:`network` may name, in the order in which one decides what another means."""
_EXTRACTOR = ("features_extractor", "features_extractor_kwargs")


def network(algorithm: Algorithm) -> dict[str, Json]:
    """The network of a config with SB3's defaults written out.

    What only shapes the initial values (``ortho_init``, ``log_std_init``) is no part of it.

    Args:
        algorithm: as a user's config or a bundle has it.

    Returns:
        ``policy``, ``features_extractor`` (import path), ``features_extractor_kwargs``, ``net_arch``
        (hidden widths of ``pi`` and of the critic), ``activation``; ``normalize_images`` and
        ``share_features_extractor`` where the extractor may have tensors; ``n_critics``,
        ``n_quantiles`` and ``use_sde`` where the algorithm has them.
    """
    config, defaults = algorithm.policy_kwargs, algorithm.network_defaults
    extractor = current_path(config.features_extractor or EXTRACTORS[algorithm.policy])
    usual = defaults.cnn_widths if extractor == NATURE_CNN else defaults.widths
    found: dict[str, Json] = {
        "policy": algorithm.policy,
        "features_extractor": extractor,
        "features_extractor_kwargs": dict(config.features_extractor_kwargs),
    }
    if extractor != EXTRACTORS["MlpPolicy"]:
        found["normalize_images"] = config.normalize_images is not False
        if defaults.share is not None:
            share = config.share_features_extractor
            found["share_features_extractor"] = defaults.share if share is None else share
    names = ("pi", *([defaults.critic] if defaults.critic else []))
    given = usual if config.net_arch is None else config.net_arch
    found["net_arch"] = {
        name: [*(given.get(name, ()) if isinstance(given, Mapping) else given)] for name in names
    }
    found["activation"] = config.activation or defaults.activation
    if defaults.critics is not None:
        found["n_critics"] = config.n_critics or defaults.critics
    if defaults.quantiles is not None:
        found["n_quantiles"] = config.n_quantiles or defaults.quantiles
    if hasattr(algorithm, "use_sde"):
        found["use_sde"] = algorithm.use_sde
    return found


def inherit(algorithm: Algorithm, source: Algorithm) -> Algorithm:
    """A target's config with its source's network, wherever the config does not say otherwise itself.

    Where both networks are equal already the config comes back as it is, so that its run keeps its id.
    Between algorithms of different families only what both have is taken over.

    Args:
        algorithm: the target's, as the user wrote it.
        source: the one that the source was trained by.

    Returns:
        The target's config, its hyperparameters untouched.
    """
    found = algorithm
    for key in _KEYS:
        mine, theirs = network(found), network(source)
        apart = key in _EXTRACTOR and mine["policy"] != theirs["policy"]
        if key in mine and key in theirs and not apart and not _says(algorithm, key):
            found = _with(found, key, mine[key], theirs[key])
    return found


def _says(algorithm: Algorithm, key: str) -> bool:
    """Whether a user's config says something of a part of the network."""
    if key in ("policy", "use_sde"):
        return key in algorithm.model_fields_set
    config = algorithm.policy_kwargs
    if key in _EXTRACTOR:
        return config.features_extractor is not None or bool(config.features_extractor_kwargs)
    return getattr(config, key) is not None


def _with(algorithm: Algorithm, key: str, mine: Json, theirs: Json) -> Algorithm:
    """The config with the source's value of one key; itself where that changes nothing."""
    if key == "net_arch" and isinstance(mine, dict) and isinstance(theirs, dict):
        critic = next((name for name in theirs if name != "pi"), "")
        theirs = {name: theirs["pi"] if name == "pi" else theirs.get(critic, mine[name]) for name in mine}
    if mine == theirs:
        return algorithm
    if key in ("policy", "use_sde"):
        changed: Algorithm = algorithm.model_copy(update={key: theirs})
        return changed
    if key == "net_arch" and isinstance(theirs, dict) and len(theirs) == 1:
        theirs = theirs["pi"]
    kwargs = PolicyConfig.model_validate({**algorithm.policy_kwargs.plain(), key: theirs})
    with_kwargs: Algorithm = algorithm.model_copy(update={"policy_kwargs": kwargs})
    return with_kwargs
