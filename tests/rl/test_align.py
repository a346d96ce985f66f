"""The verb align: maps are folded exactly, their samples are paid for, and misfits are refused."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rl_transfer.errors import ConfigError, RLTransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.environments.build import make_env
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.room import ROOM
from rl_transfer.rl.strategy.align_actions import match_discrete, match_linear
from rl_transfer.rl.strategy.align_samples import AlignmentMoves, collect
from rl_transfer.spec import Environment, parse
from rl_transfer.spec.alignment import Align
from rl_transfer.spec.strategy import StrategyVerbs
from support.algorithms import DISCRETE, run_of
from support.resumption import Killed, kill_at, numbers
from support.rl import PPO, make_run, played

ORDER = {"CartPole-v1": [2, 3, 0, 1], "Pendulum-v1": [2, 0, 1]}
FACTORS = {"CartPole-v1": [10.0, 0.1, 3.0, 1.0], "Pendulum-v1": [0.5, 2.0, 0.1]}
ALIGN = {"copy": ["all"], "align": {"pairs": 32}}
FROZEN = {**ALIGN, "train": False}


def changed(name: str, *more: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": name,
        "perturb": [{"observation_permutation": ORDER[name]}, {"observation_scale": FACTORS[name]}, *more],
    }


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return played(tmp_path_factory.mktemp("cartpole"), None)


@pytest.mark.parametrize("name", ["PPO", "DQN", "SAC", "TD3"])  # test_strategies.py runs all of them
def test_the_frozen_policy_does_behind_the_map_what_the_source_does_in_front_of_it(
    name: str, tmp_path: Path
) -> None:
    world = "CartPole-v1" if name in DISCRETE else "Pendulum-v1"
    source = played(tmp_path, None, **run_of(name))
    target = played(
        tmp_path, source, **run_of(name, env=changed(world), strategy=FROZEN, training={"total_steps": 64})
    )
    base = np.random.default_rng(0).normal(size=(60, len(ORDER[world]))).astype(np.float32)
    seen = base[:, ORDER[world]] * np.array(FACTORS[world], dtype=np.float32)
    theirs, mine = (load_policy(each.bundle) for each in (source, target))
    assert np.allclose(mine.act()(seen), theirs.act()(base), atol=1e-3)
    states = torch.from_numpy(base), torch.from_numpy(seen)
    for own, attribute in (
        ("predict_values", "predict_values"), ("critic", "critic"), ("critic", "critic_target"),
        ("q_net", "q_net_target"),
    ):  # fmt: skip
        critic: list[Any] = [getattr(theirs.module, own, None), getattr(mine.module, attribute, None)]
        if critic[0] is not None and critic[1] is not None:
            actions = [torch.zeros(60, 1)] if attribute.startswith("critic") else []
            with torch.no_grad():
                values = [c(s, *actions) for c, s in zip(critic, states, strict=True)]
            values = [v[0] if isinstance(v, tuple) else v for v in values]
            assert torch.allclose(values[0], values[1], atol=1e-3), attribute


def test_normalization_goes_between_source_and_target(tmp_path: Path) -> None:
    algorithm = {**PPO, "normalize": {"observation": True, "reward": False}}
    source = played(tmp_path, None, algorithm=algorithm)
    verbs = {"copy": ["all"], "align": {"pairs": 64}, "train": False}
    target = played(tmp_path, source, algorithm=algorithm, env=changed("CartPole-v1"), strategy=verbs)
    base = 0.05 * np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    seen = base[:, ORDER["CartPole-v1"]] * np.array(FACTORS["CartPole-v1"], dtype=np.float32)
    theirs, mine = (load_policy(each.bundle) for each in (source, target))
    assert mine.normalizer is not None
    assert theirs.normalizer is not None
    with torch.no_grad():
        values = [
            policy.module.predict_values(torch.as_tensor(normalizer(states)))  # type: ignore[operator]
            for policy, normalizer, states in (
                (theirs, theirs.normalizer, base),
                (mine, mine.normalizer, seen),
            )
        ]
    assert torch.allclose(values[0], values[1], atol=1e-3)
    assert not np.allclose(mine.normalizer.var[""], theirs.normalizer.var[""])


@pytest.mark.parametrize(
    "perturb",
    [
        {"observation_distractors": 2},
        {"observation_missing": [1]},
    ],
)
def test_other_numbers_of_sensors_start_fresh_and_are_mapped_after_the_first_evaluation(
    perturb: dict[str, Any], cartpole: RunFolder, tmp_path: Path
) -> None:
    run = played(tmp_path, cartpole, env={"id": "CartPole-v1", "perturb": [perturb]}, strategy=ALIGN)
    record = run.record()
    width = 6 if "observation_distractors" in perturb else 3
    assert record["alignment"]["observations"]["given"] == width
    assert record["alignment"]["observations"]["wanted"] == 4
    (row,) = (r for r in record["plan"] if r["tensor"] == "mlp_extractor.policy_net.0.weight")
    assert (row["source_shape"], row["target_shape"], row["reason"]) == ([64, 4], [64, width], "aligned")
    if width == 6:
        weight = load_policy(run.bundle).state["mlp_extractor.policy_net.0.weight"]
        assert weight.shape == (64, 6)


class TestBudget:
    def test_samples_cost_steps_and_the_first_evaluation_comes_before_them(
        self, cartpole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from stable_baselines3 import PPO as Model

        updates: list[int] = []
        train = Model.train

        def trains(model: Model) -> None:
            updates.append(model.num_timesteps)
            train(model)

        monkeypatch.setattr(Model, "train", trains)
        verbs = {"copy": ["all"], "align": {"pairs": 70}}  # 96 steps: an update is made of 32
        fields: dict[str, Any] = {"env": changed("CartPole-v1"), "training": {"total_steps": 192}}
        fields["evaluation"] = {"every": 32, "episodes": 3}
        run = played(tmp_path, cartpole, **fields, strategy=verbs)
        record, curve = run.record(), run.curve()
        assert updates == [128, 160, 192]
        assert record["alignment"]["steps"] == 96
        assert record["alignment"]["pairs"] == 70
        assert [point["step"] for point in curve] == [0, 32, 64, 96, 128, 160, 192]
        assert curve[0]["returns"] == record["zero_shot"]["returns"]
        plain = played(tmp_path, cartpole, **fields, strategy={"copy": ["all"], "train": False}).curve()
        frozen = played(tmp_path, cartpole, **fields, strategy={**verbs, "train": False})
        measured = frozen.curve()
        assert [p["returns"] for p in curve[:3]] == [p["returns"] for p in plain[:3]]
        assert [p["returns"] for p in measured[:3]] == [p["returns"] for p in plain[:3]]
        assert curve[3]["returns"] == measured[3]["returns"]  # aligned, not yet trained
        assert frozen.record()["alignment"]["returns"] == record["alignment"]["returns"]

    @pytest.mark.parametrize("train", [True, False])
    def test_a_budget_that_they_eat_up_is_refused(
        self, train: bool, cartpole: RunFolder, tmp_path: Path
    ) -> None:
        verbs = {"copy": ["all"], "align": {"pairs": 129 if not train else 97}, "train": train}
        with pytest.raises(RLTransferError, match="pairs cost"):
            played(tmp_path, cartpole, strategy=verbs)

    def test_such_a_transfer_is_refused_while_it_is_planned(self) -> None:
        verbs = {"copy": ["all"], "align": {"pairs": 129}}
        with pytest.raises(RLTransferError, match="129 pairs cost 160 steps") as caught:
            ROOM.resolve_run(make_run(training={"total_steps": 128}, strategy=verbs, source="a" * 16))
        assert caught.value.key == "strategy.align.pairs"

    def test_an_interrupted_run_goes_on_to_the_same_end(
        self, cartpole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fields: dict[str, Any] = {"env": changed("CartPole-v1"), "strategy": ALIGN}
        whole = played(tmp_path / "whole", cartpole, **fields)
        with monkeypatch.context() as patch:
            kill_at(2, patch)
            with pytest.raises(Killed):
                played(tmp_path / "cut", cartpole, **fields)
        resumed = played(tmp_path / "cut", cartpole, **fields)
        assert resumed.record()["resumed"][0]["step"] == 64
        assert numbers(resumed) == numbers(whole)

    def test_both_engines_begin_with_the_same_map(self, cartpole: RunFolder, tmp_path: Path) -> None:
        pytest.importorskip("numba")
        found = []
        for engine in ("sb3", "compiled"):
            training = {"total_steps": 128, "engine": engine}
            run = played(tmp_path, cartpole, env=changed("CartPole-v1"), strategy=ALIGN, training=training)
            found.append(run.record()["alignment"])
        assert found[0] == found[1]


@pytest.mark.parametrize("verbs", [
    {"from": "resets"},
    {"from": "rollouts"},
    {"map": "frobenius"},
    {"map": "frobenius", "shrinkage": 1e-6},
    {"map": "low-rank", "rank": 4},
    {"map": "cca", "rank": 4},
])  # fmt: skip
def test_pairs_of_every_origin_and_maps_of_every_kind_find_a_linear_change(
    verbs: dict[str, Any], cartpole: RunFolder, tmp_path: Path
) -> None:
    align = {"copy": ["all"], "align": {"pairs": 128, **verbs}, "train": False}
    found = played(tmp_path, cartpole, env=changed("CartPole-v1"), strategy=align).record()["alignment"]
    assert found["observations"]["held_out_r2"] > 0.999
    assert found["observations"]["pairing"]["p"] <= 0.05
    assert found["observations"]["direction"] == "target_to_source"
    assert found["doubts"] == []


def test_shuffled_pairs_explain_nothing_and_say_so(cartpole: RunFolder, tmp_path: Path) -> None:
    verbs = {"copy": ["all"], "align": {"pairs": 128, "shuffled": True}, "train": False}
    found = played(tmp_path, cartpole, env=changed("CartPole-v1"), strategy=verbs).record()["alignment"]
    assert found["observations"]["held_out_r2"] < 0.2
    assert any("may not be pairs" in line for line in found["doubts"])


def _first(moves: AlignmentMoves, steps: int) -> AlignmentMoves:
    """So many steps that show every action."""
    _, shown = np.unique(moves.actions, return_index=True)
    rows = np.concatenate([shown, np.arange(steps - len(shown))])
    return AlignmentMoves(moves.before[rows], moves.actions[rows], moves.after[rows])


class TestActions:
    def test_reversed_buttons_are_found_together_with_changed_sensors(
        self, cartpole: RunFolder, tmp_path: Path
    ) -> None:
        env = changed("CartPole-v1", {"action_remap": "reverse"})
        verbs = {"copy": ["all"], "align": {"pairs": 64, "actions": "discrete"}, "train": False}
        target = played(tmp_path, cartpole, env=env, strategy=verbs)
        assert target.record()["alignment"]["actions"]["order"] == [1, 0]
        assert target.record()["alignment"]["source_steps"] == 2048
        base = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
        seen = base[:, ORDER["CartPole-v1"]] * np.array(FACTORS["CartPole-v1"], dtype=np.float32)
        theirs, mine = (load_policy(each.bundle).act() for each in (cartpole, target))
        assert (theirs(base) == 1 - mine(seen)).all()

    def test_an_order_that_few_samples_leave_open_is_taken_told_and_kept(
        self, cartpole: RunFolder, tmp_path: Path
    ) -> None:
        align = {"pairs": 6, "actions": "discrete", "observations": False}
        verbs = {"copy": ["all"], "align": align, "train": False}
        target = played(tmp_path, cartpole, env=changed("CartPole-v1"), strategy=verbs)
        found = target.record()["alignment"]
        assert found["actions"]["decided"] is False
        assert [each[:37] for each in found["doubts"]] == ["the order of actions is not decided: "]
        states = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
        theirs, mine = (load_policy(each.bundle).act()(states) for each in (cartpole, target))
        assert (mine == np.argsort(found["actions"]["order"])[theirs]).all()

    def test_rescaled_torque_is_found(self, tmp_path: Path) -> None:
        source = played(tmp_path, None, **run_of("PPO", env={"id": "Pendulum-v1"}))
        env = {"id": "Pendulum-v1", "perturb": [{"action_scale": 0.5}, {"action_inversion": "all"}]}
        align = {"pairs": 60, "actions": "linear", "observations": False}
        fields = run_of("PPO", env=env, strategy={"copy": ["all"], "align": align, "train": False})
        target = played(tmp_path, source, **fields)
        found = target.record()["alignment"]
        assert found["observations"] is None
        assert np.allclose(found["actions"]["matrix"], [[-2]], atol=0.1)
        theirs, mine = (load_policy(each.bundle) for each in (source, target))
        states = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
        factor = np.array(found["actions"]["matrix"])[0, 0]
        mapped = np.clip(factor * theirs.act()(states) + found["actions"]["offset"][0], -2, 2)
        assert np.allclose(mine.act()(states), mapped, atol=1e-4)
        shift = mine.state["log_std"] - theirs.state["log_std"]
        assert float(shift) == pytest.approx(np.log(abs(factor)), abs=1e-5)

    def test_an_order_is_the_one_whose_effects_fit(self) -> None:
        rng = np.random.default_rng(0)

        def moves(order: list[int]) -> AlignmentMoves:
            before, actions = rng.normal(size=(200, 3)), rng.integers(4, size=(200, 1))
            effects = 0.1 * before + np.eye(4, 3)[np.array(order)[actions[:, 0]]]
            return AlignmentMoves(
                before, actions.astype(float), before + effects + 0.01 * rng.normal(size=(200, 3))
            )

        found = match_discrete(moves([0, 1, 2, 3]), moves([2, 0, 3, 1]), 4)
        assert found.order == (2, 0, 3, 1)
        assert found.margin > 1
        assert found.decided
        none = match_discrete(moves([0, 0, 1, 1]), moves([0, 0, 1, 1]), 4)
        assert none.margin < 0.1
        assert not none.decided
        assert not match_discrete(moves([0, 1, 2, 3]), _first(moves([0, 1, 2, 3]), 9), 4).decided

    def test_a_few_steps_in_which_no_action_matters_do_not_decide_an_order(self) -> None:
        """What a leg on the ground does to LunarLander: squares took a wrong order in six of these draws."""

        def moves(rng: np.random.Generator, steps: int) -> AlignmentMoves:
            before, actions = rng.normal(size=(steps, 3)), rng.integers(4, size=(steps, 1))
            effects = 0.2 * np.eye(4, 3)[actions[:, 0]] + 0.05 * rng.normal(size=(steps, 3))
            effects += 8 * rng.normal(size=(steps, 3)) * (rng.random((steps, 1)) < 0.03)
            return AlignmentMoves(before, actions.astype(float), before + effects)

        pairs = [(moves(rng, 4_000), moves(rng, 400)) for rng in map(np.random.default_rng, range(10))]
        found = [match_discrete(*each, 4) for each in pairs]
        assert [each.order for each in found] == [(0, 1, 2, 3)] * 10
        assert sum(each.decided for each in found) >= 9

    def test_actions_without_effect_are_told(self) -> None:
        rng = np.random.default_rng(0)
        still = AlignmentMoves(rng.normal(size=(50, 2)), rng.normal(size=(50, 2)), np.zeros((50, 2)))
        still = AlignmentMoves(still.before, still.actions, still.before)
        with pytest.raises(RLTransferError, match="do not tell the actions apart"):
            match_linear(still, still)
        with pytest.raises(RLTransferError, match="at least 7 pairs"):
            match_linear(still, AlignmentMoves(still.before[:3], still.actions[:3], still.after[:3]))


def test_no_more_of_the_target_is_seen_than_is_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    target = parse(Environment, changed("CartPole-v1"))
    seen: list[str] = []

    class Counted(gym.Wrapper[Any, Any, Any, Any]):
        def reset(self, **more: Any) -> Any:
            seen.append("reset")
            return super().reset(**more)

        def step(self, action: Any) -> Any:
            seen.append("step")
            return super().step(action)

    def counted(config: Environment) -> Any:
        env = make_env(config)
        return Counted(env) if config == target else env

    monkeypatch.setattr("rl_transfer.rl.strategy.align_samples.make_env", counted)
    for origin in ("base_observation", "resets", "rollouts"):
        seen.clear()
        samples = collect(parse(Align, {"from": origin}), target, Environment(id="CartPole-v1"), 50, 0)
        assert len(samples.target) == len(samples.source) == len(seen) == 50, origin
        assert np.allclose(
            samples.target, samples.source[:, ORDER["CartPole-v1"]] * FACTORS["CartPole-v1"], rtol=1e-5
        )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"strategy": {"copy": ["all"], "align": {"pairs": 32, "actions": "linear"}}}, "Box actions"),
        ({"env": {"id": "Acrobot-v1"}, "strategy": {**ALIGN, "reset": ["head"]}}, "source observes 4"),
        (
            {"env": {"id": "CartPole-v1", "perturb": [{"extra_actions": 1}]},
             "strategy": {"copy": ["all"], "reset": ["head"], "align": {"pairs": 32, "actions": "discrete"}}},
            "2 actions, the target 3",
        ),
        (
            {"strategy": {"copy": ["head"], "align": {"pairs": 32}}},
            "nothing that reads the observations is copied",
        ),
        (
            {"env": {"id": "CartPole-v1", "perturb": [{"observation_distractors": 1}]},
             "strategy": {"copy": ["all"],
                          "align": {"pairs": 32, "actions": "discrete", "observations": False}}},
            "observations: true",
        ),
        (
            {"env": changed("CartPole-v1"), "strategy": {"copy": ["all"], "align": {
                "pairs": 32, "map": "frobenius", "shrinkage": "auto", "from": "resets"},
                "knobs": {"target_networks": "fresh"}}},
            "target_networks: sync",
        ),
        (
            {"env": changed("CartPole-v1"),
             "strategy": {"copy": ["all"], "align": {"pairs": 32, "map": "low-rank", "rank": 5}}},
            "a rank of 4 at most",
        ),
        (
            {"env": changed("CartPole-v1"),
             "strategy": {"copy": ["all"], "align": {"pairs": 2, "actions": "discrete"}}},
            "needs one of each",
        ),
        ({"env": {"id": "FrozenLake-v1"}, "strategy": {**ALIGN, "reset": ["head"]}}, "observes a Discrete"),
    ],
)  # fmt: skip
def test_what_cannot_be_aligned_is_refused(
    fields: dict[str, Any], says: str, cartpole: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(RLTransferError) as raised:
        played(tmp_path, cartpole, **fields)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("verbs", "says"),
    [
        ({"align": {}}, "copy is empty"),
        ({"copy": ["all"], "align": {"pairs": 1}}, "pairs"),
        ({"copy": ["all"], "align": {"map": "coral"}}, "takes from: unpaired"),
        ({"copy": ["all"], "align": {"from": "unpaired"}}, "map: coral"),
        ({"copy": ["all"], "align": {"map": "low-rank"}}, "need it"),
        ({"copy": ["all"], "align": {"rank": 2}}, "rank is for"),
        ({"copy": ["all"], "align": {"map": "procrustes", "shrinkage": 1.0}}, "no penalty"),
        ({"copy": ["all"], "align": {"map": "frobenius", "shrinkage": 0}}, "λ is 0"),
        ({"copy": ["all"], "align": {"shrinkage": -1}}, "shrinkage"),
        ({"copy": ["all"], "align": {"observations": False}}, "neither"),
        ({"copy": ["all"], "align": {"from": "rollouts", "actions": "discrete"}}, "equal actions"),
        ({"copy": ["all"], "align": {"from": "unpaired", "map": "coral", "shuffled": True}}, "no pairs"),
        ({"copy": ["all"], "align": {"map": "effects"}}, "map: effects takes from: unpaired"),
        ({"copy": ["all"], "align": {"from": "unpaired", "map": "effects", "shrinkage": 1.0}}, "no penalty"),
        (
            {"copy": ["all"], "align": {"from": "unpaired", "map": "effects", "actions": "discrete"}},
            "say actions: none",
        ),
        ({"copy": ["all"], "align": {}, "freeze": ["trunk"]}, "freeze cannot be combined"),
        ({"copy": ["all"], "align": {}, "normalization": "fresh"}, "normalization: fresh"),
    ],
)
def test_verbs_that_contradict_each_other_are_refused(verbs: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(StrategyVerbs, verbs)
    assert says in str(raised.value)


class Partners(gym.Env[Any, Any]):
    """Four numbers; what its infos call their partners is as told."""

    def __init__(self, partners: str = "none") -> None:
        self.observation_space = gym.spaces.Box(-10, 10, (4,), np.float32)
        self.action_space = gym.spaces.Discrete(2)
        self.partners = partners

    def _seen(self) -> Any:
        self.time += 1
        base: dict[str, Any] = {
            "none": None,
            "text": np.array(["x"] * 4),
            "list": [1.0] * 4,
            "ragged": np.ones(3 + self.time % 2),
            "sometimes": None if self.time % 2 else np.ones(4),
            "nan": np.full(4, np.nan),
            "constant": np.arange(4),
            "others": self.rng.normal(size=4),
        }
        info = {} if base[self.partners] is None else {"base_observation": base[self.partners]}
        return self.rng.normal(size=4).astype(np.float32), info

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.rng, self.time = np.random.default_rng(seed), 0
        return self._seen()

    def step(self, action: Any) -> Any:
        observation, info = self._seen()
        return observation, 1.0, self.time > 5, False, info


gym.register("Partners-v0", Partners)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("partners", "says"),
    [
        ("text", "no vector of numbers"),
        ("list", "no vector of numbers"),
        ("ragged", "3 entries at one moment and 4 at another"),
        ("sometimes", "2 of 4 infos of the target"),
        ("nan", "holds nan at sample 0, entry 0"),
    ],
)
def test_partners_that_are_none_are_refused_before_anything_is_trained(
    partners: str, says: str, cartpole: RunFolder
) -> None:
    target = parse(Environment, {"id": "Partners-v0", "kwargs": {"partners": partners}})
    with pytest.raises(RLTransferError) as raised:
        collect(Align(), target, Environment(id="CartPole-v1"), 4, 0)
    assert says in str(raised.value)
    collect(parse(Align, {"from": "resets"}), target, Environment(id="CartPole-v1"), 4, 0)


@pytest.mark.parametrize(
    ("partners", "align", "says"),
    [
        ("none", {}, "each observation was its own partner"),
        ("constant", {}, "the same in every pair"),
        ("others", {}, "may not be pairs"),
        ("none", {"from": "resets"}, "may not be pairs"),
        ("none", {"pairs": 4, "shrinkage": 0, "from": "resets"}, "decides its own prediction"),
        ("others", {"pairs": 4, "shrinkage": 0}, "too few episodes to leave one out"),
    ],
)
def test_what_speaks_against_a_map_is_told(
    partners: str, align: dict[str, Any], says: str, cartpole: RunFolder, tmp_path: Path
) -> None:
    verbs = {"copy": ["all"], "align": {"pairs": 64, **align}, "train": False}
    env = {"id": "Partners-v0", "kwargs": {"partners": partners}}
    record = played(tmp_path, cartpole, env=env, strategy=verbs).record()
    assert any(says in line for line in record["alignment"]["doubts"])


def test_maps_that_keep_a_width_are_refused_for_another_one(cartpole: RunFolder, tmp_path: Path) -> None:
    env = {"id": "CartPole-v1", "perturb": [{"observation_distractors": 1}]}
    verbs = {"copy": ["all"], "align": {"pairs": 32, "map": "procrustes"}, "train": False}
    with pytest.raises(RLTransferError, match="the source has 4, the target 5"):
        played(tmp_path, cartpole, env=env, strategy=verbs)


def test_without_align_nothing_of_it_is_in_an_id() -> None:
    assert "align" not in parse(StrategyVerbs, {"copy": ["all"]}).plain()
