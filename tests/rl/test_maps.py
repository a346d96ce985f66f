"""Declared maps of observations and actions, as a strategy writes them, for every kind of head."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rl_transfer.errors import TransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.policies.bundle import load_policy
from support.algorithms import ALGORITHMS, run_of
from support.rl import make_run
from support.rl import played as played_with

STATES = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
MOUNTAIN = {"id": "MountainCar-v0", "perturb": ({"time_limit": 20},)}
SHOWN = {"id": "CartPole-v1", "perturb": ({"observation_permutation": [2, 3, 0, 1]},)}


def played(folder: Path, source: RunFolder | None = None, /, **changes: Any) -> RunFolder:
    return played_with(folder, source, **run_of(changes.pop("name"), **changes))


@pytest.fixture(scope="module")
def source_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return cache(lambda name: played(tmp_path_factory.mktemp(name), name=name))


@pytest.mark.parametrize("copy", [("all",), ("trunk", "head")])
@pytest.mark.parametrize("name", ["PPO", "A2C", "TRPO", "DQN", "QRDQN"])
def test_with_a_map_of_its_outputs_a_policy_presses_the_other_button(
    name: str, copy: tuple[str, ...], source_of: Any, tmp_path: Path
) -> None:
    verbs = {"copy": copy, "output_maps": {"action_head": (1, 0)}, "train": False}
    target = played(tmp_path, source_of(name), name=name, strategy=verbs)
    before, after = (load_policy(each.bundle).act() for each in (source_of(name), target))
    assert (before(STATES) == 1 - after(STATES)).all()


def test_target_networks_are_mapped_as_their_online_networks_are(source_of: Any, tmp_path: Path) -> None:
    verbs = {"copy": ("all",), "output_maps": {"head": (1, 0)}, "knobs": {"target_networks": "fresh"},
             "train": False}  # fmt: skip
    state = load_policy(played(tmp_path, source_of("DQN"), name="DQN", strategy=verbs).bundle).state
    theirs = load_policy(source_of("DQN").bundle).state["q_net_target.q_net.4.weight"]
    assert torch.equal(state["q_net_target.q_net.4.weight"], theirs[[1, 0]])


@pytest.mark.parametrize("name", ["PPO", "DQN"])
def test_another_number_of_actions_keeps_those_that_are_mapped(
    name: str, source_of: Any, tmp_path: Path
) -> None:
    from rl_transfer.spec import parse
    from rl_transfer.spec.strategy import StrategyVerbs

    # LunarLander's four actions; MountainCar has three of them: left, nothing, right.
    mountain = played(tmp_path / "source", name=name, env=MOUNTAIN, training={"total_steps": 32})
    maps = {"policy_trunk.0": (0, 1, None, None)}
    if name == "PPO":
        maps["value_trunk.0"] = (0, 1, None, None)
    verbs = parse(
        StrategyVerbs, {"copy": ["all"], "output_maps": {"action_head": [0, 2]}, "input_maps": maps}
    )
    run = played(tmp_path, mountain, name=name, strategy=verbs.plain(), training={"total_steps": 32})
    rows = {row["tensor"]: row["reason"] for row in run.record()["plan"]}
    head = next(text for tensor, text in rows.items() if "output map" in text and "target" not in tensor)
    assert head == "output map: 2 of 2 outputs from the source"


def test_names_stand_for_the_sources_observations(source_of: Any, tmp_path: Path) -> None:
    names = ("pole_angle", "pole_angular_velocity", "cart_position", None)
    copied = {}
    for key, order in (("names", names), ("numbers", (2, 3, 0, None))):
        maps = {"policy_trunk.0": order, "value_trunk.0": order}
        verbs = {"copy": ("all",), "input_maps": maps, "train": False}
        run = played(tmp_path / key, source_of("PPO"), name="PPO", env=SHOWN, strategy=verbs)
        copied[key] = load_policy(run.bundle).state["mlp_extractor.policy_net.0.weight"]
    assert torch.equal(copied["names"], copied["numbers"])


def test_names_follow_what_a_perturbation_of_the_source_did(source_of: Any, tmp_path: Path) -> None:
    shown = played(tmp_path / "source", name="PPO", env=SHOWN)
    order = ("cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity")
    verbs = {"copy": ("all",), "input_maps": {"trunk.0": order}, "train": False}
    run = played(tmp_path, shown, name="PPO", strategy=verbs)
    name = "mlp_extractor.policy_net.0.weight"
    before, after = (load_policy(each.bundle).state[name] for each in (shown, run))
    assert torch.equal(before[:, [2, 3, 0, 1]], after)


def test_a_name_that_is_not_there_is_refused_with_what_is(source_of: Any, tmp_path: Path) -> None:
    verbs = {"copy": ("all",), "input_maps": {"trunk.0": ("pole_angel", 1, 2, 3)}}
    with pytest.raises(
        TransferError, match=r"no observation 'pole_angel'\. Did you mean 'pole_angle'"
    ) as caught:
        played(tmp_path, source_of("PPO"), name="PPO", strategy=verbs)
    assert caught.value.key == "strategy.input_maps.trunk.0"


def test_a_map_of_no_part_is_refused_at_its_verb(source_of: Any, tmp_path: Path) -> None:
    for verb in ("input_maps", "output_maps"):
        verbs = {"copy": ("all",), verb: {"policy_trunck.0": (0, 1, 2, 3)}}
        with pytest.raises(TransferError, match="Did you mean 'policy_trunk'") as caught:
            played(tmp_path, source_of("PPO"), name="PPO", strategy=verbs)
        assert (caught.value.key or "").startswith(f"strategy.{verb}")


def test_an_action_that_the_source_lacks_is_refused(source_of: Any, tmp_path: Path) -> None:
    for name in ("PPO", "QRDQN"):
        verbs = {"copy": ("trunk", "head"), "output_maps": {"action_head": (0, 2)}}
        with pytest.raises(TransferError) as caught:
            played(tmp_path, source_of(name), name=name, strategy=verbs)
        assert "output map index 2 is outside the source's" in caught.value.message


def test_continuous_heads_are_mapped_with_their_deviations(tmp_path: Path) -> None:
    env = {"id": "MountainCarContinuous-v0", "perturb": ({"time_limit": 20},)}
    for more in ({}, {"use_sde": True}):
        algorithm = {"name": "PPO", **ALGORITHMS["PPO"], **more}
        source = played(tmp_path / "source", name="PPO", env=env, algorithm=algorithm)
        verbs = {"copy": ("all",), "output_maps": {"action_head": (None,), "log_std": (0,)}, "train": False}
        run = played(tmp_path, source, name="PPO", env=env, algorithm=algorithm, strategy=verbs)
        before, after = (load_policy(each.bundle).state for each in (source, run))
        assert torch.equal(before["log_std"], after["log_std"])
        assert not torch.equal(before["action_net.weight"], after["action_net.weight"])


@pytest.mark.parametrize("name", ["SAC", "TD3"])
def test_with_an_unknown_sensor_actor_and_critics_compute_what_the_sources_do(
    name: str, source_of: Any, tmp_path: Path
) -> None:
    sensors = ("cos_theta", "sin_theta", "angular_velocity", None)
    critic = (*sensors, 3)  # Pendulum's only action comes after its three observations
    maps = {"policy_trunk.0": sensors, "value_trunk.0": critic, "value_trunk_1.0": critic}
    env = {"id": "Pendulum-v1", "perturb": ({"observation_distractors": 1},)}
    verbs = {"copy": ("all",), "input_maps": maps, "train": False}
    run = played(tmp_path, source_of(name), name=name, env=env, strategy=verbs)
    before, after = (load_policy(each.bundle) for each in (source_of(name), run))
    seen, noise = STATES[:, :3], STATES[:, 3:]
    assert np.allclose(before.act()(seen), after.act()(np.hstack([seen, noise])), atol=1e-6)
    actions = torch.rand(40, 1, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for network in ("critic", "critic_target"):  # targets are synced with the online networks
        theirs = before.module.get_submodule("critic")(torch.from_numpy(seen), actions)
        mine = getattr(after.module, network)(torch.from_numpy(np.hstack([seen, noise])), actions)
        assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(theirs, mine, strict=True))


@pytest.mark.parametrize("verb", ["input_maps", "output_maps"])
def test_false_in_a_map_is_not_the_first_entry(verb: str) -> None:
    with pytest.raises(ValueError, match=verb):
        make_run(strategy={"copy": ("all",), verb: {"action_head": (False, 1)}})
