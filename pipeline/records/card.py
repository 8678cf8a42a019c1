"""The dataset card of synthetic health records: README.md for people, croissant.json for dataset search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from fairshards.catalogs.cohorts.cohort import own_column
from fairshards.catalogs.cohorts.schema import Column, Schema
from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.manifest import OWNER_ONLY, write_local
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records.evaluation import REAL, SYNTHETIC, metric_of
from fairshards.pipeline.records.report import recipe_lines
from fairshards.pipeline.report.card import CONTEXT, CROISSANT, README, card_environment, field, size_category
from fairshards.pipeline.report.reader import Row, curation_settings, open_reader
from fairshards.pipeline.report.summary import shortfalls, totals
from fairshards.pipeline.run.folder import RunFolder, shell_path
from fairshards.trainers.evaluation.cohort_learners import LEARNERS
from fairshards.transforms.records.stages import ID

KINDS = {"numeric": "sc:Float", "integer": "sc:Integer", "category": "sc:Text"}


def write_ehr_card(folder: RunFolder, recipe: EhrRecipe) -> list[Path]:
    """Write README.md and croissant.json into the run folder and return their paths; none without kept rows."""
    with open_reader(folder.root) as reader:
        shards = [row for row in reader.rows("curated_shards") if row["path"].endswith(".parquet")]
        if not shards:
            return []
        schema = _schema(folder)
        balance, model = reader.rows("balance"), reader.row("row_model")
        readme = (
            card_environment()
            .get_template("ehr_card.md.jinja")
            .render(
                front=yaml.safe_dump(_front(recipe, reader.curation, shards), sort_keys=False),
                name=recipe.name,
                description=_description(recipe, schema),
                label=schema.label,
                attribute=recipe.cohort.attribute,
                real=totals(balance).real,
                balance=balance,
                shortfalls=shortfalls(curation_settings(reader), balance),
                columns=[_column(column) for column in schema.columns],
                first=shards[0]["path"],
                measured=_measured(reader.rows("evaluations"), recipe.cohort.attribute),
                lines=recipe_lines(recipe, reader, model),
                curation=reader.curation,
                source=schema.source or "not stated",
                path=shell_path(folder.root),
                key=own_column(schema, ID),
            )
        )
    paths = folder.root / README, folder.root / CROISSANT
    write_local(paths[0], readme.encode(), OWNER_ONLY)
    said = croissant(recipe, schema, shards)
    write_local(paths[1], (json.dumps(said, indent=2, ensure_ascii=False) + "\n").encode(), OWNER_ONLY)
    return list(paths)


def croissant(recipe: EhrRecipe, schema: Schema, shards: Sequence[Row]) -> dict[str, Any]:
    """Return the Croissant 1.0 description: the Parquet shards, and one record set over their columns."""
    files = [
        {
            "@type": "cr:FileObject",
            "@id": row["path"],
            "name": row["path"],
            "contentUrl": row["path"],
            "encodingFormat": "application/x-parquet",
            "sha256": row["sha256"],
            "contentSize": f"{row['bytes']} B",
        }
        for row in shards
    ]
    table = {
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
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": recipe.name,
        "description": _description(recipe, schema),
        "distribution": [*files, table],
        "recordSet": [records],
    }


def _schema(folder: RunFolder) -> Schema:
    name = next(name for name in folder.current() if name.startswith("cohort/"))
    return Schema.from_json(manifest.read_head(folder.root / name).settings["schema"])


def _description(recipe: EhrRecipe, schema: Schema) -> str:
    fair = {"none": "", "parity": " under demographic parity", "odds": " under equalised odds"}[recipe.model.constraint]
    return (
        f"Synthetic records in the likeness of {schema.name}, with the label {schema.label}, drawn by a "
        f"Bt-GAN{fair} by {recipe.cohort.attribute} and filtered by fairshards."
    )


def _front(recipe: EhrRecipe, curation: str | None, shards: Sequence[Row]) -> dict[str, Any]:
    """Return the card's header as the Hugging Face hub reads it."""
    return {
        "pretty_name": recipe.name,
        "task_categories": ["tabular-classification"],
        "tags": ["synthetic", "tabular", "fairshards", "fairness"],
        "size_categories": [size_category(sum(row["samples"] for row in shards))],
        "configs": [
            {
                "config_name": "synthetic",
                "default": True,
                "data_files": [{"split": "train", "path": f"curated/{curation}/synthetic-[0-9]*.parquet"}],
            }
        ],
    }


def _column(column: Column) -> Row:
    bounds = [f"{value:g}" if value is not None else "" for value in (column.low, column.high)]
    values = ", ".join(column.categories) if column.kind == "category" else " to ".join(bounds) if any(bounds) else ""
    return {"name": column.name, "kind": column.kind, "range": values, "unit": column.unit, "meaning": column.meaning}


def _measured(rows: Sequence[Row], attribute: str) -> list[str]:
    """Return the evaluation's headlines; one line that there is none, where there is none."""
    found = []
    for learner in LEARNERS:
        both = [metric_of(rows, "auroc", table, learner=learner) for table in (SYNTHETIC, REAL)]
        odds = [
            metric_of(rows, "equalized_odds_difference", table, learner=learner, attribute=attribute)
            for table in (SYNTHETIC, REAL)
        ]
        if both[0] and both[1]:
            areas = " and ".join(f"{one['value']:.3f}" for one in both if one)
            found.append(f"{learner}: AUROC {areas}, trained on these rows and on the real ones")
        if odds[0] and odds[1] and odds[0]["value"] is not None and odds[1]["value"] is not None:
            found.append(
                f"{learner}: equalised odds difference by {attribute} {odds[0]['value']:.3f}, real "
                f"{odds[1]['value']:.3f}"
            )
    for metric, words in (
        ("discriminative_score", "discriminative score (0.5: always told from real rows)"),
        ("copies", "copies of a training row"),
        ("membership_auc", "membership attack, AUROC"),
    ):
        if one := metric_of(rows, metric, SYNTHETIC):
            found.append(f"{words}: {one['value']:.3g}")
    return found or ["not evaluated yet: fairshards evaluate"]
