"""Tuning: a grid of hyperparameters, the same for every arm, tried on seeds of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import Field, field_validator

from rl_transfer.errors import ConfigError
from rl_transfer.spec.base import Frozen, Json, JsonObject, JsonValue, KeyedValueError, canonical_json
from rl_transfer.spec.load import parse
from rl_transfer.wording import did_you_mean, in_words, shortened

FIRST_SEED = 1_000_000_000
"""Index of the first tuning seed."""
MOST_SEEDS = 1_000
MOST_POINTS = 256
RESERVED = range(FIRST_SEED, FIRST_SEED + MOST_SEEDS)
"""Seed indices that belong to tuning: no judged seed may be one of them, in this version or a later."""

Config = TypeVar("Config", bound=Frozen)


def _several(values: tuple[JsonValue, ...]) -> tuple[JsonValue, ...]:
    if len(values) < 2:
        raise ValueError(f"got {list(values)}, expected at least two values; one is no choice")
    said = [canonical_json(value) for value in values]
    if len({*said}) != len(said):
        raise ValueError(f"got {shortened(str(list(values)))}, in which a value stands twice")
    return values


class Tune(Frozen):
    """What every arm may choose from, by which runs, and what it maximises (docs/tuning.md)."""

    grid: dict[str, tuple[JsonValue, ...]] = Field(min_length=1)
    """Dotted key, as overrides have them → its values; all combinations are tried."""
    seeds: Annotated[int, Field(ge=2, le=MOST_SEEDS)] = 5
    """Runs of every arm at every point; their seed indices are never judged."""
    by: Literal["auc", "final_performance"] = "auc"
    """Whose mean over the tuning seeds is maximised."""

    @field_validator("grid")
    @classmethod
    def _is_a_grid(cls, grid: dict[str, tuple[JsonValue, ...]]) -> dict[str, tuple[JsonValue, ...]]:
        points = 1
        for key, values in grid.items():
            if not all(key.split(".")):
                raise ValueError(
                    f"the key {key!r} has an empty part, expected one like algorithm.learning_rate"
                )
            try:
                points *= len(_several(values))
            except ValueError as error:
                raise KeyedValueError(key, str(error)) from None
        if points > MOST_POINTS:
            raise ValueError(
                f"the grid has {points:,} points, expected at most {MOST_POINTS}: every arm is trained at "
                "all of them"
            )
        return grid

    @property
    def points(self) -> tuple[Mapping[str, JsonValue], ...]:
        """Every combination of the grid's values, the last key changing fastest."""
        return tuple(
            dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())
        )

    @property
    def seed_indices(self) -> tuple[int, ...]:
        """The tuning seeds: indices that no judged seed has, so that every random stream is another one."""
        return tuple(range(FIRST_SEED, FIRST_SEED + self.seeds))


def point_words(point: Mapping[str, Json]) -> str:
    """A grid point for people: ``learning_rate=0.001``, its keys without their sections.

    >>> point_words({"algorithm.learning_rate.linear": 0.001, "algorithm.clip_range": {"linear": 0.2}})
    'learning_rate.linear=0.001, clip_range={"linear":0.2}'

    Args:
        point: dotted key → value.
    """
    return ", ".join(
        f"{key.partition('.')[2] or key}={value if isinstance(value, str) else canonical_json(value)}"
        for key, value in point.items()
    )


def with_values(config: Config, values: Sequence[tuple[Sequence[str], JsonValue]]) -> Config:
    """A config with other values at some keys, validated again when all of them are set.

    Args:
        config: what the keys belong to; it stays as it is.
        values: each key's steps from there on, and its value as YAML has it.

    Returns:
        A copy. What else was left open in ``config`` is left open in it.

    Raises:
        ValueError: a key does not exist, or a value does not fit.
    """
    data: JsonObject = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for steps, value in values:
        inner = data
        for step in steps[:-1]:
            if not isinstance(inner.get(step), dict):
                inner[step] = {}
            inner = inner[step]
        inner[steps[-1]] = value
    try:
        checked = parse(type(config), data)
    except ConfigError as error:
        raise ValueError(error.message) from None
    changed = {steps[0] for steps, _ in values}
    names = [name for name, field in type(config).model_fields.items() if changed & {name, field.alias}]
    return config.model_copy(update={name: getattr(checked, name) for name in names})


FIXED_OF_STRATEGIES: tuple[str, ...] = (
    "name", "summary", "paper", "control", "control_for", "copy", "reset", "reset_on_mismatch", "input_maps",
    "input_fill", "output_maps", "adapt", "align", "freeze", "progressive", "train", "hooks", "uses_source",
    "as_copied",
)  # fmt: skip
"""Keys that make another strategy, and not the same one with another knob."""


def without_tuned(run: JsonObject, sections: Mapping[str, tuple[str, ...]]) -> JsonObject:
    """What of a run no grid may change.

    Args:
        run: its config, as its record has it.
        sections: of the suite → what of it may not be tuned.

    Returns:
        The config, of which tuned sections and the strategy keep what is fixed alone.
    """
    fixed = {**sections, "strategy": FIXED_OF_STRATEGIES}
    return {
        key: {name: each for name, each in value.items() if name in fixed[key]}
        if key in fixed and isinstance(value, dict)
        else value
        for key, value in run.items()
    }


def split_key(key: str, sections: Mapping[str, tuple[str, ...]], strategies: list[str]) -> list[str]:
    """The steps of a grid's key, if tuning may change it.

    Args:
        key: dotted.
        sections: of the suite → what of it may not be tuned.
        strategies: names of the suite's.

    Returns:
        ``[section, key, …]``, or ``["strategies", name, key, …]``.

    Raises:
        ValueError: it stands for the task, the budget, the seeds or the evaluation, or names nothing.
    """
    allowed = [*(f"{each}.…" for each in sections), "strategies.NAME.…"]
    section, _, rest = key.partition(".")
    if section == "strategies":
        name = max((each for each in strategies if rest.startswith(f"{each}.")), key=len, default="")
        if not name:
            raise ValueError(
                f"{key!r} names none of the strategies {in_words(strategies)}; a knob of one is written "
                f"strategies.NAME.KEY.{did_you_mean(rest.partition('.')[0], strategies)}"
            )
        steps, fixed = ["strategies", name, *rest[len(name) + 1 :].split(".")], FIXED_OF_STRATEGIES
        why = "makes another strategy; give that one a name of its own under strategies"
    elif section in sections and rest:
        steps, fixed = key.split("."), sections[section]
        why = "is shared with the source, or belongs to the task, the budget or the machine"
    else:
        raise ValueError(
            f"{key!r} cannot be tuned: a grid may change {in_words(allowed, 'and')}, never the task, the "
            "budget, the seeds or the evaluation"
        )
    what = steps[2] if section == "strategies" else steps[1]
    if "" in steps or what in fixed:
        raise ValueError(f"{key!r} cannot be tuned: {what or 'an empty key'} {why}")
    return steps


def numeric(values: Iterator[Json]) -> list[float] | None:
    """The values of a grid's key as numbers; schedules count with the one number that they name.

    >>> numeric(iter([{"linear": 0.001}, {"linear": 0.01}]))
    [0.001, 0.01]

    Args:
        values: as YAML has them.

    Returns:
        As many numbers; None where one of them is none.
    """
    found = [next(iter(v.values())) if isinstance(v, dict) and len(v) == 1 else v for v in values]
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in found):
        return None
    return [float(v) for v in found if isinstance(v, int | float)]
