"""A file never has a module imported that the user did not name."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rl_transfer.core import load_bundle, save_bundle
from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.frame import EvaluationRequest, InspectionHints
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.policies.export import export_sb3
from rl_transfer.rl.room import RLRoom, play
from rl_transfer.rl.sources.load import import_source, load_source
from rl_transfer.spec import Environment, RLRun, StrategyVerbs
from rl_transfer.spec.base import Json
from rl_transfer.spec.modules import import_modules, import_named, named_modules, refuse_unnamed
from rl_transfer.sweep.dispatch import Job
from support.cli import Call, calling
from support.foreign import ANYWHERE, saved, sb3_model

MODULE = """\
from pathlib import Path

import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv
from stable_baselines3.common.torch_layers import FlattenExtractor

Path(__file__).with_name("imported").touch()
gym.register("Harmful-v0", CartPoleEnv, max_episode_steps=9)


class Extractor(FlattenExtractor):
    pass
"""


@pytest.fixture
def harmful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module on the path that leaves a trace where it is imported; the trace."""
    import gymnasium as gym

    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "harmful.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "path")
    yield tmp_path / "path" / "imported"
    sys.modules.pop("harmful", None)
    gym.registry.pop("Harmful-v0", None)


def bundle(folder: Path, **changes: Any) -> Path:
    """A bundle of a CartPole policy that says something else of itself."""
    if not folder.exists():
        from gymnasium import spaces

        model = sb3_model("PPO", spaces.Box(-1, 1, (4,)), spaces.Discrete(2))
        import_source(saved(model, folder.with_suffix(".zip")), folder, env=Environment(id="CartPole-v1"))
    read = load_bundle(folder)
    metadata = json.loads(json.dumps(dict(read.metadata)))
    metadata["algorithm"]["policy_kwargs"] |= changes.pop("policy_kwargs", {})
    metadata |= changes
    changed = folder.with_name("changed")
    save_bundle(changed, {**read.tensors, **read.state()}, metadata)
    return changed


ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "id": {"id": "harmful:Harmful-v0"},
    "env_module": {"id": "Harmful-v0", "env_module": "harmful"},
    "base": {"id": "rl_transfer_envs:Perturbed-v0", "kwargs": {"base": "harmful:Harmful-v0"}},
    "base of base": {"id": "Perturbed-v0", "kwargs": {"base": {"id": "Harmful-v0", "env_module": "harmful"}}},
    "any argument": {"id": "CartPole-v1", "kwargs": {"env_id": "harmful:Harmful-v0"}},
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_bundles_environment_imports_nothing(name: str, harmful: Path, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "bundle", env=ENVIRONMENTS[name])
    policy = load_policy(folder)
    for use in (
        lambda: play(load_policy(folder), None, 1, 0, True),
        lambda: RLRoom().evaluate(str(folder), EvaluationRequest(episodes=1)),
        lambda: policy.env,
    ):
        with pytest.raises(BundleError, match=r"names the module 'harmful'.*--module harmful"):
            use()
    RLRoom().inspect(str(folder), InspectionHints())
    export_sb3(folder, tmp_path / "exported.zip")
    assert play(load_policy(folder), Environment(id="CartPole-v1"), 1, 0, True)[1].lengths
    assert not harmful.exists()
    assert "harmful" not in sys.modules


@pytest.mark.parametrize("name", ["id", "env_module", "base"])
def test_an_environment_that_the_user_names_is_played(name: str, harmful: Path, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "bundle", env=ENVIRONMENTS[name])
    import_modules(["harmful"])
    assert harmful.exists(), "the module does something, so the other tests show something"
    assert play(load_policy(folder), None, 1, 0, True)[1].lengths[0] <= 9


def test_a_bundles_features_extractor_imports_nothing(harmful: Path, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "bundle", policy_kwargs={"features_extractor": "harmful:Extractor"})
    for use in (load_policy, load_source, lambda path: export_sb3(path, tmp_path / "x.zip")):
        with pytest.raises(BundleError, match="features extractor names the module 'harmful'"):
            use(folder)
    with pytest.raises(BundleError, match="names the module 'harmful'"):
        import_source(folder, tmp_path / "copy")
    assert not harmful.exists()
    import_named(Environment(id="CartPole-v1", env_module="harmful"))
    assert type(load_policy(folder).module.features_extractor).__name__ == "Extractor"


