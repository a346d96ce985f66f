from collections.abc import Callable

import pytest
import torch
from torch import nn

from rl_transfer.core.limits import (
    MOST_NUMBERS,
    MOST_TENSOR_BYTES,
    MOST_TENSORS,
    SPARE_NUMBERS,
    SPARE_TENSORS,
    TooLarge,
    no_larger_than,
    of_bearable_size,
    refunded,
)


def backbone_whose_head_is_dropped() -> nn.Module:
    network = nn.Sequential(nn.Linear(30, 40), nn.Linear(40, 1000))
    network[1] = nn.Linear(40, 5)
    return network


def test_a_network_of_the_tensors_size_is_built_and_so_is_what_it_drops() -> None:
    shapes = {name: tuple(each.shape) for name, each in backbone_whose_head_is_dropped().state_dict().items()}
    with no_larger_than(shapes):
        built = backbone_whose_head_is_dropped().state_dict()
    assert {name: tuple(each.shape) for name, each in built.items()} == shapes


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Linear(12_000, 12_000),
        lambda: nn.Conv2d(4096, 4096, 3),
        lambda: nn.Sequential(*(nn.Linear(1, 1) for _ in range(10_000))),
    ],
)
def test_what_outgrows_them_is_refused_at_the_parameter_that_does(build: Callable[[], nn.Module]) -> None:
    with pytest.raises(ValueError, match="far larger than the tensors in the file"), no_larger_than({}):
        build()
    assert nn.Linear(1, SPARE_NUMBERS + 1, bias=False).in_features == 1, "outside nothing is refused"


def test_the_bound_is_twice_the_state_and_something_to_spare() -> None:
    shapes = {"weight": (10, 100)}
    with no_larger_than(shapes):
        nn.Linear(1, SPARE_NUMBERS + 2000, bias=False)
    with pytest.raises(ValueError, match="far larger"), no_larger_than(shapes):
        nn.Linear(1, SPARE_NUMBERS + 2001, bias=False)
    with no_larger_than(shapes):
        nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in range(SPARE_TENSORS + 2))
    with pytest.raises(ValueError, match="far larger"), no_larger_than(shapes):
        nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in range(SPARE_TENSORS + 3))


def test_a_small_network_may_drop_many_tensors_and_files_may_have_8_gib() -> None:
    with no_larger_than({"weight": (1, 1)}):
        nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in range(60))
    assert MOST_TENSOR_BYTES == 8 * 1024**3, "docs/sources.md says so"


def test_a_network_that_nothing_describes_has_a_bound_of_its_own() -> None:
    with torch.device("meta"), of_bearable_size():
        nn.Linear(1, MOST_NUMBERS, bias=False)
    with of_bearable_size():
        nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in range(MOST_TENSORS))
    with torch.device("meta"), pytest.raises(TooLarge, match="1,073,741,824 weights"), of_bearable_size():
        nn.Linear(1, MOST_NUMBERS + 1, bias=False)
    with pytest.raises(TooLarge, match="10,000 tensors"), of_bearable_size():
        nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in range(MOST_TENSORS + 1))


def test_what_is_built_for_a_trial_and_dropped_is_given_back() -> None:
    shapes = {"weight": (2**12, 2**12)}  # twice as many numbers and 8 million may be made
    with no_larger_than(shapes):
        for _ in range(3):
            with refunded():
                nn.Linear(2**12, 2**12, device="meta")
        nn.Linear(2**12, 2**12, device="meta")
        with pytest.raises(TooLarge), refunded():
            nn.Linear(2**14, 2**12, device="meta")
