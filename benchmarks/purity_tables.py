"""What the labels say: how well each statistic ranks pictures off support, and what filters make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.hallucination import separation

Bools = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]
RETAIN = 0.96


@dataclass(frozen=True)
class Labelled:
    """Labelled samples (n): their groups, whether CLIP's judge keeps them, whether they are off support, and whether
    they belong to the half that chooses.
    """

    groups: npt.NDArray[np.str_]
    judged: Bools
    off: Bools
    choosing: Bools


def within_groups(values: Values, labelled: Labelled) -> Values:
    """Return each value's rank among the samples of its group that the judge keeps, in [0, 1]."""
    ranks = np.zeros(len(values))
    for group in np.unique(labelled.groups):
        mine = labelled.groups == group
        compared = np.sort(values[mine & labelled.judged])
        ranks[mine] = np.searchsorted(compared, values[mine], side="right") / len(compared)
    return ranks


def ranking(statistics: Mapping[str, Values], labelled: Labelled) -> Iterator[dict[str, Any]]:
    """Yield a row for each statistic: AUROC and what is removed at 96% of the good, in each half, of judged samples."""
    for name, values in statistics.items():
        ranks = within_groups(values, labelled)
        row: dict[str, Any] = {"statistic": name}
        for half, which in (("choose", labelled.choosing), ("test", ~labelled.choosing)):
            mine = which & labelled.judged
            found = separation(ranks[mine], labelled.off[mine])
            row |= {f"{half}_{key}": value for key, value in vars(found).items()}
        yield row


def kept_at(values: Values, labelled: Labelled, retain: float) -> Bools:
    """Tell what the filter keeps: judged, and at most the ``retain`` quantile of the judged of its group."""
    kept = labelled.judged.copy()
    for group in np.unique(labelled.groups):
        mine = labelled.judged & (labelled.groups == group)
        kept[mine] = values[mine] <= np.quantile(values[mine], retain)
    return kept
