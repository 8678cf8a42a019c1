"""The dataset card of a run's curated shards: README.md for people, croissant.json for dataset search.

Croissant 1.0 (mlcommons.org/croissant) names every shard with its checksum; paths are relative to the run folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from fairshards.catalogs.manifests.manifest import write_local
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.report.reader import Reader, Row, curation_settings, open_reader
from fairshards.pipeline.report.summary import fingerprints, recipe_lines, shortfalls, totals
from fairshards.pipeline.run.folder import RunFolder, shell_path

README, CROISSANT = "README.md", "croissant.json"
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
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write_card(folder: RunFolder, recipe: Recipe) -> list[Path]:
    """Write README.md and croissant.json into the run folder and return their paths; none without kept samples.

    Raises:
        CatalogError, ManifestError: the catalog can't be opened, nor made from the manifests.
    """
    with open_reader(folder.root) as reader:
        shards = reader.rows("curated_shards")
        if not shards:
            return []
        readme = _readme(reader, folder, recipe, shards)
    paths = folder.root / README, folder.root / CROISSANT
    index = f"curated/{reader.curation}/index.parquet"
    said = croissant(recipe, shards, index, hashlib.sha256((folder.root / index).read_bytes()).hexdigest())
    write_local(paths[0], readme.encode())
    write_local(paths[1], (json.dumps(said, indent=2, ensure_ascii=False) + "\n").encode())
    return list(paths)


def croissant(recipe: Recipe, shards: Sequence[Row], index: str, index_sha256: str) -> dict[str, Any]:
    """Return the Croissant 1.0 description: the tars, the index, the pictures inside, and two record sets."""
    tars = [
        {
            "@type": "cr:FileObject",
            "@id": row["path"],
            "name": row["path"],
            "contentUrl": row["path"],
            "encodingFormat": "application/x-tar",
            "sha256": row["sha256"],
            "contentSize": f"{row['bytes']} B",
        }
        for row in shards
    ]
    table = {
        "@type": "cr:FileObject",
        "@id": "index",
        "name": "index",
        "contentUrl": index,
        "encodingFormat": "application/x-parquet",
        "sha256": index_sha256,
    }
    pictures = {
        "@type": "cr:FileSet",
        "@id": "pictures",
        "name": "pictures",
        "encodingFormat": "image/png",
        "includes": "*.png",
        "containedIn": [{"@id": row["path"]} for row in shards],
    }
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": recipe.name,
        "description": _description(recipe),
        "distribution": [*tars, table, pictures],
        "recordSet": [_samples(), _images()],
    }


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


def field(path: str, name: str, kind: str, source: dict[str, Any]) -> dict[str, Any]:
    """Return a Croissant field."""
    return {"@type": "cr:Field", "@id": path, "name": name, "dataType": kind, "source": source}


def _readme(reader: Reader, folder: RunFolder, recipe: Recipe, shards: Sequence[Row]) -> str:
    balance = reader.rows("balance")
    return (
        card_environment()
        .get_template("card.md.jinja")
        .render(
            front=yaml.safe_dump(_front(reader, recipe, shards), sort_keys=False, allow_unicode=True),
            name=recipe.name,
            description=_cell(_description(recipe)),
            totals=totals(balance),
            balance=balance,
            curation=reader.curation,
            shortfalls=shortfalls(curation_settings(reader), balance),
            lines=recipe_lines(recipe, reader),
            fingerprints=fingerprints(reader),
            glob=_braces(shards),
            path=shell_path(folder.root),
        )
    )


def _front(reader: Reader, recipe: Recipe, shards: Sequence[Row]) -> dict[str, Any]:
    """Return the card's header as the Hugging Face hub reads it; the balanced split is the default."""
    total = sum(row["samples"] for row in shards)
    splits = list(dict.fromkeys(row["split"] for row in shards))
    return {
        "pretty_name": recipe.name,
        "task_categories": ["image-classification"],
        "tags": ["synthetic", "webdataset", "fairshards", "group-robustness"],
        "size_categories": [size_category(total)],
        "configs": [
            {
                "config_name": split,
                "default": split == "balanced",
                "data_files": [{"split": "train", "path": f"curated/{reader.curation}/{split}-*.tar"}],
            }
            for split in splits
        ],
    }


def size_category(total: int) -> str:
    """Return the hub's name for a number of samples."""
    return next((name for most, name in _SIZES if total < most), "n>1M")


def card_environment() -> Environment:
    """Return the environment of cards: Markdown, others' words through ``cell``."""
    environment = Environment(
        loader=PackageLoader("fairshards.pipeline.report", "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    return environment


def _description(recipe: Recipe) -> str:
    classes = ", ".join(value.name for value in recipe.classes)
    values = ", ".join(value.name for value in recipe.bias.values)
    if recipe.spurious_free:
        return (
            f"Synthetic pictures of {classes} without what a classifier leaned on, {_made(recipe)} "
            "and filtered by fairshards."
        )
    return (
        f"Synthetic pictures of {classes}, balanced over {recipe.bias.name} ({values}), generated by "
        f"{recipe.generator.model} and filtered by fairshards."
    )


def _made(recipe: Recipe) -> str:
    """Return who made spurious-free pictures: the generator, the editor that changed training images, or both."""
    assert recipe.spurious_free is not None and recipe.discovery is not None
    edited = f"edited from training images by {recipe.discovery.editor.model}"
    generated = f"generated by {recipe.generator.model}"
    return {"generate": generated, "edit": edited}.get(recipe.spurious_free.make, f"{edited} or {generated},")


def _braces(shards: Sequence[Row]) -> str:
    """Return the balanced shards as webdataset's brace notation."""
    paths = [row["path"] for row in shards if row["split"] == "balanced"] or [shards[0]["path"]]
    stem = paths[0].removesuffix("000000.tar")
    return paths[0] if len(paths) == 1 else f"{stem}{{000000..{len(paths) - 1:06d}}}.tar"


def _cell(text: str) -> str:
    """Return others' words so that Markdown shows them as they are, in a table too."""
    plain = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{letter}" if letter in "|`*_[]\\" else letter for letter in " ".join(plain.split()))
