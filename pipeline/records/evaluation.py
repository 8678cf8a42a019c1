"""The evaluation stage: is a synthetic cohort useful, fair, like the real one, and private? Rows for the catalog.

Every number is measured on test rows that neither the generator nor a learner saw. Beside "synthetic" stand "real", the
training rows themselves, and "real reweighed", the cheapest way to fairness (Kamiran and Calders): underfitting looks
fair, so fairness means something at matched utility alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.inspection import permutation_importance
from sklearn.metrics import average_precision_score, f1_score, mutual_info_score

from fairshards.catalogs.cohorts.schema import Schema
from fairshards.catalogs.cohorts.unquoted import unquoted
from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import TASK_DIGITS, task_hash
from fairshards.generators.tables.encoding import MISSING, TableEncoding
from fairshards.generators.tables.record_space import RecordSpace
from fairshards.pipeline.recipe.records import EhrRecipe, Evaluation, PlantedBias
from fairshards.pipeline.records.cohort import CohortResult
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.synthesis.curate import Curated
from fairshards.trainers.evaluation.cohort_learners import (
    LEARNERS,
    Learner,
    features,
    labels,
    predict,
    reweighing,
    train,
)
from fairshards.trainers.evaluation.fairness import at_rate, fairness
from fairshards.trainers.evaluation.fidelity import (
    column_distances,
    correlation_difference,
    discriminative,
    missing_differences,
    subgroups,
)
from fairshards.trainers.evaluation.intervals import auroc
from fairshards.trainers.evaluation.privacy import privacy
from fairshards.transforms.records.shard import read_frame

VERSION = "evaluate/1"
REAL, REWEIGHED, SYNTHETIC = "real", "real reweighed", "synthetic"
BINS = 10
Row = dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """A learner that was trained on one table: its scores of the test rows, and the base rate of that table."""

    on: str
    learner: Learner
    model: Any
    scores: NDArray[np.float64]
    share: float

    @property
    def said(self) -> Row:
        """Its columns in every row."""
        return {"trained_on": self.on, "learner": self.learner}


@dataclass(frozen=True)
class Tables:
    """What an evaluation compares: one schema, three tables, and the columns that learners may see."""

    schema: Schema
    attribute: str
    train: pd.DataFrame
    test: pd.DataFrame
    synthetic: pd.DataFrame
    columns: tuple[str, ...]

    @cached_property
    def trained(self) -> list[Trained]:
        """Every learner on every table, trained once."""
        y, s = labels(self.schema, self.train), self.train[self.attribute].to_numpy(object)
        tables = {
            REAL: (self.train, None),
            REWEIGHED: (self.train, reweighing(y, s)),
            SYNTHETIC: (self.synthetic, None),
        }
        found = []
        for name, (rows, weights) in tables.items():
            for learner in LEARNERS:
                model = train(learner, self.schema, rows, self.columns, weights=weights)
                scores = predict(model, self.schema, self.test, self.columns)
                found.append(Trained(name, learner, model, scores, float(labels(self.schema, rows).mean())))
        return found


@unquoted("evaluating")
def evaluation_stage(run: Run[EhrRecipe], cohort: CohortResult, curated: Curated) -> Path:
    """Measure, or look up what was measured of this curation; return the path of the manifest, which is current."""
    recipe, folder, report = run.recipe, run.folder, run.report
    settings = recipe.evaluation.model_dump()
    inputs = [*cohort.manifests.values(), curated.manifests[curated.index]]
    task = task_hash("evaluate", VERSION, [], inputs, {**settings, "rows": cohort.train_sha256})
    identity = task[:TASK_DIGITS]
    name = f"{places.EVALUATION}{identity}/metrics.parquet"
    found = folder.committed(name, task)
    if found is None:
        synthetic = curated_rows(folder, curated, cohort.schema)
        tables = Tables(
            cohort.schema,
            cohort.attribute,
            cohort.rows("train"),
            cohort.rows("test"),
            synthetic,
            visible_columns(cohort.schema, cohort.attribute, recipe.cohort.plant),
        )
        report.say(f"evaluating {len(tables.synthetic)} synthetic rows on {len(tables.test)} test rows")
        started, parts = time.time(), [0]
        with report.watch("evaluating", len(ASPECTS), lambda: parts[0]):
            rows = []
            for number, (aspect, measure) in enumerate(ASPECTS.items(), start=1):
                rows += [
                    {"evaluation_id": identity, "curation_id": curated.curation_id, "aspect": aspect, **row}
                    for row in measure(tables, recipe.evaluation)
                ]
                parts[0] = number
        clean = [{key: _number(value) for key, value in row.items()} for row in rows]
        found = folder.commit(
            name,
            "evaluate",
            identity,
            clean,
            task_hash=task,
            inputs=inputs,
            settings={**settings, "seconds": round(time.time() - started, 1)},
        )
    run.current[name] = found.content_sha256
    return folder.root / name


def curated_rows(folder: RunFolder, curated: Curated, schema: Schema) -> pd.DataFrame:
    """Return the rows of a curation's Parquet shards, in the order of its index."""
    home = folder.root / "curated" / curated.curation_id
    rows = manifest.read_rows(folder.root / curated.index)[1]
    shards = dict.fromkeys(row["shard"] for row in rows)
    return pd.concat([read_frame((home / shard).read_bytes(), schema) for shard in shards], ignore_index=True)


