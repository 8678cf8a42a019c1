"""Noise that belongs to a row: the same alone and among others, never 0 and never 1."""

from __future__ import annotations

import numpy as np

from fairshards.generators.tables.row_noise import normal, uniform


def seeds(count: int, start: int = 0) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.uint64)


def test_a_rows_noise_depends_on_its_seed_alone() -> None:
    together = uniform(seeds(100), 0, 40)
    assert np.array_equal(uniform(seeds(1, 57), 0, 40)[0], together[57])
    assert np.array_equal(uniform(seeds(100)[::-1], 0, 40), together[::-1])
    assert np.array_equal(uniform(seeds(100), 10, 5), together[:, 10:15])


def test_it_is_uniform_inside_the_unit_interval() -> None:
    found = uniform(np.random.default_rng(0).integers(0, 2**64, 20_000, np.uint64), 0, 100)
    assert found.dtype == np.float32 and 0 < found.min() < 1e-5 and 1 - 1e-5 < found.max() < 1
    assert abs(found.mean() - 0.5) < 0.001 and abs(found.var() - 1 / 12) < 0.001
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 0.03


def test_the_largest_number_is_below_one_in_float32() -> None:
    """23 bits and a half fit float32's 24; with one bit more the largest would round to 1, and its logarithm to 0."""
    largest = (np.float32(2**23 - 1) + np.float32(0.5)) * np.float32(2.0**-23)
    assert largest < 1 and np.isfinite(np.log(-np.log(largest)))


def test_normals_have_their_moments_and_neighbouring_seeds_differ() -> None:
    found = normal(seeds(5000), 0, 50)
    assert abs(found.mean()) < 0.01 and abs(found.std() - 1) < 0.01 and np.isfinite(found).all()
    assert abs(np.corrcoef(found[:-1].ravel(), found[1:].ravel())[0, 1]) < 0.01


def test_the_sequence_is_pinned() -> None:
    """SplitMix64 from seed 0: its first two outputs are known."""
    words = np.array([0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4], dtype=np.uint64)
    expected = ((words >> np.uint64(41)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
    assert np.array_equal(uniform(seeds(1), 0, 2)[0], expected)
