"""The batch as a Gymnasium vector environment: autoreset, seeds, spaces, refusals."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.vector import AutoresetMode

import rl_transfer_envs
from rl_transfer_envs import vector
from rl_transfer_envs.registry import perturbations as interface
from rl_transfer_envs.registry.perturbations import Perturbation, register_perturbation
from rl_transfer_envs.wrappers.observation import ObservationPerturbation
from support.untyped import untyped
from support.vector import CLASSIC, Spec, assert_equal_to_sync, assert_same


def cartpole(*perturb: dict[str, Any]) -> Spec:
    return {"id": "CartPole-v1", "perturb": list(perturb)}


SHORT, LONGER = cartpole({"time_limit": 3}), cartpole({"time_limit": 5})


def balanced(env: vector.BatchedVectorEnv, steps: int) -> list[Any]:
    """Play 0, 1, 0, 1 …, which keeps CartPole up for a few steps."""
    return [env.step(np.full(env.num_envs, step % 2)) for step in range(steps)]


def test_next_step_autoreset() -> None:
    """Limit 3 against 5: the third step truncates the first instance, the fourth resets it with reward 0."""
    env = vector.make([SHORT, LONGER])
    env.reset(seed=0)
    results = balanced(env, 6)
    assert [r[3].tolist() for r in results] == [
        [False, False], [False, False], [True, False], [False, False], [False, True], [False, False],
    ]  # fmt: skip
    assert [r[1].tolist() for r in results] == [[1, 1], [1, 1], [1, 1], [0, 1], [1, 1], [1, 0]]
    assert not any(r[2].any() for r in results)
    assert not any("final_obs" in r[4] for r in results)


def test_same_step_autoreset() -> None:
    """The step that ends an episode shows the next one's start; the end is in ``final_obs``."""
    env, alone = vector.make([SHORT, LONGER], autoreset_mode="SameStep"), rl_transfer_envs.make(SHORT)
    env.reset(seed=0)
    alone.reset(seed=0)
    *_, (observations, rewards, _, truncated, info) = balanced(env, 3)
    *_, (end, *_) = [alone.step(step % 2) for step in range(3)]
    start, _ = alone.reset()
    assert truncated.tolist() == [True, False]
    assert rewards.tolist() == [1, 1]
    assert np.array_equal(info["final_obs"][0], end)
    assert info["final_obs"][1] is None
    assert info["_final_obs"].tolist() == [True, False]
    assert info["final_info"] == {}
    assert np.array_equal(observations[0], start)


def test_termination_and_truncation_in_one_step() -> None:
    """A pole pushed right all the time falls after some ten steps; a limit of that many makes both true."""
    env = vector.make("CartPole-v1")
    env.reset(seed=0)
    fall = next(step for step in range(1, 50) if env.step(np.array([1]))[2][0])
    limited = vector.make({"id": "CartPole-v1", "perturb": [{"time_limit": fall}]})
    limited.reset(seed=0)
    for _ in range(fall):
        _, _, terminated, truncated, _ = limited.step(np.array([1]))
    assert (terminated.item(), truncated.item()) == (True, True)


