"""What 0.1.0 wrote still loads: bundles, run folders, and import paths that a YAML or a page could name."""

import importlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from rl_transfer.image.room import IMAGES
from rl_transfer.results import find_run
from rl_transfer.rl.policies.algorithms import import_object
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.supervised.bundle import load_network
from rl_transfer_envs.build.make import make
from rl_transfer_envs.build.moved import MOVED
from rl_transfer_envs.build.specification import canonical

WRITTEN = Path(__file__).parent / "fixtures" / "written-by-0.1.0"
NAMEABLE = ("rl_transfer.rl.extractors:SmallCNN",)


def test_a_policy_with_an_extractor_named_by_its_old_path_loads_and_acts() -> None:
    policy = load_policy(WRITTEN / "pixel-policy")
    assert policy.algorithm.policy_kwargs.features_extractor == "rl_transfer.rl.extractors:SmallCNN"
    assert policy.act()(np.zeros((2, 1, 36, 36), dtype=np.uint8)).shape == (2,)


def test_a_classifier_loads() -> None:
    assert len(load_network(IMAGES, WRITTEN / "classifier").classes or ()) == 10


@pytest.mark.parametrize("name", ["pixel-policy", "classifier"])
def test_a_run_folder_is_read(name: str) -> None:
    folder = find_run(WRITTEN / name)
    assert folder.record()["versions"]["rl-transfer"] == "0.1.0"
    assert folder.curve()[-1]["step"] == folder.record()["total_steps"]


@pytest.mark.parametrize("path", NAMEABLE)
def test_every_nameable_path_of_0_1_0_imports(path: str) -> None:
    assert import_object(path, key="here") is not None


@pytest.mark.parametrize("module", sorted(MOVED))
def test_every_module_of_environments_of_0_1_0_can_be_named(module: str) -> None:
    """In both ways that a specification has of naming one; it keeps the name, and with it its digest."""
    given = [{"id": f"{module}:CartPole-v1"}, {"id": "CartPole-v1", "env_module": module}]
    assert [canonical(each).get("env_module") for each in given] == [module, module]
    assert find_spec(MOVED[module]), "and the table leads somewhere"


def test_pixel_catch_is_built_under_the_module_that_held_it() -> None:
    with make({"id": "PixelCatch-v0", "env_module": "rl_transfer_envs.pixels"}) as env:
        assert env.reset(seed=0)[0].dtype == np.uint8


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("rl_transfer.rl.sources", ("import_source", "load_source")),
        ("rl_transfer.rl.hooks", ("ArchitectureHook", "BehaviourHook", "HookContext", "LossHook")),
    ],
)
def test_what_pages_told_people_to_import_can_be_imported(module: str, names: tuple[str, ...]) -> None:
    found = importlib.import_module(module)
    assert all(callable(getattr(found, name)) for name in names)
