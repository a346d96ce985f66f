"""What is trained: one row of the table each, as configs of the product.

Settings are rl-zoo3's where it has any that the compiled engine can run (gSDE is left out), else the defaults
of Stable-Baselines3; every row says which.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from rl_transfer.spec import RLRun

CARTPOLE: dict[str, Any] = {
    "name": "PPO", "n_envs": 8, "n_steps": 32, "batch_size": 256, "n_epochs": 20, "gamma": 0.98,
    "gae_lambda": 0.8, "ent_coef": 0.0, "learning_rate": {"linear": 0.001}, "clip_range": {"linear": 0.2},
}  # fmt: skip
DEFAULTS: dict[str, Any] = {"name": "PPO"}
NORMALIZED = {"normalize": {"observation": True, "reward": True}}
ACROBOT = {
    "name": "PPO", "n_envs": 16, "n_steps": 256, "n_epochs": 4, "gamma": 0.99, "gae_lambda": 0.94,
    "ent_coef": 0.0, **NORMALIZED,
}  # fmt: skip
PENDULUM = {
    "name": "PPO", "n_envs": 4, "n_steps": 1024, "n_epochs": 10, "gamma": 0.9, "gae_lambda": 0.95,
    "ent_coef": 0.0, "learning_rate": 0.001, "clip_range": 0.2,
}  # fmt: skip
MOUNTAIN_CAR = {
    "name": "PPO", "n_envs": 16, "n_steps": 16, "n_epochs": 4, "gamma": 0.99, "gae_lambda": 0.98,
    "ent_coef": 0.0, **NORMALIZED,
}  # fmt: skip
FROZEN = {"freeze": ["trunk"]}
BOTH = ("sb3", "compiled")


@dataclass(frozen=True)
class Case:
    """One row."""

    name: str
    env: str
    algorithm: dict[str, Any]
    steps: int
    """Environment steps of one training."""
    settings: str
    """Where the algorithm's settings come from."""
    contenders: tuple[str, ...] = BOTH
    strategy: dict[str, Any] = field(default_factory=dict)
    opaque: bool = False
    """Whether the environment is wrapped so that nothing but its own ``step`` can be called."""

    def shortened(self, steps: int | None) -> Case:
        """With a budget of about ``steps``, in whole updates, one at least; None: as it is."""
        algorithm = self.run(0).algorithm
        if steps is None or algorithm is None:
            return self
        multiple = algorithm.step_multiple
        return replace(self, steps=max(steps // multiple, 1) * multiple)

    def run(self, seed: int, engine: str = "sb3", **more: Any) -> RLRun:
        """The run that trains it; ``more`` replaces parts of the config."""
        training: dict[str, Any] = {"total_steps": self.steps}
        if engine != "sb3":
            training["engine"] = engine
        return RLRun.model_validate(
            {
                "env": {"id": self.env},
                "algorithm": self.algorithm,
                "training": training,
                "evaluation": {"every": self.steps, "episodes": 10},
                "strategy": self.strategy,
                "seed": seed,
                **more,
            }
        )


CASES = (
    Case("cartpole", "CartPole-v1", CARTPOLE, 25_600, "rl-zoo3", (*BOTH, "jax-1", "jax-16", "floor")),
    Case("cartpole-frozen", "CartPole-v1", CARTPOLE, 25_600, "rl-zoo3", (*BOTH, "floor"), FROZEN),
    Case("acrobot", "Acrobot-v1", ACROBOT, 16_384, "rl-zoo3", (*BOTH, "floor")),
    Case("pendulum", "Pendulum-v1", PENDULUM, 16_384, "rl-zoo3 without gSDE", (*BOTH, "floor")),
    Case("mountain-car", "MountainCar-v0", MOUNTAIN_CAR, 16_384, "rl-zoo3", (*BOTH, "floor")),
    Case("mountain-car-continuous", "MountainCarContinuous-v0", DEFAULTS, 8_192, "SB3", (*BOTH, "floor")),
    Case("pendulum-step", "Pendulum-v1", DEFAULTS, 8_192, "SB3", opaque=True),
    Case("lunar-lander-step", "LunarLanderContinuous-v3", DEFAULTS, 8_192, "SB3", opaque=True),
    Case("half-cheetah-step", "HalfCheetah-v5", DEFAULTS, 8_192, "SB3", opaque=True),
    Case("hopper-step", "Hopper-v5", DEFAULTS, 8_192, "SB3", opaque=True),
    Case("dqn-cartpole", "CartPole-v1", {"name": "DQN"}, 8_192, "SB3"),
    Case("a2c-cartpole", "CartPole-v1", {"name": "A2C", "n_envs": 8}, 16_000, "SB3, 8 environments"),
)
"""The rows of the table."""


def widened(case: Case, layers: tuple[int, ...]) -> Case:
    """The same with other hidden layers in actor and critic."""
    network = {"policy_kwargs": {"net_arch": list(layers)}}
    return replace(case, algorithm={**case.algorithm, **network})


def growth() -> dict[str, tuple[Case, ...]]:
    """CartPole's PPO, one setting varied at a time; rollouts stay 256 steps."""
    base = replace(CASES[0], contenders=(*BOTH, "floor"), steps=5_120)

    def parallel(count: int) -> Case:
        sizes = {"n_envs": count, "n_steps": 256 // count}
        return replace(base, name=f"n_envs-{count}", algorithm={**base.algorithm, **sizes})

    return {
        "width": tuple(
            replace(widened(base, (w, w)), name=f"width-{w}", steps=5_120 if w < 256 else 1_024)
            for w in (32, 64, 128, 256, 512)
        ),
        "depth": tuple(replace(widened(base, (64,) * d), name=f"depth-{d}") for d in (1, 2, 3, 4)),
        "n_envs": tuple(parallel(count) for count in (1, 4, 8, 16, 64)),
    }


def every_case() -> dict[str, Case]:
    """Name → case, those of the growth included."""
    cases = (*CASES, *(case for family in growth().values() for case in family))
    return {case.name: case for case in cases}
