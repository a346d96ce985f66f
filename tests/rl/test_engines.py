"""Which engine trains: one per target, decided before runs are named, told everywhere."""

import importlib
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from analysis.synthetic import SyntheticSweep
from rl_transfer.analysis import analyse, read_sweep, summary
from rl_transfer.errors import MissingExtraError, TransferError
from rl_transfer.report import write_report
from rl_transfer.results import RunFolder, library_versions, run_id
from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.policies.algorithms import build_model
from rl_transfer.rl.room import ROOM
from rl_transfer.rl.training import engines
from rl_transfer.rl.training.fits import UNKNOWN, misfit
from rl_transfer.spec import Algorithm, Environment, RLRun, RLSuite, parse
from rl_transfer.sweep.graph import build_graph, manifest
from rl_transfer.sweep.sweep import prepare, run_sweep
from support.rl import PPO, make_run
from support.sweeps import InThisProcess

PENDULUM = Environment(id="Pendulum-v1")
COMPILER_PROBLEM = engines.compiler_problem
COMPILED = {"total_steps": 128, "engine": "compiled"}
LOW_RANK = {"name": "held", "copy": ["all"], "low_rank": {}}
SUITE: dict[str, Any] = {
    "name": "mixed",
    "seeds": 2,
    "algorithm": PPO,
    "training": {"total_steps": 128, "engine": "auto"},
    "evaluation": {"every": 64, "episodes": 1},
    "sources": {"pole": {"env": {"id": "CartPole-v1"}, "training": {"total_steps": 192}}},
    "targets": {
        "long": {"env": {"id": "CartPole-v1", "perturb": [{"length": "x2"}]}},
        "own": {
            "env": {"id": "CartPole-v1", "perturb": [{"length": "x3"}]},
            "training": {"total_steps": 128, "engine": "sb3"},
        },
    },
    "strategies": [{"name": "scratch"}, {"name": "fine-tune", "copy": ["all"]}],
}


