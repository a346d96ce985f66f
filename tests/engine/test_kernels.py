"""The compiled functions against PyTorch, against published answers, against numbers computed by hand."""

import math

import numpy as np
import pytest
import torch
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from torch import nn

from rl_transfer.engine import activations, distributions, dqn, gae, generators, network, optimizers
from rl_transfer.engine.network import DenseLayer

MODULES = {
    "tanh": nn.Tanh(),
    "relu": nn.ReLU(),
    "elu": nn.ELU(),
    "leaky_relu": nn.LeakyReLU(),
    "silu": nn.SiLU(),
    "gelu": nn.GELU(),
}


def close(got, wanted, rtol=0.0, atol=0.0):
    wanted = wanted.detach().numpy() if isinstance(wanted, torch.Tensor) else wanted
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol)


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", activations.NAMES)
def test_activations_and_their_derivatives_are_those_of_torch(name):
    z, bias = 3 * numbers(0, 64, 9), numbers(1, 9)
    given = torch.from_numpy(z + bias).requires_grad_()
    wanted = MODULES[name](given)
    slope = numbers(2, 64, 9)
    wanted.backward(torch.from_numpy(slope))
    before, delta = np.zeros_like(z), slope.copy()
    activations.activate(activations.NAMES[name], z, bias, before)
    activations.differentiate(activations.NAMES[name], delta, z, before)
    close(z, wanted.detach(), atol=2e-6)
    close(delta, given.grad, atol=3e-6)


def test_tanh_is_within_3e_7_everywhere_and_keeps_nan():
    x = np.concatenate([np.linspace(-20, 20, 400_001), [np.inf, -np.inf, 0.0, 1e-30]]).astype(np.float32)
    z = x.reshape(-1, 1).copy()
    activations.activate(activations.TANH, z, np.zeros(1, np.float32), z)
    assert np.abs(z[:, 0] - np.tanh(x.astype(np.float64))).max() < 3e-7
    z = np.full((1, 1), np.nan, np.float32)
    activations.activate(activations.TANH, z, np.zeros(1, np.float32), z)
    assert np.isnan(z).all()


def test_philox_gives_the_published_answers():
    """Known answers of Random123's own test vectors for philox4x32-10."""
    ones = 0xFFFFFFFF
    assert [int(w) for w in generators.philox(0, 0, 0, 0)] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    got = generators.philox(-1, ones, -1, ones)  # all bits set
    assert [int(w) for w in got] == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def test_random_numbers_have_their_distributions():
    u = np.array([generators.uniform(3, 1, place, 0) for place in range(20_000)])
    z = np.array([generators.normal(3, 0, place, 1) for place in range(20_000)])
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 0.01
    assert abs(u.var() - 1 / 12) < 0.003
    assert abs(z.mean()) < 0.03
    assert abs(z.var() - 1) < 0.04
    assert abs((z**4).mean() - 3) < 0.25


def test_shuffles_are_permutations_and_uniform():
    order, counts = np.zeros(5, np.int64), np.zeros((5, 5))
    for place in range(5_000):
        generators.shuffle(order, 7, generators.ORDER, place)
        assert sorted(order) == [0, 1, 2, 3, 4]
        counts[np.arange(5), order] += 1
    assert np.abs(counts / 5_000 - 0.2).max() < 0.03


class Branched(nn.Module):
    """A shared layer, two branches, two heads: 3 → 8 → (6 → 2, 5 → 1)."""

    def __init__(self):
        super().__init__()
        self.shared, self.left, self.right = nn.Linear(3, 8), nn.Linear(8, 6), nn.Linear(8, 5)
        self.action, self.value = nn.Linear(6, 2), nn.Linear(5, 1)

    def forward(self, x):
        x = torch.tanh(self.shared(x))
        return self.action(torch.tanh(self.left(x))), self.value(torch.relu(self.right(x)))


SOURCES = {"shared": 0, "left": 1, "right": 1, "action": 2, "value": 3}
KINDS = {"shared": 1, "left": 1, "right": 2, "action": 0, "value": 0}


