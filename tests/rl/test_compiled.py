"""The compiled engine against SB3: same weights and same data, update for update; same files afterwards."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rl_transfer.core import EWC, L2SP, Anchor
from rl_transfer.engine import generators
from rl_transfer.errors import TransferError
from rl_transfer.rl import compiled, sb3_seams
from rl_transfer.rl.compiled import on_policy as on_policy_module
from rl_transfer.rl.compiled import q_learning as q_learning_module
from rl_transfer.rl.compiled.fit import why_not
from rl_transfer.rl.policies.parts import policy_parts
from rl_transfer.rl.strategy.anchors import AnchorLoss
from rl_transfer.rl.strategy.hooks import install_losses

KEY = 11


class Walk(gym.Env):
    """Seeded noise around the actions: any spaces, episodes of eleven steps, cut off or ended."""

    def __init__(self, observation_space, action_space, cut=False):
        self.observation_space, self.action_space, self._cut = observation_space, action_space, cut

    def _look(self):
        if isinstance(self.observation_space, spaces.Discrete):
            return int(self.np_random.integers(self.observation_space.n))
        return self.np_random.normal(size=self.observation_space.shape).astype(self.observation_space.dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._look(), {}

    def step(self, action):
        self._steps += 1
        over = self._steps % 11 == 0
        reward = float(np.sum(action)) + float(self.np_random.normal())
        return self._look(), reward, over and not self._cut, over and self._cut, {}


VECTOR = spaces.Box(-np.inf, np.inf, (3,), np.float32)
GRID = spaces.Box(-np.inf, np.inf, (2, 2), np.float64)
BOX = spaces.Box(np.array([-1, -0.5], np.float32), np.array([1, 2], np.float32))
SPACES = {
    "discrete": (VECTOR, spaces.Discrete(3)),
    "box": (VECTOR, BOX),
    "multi": (VECTOR, spaces.MultiDiscrete([2, 3])),
    "one-hot": (spaces.Discrete(5), spaces.Discrete(2)),
    "grid": (GRID, spaces.Discrete(2)),
}


def environments(kind, n=2, cut=False, normalized=False):
    venv = DummyVecEnv([lambda: Monitor(Walk(*SPACES[kind], cut=cut)) for _ in range(n)])
    return VecNormalize(venv, clip_obs=2.0, clip_reward=1.5) if normalized else venv


def on_policy(algorithm, env, seed=0, **more):
    settings = {"n_steps": 16, "seed": seed, "device": "cpu", "gae_lambda": 0.9, **more}
    if algorithm is PPO:
        settings = {"batch_size": 8, "n_epochs": 1, "ent_coef": 0.02, **settings}
    return algorithm("MlpPolicy", env, **settings)


def twins(algorithm, kind, n=2, cut=False, normalized=False, prepare=None, **more):
    """The same model twice, and beside the second the engine under it."""
    pair = [on_policy(algorithm, environments(kind, n, cut, normalized), **more) for _ in range(2)]
    for model in pair:
        if prepare is not None:
            prepare(model)
        model._setup_learn(10_000)
    compiled.install(pair[1], KEY)
    return pair


def engine_of(model):
    return model.train.__self__


def begun(model):
    """The callback that ``learn`` would make."""
    return model._init_callback(None)


def rollout(model):
    model.collect_rollouts(model.env, begun(model), model.rollout_buffer, model.n_steps)


def copy_rollout(plain, fast):
    """Give the engine the rollout that SB3 made; both are ``[step, environment]``."""
    buffer, engine = plain.rollout_buffer, engine_of(fast)
    engine._net.bind()
    observations = buffer.observations
    if isinstance(plain.observation_space, spaces.Discrete):
        observations = np.eye(plain.observation_space.n)[observations[..., 0].astype(int)]
    engine._observations[:] = observations.reshape(engine._observations.shape)
    engine._actions[:] = buffer.actions.reshape(engine._actions.shape)
    for name, theirs in (
        ("values", "values"),
        ("log_probabilities", "log_probs"),
        ("advantages", "advantages"),
        ("returns", "returns"),
    ):
        engine._numbers[name][:] = getattr(buffer, theirs)


def same_order(monkeypatch, fast):
    """SB3's permutations become the engine's; SB3 numbers transitions by environment, then by step."""
    count, steps = fast.n_envs, fast.n_steps
    place = [sb3_seams.updates(fast)]

    def permutation(length):
        order = np.zeros(length, np.int64)
        generators.shuffle(order, KEY, generators.ORDER, place[0])
        place[0] += 1
        return order % count * steps + order // count

    monkeypatch.setattr(np.random, "permutation", permutation)


def agree(plain, fast, bound):
    """Per tensor ‖Δ‖₂ ≤ bound · ‖θ‖₂."""
    theirs, mine = plain.policy.state_dict(), fast.policy.state_dict()
    worst = {
        name: (torch.linalg.norm(mine[name] - value) / max(torch.linalg.norm(value), 1e-3)).item()
        for name, value in theirs.items()
    }
    assert max(worst.values()) <= bound, worst


def freeze(*prefixes):
    def apply(model):
        for name, parameter in model.policy.named_parameters():
            parameter.requires_grad_(not name.startswith(prefixes))

    return apply


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


def held(model):
    """L2-SP on the action head, EWC with a random Fisher information on the rest."""
    generator = torch.Generator().manual_seed(0)
    own = {n: p for n, p in model.policy.named_parameters() if "target" not in n}
    head = {
        n: torch.randn(p.shape, generator=generator)
        for n, p in own.items()
        if "action_net" in n or ".4." in n
    }
    rest = {n: torch.randn(p.shape, generator=generator) for n, p in own.items() if n not in head}
    fisher = {n: torch.rand(value.shape, generator=generator) for n, value in rest.items()}
    anchors: list[Anchor] = [L2SP(head, strength=0.3), EWC(rest, fisher, strength=2.0)]
    install_losses(
        model, policy_parts(type(model).__name__, model.policy), [AnchorLoss(each) for each in anchors]
    )
    return anchors


def dqn(kind, normalized=False, **more):
    settings = {
        "buffer_size": 80, "learning_starts": 0, "train_freq": 4, "gradient_steps": 5, "batch_size": 16,
        "seed": 0, "device": "cpu", "learning_rate": 1e-3, "target_update_interval": 20, "tau": 0.5,
        "max_grad_norm": 1.0, **more,
    }  # fmt: skip
    return DQN("MlpPolicy", environments(kind, normalized=normalized, cut=True), **settings)


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


def learned(steps=64, **more):
    model = on_policy(PPO, environments("box"), **more)
    compiled.install(model, KEY)
    return model.learn(steps)


def weights(model):
    return {name: value.clone() for name, value in model.policy.state_dict().items()}


def test_the_same_seed_gives_the_same_weights_another_one_others():
    first, second = learned(), learned()
    assert all(
        torch.equal(a, b) for a, b in zip(weights(first).values(), weights(second).values(), strict=True)
    )
    other = on_policy(PPO, environments("box"))
    compiled.install(other, KEY + 1)
    assert not torch.equal(weights(other.learn(64))["action_net.weight"], weights(first)["action_net.weight"])


def test_a_saved_model_is_an_ordinary_one(tmp_path):
    model = learned()
    model.save(tmp_path / "model.zip")
    loaded = PPO.load(tmp_path / "model.zip", device="cpu")
    observation = np.ones((1, 3), np.float32)
    assert np.array_equal(
        model.predict(observation, deterministic=True)[0], loaded.predict(observation, deterministic=True)[0]
    )
    moments = loaded.policy.optimizer.state_dict()["state"][0]
    assert moments["step"] == model.policy.optimizer.state_dict()["state"][0]["step"] == 8
    assert torch.equal(moments["exp_avg"], model.policy.optimizer.state_dict()["state"][0]["exp_avg"])


def test_training_goes_on_with_the_moments_that_a_checkpoint_brought():
    whole = learned(64)
    rate = whole.policy.optimizer.state_dict()
    kept = {k: {n: v.clone() for n, v in s.items()} for k, s in rate["state"].items()}
    again = on_policy(PPO, environments("box"))
    compiled.install(again, KEY)
    again.learn(32)
    again.policy.load_state_dict(weights(whole))
    again.policy.optimizer.load_state_dict({"state": kept, "param_groups": rate["param_groups"]})
    again._n_updates = whole._n_updates
    copy = {name: each.copy() for name, each in engine_of(whole)._numbers.items()}
    for name, each in copy.items():
        engine_of(again)._numbers[name][:] = each
    engine_of(again)._observations[:] = engine_of(whole)._observations
    engine_of(again)._actions[:] = engine_of(whole)._actions
    engine_of(again)._net.bind()
    for model in (whole, again):
        model.train()
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(again)[name]), name


def test_what_thaws_in_the_middle_is_trained_from_then_on():
    model = on_policy(PPO, environments("box"))
    freeze("mlp_extractor")(model)
    compiled.install(model, KEY)
    before = weights(model)
    model.learn(64)
    middle = weights(model)
    for parameter in model.policy.parameters():
        parameter.requires_grad_(True)
    model.learn(64, reset_num_timesteps=False)
    trunk = "mlp_extractor.policy_net.0.weight"
    assert torch.equal(before[trunk], middle[trunk])
    assert not torch.equal(middle[trunk], weights(model)[trunk])
    steps = {float(state["step"]) for state in model.policy.optimizer.state.values()}
    assert len(steps) == 2  # what thawed has counted its own steps


def test_learning_rates_of_parts_are_followed():
    model = on_policy(PPO, environments("box"))
    heads = [p for n, p in model.policy.named_parameters() if n.startswith("action_net")]
    rest = [p for n, p in model.policy.named_parameters() if not n.startswith("action_net")]
    model.policy.optimizer = torch.optim.Adam([{"params": heads}, {"params": rest}], lr=3e-4, eps=1e-5)
    group = model.policy.optimizer.param_groups[0]
    sb3_seams.after_learning_rate_update(model, lambda rate: group.update(lr=0.0))
    compiled.install(model, KEY)
    before = weights(model)
    model.learn(32)
    changed = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert changed == {n for n, _ in model.policy.named_parameters() if not n.startswith("action_net")}


def test_divergence_is_named():
    model = on_policy(PPO, environments("box"), learning_rate=1e30)
    compiled.install(model, KEY)
    with pytest.raises(TransferError, match="training diverged: the loss of the update at step"):
        model.learn(320)


class Square(torch.nn.Module):
    def forward(self, x):
        return x * x


def ppo_with(**policy_kwargs):
    return on_policy(PPO, environments("box"), policy_kwargs=policy_kwargs)


REFUSED = {
    "gSDE": lambda: PPO("MlpPolicy", environments("box"), use_sde=True, device="cpu"),
    "knows dense layers alone": lambda: ppo_with(activation_fn=Square),
    "weight_decay is 0.1": lambda: ppo_with(optimizer_kwargs={"weight_decay": 0.1}),
    "optimizer is SGD": lambda: ppo_with(optimizer_class=torch.optim.SGD),
    "none of PPO, A2C and DQN": lambda: SAC("MlpPolicy", environments("box"), device="cpu"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_does_not_fit_is_refused_with_the_reason(reason):
    model = REFUSED[reason]()
    assert reason in str(why_not(model))
    with pytest.raises(TransferError, match=r"use training\.engine: sb3"):
        compiled.install(model, KEY)


class Stop(BaseCallback):
    def _on_step(self):
        return False


@pytest.mark.parametrize("kind", ["ppo", "dqn"])
def test_a_callback_that_ends_a_rollout_leaves_what_sb3_would_have(kind, monkeypatch):
    for module in (on_policy_module, q_learning_module):
        monkeypatch.setattr(module, "SIGN_SECONDS", 0.0)  # asked after every step
    model = on_policy(PPO, environments("box", normalized=True)) if kind == "ppo" else dqn("discrete", True)
    compiled.install(model, KEY)
    model.learn(64, callback=Stop())
    assert model.num_timesteps == 2
    assert model.env.obs_rms.count == pytest.approx(4, abs=0.01)  # the reset's and one step's, two rows each
    np.testing.assert_array_equal(model._last_obs, model.env.normalize_obs(model.env.get_original_obs()))
