"""Stage 2's sampling scores: running moments, both clips, and balance between sub-groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fairshards.trainers.tables.density_ratio import (
    LARGEST_RATIO,
    LEAST_SCORE,
    RatioRecord,
    balance_groups,
    sampling_scores,
)


def recorded(snapshots: np.ndarray) -> RatioRecord:
    record = RatioRecord()
    for one in snapshots:
        record.add(torch.from_numpy(one.astype(np.float32)))
    return record


def of(mean: list[float], deviation: list[float]) -> RatioRecord:
    """Return a record with these means and deviations."""
    centre, spread = np.array(mean), np.array(deviation)
    return recorded(np.stack([centre - spread, centre + spread]))


@pytest.mark.parametrize("count", [1, 2, 7, 60])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_moments_are_numpys(count: int, offset: float) -> None:
    """Also far from 0, where the mean of squares minus the square of the mean would be lost in float32."""
    snapshots = np.random.default_rng(0).normal(offset, 1, (count, 50)) + np.linspace(-2, 2, 50)
    record = recorded(snapshots)
    given = snapshots.astype(np.float32).astype(np.float64)
    assert record.count == count
    assert np.allclose(record.mean, given.mean(0), atol=1e-4) and np.allclose(record.deviation, given.std(0), atol=2e-4)


def test_one_snapshot_has_no_deviation_and_none_has_nothing() -> None:
    assert (recorded(np.ones((1, 3))).deviation == 0).all() and RatioRecord().deviation.shape == (0,)


def test_a_record_keeps_no_hold_of_what_it_was_given() -> None:
    ratios = torch.ones(3)
    record = RatioRecord()
    record.add(ratios)
    ratios += 5
    record.add(torch.ones(3))
    assert record.mean.tolist() == [1, 1, 1] and record.deviation.tolist() == [0, 0, 0]


@pytest.mark.parametrize("k", [0.0, 1.0, 5.0])
def test_scores_are_mean_plus_k_deviations_between_their_clips(k: float) -> None:
    mean, deviation = [-3.0, 0.004, 0.02, 0.3, 90.0], [0.0, 0.002, 0.01, 0.1, 1.0]
    record = of(mean, deviation)
    plain = np.maximum(np.array(mean) + k * np.array(deviation), LEAST_SCORE)
    expected = np.minimum(plain, LARGEST_RATIO * plain.min())
    found = sampling_scores(record, k)
    assert np.allclose(found, expected, atol=1e-5)
    assert found[0] == pytest.approx(0.01) and found[-1] == pytest.approx(0.5)


def test_rows_that_the_generator_misses_and_unstable_ones_come_up_more_often() -> None:
    found = sampling_scores(of([0.1, 0.2, 0.1], [0.05, 0.05, 0.3]), 1.0)
    assert found[1] > found[0] and found[2] > found[0] and (found > 0).all()


def test_where_all_ratios_are_negative_all_rows_are_drawn_alike() -> None:
    assert torch.equal(sampling_scores(of([-5.0, -1.0, -0.2], [0.0, 0.0, 0.1]), 1.0), torch.full((3,), LEAST_SCORE))


def shares(scores: Tensor, group: Tensor) -> np.ndarray:
    found = torch.zeros(int(group.max()) + 1).index_add_(0, group, scores) / scores.sum()
    return found.numpy()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_groups_are_drawn_with_shares_between_the_datas_and_equal_ones(share: float) -> None:
    group = torch.tensor([0] * 70 + [1] * 20 + [3] * 10)  # nobody is in group 2
    scores = torch.rand(100, generator=torch.Generator().manual_seed(0)) + 0.05 + 3 * (group == 0)
    real = np.array([0.7, 0.2, 0.0, 0.1])
    target = np.where(real > 0, real ** (1 - share), 0)
    found = balance_groups(scores, group, share)
    assert np.allclose(shares(found, group), target / target.sum(), atol=1e-5) and (found > 0).all()
    if share == 1:
        assert np.allclose(shares(found, group)[[0, 1, 3]], 1 / 3, atol=1e-5)
    for one in (0, 1, 3):  # inside a group, rows keep their order
        inside = group == one
        assert torch.allclose(found[inside] / found[inside].sum(), scores[inside] / scores[inside].sum(), atol=1e-6)
