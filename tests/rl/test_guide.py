"""The guide of a jump-start: what it is charged, when it hands over, whom it lets in."""

import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.evaluate import Evaluator
from rl_transfer.rl.policies.algorithms import build_model
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.strategy.guide import (
    ON_POLICY_SHARE,
    WINDOW,
    Curriculum,
    check_guide,
    check_guide_budget,
    first_horizon,
    guide_allowance,
)
from rl_transfer.rl.strategy.guided_start import GuidedEnv, GuidedStart, GuidedSteps
from rl_transfer.rl.training.preflight import preflight
from rl_transfer.spec import Environment, RLRun, RLSuite
from rl_transfer.spec.strategy import Guide
from support.algorithms import ALGORITHMS, run_of, target_of
from support.rl import Execute, make_run


def curriculum(horizon: int = 100, allowance: int | None = None, **fields: Any) -> Curriculum:
    return Curriculum(Guide(**{"stages": 10, **fields}), horizon, allowance)


def window(plan: Curriculum, total: float) -> int:
    """The horizon after a window of episodes of this return."""
    for _ in range(WINDOW):
        plan.finished_episode(total)
    return plan.horizon


def test_the_horizon_shrinks_by_one_stage_a_window_to_nothing() -> None:
    plan = curriculum(stages=4)
    assert plan.horizon == 100
    for _ in range(19):
        plan.finished_episode(10.0)
    assert plan.horizon == 100
    plan.finished_episode(10.0)
    assert plan.horizon == 75, "a window is twenty episodes"
    plan = curriculum(stages=4)
    assert [window(plan, 10.0) for _ in range(5)] == [75, 50, 25, 0, 0]