def visible_columns(schema: Schema, attribute: str, plant: PlantedBias | None) -> tuple[str, ...]:
    """Return the columns that learners see: all features; without S itself where a planted proxy stands in for it."""
    hidden = attribute if plant and plant.proxy is not None else None
    return tuple(name for name in schema.features if name != hidden)


def _utility(tables: Tables, settings: Evaluation) -> Iterator[Row]:
    """AUROC (DeLong's interval), AUPRC, and F1 and accuracy at the base-rate threshold, of every learner and table."""
    y = labels(tables.schema, tables.test)
    for one in tables.trained:
        said = {**one.said, "n": len(y)}
        scores, predicted = one.scores, at_rate(one.scores, one.share)
        area, low, high = auroc(scores[y == 1].tolist(), scores[y == 0].tolist())
        yield {**said, "metric": "auroc", "value": area, "low": low, "high": high}
        yield {**said, "metric": "auprc", "value": float(average_precision_score(y, scores))}
        yield {**said, "metric": "f1", "value": float(f1_score(y, predicted))}
        yield {**said, "metric": "accuracy", "value": float((predicted == y).mean())}


def _fairness(tables: Tables, settings: Evaluation) -> Iterator[Row]:
    """Parity, odds and signed gaps by every protected attribute; bias amplification; label rates."""
    y = labels(tables.schema, tables.test)
    parity: dict[tuple[str, Learner, str], float] = {}
    for model in tables.trained:
        predicted = at_rate(model.scores, model.share)
        for attribute in tables.schema.protected:
            s = tables.test[attribute].fillna(MISSING).to_numpy(object)
            for one in fairness(y, predicted, s, settings.fewest, settings.bootstrap):
                floor = f"floor {one.floor[0]:.3f}, 95% {one.floor[1]:.3f}" if one.floor else None
                yield {
                    **model.said,
                    "attribute": attribute,
                    "metric": one.metric,
                    "group_name": one.group,
                    "value": one.value,
                    "low": one.low,
                    "high": one.high,
                    "n": one.n,
                    "note": "; ".join(filter(None, (one.note, floor))) or None,
                }
                if one.metric == "demographic_parity_difference":
                    parity[model.on, model.learner, attribute] = one.value
    for (trained_on, learner, attribute), value in parity.items():
        if trained_on == SYNTHETIC:
            yield {
                "trained_on": trained_on,
                "learner": learner,
                "attribute": attribute,
                "metric": "bias_amplification",
                "value": value - parity[REAL, learner, attribute],
                "note": "demographic parity difference, synthetic minus real",
            }
    for trained_on, rows in ((REAL, tables.train), (SYNTHETIC, tables.synthetic)):
        positive = labels(tables.schema, rows)
        for attribute in tables.schema.protected:
            s = rows[attribute].fillna(MISSING)
            for group in sorted(s.unique()):
                here = (s == group).to_numpy()
                yield {
                    "trained_on": trained_on,
                    "attribute": attribute,
                    "metric": "label_rate",
                    "group_name": group,
                    "value": float(positive[here].mean()),
                    "n": int(here.sum()),
                }


