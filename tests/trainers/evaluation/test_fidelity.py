"""Fidelity by values that are known: distances of columns, missing shares, correlations, sub-groups, a learner."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

from fairshards.trainers.evaluation.fidelity import (
    column_distances,
    correlation_difference,
    correlations,
    discriminative,
    group_shares,
    missing_differences,
    subgroups,
)
from tests.trainers.tables.test_bt_gan import SCHEMA, people


def rows(n: int = 10) -> pd.DataFrame:
    """Return rows of known shares: half ward n, four of ten died, all f but one of five."""
    number = np.arange(n)
    return pd.DataFrame(
        {
            "dose": number.astype(float),
            "visits": pd.array(number % 2, "Int64"),
            "ward": np.where(number % 2, "n", "s"),
            "sex": np.where(number % 5, "f", "m"),
            "died": np.where(number % 10 < 4, "yes", "no"),
        }
    )


def jsd(p: list[float], q: list[float]) -> float:
    """The Jensen-Shannon divergence in bits, by its definition."""
    middle = (np.array(p) + np.array(q)) / 2
    return float((entropy(p, middle, base=2) + entropy(q, middle, base=2)) / 2)


def test_a_number_has_the_largest_difference_of_shares_below_a_value() -> None:
    real = rows()
    for shifted, expected in ((0.0, 0.0), (3.0, 0.3), (100.0, 1.0)):
        assert column_distances(SCHEMA, real, real.assign(dose=real["dose"] + shifted))["dose"] == (
            "ks",
            pytest.approx(expected),
        )
    found = column_distances(SCHEMA, real, real.assign(visits=pd.array([1] * 10, "Int64")))
    assert found["visits"] == ("ks", pytest.approx(0.5))


def test_a_category_has_its_divergence_in_bits_with_missing_as_a_value() -> None:
    real = rows()
    cases = {
        "same": (real["ward"].tolist()[::-1], 0.0),
        "one": (["n"] * 10, jsd([0.5, 0.5], [1, 0])),
        "apart": ([None] * 10, 1.0),
        "missing": ([*["n"] * 5, *["s"] * 3, None, None], jsd([0.5, 0.5, 0], [0.5, 0.3, 0.2])),
    }
    for name, (ward, expected) in cases.items():
        found = column_distances(SCHEMA, real, real.assign(ward=ward))["ward"]
        assert found == ("jsd", pytest.approx(expected, abs=1e-12)), name


def test_columns_that_one_side_or_both_lack() -> None:
    real, none = rows(), rows().assign(dose=np.nan)
    assert column_distances(SCHEMA, real, none)["dose"] == ("ks", 1.0) == column_distances(SCHEMA, none, real)["dose"]
    assert column_distances(SCHEMA, none, none)["dose"] == ("ks", 0.0)
    gaps = real.assign(dose=real["dose"].where(real.index % 2 == 0))
    known = column_distances(SCHEMA, real, gaps)["dose"]
    assert known == ("ks", pytest.approx(0.1))  # the known values alone are compared
    assert list(column_distances(SCHEMA, real, real)) == SCHEMA.names


def test_missing_shares_are_synthetic_minus_real_where_any_is_missing() -> None:
    real = rows().assign(dose=[np.nan, *range(9)], ward=[None, None, *["n"] * 8])
    made = rows().assign(dose=[np.nan] * 4 + [1.0] * 6, visits=pd.array([None, *[1] * 9], "Int64"))
    assert missing_differences(SCHEMA, real, made) == pytest.approx({"dose": 0.3, "visits": 0.1, "ward": -0.2})
    assert missing_differences(SCHEMA, rows(), rows()) == {}


def test_correlations_are_those_of_numbers_and_indicators() -> None:
    real = rows()
    found = correlations(SCHEMA, real)
    assert found.shape == (8, 8) and np.allclose(np.diag(found), 1)  # dose, visits, and two values of three categories
    assert found[0, 1] == pytest.approx(np.corrcoef(real["dose"], real["visits"].astype(float))[0, 1])
    assert found[1, 2] == pytest.approx(1) and found[1, 3] == pytest.approx(-1)  # visits go with ward n, against s
    assert np.isnan(correlations(SCHEMA, real.assign(dose=1.0))[0, 1:]).all()


def test_a_broken_dependence_is_a_difference_of_correlations() -> None:
    real = people(3000)
    apart = real.assign(dose=real["dose"].sample(frac=1, random_state=0).to_numpy())
    assert correlation_difference(SCHEMA, real, real) == 0
    lost = abs(correlations(SCHEMA, real)[0, -1] - correlations(SCHEMA, apart)[0, -1])
    assert lost > 0.8 and correlation_difference(SCHEMA, real, apart) == pytest.approx(2 * lost / 28, rel=0.15)


def test_a_column_that_collapsed_to_one_value_has_lost_its_correlations() -> None:
    """The generator that says one dose for all must not look better than the one that says doses at random."""
    real = people(3000)
    apart = real.assign(dose=real["dose"].sample(frac=1, random_state=0).to_numpy())
    collapsed = real.assign(dose=1.0)
    assert correlation_difference(SCHEMA, real, collapsed) >= 0.9 * correlation_difference(SCHEMA, real, apart)


def test_sub_groups_have_their_shares_also_where_nobody_is() -> None:
    real = rows()
    found = group_shares(SCHEMA, "sex", real)
    assert found.to_dict() == pytest.approx({("no", "f"): 0.5, ("no", "m"): 0.1, ("yes", "f"): 0.3, ("yes", "m"): 0.1})
    gone = real[real["sex"] == "f"]
    assert group_shares(SCHEMA, "sex", gone)[("yes", "m")] == 0
    measured = subgroups(SCHEMA, "sex", real, gone)
    assert measured["smallest_subgroup_ratio"] == 0
    assert measured["subgroup_jsd"] == pytest.approx(jsd([0.5, 0.1, 0.3, 0.1], [5 / 8, 0, 3 / 8, 0]))


def test_a_sub_group_at_half_its_share_and_one_that_the_data_lack() -> None:
    real = rows(100)
    half = pd.concat([real, real[~((real["sex"] == "m") & (real["died"] == "yes"))]])
    found = subgroups(SCHEMA, "sex", real, half)
    assert found["smallest_subgroup_ratio"] == pytest.approx(10 / 190 / 0.1) and found["subgroup_jsd"] > 0
    nobody = real[~((real["sex"] == "m") & (real["died"] == "yes"))]
    assert subgroups(SCHEMA, "sex", nobody, real)["smallest_subgroup_ratio"] == pytest.approx(0.9)


def test_a_learner_cannot_tell_the_same_people_and_can_tell_others() -> None:
    every = people(2400).sample(frac=1, random_state=1)
    one, other = every.head(1200), every.tail(1200)
    score, auroc, asked = discriminative(SCHEMA, one, other)
    assert score < 0.07 and abs(auroc - 0.5) < 0.07 and asked == 720  # 30% of 2,400
    assert discriminative(SCHEMA, one, other) == (score, auroc, asked)
    score, auroc, _ = discriminative(SCHEMA, one, other.assign(visits=pd.array([-1] * 1200, "Int64")))
    assert score == pytest.approx(0.5, abs=0.01) and auroc > 0.99
    score, _, _ = discriminative(SCHEMA, one, other.assign(dose=np.nan))
    assert score > 0.35  # it sees what is missing


def test_a_column_that_nobody_has_is_no_error() -> None:
    """An empty column is learned as a constant (TableEncoding): its cohort can be judged too."""
    one, other = people(300).assign(dose=np.nan), people(300).assign(dose=np.nan)
    assert discriminative(SCHEMA, one, other)[2] == 180


def test_the_larger_kind_is_cut_to_the_smaller_ones_size() -> None:
    assert discriminative(SCHEMA, people(1200), people(300))[2] == 180


def test_divergences_are_finite_where_a_group_is_nobodys_on_either_side() -> None:
    real = rows()
    none = real.iloc[:0]
    with np.errstate(invalid="ignore"):
        assert column_distances(SCHEMA, real, none)["dose"] == ("ks", 1.0)
    assert all(math.isfinite(value) for value in subgroups(SCHEMA, "sex", real, real.head(1)).values())
