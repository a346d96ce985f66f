"""How to build the network that foreign tensors belong to, read off their shapes.

SB3's zip prints the network's arguments (``policy_kwargs``) only in part; the tensors say all of them
but the activation function and whether images are divided by 255.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_action_dim, get_flattened_obs_dim, is_image_space

from rl_transfer.errors import BundleError
from rl_transfer.rl.environments.spaces import Space
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.rl.sources.deduce_algorithm import Data, State, critic_count, linear_layers
from rl_transfer.rl.sources.old_names import same_tensors
from rl_transfer.spec.base import Json

_ACTIVATIONS = {
    "Tanh": "tanh", "ReLU": "relu", "ELU": "elu", "LeakyReLU": "leaky_relu", "SiLU": "silu", "GELU": "gelu",
}  # fmt: skip
# policy_kwargs that change what the network computes and that a config cannot say: only SB3's default.
_FIXED = {"squash_output": False, "use_expln": False, "full_std": True, "clip_mean": 2.0}
_INITIAL = ("ortho_init", "log_std_init")  # of a fresh network
_OWN_EXTRACTORS = ("FlattenExtractor", "NatureCNN", "CombinedExtractor")
_NATURE = {"cnn.0.weight": (32, 8, 8), "cnn.2.weight": (64, 4, 4), "cnn.4.weight": (64, 3, 3)}
_MODULE = "stable_baselines3.common.torch_layers"


def deduce_network(
    algorithm: str,
    state: State,
    data: Data | None,
    given: Mapping[str, Json],
    spaces_: tuple[Space, Space],
    where: str,
) -> tuple[dict[str, Json], list[str]]:
    """The part of an algorithm's config that describes its policy, and what was assumed, in words.

    Args:
        algorithm: SB3's name.
        state: tensors by SB3's names.
        data: plain data of an SB3 zip, if any.
        given: the user's ``policy_kwargs`` (of a ``PolicyConfig``); they win.
        spaces_: of observations and actions.
        where: the file's name, for errors.

    Returns:
        ``policy``, ``policy_kwargs`` and ``use_sde`` of the config; the assumptions, one sentence each.

    Raises:
        BundleError: the tensors contradict the spaces, or the network has something that a config
            cannot say.
    """
    found = (data or {}).get("policy_kwargs")
    said = found if isinstance(found, Mapping) else {}
    _refuse_unsayable(said, where)
    observation_space, action_space = spaces_
    kwargs, inputs, outputs = _layers(algorithm, state)
    policy, extractor, features = _features(algorithm, state, said, given, observation_space, where)
    if features is not None and features != inputs:
        raise BundleError(
            f"{where}: its first layer reads {inputs} numbers, but the observations {observation_space} give "
            f"{features}; is this the environment that it was trained in?"
        )
    kwargs |= extractor | _outputs(algorithm, outputs, action_space, where)
    kwargs |= {key: said[key] for key in _INITIAL if isinstance(said.get(key), bool | int | float)}
    if said.get("normalize_images") is False:
        kwargs["normalize_images"] = False
    kwargs["activation"], notes = _activation(algorithm, said, data is not None, given, where)
    network: dict[str, Json] = {"policy": policy, "policy_kwargs": {**kwargs, **given}}
    if _explores_with_sde(state):
        network["use_sde"] = True
    return network, notes


def _refuse_unsayable(said: Data, where: str) -> None:
    unsayable = [f"{key}={said[key]}" for key, usual in _FIXED.items() if said.get(key, usual) != usual]
    if unsayable:
        raise BundleError(
            f"{where}: the policy was built with {', '.join(unsayable)}, which cannot be rebuilt here"
        )


def _layers(algorithm: str, state: State) -> tuple[dict[str, Json], int, int]:
    """Widths, critics and quantiles; how many features the trunk reads, how many numbers its head gives."""
    traits = traits_of(algorithm)
    if traits.family == "on-policy":
        pi, vf = (linear_layers(state, f"mlp_extractor.{name}") for name in ("policy_net", "value_net"))
        actor = [*pi, _shape(state, "action_net.weight")]
        return {"net_arch": {"pi": _widths(pi), "vf": _widths(vf)}}, actor[0][1], actor[-1][0]
    if traits.family == "q-learning":
        layers = linear_layers(state, f"{traits.network}.{traits.network}")
        return {"net_arch": _widths(layers[:-1])}, layers[0][1], layers[-1][0]
    critic = linear_layers(state, "critic.qf0")
    actor = linear_layers(state, "actor.latent_pi") + linear_layers(state, "actor.mu")
    if "actor.mu.weight" in state:
        actor.append(_shape(state, "actor.mu.weight"))
    kwargs: dict[str, Json] = {
        "net_arch": {"pi": _widths(actor[:-1]), "qf": _widths(critic[:-1])},
        "n_critics": critic_count(state),
    }
    if traits.quantiles == "critics":
        kwargs["n_quantiles"] = critic[-1][0]
    return kwargs, actor[0][1], actor[-1][0]


def _outputs(algorithm: str, outputs: int, action_space: Space, where: str) -> dict[str, Json]:
    """The head's number of quantiles; where it has none it must have one number per action."""
    traits = traits_of(algorithm)
    if traits.family == "q-learning" and isinstance(action_space, spaces.Discrete):
        actions = int(action_space.n)
    elif traits.family == "on-policy" and isinstance(action_space, spaces.Discrete | spaces.MultiDiscrete):
        actions = int(
            sum(action_space.nvec) if isinstance(action_space, spaces.MultiDiscrete) else action_space.n
        )
    else:
        actions = get_action_dim(action_space)
    if traits.quantiles == "head" and actions and outputs % actions == 0:
        return {"n_quantiles": outputs // actions}
    if outputs != actions:
        raise BundleError(
            f"{where}: its action head gives {outputs} numbers, but the actions {action_space} need "
            f"{actions}; is this the environment that it was trained in?"
        )
    return {}


def _features(
    algorithm: str,
    state: State,
    said: Data,
    given: Mapping[str, Json],
    space: Space,
    where: str,
) -> tuple[str, dict[str, Json], int | None]:
    """Kind of policy, arguments of the features extractor, number of features (None: only its code knows)."""
    traits = traits_of(algorithm)
    prefix = f"{traits.actor}features_extractor."
    critic = "vf_features_extractor." if traits.family == "on-policy" else "critic.features_extractor."
    tensors = {name.removeprefix(prefix): each for name, each in state.items() if name.startswith(prefix)}
    kwargs: dict[str, Json] = {}
    if tensors and traits.family != "q-learning":
        kwargs["share_features_extractor"] = same_tensors(state, prefix, critic)
    dict_space = isinstance(space, spaces.Dict)
    if "features_extractor" in given:
        policy = "MultiInputPolicy" if dict_space else "CnnPolicy" if is_image_space(space) else "MlpPolicy"
        return policy, kwargs, None
    custom = re.fullmatch(r"<class '([\w.]+)'>", str(said.get("features_extractor_class", "")))
    if custom and custom[1].rpartition(".")[2] not in _OWN_EXTRACTORS:
        raise BundleError(_custom(where, custom[1]))
    if isinstance(space, spaces.Dict):
        more, features = _combined(tensors, space, where)
        return "MultiInputPolicy", kwargs | more, features
    if not tensors:
        return "MlpPolicy", kwargs, get_flattened_obs_dim(space)
    more, features = _nature(tensors, where)
    return "CnnPolicy", kwargs | more, features


def _nature(tensors: State, where: str) -> tuple[dict[str, Json], int]:
    """SB3's NatureCNN, of whatever ``features_dim``."""
    if not _is_nature(tensors):
        raise BundleError(_custom(where, "other layers than NatureCNN's"))
    features = tensors["linear.0.weight"].shape[0]
    return _extractor("NatureCNN", {"features_dim": features}, features == 512), features


def _combined(tensors: State, space: spaces.Dict, where: str) -> tuple[dict[str, Json], int]:
    """SB3's CombinedExtractor: a NatureCNN per image, everything else flattened."""
    images = {name.split(".")[1] for name in tensors if name.startswith("extractors.")}
    features, outputs = 0, 256
    for key, each in space.spaces.items():
        if key not in images:
            features += get_flattened_obs_dim(each)
            continue
        start = f"extractors.{key}."
        own = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
        if not _is_nature(own):
            raise BundleError(_custom(where, f"other layers than NatureCNN's for {key}"))
        outputs = own["linear.0.weight"].shape[0]
        features += outputs
    if not images <= space.spaces.keys() or (tensors and not images):
        raise BundleError(
            _custom(where, f"other tensors than the observations {', '.join(space.spaces)} need")
        )
    return _extractor("CombinedExtractor", {"cnn_output_dim": outputs}, outputs == 256), features


def _is_nature(tensors: State) -> bool:
    shapes = {name: tuple(tensors[name].shape) for name in _NATURE if name in tensors}
    expected = all(
        len(shapes.get(name, ())) == 4 and (shapes[name][0], *shapes[name][2:]) == size
        for name, size in _NATURE.items()
    )
    return expected and "linear.0.weight" in tensors and len(tensors) == 8


def _extractor(name: str, kwargs: dict[str, Json], default: bool) -> dict[str, Json]:
    if default:
        return {}
    return {"features_extractor": f"{_MODULE}:{name}", "features_extractor_kwargs": kwargs}


def _activation(
    algorithm: str, said: Data, known: bool, given: Mapping[str, Json], where: str
) -> tuple[str, list[str]]:
    """The activation function, which the tensors do not show."""
    default = "tanh" if traits_of(algorithm).family == "on-policy" else "relu"
    if "activation_fn" in said:
        name = str(said["activation_fn"]).rstrip("'>").rpartition(".")[2]
        if name in _ACTIVATIONS:
            return _ACTIVATIONS[name], []
        if "activation" not in given:
            raise BundleError(
                f"{where}: its activation function {name[:40]} cannot be said in a config; "
                f"possible are {', '.join(_ACTIVATIONS.values())}"
            )
    if known or "activation" in given:
        return default, []
    return default, [f"activation {default} was assumed ({algorithm}'s default; the tensors do not show it)"]


def _custom(where: str, what: str) -> str:
    return (
        f"{where}: its features extractor is custom ({what}). Say which class of your own code it is, in "
        'policy_kwargs: {"features_extractor": "module:Class", "features_extractor_kwargs": {…}}'
    )


def _explores_with_sde(state: State) -> bool:
    """Whether there is one standard deviation per feature and action (gSDE), not one per action."""
    if "log_std" in state and state["log_std"].ndim == 2:
        return state["log_std"].shape[0] == _shape(state, "action_net.weight")[1]
    return "actor.log_std" in state


def _shape(state: State, name: str) -> tuple[int, int]:
    rows, columns = state[name].shape
    return rows, columns


def _widths(layers: list[tuple[int, int]]) -> list[Json]:
    return [outputs for outputs, _ in layers]
