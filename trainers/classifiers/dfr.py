"""DFR's linear head: L1 logistic regressions on group-balanced embeddings, chosen by worst group.

See docs/methods.md#aspire-erm-and-aspire-dfr.
Pure functions over numpy arrays: embeddings float64 [N, D], classes and groups int64 [N].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fairshards.trainers.core.seeding import part_seed

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

INVERSE_STRENGTHS = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
CLASS_WEIGHTS = (1.0, 2.0, 3.0, 10.0, 100.0, 300.0, 1000.0)
REFITS = 10
MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class Embedded:
    """Embeddings of a split with the class and the group of each row."""

    embeddings: Floats
    y: Ints
    groups: Ints


@dataclass(frozen=True)
class Choice:
    """A point of the grid: scikit-learn's C and the two class weights; (1, 1) for more than two classes."""

    c: float
    class_weights: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Chosen:
    """The chosen point, its accuracy over the groups of validation in [0, 1], and the size of a group's draw."""

    choice: Choice
    val_worst_group: float
    val_balanced: float
    per_group: int


@dataclass(frozen=True)
class LinearHead:
    """Logits = embeddings @ weight.T + bias; float64 [classes, D] and [classes]."""

    weight: Floats
    bias: Floats

    def predict(self, embeddings: Floats) -> Ints:
        """Return the class with the highest logit, int64 [N]."""
        chosen: Ints = (embeddings @ self.weight.T + self.bias).argmax(1).astype(np.int64)
        return chosen


def refit(train: Embedded, synthetic: Embedded, val: Embedded, classes: int, seed: int) -> tuple[LinearHead, Chosen]:
    """Return the refitted head over plain embeddings, and what was chosen.

    Every fit sees a fresh group-balanced draw of ``train`` and all of ``synthetic``, which may be empty. C and the
    class weights are those with the best worst group of ``val`` in one draw; the head is the mean of ``REFITS``
    more, each with its own seed. Embeddings are standardised by ``train``, which the returned weights have folded in.

    A group that ``train`` lacks isn't balanced, and one that ``val`` lacks isn't measured: in a wholly biased
    split the minorities' place is taken by ``synthetic``, which is why the method adds it. A group of one sample
    makes every group's draw one sample; ``Chosen.per_group`` says so.
    """
    scaler = StandardScaler().fit(train.embeddings)
    train, synthetic, val = (_scaled(scaler, part) for part in (train, synthetic, val))
    chosen = search(train, synthetic, val, classes, seed)
    heads = [
        fit(*drawn(train, synthetic, part_seed(seed, "refit", number)), chosen.choice, classes)
        for number in range(REFITS)
    ]
    weight = np.mean([head.weight for head in heads], axis=0)
    bias = np.mean([head.bias for head in heads], axis=0)
    return unscaled(LinearHead(weight, bias), scaler.mean_, scaler.scale_), chosen


def search(train: Embedded, synthetic: Embedded, val: Embedded, classes: int, seed: int) -> Chosen:
    """Return the grid's best point by worst group on ``val``; ties by balanced accuracy, then the grid's order."""
    embeddings, y = drawn(train, synthetic, part_seed(seed, "search"))
    per_group = int(np.unique(train.groups, return_counts=True)[1].min())
    tried = []
    for choice in grid(classes):
        accuracies = group_accuracies(fit(embeddings, y, choice, classes).predict(val.embeddings), val)
        tried.append(Chosen(choice, float(accuracies.min()), float(accuracies.mean()), per_group))
    return max(tried, key=lambda point: (point.val_worst_group, point.val_balanced))


def grid(classes: int) -> Iterator[Choice]:
    """Yield every C, for two classes with every weight on either class."""
    for c in INVERSE_STRENGTHS:
        yield Choice(c)
        for weight in CLASS_WEIGHTS[1:] if classes == 2 else ():
            yield Choice(c, (1.0, weight))
            yield Choice(c, (weight, 1.0))


def drawn(train: Embedded, synthetic: Embedded, seed: int) -> tuple[Floats, Ints]:
    """Return the embeddings and classes of a group-balanced draw of ``train``, and of all of ``synthetic``."""
    rows = balanced_rows(train.groups, seed)
    return (
        np.concatenate([train.embeddings[rows], synthetic.embeddings]),
        np.concatenate([train.y[rows], synthetic.y]),
    )


def balanced_rows(groups: Ints, seed: int) -> Ints:
    """Return rows without repetition, as many of every group as the smallest has, in the order of the groups."""
    generator = np.random.default_rng(seed)
    names, counts = np.unique(groups, return_counts=True)
    rows = [generator.permutation(np.flatnonzero(groups == name))[: counts.min()] for name in names]
    return np.concatenate(rows).astype(np.int64)


def fit(embeddings: Floats, y: Ints, choice: Choice, classes: int) -> LinearHead:
    """Return L1 logistic regression as one logit a class: of two classes half the margin each way, so that their
    softmax is the regression's probability; of more, one against the rest."""
    if classes == 2:
        margin = _regression(embeddings, y, choice)
        weight, bias = margin.coef_[0] / 2, margin.intercept_[0] / 2
        return LinearHead(np.stack([-weight, weight]), np.array([-bias, bias]))
    rest = [_regression(embeddings, (y == number).astype(np.int64), choice) for number in range(classes)]
    return LinearHead(np.stack([model.coef_[0] for model in rest]), np.array([model.intercept_[0] for model in rest]))


def group_accuracies(predicted: Ints, split: Embedded) -> Floats:
    """Return the accuracy of every group of ``split`` in the order of the groups, float64 [groups]."""
    right = predicted == split.y
    return np.array([right[split.groups == group].mean() for group in np.unique(split.groups)])


def unscaled(head: LinearHead, mean: Floats, scale: Floats) -> LinearHead:
    """Return the head that gives for ``x`` what ``head`` gives for ``(x - mean) / scale``."""
    weight = head.weight / scale
    return LinearHead(weight, head.bias - weight @ mean)


def numbered(names: Sequence[str]) -> Ints:
    """Return the number of each name among the distinct ones in alphabetical order, int64 [N]."""
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1].astype(np.int64)


def _regression(embeddings: Floats, y: Ints, choice: Choice) -> Any:
    weights = dict(enumerate(choice.class_weights))
    return LogisticRegression(
        l1_ratio=1.0, solver="liblinear", C=choice.c, class_weight=weights, max_iter=MAX_ITERATIONS, random_state=0
    ).fit(embeddings, y)


def _scaled(scaler: Any, part: Embedded) -> Embedded:
    return Embedded(scaler.transform(part.embeddings), part.y, part.groups) if len(part.y) else part
