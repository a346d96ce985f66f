"""Which environments can be put back to where they were: judged by trying, on copies."""

from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium import spaces

from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.environments.state import why_not_restorable
from rl_transfer.spec import Environment
from rl_transfer_envs.physics.mujoco.snapshot import data_state, model_state, write_data, write_model


def judged(env: str, *perturb: dict[str, Any], batched: bool = False) -> str | None:
    config = Environment(id=env, perturb=perturb)
    return why_not_restorable(lambda: make_vec_env(config, 2, vectorization="batched" if batched else "sync"))


CLASSIC = ["CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"]
PERTURBED: list[dict[str, Any]] = [
    {"observation_noise": 0.1}, {"observation_delay": 2}, {"sticky_actions": 0.3}, {"reward_noise": 0.1},
    {"observation_dropout": 0.2}, {"observation_distractors": 2}, {"action_delay": 2}, {"reward_delay": 3},
]  # fmt: skip


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("env", CLASSIC)
def test_classic_control_can(env: str, batched: bool) -> None:
    assert judged(env, batched=batched) is None


@pytest.mark.parametrize("batched", [False, True])
def test_perturbed_environments_can(batched: bool) -> None:
    physics = {"length": {"uniform": [0.4, 0.8]}}
    assert judged("CartPole-v1", physics, *PERTURBED, batched=batched) is None


@pytest.mark.parametrize("env", ["Ant-v5", "Humanoid-v5", "Pusher-v5", "Reacher-v5"])
def test_mujoco_can(env: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo logs where it stands
    assert judged(env, {"link_length": {"uniform": ["x0.9", "x1.1"]}}) is None


@pytest.mark.parametrize("env", ["LunarLander-v3", "BipedalWalker-v3"])
def test_box2d_cannot(env: str) -> None:
    assert "SwigPyObject" in (judged(env) or "")


class Counting(gym.Env[Any, Any]):
    """Counts its steps, in a place of its own."""

    observation_space = spaces.Box(-1e6, 1e6, (1,))
    action_space = spaces.Discrete(2)

    def __init__(self, place: str) -> None:
        steps = [0]

        def count() -> int:
            steps[0] += 1
            return steps[0]

        if place == "closure":
            self.count = count
        elif place == "iterator":
            self.numbers = iter(range(10**6))
            self.count = lambda: next(self.numbers)
        else:
            self.steps = 0
            self.count = self.next
        self.place = place

    def next(self) -> int:
        self.steps += 1
        return self.steps

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action: Any) -> Any:
        return np.full(1, self.count(), dtype=np.float32), 0.0, False, False, {}


gym.register("Counting-v0", f"{__name__}:Counting")


@pytest.mark.parametrize(
    ("place", "reason"),
    [("attribute", None), ("closure", "goes on otherwise"), ("iterator", "range_iterator")],
)
def test_state_that_is_out_of_sight_is_found_by_playing(place: str, reason: str | None) -> None:
    config = Environment(id="Counting-v0", kwargs={"place": place})
    found = why_not_restorable(lambda: make_vec_env(config, 1))
    assert found is None if reason is None else reason in str(found)


def test_what_mujoco_alone_knows_of_a_simulation_is_put_back() -> None:
    body = '<body name="{}"><freejoint/><geom size="0.1"/></body>'
    bodies = body.format("a") + body.format("b")
    weld = '<equality><weld body1="a" body2="b"/></equality>'
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{bodies}</worldbody>{weld}</mujoco>")
    before, after = mujoco.MjData(model), mujoco.MjData(model)
    before.eq_active[0] = 0
    before.qvel[0] = 0.5
    mujoco.mj_step(model, before)
    write_data(after, data_state(before))
    assert (after.eq_active[0], after.qpos[0], after.time) == (0, before.qpos[0], before.time)


def test_whole_numbers_of_mujoco_are_compared_and_never_written() -> None:
    env = gym.make("Hopper-v5").unwrapped
    env.reset(seed=0)
    model, data = vars(env)["model"], vars(env)["data"]
    state = model_state(model)
    harmful = {**state, "model": {**state["model"], "jnt_qposadr": state["model"]["jnt_qposadr"] + 1000}}  # type: ignore[dict-item,index]
    with pytest.raises(ValueError, match="jnt_qposadr differs"):
        write_model(model, harmful)
    simulation = data_state(data)
    with pytest.raises(ValueError, match="another size"):
        write_data(data, {**simulation, "integration": np.zeros(3)})
