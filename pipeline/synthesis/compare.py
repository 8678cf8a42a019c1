"""Scores of samples compared with other pictures, from what scoring left beside its manifests: no model is loaded.

Near-duplicates are found by embeddings, within a group and against real pictures; shapes off support by silhouettes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fairshards.catalogs.manifests import places
from fairshards.catalogs.manifests.identity import TASK_DIGITS, task_hash
from fairshards.filters.pictures import silhouette
from fairshards.filters.pictures.near_duplicates import (
    GROUP_SCORE,
    REAL_SCORE,
    NearDuplicates,
    Nearest,
    nearest_earlier,
    nearest_of,
)
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.quota import Group
from fairshards.pipeline.synthesis.calibrate import Real
from fairshards.pipeline.synthesis.decide import Candidate
from fairshards.pipeline.synthesis.pool import Pool
from fairshards.transforms.shards import embeddings

Scores = dict[str, Nearest | None]
Compare = Callable[[Sequence[str], Any, Sequence[Real]], Iterator[Scores]]
"""From a group's ids, their rows and the class's real pictures to the scores of each sample."""


@dataclass(frozen=True)
class Comparison:
    """What a filter's scores are made of: ``kind`` names the stored rows, ``title`` the manifest."""

    title: str
    version: str
    kind: str
    compare: Compare


def _duplicates(names: Sequence[str], rows: Any, real: Sequence[Real]) -> Iterator[Scores]:
    others = np.concatenate([rows[:0], *(one.rows for one in real)])
    ids = [each for one in real for each in one.names]
    pairs = zip(nearest_earlier(rows, names), nearest_of(rows, others, ids), strict=True)
    yield from ({GROUP_SCORE: earlier, REAL_SCORE: real_one} for earlier, real_one in pairs)


def _silhouettes(_: Sequence[str], rows: Any, real: Sequence[Real]) -> Iterator[Scores]:
    others = np.concatenate([rows[:0], *(one.silhouettes for one in real if one.silhouettes is not None)])
    ids = [each for one in real if one.silhouettes is not None for each in one.names]
    yield from ({silhouette.SCORE: nearest} for nearest in silhouette.nearest_silhouettes(rows, others, ids))


COMPARISONS = {
    NearDuplicates.name: Comparison("duplicates", "duplicates/1", embeddings.KEY, _duplicates),
    silhouette.Silhouette.name: Comparison("silhouettes", "silhouettes/1", embeddings.SILHOUETTES, _silhouettes),
}
"""By the filter that decides over the scores."""
PLACES = tuple(f"{places.SCORES}{one.title}-" for one in COMPARISONS.values())


def add_compared_scores(recipe: Recipe, pool: Pool, folder: RunFolder) -> None:
    """Give the pool's candidates the scores that the recipe's filters compare other pictures for.

    They depend on other samples or on real pictures, so they are manifests of their own, which later rounds replace.
    """
    for name, one in COMPARISONS.items():
        if name in recipe.filters and pool.candidates:
            _add(one, pool, folder)


def _add(one: Comparison, pool: Pool, folder: RunFolder) -> None:
    place = f"{places.SCORES}{one.title}-"
    pool.manifests = {name: sha for name, sha in pool.manifests.items() if not name.startswith(place)}
    scored = [name for name in pool.scores if not name.startswith(PLACES)]
    inputs = [*(pool.manifests[name] for name in scored), *pool.sets.manifests.values()]
    seen = embeddings.of_manifests((folder.root / name for name in scored), one.kind)
    found = dict(_scores(one, pool.candidates, seen, pool.sets.seen))
    rows = [
        {"sample_id": sample, "score": score, "value": value, "label": label, "status": "ok"}
        for sample, scores in found.items()
        for score, (value, label) in scores.items()
    ]
    hashed = task_hash("score", one.version, list(found), inputs)
    name = f"{place}{hashed[:TASK_DIGITS]}.parquet"
    head = folder.commit(name, "score", one.title, rows, task_hash=hashed, inputs=inputs)
    pool.manifests[name] = head.content_sha256
    pool.candidates = [_with(each, found.get(each.sample["sample_id"], {})) for each in pool.candidates]


def _with(candidate: Candidate, scores: Mapping[str, Nearest]) -> Candidate:
    values = {name: value for name, (value, _) in scores.items()}
    labels = {name: label for name, (_, label) in scores.items()}
    return replace(candidate, scores={**candidate.scores, **values}, labels={**candidate.labels, **labels})


def _scores(
    one: Comparison, candidates: Sequence[Candidate], seen: Mapping[str, Any], real: Mapping[Group, Real]
) -> Iterator[tuple[str, dict[str, Nearest]]]:
    """Yield each picture's id and scores, group by group, in the order of the replicates."""
    groups: dict[Any, list[Candidate]] = {}
    for each in sorted(candidates, key=lambda each: (each.group, each.sample["replicate"], each.sample["sample_id"])):
        if each.sample["sample_id"] in seen:
            groups.setdefault(each.group, []).append(each)
    for (y, _), own in groups.items():
        names = [each.sample["sample_id"] for each in own]
        rows = np.stack([seen[name] for name in names])
        same = [found for (own_class, _), found in real.items() if own_class == y]
        for name, scores in zip(names, one.compare(names, rows, same), strict=True):
            yield name, {score: nearest for score, nearest in scores.items() if nearest is not None}
