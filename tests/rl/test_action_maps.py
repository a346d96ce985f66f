"""Actions in another order: everything that depends on it is mapped, or the half map is refused."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from rl_transfer.errors import TransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.policies.bundle import load_policy
from support.algorithms import ALGORITHMS, run_of
from support.levers import levers
from support.rl import make_run
from support.rl import played as played_with

ORDER = (2, 0, 1)  # no inverse of itself: a map read the wrong way round scores otherwise
CRITIC = (0, 1, 2, 3, 6, 4, 5)  # four observations, then the actions
STATES = torch.rand(20, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
GSDE = "PPO gSDE"
CRITICS = ("SAC", "TQC", "TD3", "DDPG")


def algorithm(name: str) -> dict[str, Any]:
    if name == GSDE:
        return {"name": "PPO", **ALGORITHMS["PPO"], "use_sde": True}
    return {"name": name, **ALGORITHMS[name]}


def played(
    folder: Path,
    name: str,
    source: RunFolder | None = None,
    order: tuple[int, ...] = (0, 1, 2),
    sensors: int = 4,
    **verbs: Any,
) -> RunFolder:
    discrete = name in ("A2C", "DQN", "QRDQN")
    env = levers(order=list(order), discrete=discrete, sensors=sensors)
    given = run_of(name.split()[0], env=env, algorithm=algorithm(name), strategy=verbs)
    return played_with(folder, source, **given)


@pytest.fixture(scope="module")
def source_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return cache(lambda name: played(tmp_path_factory.mktemp("source"), name))


def mapped(source_of: Any, folder: Path, name: str, **verbs: Any) -> RunFolder:
    given = {"copy": ("all",), "train": False, "output_maps": {"actions": ORDER}, **verbs}
    return played(folder, name, source_of(name), ORDER, **given)


def critic_values(folder: RunFolder, network: str, actions: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        return list(getattr(load_policy(folder.bundle).module, network)(STATES, actions))


@pytest.mark.parametrize("name", ["PPO", GSDE, "A2C", "TRPO", "DQN", "QRDQN", *CRITICS])
def test_with_its_actions_mapped_a_policy_scores_what_it_did_in_the_old_order(
    name: str, source_of: Any, tmp_path: Path
) -> None:
    run = mapped(source_of, tmp_path, name)
    plain = played(tmp_path, name, source_of(name), copy=("all",), train=False)
    expected = plain.record()["zero_shot"]["returns"]
    assert run.curve()[0]["returns"] == pytest.approx(expected, abs=1e-5)
    assert run.record()["zero_shot"]["returns"] != pytest.approx(expected, abs=1e-3), "the order matters"


@pytest.mark.parametrize("name", CRITICS)
def test_with_its_actions_mapped_a_critic_values_them_as_it_did(
    name: str, source_of: Any, tmp_path: Path
) -> None:
    run = mapped(source_of, tmp_path, name)
    theirs = torch.rand(20, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for network in ("critic", "critic_target"):
        expected = critic_values(source_of(name), "critic", theirs)
        got = critic_values(run, network, theirs[:, list(ORDER)])
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(expected, got, strict=True))


@pytest.mark.parametrize("name", ["PPO", GSDE, "TRPO", "SAC"])
def test_with_its_actions_mapped_the_deviations_follow(name: str, source_of: Any, tmp_path: Path) -> None:
    states = [load_policy(each.bundle).state for each in (source_of(name), mapped(source_of, tmp_path, name))]
    before, after = (state["actor.log_std.weight" if name == "SAC" else "log_std"] for state in states)
    assert torch.equal(after, before[list(ORDER)] if name == "SAC" else before[..., list(ORDER)])


HALF: list[tuple[str, dict[str, Any], list[str]]] = [
    ("PPO", {"output_maps": {"action_head": ORDER}}, ["log_std.0"]),
    ("PPO", {"output_maps": {"log_std": ORDER}}, ["action_head.0"]),
    ("PPO", {"output_maps": {"action_head": (0, 1, None)}}, ["log_std.0"]),
    (GSDE, {"output_maps": {"action_head": ORDER}}, ["log_std.0"]),
    ("TRPO", {"output_maps": {"action_head": ORDER, "log_std": (0, 2, 1)}}, ["log_std.0"]),
    ("SAC", {"output_maps": {"action_head": ORDER, "log_std": ORDER}}, ["value_trunk.0", "value_trunk_1.0"]),
    ("TQC", {"output_maps": {"action_head": ORDER}}, ["log_std.0", "value_trunk.0", "value_trunk_1.0"]),
    ("TD3", {"output_maps": {"action_head": ORDER}}, ["value_trunk.0", "value_trunk_1.0"]),
    ("TD3", {"output_maps": {"action_head": ORDER}, "input_maps": {"value_trunk.0": CRITIC}},
     ["value_trunk_1.0"]),
    ("DDPG", {"input_maps": {"value_trunk.0": CRITIC}}, ["action_head.0"]),
    ("TD3", {"output_maps": {"actions": ORDER}, "input_maps": {"value_trunk.0": tuple(range(7))}},
     ["value_trunk.0"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "maps", "missing"), HALF)
def test_a_map_of_a_part_of_it_is_refused_with_the_lines_that_mend_it(
    name: str, maps: dict[str, Any], missing: list[str], source_of: Any, tmp_path: Path
) -> None:
    with pytest.raises(TransferError) as caught:
        mapped(source_of, tmp_path / "half", name, **{"output_maps": {}, **maps})
    text = caught.value.message
    assert f"but {', '.join(missing)} " in text
    assert caught.value.key == "strategy.output_maps"
    if "actions" not in maps.get("output_maps", {}):
        whole = text.split("(instead of the maps of single parts):\n")[1].split("\nOr ")[0]
        own = YAML(typ="safe").load(text.split("\nOr give these their own:\n")[1].split("\nOr ")[0])
        verbs = {verb: {**maps.get(verb, {}), **own.get(verb, {})} for verb in ("output_maps", "input_maps")}
        run = mapped(source_of, tmp_path, name, **verbs)
        short = mapped(source_of, tmp_path, name, **YAML(typ="safe").load(whole))
        states = [load_policy(each.bundle).state for each in (run, short)]
        assert all(torch.equal(value, states[1][tensor]) for tensor, value in states[0].items())


@pytest.mark.parametrize(
    ("name", "verbs"),
    [
        ("PPO", {"reset": ("log_std",)}),
        ("PPO", {"knobs": {"log_std": "reset"}}),
        ("PPO", {"knobs": {"log_std": -1.0}}),
        ("PPO", {"copy": ("policy_trunk", "action_head")}),
        ("SAC", {"reset": ("log_std", "critic", "auxiliary")}),
        ("TD3", {"copy": ("policy",)}),
        ("SAC", {"copy": ("policy",), "output_maps": {"actions": ORDER}}),
        ("A2C", {}),
        ("DQN", {}),
        ("QRDQN", {}),
    ],
)
def test_what_starts_fresh_or_ignores_actions_needs_no_map(
    name: str, verbs: dict[str, Any], source_of: Any, tmp_path: Path
) -> None:
    run = mapped(source_of, tmp_path, name, **{"output_maps": {"action_head": ORDER}, **verbs})
    assert any("output map: " in row["reason"] for row in run.record()["plan"])


def test_maps_that_leave_entries_fresh_are_compared_in_the_others(source_of: Any, tmp_path: Path) -> None:
    maps = {"action_head": (2, None, 1), "log_std": (None, 0, 1)}
    mapped(source_of, tmp_path / "agree", "PPO", output_maps=maps)
    with pytest.raises(TransferError, match=r"in the order \[2, 0, 1\], but log_std\.0 is copied in another"):
        mapped(source_of, tmp_path, "PPO", output_maps={**maps, "log_std": (None, 0, 0)})


def test_a_map_in_the_sources_order_needs_no_other(source_of: Any, tmp_path: Path) -> None:
    mapped(source_of, tmp_path, "SAC", output_maps={"action_head": (0, 1, 2)})


def test_actions_that_start_fresh_are_fresh_everywhere(source_of: Any, tmp_path: Path) -> None:
    run = mapped(source_of, tmp_path, "SAC", output_maps={"actions": (1, None, 0)}, input_fill="zero")
    before, after = (load_policy(each.bundle).state for each in (source_of("SAC"), run))
    first = "critic.qf0.0.weight"
    assert torch.equal(after[first][:, [4, 6]], before[first][:, [5, 4]])
    assert not after[first][:, 5].any()
    for head in ("actor.mu.bias", "actor.log_std.bias"):
        assert torch.equal(after[head][[0, 2]], before[head][[1, 0]])
        assert after[head][1] not in before[head]


def test_a_critic_that_reads_other_observations_as_well_needs_its_own_map(
    source_of: Any, tmp_path: Path
) -> None:
    sensors = (0, 1, 2, 3, None)
    verbs = {"copy": ("all",), "train": False, "output_maps": {"actions": ORDER}}
    with pytest.raises(TransferError, match="declare input maps for another observation"):
        played(tmp_path / "refused", "TD3", source_of("TD3"), ORDER, 5, **verbs)
    lenient = {**verbs, "reset_on_mismatch": ("trunk[:1]", "auxiliary")}
    run = played(tmp_path / "reset", "TD3", source_of("TD3"), ORDER, 5, **lenient)
    actions = {row["tensor"]: row["action"] for row in run.record()["plan"]}
    assert (actions["critic.qf0.0.weight"], actions["actor.mu.4.weight"]) == ("reset", "copied")
    critic = (*sensors, 6, 4, 5)
    maps = {"policy_trunk.0": sensors, "value_trunk.0": critic, "value_trunk_1.0": critic}
    run = played(tmp_path, "TD3", source_of("TD3"), ORDER, 5, **verbs, input_maps=maps)
    theirs = torch.rand(20, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        seen = torch.hstack([STATES, STATES[:, :1]])
        got = load_policy(run.bundle).module.get_submodule("critic")(seen, theirs[:, list(ORDER)])
    expected = critic_values(source_of("TD3"), "critic", theirs)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(expected, got, strict=True))


def test_an_observation_in_the_place_of_an_action_is_no_copy_of_a_critic(
    source_of: Any, tmp_path: Path
) -> None:
    # Five observations and two actions are as many inputs as four and three.
    maps = {"output_maps": {"action_head": (0, 1)}, "input_maps": {"policy_trunk.0": (0, 1, 2, 3, None)}}
    verbs = {"copy": ("all",), "train": False}
    with pytest.raises(TransferError, match=r"value_trunk\.0: \[0, 1, 2, 3, null, 4, 5\]"):
        played(tmp_path, "TD3", source_of("TD3"), (0, 1), 5, **verbs, **maps)


@pytest.mark.parametrize(
    ("maps", "verbs", "message"),
    [
        ({"actions": ORDER, "log_std": ORDER}, {}, "leave out log_std"),
        ({"actions": (1, 0)}, {}, "has 2 entries, but the target has 3 actions"),
        ({"actions": (1, 0, 3)}, {}, "index 3 is outside the source's actions 0 to 2"),
        ({"actions": ORDER}, {"copy": ("policy_trunk",)}, "nothing that is in the order of the actions"),
    ],
)
def test_a_map_of_the_actions_that_cannot_be_is_refused(
    maps: dict[str, Any], verbs: dict[str, Any], message: str, source_of: Any, tmp_path: Path
) -> None:
    with pytest.raises(TransferError, match=message) as caught:
        mapped(source_of, tmp_path, "SAC", output_maps=maps, **verbs)
    assert caught.value.key == "strategy.output_maps.actions"


@pytest.mark.parametrize("acting", [{"kickstart": {"strength": 1.0}}, {"guide": {}}])
@pytest.mark.parametrize("maps", [{"output_maps": {"actions": ORDER}}, {"input_maps": {"trunk.0": (1, 0)}}])
def test_a_source_that_acts_itself_has_no_maps(acting: dict[str, Any], maps: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be combined with (out|in)put_maps"):
        make_run(strategy={"copy": ("all",), **acting, **maps})
