"""The largest and the smallest noise, asked for by the seeds that give it: SplitMix64 can be run backwards."""

from __future__ import annotations

import numpy as np
import pytest

from fairshards.generators.tables.row_noise import normal, uniform

STEP, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
WORD = 2**64


def unshifted(value: int, shift: int) -> int:
    """Return x of x ^ (x >> shift)."""
    found = value
    for _ in range(64 // shift):
        found = value ^ (found >> shift)
    return found


def seed_of(word: int, counter: int = 0) -> int:
    """Return the seed whose number ``counter`` is this 64-bit word."""
    mixed = unshifted(word, 31)
    mixed = unshifted(mixed * pow(SECOND, -1, WORD) % WORD, 27)
    mixed = unshifted(mixed * pow(FIRST, -1, WORD) % WORD, 30)
    return (mixed - STEP * (counter + 1)) % WORD


def test_the_sequence_run_backwards_is_the_sequence() -> None:
    assert seed_of(0xE220A8397B1DCDAF) == 0 and seed_of(0x6E789E6AA1B965F4, 1) == 0


@pytest.mark.parametrize("counter", [0, 7])
@pytest.mark.parametrize(("word", "cell"), [(WORD - 1, 2**23 - 1), (0, 0), (2**41 - 1, 0), (2**63, 2**22)])
def test_the_ends_are_inside_and_their_normals_finite(word: int, cell: int, counter: int) -> None:
    """All 64 bits set, or none: the outermost cells of 2**23, whose middles float32 holds."""
    seeds = np.array([seed_of(word, counter)], dtype=np.uint64)
    found = uniform(seeds, counter, 1)[0, 0]
    assert found.dtype == np.float32 and float(found) == (cell + 0.5) / 2**23 and 0 < found < 1
    assert np.isfinite(np.log(-np.log(found))) and abs(normal(seeds, counter, 1)[0, 0]) < 5.5
    assert normal(seeds, counter, 1).dtype == np.float32


def test_every_cell_keeps_its_half_in_float32() -> None:
    """Rounding could only hurt at the top, where float32's steps are largest; all of the top cells are exact."""
    top = np.arange(2**23 - 4096, 2**23, dtype=np.uint64)
    found = (top.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
    assert np.array_equal(found.astype(np.float64), (top + 0.5) / 2**23) and (np.diff(found) > 0).all()


def test_numbers_are_spread_evenly_and_symmetric() -> None:
    found = uniform(np.arange(4000, dtype=np.uint64) * np.uint64(2**40), 3, 50)
    counts = np.histogram(found, 20, (0, 1))[0]
    assert abs(counts / counts.sum() - 0.05).max() < 0.002
    values = normal(np.arange(4000, dtype=np.uint64), 0, 50)
    assert abs((values**3).mean()) < 0.03 and abs((values**4).mean() - 3) < 0.08


def test_no_rows_and_no_numbers_have_their_shapes() -> None:
    assert uniform(np.zeros(0, np.uint64), 0, 5).shape == (0, 5)
    assert normal(np.zeros(3, np.uint64), 0, 0).shape == (3, 0)
