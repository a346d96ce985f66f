"""The compiled engine against SB3: same weights and same data, update for update."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO

from rl_transfer.engine import generators
from rl_transfer.rl import compiled, sb3_seams
from support.compiled import (
    KEY,
    agree,
    begun,
    copy_rollout,
    dqn,
    engine_of,
    environments,
    freeze,
    held,
    on_policy,
    rollout,
    same_order,
    twins,
    weights,
)

BRANCHES = {"net_arch": {"pi": [8], "vf": [16, 4]}, "ortho_init": False}
FIRST = ("mlp_extractor.policy_net.0", "mlp_extractor.value_net.0")
VARIANTS: dict[str, dict[str, Any]] = {
    "discrete": {"kind": "discrete"},
    "gaussian": {"kind": "box"},
    "multi": {"kind": "multi"},
    "one-hot": {"kind": "one-hot"},
    "grid of doubles": {"kind": "grid"},
    "one environment": {"kind": "discrete", "n": 1},
    "clipped values": {"kind": "discrete", "clip_range_vf": 0.1},
    "advantages as they are": {"kind": "box", "normalize_advantage": False},
    "schedules": {
        "kind": "discrete", "learning_rate": lambda left: 1e-3 * left, "clip_range": lambda left: 0.1 * left,
        "clip_range_vf": lambda left: 0.3 * left,
    },
    "target of the divergence": {"kind": "discrete", "target_kl": 1e-4, "n_epochs": 5},
    "relu, no trunk": {"kind": "box", "policy_kwargs": {"activation_fn": torch.nn.ReLU, "net_arch": []}},
    "branches": {"kind": "box", "policy_kwargs": BRANCHES},
    "elu": {"kind": "discrete", "policy_kwargs": {"activation_fn": torch.nn.ELU}},
    "gelu": {"kind": "discrete", "policy_kwargs": {"activation_fn": torch.nn.GELU}},
    "silu": {"kind": "discrete", "policy_kwargs": {"activation_fn": torch.nn.SiLU}},
    "leaky relu": {"kind": "discrete", "policy_kwargs": {"activation_fn": torch.nn.LeakyReLU}},
    "frozen trunks": {"kind": "discrete", "prepare": freeze("mlp_extractor")},
    "frozen first layers": {"kind": "box", "prepare": freeze(*FIRST)},
    "frozen heads": {"kind": "box", "prepare": freeze("action_net", "log_std")},
    "frozen actor": {"kind": "discrete", "prepare": freeze("mlp_extractor.policy_net", "action_net")},
    "frozen second layer": {"kind": "discrete", "prepare": freeze("mlp_extractor.policy_net.2")},
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_ppo_updates_are_those_of_sb3(variant, monkeypatch):
    given = {"n_epochs": 10, **VARIANTS[variant]}
    plain, fast = twins(PPO, given.pop("kind"), **given)
    before = {name: value.clone() for name, value in fast.policy.state_dict().items()}
    for steps in (0, 7_000):
        for model in (plain, fast):
            model._update_current_progress_remaining(steps, 10_000)
        rollout(plain)
        copy_rollout(plain, fast)
        same_order(monkeypatch, fast)
        plain.train()
        fast.train()
        agree(plain, fast, 1e-5)
    assert sb3_seams.updates(plain) == sb3_seams.updates(fast)
    for name, parameter in fast.policy.named_parameters():
        assert torch.equal(before[name], parameter) is not parameter.requires_grad
    if variant == "target of the divergence":
        assert sb3_seams.updates(fast) < 10


def test_one_epoch_of_ppo_on_a_larger_rollout_agrees_within_1e_5_after_ten_within_1e_4(monkeypatch):
    plain, fast = twins(PPO, "box", n=4, n_steps=128, batch_size=64, n_epochs=10, learning_rate=1e-3)
    rollout(plain)
    copy_rollout(plain, fast)
    for bound in (1e-5, *[1e-4] * 9):
        for model in (plain, fast):
            model.n_epochs = 1
        same_order(monkeypatch, fast)
        plain.train()
        fast.train()
        agree(plain, fast, bound)


@pytest.mark.parametrize("rms_prop", [True, False])
def test_a2c_updates_are_those_of_sb3(rms_prop, monkeypatch):
    plain, fast = twins(A2C, "box", use_rms_prop=rms_prop, normalize_advantage=True, ent_coef=0.01)
    for _ in range(5):
        rollout(plain)
        copy_rollout(plain, fast)
        plain.train()
        fast.train()
        agree(plain, fast, 1e-5)
    logged = [model.logger.name_to_value for model in (plain, fast)]
    for name in ("train/policy_loss", "train/value_loss", "train/entropy_loss", "train/std"):
        assert logged[1][name] == pytest.approx(logged[0][name], rel=1e-4)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("kind", ["discrete", "box", "one-hot"])
def test_rollouts_with_their_advantages_are_those_of_sb3(kind, cut, normalized):
    """SB3 acts as the engine acted; observations, rewards, values, advantages and returns are the same."""
    if normalized and kind == "one-hot":
        normalized = False
    plain, fast = twins(PPO, kind, cut=cut, normalized=normalized)
    for model in (plain, fast):
        model.env.seed(3)
        model._last_obs = model.env.reset()
    rollout(fast)
    engine, step = engine_of(fast), iter(range(fast.n_steps))
    values = plain.policy.evaluate_actions

    def act(observations, deterministic=False):
        actions = torch.from_numpy(engine._actions[next(step)])
        chosen = actions.flatten().long() if isinstance(plain.action_space, spaces.Discrete) else actions
        found, log_probabilities, _ = values(observations, chosen)
        return chosen, found, log_probabilities

    plain.policy.forward = act
    rollout(plain)
    buffer = plain.rollout_buffer
    for name, theirs in (
        ("rewards", "rewards"),
        ("starts", "episode_starts"),
        ("values", "values"),
        ("log_probabilities", "log_probs"),
        ("advantages", "advantages"),
        ("returns", "returns"),
    ):
        np.testing.assert_allclose(engine._numbers[name], getattr(buffer, theirs), rtol=1e-5, atol=2e-6)
    np.testing.assert_array_equal(plain._last_obs, fast._last_obs)
    np.testing.assert_array_equal(plain._last_episode_starts, fast._last_episode_starts)
    assert plain.num_timesteps == fast.num_timesteps
    assert [(e["r"], e["l"]) for e in plain.ep_info_buffer] == [(e["r"], e["l"]) for e in fast.ep_info_buffer]
    if normalized:
        np.testing.assert_allclose(plain.env.obs_rms.mean, fast.env.obs_rms.mean, rtol=1e-12)
        np.testing.assert_allclose(plain.env.ret_rms.var, fast.env.ret_rms.var, rtol=1e-12)


@pytest.mark.parametrize("frozen", [(), ("q_net.q_net.0",)])
@pytest.mark.parametrize(
    ("kind", "normalized", "anchored"),
    [
        ("discrete", False, False),
        ("discrete", True, False),
        ("one-hot", False, False),
        ("grid", False, False),
        ("discrete", False, True),
    ],
)
def test_dqn_gradient_steps_and_target_updates_are_those_of_sb3(
    kind, normalized, anchored, frozen, monkeypatch
):
    plain, fast = dqn(kind, normalized), dqn(kind, normalized)
    for model in (plain, fast):
        freeze("nothing", *frozen)(model)
        model.policy.q_net_target.requires_grad_(False)
        model._setup_learn(10_000)
    anchors = [held(model) for model in (plain, fast) if anchored]
    compiled.install(fast, KEY, anchors[1] if anchored else ())
    buffer = plain.replay_buffer

    def sample(batch_size, env=None):
        words = [
            [int(w) for w in generators.philox(KEY, generators.REPLAY, place[0], i)][:2]
            for i in range(batch_size)
        ]
        place[0] += 1
        upper = buffer.buffer_size if buffer.full else buffer.pos
        rows = np.array([w[0] * upper >> 32 for w in words])
        columns = iter([w[1] * buffer.n_envs >> 32 for w in words])
        monkeypatch.setattr(np.random, "randint", lambda low, high, size: np.array(list(columns)))
        return buffer._get_samples(rows, env)

    monkeypatch.setattr(buffer, "sample", sample)
    for _ in range(12):
        callback = begun(fast)
        fast.collect_rollouts(fast.env, callback, fast.train_freq, fast.replay_buffer)
        for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
            getattr(buffer, name)[:] = getattr(fast.replay_buffer, name)
        buffer.pos, buffer.full = fast.replay_buffer.pos, fast.replay_buffer.full
        if normalized:
            plain.env.obs_rms, plain.env.ret_rms = fast.env.obs_rms, fast.env.ret_rms
        for _ in range(4):
            plain.num_timesteps += 2
            sb3_seams.count_step(plain)
        place = [sb3_seams.updates(fast)]
        plain.train(5, 16)
        fast.train(5, 16)
    assert fast.replay_buffer.full
    assert plain.exploration_rate == fast.exploration_rate
    agree(plain, fast, 1e-4)
    logged = [model.logger.name_to_value["train/loss"] for model in (plain, fast)]
    assert logged[1] == pytest.approx(logged[0], rel=1e-3)


def test_dqn_stores_what_sb3_stores():
    plain, fast = dqn("discrete", True), dqn("discrete", True)
    for model in (plain, fast):
        model._setup_learn(10_000)
        model.env.seed(5)
        model._last_obs = model.env.reset()
        model._last_original_obs = model.env.get_original_obs()
    compiled.install(fast, KEY)
    fast.collect_rollouts(fast.env, begun(fast), fast.train_freq._replace(frequency=30), fast.replay_buffer)
    step = iter(fast.replay_buffer.actions[:30, :, 0])
    plain.predict = lambda *_, **__: (next(step), None)
    plain.collect_rollouts(
        plain.env, begun(plain), plain.train_freq._replace(frequency=30), plain.replay_buffer
    )
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        mine, theirs = (getattr(model.replay_buffer, name)[:30] for model in (fast, plain))
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    assert fast.replay_buffer.timeouts.sum() > 0


def test_what_is_frozen_does_not_drift_in_an_averaged_target_network():
    """0.9 · w + 0.1 · w is not always w in single precision, and the average is taken again and again."""
    model = dqn("discrete", tau=0.1, target_update_interval=2)
    freeze("q_net.q_net.0")(model)
    model._setup_learn(10_000)
    compiled.install(model, KEY)
    for _ in range(10):
        model.collect_rollouts(model.env, begun(model), model.train_freq, model.replay_buffer)
        model.train(1, 16)
    online, averaged = model.q_net.state_dict(), model.q_net_target.state_dict()
    assert torch.equal(online["q_net.0.weight"], averaged["q_net.0.weight"])
    assert not torch.equal(online["q_net.2.weight"], averaged["q_net.2.weight"])


def test_dqn_explores_until_learning_starts_and_then_as_its_schedule_says():
    """Without exploration the bias alone decides, but not before learning starts."""
    model = dqn("discrete", learning_starts=40, exploration_initial_eps=0.0, exploration_final_eps=0.0)
    with torch.no_grad():
        for name, parameter in model.q_net.named_parameters():
            parameter.zero_()
            if name == "q_net.4.bias":
                parameter[1] = 1.0
    model._setup_learn(10_000)
    compiled.install(model, KEY)
    frequency = model.train_freq._replace(frequency=40)  # of two environments each
    model.collect_rollouts(model.env, begun(model), frequency, model.replay_buffer, learning_starts=40)
    actions = model.replay_buffer.actions[:40, :, 0]
    assert set(actions[:20].ravel()) == {0, 1, 2}
    assert (actions[20:] == 1).all()


def test_every_step_of_a_rollout_draws_noise_of_its_own():
    model = on_policy(PPO, environments("box"))
    with torch.no_grad():  # the action is nothing but noise
        model.policy.action_net.weight.zero_()
    model._setup_learn(10_000)
    compiled.install(model, KEY)
    rollout(model)
    first = engine_of(model)._actions.copy()
    rollout(model)
    drawn = np.concatenate([first, engine_of(model)._actions])
    assert len(np.unique(drawn)) == drawn.size


@pytest.mark.parametrize("frozen", [(), ("mlp_extractor.policy_net",)])
def test_anchors_pull_as_under_sb3(frozen, monkeypatch):
    plain, fast = (on_policy(PPO, environments("box"), n_epochs=10) for _ in range(2))
    for model in (plain, fast):
        freeze("nothing", *frozen)(model)
        model._setup_learn(10_000)
    held(plain)
    compiled.install(fast, KEY, held(fast))
    rollout(plain)
    copy_rollout(plain, fast)
    same_order(monkeypatch, fast)
    before = weights(plain)
    plain.train()
    fast.train()
    agree(plain, fast, 1e-5)
    free, untouched = twins(PPO, "box", n_epochs=10)
    del untouched
    rollout(free)
    free.train()
    moved = torch.linalg.norm(weights(free)["action_net.weight"] - weights(plain)["action_net.weight"])
    assert moved > 0.01 * torch.linalg.norm(before["action_net.weight"])
