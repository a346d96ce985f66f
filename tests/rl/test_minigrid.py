"""Somebody else's environments: MiniGrid by its module, perturbed by attribute path, wrapped and trained."""

from typing import Any

import pytest

import rl_transfer_envs as envs
from rl_transfer.rl.training.preflight import check_environment
from rl_transfer.spec import Environment
from support.rl import Execute

GRID = {"id": "MiniGrid-Empty-5x5-v0", "env_module": "minigrid"}
FLAT = {"id": "FlatGrid-v0", "env_module": "support.flat_grid"}


def perturbed(spec: dict[str, Any], *entries: dict[str, Any]) -> dict[str, Any]:
    return {**spec, "perturb": list(entries)}


@pytest.mark.parametrize(("given", "steps"), [(10, 10), ("x0.5", 50), ("x2", 200)])
def test_an_attribute_of_the_grid_is_perturbed(given: object, steps: int) -> None:
    """MiniGrid counts its own steps: 4·5² = 100 in a grid of 5 × 5; turning right for ever ends there."""
    env = envs.make(perturbed(GRID, {"attribute": {"max_steps": given}}))
    observation, _ = env.reset(seed=0)
    for step in range(1, steps + 1):
        assert observation in env.observation_space
        observation, _, terminated, truncated, _ = env.step(1)
        assert (terminated, truncated) == (False, step == steps)


@pytest.mark.parametrize(
    "entry",
    [
        {"attribute": {"max_steps": 20}},
        {"action_remap": [1, 0, 2, 3, 4, 5, 6]},
        {"sticky_actions": 0.5},
        {"observation_noise": {"std": 0.2, "part": "image"}},
    ],
    ids=lambda entry: next(iter(entry)),
)
def test_perturbations_have_an_effect_and_rebuild_from_json(entry: dict[str, Any]) -> None:
    spec = perturbed(GRID, entry)
    (report,) = envs.check_effect(spec)
    assert report.size > 0.01
    assert envs.spec_of(envs.make(spec)) == envs.canonical(spec)


def test_a_field_of_view_that_leaves_the_declared_space_is_refused() -> None:
    """The space is made in the constructor for 7 × 7 cells; five would be shown in it."""
    with pytest.raises(envs.EnvError, match="space") as caught:
        envs.check_effect(perturbed(GRID, {"attribute": {"agent_view_size": 5}}))
    assert caught.value.key == "perturb.0.attribute"


def test_a_wrapped_grid_is_trained_under_a_perturbation(run: Execute) -> None:
    env = perturbed(FLAT, {"attribute": {"max_steps": 12}}, {"action_remap": "reverse"})
    assert len(check_environment(Environment.model_validate(env), "env")) == 2
    assert envs.make(env).observation_space.shape == (2835,)
    folder = run(env=env)
    assert folder.record()["total_steps"] == 128
    lengths = [length for point in folder.curve() for length in point["lengths"]]
    assert len(lengths) == 9
    assert max(lengths) == 12
