"""The contract of a scorer: what a filter brings along where no stage of ours takes its score.

The score stage runs it on the workers, after CLIP. What it returns goes into the score manifests and the catalog's
``scores`` as rows of (sample, score, value), so that a new score needs no new column anywhere.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar

from fairshards.plugins import identity, path_of


class Scorer(ABC):
    """Takes scores of samples. A frozen dataclass of plain values, so that it travels to workers.

    Its fields are what decides the scores; a filter's threshold isn't among them, so that another threshold scores
    nothing again.

    Attributes:
        version: Bumped when the same settings would give other scores.
        scores: The names of the scores that it takes.
    """

    version: ClassVar[str] = "1"
    scores: ClassVar[tuple[str, ...]]

    @abstractmethod
    def score(self, samples: Any, plan: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, float | None]]:
        """Return the scores of each sample by name, in order; None where a sample has none.

        Args:
            samples: Of pictures, a list of (height, width, 3) uint8 arrays; of records, a data frame of the rows.
            plan: Each sample's row of the plan (``sample_id``, ``class_name``, ``bias_name``, ``prompt``, ...).
        """

    @property
    def settings(self) -> dict[str, Any]:
        """What decides its scores, for the stage's fingerprint."""
        return {**identity(type(self)), **(asdict(self) if is_dataclass(self) else {})}


def own_scores(
    scorers: Sequence[Scorer], samples: Any, plan: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each sample with a row for each of its scores, as score manifests hold them.

    A value that no manifest can hold makes the sample a reject, ``not_finite``; None gives no row.

    Raises:
        ValueError: a scorer returns scores of another number of samples, or one that it doesn't declare.
    """
    for scorer in scorers if len(plan) else ():
        name, scored = path_of(type(scorer)), list(scorer.score(samples, plan))
        if len(scored) != len(plan):
            raise ValueError(f"{name} returned scores of {len(scored)} samples for {len(plan)}")
        for number, values in enumerate(scored):
            if unknown := sorted(set(values) - set(scorer.scores)):
                raise ValueError(f"{name} returned {unknown}; its scores are {list(scorer.scores)}")
            for score, value in values.items():
                if value is not None:
                    yield number, _row(score, float(value), name)


def _row(score: str, value: float, name: str) -> dict[str, Any]:
    row = {"score": score, "value": value, "label": None, "status": "ok", "reason": None, "detail": None}
    if math.isfinite(value):
        return row
    return {**row, "value": None, "status": "reject", "reason": "not_finite", "detail": f"{name} gave {value}"}
