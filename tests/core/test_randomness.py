"""Work on the global generators that leaves no trace in them."""

import random

import numpy as np
import pytest
import torch

from rl_transfer.core import isolated
from rl_transfer.core.randomness import generator_states, set_generator_states


def draws():
    return random.random(), np.random.random(), torch.rand(()).item()  # noqa: NPY002


def test_inside_the_seed_decides_and_outside_nothing_has_happened():
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    expected = [draws() for _ in range(3)]
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    found, inside = [], []
    for seed in (1, 1, 2):
        with isolated(seed):
            inside.append(draws())
        found.append(draws())
    assert found == expected
    assert inside[0] == inside[1]
    # Each of the three generators draws something else from another seed.
    assert all(a != b for a, b in zip(inside[0], inside[2], strict=True))


def test_an_error_inside_puts_the_generators_back_too():
    before = random.getstate(), torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), isolated(3):
        _ = draws()[0] / 0
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_states_that_were_kept_are_put_back():
    states = generator_states()
    first = draws()
    assert all(a != b for a, b in zip(first, draws(), strict=True))
    set_generator_states(states)
    assert draws() == first


def test_generators_of_devices_in_use_are_kept_too(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [torch.tensor([1], dtype=torch.uint8)]
    put_back: list[object] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: held)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", put_back.append)
    states = generator_states()
    assert states["cuda"] == held
    set_generator_states(states)
    assert put_back == [held]
    set_generator_states({**states, "cuda": []})
    assert put_back == [held], "a state without a device in use is put back where there is none"
