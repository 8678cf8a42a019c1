"""FFR's counts against the published table (docs/methods.md#counts-of-synthetic-samples)."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.plan_table import real_counts
from fairshards.pipeline.run.quota import Quota, biased_counts, minority_kept, per_group, quotas, usb_counts

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
    "ffr_spuco_animals": {0.95: (38000, 4750), 0.97: (38760, 4845), 0.99: (39592, 4949), 0.999: (39956, 4994)},
}
ROWS = [(name, ratio, *figures) for name, table in PUBLISHED.items() for ratio, figures in table.items()]


@pytest.mark.parametrize(("name", "ratio", "total", "m"), ROWS)
def test_the_shipped_recipes_plan_the_published_numbers(name: str, ratio: float, total: int, m: int) -> None:
    counts, where, _ = real_counts(load_recipe(name, [f"source.bias_ratio={ratio}"]), Path("nowhere"))
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


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_bias_ratio_rule_gives_the_published_counts_but_for_the_stated_rows(name: str) -> None:
    recipe = load_recipe(name)
    found = {}
    for ratio, counts in recipe.source.published_counts.items():
        of_group = dict(zip(recipe.groups, counts, strict=True))
        for y, most in ((y, max(n for (c, _), n in of_group.items() if c == y)) for y, _ in recipe.groups):
            fewest = min(n for (c, _), n in of_group.items() if c == y)
            if (ruled := minority_kept(most, float(ratio))) != fewest:
                found[ratio, most] = ruled - fewest
    departures = {
        "ffr_celeba_hq": {("0.9", 5335): 1, ("0.9", 7797): 1},
        "ffr_utkface": {("0.9", 934): 1, ("0.9", 5731): 1},
        "ffr_spuco_animals": {("0.95", 10000): 27},
    }
    assert found == departures[name]


@pytest.mark.parametrize(
    ("majority", "ratio", "kept"),
    [
        (5335, 0.97, 166),
        (5335, 0.99, 54),
        (7797, 0.999, 8),
        (10000, 0.97, 310),
        (934, 0.999, 1),
        (100, 0.5, 100),
        (0, 0.9, 0),
    ],
)
def test_bias_ratio_rule(majority: int, ratio: float, kept: int) -> None:
    assert minority_kept(majority, ratio) == kept


def test_the_aligned_group_becomes_the_majority_even_where_it_is_the_smaller_one() -> None:
    utk_test = {(0, 0): 723, (0, 1): 103, (1, 0): 710, (1, 1): 121}
    kept = biased_counts(utk_test, {0: 1, 1: 0}, 0.9)
    assert kept == {(0, 0): 12, (0, 1): 103, (1, 0): 710, (1, 1): 79}
    assert biased_counts(utk_test, {0: 1, 1: 0}, 0.999, least=10) == {(0, 0): 10, (0, 1): 103, (1, 0): 710, (1, 1): 10}


def test_a_group_that_has_fewer_than_the_rule_and_a_class_without_a_majority_stay_whole() -> None:
    assert biased_counts({(0, 0): 100, (0, 1): 3, (1, 0): 5, (1, 1): 5}, {0: 0}, 0.9) == {
        (0, 0): 100,
        (0, 1): 3,
        (1, 0): 5,
        (1, 1): 5,
    }
