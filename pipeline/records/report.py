"""The report of a run over health records: report.html, from the catalog alone. No patient's row is in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests.manifest import OWNER_ONLY, write_local
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records.evaluation import REAL, REWEIGHED, SYNTHETIC, metric_of
from fairshards.pipeline.report.page import REPORT, environment
from fairshards.pipeline.report.reader import Reader, Row, curation_settings, open_reader
from fairshards.pipeline.report.summary import accept_table, filter_text, resolved_yaml, shortfalls, totals, versions
from fairshards.pipeline.run.folder import RunFolder, shell_path
from fairshards.trainers.evaluation.cohort_learners import LEARNERS

TABLES = (REAL, REWEIGHED, SYNTHETIC)
MOST = 12


def write_ehr_report(folder: RunFolder, recipe: EhrRecipe) -> Path:
    """Write ``report.html`` into the run folder and return its path. Works at any stage of a run."""
    with open_reader(folder.root) as reader:
        facts = _facts(reader, folder, recipe)
    path = folder.root / REPORT
    write_local(path, environment().get_template("ehr_report.html.jinja").render(facts).encode(), OWNER_ONLY)
    return path


def _facts(reader: Reader, folder: RunFolder, recipe: EhrRecipe) -> dict[str, Any]:
    settings = curation_settings(reader)
    balance = [{**row, "quota": _quota(settings, row)} for row in reader.rows("balance")]
    model = reader.row("row_model")
    rows = reader.rows("evaluations") if reader.curation else []
    return {
        "recipe": recipe,
        "path": shell_path(folder.root),
        "curation": reader.curation,
        "versions": versions(reader),
        "resolved": resolved_yaml(recipe),
        "lines": recipe_lines(recipe, reader, model),
        "balance": balance,
        "totals": totals(balance),
        "shortfalls": shortfalls(settings, balance),
        "accept": accept_table(reader, list(settings.get("filters") or recipe.filters), []),
        "reasons": reader.rows("reasons"),
        "log": _log(reader.rows("row_log", model=model.get("model_id", ""))),
        "utility": utility_rows(rows),
        "fairness": fairness_tables(rows),
        "label_rates": label_rates(rows),
        "fidelity": {
            name: metric_of(rows, name, SYNTHETIC)
            for name in (
                "discriminative_score",
                "discriminative_auroc",
                "correlation_difference",
                "subgroup_jsd",
                "smallest_subgroup_ratio",
            )
        },
        "floor": {name: metric_of(rows, name, REAL) for name in ("correlation_difference", "subgroup_jsd")},
        "privacy": {
            name: metric_of(rows, name, SYNTHETIC)
            for name in (
                "copies",
                "train_copies",
                "held_out_copies",
                "memorisation",
                "membership_auc",
                "nearest_train",
                "nearest_held_out",
            )
        },
        "columns": column_rows(rows),
        "importance": importance_rows(rows),
        "attribute": recipe.cohort.attribute,
        "example": str(reader.row("an_id").get("sample_id", "SAMPLE"))[:8],
    }


def _quota(settings: dict[str, Any], row: Row) -> int | None:
    for quota in settings.get("quotas") or ():
        if quota["group"] == row["group_name"]:
            return int(quota["extra"])
    return None


def recipe_lines(recipe: EhrRecipe, reader: Reader, model: Row) -> list[tuple[str, str]]:
    """Return (term, text) lines about what was run."""
    cohort, said = recipe.cohort, recipe.settings
    counts = "; ".join(f"{row['split']} {row['n']:,}" for row in reader.rows("cohort"))
    plant = cohort.plant
    planted = f"{plant.share:.0%} of the positive labels of {plant.group} turned in training" if plant else ""
    if plant and plant.proxy:
        planted += f"; {cohort.attribute} hidden, a column site agrees with it in {plant.proxy:.0%} of rows"
    constraint = {"none": "none", "parity": "parity: I(Ŷ; S)", "odds": "odds: I(Ŷ; S | Y)"}[said.constraint]
    lines = [
        ("Cohort", f"{cohort.reader}; {counts}"),
        ("Protected attribute S", cohort.attribute),
        *([("Planted bias", planted)] if planted else []),
        ("Constraint", constraint + (f", λ = {said.lam:g}" if said.lam else "")),
        ("Training", f"{said.steps:,} steps, then {said.stage2_steps:,} with weighted sampling; batch {said.batch}"),
        ("Filters", "; ".join(map(filter_text, recipe.filters.items())) or "none"),
        ("Sub-groups", f"{recipe.quota.groups} shares of (y, s)"),
        ("Seed", str(recipe.seed)),
    ]
    if model:
        shown = ", ".join(f"{column} {share:.2f}" for column, share in json.loads(model["proxies"]).items())
        if shown:
            lines.append(
                ("Hidden from the constraint's classifier", f"{shown} (share of S's entropy that a column tells)")
            )
        lines.append(("Model", f"{model['model_id']}, fingerprint {model['fingerprint'][:12]}"))
    return lines


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


def _log(rows: Sequence[Row]) -> Row:
    """Return the training's curves as SVG points in a 640 x 160 box, one polyline a loss."""
    if not rows:
        return {}
    last = max(row["step"] for row in rows)
    names = [name for name in ("discriminator", "generator") if any(row[name] for row in rows)]
    top = max(row[name] for row in rows for name in names) or 1.0
    lines = {
        name: " ".join(f"{640 * row['step'] / last:.1f},{160 - 150 * row[name] / top:.1f}" for row in rows)
        for name in names
    }
    stage2 = min((row["step"] for row in rows if row["stage"] == 2), default=None)
    information = [row["information"] for row in rows]
    return {
        "lines": lines,
        "top": top,
        "last": last,
        "stage2": stage2 and 640 * stage2 / last,
        "information": (information[0], information[-1]) if any(information) else None,
    }
