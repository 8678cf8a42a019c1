"""Discriminator rejection sampling against the method's formula, and where it could leave its range."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from fairshards.generators.tables.rejection import Rejection


def promised(ratio: float, maximum: float, gamma: float) -> float:
    """sigmoid(F), F = (LDR - M) - log(1 - exp(LDR - M - 1e-6)) - gamma."""
    f = (ratio - maximum) - math.log(1 - math.exp(ratio - maximum - 1e-6)) - gamma
    return 1 / (1 + math.exp(-f))


@pytest.mark.parametrize("gamma", [-3.0, 0.0, 2.5])
def test_acceptance_is_the_formula(gamma: float) -> None:
    ratios = np.array([*np.linspace(-9, 1.9, 57), 1.9999, 2.0], np.float32)
    found = Rejection(2.0, gamma).acceptance(ratios)
    assert found.dtype == np.float64
    assert np.allclose(found, [promised(float(one), 2.0, gamma) for one in ratios], rtol=1e-9)
    assert (np.diff(found) > 0).all() and found.min() > 0 and found.max() < 1


@pytest.mark.parametrize("percentile", [50.0, 80.0, 95.0])
def test_the_percentile_is_accepted_half_the_time(percentile: float) -> None:
    """gamma is the percentile of F without its shift, so that there F = 0."""
    ratios = np.random.default_rng(1).normal(-1, 2, 1001).astype(np.float32)
    one = Rejection.fit(ratios, percentile)
    there = np.sort(ratios)[round(percentile / 100 * 1000)]
    assert one.maximum == float(ratios.max())
    assert one.acceptance(np.array([there]))[0] == pytest.approx(0.5, abs=1e-9)
    assert (one.acceptance(ratios) > 0.5).mean() == pytest.approx(1 - percentile / 100, abs=0.002)


def test_a_ratio_beyond_the_maximum_is_accepted_like_the_maximum() -> None:
    one = Rejection(1.0, 0.0)
    at, beyond = one.acceptance(np.array([1.0, 50.0], np.float32))
    assert at == beyond and 0.99 < at < 1


def test_equal_ratios_are_all_accepted_alike() -> None:
    ratios = np.full(100, -0.7, np.float32)
    assert Rejection.fit(ratios).acceptance(ratios) == pytest.approx(np.full(100, 0.5))


def test_a_ratio_far_below_is_accepted_hardly_ever_and_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Rejection(0.0, 0.0).acceptance(np.array([-2000.0], np.float32))[0] < 1e-300


def test_it_survives_json() -> None:
    one = Rejection.fit(np.random.default_rng(0).normal(0, 1, 99).astype(np.float32))
    assert Rejection(**one.to_json()) == one
