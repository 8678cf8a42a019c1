"""Tables of an evaluation's measurements, for pages: utility, fairness, label rates, columns, importance."""

from __future__ import annotations

from collections.abc import Sequence

from fairshards.pipeline.records.evaluation import REAL, REWEIGHED, SYNTHETIC, metric_of
from fairshards.pipeline.report.reader import Row
from fairshards.trainers.evaluation.cohort_learners import LEARNERS

TABLES = (REAL, REWEIGHED, SYNTHETIC)
MOST = 12
"""Columns whose importance is shown."""


def utility_rows(rows: Sequence[Row]) -> list[Row]:
    """Return a row per learner and table: AUROC with its interval, AUPRC, F1, accuracy."""
    found = []
    for learner in LEARNERS:
        for trained_on in TABLES:
            names = ("auroc", "auprc", "f1", "accuracy")
            one = {name: metric_of(rows, name, trained_on, learner=learner) for name in names}
            if one["auroc"]:
                found.append({"learner": learner, "trained_on": trained_on, **one})
    return found


def fairness_tables(rows: Sequence[Row]) -> list[Row]:
    """Return, per protected attribute, differences by learner and table, and every compared group's gaps."""
    found = []
    for attribute in dict.fromkeys(row["attribute"] for row in rows if row["aspect"] == "fairness" and row["learner"]):
        own = [row for row in rows if row["aspect"] == "fairness" and row["attribute"] == attribute]
        lines: list[Row] = []
        for learner in LEARNERS:
            for trained_on in TABLES:
                said = {"learner": learner}
                differences = {
                    name: metric_of(own, name, trained_on, **said)
                    for name in ("demographic_parity_difference", "equalized_odds_difference", "bias_amplification")
                }
                gaps = [
                    row
                    for row in own
                    if row["metric"] == "tpr_gap"
                    and row["trained_on"] == trained_on
                    and row["learner"] == learner
                    and row["value"] is not None
                ]
                if differences["demographic_parity_difference"]:
                    lines.append({"learner": learner, "trained_on": trained_on, **differences, "gaps": gaps})
        small = sorted({row["group_name"] for row in own if row["value"] is None and row["group_name"]})
        found.append(
            {
                "attribute": attribute,
                "rows": lines,
                "small": small,
                "groups": sorted({gap["group_name"] for line in lines for gap in line["gaps"]}),
            }
        )
    return found


def label_rates(rows: Sequence[Row]) -> list[Row]:
    """Return, per attribute and group, the label's rate among real and synthetic training rows."""
    own = [row for row in rows if row["metric"] == "label_rate"]
    keys = dict.fromkeys((row["attribute"], row["group_name"]) for row in own)
    return [
        {
            "attribute": attribute,
            "group": group,
            **{
                table: metric_of(own, "label_rate", table, attribute=attribute, group_name=group)
                for table in (REAL, SYNTHETIC)
            },
        }
        for attribute, group in keys
    ]


def column_rows(rows: Sequence[Row]) -> list[Row]:
    """Return a row per column: its distance from training rows, synthetic and of test rows, and what is missing."""
    found = []
    for row in rows:
        kind, _, column = row["metric"].partition(":")
        if row["aspect"] == "fidelity" and kind in ("ks", "jsd") and row["trained_on"] == SYNTHETIC:
            found.append(
                {
                    "column": column,
                    "kind": kind,
                    "value": row["value"],
                    "floor": (metric_of(rows, row["metric"], REAL) or {}).get("value"),
                    "missing": (metric_of(rows, f"missing:{column}", SYNTHETIC) or {}).get("value"),
                }
            )
    return sorted(found, key=lambda one: -(one["value"] or 0))


def importance_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the columns that matter most to either learner, and what each tells of S."""
    columns = {row["metric"].partition(":")[2] for row in rows if row["metric"].startswith("auroc_drop:")}
    found = []
    for column in columns:
        drops = {table: metric_of(rows, f"auroc_drop:{column}", table) for table in (REAL, SYNTHETIC)}
        told = {table: metric_of(rows, f"bits_of_s:{column}", table) or {} for table in (REAL, SYNTHETIC)}
        bits = {table: row.get("value") for table, row in told.items()}
        found.append({"column": column, "drops": drops, "bits": bits})
    found.sort(key=lambda one: -max(drop["value"] for drop in one["drops"].values() if drop))
    return found[:MOST]
