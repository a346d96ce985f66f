"""Features are computed once only where nothing before the head learns, follows the data or is random."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from rl_transfer.core import PartMap, PartRule, freeze
from rl_transfer.supervised.classifier import Classifier
from rl_transfer.supervised.features import why_not_cached
from support.vectors_room import Scaling


@pytest.mark.parametrize(
    ("frozen", "between", "reason"),
    [
        (("first", "second"), nn.Identity(), None),
        (("first",), nn.Identity(), "part of the trunk is trained"),
        (("first", "second"), nn.Dropout(0.5), None),  # held with what is frozen around it
    ],
)
def test_why_features_are_not_cached(frozen: tuple[str, ...], between: nn.Module, reason: str | None) -> None:
    layers = {name: nn.Linear(4, 4) for name in ("first", "second", "head")}
    module = nn.Sequential(OrderedDict({"first": layers["first"], "between": between, **layers}))
    rules = {name: PartRule((name,), "head" if name == "head" else "trunk") for name in layers}
    classifier = Classifier(module, Scaling(4, 1.0), ("head",), 4, lambda model: PartMap.build(model, rules))
    freeze(module, classifier.parts, frozen)
    found = why_not_cached(classifier, torch.rand(3, 4))
    assert found == reason
    assert not (reason is None and module.train().get_submodule("between").training)
