"""Parameters that drift within an episode."""

import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import rl_transfer_envs as envs
from rl_transfer_envs import vector
from rl_transfer_envs.check import conformance
from rl_transfer_envs.check.play import first_divergence
from rl_transfer_envs.registry.probes import probes
from support.stub import Stub
from support.untyped import untyped


def made(env_id: str, *perturb: dict[str, Any]) -> Any:
    return envs.make({"id": env_id, "perturb": list(perturb)})


def context(env: Any, name: str, steps: int) -> list[Any]:
    """The value of every step."""
    found = []
    for _ in range(steps):
        info = env.step(env.action_space.sample())[4]
        found.append(info["context"][name])
    return found


def test_the_first_step_is_at_the_first_value_and_the_last_at_the_last() -> None:
    env = made("Pendulum-v1", {"mass": {"drift": ["x1", "x2", 5]}})
    env.action_space.seed(0)
    for _ in range(2):  # a new episode begins anew
        assert env.reset(seed=0)[1]["context"] == {"mass": 1.0}
        assert env.unwrapped.m == 1.0
        assert context(env, "mass", 7) == pytest.approx([1.0, 1.25, 1.5, 1.75, 2.0, 2.0, 2.0])
        assert env.unwrapped.m == 2.0


def test_without_steps_it_takes_as_long_as_the_time_limit() -> None:
    env = made("Pendulum-v1", {"mass": {"drift": [1.0, 0.5]}}, {"time_limit": 11})
    env.reset(seed=0)
    assert context(env, "mass", 11) == pytest.approx(np.linspace(1.0, 0.5, 11))


def test_every_step_is_that_of_an_environment_at_the_present_value() -> None:
    """CartPole, step by step: the drifting one, and fixed ones that are put into its state."""
    drifting = made(
        "CartPole-v1", {"length": {"drift": [0.5, 1.5, 11]}}, {"masspole": {"drift": ["x1", "x3", 6]}}
    )
    drifting.reset(seed=3)
    for step in range(12):
        length, mass = 0.5 + min(step, 10) * 0.1, 0.1 + min(step, 5) * 0.04
        fixed = made("CartPole-v1", {"length": length}, {"masspole": mass})
        fixed.reset(seed=0)
        fixed.unwrapped.state = drifting.unwrapped.state
        expected, found = fixed.step(step % 2), drifting.step(step % 2)
        assert found[0] == pytest.approx(expected[0], abs=1e-6), step


def test_masses_that_drift_leave_the_state_of_the_robot_alone() -> None:
    """MuJoCo recomputes its constants; an episode that goes on must not notice: at x1 to x1.0000001
    the trajectory is that of the base, and from x1 to x2 it is a heavier robot's at the end."""
    base, damping = gym.make("Hopper-v5"), {"joint_damping": {"thigh_joint": "x2"}}
    slightly = made("Hopper-v5", {"body_mass": {"drift": ["x1", "x1.0000001", 20]}})
    twice = made(
        "Hopper-v5", {"body_mass": {"drift": ["x1", "x2", 20]}}, {"joint_damping": {"thigh_joint": "x2"}}
    )
    for env in (base, slightly, twice):
        env.reset(seed=1)
        env.action_space.seed(0)
    for _ in range(15):
        action = base.action_space.sample()
        expected, found = base.step(action)[0], slightly.step(action)[0]
        np.testing.assert_allclose(found, expected, atol=1e-3)
        twice.step(action)
    for _ in range(10):
        twice.step(action)
    assert twice.unwrapped.model.body_mass == pytest.approx(2 * base.unwrapped.model.body_mass)  # type: ignore[attr-defined]
    heavy = made("Hopper-v5", {"body_mass": "x2"}, damping)
    heavy.reset(seed=1)
    for name in ("body_inertia", "body_subtreemass", "dof_M0", "dof_damping", "body_invweight0"):
        np.testing.assert_array_equal(
            getattr(twice.unwrapped.model, name), getattr(heavy.unwrapped.model, name), err_msg=name
        )


def test_spaces_hold_the_whole_drift() -> None:
    env = made("Pendulum-v1", {"max_torque": {"drift": [2.0, 4.0, 10]}})
    assert env.action_space.high.tolist() == [4.0]


def ends(parameter: envs.Parameter) -> dict[str, Any]:
    limits = parameter.factors or parameter.bounds or ()
    default: Any = 1.0 if parameter.factors else parameter.default
    bound = next(each for each in reversed(limits) if each != default)
    values = [f"x{default}", f"x{bound}"] if parameter.factors else [default, bound]
    return {parameter.name: {"drift": [*values, 20]}}


DRIFTING = [
    (env_id, name)
    for env_id in (
        "CartPole-v1",
        "Pendulum-v1",
        "PixelCatch-v0",
        "BipedalWalker-v3",
        "LunarLander-v3",
        "Hopper-v5",
    )
    for name, parameter in envs.parameters(env_id).items()
    if parameter.drifts and not parameter.free_elements
]


@pytest.mark.parametrize(("env_id", "name"), DRIFTING)
def test_what_may_drift_is_read_within_the_episode(env_id: str, name: str) -> None:
    """It starts at the default, so that whatever differs is the work of a later value."""
    parameter = envs.parameters(env_id)[name]
    still = made(env_id, {name: "x1" if parameter.keyed else parameter.default})
    drifting = made(env_id, ends(parameter))
    tried = probes(env_id, drifting.action_space, parameter.probes)
    found = (first_divergence(still, drifting, probe, seed=3, steps=300) for probe in tried)
    first = next((each for each in found if each is not None), None)
    assert first is not None
    assert first.step > 1


