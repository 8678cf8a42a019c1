"""Shares of (y, s): counted, and moved towards independence as the closed form's own problem has it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from fairshards.trainers.tables.joint_shares import constrained_joint, information, joint_shares

TABLES = [
    np.array([[0.5, 0.1], [0.1, 0.3]]),
    np.array([[0.4, 0.2, 0.05, 0.05], [0.02, 0.08, 0.1, 0.1]]),
    np.array([[0.6, 0.1, 0.05], [0.05, 0.2, 0.0]]),
    np.array([[0.0, 0.3, 0.2], [0.4, 0.0, 0.1]]),
]


def divergence(q: np.ndarray, p: np.ndarray) -> float:
    """KL(q || p) in nats."""
    there = q > 0
    return float((q[there] * np.log(q[there] / p[there])).sum())


def test_shares_are_counted_with_cells_of_nobody() -> None:
    found = joint_shares(np.array([0, 0, 1, 1, 1]), np.array([0, 2, 2, 2, 0]), 2, 4)
    assert found.tolist() == [[0.2, 0, 0.2, 0], [0.2, 0, 0.4, 0]] and found.dtype == np.float64


@pytest.mark.parametrize("joint", TABLES)
@pytest.mark.parametrize("lam", [0.0, 0.1, 1.0, 7.0, 1e3, 1e8])
def test_marginals_and_empty_cells_stay(joint: np.ndarray, lam: float) -> None:
    found = constrained_joint(joint, lam)
    assert np.allclose(found.sum(0), joint.sum(0), atol=1e-9) and np.allclose(found.sum(1), joint.sum(1), atol=1e-9)
    assert ((found == 0) == (joint == 0)).all() and found.sum() == pytest.approx(1)


@pytest.mark.parametrize("joint", TABLES)
def test_information_falls_from_the_datas_as_lambda_grows(joint: np.ndarray) -> None:
    given = joint.copy()
    told = [information(constrained_joint(joint, lam)) for lam in (0.0, 0.3, 1.0, 3.0, 10.0, 100.0)]
    assert told[0] == pytest.approx(information(joint)) and (np.diff(told) < 1e-12).all()
    free = (joint > 0).sum() > sum(joint.shape) - 1  # else the marginals and the empty cells leave one table alone
    assert told[-1] < told[0] if free else told[-1] == pytest.approx(told[0])
    assert np.array_equal(joint, given)  # the data's shares aren't written to


@pytest.mark.parametrize("joint", TABLES[:2])
def test_with_every_cell_there_a_large_lambda_is_independence(joint: np.ndarray) -> None:
    found = constrained_joint(joint, 1e9)
    assert np.allclose(found, np.outer(joint.sum(1), joint.sum(0)), atol=1e-6)
    assert information(found) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("lam", [0.2, 1.0, 5.0])
def test_it_is_the_minimum_that_the_module_says(lam: float) -> None:
    """Of all 2 x 2 tables with the data's marginals, KL(q || p) + lambda KL(q || p_y p_s) is least there."""
    joint = TABLES[0]
    apart = np.outer(joint.sum(1), joint.sum(0))

    def table(first: float) -> np.ndarray:
        label, group = joint.sum(1), joint.sum(0)
        return np.array([[first, label[0] - first], [group[0] - first, 1 - label[0] - group[0] + first]])

    best = minimize_scalar(
        lambda first: divergence(table(first), joint) + lam * divergence(table(first), apart),
        bounds=(0.21, 0.59),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert np.allclose(constrained_joint(joint, lam), table(best.x), atol=1e-6)


def test_independent_shares_stay_as_they_are() -> None:
    joint = np.outer([0.3, 0.7], [0.2, 0.5, 0.3])
    assert information(joint) == pytest.approx(0, abs=1e-12) and np.allclose(constrained_joint(joint, 4.0), joint)


def test_information_is_in_nats() -> None:
    assert information(np.eye(2) / 2) == pytest.approx(np.log(2))
    assert information(np.eye(3) / 3) == pytest.approx(np.log(3))
