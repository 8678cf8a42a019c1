"""The G-detector: how well real and synthetic pictures of a group can be told apart (docs/methods.md#g-detector).

A logistic regression on CLIP embeddings is asked by five-fold cross-validation; an AUC of 0.5 means that it can't tell,
1 that every picture gives itself away. What a simple probe can tell, a shortcut can be made of. It is taken where real
pictures were scored (``pipeline/synthesis/calibrate.py``), so it costs no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairshards.catalogs.manifests import places
from fairshards.catalogs.manifests.identity import task_hash
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.planned import Planned
from fairshards.pipeline.run.quota import Group
from fairshards.pipeline.synthesis.calibrate import CalibrationSets
from fairshards.pipeline.synthesis.decide import Candidate
from fairshards.trainers.evaluation.intervals import auroc
from fairshards.transforms.shards import embeddings

FEWEST = 10
"""Pictures of either kind, below which nothing is said of a group."""
FOLDS = 5


def commit_g_detector(
    name: str,
    recipe: Planned,
    kept: Sequence[Candidate],
    sets: CalibrationSets,
    scores: Mapping[str, str],
    folder: RunFolder,
) -> dict[str, str]:
    """Commit the audit of a curation whose kept samples these are; ``scores`` are its score manifests."""
    if not sets.seen:
        return {}
    seen = embeddings.of_manifests(folder.root / file for file in scores)
    rows = [{"curation_id": name, **_row(recipe, group, kept, seen, sets)} for group in recipe.groups]
    inputs = [*scores.values(), *sets.manifests.values()]
    ids = [one.sample["sample_id"] for one in kept]
    file = f"{places.CURATED}{name}/g-detector.parquet"
    hashed = task_hash("g_detector", "g-detector/1", ids, inputs)
    return {file: folder.commit(file, "g_detector", name, rows, task_hash=hashed, inputs=inputs).content_sha256}


def _row(
    recipe: Planned, group: Group, kept: Sequence[Candidate], seen: Mapping[str, Any], sets: CalibrationSets
) -> dict[str, Any]:
    real = sets.seen[group].rows if group in sets.seen else []
    made = [seen[one.sample["sample_id"]] for one in kept if one.group == group and one.sample["sample_id"] in seen]
    row: dict[str, Any] = {"group_name": recipe.group_name(*group), "real": len(real), "synthetic": len(made)}
    if min(len(real), len(made)) < FEWEST:
        return {**row, "note": f"fewer than {FEWEST} real or synthetic pictures"}
    area, low, high = told_apart(np.asarray(real), np.stack(made))
    return {**row, "auc": area, "low": low, "high": high}


def told_apart(real: Any, synthetic: Any) -> tuple[float, float, float]:
    """Return the AUC with which held-out (n, d) and (m, d) embeddings are told apart, with its 95% interval."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = np.concatenate([real, synthetic]).astype(np.float64)
    is_synthetic = np.arange(len(features)) >= len(real)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(probe, features, is_synthetic, cv=folds, method="decision_function")
    return auroc(scores[is_synthetic].tolist(), scores[~is_synthetic].tolist())
