import pytest
import torch
from torch import nn

from rl_transfer.core.outline import NeedsMemoryError, without_memory


class Counted(nn.Module):
    """Looks at a number while it is built."""

    def __init__(self) -> None:
        super().__init__()
        self.width = int(torch.ones(3).sum().item())


def test_a_network_that_no_machine_could_hold_is_outlined() -> None:
    with without_memory():
        network = nn.Sequential(nn.Linear(2**20, 2**20), nn.BatchNorm1d(2**20)).to("cpu").to(torch.float64)
    assert {name: tuple(each.shape) for name, each in network.state_dict().items()}["0.weight"] == (
        2**20,
        2**20,
    )
    assert network[0].weight.is_meta
    assert network[0].weight.dtype == torch.float64


def test_afterwards_networks_have_memory_again() -> None:
    with without_memory():
        pass
    assert not nn.Linear(2, 2).weight.is_meta


def test_a_network_that_looks_at_numbers_says_so() -> None:
    with pytest.raises(NeedsMemoryError, match=r"Tensor\.item\(\)"), without_memory():
        Counted()


def test_what_torch_cannot_do_without_numbers_is_told_as_that() -> None:
    with pytest.raises(NeedsMemoryError, match="numpy"), without_memory():
        torch.ones(2).numpy()
    with pytest.raises(NeedsMemoryError, match="Meta"), without_memory():
        torch.ops.aten._sparse_mask_projection(torch.ones(2), torch.ones(2))


@pytest.mark.parametrize("error", [ValueError("meta tensors"), TypeError("unexpected argument 'meta'")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error), match="meta"), without_memory():
        raise error
