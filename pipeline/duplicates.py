"""Scores of near-duplicates, from the embeddings that scoring left: within a group, and against real pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from catalogs.identity import TASK_DIGITS, task_hash
from filters.near_duplicates import GROUP_SCORE, REAL_SCORE, NearDuplicates, Nearest, nearest_earlier, nearest_of
from pipeline.calibrating import Real
from pipeline.curation import Candidate
from pipeline.pool import Pool
from pipeline.quota import Group
from pipeline.recipe import Recipe
from pipeline.runfolder import RunFolder
from transforms import embeddings

NAME = "scores/duplicates-"
VERSION = "duplicates/1"


def add_duplicate_scores(recipe: Recipe, pool: Pool, folder: RunFolder) -> None:
    """Give the pool's candidates the scores that ``near_duplicates`` decides by, where the recipe has that filter.

    They depend on all samples of a group, so they are a manifest of their own, which later rounds replace.
    """
    if NearDuplicates.name not in recipe.filters or not pool.candidates:
        return
    pool.manifests = {name: sha for name, sha in pool.manifests.items() if not name.startswith(NAME)}
    inputs = [*pool.scores.values(), *pool.sets.manifests.values()]
    seen = embeddings.of_manifests(folder.root / name for name in pool.scores)
    found = dict(_scores(pool.candidates, seen, pool.sets.seen))
    rows = [{"sample_id": sample, "score": score, "value": value, "label": label, "status": "ok"}
            for sample, scores in found.items() for score, (value, label) in scores.items()]  # fmt: skip
    hashed = task_hash("score", VERSION, list(found), inputs)
    name = f"{NAME}{hashed[:TASK_DIGITS]}.parquet"
    head = folder.commit(name, "score", "duplicates", rows, task_hash=hashed, inputs=inputs)
    pool.manifests[name] = head.content_sha256
    pool.candidates = [_with(one, found.get(one.sample["sample_id"], {})) for one in pool.candidates]


def _with(candidate: Candidate, scores: Mapping[str, Nearest]) -> Candidate:
    values = {name: value for name, (value, _) in scores.items()}
    labels = {name: label for name, (_, label) in scores.items()}
    return replace(
        candidate, scores={**candidate.scores, **values}, labels={**candidate.labels, **labels}
    )


def _scores(
    candidates: Sequence[Candidate], seen: Mapping[str, Any], real: Mapping[Group, Real]
) -> Iterator[tuple[str, dict[str, Nearest]]]:
    """Yield each picture's id and scores, group by group, in the order of the replicates."""
    groups: dict[Any, list[Candidate]] = {}
    for one in sorted(candidates, key=lambda one: (one.group, one.sample["replicate"], one.sample["sample_id"])):
        if one.sample["sample_id"] in seen:
            groups.setdefault(one.group, []).append(one)
    for (y, _), own in groups.items():
        names = [one.sample["sample_id"] for one in own]
        rows = np.stack([seen[name] for name in names])
        same = [one for (own_class, _), one in real.items() if own_class == y]
        others = np.concatenate([rows[:0], *(one.rows for one in same)])
        ids = [each for one in same for each in one.names]
        pairs = zip(names, nearest_earlier(rows, names), nearest_of(rows, others, ids), strict=True)
        for name, earlier, real_one in pairs:
            both = {GROUP_SCORE: earlier, REAL_SCORE: real_one}
            yield name, {score: nearest for score, nearest in both.items() if nearest is not None}
