"""The dataset card of a run's curated shards: README.md for people, croissant.json for dataset search.

Croissant 1.0 (mlcommons.org/croissant) names every shard with its checksum; paths are relative to the run folder.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment

from fairshards.catalogs.manifests.manifest import write_local
from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.report.pages import Card, Pages, RunView, new_environment
from fairshards.pipeline.report.reader import Row, open_reader
from fairshards.pipeline.report.summary import shortfalls
from fairshards.pipeline.run.folder import RunFolder, shell_path

README, CROISSANT = "README.md", "croissant.json"
FORMATS = {".tar": "application/x-tar", ".parquet": "application/x-parquet"}
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


def write_card(folder: RunFolder, recipe: RecipeBase, pages: Pages[Any, Any]) -> list[Path]:
    """Write README.md and croissant.json into the run folder and return their paths; none without kept samples.

    Raises:
        CatalogError, ManifestError: the catalog can't be opened, nor made from the manifests.
    """
    with open_reader(folder.root) as reader:
        view = RunView(reader, folder, recipe)
        shards = [row for row in reader.rows("curated_shards") if row["path"].endswith(pages.card.suffix)]
        if not shards:
            return []
        texts = {
            README: _readme(view, pages, shards),
            CROISSANT: json.dumps(croissant(view, pages.card, shards), indent=2, ensure_ascii=False) + "\n",
        }
    for name, text in texts.items():
        write_local(folder.root / name, text.encode(), pages.mode)
    return [folder.root / name for name in texts]


def croissant(view: RunView[Any], card: Card[Any], shards: Sequence[Row]) -> dict[str, Any]:
    """Return the Croissant 1.0 description: the shards with their checksums, and what the kind says of their inside."""
    distribution, record_sets = card.inside(view, shards)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": view.recipe.name,
        "description": card.description(view),
        "distribution": [*(_file(row, card.suffix) for row in shards), *distribution],
        "recordSet": record_sets,
    }


def _file(shard: Row, suffix: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": shard["path"],
        "name": shard["path"],
        "contentUrl": shard["path"],
        "encodingFormat": FORMATS.get(suffix) or mimetypes.guess_type(f"shard{suffix}")[0],
        "sha256": shard["sha256"],
        "contentSize": f"{shard['bytes']} B",
    }


def field(path: str, name: str, kind: str, source: dict[str, Any]) -> dict[str, Any]:
    """Return a Croissant field."""
    return {"@type": "cr:Field", "@id": path, "name": name, "dataType": kind, "source": source}


def _readme(view: RunView[Any], pages: Pages[Any, Any], shards: Sequence[Row]) -> str:
    facts = {
        "front": yaml.safe_dump(_front(view, pages.card, shards), sort_keys=False, allow_unicode=True),
        "name": view.recipe.name,
        "description": pages.card.description(view),
        "balance": view.balance,
        "curation": view.reader.curation,
        "shortfalls": shortfalls(view.settings, view.balance),
        "path": shell_path(view.folder.root),
        **pages.card.facts(view, shards),
    }
    return _environment(pages.templates).get_template(pages.card.template).render(facts)


def _front(view: RunView[Any], card: Card[Any], shards: Sequence[Row]) -> dict[str, Any]:
    """Return the card's header as the Hugging Face hub reads it."""
    return {
        "pretty_name": view.recipe.name,
        "task_categories": list(card.tasks),
        "tags": list(card.tags),
        "size_categories": [size_category(sum(row["samples"] for row in shards))],
        "configs": card.configs(view, shards),
    }


def size_category(total: int) -> str:
    """Return the hub's name for a number of samples."""
    return next((name for most, name in _SIZES if total < most), "n>1M")


@cache
def _environment(templates: Path) -> Environment:
    """Return the environment of cards: Markdown, others' words through ``cell``."""
    environment = new_environment(templates, escaped=False)
    environment.filters["cell"] = _cell
    return environment


def _cell(text: str) -> str:
    """Return others' words so that Markdown shows them as they are, in a table too."""
    plain = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{letter}" if letter in "|`*_[]\\" else letter for letter in " ".join(plain.split()))
