"""Values of every wrapper, for CartPole (same shapes, other shapes) and for Pendulum."""

from typing import Any

DISCRETE: dict[str, list[Any]] = {
    "observation_noise": [
        0.1,
        {"std": [0.1, 0.2, 0.3, 0.4], "distribution": "uniform"},
        {"uniform": [0.1, 0.3]},
    ],
    "observation_bias": [0.5, {"choice": [0.1, 0.2]}],
    "observation_scale": [2.0, [1.0, 2.0, 0.5, 3.0]],
    "observation_dropout": [0.2, {"probability": 0.2, "whole": True, "fill": -1.0}],
    "observation_quantisation": [0.1, {"choice": [0.05, 0.2]}],
    "observation_delay": [3, {"choice": [1, 4]}],
    "observation_permutation": ["reverse", [1, 0, 2, 3]],
    "observation_rotation": [0.5, -1.5],
    "observation_missing": [{"dimensions": [0], "mode": "zero"}, {"dimensions": [2, 3], "mode": "zero"}],
    "action_remap": ["reverse", [1, 0]],
    "random_action": [0.3],
    "sticky_actions": [0.3],
    "action_delay": [2, {"choice": [1, 2]}, {"steps": 1, "fill": 1}],
    "reward_scale": [2.0, {"uniform": [1.0, 2.0]}],
    "reward_power": [0.5, 2.0],
    "reward_noise": [0.3, {"uniform": [0.1, 0.5]}],
    "reward_delay": [5],
    "reward_sparsification": [10, {"only_at_end": True}],
    "reward_shaping": [0.7, {"weight": 0.7, "dimensions": [0, 2], "goal": [0.1, 0.0]}],
    "time_limit": [15, {"choice": [10, 20]}],
}
RESHAPED: dict[str, list[Any]] = {
    "observation_missing": [[2, 0], [1, 3]],
    "observation_context": [["length"], ["masspole"]],
    "observation_distractors": [2, {"count": 2, "std": 0.5, "correlation": 0.9}],
    "time_feature": ["remaining", "constant"],
    "extra_actions": [2, {"count": 2, "noop": 1}],
}
CONTINUOUS: dict[str, list[Any]] = {
    "action_noise": [0.3, {"choice": [0.0, 0.2]}],
    "action_scale": [2.0, 0.5],
    "action_dead_zone": [0.4],
    "action_inversion": ["all", [0]],
    "random_action": [0.3],
    "sticky_actions": [0.3],
    "action_delay": [2],
    "reward_power": [0.5],
    "reward_noise": [0.3],
}