BAD: list[tuple[str, dict[str, Any], str, str]] = [
    ("CartPole-v1", {"length": {"drift": [1, 2, 1]}}, "length.drift.2", "2 or more, not 1"),
    ("CartPole-v1", {"length": {"drift": [1]}}, "length.drift", "[first, last]"),
    ("CartPole-v1", {"length": {"drift": [1, 1]}}, "length.drift", "begins where it ends"),
    ("CartPole-v1", {"length": {"drift": [1, 9]}}, "length.drift.1", "upper bound 5 m"),
    ("CartPole-v1", {"length": {"drift": [1, "x2"]}}, "length.drift", "mix of relative and absolute"),
    ("CartPole-v1", {"initial_spread": {"drift": [0.1, 0.2]}}, "initial_spread.drift", "cannot drift"),
    ("CartPole-v1", {"action_delay": {"drift": [1, 2]}}, "action_delay.drift", "cannot drift"),
    ("Hopper-v5", {"link_length": {"drift": ["x1", "x1.2"]}}, "link_length.drift", "cannot drift"),
    ("LunarLander-v3", {"gravity": {"drift": [5, 10]}}, "gravity.drift", "cannot drift"),
]


@pytest.mark.parametrize(("env_id", "entry", "key", "words"), BAD)
def test_what_cannot_drift_is_refused(env_id: str, entry: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(envs.EnvError, match=re.escape(words)) as caught:
        made(env_id, entry)
    assert caught.value.key == f"perturb.0.{key}"


def test_without_a_time_limit_the_steps_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pendulum = "gymnasium.envs.classic_control.pendulum:PendulumEnv"
    monkeypatch.setitem(gym.registry, "Endless-v0", gym.envs.registration.EnvSpec("Endless-v0", pendulum))
    with pytest.raises(envs.IncompatiblePerturbationError, match="give the steps"):
        made("Endless-v0", {"attribute": {"m": {"drift": [1.0, 2.0]}}})
    made("Endless-v0", {"attribute": {"m": {"drift": [1.0, 2.0, 50]}}}).reset(seed=0)


def test_batched_environments_refuse_it_with_the_reason() -> None:
    with pytest.raises(envs.IncompatiblePerturbationError, match=r"resets only.*sync"):
        vector.make({"id": "CartPole-v1", "perturb": [{"length": {"drift": [0.5, 1.0]}}]}, num_envs=2)


class Frozen(Stub):
    """Reads a number at resets only: moved from 2 to 3 it stays at 2."""

    start = 1.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.seen = np.full(1, self.start, dtype=np.float32)
        return super().reset(seed=seed)

    def look(self) -> Any:
        return self.seen


def test_the_effect_probe_sees_that_a_drift_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = gym.envs.registration.EnvSpec("Frozen-v0", untyped(Frozen), max_episode_steps=50)
    monkeypatch.setitem(gym.registry, "Frozen-v0", spec)
    assert envs.check_effect({"id": "Frozen-v0", "perturb": [{"attribute": {"start": 2.0}}]})
    drift = {"attribute": {"start": {"drift": [2.0, 3.0]}}}
    with pytest.raises(envs.InertPerturbationError, match="as if it stayed at its first value"):
        envs.check_effect({"id": "Frozen-v0", "perturb": [drift]})


def test_the_conformance_kit_passes_a_drift() -> None:
    rows = conformance.check({"id": "CartPole-v1", "perturb": [{"length": {"drift": ["x1", "x4"]}}]})
    assert {row.check: row.status for row in rows} == dict.fromkeys(
        ("effect", "spaces", "rebuild", "leak"), "pass"
    )


def test_what_was_drawn_for_the_episode_stays_while_something_drifts() -> None:
    """Multiples of masses are of the longer links' own: written anew at every step, they must not add up."""
    masses, legs = {"body_mass": {"uniform": ["x1.5", "x1.6"]}}, {"link_length": "x1.2"}
    env = made("Hopper-v5", masses, legs, {"gravity": {"drift": [9.81, 5.0, 4]}})
    env.reset(seed=0)
    before = env.unwrapped.model.body_mass.copy()
    for _ in range(3):
        env.step(np.zeros(3, dtype=np.float32))
    np.testing.assert_array_equal(env.unwrapped.model.body_mass, before)
    assert env.unwrapped.model.opt.gravity[2] < -4.9
    env.step(np.zeros(3, dtype=np.float32))
    assert env.unwrapped.model.opt.gravity[2] == pytest.approx(-5.0)


def test_the_context_shows_the_masses_in_effect() -> None:
    env = made("Hopper-v5", {"body_mass": {"drift": ["x1", "x2", 3]}}, {"link_length": "x1.2"})
    longer = made("Hopper-v5", {"link_length": "x1.2"}).unwrapped.model.body_mass
    env.reset(seed=0)
    for factor in (1.0, 1.5, 2.0, 2.0):
        info = env.step(np.zeros(3, dtype=np.float32))[4]
        assert list(info["context"]["body_mass"].values()) == pytest.approx(factor * longer[1:])
        assert env.unwrapped.model.body_mass == pytest.approx(factor * longer)
