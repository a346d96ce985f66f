"""Every algorithm in a form that trains for a moment, and what a strategy must leave alone in it."""

from typing import Any

SMALL: dict[str, Any] = {"policy_kwargs": {"net_arch": (16, 16)}}
OFF: dict[str, Any] = {
    **SMALL,
    "buffer_size": 500,
    "batch_size": 16,
    "learning_starts": 16,
    "learning_rate": 1e-3,
}

ALGORITHMS: dict[str, dict[str, Any]] = {
    "PPO": {**SMALL, "n_envs": 2, "n_steps": 16, "batch_size": 16, "n_epochs": 2},
    "A2C": {**SMALL, "n_envs": 2, "n_steps": 8},
    "TRPO": {**SMALL, "n_envs": 2, "n_steps": 16, "batch_size": 16, "n_critic_updates": 2},
    "DQN": {**OFF, "train_freq": 4, "target_update_interval": 16},
    "QRDQN": {**OFF, "train_freq": 4, "target_update_interval": 16,
              "policy_kwargs": {"net_arch": (16, 16), "n_quantiles": 10}},
    "SAC": {**OFF, "train_freq": 4},
    "TQC": {**OFF, "train_freq": 4, "policy_kwargs": {"net_arch": (16, 16), "n_quantiles": 5},
            "top_quantiles_to_drop_per_net": 1},
    "TD3": {**OFF, "train_freq": 4, "action_noise_std": 0.1},
    "DDPG": {**OFF, "train_freq": 4, "action_noise_std": 0.1},
}  # fmt: skip

DISCRETE = {"PPO", "A2C", "TRPO", "DQN", "QRDQN"}
PENDULUM: dict[str, Any] = {"id": "Pendulum-v1", "perturb": ({"time_limit": 20},)}
HEAVY: dict[str, Any] = {"id": "Pendulum-v1", "perturb": ({"mass": 2.0}, {"time_limit": 20})}
"""Swings of 20 steps: in episodes of 200 most of what small runs take would be spent on measuring them."""


def run_of(name: str, /, **changes: Any) -> dict[str, Any]:
    """The fields of a small run of an algorithm in an environment that it can act in."""
    env = {"id": "CartPole-v1"} if name in DISCRETE else PENDULUM
    return {
        "env": env,
        "algorithm": {"name": name, **ALGORITHMS[name]},
        "training": {"total_steps": 64},
        "evaluation": {"every": 32, "episodes": 1},
        **changes,
    }


def target_of(name: str, /, **changes: Any) -> dict[str, Any]:
    """The same in a perturbed environment."""
    perturbed = (
        {"id": "CartPole-v1", "perturb": ({"action_remap": "reverse"},)} if name in DISCRETE else HEAVY
    )
    return run_of(name, **{"env": perturbed, **changes})
