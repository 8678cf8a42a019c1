"""The figures of an evaluation, each against a case worked out by hand."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import Group
from fairshards.trainers.core.loaders import CachedPictures
from fairshards.trainers.core.place import Place
from fairshards.trainers.evaluation.evaluate import group_accuracies, predict, summarise, wilson
from tests.trainers.shapes import bare_samples

TEST: dict[Group, int] = {(0, 0): 50, (0, 1): 4, (1, 0): 20, (1, 1): 26}
RIGHT: dict[Group, int] = {(0, 0): 49, (0, 1): 4, (1, 0): 5, (1, 1): 25}


def answers(right: dict[Group, int] = RIGHT) -> torch.Tensor:
    """Predictions with exactly ``right`` correct ones per group."""
    return torch.tensor([y if i < right[y, b] else 1 - y for (y, b), n in TEST.items() for i in range(n)])


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        (50, 100, 0.4038, 0.5962),
        (95, 100, 0.8882, 0.9785),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_wilson_intervals_are_the_known_ones(correct: int, n: int, low: float, high: float) -> None:
    assert wilson(correct, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("n", [1, 7, 60, 263, 5000])
def test_wilson_intervals_are_scipys(n: int) -> None:
    """Written out, since scipy's own differ in the last bit, which manifests of finished trainings hold."""
    for correct in range(0, n + 1, max(1, n // 20)):
        theirs = binomtest(correct, n).proportion_ci(method="wilson")
        assert wilson(correct, n) == pytest.approx((theirs.low, theirs.high), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize(("correct", "n"), [(1, 0), (0, 0), (3, 2), (-1, 2)])
def test_an_interval_of_impossible_counts_is_an_error(correct: int, n: int) -> None:
    with pytest.raises(TrainerError, match="interval needs"):
        wilson(correct, n)


def test_accuracy_per_group_has_n_correct_and_an_interval() -> None:
    groups = group_accuracies(answers(), bare_samples(TEST))
    assert [(group.y, group.b) for group in groups] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [(group.n, group.correct) for group in groups] == [(50, 49), (4, 4), (20, 5), (26, 25)]
    assert groups[2].accuracy == 0.25 and groups[2].group_name == "class1|bias0"
    assert groups[2].low < 0.25 < groups[2].high


def test_the_worst_group_has_the_lowest_accuracy_and_is_not_the_smallest() -> None:
    summary = summarise(group_accuracies(answers(), bare_samples(TEST)), {})
    assert (summary.worst_group, summary.worst_group_name, summary.worst_n) == (0.25, "class1|bias0", 20)
    assert summary.smallest_n == 4


def test_both_averages_and_the_balanced_accuracy() -> None:
    groups = group_accuracies(answers(), bare_samples(TEST))
    summary = summarise(groups, {(0, 0): 97, (0, 1): 3, (1, 0): 3, (1, 1): 97})
    assert summary.average == pytest.approx(83 / 100)
    assert summary.adjusted_average == pytest.approx((97 * 0.98 + 3 * 1.0 + 3 * 0.25 + 97 * 25 / 26) / 200)
    assert summary.balanced == pytest.approx((0.98 + 1.0 + 0.25 + 25 / 26) / 4)


def test_groups_of_training_and_evaluation_can_differ() -> None:
    groups = group_accuracies(answers(), bare_samples(TEST))
    only_majorities = summarise(groups, {(0, 0): 1, (0, 1): 0, (1, 1): 1})
    assert only_majorities.adjusted_average == pytest.approx((0.98 + 25 / 26) / 2)
    assert summarise(groups, {(0, 0): 9, (2, 0): 1}).adjusted_average is None


def test_an_empty_split_has_no_summary() -> None:
    with pytest.raises(TrainerError, match="the split is empty"):
        summarise((), {})


def test_predict_measures_in_evaluation_mode_and_leaves_the_model_as_it_was() -> None:
    class Mode(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            answer = 1 if not self.training else 0
            return nn.functional.one_hot(torch.full((len(images),), answer), 2).float()

    model = Mode().train()
    found = predict(model, CachedPictures(torch.zeros(5, 3, 4, 4, dtype=torch.uint8)), Place(torch.device("cpu")))
    assert found.tolist() == [1] * 5
    assert model.training
