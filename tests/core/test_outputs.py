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
    made = transferred((2, None, 0), Gaussian(3, 0), Gaussian(3, 1))
    notes = {row.tensor: row.reason for row in made.entries}
    assert notes["head.bias"] == "output map: 2 of 3 outputs from the source, the others fresh"


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


class Cube(nn.Module):
    """A bare parameter [2, 3, actions]: neither axis of the others may be taken for the outputs."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        self.cube = nn.Parameter(torch.arange(6.0 * actions).reshape(2, 3, actions))


def test_the_outputs_of_a_free_parameter_are_its_last_axis() -> None:
    source, target = Cube(4), Cube(2)
    parts = PartMap.build(target, {"cube": PartRule(("cube",), "head")})
    strategy = Strategy("s", copy=("all",), output_maps={"cube": (3, None)})
    apply(plan(source.state_dict(), target, parts, strategy), target)
    # The source counts 0 … 23 in rows of 4, the target 0 … 11 in rows of 2: output 0 reads the row's
    # last number there, output 1 keeps its own.
    assert target.cube.tolist() == [[[3, 1], [7, 3], [11, 5]], [[15, 7], [19, 9], [23, 11]]]


def test_a_map_does_not_bridge_another_width() -> None:
    source, target = Gaussian(3, 0), Gaussian(2, 1)
    source.head = nn.Linear(5, 3)
    with pytest.raises(TransferError, match=r"head\.weight: 3×5 in the source, 2×4 here"):
        transferred((0, 1), source, target)


def test_two_maps_of_one_layer_are_refused() -> None:
    maps = {"action_head": (0, 1), "head": (1, 0)}
    target = Gaussian(2, 1)
    with pytest.raises(TransferError, match="two output maps cover 'head'") as caught:
        plan(
            Gaussian(2, 0).state_dict(),
            target,
            target.parts(),
            Strategy("s", copy=("all",), output_maps=maps, key="k"),
        )
    assert caught.value.key == "k.output_maps.head"
