"""What a record says of a classifier's inside, and that its training does not know of it."""

from typing import Any

import pytest
import torch

from rl_transfer.supervised.training import ClassifierTraining
from support.events import scalars_of
from support.image import TRAINING, Execute
from support.resumption import numbers

LOOKS = {"every": 2, "diagnostics": True}
COPIED = {"copy": ["trunk"]}
FROZEN = {**COPIED, "freeze": ["trunk"]}


def parts_of(folder: Any) -> dict[str, Any]:
    found: dict[str, Any] = folder.record()["diagnostics"]["parts"]
    return found


def test_every_part_of_a_network_has_its_figures(run: Execute) -> None:
    folder = run(evaluation=LOOKS)
    diagnostics, parts = folder.record()["diagnostics"], parts_of(folder)
    assert diagnostics["batch"] == {"items": 15, "training_items": 32}
    assert {part["role"] for part in parts.values()} == {"trunk", "head"}
    for name, part in parts.items():
        for moment in ("start", "end"):
            assert -1 <= part[moment]["gradient_agreement"] < 0.9999, name
            if part["role"] == "trunk":
                assert 0 <= part[moment]["dormant"] <= 1, name
                assert 1 <= part[moment]["effective_rank"] <= part["features"], name
                assert part[moment]["saturated"] is None, "ReLUs have no ends"
        assert part["distance"] > 0
        assert part["role"] == "head" or part["start"]["effective_rank"] != part["end"]["effective_rank"]
        assert part["distance_from_source"] is None
    rank = dict(scalars_of(folder.tensorboard)["effective_rank/" + next(iter(parts))])
    assert rank.keys() == {0, TRAINING["epochs"]}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"training": {**TRAINING, "class_weights": "balanced", "label_smoothing": 0.1}},
    ],
    ids=["ResNet", "weighted"],
)
def test_training_is_the_same_to_the_bit_with_and_without(more: dict[str, Any], run: Execute) -> None:
    seeing, blind = (run(evaluation={"every": 2, **each}, **more) for each in ({"diagnostics": True}, {}))
    mine, theirs = (
        {key: value for key, value in numbers(each).items() if key not in ("id", "files", "diagnostics")}
        for each in (seeing, blind)
    )
    assert mine == theirs
    tensors = "bundle/tensors.safetensors"
    assert seeing.record()["files"][tensors] == blind.record()["files"][tensors]


def test_what_draws_from_the_global_generator_draws_the_same(
    monkeypatch: pytest.MonkeyPatch, run: Execute
) -> None:
    looks, seen = ClassifierTraining._diagnosis, []

    def watched(self: ClassifierTraining, *arguments: Any) -> Any:
        before = torch.get_rng_state().tolist()
        found = looks(self, *arguments)
        seen.append(torch.get_rng_state().tolist() == before)
        return found

    monkeypatch.setattr(ClassifierTraining, "_diagnosis", watched)
    run(store="watched", evaluation=LOOKS)
    assert seen == [True], "dropout and augmentation, say"


def test_frozen_parts_stay_and_tuned_ones_move(run: Execute) -> None:
    source = run()
    frozen, tuned, adapted = (
        parts_of(run(source=source, evaluation=LOOKS, strategy=strategy))
        for strategy in (FROZEN, COPIED, {**FROZEN, "low_rank": {"rank": 2}})
    )
    trunks = [name for name, part in frozen.items() if part["role"] == "trunk"]
    for name in trunks:
        assert frozen[name]["distance"] == frozen[name]["distance_from_source"] == 0.0
        assert frozen[name]["start"] == {
            **frozen[name]["end"], "gradient_agreement": frozen[name]["start"]["gradient_agreement"],
        }  # fmt: skip
        assert tuned[name]["distance"] == tuned[name]["distance_from_source"] > 0
        assert tuned[name]["start"] == frozen[name]["start"], "the same network on the same items"
    assert any(adapted[name]["distance"] > 0 for name in trunks), "adapters are folded in"