def compiled(module, frozen=()):
    flat, layers, offset = [], [], 0
    for name, source in SOURCES.items():
        linear = getattr(module, name)
        weight = offset
        bias = weight + linear.weight.numel()
        offset = bias + linear.bias.numel()
        flat += [linear.weight.detach().numpy().ravel(), linear.bias.detach().numpy()]
        layers.append(
            DenseLayer(
                source, linear.in_features, linear.out_features, weight, bias, KINDS[name], name not in frozen
            )
        )
    return network.table(layers), np.concatenate(flat).astype(np.float32)


@pytest.mark.parametrize("frozen", [(), ("shared",), ("shared", "left"), ("left",), ("action", "value")])
def test_a_branched_network_and_its_gradients_are_those_of_torch(frozen):
    torch.manual_seed(0)
    module = Branched()
    layers, parameters = compiled(module, frozen)
    for name in frozen:
        getattr(module, name).requires_grad_(False)
    x, left, right = numbers(3, 16, 3), numbers(4, 16, 2), numbers(5, 16, 1)
    outputs = module(torch.from_numpy(x))
    sum((out * torch.from_numpy(d)).sum() for out, d in zip(outputs, (left, right), strict=True)).backward()

    room = network.Workspace(16, network.row_size(layers))
    network.output(layers, 0, room.values, 16)[:] = x
    network.forward(layers, parameters, room.values, room.before, 16, network.STILL)
    network.forward(layers, parameters, room.values, room.before, 16, network.MOVING)
    for node, wanted in zip((4, 5), outputs, strict=True):
        close(network.output(layers, node, room.values, 16), wanted.detach(), rtol=1e-4, atol=1e-6)
    network.output(layers, 4, room.deltas, 16)[:] = left
    network.output(layers, 5, room.deltas, 16)[:] = right
    gradient = np.full_like(parameters, np.nan)
    network.backward(layers, parameters, room.values, room.before, room.deltas, room.spare, gradient, 16)
    offset = 0
    for name in SOURCES:
        for tensor in getattr(module, name).parameters():
            got = gradient[offset : offset + tensor.numel()].reshape(tensor.shape)
            offset += tensor.numel()
            if name in frozen:
                assert np.isnan(got).all()
            else:
                close(got, tensor.grad, rtol=1e-4, atol=1e-5)


def test_what_is_behind_frozen_layers_alone_is_constant_and_gathered():
    layers, _ = compiled(Branched(), ("shared", "left", "action"))
    states = dict(zip(SOURCES, layers[:, network.STATE], strict=True))
    assert states == {"shared": 2, "left": 2, "right": 0, "action": 2, "value": 0}
    assert network.gathered(layers, (4, 5)).tolist() == [1, 4]  # what right reads, and the action head
    layers, _ = compiled(Branched(), ("left",))
    assert dict(zip(SOURCES, layers[:, network.STATE], strict=True))["left"] == network.FIXED
    assert network.gathered(layers, (4, 5)).tolist() == [0]


@pytest.mark.parametrize("kind", ["adam", "rmsprop"])
def test_optimizers_are_those_of_torch_and_count_per_tensor(kind):
    values = [numbers(k, 7) for k in range(3)]
    tensors = [nn.Parameter(torch.from_numpy(v.copy())) for v in values]
    made = (
        torch.optim.Adam(tensors, lr=0.01, eps=1e-5)
        if kind == "adam"
        else torch.optim.RMSprop(tensors, lr=0.01, alpha=0.99, eps=1e-5)
    )
    made.param_groups[0]["lr"] = 0.02
    parameters, first, second = np.concatenate(values), np.zeros(21, np.float32), np.zeros(21, np.float32)
    spans = np.array([[0, 7, 1], [7, 14, 0], [14, 21, 1]])
    steps, constants = np.zeros(3, np.float32), np.array([0.9, 0.999 if kind == "adam" else 0.99, 1e-5])
    code = optimizers.ADAM if kind == "adam" else optimizers.RMSPROP
    for k in range(6):
        spans[1, 2] = k >= 3  # thawed late
        gradient = numbers(100 + k, 21)
        for tensor, (start, end, trained) in zip(tensors, spans, strict=True):
            tensor.grad = torch.from_numpy(gradient[start:end].copy()) if trained else None
        made.step()
        optimizers.step(code, constants, parameters, gradient, first, second, spans, np.full(3, 0.02), steps)
    close(parameters, np.concatenate([t.detach().numpy() for t in tensors]), rtol=1e-5, atol=1e-7)
    assert steps.tolist() == [6, 3, 6]


