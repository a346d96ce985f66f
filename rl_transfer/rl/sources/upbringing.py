"""What a policy grew up with, as far as the files beside it tell: wrappers, inputs that never moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from rl_transfer import bounded
from rl_transfer.errors import ConfigError
from rl_transfer.rl.policies.normalization import PREFIX
from rl_transfer.rl.sources.vec_normalize import Statistics
from rl_transfer.spec import Environment
from rl_transfer.spec.base import Json
from rl_transfer.spec.yaml_map import parse_value

CONFIG_NAME = "config.yml"
"""rl-zoo's hyperparameters of a run, beside its policy."""

STILL = 1e-10
"""Running variance below which an input never moved: SB3 starts at 1 with a count of 1e-4."""

_MOST_BYTES = 2**16
_MOST_ALIASES = 20
_TIME = "TimeFeatureWrapper"


@dataclass(frozen=True)
class Wrapper:
    """A wrapper that rl-zoo put around the environment: its dotted name and arguments."""

    name: str
    arguments: Mapping[str, Json]


def read_wrappers(path: Path) -> tuple[list[Wrapper], list[str]]:
    """The wrappers that rl-zoo's ``config.yml`` names. Tags are not followed, nothing is imported.

    Args:
        path: the file.

    Returns:
        The wrappers from the inside out, and a sentence if the file cannot be read.
    """
    try:
        text = bounded.read_bytes(path, _MOST_BYTES).decode("utf-8")
        if text.count("*") > _MOST_ALIASES:
            raise ValueError("it repeats itself")
        config = _pairs(parse_value(text))
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        reason = error.message if isinstance(error, ConfigError) else str(error)
        return [], [f"{path.name} beside it was not read: {reason[:200]}"]
    return list(_wrappers(config.get("env_wrapper"))), []


def wrapped(env: Environment, wrappers: list[Wrapper]) -> tuple[Environment, list[str]]:
    """The environment with what stands for the wrappers here.

    Args:
        env: where the policy was trained, as known so far.
        wrappers: from the inside out.

    Returns:
        The environment, and one sentence for each wrapper.
    """
    notes = []
    for wrapper in wrappers:
        if wrapper.name.rpartition(".")[2] != _TIME:
            notes.append(
                f"{CONFIG_NAME} names the wrapper {wrapper.name[:80]}, which has no counterpart here; where "
                "it changes what is observed or done, the policy acts badly without it"
            )
        elif not any("time_feature" in entry for entry in env.perturb):
            entry: dict[str, Json] = {
                "feature": "constant" if wrapper.arguments.get("test_mode") is True else "remaining"
            }
            if isinstance(wrapper.arguments.get("max_steps"), int):
                entry["max_steps"] = wrapper.arguments["max_steps"]
            env = _perturbed(env, {"time_feature": entry})
            notes.append(f"{CONFIG_NAME} names {_TIME}: the environment got time_feature: {entry['feature']}")
    return env, notes


def still_inputs(statistics: Statistics | None) -> list[int]:
    """The inputs that were 0 all the time while the policy was trained.

    Args:
        statistics: of its observations, if there are any.

    Returns:
        Their numbers, ascending; none for dict observations and images.
    """
    arrays = statistics.arrays if statistics else {}
    mean, var = (arrays.get(f"{PREFIX}observation//{field}") for field in ("mean", "var"))
    if mean is None or var is None or var.ndim != 1:
        return []
    return np.flatnonzero((var <= STILL) & (np.abs(mean) <= np.sqrt(STILL))).tolist()


def masked(env: Environment, inputs: list[int], mask: bool) -> tuple[Environment, list[str]]:
    """The environment with those inputs held at 0, if that is wanted.

    Args:
        env: where the policy was trained.
        inputs: as :func:`still_inputs` gives them.
        mask: whether the user wants them masked.

    Returns:
        The environment, and a sentence on what these inputs are and what was or can be done.
    """
    entry: dict[str, Json] = {"observation_missing": {"dimensions": [*inputs], "mode": "zero"}}
    if not inputs or entry in env.perturb:
        return env, []
    what = (
        f"{len(inputs)} of its inputs ({_ranges(inputs)}) were always 0 while it was trained, by the "
        "variance in its statistics"
    )
    if mask:
        return _perturbed(env, entry), [f"{what}; they are masked: the environment got observation_missing"]
    return env, [
        f"{what}; where they move today it acts badly. --mask-zeros (mask_zeros=True) holds them at 0 in "
        "its environment, and in a target perturb: "
        f"[{{observation_missing: {{dimensions: {inputs}, mode: zero}}}}]"
    ]


def _perturbed(env: Environment, entry: dict[str, Json]) -> Environment:
    return env.model_copy(update={"perturb": (*env.perturb, entry)})


def _wrappers(value: Json) -> Iterator[Wrapper]:
    if isinstance(value, str):
        yield Wrapper(value, {})
    elif isinstance(value, dict):
        for name, arguments in value.items():
            yield Wrapper(name, _pairs(arguments))
    elif isinstance(value, list):
        for each in value:
            yield from _wrappers(each)


def _pairs(value: Json) -> dict[str, Json]:
    """A mapping; an OrderedDict is dumped as a list that holds a list of pairs."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        return {}
    if len(value) == 1 and isinstance(value[0], list):
        return _pairs(value[0])
    pairs = [each for each in value if isinstance(each, list) and len(each) == 2]
    return {name: each for name, each in pairs if isinstance(name, str)}


def _ranges(numbers: list[int]) -> str:
    """``0, 3 to 5``."""
    cuts = [0, *(i for i in range(1, len(numbers)) if numbers[i] != numbers[i - 1] + 1), len(numbers)]
    runs = [numbers[start:end] for start, end in pairwise(cuts)]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
