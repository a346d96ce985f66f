import math

import pytest
import torch
from torch import nn

from rl_transfer.core.adversarial import (
    DomainDiscriminator,
    domain_loss,
    reversal_weight,
    reversed_gradient,
)
from rl_transfer.core.gaps import mmd
from rl_transfer.core.layer_outputs import layer_outputs
from rl_transfer.errors import TransferError

from .networks import ConvNet


def test_the_gradient_is_turned_around_and_the_features_are_not():
    features = torch.tensor([1.0, -2.0], requires_grad=True)
    out = reversed_gradient(features, 0.25)
    assert torch.allclose(out, features)
    (3 * out).sum().backward()
    # −λ · 3 = −0.75.
    assert features.grad is not None
    assert features.grad.tolist() == [-0.75, -0.75]


def test_the_weight_rises_from_nothing_to_one():
    # Ganin et al. 2016: 2 / (1 + e^(−10 p)) − 1 = tanh(5 p).
    assert reversal_weight(0.0) == 0.0
    assert reversal_weight(0.1) == pytest.approx(math.tanh(0.5))
    assert reversal_weight(1.0) == pytest.approx(math.tanh(5.0))


def test_a_discriminator_that_knows_nothing_pays_log_two():
    rows = torch.randn(6, 3)
    assert domain_loss(nn.Flatten(0), 0 * rows[:, :1], 0 * rows[:2, :1]).item() == pytest.approx(math.log(2))
    # Sure and right on both: −log σ(5) for each side.
    found = domain_loss(nn.Flatten(0), 5 * torch.ones(4, 1), -5 * torch.ones(2, 1))
    assert found.item() == pytest.approx(math.log1p(math.exp(-5)), rel=1e-4)


def test_one_step_teaches_the_discriminator_and_misleads_the_features():
    torch.manual_seed(0)
    trunk, critic = nn.Linear(2, 4), DomainDiscriminator(4, seed=0)
    source, target = torch.randn(64, 2) + 1, torch.randn(64, 2) - 1

    def step(module):
        with torch.no_grad():
            for each in module.parameters():
                each.sub_(each.grad, alpha=0.1)

    def loss():
        with torch.no_grad():
            return domain_loss(critic, trunk(source), trunk(target)).item()

    before = loss()
    domain_loss(critic, *(reversed_gradient(trunk(each), 1.0) for each in (source, target))).backward()
    start = [each.detach().clone() for each in trunk.parameters()]
    step(trunk)
    misled = loss()
    with torch.no_grad():
        for each, value in zip(trunk.parameters(), start, strict=True):
            each.copy_(value)
    step(critic)
    assert loss() < before < misled


def test_features_that_mislead_a_discriminator_keep_the_label_and_lose_the_domain():
    """The domain is in one input and the label in another; both are in the features at first."""
    drawn = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    trunk, head = nn.Sequential(nn.Linear(2, 8), nn.Tanh()), nn.Linear(8, 1)
    critic = DomainDiscriminator(8, seed=0)
    learning = torch.optim.SGD([*trunk.parameters(), *head.parameters()], lr=0.1)
    judging = torch.optim.SGD(critic.parameters(), lr=0.1)

    def batch(domain):
        labels = torch.randint(2, (128,), generator=drawn).float()
        places = torch.stack([torch.full((128,), 1.5 * domain), 3 * labels - 1.5], dim=1)
        return places + 0.5 * torch.randn(128, 2, generator=drawn), labels

    before = mmd(*(trunk(batch(domain)[0]) for domain in (-1, 1))).item()
    for step in range(400):
        (source, _), (target, labels) = batch(-1), batch(1)
        features = [trunk(each) for each in (source, target)]
        loss = nn.functional.binary_cross_entropy_with_logits(head(features[1])[:, 0], labels)
        weight = reversal_weight(step / 400)
        loss = loss + domain_loss(critic, *(reversed_gradient(each, weight) for each in features))
        for optimizer in (learning, judging):
            optimizer.zero_grad()
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + 10 * step / 400) ** 0.75  # the paper's
        loss.backward()
        for optimizer in (learning, judging):
            optimizer.step()
    after = mmd(*(trunk(batch(domain)[0]) for domain in (-1, 1))).item()
    rows, labels = batch(1)
    assert before > 0.2
    assert after < 0.5 * before
    assert ((head(trunk(rows))[:, 0] > 0) == labels.bool()).float().mean() > 0.95


def test_a_discriminator_is_the_same_for_a_seed_and_reads_features_of_any_size():
    rows = torch.randn(20, 3)
    small, large = DomainDiscriminator(3, seed=1), DomainDiscriminator(3, seed=1)
    assert torch.allclose(small(rows), large(1e4 * rows), atol=1e-5)
    assert "scale" in small.state_dict(), "a run that goes on divides by the same size"
    assert torch.isfinite(DomainDiscriminator(3, seed=2)(torch.zeros(4, 3))).all()


def test_layer_outputs_are_rows_behind_the_activation_and_leave_no_trace():
    net = ConvNet().train()
    parts = net.parts()
    inputs = torch.randn(4, 2, 6, 6)
    before = {name: each.clone() for name, each in net.state_dict().items()}
    layers = {layer.path: layer for layer in parts.layers(["trunk"])}
    found = layer_outputs(net, layers, lambda: net(inputs))
    with torch.no_grad():
        net.eval()
        # The second normalisation and what follows it, ReLU and Flatten; the first convolution alone.
        assert torch.equal(found["trunk.5"], net.trunk(inputs))
        assert torch.equal(found["trunk.0"], net.trunk[0](inputs).mean(dim=(2, 3)))
        net.train()
    assert all(each.ndim == 2 and len(each) == 4 for each in found.values())
    assert all(each.training for each in net.modules())
    assert all(torch.equal(each, before[name]) for name, each in net.state_dict().items())
    assert not net.trunk[0]._forward_hooks
    with pytest.raises(TransferError, match="cannot be seen"):
        layer_outputs(net, layers, lambda: None)
