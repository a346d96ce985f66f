"""What every config object shares: it is typed, frozen, and refuses unknown keys."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

LARGEST = 1e12
"""No return is larger than this; beyond it differences of floats mean nothing."""
LARGEST_INT = 2**128 - 1
"""As many bits as numpy draws a root seed with."""
MOST = 10**12
"""Steps, episodes, items: ten years at 3,000 a second."""
MOST_EVALUATIONS = 2**20
"""Points of one learning curve."""
PositiveInt = Annotated[int, Field(gt=0, le=MOST)]
NonNegativeInt = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_INT)]
PositiveFloat = Annotated[float, Field(gt=0, le=LARGEST)]
NonNegativeFloat = Annotated[float, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
InnerShare = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
"""A share that is neither nothing nor all."""
FiniteFloat = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Score = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
"""A value of the measure that a config names: a bar, a threshold, a reference."""


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if not ends[0] < ends[1]:
        raise ValueError(f"got {list(ends)}, expected two numbers of which the first is the lower")
    return ends


ScoreRange = Annotated[tuple[Score, Score], AfterValidator(_rising)]
"""The lowest and the highest value that the measure can have."""
Json = JsonValue
"""JSON-able data: null, booleans, numbers, text, lists and maps of such."""
JsonObject = dict[str, Any]
"""A JSON object: a resolved config, a record, a manifest; docs/architecture.md gives their keys."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]

__all__ = [
    "LARGEST",
    "LARGEST_INT",
    "MOST",
    "MOST_EVALUATIONS",
    "FiniteFloat",
    "Frozen",
    "InnerShare",
    "Json",
    "JsonObject",
    "JsonValue",
    "KeyedValueError",
    "Name",
    "NonNegativeFloat",
    "NonNegativeInt",
    "PositiveFloat",
    "PositiveInt",
    "Score",
    "ScoreRange",
    "Seed",
    "Share",
    "at_most",
    "canonical_json",
    "digest",
    "numbers_at_most",
]


def at_most(limit: float, why: str) -> AfterValidator:
    """A bound that no honest config meets, and that says why it is there.

    Args:
        limit: the largest value that is taken.
        why: what a larger one would do.

    Returns:
        A validator for ``Annotated``.
    """

    def check(value: float) -> float:
        if value > limit:
            raise ValueError(f"got {value:,}, expected at most {limit:,}: {why}")
        return value

    return AfterValidator(check)


class KeyedValueError(ValueError):
    """A validator's complaint about one key, given relative to the model that raised it.

    Args:
        key: the key.
        message: what is wrong with its value.
        beside: another key that its value does not go with: the one to look at where it was written by hand.
    """

    def __init__(self, key: str, message: str, beside: str | None = None) -> None:
        super().__init__(message)
        self.key: tuple[str | int, ...] = tuple(key.split("."))
        self.beside = beside


def numbers_at_most(limit: float, why: str) -> AfterValidator:
    """The same bound on every number of free arguments, however deep it stands.

    Args:
        limit: the largest magnitude that is taken.
        why: what a larger one would do.

    Returns:
        A validator for ``Annotated``.
    """

    def check(arguments: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        inner: list[tuple[str, JsonValue]] = [*(arguments or {}).items()]
        for key, value in inner:
            if isinstance(value, dict):
                inner += [(f"{key}.{name}", each) for name, each in value.items()]
            elif isinstance(value, list):
                inner += [(f"{key}.{index}", each) for index, each in enumerate(value)]
            elif isinstance(value, (int, float)) and abs(value) > limit:
                raise KeyedValueError(key, f"got {value:,}, expected at most {limit:,}: {why}")
        return arguments

    return AfterValidator(check)


class Frozen(BaseModel):
    """A config object: immutable after parsing, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, use_attribute_docstrings=True
    )

    def plain(self) -> JsonObject:
        """The object as JSON-able data, under the keys that YAML uses."""
        return self.model_dump(mode="json", by_alias=True)

    def identity(self) -> JsonObject:
        """What an id is the hash of: everything that can change a result."""
        return self.plain()


def digest(data: object, length: int = 16) -> str:
    """The beginning of the SHA-256 of ``data`` as canonical JSON.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True

    Args:
        data: what JSON can say; the order of keys does not matter.
        length: hexadecimal digits that are kept, 64 at most.

    Returns:
        Lower-case hexadecimal digits.
    """
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()[:length]


def canonical_json(data: object) -> str:
    """The one text of ``data``, whatever the order of its keys.

    >>> canonical_json({"b": 1, "a": None})
    '{"a":null,"b":1}'

    Args:
        data: what JSON can say.

    Returns:
        JSON with sorted keys and without spaces.
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
