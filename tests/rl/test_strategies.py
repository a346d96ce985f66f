"""Algorithm × strategy: what moved, what did not, and what is refused with a reason."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from rl_transfer.errors import RLTransferError, TransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.policies.bundle import Policy, load_policy
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.spec import StrategyConfig, parse, shipped
from rl_transfer.spec.knobs import shared_knobs
from rl_transfer.spec.yaml_map import read_yaml
from support.algorithms import ALGORITHMS, PENDULUM, run_of, target_of
from support.cases import drawn, tiered
from support.rl import make_run, played


def few_pairs(strategy: StrategyConfig) -> StrategyConfig:
    """One that aligns pays a small part of a small budget."""
    if strategy.align is None:
        return strategy
    pairs = 28 if strategy.align.map == "effects" else 16
    return strategy.model_copy(update={"align": strategy.align.model_copy(update={"pairs": pairs})})


STRATEGIES: dict[str, StrategyConfig] = {
    name: few_pairs(parse(StrategyConfig, read_yaml(path).data))
    for name, path in shipped("strategies").items()
}

REFUSED = {
    "kickstarting": {"DQN", "QRDQN", "TRPO"},
    "l2-sp": {"TRPO"},
    "discriminative-rates": {"TRPO"},
    "coral-fine-tune": {"TRPO"},
    "mmd-fine-tune": {"TRPO"},
    "domain-adversarial": set(ALGORITHMS),  # for labelled data
    "ewc": {"DQN", "QRDQN", "TD3", "DDPG", "TRPO"},
    "progressive-column": {"DQN", "QRDQN", "SAC", "TQC", "TD3", "DDPG"},
    "critic-warm-up": {"DQN", "QRDQN", "TRPO"},
    "adapt-to-spaces": set(ALGORITHMS),  # here source and target have the same spaces; see test_adapt.py
}
"""Strategies that make no sense for an algorithm; everything else must run."""

REFUSALS = [(algorithm, name) for name in REFUSED for algorithm in ALGORITHMS if algorithm in REFUSED[name]]
ALL_RUNS = [
    (algorithm, name)
    for name in STRATEGIES
    for algorithm in ALGORITHMS
    if algorithm not in REFUSED.get(name, ())
]
RUNS = [
    (algorithm, name)
    for name in STRATEGIES
    for algorithm in drawn([each for each in ALGORITHMS if each not in REFUSED.get(name, ())], 3, name)
]
PAIRS = tiered([*ALL_RUNS, *REFUSALS], {*RUNS, *drawn(REFUSALS, 16)})
"""Of every strategy three algorithms that it runs on, and 16 refusals; the others are ``full``."""


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    folder = tmp_path_factory.mktemp("sources")
    return {algorithm: played(folder, **run_of(algorithm)) for algorithm in ALGORITHMS}


def transfer(folder: Path, name: str, strategy: Any, source: RunFolder, /, **changes: Any) -> RunFolder:
    verbs = strategy.verbs() if isinstance(strategy, StrategyConfig) else strategy
    return played(folder, source, **target_of(name, strategy=verbs, **changes))


def tensors(policy: Policy, part: str) -> dict[str, torch.Tensor]:
    state = policy.state
    return {name: state[name] for name in policy.parts[part].tensor_names}


def equal(first: Policy, second: Policy, part: str) -> bool:
    one, other = tensors(first, part), tensors(second, part)
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("algorithm", "name"), PAIRS)
def test_every_strategy_on_every_algorithm(
    algorithm: str, name: str, sources: dict[str, RunFolder], tmp_path: Path
) -> None:
    if algorithm in REFUSED.get(name, set()):
        with pytest.raises(TransferError) as caught:
            transfer(tmp_path, algorithm, STRATEGIES[name], sources[algorithm])
        assert len(caught.value.message) > 40, "a refusal gives a reason"
        advised = caught.value.message.partition("works with ")[2].partition(";")[0].split(", ")
        assert not REFUSED[name] & set(advised), "a refusal names what is not refused as well"
        return
    strategy = STRATEGIES[name]
    # A guide must leave an on-policy learner an update for each of its ten stages.
    total = 448 if strategy.guide is not None and not traits_of(algorithm).off_policy else 64
    changes = {"training": {"total_steps": total}, "evaluation": {"every": total // 2, "episodes": 1}}
    target = transfer(tmp_path, algorithm, strategy, sources[algorithm], **changes)
    before, after = load_policy(sources[algorithm].bundle), load_policy(target.bundle)
    assert [point["step"] for point in target.curve()] == [0, total // 2, total]
    trunks = [part.name for part in before.parts if part.role == "trunk" and part.tensors]
    heads = [part.name for part in before.parts if part.role == "head" and part.tensors]
    if name in ("zero-shot",):
        assert all(equal(before, after, part) for part in (*trunks, *heads))
    elif name in ("frozen-trunk-new-head", "frozen-trunk-kept-head"):
        assert all(equal(before, after, part) for part in trunks)
        assert not all(equal(before, after, part) for part in heads)
    elif name == "progressive-column":
        for trunk in ("policy_net", "value_net"):
            old = before.state[f"mlp_extractor.{trunk}.0.weight"]
            assert torch.equal(old, after.state[f"mlp_extractor.{trunk}.source.0.linear.weight"])
    else:
        assert not all(equal(before, after, part) for part in trunks)
    frozen = target.record()["frozen"]
    if frozen is not None:
        assert frozen["digest_before"] == frozen["digest_after"]


@pytest.mark.parametrize("algorithm", ["DQN", "QRDQN", "SAC", "TQC", "TD3", "DDPG"])
def test_target_networks_of_frozen_networks_stay_bit_equal(
    algorithm: str, sources: dict[str, RunFolder], tmp_path: Path
) -> None:
    target = transfer(tmp_path, algorithm, STRATEGIES["frozen-trunk-new-head"], sources[algorithm])
    policy = load_policy(target.bundle)
    state = policy.state
    online = {"DQN": "q_net", "QRDQN": "quantile_net"}.get(algorithm, "critic")
    checked = 0
    for part in policy.parts:
        if part.role == "trunk":
            for name in part.tensor_names:
                twin = name.replace(f"{online}.", f"{online}_target.", 1)
                if twin in state and twin != name:
                    assert torch.equal(state[name], state[twin]), name
                    checked += 1
    assert checked >= 4


def test_target_networks_are_synced_unless_told_otherwise(
    sources: dict[str, RunFolder], tmp_path: Path
) -> None:
    # One update of DQN with a target interval beyond the budget: the target keeps what it was given.
    algorithm = {"name": "DQN", **ALGORITHMS["DQN"], "target_update_interval": 10_000}
    for choice, same in (("sync", True), ("fresh", False)):
        verbs = {"copy": ("policy",), "knobs": {"target_networks": choice}}
        run = transfer(tmp_path / choice, "DQN", verbs, sources["DQN"], algorithm=algorithm)
        before, after = load_policy(sources["DQN"].bundle).state, load_policy(run.bundle).state
        kept = torch.equal(before["q_net.q_net.0.weight"], after["q_net_target.q_net.0.weight"])
        assert kept == same


def test_the_record_says_what_became_of_log_std(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    continuous = {"env": PENDULUM}
    source = played(tmp_path / "source", **run_of("PPO", **continuous))
    for verbs, said in (
        ({"copy": ("all",)}, "keep"),
        ({"copy": ("trunk",)}, "reset"),
        ({"copy": ("all",), "knobs": {"log_std": "reset"}}, "reset"),
        ({"copy": ("all",), "reset": ("log_std",)}, "reset"),
        ({"copy": ("all",), "knobs": {"log_std": -1.0}}, -1.0),
        ({}, "reset"),
    ):
        record = transfer(tmp_path, "PPO", verbs, source, **continuous).record()
        assert record["knobs"]["log_std"] == said, verbs


def test_a_thaw_that_never_comes_is_on_the_record(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    # Two rollouts of 32 steps: thaws are due before the first (0) and the second (a half).
    verbs = {
        "copy": ("trunk",),
        "freeze": ("trunk",),
        "thaw": ({"at": 0.4, "parts": ("policy_trunk",)}, {"at": 0.6, "parts": ("value_trunk",)}),
    }
    record = transfer(tmp_path, "PPO", verbs, sources["PPO"]).record()
    assert record["thaws"] == [
        {"at": 0.4, "parts": ["policy_trunk"], "share": 0.5},
        {"at": 0.6, "parts": ["value_trunk"], "share": None},
    ]
    assert transfer(tmp_path, "PPO", STRATEGIES["fine-tune"], sources["PPO"]).record()["thaws"] is None


def test_the_plan_says_what_is_frozen_until_when(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    def frozen(strategy: Any) -> dict[str, str]:
        plan = transfer(tmp_path, "PPO", strategy, sources["PPO"]).record()["plan"]
        return {row["part"]: row["frozen"] for row in plan}

    assert frozen(STRATEGIES["frozen-trunk-new-head"]) == {
        "policy_trunk": "frozen", "value_trunk": "frozen", "action_head": "", "value_head": "",
    }  # fmt: skip
    assert frozen(STRATEGIES["critic-warm-up"])["policy_trunk"] == "until 20 %"
    assert frozen(STRATEGIES["progressive-column"])["value_trunk"] == "frozen"
    assert set(frozen(STRATEGIES["fine-tune"]).values()) == {""}


def test_the_advice_on_a_fixed_entropy_coefficient_is_true(
    sources: dict[str, RunFolder], tmp_path: Path
) -> None:
    fixed = {"name": "SAC", **ALGORITHMS["SAC"], "ent_coef": 0.25}
    with pytest.raises(TransferError) as caught:
        transfer(tmp_path, "SAC", STRATEGIES["fine-tune"], sources["SAC"], algorithm=fixed)
    assert "fixed number 0.25; set ent_coef: auto" in caught.value.message
    assert "or knobs.entropy: reset" in caught.value.message
    advised = {"copy": ("all",), "knobs": {"entropy": "reset"}}
    record = transfer(tmp_path, "SAC", advised, sources["SAC"], algorithm=fixed).record()
    assert record["knobs"]["entropy"] == "fixed: the target's ent_coef is 0.25"
    transfer(tmp_path, "SAC", STRATEGIES["fine-tune"], sources["SAC"])


@pytest.mark.parametrize("algorithm", ["DQN", "QRDQN", "SAC", "TQC", "TD3", "DDPG"])
def test_a_control_records_the_knobs_of_its_strategy_and_what_they_replaced(
    algorithm: str, sources: dict[str, RunFolder], tmp_path: Path
) -> None:
    treated, control = STRATEGIES["frozen-trunk-new-head"], STRATEGIES["random-frozen"]
    config = make_run(**run_of(algorithm)).algorithm
    assert config is not None
    fair = shared_knobs(control, treated, config)
    one, other = (
        transfer(tmp_path, algorithm, each, sources[algorithm]).record() for each in (treated, fair)
    )
    assert one["knobs"] == {"normalization": "none", **other["knobs"]}
    assert one["replaced"] == other["replaced"] != {}
    assert one["replaced"]["learning_starts"] == 16
    assert not any(row["action"] == "copied" for row in other["plan"])


def test_a_copied_policy_acts_from_the_first_step(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    record = transfer(tmp_path, "DQN", STRATEGIES["fine-tune"], sources["DQN"]).record()
    assert record["knobs"]["learning_starts"] == 0
    assert record["knobs"]["exploration_initial_eps"] == 0.05
    asked = {"copy": ("all",), "knobs": {"learning_starts": 8, "exploration_initial": 0.5}}
    record = transfer(tmp_path, "DQN", asked, sources["DQN"]).record()
    assert record["knobs"]["learning_starts"] == 8
    assert record["knobs"]["exploration_initial_eps"] == 0.5


@pytest.mark.parametrize("algorithm", ["SAC", "TQC"])
def test_the_entropy_coefficient_is_kept_reset_or_fixed(
    algorithm: str, sources: dict[str, RunFolder], tmp_path: Path
) -> None:
    source = load_policy(sources[algorithm].bundle).metadata["log_ent_coef"]
    assert source != 0.0, "the source must have moved it"
    found = {}
    for choice in ("keep", "reset", 0.5):
        verbs = {"copy": ("all",), "freeze": ("trunk",), "knobs": {"entropy": choice}}
        run = transfer(tmp_path / str(choice), algorithm, verbs, sources[algorithm],
                       training={"total_steps": 4}, evaluation={"every": 4, "episodes": 1})  # fmt: skip
        found[choice] = load_policy(run.bundle).metadata["log_ent_coef"]
    # One update at rate 1e-3 moves it by at most about 1e-3 from where it started.
    assert found["keep"] == pytest.approx(source, abs=2e-3)
    assert found["reset"] == pytest.approx(0.0, abs=2e-3)
    assert found[0.5] == pytest.approx(-0.693147, abs=2e-3)


def test_frozen_layers_thaw_on_schedule(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    verbs = {"copy": ("trunk",), "freeze": ("trunk",), "thaw": ({"at": 0.5, "parts": ("policy_trunk.1",)},)}
    run = transfer(tmp_path, "PPO", verbs, sources["PPO"])
    before, after = load_policy(sources["PPO"].bundle).state, load_policy(run.bundle).state
    assert torch.equal(
        before["mlp_extractor.policy_net.0.weight"], after["mlp_extractor.policy_net.0.weight"]
    )
    assert not torch.equal(
        before["mlp_extractor.policy_net.2.weight"], after["mlp_extractor.policy_net.2.weight"]
    )
    assert run.record()["frozen"]["parts"] == ["policy_trunk", "value_trunk"]


def test_a_parts_learning_rate_reaches_its_optimizer(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    # Adam's steps have about the size of the rate: a hundredth of the rate, about a hundredth of the way.
    verbs = {"copy": ("all",), "learning_rates": {"trunk": 0.01}}
    slow = transfer(tmp_path, "PPO", verbs, sources["PPO"])
    fast = transfer(tmp_path, "PPO", STRATEGIES["fine-tune"], sources["PPO"])
    start = load_policy(sources["PPO"].bundle).state["mlp_extractor.policy_net.0.weight"]
    moved = [
        (load_policy(run.bundle).state["mlp_extractor.policy_net.0.weight"] - start).abs().max().item()
        for run in (slow, fast)
    ]
    assert 0 < moved[0] < moved[1] / 50


def test_an_anchor_holds_the_weights_near_the_source(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    strong = {"copy": ("all",), "anchor": {"kind": "l2_sp", "strength": 1e6, "parts": ("trunk",)}}
    held = transfer(tmp_path, "A2C", strong, sources["A2C"], training={"total_steps": 128})
    free = transfer(tmp_path, "A2C", STRATEGIES["fine-tune"], sources["A2C"], training={"total_steps": 128})
    start = load_policy(sources["A2C"].bundle).state
    name = "mlp_extractor.policy_net.0.weight"
    distances = [(load_policy(run.bundle).state[name] - start[name]).norm().item() for run in (held, free)]
    assert distances[0] < distances[1]


def test_kickstarting_pulls_the_student_to_the_teacher(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    from rl_transfer.rl.strategy.distributions import distribution, divergence

    strong = {"kickstart": {"strength": 100.0, "until": 1.0}}
    taught = transfer(tmp_path, "PPO", strong, sources["PPO"], training={"total_steps": 320})
    alone = transfer(tmp_path, "PPO", {}, sources["PPO"], training={"total_steps": 320})
    teacher = load_policy(sources["PPO"].bundle).module
    states = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)) * 0.5

    def distance(run: RunFolder) -> float:
        student = load_policy(run.bundle).module
        with torch.no_grad():
            gap = divergence(distribution(teacher, "PPO", states), distribution(student, "PPO", states))
        return float(gap.mean())

    assert distance(taught) < distance(alone)


def test_the_guides_steps_count_against_the_budget(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    guided = {"guide": {"stages": 2, "horizon": 3}}
    run = transfer(tmp_path, "PPO", guided, sources["PPO"], training={"total_steps": 320})
    record = run.record()
    assert record["guide_steps"] > 0
    assert [point["step"] for point in run.curve()] == list(range(0, 321, 32))
    # 10 rollouts of 32 learner steps would fill the budget; the guide's steps took the place of some.
    assert load_policy(run.bundle).metadata["training"]["total_steps"] == 320


def test_progressive_bundles_load_and_act(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    run = transfer(tmp_path, "PPO", STRATEGIES["progressive-column"], sources["PPO"])
    policy = load_policy(run.bundle)
    names = [name for name in policy.state if ".source." in name]
    assert names
    assert run.record()["frozen"]["tensors"] == names


def test_low_rank_adapters_are_folded_into_the_bundle(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    run = transfer(tmp_path, "SAC", STRATEGIES["low-rank"], sources["SAC"])
    before, after = load_policy(sources["SAC"].bundle).state, load_policy(run.bundle).state
    assert before.keys() == after.keys()
    change = after["actor.latent_pi.2.weight"] - before["actor.latent_pi.2.weight"]
    assert 1 <= int(torch.linalg.matrix_rank(change, atol=1e-7)) <= 4


@pytest.mark.parametrize("mode", ["warm", "frozen", "warm_reset_count", "fresh"])
def test_normalization_modes(mode: str, tmp_path: Path) -> None:
    normalized = {"name": "PPO", **ALGORITHMS["PPO"], "normalize": {"observation": True, "reward": False}}
    source = played(tmp_path / "source", **run_of("PPO", algorithm=normalized))
    verbs = {"copy": ("all",), "normalization": mode}
    run = transfer(tmp_path, "PPO", verbs, source, algorithm=normalized)
    count = "normalization/observation//count"
    mean = "normalization/observation//mean"
    before, after = (load_policy(each.bundle).bundle.tensors for each in (source, run))
    # 64 training steps and the 2 observations of the reset are added where statistics go on.
    expected = {
        "warm": float(before[count]) + 66,
        "frozen": float(before[count]),
        "warm_reset_count": 66 + 1e-4,
        "fresh": 66 + 1e-4,
    }[mode]
    assert float(after[count]) == pytest.approx(expected)
    assert torch.equal(before[mean], after[mean]) == (mode == "frozen")
    same_start = run.record()["zero_shot"]["returns"] == run.curve()[0]["returns"]
    assert same_start or mode == "fresh", "with its statistics the copied policy acts as it did"


def test_the_first_layer_follows_a_declared_feature_map(
    sources: dict[str, RunFolder], tmp_path: Path
) -> None:
    permuted = {"id": "CartPole-v1", "perturb": ({"observation_permutation": [3, 2, 1, 0]},)}
    maps = {"policy_trunk.0": (3, 2, 1, 0), "value_trunk.0": (3, 2, 1, 0)}
    verbs = {"copy": ("all",), "input_maps": maps, "train": False}
    run = transfer(tmp_path, "PPO", verbs, sources["PPO"], env=permuted)
    before, after = load_policy(sources["PPO"].bundle).state, load_policy(run.bundle).state
    name = "mlp_extractor.policy_net.0.weight"
    assert torch.equal(before[name][:, [3, 2, 1, 0]], after[name])


class TooFew(RLTransferError):
    """Raised by the hooks below when they are built wrongly."""


class PullToZero:
    """A user's loss hook: half the squared norm of the action head."""

    def __init__(self, context: Any) -> None:
        if context.run is None:
            raise TooFew("a hook is built with its context")

    def loss(self, model: Any, parts: Any, progress: float) -> torch.Tensor:
        assert 0 <= progress <= 1
        loss: torch.Tensor = 1e4 * model.policy.action_net.weight.square().sum()
        return loss