def test_nothing_is_decided_before_the_window_is_full_and_the_mean_decides() -> None:
    plan = curriculum(tolerance=0.0)
    assert window(plan, 10.0) == 90
    for total in [0.0] * (WINDOW // 2) + [20.0] * (WINDOW // 2 - 1):
        plan.finished_episode(total)
    assert plan.horizon == 90
    plan.finished_episode(20.0)  # the mean is 10 again: it keeps up
    assert plan.horizon == 80


def test_the_best_return_is_kept_when_a_tolerated_one_follows() -> None:
    plan = curriculum(tolerance=0.1)
    assert window(plan, 100.0) == 90
    assert window(plan, 92.0) == 80  # at least 90
    # Against the best, 100, 85 is too little; against the last, 92, it would have passed (82.8).
    assert window(plan, 85.0) == 80
    assert window(plan, 90.0) == 70


def test_negative_returns_are_tolerated_by_their_size() -> None:
    plan = curriculum(tolerance=0.1)
    assert window(plan, -100.0) == 90
    assert window(plan, -109.0) == 80  # at least −100 − 10
    assert window(plan, -111.0) == 80


def test_the_horizon_shrinks_with_what_is_spent_of_the_allowance() -> None:
    plan = curriculum(stages=4, allowance=200)
    found = []
    for spent in (0, 49, 50, 99, 100, 150, 190, 199, 200):
        plan.steps = spent
        found.append(plan.horizon)
    # A quarter of the allowance is a stage: 100, 75, 50, 25 steps; at 190 only 10 are left, at 199 one.
    assert found == [100, 100, 75, 75, 50, 25, 10, 1, 0]


def test_returns_that_keep_up_are_not_undone_by_an_allowance_hardly_touched() -> None:
    plan = curriculum(stages=4, allowance=1000)
    plan.steps = 1
    assert window(plan, 10.0) == 75


@given(
    horizon=st.integers(1, 200), allowance=st.integers(0, 300), stages=st.integers(1, 12),
    lengths=st.lists(st.integers(1, 150), min_size=1, max_size=20),
)  # fmt: skip
def test_the_guide_never_exceeds_its_allowance_and_the_horizon_never_grows(
    horizon: int, allowance: int, stages: int, lengths: list[int]
) -> None:
    plan, before = curriculum(horizon, allowance, stages=stages), horizon
    for length in lengths:
        assert 0 <= plan.horizon <= before
        before = plan.horizon
        guided(Corridor(length), plan).reset()
        assert plan.steps <= allowance
        assert (plan.horizon == 0) or plan.steps < allowance


class Corridor(gym.Env[Any, Any]):
    """Shows how often it was left and how many steps were taken; pays 1; ends after ``length`` steps."""

    def __init__(self, length: int, truncates: bool = False) -> None:
        self.observation_space = gym.spaces.Box(-1, 1000, (2,), np.float32)
        self.action_space = gym.spaces.Discrete(2)
        self.length, self.truncates, self.episodes = length, truncates, 0
        self.played: list[list[Any]] = []
        self.seeds: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.seeds.append(seed)
        self.t = 0
        self.actions: list[Any] = []
        self.played.append(self.actions)
        self.episodes += 1
        return self._see(), {"options": options}

    def _see(self) -> Any:
        return np.array([self.episodes, self.t], np.float32)

    def step(self, action: Any) -> Any:
        self.t += 1
        self.actions.append(int(action))
        over = self.t >= self.length
        return self._see(), 1.0, over and not self.truncates, over and self.truncates, {"t": self.t}


class Ones:
    """A guide that always answers 1."""

    def act(self, deterministic: bool) -> Any:
        assert deterministic
        return lambda observations: np.ones(len(observations), dtype=int)


def guided(env: Corridor, plan: Curriculum) -> GuidedStart:
    return GuidedStart(env, Ones(), plan)  # type: ignore[arg-type]


def play(env: GuidedSteps, episodes: int) -> None:
    """Whole episodes with a learner that always answers 0."""
    for _ in range(episodes):
        env.reset()
        over = False
        while not over:
            action = env.guided_action()
            _, _, terminated, truncated, _ = env.step(0 if action is None else action)
            over = terminated or truncated


def test_step_by_step_the_guide_begins_every_episode_and_the_learner_ends_it() -> None:
    env, plan = Corridor(5), curriculum(horizon=3)
    play(GuidedSteps(env, Ones(), plan), 2)  # type: ignore[arg-type]
    assert env.played == [[1, 1, 1, 0, 0]] * 2
    assert plan.steps == 6


def test_step_by_step_an_episode_may_end_under_the_guide_and_counts() -> None:
    env, plan = Corridor(2, truncates=True), curriculum(horizon=3)
    play(GuidedSteps(env, Ones(), plan), WINDOW)  # type: ignore[arg-type]
    assert env.played == [[1, 1]] * WINDOW
    assert plan.horizon == 2, "2.7 steps: the mean of the window kept up"


def test_step_by_step_the_curriculum_hears_the_whole_episodes_return(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[float] = []
    plan = curriculum(horizon=3)
    monkeypatch.setattr(plan, "finished_episode", heard.append)
    play(GuidedSteps(Corridor(5), Ones(), plan), 2)  # type: ignore[arg-type]
    assert heard == [5.0, 5.0], "3 steps of the guide and 2 of the learner, each episode by itself"


def test_step_by_step_the_allowance_ends_the_guides_part_at_once() -> None:
    corridors, plan = (Corridor(9), Corridor(9)), curriculum(horizon=4, allowance=5, stages=1)
    first, second = (GuidedSteps(each, Ones(), plan) for each in corridors)  # type: ignore[arg-type]
    for env in (first, second):
        env.reset()
    taken = []
    for _ in range(4):
        for env in (first, second):
            action = env.guided_action()
            taken.append(action is not None)
            env.step(0 if action is None else action)
    assert taken == [True] * 5 + [False] * 3
    assert plan.steps == 5


class Beyond(gym.Env[Any, Any]):
    """Its action space ends at ±0.5."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Box(-0.5, 0.5, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.action = action
        return np.zeros(2, np.float32), 0.0, False, False, {}


class Far:
    """A guide from a task with wider actions."""

    def act(self, deterministic: bool) -> Any:
        return lambda observations: np.full((len(observations), 1), 2.0, np.float32)


def test_the_guide_stays_inside_the_targets_bounds() -> None:
    env = Beyond()
    GuidedStart(env, Far(), curriculum(horizon=1)).reset()  # type: ignore[arg-type]
    assert env.action.tolist() == [0.5]
    stepped = GuidedSteps(env, Far(), curriculum(horizon=1))  # type: ignore[arg-type]
    stepped.reset()
    action = stepped.guided_action()
    assert action is not None
    assert action.tolist() == [0.5]


def test_the_guide_plays_the_first_steps_of_an_episode() -> None:
    env, plan = Corridor(10), curriculum(horizon=3)
    observation, info = guided(env, plan).reset(seed=4, options={"a": 1})
    assert observation.tolist() == [1, 3]
    assert info == {"t": 3}
    assert env.actions == [1, 1, 1]
    assert env.seeds == [4]
    assert plan.steps == 3


@pytest.mark.parametrize("truncates", [False, True])
def test_an_episode_that_ends_under_the_guide_begins_anew_with_the_learner(truncates: bool) -> None:
    env, plan = Corridor(2, truncates), curriculum(horizon=3)
    observation, _ = guided(env, plan).reset(seed=4)
    assert observation.tolist() == [2, 0]
    assert env.seeds == [4, None], "the second episode goes on with the environment's own generator"
    assert plan.steps == 2


@pytest.mark.parametrize("truncates", [False, True])
def test_the_curriculum_hears_the_whole_episodes_return(
    truncates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[float] = []
    env, plan = Corridor(5, truncates), curriculum(horizon=3)
    monkeypatch.setattr(plan, "finished_episode", heard.append)
    wrapped = guided(env, plan)
    for _ in range(2):
        wrapped.reset()
        assert wrapped.step(0)[1:] == (1.0, False, False, {"t": 4})
        assert heard in ([], [5.0])
        assert wrapped.step(0)[1:] == (1.0, not truncates, truncates, {"t": 5})
    assert heard == [5.0, 5.0], "3 steps of the guide and 2 of the learner"


def test_what_the_guide_lost_with_an_abandoned_episode_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[float] = []
    plan = curriculum(horizon=9)
    monkeypatch.setattr(plan, "finished_episode", heard.append)
    wrapped = guided(Corridor(2), plan)
    wrapped.reset()
    wrapped.step(0)
    wrapped.step(0)
    assert heard == [2.0]


def test_without_a_horizon_of_its_own_the_guide_plays_half_its_mean_episode() -> None:
    assert first_horizon(Guide(horizon=7), [100]) == 7
    assert first_horizon(Guide(), [10, 21]) == 7  # int(15.5) // 2
    assert first_horizon(Guide(), [1]) == 1


def test_a_guide_that_cannot_act_in_the_target_is_refused(run: Execute) -> None:
    guide = load_policy(run(training={"total_steps": 32}, evaluation={"every": 32, "episodes": 1}).bundle)
    check_guide(guide, evaluator("CartPole-v1"))
    with pytest.raises(
        TransferError, match=r"the guide's observation space is .*act in the target"
    ) as caught:
        check_guide(guide, evaluator("MountainCar-v0"))
    assert caught.value.key == "strategy.guide"
    other = evaluator("CartPole-v1")
    other.action_space = gym.spaces.Discrete(3)
    with pytest.raises(TransferError, match="the guide's action space is Discrete"):
        check_guide(guide, other)


def evaluator(name: str) -> Evaluator:
    return Evaluator(Environment(id=name), 1)


def test_learner_and_guide_share_the_budget(run: Execute, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0
    step = GuidedEnv.step

    def counted(self: GuidedEnv, action: Any) -> Any:
        nonlocal taken
        taken += 1
        return step(self, action)

    source = run()
    monkeypatch.setattr(GuidedEnv, "step", counted)
    folder = run(
        strategy={"guide": {"stages": 2, "horizon": 3}}, source=source, training={"total_steps": 320},
        evaluation={"every": 64, "episodes": 1},
    )  # fmt: skip
    record = folder.record()
    played = record["guide_steps"]
    assert played >= 3 * 2, "both environments began with the guide"
    assert record["guide_share"] == played / 320 <= ON_POLICY_SHARE
    assert record["guide_learned_from"] is False
    # The learner collects 2 × 16 steps at a time, until the two together have spent the 320.
    assert taken % 32 == 0
    assert taken < 320 <= taken + played


def guided_run(name: str, total: int, **guide: Any) -> RLRun:
    strategy = {"guide": guide}
    return make_run(
        **run_of(name, strategy=strategy, training={"total_steps": total}, evaluation={"every": total})
    )


def test_a_guides_share_bounds_on_policy_algorithms_and_others_only_where_it_is_given() -> None:
    assert guide_allowance(guided_run("PPO", 320)) == 80
    assert guide_allowance(guided_run("PPO", 320, share=0.5)) == 160
    assert guide_allowance(guided_run("A2C", 16)) == 4
    assert guide_allowance(guided_run("DQN", 320)) is None
    assert guide_allowance(guided_run("SAC", 320, share=0.1)) == 32
    assert guide_allowance(make_run()) is None


def test_budgets_that_leave_the_learner_too_few_updates_are_refused_with_the_arithmetic() -> None:
    # PPO here collects 2 × 16 = 32 steps an update. 14 · 32 = 448, less 112 for the guide: 10.5 updates.
    check_guide_budget(guided_run("PPO", 448))
    with pytest.raises(TransferError) as caught:
        check_guide_budget(guided_run("PPO", 416))
    message = caught.value.message
    parts = ("25 % of the 416 steps", "guide.share): 104", "9 updates of 32 steps", "10 stages", "to 448")
    assert all(part in message for part in parts)
    assert caught.value.key == "strategy.guide"
    check_guide_budget(guided_run("PPO", 416, stages=9))
    check_guide_budget(guided_run("PPO", 416, share=0.1))
    check_guide_budget(guided_run("DQN", 16))
    check_guide_budget(guided_run("DQN", 16, share=0.9))
    check_guide_budget(make_run())


@given(share=st.floats(0.01, 0.99), stages=st.integers(1, 30))
def test_the_budget_that_a_refusal_names_is_enough(share: float, stages: int) -> None:
    with pytest.raises(TransferError) as caught:
        check_guide_budget(guided_run("PPO", 32, share=share, stages=stages + 1))
    named = re.search(r"total_steps to ([\d,]+)", caught.value.message)
    assert named is not None
    check_guide_budget(guided_run("PPO", int(named[1].replace(",", "")), share=share, stages=stages + 1))


def test_the_preflight_of_a_suite_refuses_it_at_the_strategys_key() -> None:
    task = run_of("PPO")
    suite = {
        **{key: task[key] for key in ("algorithm", "training", "evaluation")},
        "name": "guided", "seeds": 1, "sources": {"base": {"env": task["env"]}},
        "targets": {"heavy": {"env": target_of("PPO")["env"]}},
        "strategies": [{"name": "scratch"}, {"name": "guided", "guide": {}}],
    }  # fmt: skip
    with pytest.raises(TransferError, match="1 update of 32") as caught:
        preflight(RLSuite.model_validate(suite))
    assert caught.value.key == "strategies.1.guide"
    preflight(RLSuite.model_validate({**suite, "training": {"total_steps": 448}}))


def test_a_run_is_refused_before_it_trains(run: Execute) -> None:
    source = run()
    with pytest.raises(TransferError, match="cannot learn from the guide's steps"):
        run(strategy={"guide": {}}, source=source)


@pytest.mark.parametrize(("name", "n_envs"), [("DQN", 1), ("DQN", 2), ("SAC", 2), ("TQC", 1)])
def test_an_off_policy_learner_keeps_the_guides_transitions(
    name: str, n_envs: int, run: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An episode's first steps in the replay buffer are the guide's; updates are as many as without one."""
    monkeypatch.setattr("rl_transfer.rl.strategy.guide.WINDOW", 1_000)  # the horizon stays
    models: list[Any] = []

    def building(*arguments: Any) -> Any:
        models.append(build_model(*arguments))
        return models[-1]

    taken: dict[GuidedSteps, list[Any]] = {}
    step = GuidedSteps.step

    def watched(self: GuidedSteps, action: Any) -> Any:
        taken.setdefault(self, []).append(np.array(action))
        return step(self, action)

    monkeypatch.setattr(GuidedSteps, "step", watched)
    monkeypatch.setattr("rl_transfer.rl.training.run.build_model", building)
    more = {"n_envs": n_envs, "buffer_size": 2000, "learning_starts": 32}
    algorithm = {"name": name, **ALGORITHMS[name], **more}
    task = {"training": {"total_steps": 400}, "evaluation": {"every": 400, "episodes": 1}}
    source = run(**run_of(name, algorithm=algorithm, **task))
    guided = run(
        **target_of(name, algorithm=algorithm, strategy={"guide": {"horizon": 5, "stages": 1}}, **task),
        source=source,
    )
    plain, model = models[-2:]
    assert model.num_timesteps == 400, "the guide's steps are steps of the budget"
    assert model.replay_buffer.size() * n_envs == 400, "and each of them is data"
    assert model._n_updates == plain._n_updates > 0
    guide, buffer = load_policy(source.bundle), model.replay_buffer
    act, played = guide.act(deterministic=True), 0
    size = buffer.size()
    for env in range(n_envs):
        since, over = 0, False
        for at in range(size):
            if since < 5:
                action = act(buffer.observations[at, env][None])[0]
                stored = model.policy.scale_action(action) if name != "DQN" else action
                np.testing.assert_allclose(buffer.actions[at, env].squeeze(), np.squeeze(stored), atol=1e-5)
                played += 1
            over = bool(buffer.dones[at, env])
            since = 0 if over else since + 1
    for env, actions in enumerate(taken.values()):
        kept = buffer.actions[:size, env].squeeze(-1)
        done = (
            np.array(actions) if name == "DQN" else model.policy.scale_action(np.array(actions)).squeeze(-1)
        )
        np.testing.assert_allclose(done, kept, atol=1e-5, err_msg="what was done is what was kept")
    record = guided.record()
    assert record["guide_steps"] == played
    assert record["guide_share"] == played / 400
    assert record["guide_learned_from"] is True


def test_a_guide_without_a_zero_shot_score_plays_as_long_as_its_own_episodes_say(
    run: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spaces of other number types forbid a zero-shot score, not the guide's half of its mean episode."""
    task = {"training": {"total_steps": 320}, "evaluation": {"every": 320, "episodes": 1}}
    source = run(env={"id": "Pendulum-v1"}, **task)
    monkeypatch.setattr("rl_transfer.rl.environments.spaces.same", lambda *_: False)
    heavier = {"id": "Pendulum-v1", "perturb": ({"mass": 2.0},)}
    guide = {"stages": 1, "share": 0.7}
    record = run(env=heavier, strategy={"guide": guide}, source=source, **task).record()
    assert record["zero_shot"] is None
    # Episodes of the pendulum last 200 steps: 100 for each of two environments.
    assert record["guide_steps"] == 200
