import math

import pytest
import torch
from torch import nn

from rl_transfer.core import EWC, L2SP, Strategy, fisher_diagonal, freeze, plan
from rl_transfer.errors import TransferError

from .networks import ActorCritic, ConvNet


def scalar_model(a, b):
    model = nn.Module()
    model.a = nn.Parameter(torch.tensor([a]))
    model.b = nn.Parameter(torch.tensor([b]))
    return model


def pulled(anchor, model):
    """The penalty, and its gradient on a and b."""
    penalty = anchor.penalty(model)
    penalty.backward()
    return penalty.item(), *(None if each.grad is None else each.grad.item() for each in (model.a, model.b))


def test_l2sp_by_hand():
    # α/2 (3 − 1)² = 0.5 · 4 · 0.5 = 1 with α = 0.5, its derivative α (3 − 1) = 1; b has no source value.
    anchor = L2SP({"a": torch.tensor([1.0])}, strength=0.5)
    assert pulled(anchor, scalar_model(3.0, 2.0)) == (pytest.approx(1.0), pytest.approx(1.0), None)


def test_ewc_by_hand():
    reference = {"a": torch.tensor([1.0]), "b": torch.tensor([2.5])}
    anchor = EWC(reference, {"a": torch.tensor([0.25]), "b": torch.tensor([4.0])}, strength=2.0)
    # λ/2 · (0.25 · 2² + 4 · 0.5²) = 1 · (1 + 1) = 2 with λ = 2;
    # λ F (w − w⁰) = 2 · 0.25 · 2 = 1 and 2 · 4 · (−0.5) = −4.
    assert pulled(anchor, scalar_model(3.0, 2.0)) == pytest.approx((2.0, 1.0, -4.0))


def test_an_anchored_network_returns_to_its_source_and_the_new_head_does_not():
    source, model = ConvNet(), ConvNet()
    made = plan(source.state_dict(), model, model.parts(), Strategy("s", copy=("trunk",)))
    anchor = L2SP(made.values, strength=1.0)
    head = {name: p.detach().clone() for name, p in model.head.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        anchor.penalty(model).backward()
        optimizer.step()
    for name, parameter in model.trunk.named_parameters():
        assert torch.allclose(parameter, source.trunk.get_parameter(name), atol=1e-5)
    assert all(torch.equal(p, head[name]) for name, p in model.head.named_parameters())


def test_the_reference_is_a_copy():
    model = scalar_model(1.0, 1.0)
    anchor = L2SP(dict(model.named_parameters()), strength=1.0)
    model.a.data.add_(2)
    # α/2 · 2² = 2, its derivative α · 2 = 2: the reference does not move with the network.
    assert pulled(anchor, model) == pytest.approx((2.0, 2.0, 0.0))


def test_frozen_parameters_and_buffers_do_not_count():
    model = ConvNet()
    anchor = L2SP({name: t + 1 for name, t in model.state_dict().items()}, strength=2.0)
    freeze(model, model.parts(), ["trunk"])
    # Every head parameter is 1 away: α/2 · count = count.
    assert anchor.penalty(model).item() == pytest.approx(sum(p.numel() for p in model.head.parameters()))


@pytest.mark.parametrize(
    ("anchored", "message"),
    [({"c": torch.ones(1)}, "none of the anchored"), ({"a": torch.ones(2)}, "anchored to shape 2")],
)
def test_anchors_of_another_network(anchored, message):
    with pytest.raises(TransferError, match=message):
        L2SP(anchored, strength=1.0).penalty(scalar_model(1.0, 1.0))


def test_fisher_information_needs_source_values():
    with pytest.raises(TransferError, match="no source value for a"):
        EWC({}, {"a": torch.ones(1)}, strength=1.0)


def test_fisher_information_of_a_bernoulli_logit_by_hand():
    """With p = σ(w): ∂ log p/∂w = 1 − p for success, −p for failure; F = p(1 − p) in expectation."""
    w = nn.Parameter(torch.tensor([math.log(3.0)]))  # p = 0.75
    outcomes = torch.tensor([1.0, 1.0, 1.0, 0.0])

    def log_probabilities():
        return outcomes * nn.functional.logsigmoid(w) + (1 - outcomes) * nn.functional.logsigmoid(-w)

    fisher = fisher_diagonal(log_probabilities, {"w": w})
    # (3 · 0.25² + 0.75²) / 4 = (0.1875 + 0.5625) / 4 = 0.1875 = 0.75 · 0.25.
    assert fisher["w"].item() == pytest.approx(0.1875)
    assert not fisher["w"].requires_grad
    assert w.grad is None


def test_what_the_samples_do_not_depend_on_has_no_information():
    model = ActorCritic()
    x = torch.randn(16, 4)

    def log_probabilities():
        policy = torch.distributions.Categorical(logits=model(x)[0])
        return policy.log_prob(policy.sample())

    fisher = fisher_diagonal(log_probabilities, dict(model.named_parameters()))
    assert set(fisher) == {name for name, _ in model.named_parameters()}
    for name, information in fisher.items():
        assert bool(information.any()) == ("policy_net" in name or "action_net" in name), name
        assert (information >= 0).all()


@pytest.mark.parametrize(
    "values", [torch.zeros(()), torch.zeros(0), torch.zeros(3)], ids=["scalar", "empty", "no gradient"]
)
def test_fisher_needs_one_value_per_sample(values):
    with pytest.raises(TransferError, match="non-empty vector with gradient"):
        fisher_diagonal(lambda: values, dict(ActorCritic().named_parameters()))


def test_fisher_of_frozen_parameters_is_refused():
    model = ActorCritic()
    freeze(model, model.parts(), ["value_head"])
    with pytest.raises(TransferError, match=r"undefined: value_net\.weight, value_net\.bias"):
        fisher_diagonal(lambda: torch.zeros(1), dict(model.named_parameters()))


def test_ewc_keeps_copies_and_sends_no_gradient_into_them():
    model = scalar_model(1.0, 1.0)
    fisher = {"a": torch.tensor([2.0], requires_grad=True)}
    anchor = EWC(dict(model.named_parameters()), fisher, strength=1.0)
    model.a.data.add_(3)
    fisher["a"].data.zero_()
    # λ/2 · 2 · 3² = 9, its derivative λ · 2 · 3 = 6.
    assert pulled(anchor, model)[:2] == pytest.approx((9.0, 6.0))
    assert fisher["a"].grad is None


def test_strength_0_is_an_anchor_that_does_not_pull():
    reference = {"a": torch.ones(1)}
    model = scalar_model(3.0, 2.0)
    assert L2SP(reference, strength=0.0).penalty(model).item() == 0.0
    assert EWC(reference, reference, strength=0.0).penalty(model).item() == 0.0
