"""Heads on another action space: outputs permuted, padded, refused."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from rl_transfer.core import PartMap, PartRule, Strategy, apply, plan
from rl_transfer.errors import TransferError


class Gaussian(nn.Module):
    """A trunk, a mean per action, and one deviation per feature and action."""

    def __init__(self, actions: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.trunk, self.head = nn.Linear(3, 4), nn.Linear(4, actions)
        self.log_std = nn.Parameter(torch.zeros(4, actions))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def parts(self) -> PartMap:
        rules = {"trunk_": PartRule(("trunk",), "trunk"), "action_head": PartRule(("head",), "head"),
                 "log_std": PartRule(("log_std",), "head")}  # fmt: skip
        return PartMap.build(self, rules)

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latent = self.trunk(x)
        return self.head(latent), latent @ self.log_std


def transferred(outputs: tuple[int | None, ...], source: Gaussian, target: Gaussian, **more: Any) -> Any:
    maps = {"action_head": outputs, "log_std": outputs}
    strategy = Strategy("mapped", copy=("all",), output_maps=maps, **more)
    made = plan(source.state_dict(), target, target.parts(), strategy, source_parts=source.parts())
    apply(made, target)
    return made


@given(st.lists(st.one_of(st.none(), st.integers(0, 2)), min_size=1, max_size=5).map(tuple))
def test_output_i_of_the_target_is_the_mapped_output_of_the_source(outputs: tuple[int | None, ...]) -> None:
    source, target, fresh = Gaussian(3, 0), Gaussian(len(outputs), 1), Gaussian(len(outputs), 1)
    fresh.trunk.load_state_dict(source.trunk.state_dict())
    transferred(outputs, source, target)
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))
    for got, theirs, own in zip(target.outputs(x), source.outputs(x), fresh.outputs(x), strict=True):
        for here, there in enumerate(outputs):
            expected = own[:, here] if there is None else theirs[:, there]
            assert torch.allclose(got[:, here], expected, atol=1e-6)


def test_the_plan_says_how_many_outputs_come_from_the_source() -> None:
    made = transferred((2, None), Gaussian(3, 0), Gaussian(2, 1))
    notes = {row.tensor: row.reason for row in made.entries}
    assert notes["head.bias"] == "output map: 1 of 2 outputs from the source, the others fresh"


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ((0, 3), "output map index 3 is outside the source's outputs 0 to 2"),
        ((0, -1), "output map index -1 is outside"),
        ((0,), "has 1 entries, but head.weight gives 2 outputs"),
    ],
)
def test_a_map_that_does_not_fit_is_refused_and_nothing_is_touched(
    outputs: tuple[int, ...], message: str
) -> None:
    target = Gaussian(2, 1)
    before = {name: each.clone() for name, each in target.state_dict().items()}
    with pytest.raises(TransferError, match=message):
        transferred(outputs, Gaussian(3, 0), target)
    assert all(torch.equal(each, before[name]) for name, each in target.state_dict().items())


def test_a_map_of_what_is_not_copied_is_refused() -> None:
    with pytest.raises(TransferError, match="which is not copied"):
        transferred((0, 1), Gaussian(3, 0), Gaussian(2, 1), reset=("log_std",))
