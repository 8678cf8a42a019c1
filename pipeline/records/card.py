"""The dataset card of synthetic health records: Parquet shards, and one record set over their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairshards.catalogs.cohorts.cohort import own_column
from fairshards.catalogs.cohorts.schema import Column, Schema
from fairshards.catalogs.manifests import manifest, places
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records.described import recipe_lines
from fairshards.pipeline.records.evaluation import REAL, SYNTHETIC, metric_of
from fairshards.pipeline.report.card import field
from fairshards.pipeline.report.pages import Card, Facts, RunView
from fairshards.pipeline.report.reader import Row
from fairshards.pipeline.report.summary import totals
from fairshards.trainers.evaluation.cohort_learners import LEARNERS
from fairshards.transforms.records.shard import ID

View = RunView[EhrRecipe]
KINDS = {"numeric": "sc:Float", "integer": "sc:Integer", "category": "sc:Text"}


def _schema(view: View) -> Schema:
    name = next(name for name in view.folder.current() if name.startswith(places.COHORT))
    return Schema.from_json(manifest.read_head(view.folder.root / name).settings["schema"])


def _description(view: View) -> str:
    schema, recipe = view.once(_schema), view.recipe
    fair = {"none": "", "parity": " under demographic parity", "odds": " under equalised odds"}[recipe.model.constraint]
    return (
        f"Synthetic records in the likeness of {schema.name}, with the label {schema.label}, drawn by a "
        f"Bt-GAN{fair} by {recipe.cohort.attribute} and filtered by fairshards."
    )


def _configs(view: View, shards: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the only configuration."""
    path = f"{places.CURATED}{view.reader.curation}/synthetic-[0-9]*.parquet"
    return [{"config_name": "synthetic", "default": True, "data_files": [{"split": "train", "path": path}]}]


def _facts(view: View, shards: Sequence[Row]) -> Facts:
    schema, attribute = view.once(_schema), view.recipe.cohort.attribute
    return {
        "label": schema.label,
        "attribute": attribute,
        "real": totals(view.balance).real,
        "columns": [_column(column) for column in schema.columns],
        "first": shards[0]["path"],
        "measured": _measured(view.reader.rows("evaluations"), attribute),
        "lines": recipe_lines(view.recipe, view.reader, view.reader.row("row_model")),
        "source": schema.source or "not stated",
        "key": own_column(schema, ID),
    }


def _inside(view: View, shards: Sequence[Row]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return all shards as one set of files, and the record set over their columns."""
    schema = view.once(_schema)
    rows = {
        "@type": "cr:FileSet",
        "@id": "rows",
        "name": "rows",
        "encodingFormat": "application/x-parquet",
        "includes": "*.parquet",
        "containedIn": [{"@id": row["path"]} for row in shards],
    }
    key = own_column(schema, ID)
    columns = {key: "sc:Text", **{column.name: KINDS[column.kind] for column in schema.columns}}
    fields = [
        field(f"records/{name}", name, kind, {"fileSet": {"@id": "rows"}, "extract": {"column": name}})
        for name, kind in columns.items()
    ]
    records = {
        "@type": "cr:RecordSet",
        "@id": "records",
        "name": "records",
        "key": {"@id": f"records/{key}"},
        "field": fields,
    }
    return [rows], [records]


def _column(column: Column) -> Row:
    bounds = [f"{value:g}" if value is not None else "" for value in (column.low, column.high)]
    values = ", ".join(column.categories) if column.kind == "category" else " to ".join(bounds) if any(bounds) else ""
    return {"name": column.name, "kind": column.kind, "range": values, "unit": column.unit, "meaning": column.meaning}


def _measured(rows: Sequence[Row], attribute: str) -> list[str]:
    """Return the evaluation's headlines; one line that there is none, where there is none."""
    headlines = []
    for learner in LEARNERS:
        both = [metric_of(rows, "auroc", table, learner=learner) for table in (SYNTHETIC, REAL)]
        odds = [
            metric_of(rows, "equalized_odds_difference", table, learner=learner, attribute=attribute)
            for table in (SYNTHETIC, REAL)
        ]
        if both[0] and both[1]:
            areas = " and ".join(f"{area['value']:.3f}" for area in both if area)
            headlines.append(f"{learner}: AUROC {areas}, trained on these rows and on the real ones")
        if odds[0] and odds[1] and odds[0]["value"] is not None and odds[1]["value"] is not None:
            headlines.append(
                f"{learner}: equalised odds difference by {attribute} {odds[0]['value']:.3f}, real "
                f"{odds[1]['value']:.3f}"
            )
    for metric, words in (
        ("discriminative_score", "discriminative score (0.5: always told from real rows)"),
        ("copies", "copies of a training row"),
        ("membership_auc", "membership attack, AUROC"),
    ):
        if measured := metric_of(rows, metric, SYNTHETIC):
            headlines.append(f"{words}: {measured['value']:.3g}")
    return headlines or ["not evaluated yet: fairshards evaluate"]


CARD = Card(
    "records/card.md.jinja",
    ".parquet",
    _description,
    ("tabular-classification",),
    ("synthetic", "tabular", "fairshards", "fairness"),
    _configs,
    _facts,
    _inside,
)
