"""FFR's counts against the published table (methods 1.4)."""

from __future__ import annotations

import pytest

from pipeline.messages import real_counts
from pipeline.quota import Quota, minority_kept, per_group, quotas, usb_counts
from pipeline.recipe import load_recipe

PUBLISHED = {
    "ffr_celeba_hq": {
        0.90: (16598, 4149),
        0.95: (17364, 4341),
        0.97: (17648, 4412),
        0.99: (17923, 4480),
        0.999: (18042, 4510),
    },
    "ffr_utkface": {
        0.90: (15520, 3880),
        0.95: (15907, 3976),
        0.97: (16052, 4013),
        0.99: (16191, 4047),
        0.999: (16252, 4063),
    },
    "ffr_spuco_animals": {
        0.95: (38000, 4750),
        0.97: (38760, 4845),
        0.99: (39592, 4949),
        0.999: (39956, 4994),
    },
}
ROWS = [(name, ratio, *figures) for name, table in PUBLISHED.items() for ratio, figures in table.items()]


@pytest.mark.parametrize(("name", "ratio", "total", "m"), ROWS)
def test_the_shipped_recipes_plan_the_published_numbers(name: str, ratio: float, total: int, m: int) -> None:
    counts, where = real_counts(load_recipe(name, [f"source.bias_ratio={ratio}"]), None)
    assert (sum(usb_counts(counts).values()), per_group(counts)) == (total, m)
    assert {quota.balanced for quota in quotas(counts).values()} == {m}
    assert "published" in where


def test_usb_extra_is_what_usb_needs_beyond_m() -> None:
    real = {(0, 0): 485, (0, 1): 15, (1, 0): 15, (1, 1): 485}
    assert quotas(real, usb_extra=True) == {
        (0, 0): Quota(235, 0),
        (0, 1): Quota(235, 235),
        (1, 0): Quota(235, 235),
        (1, 1): Quota(235, 0),
    }
    assert quotas(real, m=10)[0, 1] == Quota(10, 0)


@pytest.mark.parametrize(
    ("majority", "ratio", "kept"), [(5335, 0.9, 592), (7797, 0.999, 7), (10000, 0.99, 101), (95, 0.95, 5)]
)
def test_bias_ratio_rule(majority: int, ratio: float, kept: int) -> None:
    assert minority_kept(majority, ratio) == kept
