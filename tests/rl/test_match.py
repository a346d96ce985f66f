"""The gap between source and target as a term of the loss of policies."""

from pathlib import Path
from typing import Any

import pytest
import torch

from rl_transfer.core import isolated
from rl_transfer.core.gaps import coral, gap_by_label, mmd
from rl_transfer.core.layer_outputs import layer_outputs
from rl_transfer.core.strata import action_strata
from rl_transfer.errors import RLTransferError, TransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.policies.algorithms import build_model
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.policies.parts import policy_parts
from rl_transfer.rl.strategy.apply import PolicyTransfer
from rl_transfer.rl.strategy.buffered import buffered_states
from rl_transfer.rl.strategy.matching import BATCH, MatchLoss, run_trunks, trunk_ends
from rl_transfer.rl.strategy.visited import visited
from rl_transfer.seeding import generator
from rl_transfer.spec import StrategyVerbs
from support.algorithms import PENDULUM
from support.rl import PPO, Execute, make_run

LIGHT = {"env": {"id": "CartPole-v1", "perturb": [{"force_mag": 30.0}, {"observation_noise": 0.3}]}}
OFF: dict[str, Any] = {"learning_starts": 8, "batch_size": 8, "buffer_size": 500}


@pytest.fixture
def source(run: Execute) -> RunFolder:
    return run(store="sources")


def built(source: RunFolder, match: dict[str, Any], **changes: Any) -> tuple[Any, PolicyTransfer]:
    """A model whose buffer is full, and the transfer that was applied to it."""
    verbs = {"copy": ["all"], "match": match, **changes.pop("strategy", {})}
    spec = make_run(strategy=verbs, source=source.path.name, **{**LIGHT, **changes})
    assert spec.algorithm is not None
    policy = load_policy(source.bundle)
    env = make_vec_env(spec.env, spec.algorithm.n_envs)
    model = build_model(spec.algorithm, env, 0)
    transfer = PolicyTransfer(spec, model, env, policy, 7)
    with isolated(0):
        model.learn(64)
    return model, transfer


def features(model: Any, observations: Any) -> dict[str, torch.Tensor]:
    """What the ends of both trunks of a PPO policy give, by SB3's own modules."""
    extractor = model.policy.mlp_extractor
    return {
        "policy_trunk.1": extractor.policy_net(observations),
        "value_trunk.1": extractor.value_net(observations),
    }


@pytest.mark.parametrize("kind", ["coral", "mmd"])
@pytest.mark.parametrize("conditional", [False, True])
def test_the_term_is_the_gap_between_stored_and_buffered_states(
    source: RunFolder, kind: str, conditional: bool
) -> None:
    """Recomputed from SB3's modules, the stored states and the draws that a fresh generator makes."""
    config = {"kind": kind, "strength": 3.0, "samples": 200, "conditional": conditional}
    model, transfer = built(source, config)
    (loss,) = transfer.losses
    assert isinstance(loss, MatchLoss)
    states, actions = loss.stored
    fresh = MatchLoss(loss._config, "PPO", loss._layers, states, actions, 7)
    term = fresh.loss(model, transfer.parts, 0.5)
    draws = generator(7, "match")
    mine = draws.integers(200, size=BATCH)
    buffer = model.rollout_buffer
    theirs = draws.integers(buffer.buffer_size * buffer.n_envs, size=buffer.buffer_size * buffer.n_envs)
    there = torch.as_tensor(buffer.observations[theirs])
    assert isinstance(states, torch.Tensor)
    source_features, target_features = features(model, states[mine]), features(model, there)
    estimator = {"coral": coral, "mmd": mmd}[kind]
    gaps = []
    for name, rows in source_features.items():
        if conditional:
            labels = actions[mine][:, 0], torch.as_tensor(buffer.actions[theirs])[:, 0].long()
            found = gap_by_label(estimator, rows, target_features[name], *labels, 2)
            assert found is not None
            gaps.append(found.value)
        else:
            gaps.append(estimator(rows, target_features[name]))
    assert term is not None
    assert term.item() == pytest.approx(3.0 * sum(each.item() for each in gaps), rel=1e-4)
    assert term.requires_grad