def test_without_autoreset() -> None:
    env = vector.make([SHORT, LONGER], autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    seen = balanced(env, 3)[-1][0]
    with pytest.raises(gym.error.ResetNeeded, match=r"instances \[0\] are finished"):
        env.step(np.array([0, 0]))
    after, _ = env.reset(options={"reset_mask": np.array([True, False])})
    assert np.array_equal(after[1], seen[1])
    assert not np.array_equal(after[0], seen[0])
    assert balanced(env, 2)[-1][3].tolist() == [False, True]


def test_reset_mask_is_the_one_of_sync() -> None:
    noise = {"observation_noise": 0.1}
    specs = [
        cartpole({"length": {"uniform": [0.3, 0.8]}}, noise),
        cartpole(noise),
        cartpole({"gravity": {"uniform": [5.0, 9.0]}}, {"observation_noise": 0.2}),
    ]
    both = (
        vector.make(specs),
        gym.vector.SyncVectorEnv([partial(rl_transfer_envs.make, spec) for spec in specs]),
    )
    for env in both:
        env.reset(seed=0)
        env.step(np.array([0, 1, 0]))
    options = [{"reset_mask": np.array([True, False, True])} for _ in both]
    assert_same(
        *(untyped(env).reset(seed=[5, 6, 7], options=each) for env, each in zip(both, options, strict=True))
    )
    assert_same(*untyped(env.step(np.array([0, 1, 0])) for env in both))


@pytest.mark.parametrize("env_id", CLASSIC)
@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_plain_environments_are_gymnasiums(env_id: str, mode: str) -> None:
    ours = vector.make(env_id, 3, autoreset_mode=mode)
    theirs = gym.make_vec(env_id, 3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode})
    assert_same(ours.reset(seed=11), theirs.reset(seed=11))
    ours.action_space.seed(0)
    for _ in range(250):
        actions = ours.action_space.sample()
        assert_same(ours.step(actions), theirs.step(actions))


def test_seeds() -> None:
    """One seed means seed + i; a list is taken as it is; no seed goes on; unseeded instances differ."""
    env = vector.make("CartPole-v1", 3)
    together, _ = env.reset(seed=4)
    assert env.np_random_seed == (4, 5, 6)
    assert np.array_equal(together, env.reset(seed=[4, 5, 6])[0])
    assert not np.array_equal(together, env.reset()[0])
    assert [g.bit_generator.state for g in env.np_random] != [
        g.bit_generator.state for g in env.np_random[::-1]
    ]
    fresh, _ = vector.make("CartPole-v1", 3).reset()
    assert len(np.unique(fresh[:, 0])) == 3
    with pytest.raises(ValueError, match="3 instances need 3 seeds, not 2"):
        env.reset(seed=[1, 2])


def test_reset_options_hold_for_one_reset() -> None:
    env = vector.make("CartPole-v1", 2, autoreset_mode="SameStep")
    observations, _ = env.reset(seed=0, options={"low": 0.11, "high": 0.12})
    assert (observations > 0.1).all()
    assert (np.abs(env.reset()[0]) <= 0.05).all()


def test_bounds_that_differ() -> None:
    """Thresholds 1 and 3: bounds ±2 and ±6; the single space holds both."""
    env = untyped(vector.make([cartpole({"x_threshold": x}) for x in (1.0, 3.0)]))
    assert env.single_observation_space.high[0] == 6
    assert env.observation_space.high[:, 0].tolist() == [2, 6]
    torques = [{"id": "Pendulum-v1", "perturb": [{"max_torque": x}]} for x in (1.0, 4.0)]
    pendulum = untyped(vector.make(torques))
    assert pendulum.single_action_space.high.tolist() == [4]
    assert pendulum.action_space.high.tolist() == [[1], [4]]


def test_results_are_the_callers_own() -> None:
    """What a step returned is not overwritten by the next, and writing to it changes nothing."""
    spec = cartpole({"length": {"uniform": [0.3, 0.8]}}, {"observation_delay": 1})
    env, untouched = vector.make(spec, 2), vector.make(spec, 2)
    env.reset(seed=0)
    untouched.reset(seed=0)
    for step in range(40):
        actions = np.full(2, step % 2)
        ours = env.step(actions)
        assert_same(ours, untouched.step(actions))
        for array in ours[:4]:
            array[:] = 1
        ours[4]["base_observation"][:] = 9
        ours[4]["context"]["length"][:] = 9
        actions[:] = 1


def test_attributes_and_methods_of_the_instances() -> None:
    env = vector.make([{"id": "CartPole-v1", "perturb": [{"length": x}]} for x in (0.3, 0.6)])
    env.reset(seed=0)
    observations = env.step(np.array([0, 1]))[0]
    assert env.get_attr("length") == (0.3, 0.6)
    assert env.get_attr("polemass_length") == pytest.approx((0.03, 0.06))
    assert np.array_equal(np.array(env.get_attr("state"), dtype=np.float32), observations)
    assert env.get_attr("_elapsed_steps") == (1, 1)
    assert env.call("has_wrapper_attr", "masscart") == (True, True)
    env.set_attr("note", ["a", "b"])
    assert env.get_attr("note") == ("a", "b")
    with pytest.raises(rl_transfer_envs.PerturbedAfterConstructionError, match="'length' cannot be changed"):
        env.set_attr("length", 1.0)
    with pytest.raises(rl_transfer_envs.InvalidSpecError, match="step the whole batch"):
        env.call("step", 0)