def test_a_users_loss_hook_is_trained_with(
    sources: dict[str, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    import types

    module = types.ModuleType("my_hooks")
    module.PullToZero = PullToZero  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_hooks", module)
    verbs = {"copy": ("all",), "hooks": {"loss": "my_hooks:PullToZero"}}
    pulled = transfer(tmp_path, "A2C", verbs, sources["A2C"], training={"total_steps": 320})
    free = transfer(tmp_path, "A2C", STRATEGIES["fine-tune"], sources["A2C"], training={"total_steps": 320})
    norms = [load_policy(run.bundle).state["action_net.weight"].norm().item() for run in (pulled, free)]
    assert norms[0] < norms[1]


def test_another_algorithms_actor_is_copied_where_parts_and_shapes_agree(
    sources: dict[str, RunFolder], tmp_path: Path
) -> None:
    # A TD3 actor's trunk fits a SAC actor's: Linear layers of the same shapes.
    verbs = {"copy": ("policy_trunk",)}
    run = transfer(tmp_path, "SAC", {**verbs, "train": False}, sources["TD3"])
    before, after = load_policy(sources["TD3"].bundle).state, load_policy(run.bundle).state
    assert torch.equal(before["actor.mu.0.weight"], after["actor.latent_pi.0.weight"])
    with pytest.raises(TransferError):
        transfer(tmp_path, "SAC", {"copy": ("all",)}, sources["TD3"])


def test_an_interrupted_run_is_begun_anew(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    whole = transfer(tmp_path / "whole", "SAC", STRATEGIES["gradual-unfreezing"], sources["SAC"])
    torn = tmp_path / "torn" / "runs" / whole.path.name
    shutil.copytree(whole.path, torn)
    (torn / "record.json").unlink()
    again = transfer(tmp_path / "torn", "SAC", STRATEGIES["gradual-unfreezing"], sources["SAC"])
    assert again.record()["weights_digest"] == whole.record()["weights_digest"]
    assert again.curve() == whole.curve()


NORMALIZED = {"name": "PPO", **ALGORITHMS["PPO"], "normalize": {"observation": True, "reward": False}}


def test_a_normalized_source_is_not_copied_into_a_raw_target_unnoticed(tmp_path: Path) -> None:
    source = played(tmp_path / "source", **run_of("PPO", algorithm=NORMALIZED))
    with pytest.raises(TransferError, match="target does not normalise"):
        transfer(tmp_path, "PPO", STRATEGIES["fine-tune"], source)
    transfer(tmp_path, "PPO", {"copy": ("all",), "normalization": "fresh"}, source)


def test_a_teacher_must_see_what_its_student_sees(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    source = played(tmp_path / "source", **run_of("PPO", algorithm=NORMALIZED))
    teach = {"kickstart": {}, "normalization": "frozen"}
    with pytest.raises(TransferError, match="teacher sees"):
        transfer(tmp_path, "PPO", {"kickstart": {}, "normalization": "fresh"}, source)
    with pytest.raises(TransferError, match="source has no statistics"):
        transfer(tmp_path, "PPO", teach, sources["PPO"], algorithm=NORMALIZED)
    run = transfer(tmp_path, "PPO", teach, source, algorithm=NORMALIZED)
    assert run.record()["knobs"]["normalization"] == "frozen"


def test_the_best_policy_is_kept_with_its_own_statistics(tmp_path: Path) -> None:
    from rl_transfer.rl.environments import seeds
    from rl_transfer.rl.environments.evaluate import Evaluator

    data = run_of("PPO", algorithm=NORMALIZED, training={"total_steps": 320, "keep": "best"}, seed=3)
    spec, folder = make_run(**data), played(tmp_path, **data)
    means = [sum(point["returns"]) / len(point["returns"]) for point in folder.curve()]
    best = means.index(max(means))
    policy = load_policy(folder.bundle)
    assert policy.metadata["score"] == means[best]
    again = Evaluator(spec.env, spec.evaluation.episodes).run(
        policy.act(), seeds.evaluation_seeds(spec, best)
    )
    assert again.returns == folder.curve()[best]["returns"]


@pytest.mark.parametrize("algorithm", ["SAC", "TD3", "TRPO"])
def test_a_critic_that_is_stepped_at_every_update_cannot_be_frozen(
    algorithm: str, sources: dict[str, RunFolder], tmp_path: Path
) -> None:
    with pytest.raises(TransferError, match="critic cannot be frozen as a whole"):
        transfer(tmp_path, algorithm, {"copy": ("all",), "freeze": ("critic",)}, sources[algorithm])


def test_an_anchor_may_meet_a_frozen_actor(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    verbs = {
        "copy": ("all",),
        "freeze": ("policy",),
        "anchor": {"kind": "l2_sp", "strength": 1.0, "parts": ("critic",)},
    }
    run = transfer(tmp_path, "SAC", verbs, sources["SAC"])
    assert run.record()["frozen"]["digest_before"] == run.record()["frozen"]["digest_after"]


def test_explicit_knobs_count_without_a_copied_policy(sources: dict[str, RunFolder], tmp_path: Path) -> None:
    verbs = {"guide": {"horizon": 2}, "knobs": {"exploration_initial": 0.1, "learning_starts": 0}}
    record = transfer(tmp_path, "DQN", verbs, sources["DQN"]).record()
    assert record["knobs"]["exploration_initial_eps"] == 0.1
    assert record["knobs"]["learning_starts"] == 0
    with pytest.raises(TransferError, match="no log_std of its own"):
        transfer(tmp_path, "PPO", {"copy": ("all",), "knobs": {"log_std": -1.0}}, sources["PPO"])


@pytest.mark.parametrize(
    "verbs",
    [
        {"copy": ("trunk",), "progressive": True, "freeze": ("action_head",)},
        {"copy": ("all",), "train": False, "learning_rates": {"trunk": 0.1}},
        {"copy": ("all",), "train": False, "hooks": {"loss": "a:B"}},
        {
            "copy": ("all",),
            "anchor": {"kind": "ewc", "strength": 1.0},
            "input_maps": {"policy_trunk.0": (0,)},
        },
    ],
)
def test_verbs_that_cancel_each_other_are_refused(verbs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be combined|would do nothing"):
        make_run(strategy=verbs)


def test_state_dependent_exploration_has_the_same_parts(tmp_path: Path) -> None:
    # With gSDE the mean is a Sequential too, but the trunk is still latent_pi.
    gsde = {"name": "SAC", **ALGORITHMS["SAC"], "use_sde": True}
    folder = played(tmp_path, **run_of("SAC", algorithm=gsde))
    parts = load_policy(folder.bundle).parts
    assert parts["policy_trunk"].tensor_names[0].startswith("actor.latent_pi")
    assert all(name.startswith("actor.mu") for name in parts["action_head"].tensor_names)