def test_the_sources_states_are_those_of_its_own_environment(source: RunFolder) -> None:
    model, transfer = built(source, {"kind": "mmd", "samples": 128})
    (loss,) = transfer.losses
    assert isinstance(loss, MatchLoss)
    states, actions = loss.stored
    assert isinstance(states, torch.Tensor)
    assert states.shape == (128, 4)
    assert set(actions.flatten().tolist()) == {0, 1}
    # CartPole's first states lie within 0.05; the target's noise of 0.3 is not in them.
    assert states[:4].abs().max() <= 0.05
    assert model.rollout_buffer.observations.std() > states[:4].std()
    other, _ = built(source, {"kind": "coral", "samples": 128})[1].losses[0].stored  # type: ignore[attr-defined]
    assert torch.equal(states, other)


@pytest.mark.parametrize("kind", ["coral", "mmd"])
def test_training_under_the_penalty_brings_the_domains_together(
    run: Execute, source: RunFolder, kind: str
) -> None:
    strength = {"coral": 1e5, "mmd": 20.0}[kind]
    policy = load_policy(source.bundle)
    keys = {**LIGHT, "training": {"total_steps": 320}, "algorithm": {**PPO, "learning_rate": 0.01}}
    free = run(source=source, strategy={"copy": ["all"]}, **keys)
    match = {"kind": kind, "strength": strength, "samples": 256}
    pulled = run(source=source, strategy={"copy": ["all"], "match": match}, **keys)
    with isolated(1):
        home = torch.as_tensor(visited(policy, 400, 1).observations)
    noise = torch.randn(400, 4, generator=torch.Generator().manual_seed(2))
    away = home[torch.randperm(400, generator=torch.Generator().manual_seed(3))] + 0.3 * noise

    def gap(folder: RunFolder) -> float:
        net = load_policy(folder.bundle).module.get_submodule("mlp_extractor.policy_net")
        with torch.no_grad():
            return {"coral": coral, "mmd": mmd}[kind](net(home), net(away)).item()

    assert gap(pulled) < 0.5 * gap(free)


def test_the_default_parts_are_what_every_trunk_passes_on(run: Execute) -> None:
    spec = make_run()
    assert spec.algorithm is not None
    model = build_model(spec.algorithm, make_vec_env(spec.env, 1), 0)
    parts = policy_parts("PPO", model.policy)
    assert [*trunk_ends(("trunk",), parts)] == ["policy_trunk.1", "value_trunk.1"]
    assert [*trunk_ends(("policy_trunk.0", "value_trunk"), parts)] == ["policy_trunk.0", "value_trunk.1"]
    with pytest.raises(TransferError, match="'action_head' is no trunk") as caught:
        trunk_ends(("trunk", "action_head"), parts)
    assert caught.value.key == "strategy.match.parts.1"
    rows = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    found = layer_outputs(
        model.policy, trunk_ends(("trunk",), parts), run_trunks(model.policy, "PPO", rows, torch.zeros(5, 1))
    )
    for name, expected in features(model, rows).items():
        assert torch.equal(found[name], expected)


