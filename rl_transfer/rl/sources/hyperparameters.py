"""What an SB3 zip says of how its policy was trained: plain JSON, and text beside pickles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations

from rl_transfer.errors import ConfigError
from rl_transfer.rl.environments.spaces import Space
from rl_transfer.rl.policies.traits import ANY, traits_of
from rl_transfer.rl.sources.deduce_algorithm import Data
from rl_transfer.spec import Algorithm, parse
from rl_transfer.spec.base import Json
from rl_transfer.wording import listing

_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)"
_CONSTANT = re.compile(rf"ConstantSchedule\(val={_NUMBER}\)")
_LINEAR = re.compile(rf"LinearSchedule\(start={_NUMBER}, end={_NUMBER}, end_fraction={_NUMBER}\)")
_RMSPROP = "<class 'torch.optim.rmsprop.RMSprop'>"
_ADAM = "<class 'torch.optim.adam.Adam'>"
_EPSILON = re.compile(rf"'eps': {_NUMBER}[,}}]")
_NORMAL_NOISE = "<class 'stable_baselines3.common.noise.NormalActionNoise'>"
_MOST_LEFT_OUT = 2
# Read off tensors, statistics and names elsewhere.
_ELSEWHERE = ("name", "policy", "policy_kwargs", "normalize", "use_sde")
# What a config cannot say, with SB3's default: another value is told in a note.
_UNSAYABLE: dict[str, Json] = {"use_sde_at_warmup": False, "optimize_memory_usage": False}


class _NotPlain(Exception):
    """A value is pickled, and nothing beside the pickle says it."""


def with_hyperparameters(
    config: Mapping[str, Json], data: Data | None, actions: Space
) -> tuple[dict[str, Json], list[str]]:
    """An algorithm's config, completed by the hyperparameters that the file says plainly.

    Args:
        config: its name and what describes its policy.
        data: plain data of an SB3 zip, if any.
        actions: the action space.

    Returns:
        The completed config, and one sentence for what is not plain and for what no config can say.
    """
    if data is None:
        return dict(config), ["the file says nothing of how it was trained; the defaults were assumed"]
    defaults = parse(Algorithm, {"name": config["name"]})
    read: dict[str, Json] = {}
    hidden: list[str] = []
    for field in type(defaults).model_fields:
        if field in _ELSEWHERE:
            continue
        try:
            read |= dict(_read(field, data, actions))
        except _NotPlain:
            hidden.append(f"{field} ({_text(getattr(defaults, field))})")
    notes = []
    if hidden:
        notes.append(
            f"hyperparameters that the file holds as pickles alone were not read; the defaults were assumed: "
            f"{listing(hidden, limit=20)}"
        )
    accepted, refused = _accepted(config, read)
    odd = [f"{key}={data[key]}" for key, usual in _UNSAYABLE.items() if data.get(key, usual) != usual]
    if not hasattr(defaults, "n_steps") and data.get("n_steps", 1) != 1:
        odd.append(f"n_steps={data['n_steps']}")
    odd += [*_optimizer(str(config["name"]), data), *refused]
    if odd:
        notes.append(f"a config cannot say {listing(odd, limit=20)}; the defaults were assumed")
    return accepted, notes


def _read(field: str, data: Data, actions: Space) -> Iterator[tuple[str, Json]]:
    """(field, value) where the file says one; nothing where it says none."""
    if field == "action_noise_std":
        yield from _noise(data.get("action_noise"))
    elif field in ("use_rms_prop", "rms_prop_eps"):
        yield from _rms_prop(field, data)
    elif field in data:
        value = _plain(data[field])
        usual = field == "target_entropy" and value == -float(_size(actions))  # what "auto" comes to
        if not usual:
            yield field, value


def _plain(value: Json) -> Json:
    if not isinstance(value, dict):
        return value
    text = str(value.get("value_schedule", ""))
    if constant := _CONSTANT.fullmatch(text):
        return float(constant[1])
    found = _LINEAR.fullmatch(text)
    numbers = found.groups() if found else tuple(value.get(key) for key in ("start", "end", "end_fraction"))
    try:
        start, end, fraction = (float(str(number)) for number in numbers)
    except ValueError:
        raise _NotPlain from None
    if fraction != 1:
        raise _NotPlain
    return {"linear": start, "final": end}


def _noise(value: Json) -> Iterator[tuple[str, Json]]:
    """The standard deviation of Gaussian noise around 0, alike in every dimension."""
    if value is None:
        return
    said = value if isinstance(value, Mapping) else {}
    mean, sigma = (_numbers(said.get(key)) for key in ("_mu", "_sigma"))
    if said.get(":type:") != _NORMAL_NOISE or mean != {0.0} or len(sigma) != 1:
        raise _NotPlain
    yield "action_noise_std", sigma.pop()


def _numbers(printed: Json) -> set[float]:
    """What NumPy printed of a vector; nothing where that is not all numbers."""
    try:
        return {float(word) for word in str(printed).strip("[]").split()}
    except ValueError:
        return set()


def _rms_prop(field: str, data: Data) -> Iterator[tuple[str, Json]]:
    """RMSprop or Adam, which SB3 writes into the policy's arguments."""
    found = data.get("policy_kwargs")
    if not isinstance(found, Mapping):
        return
    optimizer = found.get("optimizer_class")
    if optimizer not in (None, _RMSPROP):
        raise _NotPlain
    epsilon = _EPSILON.search(str(found.get("optimizer_kwargs", "")))
    if field == "use_rms_prop":
        yield field, optimizer is not None
    elif optimizer is not None:
        if epsilon is None:
            raise _NotPlain
        yield field, float(epsilon[1])


def _optimizer(name: str, data: Data) -> Iterator[str]:
    """What the policy's optimizer was given and no config can say."""
    found = data.get("policy_kwargs")
    if not isinstance(found, Mapping):
        return
    traits = traits_of(name)
    chosen = found.get("optimizer_class")
    if traits.optimizer_kwargs is None and chosen not in (None, _ADAM):
        yield f"optimizer_class={str(chosen)[:80]}"
    usual = dict(traits.optimizer_kwargs or {})
    size = data.get("batch_size")
    if traits.epsilon_per_batch is not None and isinstance(size, int) and size > 0:
        usual["eps"] = traits.epsilon_per_batch / size
    given = found.get("optimizer_kwargs")
    for key, value in given.items() if isinstance(given, Mapping) else ():
        if key not in usual or usual[key] not in (ANY, value):
            yield f"optimizer_kwargs.{key[:40]}={str(value)[:40]}"


def _accepted(config: Mapping[str, Json], read: Mapping[str, Json]) -> tuple[dict[str, Json], list[str]]:
    """The most of what was read that makes a valid config, and what had to be left out."""
    for count in range(_MOST_LEFT_OUT + 1):
        for left_out in combinations(read, count):
            kept = {key: value for key, value in read.items() if key not in left_out}
            if _valid({**config, **kept}):
                return {**config, **kept}, [f"{key}={_text(read[key])}" for key in left_out]
    return dict(config), [f"{key}={_text(value)}" for key, value in read.items()]


def _valid(config: dict[str, Json]) -> bool:
    try:
        parse(Algorithm, config)
    except ConfigError:
        return False
    return True


def _size(space: Space) -> int:
    size = 1
    for side in space.shape or ():
        size *= side
    return size


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
