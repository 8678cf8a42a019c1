"""The report's sections of health records, from the catalog alone. No patient's row is in any of them."""

from __future__ import annotations

from collections.abc import Sequence

from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records.described import recipe_lines
from fairshards.pipeline.records.evaluation import REAL, SYNTHETIC, metric_of
from fairshards.pipeline.records.measured import (
    column_rows,
    fairness_tables,
    importance_rows,
    label_rates,
    utility_rows,
)
from fairshards.pipeline.report.pages import Facts, RunView, Section
from fairshards.pipeline.report.reader import Row
from fairshards.pipeline.report.summary import accept_table, resolved_yaml, shortfalls, totals

View = RunView[EhrRecipe]
FIDELITY = (
    "discriminative_score",
    "discriminative_auroc",
    "correlation_difference",
    "subgroup_jsd",
    "smallest_subgroup_ratio",
)
FLOOR = ("correlation_difference", "subgroup_jsd")
PRIVACY = (
    "copies",
    "train_copies",
    "held_out_copies",
    "memorisation",
    "membership_auc",
    "nearest_train",
    "nearest_held_out",
)


def _evaluations(view: View) -> list[Row]:
    return view.reader.rows("evaluations") if view.reader.curation else []


def _metrics(view: View, names: Sequence[str], trained_on: str) -> dict[str, Row | None]:
    rows = view.once(_evaluations)
    return {name: metric_of(rows, name, trained_on) for name in names}


def _headline(view: View) -> Facts:
    rows = view.once(_evaluations)
    return {
        "utility": utility_rows(rows),
        "fairness": fairness_tables(rows),
        "fidelity": _metrics(view, FIDELITY, SYNTHETIC),
        "privacy": _metrics(view, PRIVACY, SYNTHETIC),
        "totals": totals(view.balance),
        "attribute": view.recipe.cohort.attribute,
    }


def _run(view: View) -> Facts:
    model = view.reader.row("row_model")
    return {
        "lines": recipe_lines(view.recipe, view.reader, model),
        "log": _log(view.reader.rows("row_log", model=model.get("model_id", ""))),
        "resolved": resolved_yaml(view.recipe),
    }


def _utility(view: View) -> Facts:
    return {"utility": utility_rows(view.once(_evaluations))}


def _fairness(view: View) -> Facts:
    rows = view.once(_evaluations)
    return {"fairness": fairness_tables(rows), "label_rates": label_rates(rows)}


def _balance(view: View) -> Facts:
    quotas = {quota["group"]: int(quota["extra"]) for quota in view.settings.get("quotas") or ()}
    return {
        "balance": [{**row, "quota": quotas.get(row["group_name"])} for row in view.balance],
        "shortfalls": shortfalls(view.settings, view.balance),
    }


def _fidelity(view: View) -> Facts:
    return {
        "columns": column_rows(view.once(_evaluations)),
        "fidelity": _metrics(view, FIDELITY, SYNTHETIC),
        "floor": _metrics(view, FLOOR, REAL),
    }


def _privacy(view: View) -> Facts:
    return {"privacy": _metrics(view, PRIVACY, SYNTHETIC)}


def _importance(view: View) -> Facts:
    return {"importance": importance_rows(view.once(_evaluations)), "attribute": view.recipe.cohort.attribute}


def _filters(view: View) -> Facts:
    return {"accept": accept_table(view.reader, view.filters, []), "reasons": view.reader.rows("reasons")}


def _next(view: View) -> Facts:
    return {"example": str(view.reader.row("an_id").get("sample_id", "SAMPLE"))[:8]}


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


HEADLINE = Section("", "", "records/headline.html.jinja", _headline)
SECTIONS = (
    Section("run", "What was run", "records/run.html.jinja", _run),
    Section("utility", "Utility", "records/utility.html.jinja", _utility),
    Section("fairness", "Fairness", "records/fairness.html.jinja", _fairness),
    Section("balance", "Sub-groups", "records/balance.html.jinja", _balance),
    Section("fidelity", "Fidelity", "records/fidelity.html.jinja", _fidelity),
    Section("privacy", "Privacy", "records/privacy.html.jinja", _privacy),
    Section("importance", "What learners use", "records/importance.html.jinja", _importance),
    Section("filters", "Filters", "records/filters.html.jinja", _filters),
    Section("next", "Where to go next", "records/next.html.jinja", _next),
)