@pytest.mark.parametrize("name", ["Extractor!", "Extractor\n", "Extractor ", "Ex:tractor", "", "9", "é"])
@pytest.mark.parametrize("module", ["harmful", "härmful", "harm-ful"])
def test_a_name_that_nothing_has_imports_nothing(
    module: str, name: str, harmful: Path, tmp_path: Path
) -> None:
    harmful.with_name("harmful.py").rename(harmful.with_name(f"{module}.py"))
    folder = bundle(tmp_path / "bundle", policy_kwargs={"features_extractor": f"{module}:{name}"})
    with pytest.raises(BundleError):
        load_policy(folder)
    shutil.rmtree(folder.with_name("changed"))
    for env in ({"id": f"{module}:{name}"}, {"id": "Perturbed-v0", "kwargs": {"base": f"{module}:{name}"}}):
        with pytest.raises(BundleError):
            play(load_policy(bundle(tmp_path / "bundle", env=env)), None, 1, 0, True)
        shutil.rmtree(tmp_path / "changed")
    assert not harmful.exists()
    assert module not in sys.modules


@pytest.mark.parametrize(
    "file",
    ["harmful:Harmful-v0.zip", "ppo-harmful:Harmful-v0.zip", "ppo/harmful:Harmful-v0_1/best_model.zip"],
)
def test_a_files_name_imports_nothing(file: str, harmful: Path, tmp_path: Path) -> None:
    path = saved(sb3_model("PPO"), tmp_path / file)
    with pytest.raises(BundleError, match="does not say which environment it was trained in"):
        load_source(path)
    assert not harmful.exists()


def test_a_run_imports_what_its_config_and_its_suite_name(harmful: Path, tmp_path: Path) -> None:
    run = RLRun.model_validate({
        "env": {"id": "CartPole-v1"},
        "algorithm": {"name": "PPO", "n_steps": 16, "batch_size": 16, "n_epochs": 1},
        "training": {"total_steps": 16}, "evaluation": {"every": 16, "episodes": 1},
        "strategy": {"copy": ["all"]}, "source": "digest:0",
    })  # fmt: skip
    assert run.strategy == StrategyVerbs.model_validate({"copy": ["all"]})
    source = bundle(tmp_path / "bundle", env=ENVIRONMENTS["env_module"])
    Job(run, tmp_path / "unnamed", source).execute()
    assert not harmful.exists(), "retention is left out, and nothing is imported for it"
    record = json.loads((tmp_path / "unnamed" / "record.json").read_text())
    assert record["retention"] is None
    job = Job.from_json(Job(run, tmp_path / "named", source, ("harmful",)).to_json())
    job.execute()
    record = json.loads((tmp_path / "named" / "record.json").read_text())
    assert len(record["retention"]["source_returns"]) == 1


def test_the_command_line_names_modules(
    harmful: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    call: Call = calling(capfd)
    folder = str(bundle(tmp_path / "bundle", env=ENVIRONMENTS["id"]))
    refused = call("evaluate", folder, "--episodes", "1")
    assert refused.code == 6
    assert "--module harmful" in refused.err
    assert not harmful.exists()
    missing = call("evaluate", folder, "--module", "harmfull")
    assert missing.code == 3
    assert "module 'harmfull' cannot be imported" in missing.err
    done = call("evaluate", folder, "--episodes", "1", "--module", "harmful")
    assert done.code == 0, done.err
    assert "mean return" in done.out


def test_which_modules_a_description_names() -> None:
    plain: dict[str, Json] = {
        "id": "a.b:Env-v0",
        "kwargs": {"base": {"id": "c:Env-v0", "env_module": "d"}, "list": ["e:f", "no: f", "12:30"]},
        "features_extractor": "g.h:Class",
        "policy": "hf://org/name",
    }
    assert named_modules(plain) == {"a.b", "c", "d", "e", "g.h"}
    refuse_unnamed({"features_extractor": "rl_transfer.rl.extractors:SmallCNN"}, "an old bundle")
    with pytest.raises(ConfigError, match="cannot be imported"):
        import_modules(["nowhere.to_be_found"])


def test_only_the_keys_that_name_code_are_imported(harmful: Path) -> None:
    import_named(Environment(id="CartPole-v1", kwargs={"text": "harmful:Text"}))
    assert not harmful.exists()
    import_named(Environment(id="harmful:Harmful-v0"))
    assert harmful.exists()
    assert ANYWHERE.env_module is None
