"""The dataset card of pictures: tars that hold them, and an index that lists every sample."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from fairshards.catalogs.manifests import places
from fairshards.pipeline.pictures.described import description, fingerprints, recipe_lines
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.report.card import field
from fairshards.pipeline.report.pages import Card, Facts, RunView
from fairshards.pipeline.report.reader import Row
from fairshards.pipeline.report.summary import totals

View = RunView[Recipe]
COLUMNS = {
    "sample_id": "sc:Text",
    "split": "sc:Text",
    "y": "sc:Integer",
    "class_name": "sc:Text",
    "b": "sc:Integer",
    "bias_name": "sc:Text",
    "group_name": "sc:Text",
    "g": "sc:Integer",
}


def _facts(view: View, shards: Sequence[Row]) -> Facts:
    return {
        "totals": totals(view.balance),
        "lines": recipe_lines(view.recipe, view.reader),
        "fingerprints": fingerprints(view.reader),
        "glob": _braces(shards),
    }


def _configs(view: View, shards: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a configuration per split; the balanced one is the default."""
    return [
        {
            "config_name": split,
            "default": split == "balanced",
            "data_files": [{"split": "train", "path": f"{places.CURATED}{view.reader.curation}/{split}-*.tar"}],
        }
        for split in dict.fromkeys(row["split"] for row in shards)
    ]


def _inside(view: View, shards: Sequence[Row]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the index and the pictures inside the tars, then a record set of each."""
    index = f"{places.CURATED}{view.reader.curation}/index.parquet"
    table = {
        "@type": "cr:FileObject",
        "@id": "index",
        "name": "index",
        "contentUrl": index,
        "encodingFormat": "application/x-parquet",
        "sha256": hashlib.sha256((view.folder.root / index).read_bytes()).hexdigest(),
    }
    pictures = {
        "@type": "cr:FileSet",
        "@id": "pictures",
        "name": "pictures",
        "encodingFormat": "image/png",
        "includes": "*.png",
        "containedIn": [{"@id": row["path"]} for row in shards],
    }
    return [table, pictures], [_samples(), _images()]


def _samples() -> dict[str, Any]:
    fields = [
        field(f"samples/{name}", name, kind, {"fileObject": {"@id": "index"}, "extract": {"column": name}})
        for name, kind in COLUMNS.items()
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "key": {"@id": "samples/sample_id"},
        "field": fields,
    }


def _images() -> dict[str, Any]:
    inside: dict[str, Any] = {"fileSet": {"@id": "pictures"}}
    name = {**inside, "extract": {"fileProperty": "filename"}, "transform": {"regex": r"^([0-9a-f]+)"}}
    key = {
        **field("images/sample_id", "sample_id", "sc:Text", name),
        "references": {"field": {"@id": "samples/sample_id"}},
    }
    content = {**inside, "extract": {"fileProperty": "content"}}
    return {
        "@type": "cr:RecordSet",
        "@id": "images",
        "name": "images",
        "field": [key, field("images/image", "image", "sc:ImageObject", content)],
    }


def _braces(shards: Sequence[Row]) -> str:
    """Return the balanced shards as webdataset's brace notation."""
    paths = [row["path"] for row in shards if row["split"] == "balanced"] or [shards[0]["path"]]
    stem = paths[0].removesuffix("000000.tar")
    return paths[0] if len(paths) == 1 else f"{stem}{{000000..{len(paths) - 1:06d}}}.tar"


CARD = Card(
    "pictures/card.md.jinja",
    ".tar",
    lambda view: description(view.recipe),
    ("image-classification",),
    ("synthetic", "webdataset", "fairshards", "group-robustness"),
    _configs,
    _facts,
    _inside,
)
