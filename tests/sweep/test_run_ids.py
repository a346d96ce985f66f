"""Run ids of shipped configs: those of 0.1.0, so that its finished runs are found again.

Image configs are not pinned: their ids rest on the content of what is read by now, on purpose.
"""

import json
from pathlib import Path

import pytest

from rl_transfer.results import run_id
from rl_transfer.spec import RLSuite, TrainConfig, TransferConfig, load
from rl_transfer.sweep.graph import build_graph
from support.rl import make_run

WRITTEN = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "written-by-0.1.0" / "run-ids.json").read_text("utf-8")
)
LATER = ("shuffled-source", "shuffled-frozen")
"""Controls that came later."""
EXTRACTORS = ("rl_transfer.rl.extractors:SmallCNN", "rl_transfer.rl.policies.extractors:SmallCNN")


@pytest.mark.parametrize(("name", "overrides"), [("quickstart", ["seeds=5"]), ("pixels", [])])
def test_runs_of_a_shipped_suite_are_called_as_0_1_0_called_them(name: str, overrides: list[str]) -> None:
    graph = build_graph(load(name, {"rl": RLSuite}, "suites", overrides).config)
    found = {graph.label(each): each for each in graph.specs}
    later = {label for label in found for control in LATER if f"/{control}/" in label}
    assert {label: run for label, run in found.items() if label not in later} == WRITTEN[f"suites/{name}"], (
        "a control that came later changes no other run"
    )


def test_single_experiments_are_called_as_0_1_0_called_them() -> None:
    train = load("cartpole", {"rl": TrainConfig}, "train").config.run()
    assert run_id(train) == WRITTEN["train/cartpole"]["run"]
    transfer = load("cartpole-reversed", {"rl": TransferConfig}, "transfer").config.transfer_run("0" * 16)
    assert run_id(transfer) == WRITTEN["transfer/cartpole-reversed"]["run"]


def test_a_moved_class_has_one_id_under_both_its_paths() -> None:
    def spelt(path: str) -> str:
        algorithm = {"name": "PPO", "policy": "CnnPolicy", "policy_kwargs": {"features_extractor": path}}
        return run_id(make_run(algorithm=algorithm))

    assert spelt(EXTRACTORS[0]) == spelt(EXTRACTORS[1])
    assert spelt(EXTRACTORS[0]) != spelt("my_package.rl.policies.extractors:SmallCNN")


def test_what_is_written_is_what_the_user_said() -> None:
    """Only ids go back to the first path; ``spec.json`` keeps the one that was given."""
    algorithm = {"name": "PPO", "policy": "CnnPolicy", "policy_kwargs": {"features_extractor": EXTRACTORS[1]}}
    assert (
        make_run(algorithm=algorithm).plain()["algorithm"]["policy_kwargs"]["features_extractor"]
        == (EXTRACTORS[1])
    )
