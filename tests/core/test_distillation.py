import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl_transfer.core import AnnealedCoefficient, categorical_kl, gaussian_kl
from rl_transfer.errors import TransferError
from support.untyped import untyped


def test_categorical_kl_by_hand():
    teacher = torch.log(torch.tensor([[0.5, 0.5], [0.75, 0.25]]))
    student = torch.log(torch.tensor([[0.25, 0.75], [0.75, 0.25]])) + 7.0  # logits have a free constant
    # 0.5 ln(0.5/0.25) + 0.5 ln(0.5/0.75) = 0.5 ln 2 + 0.5 ln(2/3) = 0.5 ln(4/3); the second row agrees.
    assert categorical_kl(teacher, student).tolist() == pytest.approx([0.5 * math.log(4 / 3), 0.0], abs=1e-6)


def test_an_action_that_the_teacher_excludes_adds_nothing():
    teacher = torch.tensor([[0.0, 0.0, -math.inf]])
    student = torch.zeros(1, 3, requires_grad=True)
    # Two actions at 1/2 against 1/3: ln(3/2).
    kl = categorical_kl(teacher, student)
    assert kl.item() == pytest.approx(math.log(1.5))
    kl.sum().backward()
    # ∂KL/∂logit = q − p = 1/3 − 1/2, 1/3 − 1/2, 1/3.
    assert untyped(student.grad).tolist()[0] == pytest.approx([-1 / 6, -1 / 6, 1 / 3])


def test_gaussian_kl_by_hand():
    # ln(2/1) + (1 + (0 − 1)²)/(2·4) − 1/2 = ln 2 − 0.25, and 0 for the equal second dimension.
    kl = gaussian_kl(
        torch.tensor([[0.0, 5.0]]),
        torch.tensor([1.0, 3.0]),
        torch.tensor([[1.0, 5.0]]),
        torch.tensor([2.0, 3.0]),
    )
    assert kl.shape == (1,)
    assert kl.item() == pytest.approx(math.log(2) - 0.25)


@given(
    st.lists(st.floats(-8, 8), min_size=3, max_size=3),
    st.lists(st.floats(-8, 8), min_size=3, max_size=3),
)
def test_divergences_are_those_of_torch_and_not_negative(left, right):
    a, b = torch.tensor([left], dtype=torch.float64), torch.tensor([right], dtype=torch.float64)
    distributions = torch.distributions
    expected = distributions.kl_divergence(
        distributions.Categorical(logits=a), distributions.Categorical(logits=b)
    )
    assert categorical_kl(a, b).item() == pytest.approx(expected.item(), abs=1e-9)
    p, q = distributions.Normal(a, (a / 4).exp()), distributions.Normal(b, (b / 4).exp())
    expected = distributions.kl_divergence(p, q).sum(-1)
    assert gaussian_kl(a, p.scale, b, q.scale).item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-9)
    assert categorical_kl(a, b).item() >= -1e-12


def test_no_gradient_reaches_a_gaussian_teacher():
    teacher = [torch.full((2, 3), value, requires_grad=True) for value in (0.5, 2.0)]
    student = [torch.full((2, 3), value, requires_grad=True) for value in (1.0, 1.5)]
    gaussian_kl(*teacher, *student).sum().backward()
    assert [each.grad is None for each in (*teacher, *student)] == [True, True, False, False]


def test_no_gradient_reaches_the_teacher_and_the_student_learns_it():
    teacher = torch.randn(5, 3, requires_grad=True)
    student = torch.zeros(5, 3, requires_grad=True)
    optimizer = torch.optim.Adam([student], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        categorical_kl(teacher, student).sum().backward()
        optimizer.step()
    assert teacher.grad is None
    assert torch.allclose(student.softmax(-1), teacher.softmax(-1), atol=1e-3)


def test_a_teacher_with_other_actions_is_refused():
    with pytest.raises(
        TransferError, match="4×3, the student's 4×2: a teacher must have the student's actions"
    ):
        categorical_kl(torch.zeros(4, 3), torch.zeros(4, 2))
    with pytest.raises(TransferError, match="shape 4×1, the student's 4×2"):
        gaussian_kl(torch.zeros(4, 1), torch.ones(1), torch.zeros(4, 2), torch.ones(2))


def test_annealing_by_hand():
    linear = AnnealedCoefficient(2.0, until=0.5)
    assert [linear.at(p) for p in (0, 0.125, 0.25, 0.5, 0.9)] == pytest.approx([2.0, 1.5, 1.0, 0.0, 0.0])
    whole = AnnealedCoefficient(0.5, until=1.0)  # a weight below 1, over the whole budget
    assert [whole.at(p) for p in (0, 0.5, 1)] == pytest.approx([0.5, 0.25, 0.0])


@pytest.mark.parametrize(
    "arguments",
    [
        {"initial": 0.0, "until": 0.5},
        {"initial": 1.0, "until": 0.0},
        {"initial": 1.0, "until": 1.5},
    ],
)
def test_bad_annealing(arguments):
    with pytest.raises(TransferError, match="is impossible"):
        AnnealedCoefficient(**arguments)