def test_tensorflows_rmsprop_has_its_epsilon_inside_of_the_root():
    value = numbers(0, 9)
    tensor = nn.Parameter(torch.from_numpy(value.copy()))
    made = RMSpropTFLike([tensor], lr=0.01, alpha=0.9, eps=0.5)
    parameters, square, steps = value.copy(), np.ones(9, np.float32), np.zeros(1, np.float32)
    spans, constants = np.array([[0, 9, 1]]), np.array([0.0, 0.9, 0.5])
    unused = np.zeros(9, np.float32)
    for k in range(5):
        gradient = 3 * numbers(200 + k, 9)
        tensor.grad = torch.from_numpy(gradient.copy())
        made.step()
        kind, rates = optimizers.RMSPROP_TF, np.array([0.01])
        optimizers.step(kind, constants, parameters, gradient, unused, square, spans, rates, steps)
    close(parameters, tensor, rtol=1e-5)
    close(square, made.state[tensor]["square_avg"], rtol=1e-5)


def test_gradients_are_clipped_by_the_norm_of_what_is_trained():
    gradient, spans = np.array([3, 100, 4], np.float32), np.array([[0, 1, 1], [1, 2, 0], [2, 3, 1]])
    assert optimizers.clip_gradient(gradient, spans, 10.0) == pytest.approx(5)
    assert gradient.tolist() == [3, 100, 4]
    assert optimizers.clip_gradient(gradient, spans, 2.5) == pytest.approx(5)
    close(gradient, [1.5, 100, 2], rtol=1e-5)


def test_advantages_by_hand():
    """Two steps, γ = ½, λ = ¼: δ₁ = 2 + ½·8 − 3 = 3, δ₀ = 1 + ½·3 − 4 = −1.5, Â₀ = −1.5 + ⅛·3."""
    rewards, values = np.array([[1], [2]], np.float32), np.array([[4], [3]], np.float32)
    starts, found, returns = (np.zeros((2, 1), np.float32) for _ in range(3))
    last, going = np.array([8], np.float32), np.zeros(1, np.float32)
    gae.advantages(rewards, values, starts, last, going, 0.5, 0.25, found, returns)
    assert found.ravel().tolist() == [-1.125, 3.0]
    assert returns.ravel().tolist() == [2.875, 6.0]
    starts[1] = 1  # an episode ended after the first step
    gae.advantages(rewards, values, starts, last, np.ones(1, np.float32), 0.5, 0.25, found, returns)
    assert found.ravel().tolist() == [-3.0, -1.0]


def test_categorical_actions_of_several_groups():
    sizes, logits = np.array([3, 2]), numbers(6, 40, 5)
    given = torch.from_numpy(logits.copy()).requires_grad_()
    groups = [torch.distributions.Categorical(logits=each) for each in torch.split(given, [3, 2], dim=1)]
    actions = np.random.default_rng(7).integers(0, [3, 2], size=(40, 2)).astype(np.float32)
    wanted = sum(g.log_prob(torch.from_numpy(actions[:, k])) for k, g in enumerate(groups))
    spread = sum(g.entropy() for g in groups)
    slope = numbers(8, 40)
    ((wanted * torch.from_numpy(slope)).sum() + 0.3 * spread.sum()).backward()
    found, entropy, delta = np.zeros(40, np.float32), np.zeros(40, np.float32), np.zeros_like(logits)
    none = np.zeros(0, np.float32)
    distributions.normalize_logits(sizes, logits)
    kind = distributions.CATEGORICAL
    distributions.log_probability(kind, sizes, logits, none, actions, found, entropy)
    distributions.pull_back(kind, sizes, logits, none, actions, slope, 0.3, delta, none)
    close(found, wanted.detach(), atol=1e-5)
    close(entropy, spread.detach(), atol=1e-5)
    close(delta, given.grad, atol=1e-5)


