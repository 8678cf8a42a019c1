"""What judges a synthetic cohort: learners, fairness with its noise floor, fidelity, privacy, the choice of lambda."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    demographic_parity_ratio,
    equalized_odds_difference,
    true_positive_rate,
)
from sklearn.metrics import roc_auc_score

from fairshards.generators.tables.encoding import TableEncoding
from fairshards.generators.tables.record_space import RecordSpace
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.evaluation.cohort_learners import LEARNERS, Learner, labels, predict, reweighing, train
from fairshards.trainers.evaluation.fairness import at_rate, fairness
from fairshards.trainers.evaluation.fidelity import (
    column_distances,
    correlation_difference,
    discriminative,
    missing_differences,
    subgroups,
)
from fairshards.trainers.evaluation.privacy import privacy
from fairshards.trainers.tables.lambda_choice import Candidate, auroc_within, choose, measure
from tests.trainers.tables.test_bt_gan import SCHEMA, people

COLUMNS = ("dose", "visits", "ward", "sex")


def groups(n: int = 3000, bias: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions, and an attribute whose group "b" is missed in a share ``bias`` of its positives."""
    draw = np.random.default_rng(0)
    y, s = draw.integers(0, 2, n), draw.choice(["a", "b"], n, p=[0.7, 0.3])
    predicted = np.where(draw.random(n) < 0.8, y, 1 - y)
    predicted[(s == "b") & (y == 1) & (draw.random(n) < bias)] = 0
    return y, predicted, s


@pytest.mark.parametrize("learner", LEARNERS)
def test_learners_learn_from_rows_with_gaps_and_categories(learner: Learner) -> None:
    rows = people(1200)
    model = train(learner, SCHEMA, rows.head(800), COLUMNS)
    found = predict(model, SCHEMA, rows.tail(400), COLUMNS)
    assert roc_auc_score(labels(SCHEMA, rows.tail(400)), found) > 0.9
    with pytest.raises(TrainerError, match="one value"):
        train(learner, SCHEMA, rows.assign(died="no"), COLUMNS)


def test_reweighing_makes_label_and_attribute_independent() -> None:
    y, _, s = groups()
    y = np.where((s == "b") & (np.random.default_rng(1).random(len(y)) < 0.5), 0, y)
    weights = reweighing(y, s)
    shares = [np.average(y[s == group], weights=weights[s == group]) for group in ("a", "b")]
    assert shares[0] == pytest.approx(shares[1]) == pytest.approx(y.mean())


def test_differences_are_fairlearns_and_gaps_are_signed() -> None:
    y, predicted, s = groups(bias=0.4)
    found = {(one.metric, one.group): one for one in fairness(y, predicted, s, 20, 0)}
    given = {"y_true": y, "y_pred": predicted, "sensitive_features": s}
    assert found["demographic_parity_difference", None].value == pytest.approx(demographic_parity_difference(**given))
    assert found["demographic_parity_ratio", None].value == pytest.approx(demographic_parity_ratio(**given))
    assert found["equalized_odds_difference", None].value == pytest.approx(equalized_odds_difference(**given))
    by_group = MetricFrame(metrics=true_positive_rate, **given).by_group
    gap = found["tpr_gap", "b"]
    assert gap.value == pytest.approx(by_group["a"] - by_group["b"]) and 0.2 < gap.value < 0.45
    assert gap.note == "against a"


def test_a_gap_has_an_interval_and_a_floor_that_tells_chance() -> None:
    for bias, unfair in ((0.0, False), (0.3, True)):
        found = {(one.metric, one.group): one for one in fairness(*groups(bias=bias), 20, 100)}
        gap = found["tpr_gap", "b"]
        assert gap.low is not None and gap.high is not None and gap.low < gap.value < gap.high and gap.floor
        assert (gap.low > 0) == unfair == (abs(gap.value) > 3 * gap.floor[1])
        assert 0 < gap.floor[0] < gap.floor[1] < 0.06  # permuted groups have gaps too, never 0


def test_groups_that_are_too_small_are_named_and_not_compared() -> None:
    y, predicted, s = groups(400)
    s = s.astype(object)
    s[:3] = "three"
    found = fairness(y, predicted, s, 20, 0)
    small = [one for one in found if one.group == "three"]
    assert len(small) == 1 and "at least 20" in (small[0].note or "") and np.isnan(small[0].value)
    alone = fairness(y, predicted, np.full(400, "a"), 20, 0)
    assert alone[0].note == "fewer than two groups to compare"


