"""What an epoch draws: every sample once, or every group as often as the others."""

from __future__ import annotations

import pytest
import torch

from fairshards.trainers.core.samplers import resample_order, sampler_groups, uniform_order
from fairshards.trainers.methods.registry import method_class
from tests.trainers.shapes import bare_samples


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_uniform_draws_every_sample_once() -> None:
    order = uniform_order(1000, generator())
    assert sorted(order.tolist()) == list(range(1000))
    assert order.tolist() != list(range(1000))


def test_resample_draws_groups_equally_and_members_equally() -> None:
    groups = torch.tensor([0] * 9_700 + [1] * 290 + [2] * 10)
    order = resample_order(groups, generator())
    assert len(order) == 10_000
    share = torch.bincount(groups[order]) / 10_000
    assert share.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    rare = torch.bincount(order[order >= 9_990] - 9_990, minlength=10)
    assert rare.min() > 250 and rare.max() < 420  # 333 expected, 18 a standard deviation


def test_a_group_of_one_is_drawn_as_often_as_the_others() -> None:
    order = resample_order(torch.tensor([0] * 999 + [1]), generator(1))
    assert 420 < int((order == 999).sum()) < 580


def test_draws_follow_the_seed() -> None:
    groups = torch.tensor([0, 0, 0, 1] * 50)
    assert torch.equal(resample_order(groups, generator(3)), resample_order(groups, generator(3)))
    assert not torch.equal(resample_order(groups, generator(3)), resample_order(groups, generator(4)))


@pytest.mark.parametrize(("method", "count"), [("erm", 4), ("ffr", 4), ("usb", 8), ("asb", 8)])
def test_mixed_methods_resample_over_source_too(method: str, count: int) -> None:
    everything = {(0, 0): 3, (0, 1): 3, (1, 0): 3, (1, 1): 3}
    samples = bare_samples(everything) + bare_samples(everything, "balanced", 1)
    groups = sampler_groups(samples, method_class(method).by_source)
    assert len(set(groups.tolist())) == count
    assert torch.bincount(groups).tolist() == [24 // count] * count


def test_usb_resampled_over_source_weighs_the_few_real_minority_samples_up() -> None:
    """Three real minority pictures get as many draws as 94 synthetic ones: the source-aware control."""
    samples = bare_samples({(0, 0): 97, (0, 1): 3}) + bare_samples({(0, 1): 94}, "balanced", 1)
    groups = sampler_groups(samples, by_source=True)
    order = torch.cat([resample_order(groups, generator(seed)) for seed in range(20)])
    real_minority = ((order >= 97) & (order < 100)).float().mean()
    assert float(real_minority) == pytest.approx(1 / 3, abs=0.03)
