"""Exact statistics: the batches' own under the weights of now, whatever the running averages still hold."""

from pathlib import Path

import pytest
import torch
from torch import nn

from rl_transfer.core.bundle import load_bundle
from rl_transfer.core.digest import digest_tensors
from rl_transfer.core.randomness import isolated
from rl_transfer.results import run_id
from rl_transfer.supervised.exact_statistics import settle
from support.image import TRAINING, Execute, make_run

CPU = torch.device("cpu")


def batches(*sizes: int, scale: float = 1.0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    drawn = torch.Generator().manual_seed(3)
    return [
        (scale * torch.randn(size, 4, generator=drawn) + scale, torch.zeros(size, dtype=torch.long))
        for size in sizes
    ]


def network(momentum: float | None = 0.1, dropout: float = 0.0) -> nn.Sequential:
    with isolated(0):
        return nn.Sequential(nn.Linear(4, 3), nn.Dropout(dropout), nn.BatchNorm1d(3, momentum=momentum))


def of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: each.clone() for name, each in model.named_buffers()}


@pytest.mark.parametrize("scale", [1.0, 1e6])
@pytest.mark.parametrize("momentum", [0.1, 0.001, 1.0, None])
def test_statistics_are_those_of_all_batches_together(momentum: float | None, scale: float) -> None:
    model, given = network(momentum), batches(8, 8, 4, scale=scale)
    assert settle(model, model, iter(given), CPU) == ["2.running_mean", "2.running_var"]
    with torch.no_grad():
        hidden = [model[0](inputs) for inputs, _ in given]
    weights = torch.tensor([8.0, 8.0, 4.0])[:, None] / 20
    means = torch.stack([each.mean(0) for each in hidden])
    mean = (weights * means).sum(0)
    within = (weights * torch.stack([each.var(0) for each in hidden])).sum(0)
    variance = within + (weights * (means - mean) ** 2).sum(0)
    # 1 − s is stored in float32: what it is off by counts s times less in the statistic.
    off = 1e-5 if momentum is None else max(1e-5, 2e-7 / momentum)
    torch.testing.assert_close(of(model)["2.running_mean"], mean, rtol=off, atol=1e-6 * scale)
    torch.testing.assert_close(of(model)["2.running_var"], variance, rtol=off, atol=0.0)


def test_nothing_else_moves() -> None:
    model = network(dropout=0.5)
    model.eval()
    before, state = digest_tensors(dict(model.named_parameters())), torch.get_rng_state()
    first = settle(model, model, iter(batches(8)), CPU)
    assert first
    once = of(model)
    settle(model, model, iter(batches(8)), CPU)
    assert torch.equal(of(model)["2.running_mean"], once["2.running_mean"]), (
        "it remembers nothing, and drops the same"
    )
    assert digest_tensors(dict(model.named_parameters())) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert int(of(model)["2.num_batches_tracked"]) == 0
    assert not any(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_held_layers_keep_theirs_and_a_network_without_statistics_is_left_alone() -> None:
    held = network()
    held.eval()
    held.__dict__["train"] = lambda mode=True: held
    model = nn.Sequential(held, nn.BatchNorm1d(3))
    assert settle(model, model, iter(batches(8)), CPU) == ["1.running_mean", "1.running_var"]
    assert not of(held)["2.running_mean"].any()
    plain = nn.Linear(4, 2)
    assert settle(plain, plain, iter(batches(8)), CPU) == []


def test_other_buffers_that_move_are_no_statistics() -> None:
    """Power iteration moves its vectors; from 0 it would divide by 0."""
    model = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)), nn.BatchNorm1d(3))
    vectors = {name: each.clone() for name, each in model.named_buffers() if name.startswith("0.")}
    assert settle(model, model, iter(batches(8)), CPU) == ["1.running_mean", "1.running_var"]
    assert vectors
    assert all(torch.equal(dict(model.named_buffers())[name], each) for name, each in vectors.items())
    assert torch.isfinite(of(model)["1.running_mean"]).all()


def test_where_a_pass_fails_the_averages_stay() -> None:
    model = network()
    before = of(model)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        settle(model, model, iter(batches(8, 1)), CPU)
    assert all(torch.equal(each, before[name]) for name, each in model.named_buffers())
    broken = batches(8)
    broken[0][0][0, 0] = float("nan")
    settle(model, model, iter(broken), CPU)
    assert torch.isnan(of(model)["2.running_mean"]).all(), "no mix of old and new hides it"


def test_a_run_trains_the_same_weights_and_measures_with_other_statistics(run: Execute) -> None:
    plain, exact = (
        load_bundle(run(training={**TRAINING, "statistics": statistics}).bundle).tensors
        for statistics in ("running", "exact")
    )
    moved = {name for name in plain if not torch.equal(plain[name], exact[name])}
    assert moved == {name for name in plain if "running_" in name}


def test_the_default_keeps_the_ids_of_runs(arrays: Path) -> None:
    plain, running, exact = (
        run_id(make_run(arrays, training={**TRAINING, **more}))
        for more in ({}, {"statistics": "running"}, {"statistics": "exact"})
    )
    assert plain == running != exact