@pytest.fixture(autouse=True)
def _compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test says nothing else, everything can be compiled."""
    monkeypatch.setattr(engines, "compiler_problem", lambda: None)
    monkeypatch.setattr("rl_transfer.engine.compiling.is_kept", lambda module: True)


def suite(**changes: Any) -> RLSuite:
    return RLSuite.model_validate({**SUITE, **changes})


def engines_of(resolved: RLSuite) -> dict[tuple[str, str | None], set[str]]:
    """Role and target (or source) → the engines of all its trained runs."""
    graph = build_graph(resolved)
    found: dict[tuple[str, str | None], set[str]] = {}
    for row in graph.rows:
        run = graph.specs[row.id]
        assert isinstance(run, RLRun)
        if run.training is not None:
            found.setdefault((row.role, row.target or row.source), set()).add(run.engine)
    return found


def test_a_config_that_says_nothing_asks_for_auto() -> None:
    assert ROOM.resolve_run(make_run()).engine_reason == "everything fits"
    unsaid = {"total_steps": 128}
    targets = {**SUITE["targets"], "short": {**SUITE["targets"]["long"], "training": unsaid}}
    assert engines_of(ROOM.resolve(suite(training=unsaid, targets=targets))) == {
        ("source", "pole"): {"compiled"},
        ("target", "long"): {"compiled"},
        ("target", "own"): {"sb3"},
        ("target", "short"): {"compiled"},
    }
    low_rank = make_run(strategy={"copy": ["all"], "low_rank": {}}, source="0" * 16)
    assert run_id(ROOM.resolve_run(low_rank)) == run_id(low_rank), "what comes to SB3 is the run that it was"
    assert ROOM.resolve_run(make_run(training={**unsaid, "engine": "sb3"})).engine_reason is None


def test_a_run_without_an_engine_is_sb3s_and_ids_and_files_are_as_they_were() -> None:
    plain = make_run()
    said = make_run(training={"total_steps": 128, "engine": "sb3"})
    assert run_id(plain) == run_id(said)
    assert plain.plain() == said.plain()
    assert "engine" not in json.dumps(plain.plain())


def test_the_engine_is_part_of_the_id_and_its_reason_is_not() -> None:
    run = make_run(training={"total_steps": 128, "engine": "auto"})
    compiled = ROOM.resolve_run(run)
    assert (compiled.engine, compiled.engine_reason) == ("compiled", "everything fits")
    asked = ROOM.resolve_run(make_run(training={"total_steps": 128, "engine": "compiled"}))
    assert asked.engine_reason == "asked for"
    assert run_id(asked) == run_id(compiled) != run_id(make_run())
    again = RLRun.model_validate_json(json.dumps(compiled.plain()))
    assert again == compiled, "the reason travels to the process that executes the run"


def test_a_run_that_is_refused_by_auto_is_the_one_of_sb3(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    held = make_run(
        training={"total_steps": 128, "engine": "auto"},
        strategy={"copy": ["all"], "kickstart": {}},
        source="0" * 16,
    )
    run = ROOM.resolve_run(held, said.append)
    assert said == ["engine sb3: not compiled, kickstart: the teacher's loss term is not compiled"]
    strategy = held.strategy
    assert strategy is not None
    assert run_id(run) == run_id(make_run(strategy=strategy.plain(), source="0" * 16))


def test_all_arms_of_a_target_have_one_engine_and_sources_one_of_their_own() -> None:
    said: list[str] = []
    assert engines_of(ROOM.resolve(suite(), said.append)) == {
        ("source", "pole"): {"compiled"},
        ("target", "long"): {"compiled"},
        ("target", "own"): {"sb3"},
    }
    assert said == ["engine compiled: everything fits (1 source: pole; 1 target: long)"]


def test_one_arm_that_does_not_fit_takes_its_whole_target_to_sb3_and_is_named() -> None:
    said: list[str] = []
    resolved = ROOM.resolve(suite(strategies=[*SUITE["strategies"], LOW_RANK]), said.append)
    assert engines_of(resolved) == {
        ("source", "pole"): {"compiled"},
        ("target", "long"): {"sb3"},
        ("target", "own"): {"sb3"},
    }
    reason = "not compiled, strategy 'held': low_rank: adapters are not compiled"
    assert f"engine sb3: {reason} (1 target: long)" in said
    graph = build_graph(resolved)
    rows = [row for row in graph.rows if row.role == "target" and row.target == "long"]
    specs = [graph.specs[row.id] for row in rows]
    assert {each.engine_reason for each in specs if isinstance(each, RLRun)} == {reason}
    written: Any = manifest(resolved, graph, ROOM.labels, {})
    targets = written["config"]["targets"]
    assert targets["long"]["engine"] == {"name": "sb3", "reason": reason}
    assert "engine" not in targets["own"], "what was never open is written as it was"
    plain = build_graph(
        ROOM.resolve(suite(training={"total_steps": 128}, strategies=[*SUITE["strategies"], LOW_RANK]))
    )
    assert {row.id for row in rows if row.strategy == "scratch"} <= plain.specs.keys()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"training": COMPILED}, "training.engine"),
        (
            {"targets": {"long": {**SUITE["targets"]["long"], "training": COMPILED}}},
            "targets.long.training.engine",
        ),
    ],
)  # fmt: skip
def test_compiled_is_refused_with_every_arm_that_does_not_fit(changes: dict[str, Any], key: str) -> None:
    taught = {"name": "taught", "copy": ["all"], "kickstart": {}}
    with pytest.raises(TransferError) as caught:
        ROOM.resolve(suite(strategies=[*SUITE["strategies"], LOW_RANK, taught], **changes))
    assert caught.value.key == key
    assert caught.value.message.startswith(f"{key} is compiled, but target 'long' does not fit: ")
    for arm in ("strategy 'held': low_rank: ", "strategy 'taught': kickstart: "):
        assert arm in caught.value.message


def test_a_single_run_that_does_not_fit_is_refused_at_its_key() -> None:
    run = make_run(training={"total_steps": 128, "engine": "compiled"}, algorithm={"name": "SAC"})
    with pytest.raises(TransferError, match="this run does not fit: name: PPO, A2C and DQN are") as caught:
        ROOM.resolve_run(run)
    assert caught.value.key == "training.engine"


MISFITS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "name": ({"name": "TD3"}, {}),
    "policy": ({**PPO, "policy": "CnnPolicy"}, {}),
    "features_extractor": ({**PPO, "policy_kwargs": {"features_extractor": "mine:Extractor"}}, {}),
    "use_sde": ({**PPO, "use_sde": True}, {}),
    "hooks": (PPO, {"hooks": {"loss": "mine:Loss"}}),
    "progressive": (PPO, {"copy": ["all"], "progressive": True}),
    "low_rank": (PPO, {"copy": ["all"], "low_rank": {}}),
    "guide": (PPO, {"guide": {}}),
    "kickstart": (PPO, {"kickstart": {}}),
    "match": (PPO, {"copy": ["all"], "match": {"kind": "mmd"}}),
}


def test_every_row_of_the_table_has_an_example() -> None:
    assert [each.key for each in UNKNOWN] == [*MISFITS]


@pytest.mark.parametrize("key", MISFITS)
def test_what_is_not_compiled_is_named_by_its_key(key: str) -> None:
    algorithm, strategy = MISFITS[key]
    found = misfit(make_run(algorithm=algorithm, strategy=strategy), None, None)
    assert found is not None
    assert found.startswith(f"{key}: ")


@pytest.mark.parametrize(
    ("algorithm", "strategy"),
    [
        (PPO, {"copy": ["all"], "freeze": ["trunk"], "gradual": {}, "learning_rates": {"head": 0.1}}),
        (PPO, {"copy": ["all"], "initial": {"kind": "shrink_and_perturb"}, "critic_warm_up": 0.2}),
        (PPO, {"copy": ["all"], "adapt": "spaces", "input_maps": {"observations": [0, 1, None]}}),
        ({**PPO, "normalize": {}, "target_kl": 0.1, "policy_kwargs": {"activation": "gelu"}}, {}),
        ({"name": "A2C", "policy_kwargs": {"net_arch": {"pi": [8], "vf": []}}}, {"copy": ["trunk"]}),
        ({"name": "DQN"}, {"copy": ["all"], "initial": {"kind": "shuffled"}, "train": False}),
    ],
)
def test_what_works_on_weights_fits(algorithm: dict[str, Any], strategy: dict[str, Any]) -> None:
    assert misfit(make_run(algorithm=algorithm, strategy=strategy), None, None) is None


IMAGE = spaces.Box(0, 255, (64, 64, 3), np.uint8)
VECTOR = spaces.Box(-1.0, 1.0, (4,))


@pytest.mark.parametrize(
    ("observation", "action", "said"),
    [
        (VECTOR, spaces.Discrete(2), None),
        (spaces.Discrete(16), spaces.MultiDiscrete([2, 3]), None),
        (VECTOR, VECTOR, None),
        (IMAGE, spaces.Discrete(2), "observes images"),
        (spaces.Dict({"a": VECTOR}), spaces.Discrete(2), "observes Dict(a: Box(4)); Box and Discrete are"),
        (spaces.MultiBinary(3), spaces.Discrete(2), "observes MultiBinary(3)"),
        (VECTOR, spaces.MultiBinary(3), "acts in MultiBinary(3); Box, Discrete and MultiDiscrete are"),
    ],
)
def test_spaces(observation: gym.Space[Any], action: gym.Space[Any], said: str | None) -> None:
    found = misfit(make_run(), observation, action)
    assert (found is None) if said is None else (said in str(found))


@pytest.mark.parametrize("kept", ["ppo", "dqn"])
def test_where_the_first_run_compiles_that_is_said_with_the_engine(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rl_transfer.engine.compiling.is_kept", lambda module: module == kept)
    said: list[str] = []
    ROOM.resolve(suite(), said.append)
    ROOM.resolve_run(make_run(training={"total_steps": 128, "engine": "auto"}), said.append)
    compiles = "; the first run compiles it for this machine, once: about half a minute"
    expected = "" if kept == "ppo" else compiles
    assert [line.partition(" without")[0] for line in said] == [
        f"engine compiled: everything fits (1 source: pole; 1 target: long){expected}",
        f"engine compiled: everything fits{expected}",
    ]
    ROOM.resolve(suite(training={"total_steps": 128, "engine": "sb3"}), said.append)
    assert len(said) == 2
    learner = make_run(algorithm=SIZES["DQN"], training={"total_steps": 128, "engine": "auto"})
    ROOM.resolve_run(learner, said.append)
    assert (compiles in said[-1]) is (kept == "ppo"), "of what one algorithm compiled the other uses a part"


def test_spaces_of_an_environment_are_looked_at() -> None:
    said: list[str] = []
    lake = make_run(env={"id": "FrozenLake-v1"}, training={"total_steps": 128, "engine": "auto"})
    assert ROOM.resolve_run(lake).engine == "compiled"
    named = {"id": "rl_transfer_envs:NoSuch-v0"}
    missing = make_run(env=named, training={"total_steps": 128, "engine": "auto"})
    assert ROOM.resolve_run(missing, said.append).engine == "compiled", "refused when it is built, at its key"


def test_without_a_compiler_auto_says_so_once_and_trains_on_sb3(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = f"numba is not installed: {engines.REMEDY}"
    monkeypatch.setattr(engines, "compiler_problem", lambda: problem)
    said: list[str] = []
    resolved = ROOM.resolve(suite(), said.append)
    assert {engine for found in engines_of(resolved).values() for engine in found} == {"sb3"}
    assert said == [f"engine sb3: not compiled, {problem} (1 source: pole; 1 target: long)"]
    asked = suite(training={"total_steps": 128, "engine": "compiled"})
    with pytest.raises(MissingExtraError, match=r'pip install "rl-transfer\[fast\]"') as caught:
        ROOM.resolve(asked)
    assert caught.value.key == "training.engine"


def test_sb3_never_looks_for_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked() -> str:
        raise AssertionError("numba was looked for")

    monkeypatch.setattr(engines, "compiler_problem", looked)
    said = {"total_steps": 128, "engine": "sb3"}
    ROOM.resolve(suite(training=said))
    ROOM.resolve_run(make_run(training=said))
    held = suite(
        strategies=[*SUITE["strategies"], LOW_RANK], sources={"pole": {"env": {"id": "CartPole-v1"}}}
    )
    with pytest.raises(AssertionError):
        ROOM.resolve(held)  # the source fits, so it is looked for now


def test_a_missing_and_a_broken_library_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    look = COMPILER_PROBLEM
    look.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert look() == f"numba and scipy are not installed: {engines.REMEDY}"
    look.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())

    def broken(name: str) -> None:
        raise ImportError("Numba needs NumPy 2.3 or less\nand more")

    monkeypatch.setattr(importlib, "import_module", broken)
    problem = "numba cannot be loaded (ImportError: Numba needs NumPy 2.3 or less)"
    assert look() == f"{problem}: {engines.REMEDY}"
    look.cache_clear()


def test_a_run_never_changes_its_engine_on_the_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = ROOM.resolve_run(make_run(training={"total_steps": 128, "engine": "compiled"}))
    monkeypatch.setattr(engines, "compiler_problem", lambda: f"numba is not installed: {engines.REMEDY}")
    with pytest.raises(
        MissingExtraError, match="planned for the compiled engine, and in this process numba is"
    ):
        ROOM.execute(run, RunFolder(tmp_path / run_id(run)), None)
    assert not (tmp_path / run_id(run)).exists()
    with pytest.raises(TransferError, match="nobody decided"):
        ROOM.execute(
            make_run(training={"total_steps": 128, "engine": "auto"}), RunFolder(tmp_path / "x"), None
        )


def test_records_say_the_engine_and_compiled_ones_its_libraries() -> None:
    run = make_run()
    assert engines.engine_record(run) == {"name": "sb3", "reason": "training.engine is sb3"}
    assert engines.engine_versions(run) == {}
    compiled = ROOM.resolve_run(make_run(training={"total_steps": 128, "engine": "auto"}))
    said = engines.engine_record(compiled)
    assert (said["name"], said["reason"]) == ("compiled", "everything fits")
    assert str(said["blas"]).strip()
    assert said["blas_kernels"] is None or str(said["blas_kernels"]).isalnum()
    assert engines.engine_versions(compiled) == library_versions(["numba", "llvmlite", "scipy"])


@pytest.mark.full
@pytest.mark.parametrize("engine", [None, {"name": "sb3", "reason": "not compiled, strategy 'held' <b>"}])
def test_summary_and_report_say_what_trained(engine: dict[str, str] | None, tmp_path: Path) -> None:
    class Told(SyntheticSweep):
        def config(self) -> dict[str, Any]:
            config = super().config()
            if engine is not None:
                config["targets"]["longer-pole"]["engine"] = engine
            return config

    folder = tmp_path / "sweep"
    Told(seeds=2).write(folder)
    cells = {cell["target"]: cell["engine"] for cell in summary(analyse(read_sweep(folder)))}
    plain = {"name": "sb3", "reason": None}
    assert cells == {"longer-pole": engine or plain, "weaker-motor": plain, "reversed-actions": plain}
    page = write_report(folder).page.read_text(encoding="utf-8")
    told = "sb3 on longer-pole (not compiled, strategy &#x27;held&#x27; &lt;b&gt;); sb3 on weaker-motor"
    assert (told in page) == (engine is not None)
    assert "sb3 on longer-pole" in page


TRIED: dict[str, list[dict[str, Any]]] = {
    "PPO": [
        {"name": "scratch"},
        {"name": "g", "copy": ["trunk"], "freeze": ["trunk"], "gradual": {}, "learning_rates": {"all": 2}},
        {"name": "shrunk", "copy": ["all"], "initial": {"kind": "shrink_and_perturb"}, "critic_warm_up": 0.5},
        {"name": "mapped", "copy": ["all"], "input_maps": {"observations": [1, 0, 2, 3]}, "adapt": "spaces"},
        {"name": "measured", "copy": ["all"], "train": False},
    ],
    "A2C": [
        {"name": "scratch"},
        {"name": "held", "copy": ["all"], "anchor": {"kind": "l2_sp", "strength": 1.0}},
        {"name": "frozen", "copy": ["trunk"], "freeze": ["trunk"]},
    ],
    "DQN": [
        {"name": "scratch"},
        {"name": "frozen", "copy": ["trunk"], "freeze": ["trunk"], "thaw": [{"at": 0.5, "parts": ["trunk"]}]},
    ],
}  # fmt: skip
SIZES = {
    "PPO": PPO,
    "A2C": {"name": "A2C", "n_steps": 16},
    "DQN": {"name": "DQN", "buffer_size": 50, "train_freq": 4},
}


@pytest.mark.parametrize("name", TRIED)
def test_what_the_table_lets_pass_the_engine_can_train(name: str) -> None:
    asked = suite(
        algorithm={**SIZES[name], "normalize": {}},
        training=COMPILED,
        strategies=TRIED[name],
        targets={"long": SUITE["targets"]["long"]},
    )
    ROOM.preflight(ROOM.resolve(asked))


def test_a_built_model_that_the_engine_cannot_train_is_refused_at_the_key() -> None:
    run = make_run(training=COMPILED)
    model = build_model(parse(Algorithm, {**PPO, "use_sde": True}), make_vec_env(PENDULUM, 2), 0)
    with pytest.raises(TransferError, match="the compiled engine cannot train this: gSDE") as caught:
        engines.refuse_uncompiled(run, model, anchored=False)
    assert caught.value.key == "training.engine"
    engines.refuse_uncompiled(make_run(), model, anchored=False)


def test_a_compiled_run_that_diverges_is_named_and_stops_alone(tmp_path: Path) -> None:
    network = {"net_arch": [64, 64, 64, 64], "activation": "relu"}
    large = {"learning_rate": 10, "vf_coef": 1e12, "max_grad_norm": 1e12, "policy_kwargs": network}
    wild = {"env": {"id": "CartPole-v1"}, "algorithm": {**PPO, **large}}
    asked = suite(
        seeds=1,
        training=COMPILED,
        strategies=[{"name": "scratch"}],
        sources={**SUITE["sources"], "wild": wild},
    )
    plan = prepare(asked, tmp_path / "sweep")
    state = run_sweep(plan, InThisProcess, lambda _, __: None)
    (reason,) = state.failed.values()
    assert "training diverged: the loss of the update at step" in reason
    assert [plan.graph.label(each) for each in state.failed] == ["source wild/seed-0"]
    assert len(state.done) == len(plan.graph.specs) - 1
