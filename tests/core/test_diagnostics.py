"""What a network is like inside, against numbers known by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from rl_transfer.core import PartMap, PartRule
from rl_transfer.core.activity import part_activity, part_agreement
from rl_transfer.core.diagnostics import agreement, dormant, effective_rank, relative_distance, saturated


def test_a_unit_at_exactly_the_threshold_is_dormant_and_one_above_is_not() -> None:
    # E|h| = (1, 0.025, 0, …): s = E|h| / mean. Four units whose means sum to 4: the mean is 1, s = E|h|.
    means = torch.tensor([2.975, 1.0, 0.025, 0.0], dtype=torch.float64)
    signs = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    assert dormant(signs * means).tolist() == [False, False, True, True]
    more = torch.tensor([2.974, 1.0, 0.026, 0.0], dtype=torch.float64)
    assert dormant(signs * more).tolist() == [False, False, False, True]


def test_a_silent_layer_is_dormant_as_a_whole() -> None:
    assert dormant(torch.zeros(5, 3)).all()


def test_saturation_counts_the_mean_size_not_the_mean() -> None:
    outputs = torch.tensor([[1.0, 0.99, 0.98, 1.0], [-1.0, -0.99, 0.99, 0.97]], dtype=torch.float64)
    assert saturated(outputs).tolist() == [True, True, False, False]


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_orthogonal_directions_of_equal_strength_count_one_each(rank: int) -> None:
    generator = np.random.default_rng(rank)
    left = np.linalg.qr(generator.normal(size=(40, rank)))[0]
    right = np.linalg.qr(generator.normal(size=(8, rank)))[0]
    assert effective_rank(torch.from_numpy(3.0 * left @ right.T)) == pytest.approx(rank)


def test_effective_rank_of_unequal_directions_by_hand() -> None:
    # σ = (3, 1): p = (3/4, 1/4), exp(3/4 ln 4/3 + 1/4 ln 4) = (4/3)^(3/4) · 4^(1/4)
    assert effective_rank(torch.diag(torch.tensor([3.0, 1.0, 0.0]))) == pytest.approx(
        (4 / 3) ** 0.75 * 4**0.25
    )


def test_effective_rank_of_nothing_and_of_no_numbers() -> None:
    assert effective_rank(torch.zeros(4, 2)) == 0.0
    assert math.isnan(effective_rank(torch.tensor([[1.0, math.nan]])))


def test_distance_by_hand() -> None:
    start = {"w": torch.tensor([3.0, 0.0]), "b": torch.tensor([4.0]), "still": torch.tensor([1.0])}
    end = {"w": torch.tensor([3.0, 2.0]), "b": torch.tensor([3.0]), "still": torch.tensor([1.0])}
    # ‖θ − θ₀‖ = √(4 + 1), ‖θ₀‖ = √(9 + 16)
    assert relative_distance(start, end, ["w", "b"]) == pytest.approx(math.sqrt(5) / 5)
    assert relative_distance(start, end, ["still"]) == 0.0
    assert math.isnan(relative_distance(start, end, []))


def test_distance_from_zero_is_none_but_zero_where_nothing_moved() -> None:
    zero, one = {"log_std": torch.zeros(2)}, {"log_std": torch.ones(2)}
    assert relative_distance(zero, zero, ["log_std"]) == 0.0
    assert math.isnan(relative_distance(zero, one, ["log_std"]))


def test_agreement_by_hand() -> None:
    g = [torch.tensor([1.0, 0.0]), torch.tensor([2.0])]
    h = [torch.tensor([0.0, 2.0]), torch.tensor([1.0])]
    assert agreement(g, h) == pytest.approx(2 / (math.sqrt(5) * math.sqrt(5)))
    assert agreement(g, g) == 1.0
    assert agreement(g, [-each for each in g]) == -1.0
    assert math.isnan(agreement(g, [torch.zeros(2), torch.zeros(1)]))


def two_layers() -> tuple[nn.Sequential, PartMap]:
    """Four ReLUs, two tanhs, and a head."""
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2), nn.Tanh(), nn.Linear(2, 1))
    rules = {"body": PartRule(("0", "2"), "trunk"), "head": PartRule(("4",), "head")}
    return model, PartMap.build(model, rules)


def test_dead_units_of_a_layer_are_counted_among_all_units_of_its_part() -> None:
    model, parts = two_layers()
    with torch.no_grad():
        for name, each in model.named_parameters():
            each.fill_(0.5 if name.endswith("bias") else 0.0)
        model.get_parameter("0.bias")[:3] = -1.0  # three of four ReLUs are dead
        model.get_parameter("2.bias")[0] = 5.0  # tanh(5) = .9999; tanh(.5) = .46
    found = part_activity(model, parts, lambda: model(torch.randn(7, 2)))
    assert found.keys() == {"body"}
    assert (found["body"].units, found["body"].features) == (6, 2)
    assert found["body"].dormant == pytest.approx(3 / 6)
    assert found["body"].saturated == pytest.approx(1 / 2), "ReLUs have no ends"
    assert found["body"].effective_rank == pytest.approx(1.0), "the same row seven times"


def test_units_of_feature_maps_are_channels_over_all_places() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12, 1))
    parts = PartMap.build(model, {"body": PartRule(("0",), "trunk"), "head": PartRule(("3",), "head")})
    with torch.no_grad():
        model.get_parameter("0.weight").fill_(1.0)
        model.get_parameter("0.bias").copy_(torch.tensor([0.0, -100.0, 0.0]))
    found = part_activity(model, parts, lambda: model(torch.rand(5, 1, 2, 2)))["body"]
    assert (found.units, found.features) == (3, 3)
    assert found.dormant == pytest.approx(1 / 3)
    assert math.isnan(found.saturated)


def test_of_units_that_give_no_numbers_nothing_is_said() -> None:
    model, parts = two_layers()
    found = part_activity(model, parts, lambda: model(torch.full((3, 2), math.nan)))["body"]
    assert all(math.isnan(each) for each in (found.dormant, found.saturated, found.effective_rank))


def test_gradients_of_two_halves_agree_part_by_part_as_computed_by_hand() -> None:
    model, parts = two_layers()
    frozen = model[0].weight.requires_grad_(False)
    first, second = torch.randn(3, 2), torch.randn(3, 2)

    def by_hand(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        clone, _ = two_layers()
        clone.load_state_dict(model.state_dict())
        clone(batch).square().mean().backward()
        return {name: each.grad for name, each in clone.named_parameters() if each.grad is not None}

    g, h = by_hand(first), by_hand(second)
    halves = [lambda each=each: [(model(each).square().mean(), "")] for each in (first, second)]
    found = part_agreement(model, parts, halves)
    for part, prefixes in {"body": "02", "head": "4"}.items():
        names = [name for name in g if name[0] in prefixes]
        a, b = (torch.cat([grads[name].flatten() for name in names]) for grads in (g, h))
        assert found[part] == pytest.approx(float(torch.cosine_similarity(a, b, dim=0)), abs=1e-5)
    assert not frozen.requires_grad, "flags are what they were"
    assert all(parameter.grad is None for parameter in model.parameters())


def test_only_the_parameters_that_learn_by_a_loss_have_its_gradient() -> None:
    model, parts = two_layers()
    batch = torch.randn(4, 2)
    halves = [lambda: [(model(batch).mean(), "4.")]] * 2
    assert part_agreement(model, parts, halves) == {"head": pytest.approx(1.0)}