def _fidelity(tables: Tables, settings: Evaluation) -> Iterator[Row]:
    """Columns, correlations, sub-groups and the discriminative score; of real test rows too, which is the floor."""
    schema = tables.schema
    for trained_on, rows in ((REAL, tables.test), (SYNTHETIC, tables.synthetic)):
        said = {"trained_on": trained_on, "n": len(rows)}
        for column, (kind, value) in column_distances(schema, tables.train, rows).items():
            yield {**said, "metric": f"{kind}:{column}", "value": value}
        for column, value in missing_differences(schema, tables.train, rows).items():
            yield {**said, "metric": f"missing:{column}", "value": value, "note": "share missing, minus real"}
        yield {**said, "metric": "correlation_difference", "value": correlation_difference(schema, tables.train, rows)}
        for metric, value in subgroups(schema, tables.attribute, tables.train, rows).items():
            yield {**said, "metric": metric, "value": value, "attribute": tables.attribute}
    score, area, asked = discriminative(schema, tables.test, tables.synthetic)
    yield {
        "trained_on": SYNTHETIC,
        "metric": "discriminative_score",
        "value": score,
        "n": asked,
        "note": "|accuracy - 0.5| of gradient boosting against test rows",
    }
    yield {"trained_on": SYNTHETIC, "metric": "discriminative_auroc", "value": area, "n": asked}


def _privacy(tables: Tables, settings: Evaluation) -> Iterator[Row]:
    """Copies, nearness and a membership attack, against test rows."""
    together = pd.concat([tables.train, tables.test], ignore_index=True)
    space = RecordSpace(TableEncoding.fit(tables.schema, tables.attribute, together))
    found = privacy(space, tables.train, tables.test, tables.synthetic)
    for metric, value in vars(found).items():
        if metric != "n":
            yield {"trained_on": SYNTHETIC, "metric": metric, "value": float(value), "n": found.n}


def _importance(tables: Tables, settings: Evaluation) -> Iterator[Row]:
    """By how much AUROC falls when a column is permuted, and how much each column tells of S (bits, real rows)."""
    y = labels(tables.schema, tables.test)
    x = features(tables.schema, tables.test, tables.columns)
    for one in tables.trained:
        if one.learner != "gradient boosting" or one.on == REWEIGHED:
            continue
        found = permutation_importance(one.model, x, y, scoring="roc_auc", n_repeats=3, random_state=0)
        for column, mean, spread in zip(tables.columns, found.importances_mean, found.importances_std, strict=True):
            yield {
                **one.said,
                "metric": f"auroc_drop:{column}",
                "value": float(mean),
                "low": float(mean - 2 * spread),
                "high": float(mean + 2 * spread),
                "n": len(y),
            }
    for trained_on, rows in ((REAL, tables.train), (SYNTHETIC, tables.synthetic)):
        for column in tables.schema.features:
            if column != tables.attribute:
                yield {
                    "trained_on": trained_on,
                    "attribute": tables.attribute,
                    "metric": f"bits_of_s:{column}",
                    "value": information(rows[column], rows[tables.attribute]),
                    "n": len(rows),
                }


def information(values: pd.Series, s: pd.Series) -> float:
    """Return I(column; S) in bits; a number is cut at its deciles, missing is a value."""
    if pd.api.types.is_numeric_dtype(values):
        binned = pd.qcut(values.astype("float64"), BINS, labels=False, duplicates="drop").fillna(-1)
    else:
        binned = values.fillna(MISSING)
    return float(mutual_info_score(binned, s) / math.log(2))


ASPECTS: Mapping[str, Any] = {
    "utility": _utility,
    "fairness": _fairness,
    "fidelity": _fidelity,
    "privacy": _privacy,
    "importance": _importance,
}


def _number(value: Any) -> Any:
    """Return a value as manifests hold it: NaN has no JSON form."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def metric_of(rows: Sequence[Row], metric: str, trained_on: str, **said: Any) -> Row | None:
    """Return the first row of a metric that says all this."""
    wanted = {"metric": metric, "trained_on": trained_on, **said}
    return next((row for row in rows if all(row.get(name) == value for name, value in wanted.items())), None)