@pytest.mark.parametrize("env_id", CLASSIC)
def test_frames_are_those_of_the_single_environment(env_id: str) -> None:
    env = vector.make(env_id, 2, render_mode="rgb_array")
    alone = rl_transfer_envs.make(env_id, render_mode="rgb_array")
    env.reset(seed=1)
    alone.reset(seed=2)
    env.action_space.seed(0)
    for _ in range(3):
        actions = env.action_space.sample()
        env.step(actions)
        alone.step(actions[1])
    frames = env.render()
    assert frames is not None
    assert np.array_equal(frames[1], untyped(alone.render()))
    env.close()
    alone.close()


class TestMakeVec:
    def test_registered_id(self) -> None:
        env = gym.make_vec("rl_transfer_envs:CartPoleLongPole-v1", num_envs=3, autoreset_mode="SameStep")
        assert isinstance(env, vector.BatchedVectorEnv)
        assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        assert env.get_attr("length") == (1.5, 1.5, 1.5)
        assert untyped(env.spec).id == "CartPoleLongPole-v1"
        sync = gym.make_vec("rl_transfer_envs:CartPoleLongPole-v1", 2, vectorization_mode="sync")
        assert isinstance(sync, gym.vector.SyncVectorEnv)

    def test_any_base(self) -> None:
        env = gym.make_vec(
            "rl_transfer_envs:Perturbed-v0", num_envs=2, base="Pendulum-v1", perturb=[{"mass": 2.0}], g=5.0
        )
        assert isinstance(env, vector.BatchedVectorEnv)
        assert env.get_attr("m") == (2.0, 2.0)
        assert env.get_attr("g") == (5.0, 5.0)
        with pytest.raises(rl_transfer_envs.InvalidSpecError, match="needs base"):
            gym.make_vec("rl_transfer_envs:Perturbed-v0", 2)

    def test_autoreset_mode_nobody_knows(self) -> None:
        with pytest.raises(ValueError, match="Sometimes"):
            vector.make("CartPole-v1", autoreset_mode="Sometimes")


class _TwoFaced(ObservationPerturbation):
    """A user's wrapper with hooks alone: it vectorises."""

    name, summary, arguments = "two_faced", "negate every second observation", ()
    _turn: bool

    def begin(self, observation: Any) -> None:
        self._turn = False

    def observation(self, observation: Any) -> Any:
        self._turn = not self._turn
        return -observation if self._turn else observation.copy()


class _OwnStep(Perturbation):
    """A user's wrapper with a step of its own: it does not."""

    name, summary, arguments, side = "own_step", "skip a frame", (), "observation"

    def step(self, action: Any) -> Any:
        self.env.step(action)
        return self.env.step(action)


class _OtherPhysics(CartPoleEnv):
    """A user's environment on top of Gymnasium's class."""


def semi_implicit(**kwargs: Any) -> CartPoleEnv:
    env = CartPoleEnv(**kwargs)
    env.kinematics_integrator = "semi-implicit euler"
    return env


@pytest.fixture(scope="module", autouse=True)
def users_own() -> Iterator[None]:
    entry_points = {"Other-v0": _OtherPhysics, "SemiImplicit-v0": semi_implicit}
    for wrapper in (_TwoFaced, _OwnStep):
        register_perturbation(wrapper)
    for env_id, entry_point in entry_points.items():
        gym.register(env_id, entry_point=untyped(entry_point), max_episode_steps=50)
    yield
    for wrapper in (_TwoFaced, _OwnStep):
        del interface._perturbations[wrapper.name]
    for env_id in entry_points:
        del gym.registry[env_id]