def test_gaussian_actions():
    mean, log_std, actions = numbers(9, 40, 3), numbers(10, 3), numbers(11, 40, 3)
    given, width = torch.from_numpy(mean).requires_grad_(), torch.from_numpy(log_std.copy()).requires_grad_()
    normal = torch.distributions.Normal(given, width.exp())
    wanted, spread = normal.log_prob(torch.from_numpy(actions)).sum(1), normal.entropy().sum(1)
    slope = numbers(12, 40)
    ((wanted * torch.from_numpy(slope)).sum() + 0.3 * spread.sum()).backward()
    found, entropy, delta = np.zeros(40, np.float32), np.zeros(40, np.float32), np.zeros_like(mean)
    gradient, sizes, kind = np.zeros(3, np.float32), np.zeros(0, np.int64), distributions.GAUSSIAN
    distributions.log_probability(kind, sizes, mean, log_std, actions, found, entropy)
    distributions.pull_back(kind, sizes, mean, log_std, actions, slope, 0.3, delta, gradient)
    close(found, wanted.detach(), rtol=1e-5, atol=1e-4)
    close(entropy, spread.detach(), atol=1e-5)
    close(delta, given.grad, rtol=1e-4, atol=1e-4)
    close(gradient, width.grad, rtol=1e-4, atol=1e-3)


def test_actions_are_drawn_with_their_probabilities():
    sizes = np.array([3, 2])
    logits = np.log(np.array([[0.2, 0.5, 0.3, 0.9, 0.1]], np.float32)).repeat(4, axis=0)
    actions, counts = np.zeros((4, 2), np.float32), np.zeros((4, 5))
    none = np.zeros(0, np.float32)
    for place in range(5_000):
        distributions.sample(distributions.CATEGORICAL, sizes, logits, none, 1, place, actions)
        for row, (a, b) in enumerate(actions.astype(int)):
            counts[row, a] += 1
            counts[row, 3 + b] += 1
    assert np.abs(counts / 5_000 - [0.2, 0.5, 0.3, 0.9, 0.1]).max() < 0.025
    mean, log_std = np.array([[1.0, -2.0]], np.float32), np.log(np.array([0.5, 2.0], np.float32))
    drawn, action = np.zeros((5_000, 2)), np.zeros((1, 2), np.float32)
    for place in range(5_000):
        distributions.sample(distributions.GAUSSIAN, sizes, mean, log_std, 1, place, action)
        drawn[place] = action[0]
    close(drawn.mean(0), [1, -2], atol=0.1)
    close(drawn.std(0), [0.5, 2], rtol=0.05)
    assert abs(np.mean((drawn[:, 0] - 1) * (drawn[:, 1] + 2))) < 0.05


def test_the_temporal_difference_is_a_huber_loss():
    q, ahead = torch.from_numpy(3 * numbers(13, 30, 4)).requires_grad_(), 3 * numbers(14, 30, 4)
    actions = np.random.default_rng(15).integers(0, 4, 30)
    rewards, dones = numbers(16, 30), (numbers(17, 30) > 0).astype(np.float32)
    aim = rewards + (1 - dones) * np.float32(0.9) * ahead.max(1)
    wanted = nn.functional.smooth_l1_loss(
        q.gather(1, torch.from_numpy(actions)[:, None])[:, 0], torch.from_numpy(aim)
    )
    wanted.backward()
    delta = np.zeros((30, 4), np.float32)
    loss = dqn.temporal_difference(q.detach().numpy(), ahead, actions, rewards, dones, 0.9, delta)
    assert loss == pytest.approx(wanted.item(), rel=1e-5)
    close(delta, q.grad, atol=1e-7)


def test_greedy_actions_and_exploration_with_its_probability():
    layers = network.table([DenseLayer(0, 2, 3, 0, 6, activations.IDENTITY, True)])
    parameters = np.array([1, 0, 0, 1, -1, -1, 0, 0, 0], np.float32)
    room = network.Workspace(2, network.row_size(layers))
    observations, actions = np.array([[5, 0], [-4, -9]], np.float32), np.zeros(2, np.int64)
    seen = np.zeros((2, 3))
    for place in range(6_000):
        dqn.choose(layers, 1, parameters, room.values, room.before, observations, 0.3, 2, place, actions)
        seen[np.arange(2), actions] += 1
    close(seen / 6_000, [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], atol=0.02)
    dqn.choose(layers, 1, parameters, room.values, room.before, observations, 0.0, 2, 0, actions)
    assert actions.tolist() == [0, 2]
    assert math.isclose(room.values[4], 5.0)
