"""What a record says of a policy's inside, for every algorithm, on both engines, and what it leaves alone."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples, RolloutBufferSamples

from rl_transfer.core import digest_model
from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.policies import normalization
from rl_transfer.rl.policies.algorithms import build_model
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.rl.training.diagnosis import PolicyDiagnosis
from rl_transfer.rl.training.losses import advantages, losses
from rl_transfer.rl.training.rollouts import COPIES, STEPS, policy_actor, roll_out
from support.algorithms import ALGORITHMS, run_of
from support.events import scalars_of
from support.resumption import numbers
from support.rl import PPO, Execute, make_run

LOOKS = {"every": 64, "episodes": 2, "diagnostics": True}
BLIND = {**LOOKS, "diagnostics": False}
ENGINES = ("sb3", "compiled")


def parts_of(folder: Any) -> dict[str, Any]:
    found: dict[str, Any] = folder.record()["diagnostics"]["parts"]
    return found


def figures(parts: dict[str, Any], moment: str, figure: str) -> dict[str, float]:
    return {name: part[moment][figure] for name, part in parts.items() if part[moment][figure] is not None}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_has_every_figure(name: str, run: Execute) -> None:
    parts = parts_of(run(**run_of(name, evaluation={"every": 32, "episodes": 1, "diagnostics": True})))
    trunks = {key for key, part in parts.items() if part["role"] == "trunk"}
    assert {"policy_trunk", "action_head"} <= parts.keys()
    assert "target" not in parts
    for moment in ("start", "end"):
        for figure, most in {"dormant": 1.0, "effective_rank": 16.0}.items():
            found = figures(parts, moment, figure)
            assert found.keys() == trunks
            assert all(0 <= each <= most + 1e-9 for each in found.values())
        found = figures(parts, moment, "gradient_agreement")
        assert found["policy_trunk"] < 0.9999, "two halves, not one twice"
        assert trunks <= found.keys()
        assert all(-1 <= each <= 1 for each in found.values())
    assert all(parts[key]["distance"] > 0 for key in trunks)
    assert {part["distance_from_source"] for part in parts.values()} == {None}


def gradients(model: Any, given: list[tuple[torch.Tensor, str]]) -> Iterator[tuple[str, torch.Tensor]]:
    for loss, prefix in given:
        named = {n: p for n, p in model.policy.named_parameters() if n.startswith(prefix)}
        found = torch.autograd.grad(loss, [*named.values()], allow_unused=True, retain_graph=True)
        yield from ((n, g) for n, g in zip(named, found, strict=True) if g is not None)


def built(name: str, **more: Any) -> tuple[Any, Any]:
    run = make_run(**run_of(name, **more))
    assert run.algorithm is not None
    return build_model(run.algorithm, make_vec_env(run.env, run.algorithm.n_envs), 3), run


@pytest.mark.parametrize("name", ["PPO", "A2C", "DQN", "QRDQN", "SAC", "TQC", "TD3", "DDPG"])
def test_losses_have_the_gradients_of_the_algorithms_own_update(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = {**run_of(name)["env"], "perturb": ({"time_limit": 7},)}  # cut off, and now and then ended
    model, run = built(name, env=limited)
    env = make_vec_env(run.env, COPIES)
    rollout = roll_out(env, policy_actor(model, None), 5)
    assert rollout.ended.sum() > rollout.terminated.sum()
    traits, gamma = traits_of(name), run.algorithm.gamma
    torch.manual_seed(1)
    mine = dict(gradients(model, losses(model, traits, rollout, None, gamma)))
    rows = rollout.rewards.size
    observations, following = (
        torch.as_tensor(np.asarray(each).reshape(rows, -1), dtype=torch.float32)
        for each in (rollout.observations, rollout.following)
    )
    actions = torch.as_tensor(rollout.actions.reshape(rows, -1))
    if traits.off_policy:
        rewards, dones = (
            torch.as_tensor(each.reshape(rows, 1), dtype=torch.float32)
            for each in (rollout.rewards, rollout.terminated)
        )
        samples: Any = ReplayBufferSamples(observations, actions, following, dones, rewards)
        model.replay_buffer.sample = lambda *_, **__: samples
        model.target_policy_noise, model.policy_delay = 0.0, 1
    else:
        with torch.no_grad():
            values, likelihoods, _ = model.policy.evaluate_actions(observations, actions.flatten())
            after = model.policy.predict_values(following).flatten() * ~torch.as_tensor(
                rollout.terminated.flatten()
            )
        given = advantages(
            rollout.rewards,
            values.numpy().reshape(rollout.rewards.shape),
            after.numpy().reshape(rollout.rewards.shape),
            rollout.ended,
            gamma,
            model.gae_lambda,
        ).flatten()
        data = (torch.as_tensor(each, dtype=torch.float32) for each in (given, given + values.numpy()[:, 0]))
        samples = RolloutBufferSamples(observations, actions.flatten(), values.flatten(), likelihoods, *data)
        model.rollout_buffer.get = lambda *_, **__: [samples]
        model.n_epochs = 1
    model.max_grad_norm = 1e9
    optimizers = [
        each.optimizer
        for each in (model.policy, *model.policy.children())
        if getattr(each, "optimizer", None) is not None
    ]
    named = {id(parameter): key for key, parameter in model.policy.named_parameters()}
    theirs: dict[str, torch.Tensor] = {}
    for optimizer in optimizers:

        def caught(owner: torch.optim.Optimizer, *_: object) -> None:
            for group in owner.param_groups:
                theirs.update({named[id(p)]: p.grad.clone() for p in group["params"] if p.grad is not None})

        optimizer.register_step_pre_hook(caught)
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["lr"] = 0.0
    model._setup_learn(64)
    model.lr_schedule = lambda _: 0.0
    torch.manual_seed(1)
    model.train(gradient_steps=1, batch_size=rows) if traits.off_policy else model.train()
    env.close()
    assert theirs.keys() == mine.keys()
    factor = 2.0 if name == "SAC" else 1.0
    for key, gradient in theirs.items():
        scale = factor if key.startswith("critic") else 1.0
        assert torch.allclose(mine[key], scale * gradient, rtol=1e-3, atol=1e-5), key


def test_advantages_are_those_of_the_rollout_buffer() -> None:
    draws = np.random.default_rng(0)
    model, _ = built("A2C")
    steps, copies = 8, 2
    rewards, values = draws.normal(size=(2, steps, copies))
    ended = draws.random((steps, copies)) < 0.3
    final = draws.normal(size=copies)
    buffer = RolloutBuffer(
        steps, model.observation_space, model.action_space, gae_lambda=0.9, gamma=0.95, n_envs=copies
    )
    buffer.rewards[:], buffer.values[:] = rewards, values
    buffer.episode_starts[1:] = ended[:-1]
    buffer.compute_returns_and_advantage(torch.as_tensor(final), ended[-1])
    following = np.where(ended, 0.0, np.concatenate([values[1:], final[None]]))
    found = advantages(rewards, values, following, ended, 0.95, 0.9)
    assert np.allclose(found, buffer.advantages, atol=1e-5)


def test_a_time_limit_ends_an_episode_without_terminating_it() -> None:
    model, run = built("SAC", env={"id": "Pendulum-v1", "perturb": ({"time_limit": 10},)})
    env = make_vec_env(run.env, COPIES)
    rollout = roll_out(env, policy_actor(model, None), 5)
    env.close()
    assert rollout.ended[9::10].all()
    assert rollout.ended.sum() == STEPS // 10 * COPIES
    assert not rollout.terminated.any()
    going = ~rollout.ended[:-1]
    observations, following = np.asarray(rollout.observations), np.asarray(rollout.following)
    assert np.array_equal(following[:-1][going], observations[1:][going])
    assert not np.array_equal(following[9], observations[10]), "the last, not the first"
    assert np.abs(rollout.actions).max() <= 1.0, "as the replay buffer has them; the torque goes to 2"


@pytest.mark.parametrize("engine", ENGINES)
def test_training_is_the_same_to_the_bit_with_and_without(engine: str, run: Execute) -> None:
    training = {"total_steps": 128, "engine": engine}
    seeing, blind = (run(training=training, evaluation=each) for each in (LOOKS, BLIND))
    assert "diagnostics" in seeing.record()
    assert "diagnostics" not in blind.record()
    mine, theirs = (
        {key: value for key, value in numbers(each).items() if key not in ("id", "files", "diagnostics")}
        for each in (seeing, blind)
    )
    assert mine == theirs, "curve, digest of the weights, everything"
    tensors = "bundle/tensors.safetensors"
    assert seeing.record()["files"][tensors] == blind.record()["files"][tensors]


def test_engines_see_the_same_network_before_training(run: Execute) -> None:
    found = [
        parts_of(run(training={"total_steps": 128, "engine": each}, evaluation=LOOKS)) for each in ENGINES
    ]
    for figure in ("dormant", "saturated", "effective_rank", "gradient_agreement"):
        mine, theirs = (figures(each, "start", figure) for each in found)
        assert mine
        assert mine == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_frozen_is_exactly_where_it_was_and_what_is_tuned_is_not(engine: str, run: Execute) -> None:
    training = {"total_steps": 128, "engine": engine}
    source = run(training={"total_steps": 64, "engine": engine}, evaluation={"every": 64, "episodes": 1})
    frozen = parts_of(
        run(source=source, training=training, evaluation=LOOKS,
            strategy={"copy": ["trunk"], "freeze": ["trunk"]})
    )  # fmt: skip
    tuned = parts_of(run(source=source, training=training, evaluation=LOOKS, strategy={"copy": ["all"]}))
    for trunk in ("policy_trunk", "value_trunk"):
        assert frozen[trunk]["distance"] == frozen[trunk]["distance_from_source"] == 0.0
        assert frozen[trunk]["start"]["effective_rank"] == frozen[trunk]["end"]["effective_rank"]
        assert tuned[trunk]["distance"] == tuned[trunk]["distance_from_source"] > 0
        assert frozen[trunk]["start"]["effective_rank"] == tuned[trunk]["start"]["effective_rank"]
        assert tuned[trunk]["start"]["effective_rank"] != tuned[trunk]["end"]["effective_rank"]
    assert frozen["action_head"]["distance"] > 0
    assert frozen["action_head"]["distance_from_source"] is None


def test_weights_changed_on_the_way_are_far_from_the_source_and_not_from_the_start(run: Execute) -> None:
    source = run(training={"total_steps": 64}, evaluation={"every": 64, "episodes": 1})
    held = parts_of(
        run(source=source, evaluation=LOOKS,
            strategy={"copy": ["trunk"], "freeze": ["trunk"], "initial": {"kind": "shuffled"}})
    )  # fmt: skip
    assert held["policy_trunk"]["distance"] == 0.0
    assert held["policy_trunk"]["distance_from_source"] > 0.5


@pytest.mark.parametrize(
    ("strategy", "moved"),
    [({"low_rank": {"rank": 2}, "freeze": ["trunk"]}, True), ({"progressive": True}, None)],
    ids=["low rank", "progressive"],
)
def test_other_architectures_are_measured_as_they_end(
    strategy: dict[str, Any], moved: bool | None, run: Execute
) -> None:
    source = run(training={"total_steps": 64}, evaluation={"every": 64, "episodes": 1})
    parts = parts_of(run(source=source, evaluation=LOOKS, strategy={"copy": ["trunk"], **strategy}))
    trunk = parts["policy_trunk"]
    assert trunk["distance"] > 0
    assert trunk["end"]["effective_rank"] > 0
    if moved:
        assert trunk["distance"] == trunk["distance_from_source"], "adapters are folded in"
    else:
        assert trunk["distance_from_source"] is None, "the copied column is another tensor"


@pytest.mark.parametrize(
    "more",
    [
        {"env": {"id": "Pendulum-v1"}, "algorithm": {**PPO, "use_sde": True, "normalize": {}}},
        run_of("SAC", algorithm={"name": "SAC", **ALGORITHMS["SAC"], "use_sde": True}),
        {"training": {"total_steps": 128, "keep": "best"}},
    ],
    ids=["gSDE, normalised", "gSDE, off-policy", "the best kept"],
)
def test_the_policy_in_the_bundle_is_the_one_that_was_measured(more: dict[str, Any], run: Execute) -> None:
    seeing, blind = (run(**{**more, "evaluation": {**each, "every": 64}}) for each in (LOOKS, BLIND))
    assert seeing.record()["weights_digest"] == blind.record()["weights_digest"]
    assert parts_of(seeing)["policy_trunk"]["end"]["gradient_agreement"] is not None


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_the_model_moves(fails: bool, monkeypatch: pytest.MonkeyPatch, run: Execute) -> None:
    record, seen = PolicyDiagnosis.record, []

    def watched(self: PolicyDiagnosis, model: Any, events: Any) -> Any:
        def state() -> tuple[str, dict[str, Any], Any]:
            statistics = {key: value.tolist() for key, value in normalization.tensors(model.env).items()}
            return digest_model(model.policy), statistics, torch.get_rng_state().tolist()

        before = state()
        try:
            return record(self, model, events)
        finally:
            seen.append(before == state())

    monkeypatch.setattr(PolicyDiagnosis, "record", watched)
    if fails:
        monkeypatch.setattr("rl_transfer.rl.training.diagnosis.part_activity", lambda *_: [][0])
    folder = run(env={"id": "Pendulum-v1"}, algorithm={**PPO, "normalize": {}}, evaluation=LOOKS)
    assert seen == [True]
    assert ("left_out" in folder.record()["diagnostics"]) == fails


def test_a_measurement_that_fails_costs_nothing_of_the_run(
    monkeypatch: pytest.MonkeyPatch, run: Execute
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no such unit")

    monkeypatch.setattr("rl_transfer.rl.training.diagnosis.part_activity", fails)
    seeing, blind = run(evaluation=LOOKS), run(evaluation=BLIND)
    assert "no such unit" in seeing.record()["diagnostics"]["left_out"]
    assert seeing.record()["weights_digest"] == blind.record()["weights_digest"]
    assert seeing.curve() == blind.curve()


def test_the_run_s_events_have_them_at_both_ends(run: Execute) -> None:
    folder = run(evaluation=LOOKS)
    trunk = parts_of(folder)["policy_trunk"]
    found = scalars_of(folder.tensorboard)
    rank, distance, dormant = (
        dict(found[f"{figure}/policy_trunk"]) for figure in ("effective_rank", "weight_distance", "dormant")
    )
    assert rank.keys() == distance.keys() == dormant.keys() == {0, 128}
    for step, moment in {0: "start", 128: "end"}.items():
        assert rank[step] == pytest.approx(trunk[moment]["effective_rank"])
        assert dormant[step] == pytest.approx(trunk[moment]["dormant"])
    assert distance[0] == 0.0
    assert distance[128] == pytest.approx(trunk["distance"])


def test_ids_of_runs_without_them_are_what_they_were() -> None:
    assert "diagnostics" not in json.dumps(make_run(evaluation=BLIND).plain())
    assert make_run(evaluation=LOOKS).identity() != make_run(evaluation=BLIND).identity()