def test_the_run_is_the_same_without_the_verb_and_ids_do_not_know_it(run: Execute) -> None:
    assert "match" not in StrategyVerbs().plain()
    assert "match" in StrategyVerbs.model_validate({"copy": ["all"], "match": {"kind": "mmd"}}).plain()


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "nothing copied": ({"copy": []}, {}, "copy is empty"),
    "adversarial": ({"match": {"kind": "adversarial"}}, {}, "labelled data"),
    "unlabelled": ({"match": {"kind": "mmd", "unlabelled": 64}}, {}, "for runs on labelled data"),
    "maps": ({"input_maps": {"observations": [1, 0, 2, 3]}}, {}, "cannot be combined with input_maps"),
    "progressive": ({"progressive": True}, {}, "cannot be combined with progressive"),
    "measuring only": ({"train": False}, {}, "match would do nothing"),
    "few samples": ({"match": {"kind": "mmd", "samples": 3}}, {}, "greater than or equal to 64"),
    "frozen": ({"freeze": ["trunk"]}, {}, "the whole trunk is frozen"),
    "TRPO": (
        {},
        {"algorithm": {"name": "TRPO", "n_steps": 32, "batch_size": 32}},
        "match acts through the optimizer",
    ),
    "a head": ({"match": {"kind": "mmd", "parts": ["action_head"]}}, {}, "is no trunk"),
    "no such part": ({"match": {"kind": "mmd", "parts": ["trunks"]}}, {}, "names no part"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_matched_is_refused(name: str, run: Execute, source: RunFolder) -> None:
    verbs, changes, message = REFUSED[name]
    with pytest.raises((RLTransferError, ValueError), match=message):
        run(source=source, strategy={"copy": ["all"], "match": {"kind": "mmd"}, **verbs}, **changes)


@pytest.mark.full
@pytest.mark.parametrize("name", ["PPO", "SAC"])
def test_of_continuous_actions_strata_are_compared(run: Execute, name: str) -> None:
    """Recomputed from the term's own draws: the strata of the actions that were taken, both in one unit."""
    algorithm = {**PPO, "n_steps": 64} if name == "PPO" else {"name": name, **OFF}
    keys = {"env": PENDULUM, "algorithm": algorithm}
    home = run(store="sources", **keys)
    model, transfer = built(home, {"kind": "mmd", "conditional": True, "samples": 64}, **keys)
    (loss,) = transfer.losses
    assert isinstance(loss, MatchLoss)
    states, actions = loss.stored
    widest = 1.0 if name == "SAC" else 2.0
    assert 0.5 * widest < actions.abs().max() <= widest
    assert isinstance(states, torch.Tensor)
    term = MatchLoss(loss._config, name, loss._layers, states, actions, 7).loss(model, transfer.parts, 0.5)
    draws = generator(7, "match")
    mine = torch.as_tensor(draws.integers(64, size=64))
    target, done = buffered_states(model, BATCH, draws)
    labels = action_strata(actions[mine], done.clamp(-widest, widest))
    assert isinstance(target, torch.Tensor)
    gaps = []
    for layer, each in loss._layers.items():
        sides = [
            layer_outputs(model.policy, {layer: each}, run_trunks(model.policy, name, *rows))[layer]
            for rows in ((states[mine], actions[mine]), (target, done))
        ]
        found = gap_by_label(mmd, sides[0], sides[1], *labels, 2)
        assert found is not None
        assert len(found.rows) > 3
        gaps.append(found.value)
    assert term is not None
    assert term.item() == pytest.approx(torch.stack(gaps).sum().item(), rel=1e-4)


def test_a_source_that_sees_something_else_is_refused(run: Execute, tmp_path: Path) -> None:
    home = run(store="sources", env={"id": "Acrobot-v1"})
    verbs = {"copy": ["all"], "reset_on_mismatch": ["all"], "match": {"kind": "mmd"}}
    with pytest.raises(TransferError, match=r"observation space is .*one network"):
        run(source=home, strategy=verbs)


BRIEF: dict[str, Any] = {"training": {"total_steps": 32}, "evaluation": {"every": 32, "episodes": 1}}
OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "DQN by action": ({"algorithm": {"name": "DQN", **OFF}, **BRIEF}, {"conditional": True}),
    "SAC with critics": (
        {"env": PENDULUM, "algorithm": {"name": "SAC", **OFF, "policy_kwargs": {"net_arch": [16]}}, **BRIEF},
        {},
    ),
    "low rank": ({"algorithm": PPO}, {}),
    "normalised": ({"algorithm": {**PPO, "normalize": {}}}, {}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_algorithms_match_too(name: str, run: Execute) -> None:
    keys, match = OTHERS[name]
    home = run(store="sources", **keys)
    verbs: dict[str, Any] = {"copy": ["all"]}
    if name == "low rank":
        verbs |= {"freeze": ["trunk"], "low_rank": {"rank": 2}}
    gap = {"kind": "mmd", "samples": 64, "strength": 50.0, **match}
    free, pulled = (run(source=home, strategy=each, **keys) for each in (verbs, {**verbs, "match": gap}))
    assert free.record()["weights_digest"] != pulled.record()["weights_digest"]
