"""Filters of generated rows: valid, kept by the discriminator's draw, like real rows, far from every patient."""

from __future__ import annotations

from typing import Any

import pytest

from fairshards.catalogs.manifests.identity import digest
from fairshards.filters.base import Verdict
from fairshards.filters.records.discriminator import DiscriminatorRejection, DiscriminatorScore, draw_of
from fairshards.filters.records.distance_ratio import DistanceRatio
from fairshards.filters.records.nearest_record import NearestRecord
from fairshards.filters.records.valid_row import ValidRow

ROW = {"sample_id": "0" * 32, "group_name": "died=yes|m"}


@pytest.mark.parametrize(
    ("value", "label", "verdict"),
    [
        (0.0, None, True),
        (1.0, "temperature", (False, "invalid: temperature")),
        (2.0, None, (False, "invalid: ?")),
        (None, None, (False, "valid_row: not scored")),
    ],
)
def test_a_row_that_breaks_nothing_is_kept(value: float | None, label: str | None, verdict: Verdict) -> None:
    assert ValidRow().decide({"violations": value}, {"violations": label}, ROW) == verdict


def test_rejection_keeps_each_row_with_its_probability_for_ever() -> None:
    ids = [digest(number)[:32] for number in range(10_000)]
    kept = [DiscriminatorRejection().decide({"drs_acceptance": 0.3}, {}, {"sample_id": name}) for name in ids]
    assert 0.28 < sum(verdict is True for verdict in kept) / len(kept) < 0.32 and (False, "discriminator") in kept
    assert kept[:9] == [
        DiscriminatorRejection().decide({"drs_acceptance": 0.3}, {}, {"sample_id": name}) for name in ids[:9]
    ]
    assert draw_of("f" * 32) < 1 and draw_of("0" * 32) == 0
    assert DiscriminatorRejection().decide({}, {}, ROW) == (False, "discriminator_rejection: not scored")


@pytest.mark.parametrize(
    ("kind", "score", "reason"),
    [
        (DiscriminatorScore, "log_density_ratio", "unlike real rows"),
        (NearestRecord, "nearest_record", "too near a patient"),
        (DistanceRatio, "distance_ratio", "shadows a patient"),
    ],
)
def test_limits_are_fixed_or_measured_by_group(kind: Any, score: str, reason: str) -> None:
    fixed = kind(min=0.5)
    assert fixed.decide({score: 0.5}, {}, ROW) is True and fixed.decide({score: 0.49}, {}, ROW) == (False, reason)
    assert fixed.decide({score: None}, {}, ROW) == (False, f"{kind.name}: not scored")
    measured = kind(limits={score: {"died=yes|m": 0.2, "*": 0.9}})
    assert measured.decide({score: 0.3}, {}, ROW) is True
    assert measured.decide({score: 0.3}, {}, {**ROW, "group_name": "other"}) == (False, reason)
    limit = kind(retain=0.9).to_calibrate()[0]
    values = {"died=yes|m": [float(number) for number in range(100)]}
    pooled = kind(retain=0.9).measure(limit, values)[0]
    assert pooled.value == 10.0 and limit.over == "real" and limit.keeps == "at least"
    with pytest.raises(ValueError, match="needs min"):
        kind()
