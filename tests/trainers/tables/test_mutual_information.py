"""Mutual information of soft predictions: the plug-in estimate of hard ones, its bounds, its limits, its gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from fairshards.trainers.tables.mutual_information import conditional_mutual_information, mutual_information
from tests.tolerance import float32_error


def drawn(n: int = 3000, groups: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hard predictions that depend on y and on s, y, and s."""
    draw = np.random.default_rng(0)
    y, s = draw.integers(0, 2, n), draw.integers(0, groups, n)
    predicted = (draw.random(n) < 0.15 + 0.4 * y + 0.2 * (s == 0)).astype(np.int64)
    return predicted, y, s


def entropy(shares: np.ndarray) -> float:
    return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_hard_predictions_give_the_plug_in_estimate(groups: int) -> None:
    predicted, y, s = drawn(groups=groups)
    soft, protected = torch.tensor(predicted, dtype=torch.float64), torch.tensor(s)
    found = float(mutual_information(soft, protected, groups))
    assert found == pytest.approx(mutual_info_score(predicted, s), abs=1e-9)
    expected = sum((y == value).mean() * mutual_info_score(predicted[y == value], s[y == value]) for value in (0, 1))
    found = float(conditional_mutual_information(soft, protected, torch.tensor(y), groups))
    assert found == pytest.approx(expected, abs=1e-6) and found > 0.005


def test_soft_predictions_count_by_their_means() -> None:
    """Only the mean probability of each group counts: that is p(yhat, s) of the method."""
    s = torch.tensor([0, 0, 0, 1])
    found = mutual_information(torch.tensor([0.9, 0.5, 0.1, 0.8], dtype=torch.float64), s, 2)
    joint = np.array([[0.5 * 0.75, 0.2 * 0.25], [0.5 * 0.75, 0.8 * 0.25]])
    expected = entropy(joint.sum(0)) + entropy(joint.sum(1)) - entropy(joint.ravel())
    assert float(found) == pytest.approx(expected, abs=1e-9)


def test_it_lies_between_nothing_and_the_entropy_of_s() -> None:
    s = torch.tensor([0] * 30 + [1] * 70)
    told = float(mutual_information((s == 1).double(), s, 2))
    assert told == pytest.approx(entropy(np.array([0.3, 0.7])), abs=1e-9) and told < math.log(2)
    for nothing in (torch.full((100,), 0.4), torch.zeros(100), torch.ones(100)):
        assert float(mutual_information(nothing.double(), s, 2)) == pytest.approx(0, abs=1e-9)
        assert float(mutual_information(nothing, s, 2)) == pytest.approx(0, abs=float32_error(100))  # 1 - sum p
    assert float(mutual_information((s == 1).double(), s, 5)) == pytest.approx(told, abs=1e-9)  # groups of nobody


def test_prediction_that_tells_y_alone_tells_nothing_of_s_given_y() -> None:
    """A perfect prediction where y goes with s: against parity, not against equalised odds."""
    y = torch.tensor([0] * 50 + [1] * 50)
    s = torch.tensor([0] * 40 + [1] * 10 + [0] * 10 + [1] * 40)
    predicted = y.double()
    assert float(mutual_information(predicted, s, 2)) > 0.15
    assert float(conditional_mutual_information(predicted, s, y, 2)) == pytest.approx(0, abs=1e-9)


def test_a_class_that_nobody_has_counts_nothing() -> None:
    predicted, _, s = drawn()
    soft, y = torch.tensor(predicted, dtype=torch.float64), torch.zeros(len(s), dtype=torch.long)
    found = conditional_mutual_information(soft, torch.tensor(s), y, 3, classes=4)
    assert float(found) == pytest.approx(float(mutual_information(soft, torch.tensor(s), 3)), abs=1e-9)


def test_descending_the_gradient_makes_predictions_independent() -> None:
    predicted, y, s = drawn(600, 2)
    logits = torch.tensor(2.0 * predicted - 1, dtype=torch.float64, requires_grad=True)
    for information in (
        lambda p: mutual_information(p, torch.tensor(s), 2),
        lambda p: conditional_mutual_information(p, torch.tensor(s), torch.tensor(y), 2),
    ):
        found, told = logits, list[float]()
        for _ in range(20):
            value = information(found.sigmoid())
            (grad,) = torch.autograd.grad(value, found)
            told.append(float(value.detach()))
            found = (found.detach() - 500 * grad).requires_grad_()
        assert told == sorted(told, reverse=True) and told[-1] < 0.5 * told[0]
    assert torch.autograd.gradcheck(
        lambda p: mutual_information(p, torch.tensor(s[:20]), 2),
        torch.rand(20, dtype=torch.float64, requires_grad=True),
    )


def test_gradients_are_finite_where_predictions_are_certain() -> None:
    s = torch.tensor([0, 1] * 50)
    for certain in (torch.zeros(100), (s == 1).float()):
        probability = certain.requires_grad_()
        mutual_information(probability, s, 3).backward()
        assert probability.grad is not None and torch.isfinite(probability.grad).all()
