"""DFR's linear head: against scikit-learn called directly, its draws, its grid, and the folded scaler."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fairshards.trainers.classifiers import dfr
from fairshards.trainers.classifiers.dfr import (
    Choice,
    Embedded,
    balanced_rows,
    drawn,
    fit,
    grid,
    group_accuracies,
    numbered,
    refit,
    search,
)
from fairshards.trainers.core.seeding import part_seed


def embedded(counts: Sequence[int], seed: int, width: int = 6, synthetic: bool = False) -> Embedded:
    """Embeddings whose first dimension tells the class faintly and whose second tells the bias loudly."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 0, 1, 1], counts)
    b = np.repeat([0, 1, 0, 1], counts)
    x = rng.normal(size=(len(y), width)) * np.linspace(1, 3, width) + 4
    x[:, 0] += 1.5 * y
    x[:, 1] += 0 if synthetic else 4 * b
    return Embedded(x, y, np.full(len(y), -1) if synthetic else 2 * y + b)


TRAIN, SYNTHETIC, VAL = embedded((60, 6, 8, 60), 0), embedded((9, 9, 9, 9), 1, synthetic=True), embedded((20,) * 4, 2)


def test_the_head_is_the_mean_of_scikit_learns_own_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dfr, "REFITS", 3)
    head, found = refit(TRAIN, SYNTHETIC, VAL, 2, seed=4)
    scaler = StandardScaler().fit(TRAIN.embeddings)
    coefficients, intercepts = [], []
    for number in range(3):
        rows = balanced_rows(TRAIN.groups, part_seed(4, "refit", number))
        x = np.concatenate([TRAIN.embeddings[rows], SYNTHETIC.embeddings])
        model = LogisticRegression(
            l1_ratio=1,
            C=found.choice.c,
            solver="liblinear",
            random_state=0,
            max_iter=1000,
            class_weight={0: found.choice.class_weights[0], 1: found.choice.class_weights[1]},
        ).fit(scaler.transform(x), np.concatenate([TRAIN.y[rows], SYNTHETIC.y]))
        coefficients.append(model.coef_[0])
        intercepts.append(model.intercept_[0])
    margin = scaler.transform(VAL.embeddings) @ np.mean(coefficients, 0) + np.mean(intercepts)
    logits = VAL.embeddings @ head.weight.T + head.bias
    assert np.allclose(logits[:, 1] - logits[:, 0], margin)
    assert (head.predict(VAL.embeddings) == (margin > 0)).all()
    assert found.per_group == 6


def test_the_penalty_is_l1() -> None:
    x, y = drawn(TRAIN, SYNTHETIC, 0)
    weak, strong = (fit(StandardScaler().fit_transform(x), y, Choice(c), 2).weight for c in (1.0, 0.03))
    assert (strong == 0).sum() > (weak == 0).sum() and np.abs(strong).sum() < np.abs(weak).sum()


def test_every_draw_has_each_group_as_often_as_the_smallest_and_all_synthetic_samples() -> None:
    rows = balanced_rows(TRAIN.groups, 7)
    assert np.bincount(TRAIN.groups[rows]).tolist() == [6, 6, 6, 6] and len(set(rows)) == 24
    assert (rows == balanced_rows(TRAIN.groups, 7)).all()
    assert set(rows) != set(balanced_rows(TRAIN.groups, 8))
    x, y = drawn(TRAIN, SYNTHETIC, 7)
    assert len(x) == len(y) == 24 + 36 and (x[24:] == SYNTHETIC.embeddings).all()


def test_the_grid_is_the_published_one() -> None:
    two = list(grid(2))
    assert len(two) == len(set(two)) == 7 * 13
    assert {choice.c for choice in two} == {1, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01}
    assert {choice.class_weights for choice in two} >= {(1, 1), (1, 1000), (1000, 1)}
    assert list(grid(3)) == [Choice(c) for c in (1, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)]


def test_the_search_takes_the_best_worst_group_of_validation() -> None:
    found = search(TRAIN, SYNTHETIC, VAL, 2, seed=0)
    x, y = drawn(TRAIN, SYNTHETIC, part_seed(0, "search"))
    worst = {c: group_accuracies(fit(x, y, c, 2).predict(VAL.embeddings), VAL).min() for c in grid(2)}
    assert found.val_worst_group == max(worst.values()) == worst[found.choice]


def test_balanced_groups_beat_a_head_fit_on_the_biased_split() -> None:
    head, _ = refit(TRAIN, SYNTHETIC, VAL, 2, seed=0)
    biased = fit(TRAIN.embeddings, TRAIN.y, Choice(1.0), 2)
    test = embedded((200,) * 4, 3)
    ours, theirs = (group_accuracies(one.predict(test.embeddings), test).min() for one in (head, biased))
    assert ours > theirs + 0.1


def test_three_classes_are_fit_one_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 30)
    part = Embedded(rng.normal(size=(90, 4)) + 3 * np.eye(4)[y], y, y)
    head, found = refit(part, Embedded(part.embeddings[::10], y[::10], y[::10]), part, 3, seed=0)
    assert head.weight.shape == (3, 4) and found.choice.class_weights == (1, 1)
    assert (head.predict(part.embeddings) == y).mean() > 0.85


def test_groups_that_only_one_split_has_are_measured_or_balanced_where_they_are() -> None:
    """In a wholly biased train split no picture of a minority exists; the spurious-free ones stand in."""
    train = embedded((40, 0, 0, 40), 0)
    _, found = refit(train, SYNTHETIC, VAL, 2, seed=0)
    assert found.per_group == 40


def test_a_constant_dimension_changes_nothing() -> None:
    """A ReLU that never fires has no deviation to divide by."""

    def dead(part: Embedded) -> Embedded:
        return Embedded(np.pad(part.embeddings, ((0, 0), (0, 1))), part.y, part.groups)

    head, _ = refit(dead(TRAIN), dead(SYNTHETIC), dead(VAL), 2, seed=0)
    assert np.isfinite(head.weight).all() and (head.weight[:, -1] == 0).all()


def test_groups_are_numbered_by_name() -> None:
    assert numbered(["b", "a", "b", "c"]).tolist() == [1, 0, 1, 2]
