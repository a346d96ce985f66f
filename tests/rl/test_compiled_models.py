"""Models on the compiled engine as users have them: seeded, saved, resumed, thawed, refused."""

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback

from rl_transfer.errors import TransferError
from rl_transfer.rl import compiled, sb3_seams
from rl_transfer.rl.compiled import on_policy as on_policy_module
from rl_transfer.rl.compiled import q_learning as q_learning_module
from rl_transfer.rl.compiled.fit import why_not
from support.compiled import KEY, dqn, engine_of, environments, freeze, learned, on_policy, weights


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
