"""The report of a run: report.html, one file that stands alone, from the catalog and the shards.

No network, no scripts, no time stamps: the same run, reported from the same working folder, gives the same bytes.
Prompts, class names and captions are others' words, so the template escapes everything, and the page's own policy
forbids scripts and requests.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from fairshards.catalogs.manifests.manifest import write_local
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.report.accuracy import accuracies
from fairshards.pipeline.report.calibration import calibrations
from fairshards.pipeline.report.comparison import comparison
from fairshards.pipeline.report.histograms import histograms
from fairshards.pipeline.report.pictures import group_sheets, rejected_sheets
from fairshards.pipeline.report.reader import Reader, Row, curation_settings, open_reader
from fairshards.pipeline.report.scores import REASONS, significant
from fairshards.pipeline.report.spurious import ranked_classes
from fairshards.pipeline.report.summary import (
    accept_table,
    fingerprints,
    mixes,
    recipe_lines,
    resolved_yaml,
    shortfalls,
    totals,
    versions,
)
from fairshards.pipeline.run.folder import RunFolder, shell_path

REPORT = "report.html"


def write_report(folder: RunFolder, recipe: Recipe) -> Path:
    """Write ``report.html`` into the run folder and return its path. Works at any stage of a run.

    Raises:
        CatalogError, ManifestError: the catalog can't be opened, nor made from the manifests.
    """
    with open_reader(folder.root) as reader:
        facts = _facts(reader, folder, recipe)
    path = folder.root / REPORT
    write_local(path, environment().get_template("report.html.jinja").render(facts).encode())
    return path


def _facts(reader: Reader, folder: RunFolder, recipe: Recipe) -> dict[str, Any]:
    """Return everything that the template shows."""
    settings = curation_settings(reader)
    balance = reader.rows("balance")
    groups = [row["group_name"] for row in balance]
    run = reader.row("run")
    return {
        "recipe": recipe,
        "run": run,
        "curation": reader.curation,
        "path": shell_path(folder.root),
        **_what_was_run(reader, recipe, run),
        **_results(reader, recipe),
        "ranked": ranked_classes(reader, folder.root),
        "balance": balance,
        "totals": totals(balance),
        "mixes": list(mixes(reader, recipe)),
        "accept": accept_table(reader, list(settings.get("filters") or recipe.filters), groups),
        "shortfalls": shortfalls(settings, balance),
        "balanced": settings.get("per_group"),
        "sheets": group_sheets(reader, folder.root, groups),
        "rejected": rejected_sheets(reader, folder.root),
        "scores": histograms(reader, settings, groups),
        "reasons": reader.rows("reasons"),
        "meanings": REASONS,
        "calibrations": calibrations(reader),
        "told_apart": reader.rows("g_detector"),
        "example": _example(reader),
    }


def _what_was_run(reader: Reader, recipe: Recipe, run: Row) -> dict[str, Any]:
    earlier = [name for name in run.get("curations") or () if name != reader.curation]
    return {
        "lines": recipe_lines(recipe, reader),
        "fingerprints": fingerprints(reader),
        "versions": versions(reader),
        "resolved": resolved_yaml(recipe),
        "earlier": earlier,
    }


def _results(reader: Reader, recipe: Recipe) -> dict[str, Any]:
    found = accuracies(reader)
    names = list(dict.fromkeys(name for row in found.rows for name in row.groups))
    return {"accuracies": found, "versus": comparison(found, recipe), "tested": names}


def _example(reader: Reader) -> str:
    """Return a sample's id for the commands at the end."""
    found = reader.row("kept_pictures", per_group=1)
    return str(found.get("sample_id", "SAMPLE"))[:8]


@cache
def environment() -> Environment:
    """Return the templates' environment: everything is escaped, and a name that isn't known is an error."""
    environment = Environment(
        loader=PackageLoader("fairshards.pipeline.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": _percent,
        "count": _count,
        "significant": significant,
        "share": _share,
        "group": _group,
        "points": _points,
    }
    return environment


def _percent(value: float | None, decimals: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{decimals}f}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _group(name: str) -> Markup:
    """Return a group's name that may be broken after its bar."""
    return escape(name).replace("|", Markup("|<wbr>"))


def _share(value: float, whole: float) -> str:
    """Return value / whole as a CSS percentage; an empty whole gives none."""
    return f"{100 * value / whole if whole else 0:.2f}%"
