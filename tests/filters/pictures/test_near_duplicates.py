"""Near-duplicates are found by cosine, the earlier of two stays, and blocks don't change that."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fairshards.filters.pictures import near_duplicates
from fairshards.filters.pictures.near_duplicates import NearDuplicates, nearest_earlier, nearest_of, nearest_other
from tests.tolerance import float32_error

Rows = npt.NDArray[np.float32]
CLOSE = float32_error(3 * 16)
"""Of a cosine: a product of 16 terms, of two rows whose own lengths are such sums."""


def unit(count: int, seed: int = 0) -> Rows:
    """Return embeddings of length 1 in 16 dimensions."""
    rows = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("block", [1, 3, 4096])
def test_the_nearest_before_each_row(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "BLOCK", block)
    rows = unit(10)
    rows[7] = rows[2]
    names = [f"s{number}" for number in range(10)]
    found = list(nearest_earlier(rows, names))
    assert found[0] is None and found[7] is not None
    assert found[7][1] == "s2" and found[7][0] == pytest.approx(1.0, abs=CLOSE)
    for number in range(1, 10):
        cosines = rows[:number] @ rows[number]
        assert found[number] == (pytest.approx(cosines.max(), abs=CLOSE), names[int(cosines.argmax())])


@pytest.mark.parametrize("block", [2, 4096])
def test_the_nearest_of_others(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "BLOCK", block)
    rows, others = unit(5), unit(4, seed=1)
    others[1] = rows[3]
    found = list(nearest_of(rows, others, list("abcd")))
    assert found[3] == (pytest.approx(1.0, abs=CLOSE), "b")
    assert [one[0] for one in found if one] == pytest.approx((rows @ others.T).max(1).tolist(), abs=CLOSE)
    assert list(nearest_of(rows, others[:0], [])) == [None] * 5
    both = np.concatenate([rows, rows[:1]])
    cosines = both @ both.T - 2 * np.eye(6)
    assert nearest_other(both) == pytest.approx(cosines.max(1).tolist(), abs=CLOSE)
    assert nearest_other(rows[:1]) == []


def test_the_filter_tells_copies_of_samples_from_memorised_pictures() -> None:
    judge, sample = NearDuplicates(max=0.98), {"group_name": "a|b"}
    assert judge.decide({"duplicate_in_group": 0.99, "duplicate_of_real": 0.5}, {}, sample) == (False, "duplicate")
    assert judge.decide({"duplicate_in_group": 0.9, "duplicate_of_real": 0.985}, {}, sample) == (False, "memorised")
    assert judge.decide({"duplicate_in_group": 0.98, "duplicate_of_real": 0.98}, {}, sample) is True
    assert judge.decide({}, {}, sample) is True and judge.needs(sample) == ()


def test_limits_may_be_taken_from_real_pictures() -> None:
    judge = NearDuplicates(retain=0.99)
    assert [limit.over for limit in judge.to_calibrate()] == ["real", "real"]
    found = judge.calibrated([one for limit in judge.to_calibrate() for one in judge.measure(limit, {"a": [0.9] * 99})])
    assert found.decide({"duplicate_of_real": 0.91}, {}, {"group_name": "a"}) == (False, "memorised")
    for given in ({}, {"max": 2.0}, {"retain": 0.0}):
        with pytest.raises(ValueError, match="near_duplicates"):
            NearDuplicates(**given)
