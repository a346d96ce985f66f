"""The seeds of a suite: a number, a list, or a plan of looks at which they are added."""

from __future__ import annotations

import itertools
from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator

from rl_transfer.spec.base import Frozen, Seed

MOST_SEEDS = 100_000
LEAST_SEEDS = 4
"""With fewer runs in an arm every verdict is inconclusive: the test has no p below 0.05."""
TOO_MANY = "each is a run with a folder of its own, and is planned before the first begins"


class SeedPlan(Frozen):
    """Seeds in stages: after each the results are looked at, and only undecided cells go on."""

    plan: tuple[int, ...] = Field(min_length=1)
    """Seeds per arm at each look, increasing."""
    first: Seed = 0
    """Index of the first seed; another one makes runs that no earlier look has seen."""

    @field_validator("plan")
    @classmethod
    def _increases(cls, plan: tuple[int, ...]) -> tuple[int, ...]:
        if plan[0] < LEAST_SEEDS:
            raise ValueError(
                f"the first look has {plan[0]} seeds, expected at least {LEAST_SEEDS}: with fewer no verdict "
                "is possible, and the look would spend a part of the level for nothing"
            )
        for before, after in itertools.pairwise(plan):
            if after <= before:
                raise ValueError(
                    f"a plan grows from look to look, got {after} seeds after {before}; give the seeds per "
                    "arm in all, such as [5, 10, 15, 20]"
                )
        if plan[-1] > MOST_SEEDS:
            raise ValueError(f"got {plan[-1]:,} seeds, expected at most {MOST_SEEDS:,}: {TOO_MANY}")
        return plan

    @property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """The seed indices that each look adds."""
        ends = [0, *self.plan]
        return tuple(
            tuple(range(self.first + low, self.first + high)) for low, high in itertools.pairwise(ends)
        )


def _listed(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("seeds must be at least 1")
        if value > MOST_SEEDS:
            raise ValueError(f"got {value:,}, expected at most {MOST_SEEDS:,}: {TOO_MANY}")
        return tuple(range(value))
    if isinstance(value, float):
        raise ValueError(f"got {value}, expected a whole number, or a list of them")
    return tuple(value) if isinstance(value, list) else value


def _form(value: object) -> str:
    return "seed plan" if isinstance(value, dict | SeedPlan) else "seed list"


Seeds = Annotated[
    Annotated[tuple[Seed, ...], Field(min_length=1), BeforeValidator(_listed), Tag("seed list")]
    | Annotated[SeedPlan, Tag("seed plan")],
    Discriminator(_form),
]
"""A number n stands for 0 … n−1."""