def test_the_base_rate_threshold_calls_exactly_that_share_positive() -> None:
    scores = np.random.default_rng(0).random(1000)
    predicted = at_rate(scores, 0.26)
    assert predicted.sum() == 260 and scores[predicted == 1].min() > scores[predicted == 0].max()


def test_fidelity_of_the_same_of_a_shifted_and_of_a_vanished_group() -> None:
    rows, other = people(2000), people(2000).sample(frac=1, random_state=0).reset_index(drop=True)
    same = column_distances(SCHEMA, rows, other)
    assert all(value < 1e-9 for _, value in same.values()) and correlation_difference(SCHEMA, rows, other) < 1e-9
    shifted = rows.assign(dose=rows["dose"] + 100, ward="n")
    found = column_distances(SCHEMA, rows, shifted)
    assert found["dose"] == ("ks", 1.0) and 0.2 < found["ward"][1] < 0.5
    assert missing_differences(SCHEMA, rows, rows.assign(dose=np.nan))["dose"] == pytest.approx(0.9, abs=0.03)
    gone = rows[~((rows["sex"] == "m") & (rows["died"] == "yes"))]
    assert subgroups(SCHEMA, "sex", rows, gone)["smallest_subgroup_ratio"] == 0
    assert subgroups(SCHEMA, "sex", rows, other) == {"subgroup_jsd": 0.0, "smallest_subgroup_ratio": 1.0}


def test_the_discriminative_score_is_nothing_for_the_same_and_half_for_another() -> None:
    rows = people(4000)
    half = rows.head(2000), rows.tail(2000)
    assert discriminative(SCHEMA, *half)[0] < 0.05
    assert discriminative(SCHEMA, half[0], half[1].assign(dose=half[1]["dose"] + 50))[0] > 0.4


def test_privacy_tells_copies_from_strangers() -> None:
    rows = people(1500)
    train_rows, held_out, fresh = (rows.iloc[start : start + 500].reset_index(drop=True) for start in (0, 500, 1000))
    space = RecordSpace(TableEncoding.fit(SCHEMA, "sex", rows))
    copied = privacy(space, train_rows, held_out, train_rows)
    strangers = privacy(space, train_rows, held_out, fresh)
    assert copied.copies == 500 > copied.held_out_copies and copied.memorisation > 0.2
    assert copied.membership_auc > 0.75 and strangers.copies < 300
    assert abs(strangers.memorisation) < 0.08 and abs(strangers.membership_auc - 0.5) < 0.06
    assert copied.nearest_train == 0 < copied.nearest_held_out


def test_lambda_is_the_least_information_at_hardly_less_utility() -> None:
    found = [Candidate(0, 0.80, 0.10, 0.01), Candidate(1, 0.79, 0.05, 0.03), Candidate(9, 0.70, 0.00, 0.00)]
    assert choose(found).lam == 1 and choose(found, given_y=True).lam == 0
    assert choose(found, loss=0.2).lam == 9
    with pytest.raises(TrainerError, match="0 is needed"):
        choose(found[1:])


def test_what_is_measured_of_a_lambda_sees_a_bias() -> None:
    rows = people(1200)
    biased = rows.assign(died=rows["died"].mask(rows["sex"] == "m", "no"))
    held_out = biased.tail(400)
    fair, unfair = (
        measure(0, "gradient boosting", SCHEMA, COLUMNS, "sex", table.head(800), held_out, biased)
        for table in (rows, biased)
    )
    assert unfair.information > 5 * fair.information
    assert unfair.auroc == pytest.approx(fair.auroc, abs=0.03)  # who tells the groups apart gains nothing by it


def test_utility_within_groups_is_the_share_of_their_pairs_in_order() -> None:
    y = np.array([1, 0, 0, 1, 1, 0])
    scores = np.array([0.9, 0.1, 0.2, 0.3, 0.8, 0.3])
    s = np.array(["a", "a", "a", "b", "b", "b"], object)
    assert auroc_within(y, scores, s) == pytest.approx((2 + 1.5) / 4)  # a: 2 of 2 pairs; b: one right, one tie
    assert auroc_within(y, scores, np.zeros(6)) == pytest.approx(roc_auc_score(y, scores))
    shifted = scores + np.where(s == "a", 5.0, 0.0)  # nothing between groups counts
    assert auroc_within(y, shifted, s) == auroc_within(y, scores, s)
    alone = np.array([1, 1, 1, 0, 0, 0])
    assert np.isnan(auroc_within(alone, scores, s))
    assert auroc_within(np.array([1, 1, 1, 1, 1, 0]), scores, s) == pytest.approx(0.75)  # b alone has both