def test_users_own_wrapper() -> None:
    assert assert_equal_to_sync([cartpole({"two_faced": {}}), cartpole()], "NextStep", 100) > 2


@pytest.mark.parametrize(
    ("specs", "message", "key"),
    [
        ([], "at least one environment", None),
        ([cartpole({"lenght": 1.0})], "Did you mean 'length'", "0.perturb.0.lenght"),
        (["CartPole-v1", "CartPole-v7"], "no environment 'CartPole-v7'", "1.id"),
        (["CartPole-v1", "Pendulum-v1"], "one kind of environment, not CartPole, Pendulum", None),
        (["Other-v0"], "Other-v0 .* has no batched equations", "0.id"),
        ([cartpole({"own_step": {}})], "_OwnStep has a step or reset of its own", "0.own_step"),
        (
            ["CartPole-v1", cartpole({"observation_missing": [0]})],
            r"instances 0 and 1 differ in shape .* \(4,\).* \(3,\)",
            None,
        ),
        (
            ["CartPole-v1", cartpole({"extra_actions": 1})],
            r"instances 0 and 1 differ in their action space: Discrete\(2\) and Discrete\(3\)",
            None,
        ),
    ],
)  # fmt: skip
def test_refusals(specs: list[Any], message: str, key: str | None) -> None:
    with pytest.raises(rl_transfer_envs.EnvError, match=message) as caught:
        vector.make(specs)
    assert caught.value.key == key


def test_refusals_of_one_specification_for_all() -> None:
    with pytest.raises(rl_transfer_envs.IncompatiblePerturbationError) as caught:
        vector.make(cartpole({"own_step": {}}), 4)
    assert caught.value.key == "own_step"
    with pytest.raises(rl_transfer_envs.InvalidSpecError, match="num_envs is 3, but 2 specifications"):
        vector.make(["CartPole-v1"] * 2, 3)
    for number in (0, -1, True, 2.0):
        with pytest.raises(rl_transfer_envs.InvalidSpecError, match="num_envs must be a whole number"):
            vector.make("CartPole-v1", number)  # type: ignore[arg-type]
    with pytest.raises(rl_transfer_envs.InvalidSpecError, match="render_mode must be 'rgb_array' or None"):
        vector.make("CartPole-v1", 2, render_mode="human")


def test_other_integrators_are_refused() -> None:
    with pytest.raises(rl_transfer_envs.IncompatiblePerturbationError, match="only 'euler' does"):
        vector.make("SemiImplicit-v0", 2)


@pytest.mark.parametrize(
    ("env_id", "actions", "message"),
    [
        ("CartPole-v1", np.array([0, 2]), r"action 2 of instance 1 is not in Discrete\(2\)"),
        ("CartPole-v1", np.array([-1, 0]), "action -1 of instance 0"),
        ("CartPole-v1", np.array([0.0, 1.0]), "whole numbers, not float64"),
        ("CartPole-v1", np.array([0]), r"shape \(1,\); 2 instances"),
        ("Pendulum-v1", np.array([0.0, 1.0]), r"need \(2, 1\)"),
        ("Pendulum-v1", np.array([[0.0], [np.nan]]), "action .*nan.* of instance 1"),
    ],
)
def test_bad_actions(env_id: str, actions: Any, message: str) -> None:
    env = vector.make(env_id, 2)
    env.reset(seed=0)
    with pytest.raises(rl_transfer_envs.InvalidValueError, match=message):
        env.step(actions)


def test_step_before_reset() -> None:
    with pytest.raises(gym.error.ResetNeeded):
        vector.make("CartPole-v1", 2).step(np.array([0, 0]))


def test_bad_reset_masks() -> None:
    env = vector.make("CartPole-v1", 2)
    with pytest.raises(TypeError, match="boolean NumPy array"):
        env.reset(options={"reset_mask": [True, False]})
    for mask in (np.array([True]), np.array([False, False])):
        with pytest.raises(ValueError, match="some of 2 instances"):
            env.reset(options={"reset_mask": mask})
